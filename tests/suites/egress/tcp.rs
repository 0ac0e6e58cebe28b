//! Raw TCP.

use odeon_tests::runtime::spec;

use crate::harness::{Server, Turning, Untouched, assert_denied, attempt, load, runtime, runtime_with, told};

const DENIED: &str = r#"err("access-denied")"#;

/// Falls with the check in `Egress::permit_socket` for `TcpConnect`.
#[tokio::test]
async fn an_address_that_is_not_granted_is_not_connected_to() {
    let listener = Untouched::new();
    let port = listener.port();
    let (result, records) = attempt(
        &runtime(&[]),
        spec(),
        &format!(r#"tcp-connect("127.0.0.1", {port})"#),
    )
    .await;
    assert_eq!(result, DENIED);
    assert_denied(&records, "tcp", &format!("127.0.0.1:{port}"));
    listener.assert_untouched();
}

/// Falls with `PortRule::matches` in `Endpoint::concerns`.
#[tokio::test]
async fn another_port_of_a_granted_address_is_not_connected_to() {
    let (granted, listener) = (Untouched::new(), Untouched::new());
    let spec = spec().grant(&format!("tcp=127.0.0.1:{}", granted.port()));
    let call = format!(r#"tcp-connect("127.0.0.1", {})"#, listener.port());
    let (result, records) = attempt(&runtime(&[]), spec, &call).await;
    assert_eq!(result, DENIED);
    assert_denied(&records, "tcp", &format!(":{}", listener.port()));
    listener.assert_untouched();
}

#[tokio::test]
async fn a_granted_address_is_talked_to() {
    let server = Server::echo();
    let spec = spec().grant(&format!("tcp=127.0.0.1:{}", server.port()));
    let call = format!(r#"tcp-exchange("127.0.0.1", {}, [104, 105])"#, server.port());
    let (result, records) = attempt(&runtime(&[]), spec, &call).await;
    assert_eq!(result, "ok([104, 105])");
    assert_eq!(records.denials(), []);
}

/// Falls with `of_v6` in `AddressClass`, which looks inside such addresses,
/// and with the check in `Sockets::start_connect`, which writes it down.
#[tokio::test]
async fn a_v4_mapped_address_is_what_it_carries() {
    let listener = Untouched::new();
    let port = listener.port();
    let call = format!(r#"tcp-connect("::ffff:127.0.0.1", {port})"#);
    let (result, records) = attempt(&runtime(&[]), spec().grant("tcp=*:*"), &call).await;
    assert_eq!(result, DENIED);
    assert_denied(&records, "tcp", "::ffff:127.0.0.1");
    listener.assert_untouched();
}

/// Falls with `Endpoint::opens`: `*` is the Internet, not this machine.
#[tokio::test]
async fn a_rule_for_everything_does_not_reach_this_machine() {
    let listener = Untouched::new();
    let plugin_spec = spec().grant("tcp=*:*");
    let records = plugin_spec.records();
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &plugin_spec).await;
    for address in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "100.64.0.1",
        "::1",
        "fe80::1",
        "fd00::1",
    ] {
        let call = format!(r#"tcp-connect("{address}", {})"#, listener.port());
        assert_eq!(told(&plugin, &call).await, DENIED, "{address}");
        assert_denied(&records, "tcp", address);
    }
    listener.assert_untouched();
}

#[tokio::test]
async fn a_granted_name_is_looked_up_and_connected_to() {
    let server = Server::echo();
    let spec = spec().grant(&format!("tcp=inside.test:{},private", server.port()));
    let runtime = runtime(&[("inside.test", "127.0.0.1")]);
    let call = format!(r#"resolve-and-connect("Inside.test.", {})"#, server.port());
    let (result, records) = attempt(&runtime, spec, &call).await;
    assert_eq!(result, r#"ok("127.0.0.1")"#);
    assert_eq!(records.denials(), []);
}

/// Falls with `Names::of` in `Egress::check` if that named what the host did
/// not resolve: that a rule names a host says nothing about addresses.
#[tokio::test]
async fn an_address_is_no_name_unless_the_host_resolved_it() {
    let listener = Untouched::new();
    let port = listener.port();
    let spec = spec().grant(&format!("tcp=inside.test:{port},private"));
    let runtime = runtime(&[("inside.test", "127.0.0.1")]);
    let (result, records) = attempt(&runtime, spec, &format!(r#"tcp-connect("127.0.0.1", {port})"#)).await;
    assert_eq!(result, DENIED);
    assert_denied(&records, "tcp", "127.0.0.1");
    listener.assert_untouched();
}

/// Falls with the filter in `Egress::lookup` (`EgressPolicy::check_answer`).
#[tokio::test]
async fn a_granted_name_that_leads_inside_gives_no_address() {
    let listener = Untouched::new();
    let port = listener.port();
    let spec = spec().grant(&format!("tcp=inside.test:{port}"));
    let runtime = runtime(&[("inside.test", "127.0.0.1")]);
    let (result, records) = attempt(
        &runtime,
        spec,
        &format!(r#"resolve-and-connect("inside.test", {port})"#),
    )
    .await;
    assert_eq!(result, DENIED);
    assert_denied(&records, "dns", "inside.test (127.0.0.1)");
    listener.assert_untouched();
}

/// Falls with `Egress::check`, which goes by the address that is connected to
/// and the answers that were given, not by what the name means now.
#[tokio::test]
async fn an_answer_that_changes_changes_nothing() {
    let listener = Untouched::new();
    let port = listener.port();
    let resolver = Turning::new(&["192.88.98.1", "127.0.0.1"]);
    let runtime = runtime_with(resolver.clone());
    let spec = spec().resident().grant(&format!("tcp=turns.test:{port}"));
    let records = spec.records();
    let plugin = load(&runtime, &spec).await;
    assert_eq!(
        told(&plugin, r#"resolve("turns.test")"#).await,
        r#"ok(["192.88.98.1"])"#
    );
    assert_eq!(
        told(&plugin, &format!(r#"tcp-connect("127.0.0.1", {port})"#)).await,
        DENIED
    );
    assert_eq!(told(&plugin, r#"resolve("turns.test")"#).await, DENIED);
    assert_eq!(
        told(&plugin, &format!(r#"tcp-connect("127.0.0.1", {port})"#)).await,
        DENIED
    );
    assert_eq!(resolver.asked(), 2);
    assert_denied(&records, "dns", "turns.test (127.0.0.1)");
    listener.assert_untouched();
}

/// Falls with the check in `Sockets::permit_bind`.
#[tokio::test]
async fn nothing_is_bound_or_listened_on_unless_named() {
    let listener = Untouched::new();
    let port = listener.port();
    let spec = spec().grant(&format!("tcp=127.0.0.1:{port}"));
    let records = spec.records();
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &spec).await;
    for call in [
        r#"tcp-bind("0.0.0.0", 0)"#.to_owned(),
        r#"tcp-bind("127.0.0.1", 0)"#.to_owned(),
        r#"tcp-listen("0.0.0.0", 0)"#.to_owned(),
        r#"tcp-listen("::", 0)"#.to_owned(),
        format!(r#"tcp-bind-and-connect("127.0.0.1", "127.0.0.1", {port})"#),
    ] {
        assert_eq!(told(&plugin, &call).await, DENIED, "{call}");
    }
    assert_denied(&records, "listen", "0.0.0.0:0");
    assert_denied(&records, "listen", "127.0.0.1:0");
    listener.assert_untouched();
}

#[tokio::test]
async fn a_granted_address_is_listened_on() {
    let spec = spec().grant("listen=127.0.0.1:*");
    let (result, records) = attempt(&runtime(&[]), spec, r#"tcp-listen("127.0.0.1", 0)"#).await;
    assert!(result.starts_with("ok("), "{result}");
    assert_eq!(records.denials(), []);
}

/// Falls with the check in `Egress::permit_socket`.
#[tokio::test]
async fn a_scan_finds_nothing() {
    let listener = Untouched::new();
    let port = listener.port();
    let call = format!(
        r#"scan("127.0.0.1", {}, {})"#,
        port.saturating_sub(5),
        port.saturating_add(5)
    );
    let (result, records) = attempt(&runtime(&[]), spec(), &call).await;
    assert_eq!(result, "[]");
    assert_eq!(records.denials().len(), 11);
    listener.assert_untouched();
}

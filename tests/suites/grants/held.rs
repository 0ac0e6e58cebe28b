//! What was opened before a grant was taken away.

use odeon_protocol::Code;
use odeon_runtime::{Plugin, Runtime};
use odeon_tests::guests;
use odeon_tests::runtime::{Spec, call, runtime, spec};
use odeon_tests::stall::Stalls;

use crate::ground::{Folder, HELLO, Peer, grants, resident, told, with};
use crate::host::soon;

/// Enforced by `Root::check`, which every use of a descriptor asks.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_in_a_directory_that_is_not_granted_any_more_is_of_no_use() {
    let folder = Folder::new();
    let grant = folder.grant(",rw");
    let (plugin, spec) = resident(&[&grant]).await;
    assert_eq!(told(&plugin, "kept.open(\"/data\", \"hello\")").await, "ok");
    assert_eq!(told(&plugin, "kept.read()").await, HELLO);
    assert_eq!(told(&plugin, "kept.read-stream()").await, "ok([104])");
    plugin.regrant(grants::<&str>(&[]));
    assert!(plugin.granted().is_empty());
    for (use_of_it, refusal) in [
        ("kept.read()", "err(\"not-permitted\")"),
        ("kept.write([1])", "err(\"not-permitted\")"),
        ("kept.read-below(\"hello\")", "err(\"not-permitted\")"),
        ("kept.next-name()", "err(\"not-permitted\")"),
        ("kept.read-stream()", "err(\"failed\")"),
        ("kept.open(\"/data\", \"hello\")", "err(\"no-preopen\")"),
    ] {
        assert_eq!(told(&plugin, use_of_it).await, refusal, "{use_of_it}");
    }
    assert_eq!(
        std::fs::read(folder.path().join("hello")).unwrap(),
        b"hello",
        "nothing was written"
    );
    // Below the directory it tries to write, then to read.
    let denied: Vec<_> = spec
        .records()
        .denials()
        .into_iter()
        .map(|denied| denied.target)
        .collect();
    assert_eq!(
        denied,
        [
            "/data/hello",
            "/data/hello",
            "/data/hello",
            "/data/hello",
            "/data",
            "/data/hello"
        ]
    );
    // It is the grant that counts, not the descriptor.
    plugin.regrant(grants(&[&grant]));
    assert_eq!(told(&plugin, "kept.read()").await, HELLO);
    assert_eq!(told(&plugin, "kept.next-name()").await, "ok(some(\"hello\"))");
}

/// Enforced by `Root::check`, which compares the access.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_for_writing_can_only_be_read_when_that_is_what_is_left() {
    let folder = Folder::new();
    let (plugin, spec) = resident(&[&folder.grant(",rw")]).await;
    assert_eq!(told(&plugin, "kept.open(\"/data\", \"hello\")").await, "ok");
    plugin.regrant(grants(&[folder.grant("")]));
    assert_eq!(told(&plugin, "kept.read()").await, HELLO);
    assert_eq!(told(&plugin, "kept.write([1])").await, "err(\"not-permitted\")");
    assert!(spec.records().reasons()[0].contains("reading only"));
    assert_eq!(std::fs::read(folder.path().join("hello")).unwrap(), b"hello");
}

/// Enforced by `HostState::reveal_secret`, which asks again.
#[tokio::test(flavor = "multi_thread")]
async fn a_handle_to_a_secret_reveals_nothing_when_the_grant_is_gone() {
    let (plugin, spec) = resident(&["secret=token"]).await;
    spec.records().keep_secret("token", b"ab");
    assert_eq!(told(&plugin, "kept.take(\"token\")").await, "ok");
    assert_eq!(told(&plugin, "kept.reveal()").await, "ok([97, 98])");
    plugin.regrant(grants::<&str>(&[]));
    let refused = told(&plugin, "kept.reveal()").await;
    assert!(
        refused.starts_with("err") && refused.contains("enied"),
        "{refused}"
    );
    assert_eq!(spec.records().revealed(), ["token"]);
}

/// Enforced by `HostState::granted_variables`.
#[tokio::test(flavor = "multi_thread")]
async fn variables_are_those_that_are_granted_when_they_are_read() {
    let spec = crate::ground::with(spec().resident(), &["env=A=1"]).env("A", "1");
    let plugin = spec
        .load(&odeon_tests::runtime::runtime(), crate::ground::GUEST)
        .await;
    assert_eq!(told(&plugin, "long.variable(\"A\")").await, "some(\"1\")");
    plugin.regrant(grants(&["env=B=2"]));
    assert_eq!(told(&plugin, "long.variable(\"A\")").await, "none");
    assert_eq!(told(&plugin, "long.variable(\"B\")").await, "some(\"2\")");
}

/// Enforced by `Route::check`, and `HostState::shut_down_what_is_gone` for the
/// one at the other end.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_connection_is_shut_down_when_its_rule_is_gone() {
    let peer = Peer::new(false);
    let rule = format!("tcp=127.0.0.1:{}", peer.port());
    let (plugin, spec) = resident(&[&rule]).await;
    let connect = format!("kept.connect(\"127.0.0.1\", {})", peer.port());
    assert_eq!(told(&plugin, &connect).await, "ok");
    assert_eq!(told(&plugin, "kept.send([1, 2, 3])").await, "ok");
    soon("it arrives", || peer.bytes() == 3).await;
    // Another rule, which is not about it.
    plugin.regrant(grants(&["tcp=127.0.0.1:9"]));
    assert_eq!(told(&plugin, "kept.send([4])").await, "err(\"failed\")");
    assert_eq!(told(&plugin, "kept.receive()").await, "err(\"failed\")");
    soon("the peer hears of it", || peer.closed() == 1).await;
    assert_eq!(peer.bytes(), 3);
    let denials = spec.records().denials();
    assert_eq!(denials.len(), 1, "it is said once: {denials:?}");
    assert_eq!(denials[0].kind, "tcp");
}

/// Enforced by `Route::lost`, which wakes who waits.
#[tokio::test(flavor = "multi_thread")]
async fn timed_who_waits_for_a_peer_is_told_when_the_rule_is_gone() {
    let peer = Peer::new(false);
    let rule = format!("tcp=127.0.0.1:{}", peer.port());
    let (plugin, _spec) = resident(&[&rule]).await;
    let connect = format!("kept.connect(\"127.0.0.1\", {})", peer.port());
    assert_eq!(told(&plugin, &connect).await, "ok");
    let waiting = tokio::spawn(told(&plugin, "kept.receive()"));
    soon("it waits", || plugin.stats().in_flight == 1).await;
    let stalls = Stalls::watch();
    let began = std::time::Instant::now();
    plugin.regrant(grants::<&str>(&[]));
    assert_eq!(waiting.await.unwrap(), "err(\"failed\")");
    let took = stalls.since(began);
    assert!(took.own() < std::time::Duration::from_secs(5), "{took:?}");
}

/// The guest that keeps connections of WASI 0.3, as resident, under this rule.
async fn with_streams(rule: &str) -> (Runtime, Plugin, Spec) {
    let spec = with(spec().resident(), &[rule]);
    let runtime = runtime();
    let component = guests::bytes("wat-streams");
    let plugin = spec.prepare(&runtime, &component).await.expect("it links");
    (runtime, plugin, spec)
}

/// Enforced by `counted::Watch`: of WASI 0.3, receiving asks nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_that_may_receive_from_a_connection_of_0_3_whose_rule_is_gone() {
    let peer = Peer::new(false);
    let rule = format!("tcp=127.0.0.1:{}", peer.port());
    let (_runtime, plugin, spec) = with_streams(&rule).await;
    let connect = |times: u32| format!("connect-and-keep({}, {times})", peer.port());
    assert_eq!(told(&plugin, &connect(1)).await, "1");
    // Another rule, and still this one.
    plugin.regrant(grants(&[rule.as_str(), "tcp=127.0.0.1:9"]));
    assert_eq!(told(&plugin, &connect(0)).await, "0");
    assert_eq!(peer.closed(), 0);
    plugin.regrant(grants(&["tcp=127.0.0.1:9"]));
    let fault = call(&plugin, &connect(0)).await.unwrap_err();
    assert_eq!(fault.code, Code::GrantRevoked, "{fault}");
    soon("the peer hears of it", || peer.closed() == 1).await;
    assert_eq!(spec.records().denials().len(), 1);
    // The next instance has no connection.
    assert_eq!(told(&plugin, &connect(0)).await, "0");
}

/// Enforced by `HostState::must_stop`.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_lets_nobody_else_run_loses_its_connections_of_0_3_too() {
    let peer = Peer::new(false);
    let rule = format!("tcp=127.0.0.1:{}", peer.port());
    let (_runtime, plugin, _spec) = with_streams(&rule).await;
    let connect = format!("connect-and-keep({}, 1)", peer.port());
    assert_eq!(told(&plugin, &connect).await, "1");
    let spinning = plugin.clone();
    let spinning = tokio::spawn(async move { call(&spinning, "spin()").await });
    soon("it spins", || plugin.stats().in_flight == 1).await;
    plugin.regrant(grants::<&str>(&[]));
    let fault = spinning.await.unwrap().unwrap_err();
    assert_eq!(fault.code, Code::GrantRevoked, "{fault}");
    soon("the peer hears of it", || peer.closed() == 1).await;
}

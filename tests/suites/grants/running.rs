//! A grant that is taken away in the middle of a call.

use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};

use odeon_authority::ByteSize;
use odeon_runtime::Plugin;
use odeon_tests::runtime::{runtime, spec};

use crate::ground::{Folder, GUEST, Peer, grants, told, with};
use crate::host::soon;

/// Calls, takes everything away when the guest has begun to use it, and gives
/// what the call came to.
async fn interrupted(plugin: &Plugin, invocation: &str, used: impl FnMut() -> bool) -> String {
    let running = tokio::spawn(told(plugin, invocation));
    soon("it runs", || plugin.stats().in_flight == 1).await;
    soon("it uses it", used).await;
    plugin.regrant(grants::<&str>(&[]));
    tokio::time::timeout(std::time::Duration::from_secs(10), running)
        .await
        .expect("it ends long before its deadline")
        .unwrap()
}

/// How often, or how much, it was used before it was refused, and the refusal.
pub(crate) fn stopped(answer: &str) -> (u64, String) {
    let done = answer.split("done: ").nth(1).unwrap();
    let (done, rest) = done.split_once(',').unwrap();
    let error = rest.split('"').nth(1).unwrap();
    (done.parse().unwrap(), error.to_owned())
}

/// Enforced by `Warrant::set`, and `Filesystem::may` that asks it.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_loses_a_directory_at_its_next_use() {
    let folder = Folder::new();
    let full = [folder.grant("")];
    let spec = with(spec(), &[&full[0]]);
    let plugin = spec.load(&runtime(), GUEST).await;
    // Whether it has begun to read is seen afterwards.
    for _ in 0..100 {
        plugin.regrant(grants(&full));
        let call = "long.read-until-refused(\"/data\", \"hello\")";
        let (done, error) = stopped(&interrupted(&plugin, call, || true).await);
        if done > 0 {
            assert_eq!(error, "not-permitted");
            return;
        }
    }
    panic!("it never came to read");
}

/// Enforced by `Warrant::set`, and `HostState::granted_variables` that asks it.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_loses_a_variable_at_its_next_use() {
    let full = ["env=A=1"];
    let plugin = with(spec(), &full).load(&runtime(), GUEST).await;
    for _ in 0..100 {
        plugin.regrant(grants(&full));
        let times = interrupted(&plugin, "long.variable-until-gone(\"A\")", || true).await;
        if times != "0" {
            return;
        }
    }
    panic!("it never came to read");
}

/// Enforced by `Warrant::set`, and `HostState::secret_granted` that asks it.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_loses_a_secret_at_its_next_use() {
    let spec = with(spec(), &["secret=token"]);
    let records = spec.records();
    records.keep_secret("token", b"ab");
    let plugin = spec.load(&runtime(), GUEST).await;
    let call = "long.reveal-until-refused(\"token\")";
    let (done, error) = stopped(&interrupted(&plugin, call, || records.revealed().len() > 2).await);
    assert!(done > 2 && error.contains("enied"), "{done} {error}");
    assert_eq!(records.revealed().len() as u64, done);
}

/// Enforced by `Warrant::set`, and `Route::check` that asks it.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_loses_a_connection_at_its_next_use() {
    let peer = Peer::new(false);
    let spec = with(spec(), &[&format!("tcp=127.0.0.1:{}", peer.port())]);
    let plugin = spec.load(&runtime(), GUEST).await;
    let call = format!("long.send-until-refused(\"127.0.0.1\", {})", peer.port());
    let (done, error) = stopped(&interrupted(&plugin, &call, || peer.bytes() > 20).await);
    assert!(done > 20, "{done}");
    assert_eq!(error, "failed");
    soon("the peer hears of it", || peer.closed() == 1).await;
}

/// Enforced by `Warrant::set`, and `Egress::permit_request` that asks it.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_loses_requests_at_its_next_use() {
    let peer = Peer::new(true);
    let spec = with(spec(), &[&format!("http=127.0.0.1:{}", peer.port())]);
    let plugin = spec.load(&runtime(), GUEST).await;
    let call = format!("long.request-until-refused(\"127.0.0.1:{}\")", peer.port());
    let (done, error) = stopped(&interrupted(&plugin, &call, || peer.closed() > 2).await);
    assert!(done > 1 && error.contains("Denied"), "{done} {error}");
}

/// Enforced by `Metered::poll_read`, which wakes who sends as well: a response may come
/// at any time.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_being_sent_loses_its_connection() {
    let peer = Peer::new(false);
    let spec = with(spec(), &[&format!("http=127.0.0.1:{}", peer.port())])
        // No other end is near.
        .limits(|limits| limits.egress_bytes = ByteSize::gib(1_000));
    let plugin = spec.load(&runtime(), "guest-egress").await;
    let call = format!("web.upload-forever(\"127.0.0.1:{}\", \"/\", 4096)", peer.port());
    let (done, error) = stopped(&interrupted(&plugin, &call, || peer.bytes() > 20_000).await);
    assert!(done > 0 && !error.is_empty(), "{done} {error}");
    soon("the peer hears of it", || peer.closed() == 1).await;
    let reasons = spec.records().reasons();
    assert_eq!(reasons.len(), 1, "it is said once: {reasons:?}");
    assert!(reasons[0].contains("a rule that is not there now"), "{reasons:?}");
}

/// Enforced by `Metered::poll_read`, which wakes who waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_its_response_loses_its_connection() {
    let peer = Peer::new(false);
    let spec = with(spec(), &[&format!("http=127.0.0.1:{}", peer.port())]);
    let plugin = spec.load(&runtime(), "guest-egress").await;
    let call = format!("web.request(false, \"127.0.0.1:{}\", \"/\")", peer.port());
    let answer = interrupted(&plugin, &call, || peer.bytes() > 0).await;
    assert!(answer.starts_with("err("), "{answer}");
    soon("the peer hears of it", || peer.closed() == 1).await;
    assert!(spec.records().reasons()[0].contains("a rule that is not there now"));
}

/// Enforced by `HostOutgoingDatagramStream::send`, and of WASI 0.3 by
/// `HostUdpSocketWithStore::send`: a socket that has a peer asks about it each
/// time. WASI's own sockets ask by `Egress::permit_socket` besides.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_datagrams_that_is_connected_loses_its_peer() {
    for guest in ["guest-egress", "guest-concurrent"] {
        let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        peer.set_nonblocking(true).unwrap();
        let port = peer.local_addr().unwrap().port();
        let spec = with(spec(), &[&format!("udp=127.0.0.1:{port}")]);
        let plugin = spec.load(&runtime(), guest).await;
        let call = format!("sockets.udp-send-until-refused(\"127.0.0.1\", {port})");
        let heard = || peer.recv(&mut [0; 8]).is_ok();
        let (done, error) = stopped(&interrupted(&plugin, &call, heard).await);
        assert!(done > 0, "{guest}: {done}");
        assert_eq!(error, "access-denied", "{guest}");
        let reasons = spec.records().reasons();
        assert!(
            reasons[0].contains("a rule that is not there now"),
            "{guest}: {reasons:?}"
        );
    }
}

/// Enforced by `connect` of `sockets/concurrent.rs`: what a socket goes by is
/// what it is connected to, and not what the guest tries afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_0_3_that_is_connected_stays_what_it_is() {
    let (first, second) = (Peer::new(false), Peer::new(false));
    let rule = |peer: &Peer| format!("tcp=127.0.0.1:{}", peer.port());
    let spec = with(spec(), &[&rule(&first), &rule(&second)]);
    let plugin = spec.load(&runtime(), "guest-concurrent").await;
    let call = format!(
        "sockets.tcp-connect-twice(\"127.0.0.1\", {}, {})",
        first.port(),
        second.port()
    );
    let running = tokio::spawn(told(&plugin, &call));
    soon("it sends", || first.bytes() > 20).await;
    // What is left is about the other one.
    plugin.regrant(grants(&[rule(&second)]));
    let answer = tokio::time::timeout(std::time::Duration::from_secs(10), running)
        .await
        .expect("it ends long before its deadline")
        .unwrap();
    let (done, error) = stopped(&answer);
    assert!(done > 20 && !error.is_empty(), "{answer}");
    assert!(spec.records().reasons()[0].contains("a rule that is not there now"));
    soon("the peer hears of it", || first.closed() == 1).await;
    assert_eq!(second.bytes(), 0);
}

/// Enforced by `Egress::permit_socket`, as long as the guest may listen nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_where_a_guest_may_not_listen_any_more_is_turned_away() {
    for (guest, function) in [
        ("guest-egress", "accept-forever"),
        ("guest-concurrent", "tcp-accept-forever"),
    ] {
        turned_away(guest, function).await;
    }
}

async fn turned_away(guest: &str, function: &str) {
    let port = {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        free.local_addr().unwrap().port()
    };
    let spec = with(spec(), &[&format!("listen=127.0.0.1:{port}")]);
    let plugin = spec.load(&runtime(), guest).await;
    let call = format!("sockets.{function}(\"127.0.0.1\", {port})");
    let running = tokio::spawn(told(&plugin, &call));
    let come = || TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    soon("it listens", || come().is_ok()).await;
    plugin.regrant(grants::<&str>(&[]));
    soon("he is turned away", || {
        let Ok(mut stream) = come() else { return true };
        stream
            .set_read_timeout(Some(std::time::Duration::from_millis(50)))
            .unwrap();
        match stream.read(&mut [0; 1]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    })
    .await;
    running.abort();
}

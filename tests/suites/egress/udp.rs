//! Datagrams.

use std::net::UdpSocket;
use std::time::Duration;

use odeon_tests::runtime::spec;

use crate::harness::{Untouched, assert_denied, load, runtime, told};

const DENIED: &str = r#"err("access-denied")"#;

fn receiver() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// Falls with the checks for `UdpBind` and `UdpSend` in `Egress::permit_socket`.
#[tokio::test]
async fn datagrams_without_a_grant_are_not_sent() {
    let listener = Untouched::new();
    let port = listener.port();
    // A TCP grant is none for UDP.
    let spec = spec().grant(&format!("tcp=127.0.0.1:{port}"));
    let records = spec.records();
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &spec).await;
    for call in [
        format!(r#"udp-send("127.0.0.1", {port}, [1])"#),
        format!(r#"udp-send-to("127.0.0.1", {port}, [1])"#),
        r#"udp-bind("127.0.0.1", 0)"#.to_owned(),
    ] {
        assert_eq!(told(&plugin, &call).await, DENIED, "{call}");
    }
    assert_denied(&records, "udp", "0.0.0.0:0");
    assert_denied(&records, "listen", "127.0.0.1:0");
    listener.assert_untouched();
}

/// Falls with the checks of the remote address in `udp::stream` and
/// `udp::send`, and behind them `UdpSend` in `Egress::permit_socket`.
#[tokio::test]
async fn a_grant_for_one_peer_is_none_for_another() {
    let (listener, granted) = (Untouched::new(), receiver());
    let port = listener.port();
    let spec = spec().grant(&format!("udp=127.0.0.1:{}", granted.local_addr().unwrap().port()));
    let records = spec.records();
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &spec).await;
    assert_eq!(
        told(&plugin, &format!(r#"udp-send("127.0.0.1", {port}, [1])"#)).await,
        DENIED
    );
    assert_eq!(
        told(&plugin, &format!(r#"udp-send-to("127.0.0.1", {port}, [1])"#)).await,
        DENIED
    );
    assert_denied(&records, "udp", &format!("127.0.0.1:{port}"));
    listener.assert_untouched();
}

#[tokio::test]
async fn a_granted_peer_is_sent_to_either_way() {
    let receiver = receiver();
    let port = receiver.local_addr().unwrap().port();
    let spec = spec().grant(&format!("udp=127.0.0.1:{port}"));
    let records = spec.records();
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &spec).await;
    let mut buffer = [0; 16];
    for (call, expected) in [("udp-send", 7), ("udp-send-to", 8)] {
        let call = format!(r#"{call}("127.0.0.1", {port}, [{expected}])"#);
        assert_eq!(told(&plugin, &call).await, "ok");
        assert_eq!(receiver.recv(&mut buffer).unwrap(), 1);
        assert_eq!(buffer[0], expected);
    }
    assert_eq!(records.denials(), []);
}

/// Falls with `Egress::hears`: a rule for listening somewhere else does not
/// open the socket that a guest sends from to everybody.
#[tokio::test]
async fn a_socket_that_does_not_listen_hears_only_granted_peers() {
    let granted = receiver();
    let spec = spec()
        .grant(&format!("udp=127.0.0.1:{}", granted.local_addr().unwrap().port()))
        .grant("listen=127.0.0.1:9");
    let runtime = runtime(&[]);
    let plugin = load(&runtime, &spec).await;
    let call = format!(
        r#"udp-hear("127.0.0.1", {})"#,
        granted.local_addr().unwrap().port()
    );
    let peer = std::thread::spawn(move || {
        let (_, guest) = granted.recv_from(&mut [0; 16]).unwrap();
        // Loopback keeps the order.
        receiver().send_to(&[66], guest).unwrap();
        granted.send_to(&[7], guest).unwrap();
    });
    assert_eq!(told(&plugin, &call).await, "ok([7])");
    peer.join().unwrap();
}

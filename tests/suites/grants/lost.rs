//! Ways that are lost, where nothing but the question at the very use is in the
//! way: the same grants, taken from the plugin itself and from the one that it
//! works for.

use std::io::{self, ErrorKind, Read as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use odeon_authority::ByteSize;
use odeon_runtime::{Plugin, Runtime, RuntimeConfig, StaticResolver};
use odeon_tests::runtime::{config, runtime, spec};
use tokio::task::JoinHandle;

use crate::deputies::{for_others, other};
use crate::ground::{Peer, grants, told, with};
use crate::host::soon;
use crate::running::stopped;

/// Whose grants are taken away.
#[derive(Clone, Copy, Debug)]
enum Loser {
    /// The plugin's that uses them.
    Itself,
    /// Those of the one that it works for.
    TheOther,
}

impl Loser {
    const BOTH: [Loser; 2] = [Loser::Itself, Loser::TheOther];
}

/// A call that goes on until it is refused something.
struct Going {
    loser: Plugin,
    call: JoinHandle<String>,
}

impl Going {
    /// Calls, for another plugin with these grants if that is who loses them.
    async fn begin(plugin: &Plugin, loser: Loser, full: &[&str], call: &str) -> Self {
        match loser {
            Loser::Itself => Going {
                loser: plugin.clone(),
                call: tokio::spawn(told(plugin, call)),
            },
            Loser::TheOther => {
                let other = other("a", full).await;
                let (plugin, caller, call) = (plugin.clone(), other.clone(), call.to_owned());
                Going {
                    loser: other,
                    call: tokio::spawn(async move { for_others(&plugin, &call, &[&caller]).await }),
                }
            }
        }
    }

    /// Takes away everything but this.
    fn leave(&self, left: &[&str]) {
        self.loser.regrant(grants(left));
    }

    /// What the call came to.
    async fn ended(self) -> String {
        tokio::time::timeout(Duration::from_secs(10), self.call)
            .await
            .expect("it ends long before its deadline")
            .unwrap()
    }
}

/// A runtime in which two names lead to this machine.
fn with_two_names() -> Runtime {
    let here = vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
    let table = ["one.test", "two.test"].map(|name| (name.to_owned(), here.clone()));
    Runtime::new(RuntimeConfig {
        resolver: Arc::new(StaticResolver::new(table)),
        ..config()
    })
    .unwrap()
}

/// WASI's own sockets ask about the address of each datagram as well, and take any
/// name that leads there. Enforced by `HostOutgoingDatagramStream::send`, and of WASI
/// 0.3 by `HostUdpSocketWithStore::send`.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_was_found_by_a_name_is_lost_with_the_rule_for_that_name() {
    for guest in ["guest-egress", "guest-concurrent"] {
        for loser in Loser::BOTH {
            let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            peer.set_nonblocking(true).unwrap();
            let port = peer.local_addr().unwrap().port();
            let rule = |name: &str| format!("udp={name}.test:{port},private");
            let (one, two) = (rule("one"), rule("two"));
            let spec = with(spec().resident(), &[&one, &two]);
            let runtime = with_two_names();
            let plugin = spec.load(&runtime, guest).await;
            for name in ["one", "two"] {
                let found = told(&plugin, &format!("sockets.resolve(\"{name}.test\")")).await;
                assert_eq!(found, "ok([\"127.0.0.1\"])", "{guest}");
            }
            let call = format!("sockets.udp-send-until-refused(\"127.0.0.1\", {port})");
            let going = Going::begin(&plugin, loser, &[&one, &two], &call).await;
            soon("it sends", || peer.recv(&mut [0; 8]).is_ok()).await;
            going.leave(&[&two]);
            let (done, error) = stopped(&going.ended().await);
            assert!(done > 0, "{guest}, {loser:?}");
            assert_eq!(error, "access-denied", "{guest}, {loser:?}");
            let reasons = spec.records().reasons();
            assert!(
                reasons[0].contains("a rule that is not there now"),
                "{guest}, {loser:?}: {reasons:?}"
            );
        }
    }
}

/// While a guest does not read a response that has begun, nothing is read of its
/// connection, and nobody is there to be woken. Enforced by `Metered::poll_write`,
/// which asks its `Route` each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_answered_before_its_end_loses_its_connection_too() {
    for loser in Loser::BOTH {
        let peer = Peer::that_begins_to_answer();
        let rule = format!("http=127.0.0.1:{}", peer.port());
        let spec = with(spec(), &[&rule])
            // No other end is near.
            .limits(|limits| limits.egress_bytes = ByteSize::gib(1_000));
        let plugin = spec.load(&runtime(), "guest-egress").await;
        let call = format!("web.upload-forever(\"127.0.0.1:{}\", \"/\", 4096)", peer.port());
        let going = Going::begin(&plugin, loser, &[&rule], &call).await;
        // The answer was sent long before.
        soon("it sends", || peer.bytes() > 2 << 20).await;
        going.leave(&[]);
        let (done, error) = stopped(&going.ended().await);
        assert!(done > 0 && !error.is_empty(), "{loser:?}: {done} {error}");
        soon("the peer hears of it", || peer.closed() == 1).await;
        let reasons = spec.records().reasons();
        assert_eq!(reasons.len(), 1, "{loser:?}: it is said once: {reasons:?}");
        assert!(
            reasons[0].contains("a rule that is not there now"),
            "{loser:?}: {reasons:?}"
        );
    }
}

/// WASI's own sockets ask only whether the guest may listen at all. Enforced by
/// `accept` of `sockets/tcp.rs`, and of WASI 0.3 by `Doorkeeper::poll_consume`.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_is_turned_away_also_when_the_guest_may_listen_elsewhere() {
    const ELSEWHERE: &str = "listen=127.0.0.1:9";
    for (guest, function) in [
        ("guest-egress", "accept-forever"),
        ("guest-concurrent", "tcp-accept-forever"),
    ] {
        for loser in Loser::BOTH {
            let port = {
                let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                free.local_addr().unwrap().port()
            };
            let here = format!("listen=127.0.0.1:{port}");
            let plugin = with(spec(), &[&here, ELSEWHERE]).load(&runtime(), guest).await;
            let call = format!("sockets.{function}(\"127.0.0.1\", {port})");
            let going = Going::begin(&plugin, loser, &[&here, ELSEWHERE], &call).await;
            let come = || TcpStream::connect((Ipv4Addr::LOCALHOST, port));
            soon("it listens", || come().is_ok()).await;
            going.leave(&[ELSEWHERE]);
            assert!(is_turned_away(come()), "{guest}, {loser:?}");
            going.call.abort();
        }
    }
}

/// Whether nobody takes this connection, or whoever takes it closes it at once.
fn is_turned_away(come: io::Result<TcpStream>) -> bool {
    let Ok(mut stream) = come else { return true };
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    match stream.read(&mut [0; 1]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

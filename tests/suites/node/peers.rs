//! Peers that vanish, flood, stall or send junk harm nobody but themselves.

use std::time::{Duration, Instant};

use odeon::daemon::Daemon;
use odeon::{Code, Host};
use odeon_protocol::{Envelope, MessageKind, Serial};
use odeon_tests::stall::Stalls;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::host::{at, daemon, load, soon, state};
use crate::peer::{Peer, two};

async fn served() -> (TempDir, Host, Daemon) {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-echo", "echo").await;
    load(&host, "guest-spin", "spin").await;
    let daemon = daemon(&host).await;
    (folder, host, daemon)
}

/// Somebody else is served as if nothing were.
pub(crate) async fn all_is_well(daemon: &Daemon) {
    let reply = Peer::greeted(daemon.socket())
        .await
        .call("echo/add", &two(1, 2))
        .await;
    assert_eq!(reply.body, 3_u32.to_le_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn junk_gets_one_fault_and_the_end() {
    let (_folder, _host, daemon) = served().await;
    let payloads: [&[u8]; 4] = [
        b"\xff\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
        &[0; 64],
        b"\xa1\x00\x02",
    ];
    for payload in payloads {
        let mut peer = Peer::greeted(daemon.socket()).await;
        peer.send_payload(payload).await;
        let fault = peer.next().await.expect("a fault").fault.unwrap();
        assert_eq!(fault.code, Code::ProtocolViolation);
        assert!(peer.next().await.is_none());
    }
    // A length that nobody could mean.
    let mut peer = Peer::silent(daemon.socket()).await;
    peer.stream.write_all(&[0xff; 8]).await.unwrap();
    assert!(peer.next().await.expect("a fault").fault.is_some());
    assert!(peer.next().await.is_none());
    all_is_well(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_before_the_hello_and_a_second_hello_are_refused() {
    let (_folder, _host, daemon) = served().await;
    let mut peer = Peer::silent(daemon.socket()).await;
    peer.begin("echo/add", &two(1, 2)).await;
    assert_eq!(
        peer.next().await.unwrap().fault.unwrap().code,
        Code::ProtocolViolation
    );
    assert!(peer.next().await.is_none());

    let mut peer = Peer::greeted(daemon.socket()).await;
    peer.send(&Envelope::new(MessageKind::Reply, Serial::new())).await;
    assert_eq!(
        peer.next().await.unwrap().fault.unwrap().code,
        Code::ProtocolViolation
    );
}

/// The socket's mode keeps strangers out already; somebody has opened it here.
/// Only root can be somebody else; for everybody else, `cargo xtask test` leaves
/// this out and says so. Enforced by `connection::stranger`.
#[tokio::test(flavor = "multi_thread")]
async fn needs_root_a_peer_of_another_user_is_told_so_and_turned_away() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, _host, daemon) = served().await;
    let open = |path: &std::path::Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(folder.path(), 0o755);
    open(daemon.socket(), 0o666);
    let socket = daemon.socket().to_owned();
    // Of this thread alone, which ends with it.
    let connecting = std::thread::spawn(move || {
        let nobody = rustix::process::Uid::from_raw(65_534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        std::os::unix::net::UnixStream::connect(socket).unwrap()
    });
    let stream = connecting.join().unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut peer = Peer::over(tokio::net::UnixStream::from_std(stream).unwrap());
    let fault = peer.next().await.expect("a fault").fault.unwrap();
    assert_eq!(fault.code, Code::PrincipalDenied, "{fault}");
    assert!(fault.message.contains("uid 65534"), "{fault}");
    assert!(peer.next().await.is_none());
    all_is_well(&daemon).await;
}

/// Enforced by `Connection::run` (`greeting`).
#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_sent_away_in_time() {
    let (_folder, _host, daemon) = served().await;
    for said in [&[][..], &[9, 0][..]] {
        let mut peer = Peer::silent(daemon.socket()).await;
        peer.stream.write_all(said).await.unwrap();
        assert_eq!(
            peer.next().await.unwrap().fault.unwrap().code,
            Code::ProtocolViolation
        );
        assert!(peer.next().await.is_none());
    }
    all_is_well(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_vanishes_half_way_takes_along_what_he_asked_for() {
    let (_folder, host, daemon) = served().await;
    for part in [0, 1, 3, 7] {
        let mut peer = Peer::silent(daemon.socket()).await;
        peer.stream
            .write_all(&[20, 0, 0, 0, 0xa3, 1, 2][..part])
            .await
            .unwrap();
        drop(peer);
    }
    let mut peer = Peer::greeted(daemon.socket()).await;
    for method in ["spin/cpu.spin", "spin/wait.sleep-forever"] {
        peer.begin(method, &[]).await;
    }
    let spinning = || host.list().iter().map(|row| row.in_flight).sum::<u64>();
    soon("both run", || spinning() == 2).await;
    drop(peer);
    soon("both are cancelled", || {
        spinning() == 0 && host.totals().cancelled == 2
    })
    .await;
    all_is_well(&daemon).await;
}

/// Enforced by `Connection::call` (`MAX_IN_FLIGHT`).
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_so_many_calls_in_flight_and_not_one_more() {
    let (_folder, host, daemon) = served().await;
    let mut peer = Peer::greeted(daemon.socket()).await;
    let most = odeon::daemon::MAX_IN_FLIGHT;
    for _ in 0..most {
        peer.begin("spin/wait.sleep-forever", &[]).await;
    }
    // 64 of them run, the others wait in the plugin's queue.
    soon("all are taken", || {
        let totals = host.totals();
        totals.pending + totals.running == most as u64
    })
    .await;
    let one_more = peer.begin("spin/wait.sleep-forever", &[]).await;
    let reply = peer.next().await.unwrap();
    assert_eq!(
        (reply.id, reply.fault.unwrap().code),
        (one_more, Code::Overloaded)
    );
    all_is_well(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_disconnected_and_slows_nobody() {
    let (_folder, host, daemon) = served().await;
    let mut greedy = Peer::greeted(daemon.socket()).await;
    // 2 MiB each, and nobody reads them.
    for _ in 0..8 {
        greedy
            .begin("echo/make-bytes", &(2_u32 << 20).to_le_bytes())
            .await;
    }
    let stalls = Stalls::watch();
    let started = Instant::now();
    all_is_well(&daemon).await;
    let took = stalls.since(started);
    assert!(took.own() < Duration::from_secs(2), "{took:?}");
    // After the write timeout nothing of the peer is left: what it sends is not read.
    let mut chunk = Vec::new();
    let gone = tokio::time::timeout(Duration::from_secs(10), async {
        while greedy.stream.write_all(&[1, 0, 0, 0, 0]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::io::AsyncReadExt::read_to_end(&mut greedy.stream, &mut chunk).await
    });
    assert!(gone.await.is_ok(), "the daemon let go");
    soon("nothing is in flight", || host.totals().running == 0).await;
}

/// Enforced by the places of `daemon::serve` (`MAX_CONNECTIONS`).
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_connections_leaves_room_for_the_next() {
    let (_folder, _host, daemon) = served().await;
    for _ in 0..1000 {
        drop(Peer::silent(daemon.socket()).await);
    }
    all_is_well(&daemon).await;
}

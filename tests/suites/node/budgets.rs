//! What one peer can make the host hold, and for how long: bytes, places, turns.
#![expect(clippy::disallowed_methods, reason = "a test waits for its own tasks")]

use std::time::Duration;

use odeon::daemon::{DaemonConfig, MAX_CONNECTIONS, MAX_OPERATORS, serve};
use odeon::{Args, CallRequest, Code, LimitsPatch, LoadRequest, Outcome, RequestLimits};
use odeon_authority::ByteSize;
use odeon_protocol::{AdminRequest, MAX_USER_DATA, MessageKind, PluginRow, StatusReport, max_frame};
use odeon_tests::guests;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::host::{at, builder, config, fault, load, soon, state};
use crate::peer::{Peer, two};
use crate::peers::all_is_well;

const MIB: usize = 1 << 20;

/// Patient enough that nothing but what is tested ends a connection.
fn patient() -> DaemonConfig {
    DaemonConfig {
        handshake: Duration::from_secs(60),
        write_timeout: Duration::from_secs(60),
        ..config()
    }
}

fn held_up_to(max_bytes_total: usize) -> RequestLimits {
    RequestLimits {
        max_bytes_total,
        ..RequestLimits::default()
    }
}

/// Enforced by `Desk::takes`.
#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_peer_that_does_not_read_wait_unmade() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-echo", "echo").await;
    let daemon = serve(host.clone(), patient()).await.unwrap();
    let mut greedy = Peer::greeted(daemon.socket()).await;
    // Fewer than may be in flight, so that none is refused for that.
    let ids = greedy
        .flood("echo/make-bytes", &(64_u32 << 10).to_le_bytes(), 250)
        .await;
    soon("it has begun", || host.totals().succeeded > 0).await;
    for _ in 0..20 {
        let reply = Peer::greeted(daemon.socket())
            .await
            .call("echo/add", &two(1, 2))
            .await;
        assert_eq!(reply.body, 3_u32.to_le_bytes());
    }
    let made = host.totals().succeeded;
    assert!(made < 200, "{made} results of 64 KiB, and nobody reads them");
    let mut left: std::collections::HashSet<_> = ids.into_iter().collect();
    while !left.is_empty() {
        let reply = greedy.next().await.expect("a reply");
        assert!(reply.fault.is_none(), "{reply:?}");
        assert!(left.remove(&reply.id), "one reply each");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_nobody_fetches_have_a_budget() {
    let host = builder().request_limits(held_up_to(MIB)).start().unwrap();
    load(&host, "guest-echo", "echo").await;
    let mut watchers: Vec<_> = (0..3)
        .map(|_| {
            let call = CallRequest::new("echo/make-bytes", Args::Wave("614400"));
            host.request(call).unwrap().1
        })
        .collect();
    soon("all have ended", || {
        let totals = host.totals();
        totals.succeeded + totals.failed == 3
    })
    .await;
    assert_eq!(host.totals().succeeded, 1, "two would be more than a MiB");
    for watcher in &mut watchers {
        if let Some(Outcome::Failed { fault, .. }) = watcher.outcome().await {
            assert_eq!(fault.code, Code::ResultTooLarge);
            assert!(fault.message.contains("was executed"), "{fault}");
        }
    }
    let call = CallRequest::new("echo/make-bytes", Args::Wave("614400"));
    let (_, mut watcher) = host.request(call).unwrap();
    assert!(matches!(watcher.outcome().await, Some(Outcome::Succeeded(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_have_the_same_budget_and_small_calls_are_taken_beyond_it() {
    let host = builder().request_limits(held_up_to(MIB)).start().unwrap();
    load(&host, "guest-echo", "echo").await;
    let long = u32::try_from(2 * MIB).unwrap();
    let args = [&long.to_le_bytes()[..], &vec![0; 2 * MIB]].concat();
    let refused = fault(
        host.request(CallRequest::new("echo/echo.bytes", Args::Encoded(args)))
            .map(|_| ()),
    );
    assert_eq!(refused.code, Code::Overloaded);
    let (_, mut small) = host
        .request(CallRequest::new("echo/add", Args::Wave("1, 2")))
        .unwrap();
    assert!(matches!(small.outcome().await, Some(Outcome::Succeeded(_))));
}

/// Enforced by `Inbox::settle`.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_have_not_arrived_whole_count_too() {
    let folder = state();
    let host = builder()
        .state_dir(folder.path())
        .request_limits(held_up_to(MIB))
        .start()
        .unwrap();
    load(&host, "guest-echo", "echo").await;
    let daemon = serve(host, patient()).await.unwrap();
    let mut half = Peer::greeted(daemon.socket()).await;
    half.announce(8 * MIB).await;
    // The host may close while this is written.
    half.stream.write_all(&vec![0; 3 * MIB]).await.ok();
    let refused = half.next().await.expect("a fault").fault.unwrap();
    assert_eq!(refused.code, Code::Overloaded);
    assert!(half.next().await.is_none());
    all_is_well(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_holds_no_more_than_twice_what_it_leaves_to_the_others() {
    let folder = state();
    let host = builder()
        .state_dir(folder.path())
        .request_limits(held_up_to(9 * MIB))
        .start()
        .unwrap();
    load(&host, "guest-echo", "echo").await;
    let daemon = serve(host, patient()).await.unwrap();
    let mut greedy = Peer::greeted(daemon.socket()).await;
    greedy.announce(12 * MIB).await;
    greedy.stream.write_all(&vec![0; 2 * MIB]).await.unwrap();
    let long = u32::try_from(MIB / 2).unwrap();
    let args = [&long.to_le_bytes()[..], &vec![7; MIB / 2]].concat();
    let reply = Peer::greeted(daemon.socket())
        .await
        .call("echo/echo.bytes", &args)
        .await;
    assert_eq!(reply.body, args, "{:?}", reply.fault);
    // Seven of nine would leave too few, though there are as many.
    greedy.stream.write_all(&vec![0; 5 * MIB]).await.ok();
    let refused = greedy.next().await.expect("a fault").fault.unwrap();
    assert_eq!(refused.code, Code::Overloaded);
    assert!(refused.message.contains("left to others"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_hello_a_message_is_short() {
    let folder = state();
    let daemon = serve(at(folder.path()), config()).await.unwrap();
    for (length, code) in [(4096, Code::ProtocolViolation), (4097, Code::MessageTooLarge)] {
        let mut peer = Peer::silent(daemon.socket()).await;
        peer.announce(length).await;
        // The shorter one is waited for, in vain.
        assert_eq!(peer.next().await.unwrap().fault.unwrap().code, code, "{length}");
        assert!(peer.next().await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_as_long_as_the_longest_that_a_plugin_takes() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-echo", "echo").await;
    let daemon = serve(host.clone(), patient()).await.unwrap();
    let usual = max_frame(16 * MIB);
    for (length, fits) in [(usual, true), (usual + 1, false)] {
        let mut peer = Peer::greeted(daemon.socket()).await;
        assert_eq!(peer.is_taken(length).await, fits, "{length}");
    }
    let limits = LimitsPatch {
        message: Some(ByteSize::mib(17)),
        ..LimitsPatch::default()
    };
    let larger = LoadRequest::component(guests::component("guest-echo"))
        .named("larger".parse().unwrap())
        .allow_unsigned()
        .with_limits(limits);
    host.load(larger).await.unwrap();
    let mut peer = Peer::greeted(daemon.socket()).await;
    assert!(peer.is_taken(usual + 1).await);
}

/// Enforced by `Inbox::due`.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_begun_has_to_end() {
    let folder = state();
    let daemon = serve(at(folder.path()), config()).await.unwrap();
    for sent in [0, 10] {
        let mut peer = Peer::greeted(daemon.socket()).await;
        peer.announce(100).await;
        peer.stream.write_all(&vec![0; sent]).await.unwrap();
        let ended = peer.next().await.expect("a fault").fault.unwrap();
        assert_eq!(ended.code, Code::ProtocolViolation);
        assert!(peer.next().await.is_none());
    }
}

/// Else the one worker would do all of them before anything else. Enforced twice:
/// by the turn of `Desk::work_off`, and by what a call takes from the budget of
/// its task.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_peer_with_many_calls_leaves_others_their_turn() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-spin", "spin").await;
    let daemon = serve(host.clone(), patient()).await.unwrap();
    let mut busy = Peer::greeted(daemon.socket()).await;
    let seen = host.clone();
    // Has its turns on the same worker, from before the first call.
    let other = tokio::spawn(async move {
        while seen.totals().succeeded == 0 {
            tokio::task::yield_now().await;
        }
        seen.totals().succeeded
    });
    busy.flood("spin/memory.use-bytes", &100_000_u32.to_le_bytes(), 250)
        .await;
    let others = other.await.unwrap();
    assert!(
        others < 125,
        "{others} of 250 calls were made before anybody else had a turn"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_when_every_place_is_taken_is_told_and_operators_have_places_of_their_own() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-echo", "echo").await;
    let daemon = serve(host, patient()).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        held.push(Peer::greeted(daemon.socket()).await);
    }
    let mut caller = Peer::greeted(daemon.socket()).await;
    caller.begin("echo/add", &two(1, 2)).await;
    assert_eq!(caller.next().await.unwrap().fault.unwrap().code, Code::Overloaded);
    assert!(caller.next().await.is_none());

    let mut operators = Vec::new();
    while operators.len() < MAX_OPERATORS {
        let mut operator = Peer::silent(daemon.socket()).await;
        // The caller's place may take a moment to be free again.
        if operator.greets().await {
            let status: StatusReport = operator.admin(&AdminRequest::Status {}).await.unwrap();
            assert_eq!(status.pid, std::process::id());
            operators.push(operator);
        }
    }
    let mut one_more = Peer::silent(daemon.socket()).await;
    let told = one_more.next().await.expect("it is told").fault.unwrap();
    assert_eq!(told.code, Code::Overloaded);
    assert!(told.message.contains(&MAX_CONNECTIONS.to_string()), "{told}");
    assert!(one_more.next().await.is_none());

    drop(held.pop());
    let served = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let mut next = Peer::silent(daemon.socket()).await;
            if next.greets().await {
                return next.call("echo/add", &two(1, 2)).await;
            }
        }
    });
    assert_eq!(served.await.expect("a place is free").body, 3_u32.to_le_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_nothing_for_long_is_disconnected_and_who_waits_is_not() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-spin", "spin").await;
    let impatient = DaemonConfig {
        idle: Duration::from_secs(1),
        ..patient()
    };
    let daemon = serve(host, impatient).await.unwrap();
    let mut waits = Peer::greeted(daemon.socket()).await;
    let id = waits.begin("spin/wait.sleep", &2500_u32.to_le_bytes()).await;
    let mut idle = Peer::greeted(daemon.socket()).await;
    assert!(idle.next().await.is_none());
    let reply = waits.next().await.expect("its reply");
    assert_eq!((reply.id, reply.fault), (id, None));
    assert!(waits.next().await.is_none(), "now it wants nothing either");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_a_little_now_and_then_is_disconnected_too() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-echo", "echo").await;
    let daemon = serve(host, config()).await.unwrap();
    let mut slow = Peer::greeted(daemon.socket()).await;
    slow.flood("echo/make-bytes", &(2_u32 << 20).to_le_bytes(), 8)
        .await;
    let mut little = vec![0; 1024];
    let gone = tokio::time::timeout(Duration::from_secs(10), async {
        // What is sent is not read, but can be as long as somebody is there.
        while slow.stream.write_all(&[1]).await.is_ok() {
            slow.stream.read_exact(&mut little).await.ok();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(gone.await.is_ok(), "20 KB a second is as good as nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn times_without_an_end_are_taken() {
    let folder = state();
    let endless = DaemonConfig {
        handshake: Duration::MAX,
        write_timeout: Duration::MAX,
        idle: Duration::MAX,
        drain: Duration::MAX,
        ..config()
    };
    let daemon = serve(at(folder.path()), endless).await.unwrap();
    let mut peer = Peer::greeted(daemon.socket()).await;
    let list: Vec<PluginRow> = peer.admin(&AdminRequest::List {}).await.unwrap();
    assert!(list.is_empty());
    daemon.stop(None);
    daemon.stopped().await.unwrap();
}

/// One request is at fault, not the connection.
#[tokio::test(flavor = "multi_thread")]
async fn user_data_that_is_no_json_ends_its_own_request_alone() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-spin", "spin").await;
    let daemon = serve(host, patient()).await.unwrap();
    let mut peer = Peer::greeted(daemon.socket()).await;
    let other = peer.begin("spin/wait.sleep", &3000_u32.to_le_bytes()).await;
    let too_long = format!("\"{}\"", "x".repeat(MAX_USER_DATA - 2));
    for (data, code) in [("{", Some(Code::InvalidArguments)), (&too_long, None)] {
        let id = peer
            .begin_with("spin/wait.sleep", &0_u32.to_le_bytes(), data)
            .await;
        let reply = peer.next().await.unwrap();
        assert_eq!((reply.id, reply.kind), (id, MessageKind::Reply));
        assert_eq!(reply.fault.map(|fault| fault.code), code);
    }
    let reply = peer.next().await.unwrap();
    assert_eq!((reply.id, reply.fault), (other, None));
}

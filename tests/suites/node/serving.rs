//! A daemon and its operators: calls over the socket, administration, the stop.
#![expect(clippy::disallowed_methods, reason = "a test waits for its own task")]

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use odeon::Code;
use odeon::daemon::serve;
use odeon_protocol::{
    AdminReply, AdminRequest, CancelReply, DescribeReply, Envelope, Load, LoadReply, LogLine, MessageKind,
    MethodRow, PluginRow, Serial, StatusReport, UnloadReply,
};
use odeon_tests::guests;

use crate::host::{at, audit, config, daemon, ephemeral, fault, load, soon, state};
use crate::peer::{Peer, two};

fn load_of(guest: &str, name: &str) -> AdminRequest {
    AdminRequest::Load(Load {
        path: guests::component(guest)
            .canonicalize()
            .unwrap()
            .display()
            .to_string(),
        name: Some(name.parse().unwrap()),
        allow_unsigned: true,
        allow_downgrade: false,
        transient: false,
        grants: Vec::new(),
        limits: [
            ("memory".to_owned(), "32MiB".to_owned()),
            ("handles".to_owned(), "10".to_owned()),
        ]
        .into(),
        links: Default::default(),
        http: None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_loads_looks_calls_and_unloads_over_the_socket() {
    let folder = state();
    let host = at(folder.path());
    let daemon = daemon(&host).await;
    let mut peer = Peer::greeted(daemon.socket()).await;

    let loaded: LoadReply = peer.admin(&load_of("guest-echo", "echo")).await.unwrap();
    assert_eq!(loaded.plugin.name.as_str(), "echo");
    assert!(loaded.plugin.transient);
    let name = loaded.plugin.name;
    let list: Vec<PluginRow> = peer.admin(&AdminRequest::List {}).await.unwrap();
    assert_eq!(list.len(), 1);
    let methods: Vec<MethodRow> = peer
        .admin(&AdminRequest::Methods { name: name.clone() })
        .await
        .unwrap();
    assert!(methods.iter().any(|method| method.path == "echo/add"));
    let described: DescribeReply = peer
        .admin(&AdminRequest::Describe {
            name: name.clone(),
            wit: true,
        })
        .await
        .unwrap();
    assert_eq!(described.limits["memory"], "32MiB");
    assert_eq!(described.limits["handles"], "10");
    assert!(described.wit.unwrap().contains("echo"));

    let reply = peer.call("echo/add", &two(40, 2)).await;
    assert_eq!(
        (reply.body, reply.generation.unwrap().0),
        (42_u32.to_le_bytes().to_vec(), 1)
    );

    let status: StatusReport = peer.admin(&AdminRequest::Status {}).await.unwrap();
    assert_eq!((status.pid, status.requests.succeeded), (std::process::id(), 1));
    assert_eq!(status.socket, daemon.socket().display().to_string());

    let gone: UnloadReply = peer
        .admin(&AdminRequest::Unload {
            name: name.clone(),
            now: false,
            drain_ms: None,
        })
        .await
        .unwrap();
    assert_eq!(gone.interrupted, 0);
    assert_eq!(
        peer.call("echo/add", &two(1, 1)).await.fault.unwrap().code,
        Code::PluginNotFound
    );
    let again = peer
        .admin::<UnloadReply>(&AdminRequest::Unload {
            name,
            now: true,
            drain_ms: None,
        })
        .await;
    assert_eq!(fault(again).code, Code::PluginNotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_come_in_order_with_what_the_caller_attached() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-echo", "echo").await;
    let daemon = daemon(&host).await;
    let mut peer = Peer::greeted(daemon.socket()).await;
    let args = two(1, 2);
    let mut call = Envelope::new(MessageKind::Call, Serial::new());
    call.target = Some("echo/add");
    call.body = &args;
    call.user_data = Some("{\"a\":1}");
    call.statuses = true;
    peer.send(&call).await;
    for kind in [MessageKind::Accepted, MessageKind::Started, MessageKind::Reply] {
        let seen = peer.next().await.unwrap();
        assert_eq!(
            (seen.id, seen.kind, seen.user_data.as_deref()),
            (call.id, kind, Some("{\"a\":1}"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_cancelled_from_its_own_and_from_another_connection() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-spin", "spin").await;
    let daemon = daemon(&host).await;
    let mut caller = Peer::greeted(daemon.socket()).await;
    let mut operator = Peer::greeted(daemon.socket()).await;

    let id = caller.begin("spin/cpu.spin", &[]).await;
    soon("it runs", || host.list()[0].in_flight == 1).await;
    caller.send(&Envelope::new(MessageKind::Cancel, id)).await;
    let ended = caller.next().await.unwrap().fault.unwrap();
    assert_eq!(
        (ended.code, &ended.details.unwrap()["reason"]),
        (Code::Cancelled, &"caller".into())
    );

    // Somebody who is not its caller, however he asks.
    let id = caller.begin("spin/wait.sleep-forever", &[]).await;
    soon("it runs", || host.list()[0].in_flight == 1).await;
    operator.send(&Envelope::new(MessageKind::Cancel, id)).await;
    let ended = caller.next().await.unwrap().fault.unwrap();
    assert_eq!(
        (ended.code, &ended.details.unwrap()["reason"]),
        (Code::Cancelled, &"operator".into())
    );

    let id = caller.begin("spin/wait.sleep-forever", &[]).await;
    soon("it runs", || host.list()[0].in_flight == 1).await;
    let cancelled: CancelReply = operator
        .admin(&AdminRequest::Cancel { serial: id })
        .await
        .unwrap();
    assert_eq!(cancelled, CancelReply::Signalled);
    assert_eq!(caller.next().await.unwrap().fault.unwrap().code, Code::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_call_is_answered_while_a_long_one_of_the_same_peer_runs() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-spin", "spin").await;
    load(&host, "guest-echo", "echo").await;
    let daemon = daemon(&host).await;
    let mut peer = Peer::greeted(daemon.socket()).await;
    let long = peer.begin("spin/cpu.spin", &[]).await;
    let reply = peer.call("echo/add", &two(1, 2)).await;
    assert_ne!(reply.id, long);
    assert_eq!(reply.body, 3_u32.to_le_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_call_outlives_its_caller() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-spin", "spin").await;
    let daemon = daemon(&host).await;
    let mut peer = Peer::greeted(daemon.socket()).await;
    let args = 100_u32.to_le_bytes();
    let mut call = Envelope::new(MessageKind::Call, Serial::new());
    call.target = Some("spin/wait.sleep");
    call.body = &args;
    call.detached = true;
    peer.send(&call).await;
    assert_eq!(peer.next().await.unwrap().kind, MessageKind::Accepted);
    drop(peer);
    soon("it goes on to its end", || host.totals().succeeded == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_read_and_followed_until_that_is_cancelled() {
    let folder = state();
    let host = at(folder.path());
    let name = load(&host, "guest-spin", "spin").await.name;
    let daemon = daemon(&host).await;
    let mut peer = Peer::greeted(daemon.socket()).await;
    host.call(
        "spin/flood.log-lines",
        odeon::Args::Wave("3, 10"),
        Default::default(),
    )
    .await
    .unwrap();
    let body = AdminRequest::Logs {
        name: Some(name),
        follow: true,
        tail: 2,
    }
    .to_json()
    .unwrap();
    let mut ask = Envelope::new(MessageKind::Admin, Serial::new());
    ask.body = &body;
    peer.send(&ask).await;
    for _ in 0..2 {
        assert!(peer.next().await.unwrap().more);
    }
    host.call(
        "spin/flood.log-lines",
        odeon::Args::Wave("1, 10"),
        Default::default(),
    )
    .await
    .unwrap();
    let line = peer.next().await.unwrap();
    assert!(line.more);
    let line: LogLine = AdminReply::from_json(&line.body).unwrap().into_result().unwrap();
    assert_eq!(line.plugin.unwrap().as_str(), "spin");
    // A second log under the same id could not be told apart from it.
    peer.send(&ask).await;
    let refused = peer.next().await.unwrap();
    assert!(!refused.more);
    let refused = AdminReply::<()>::from_json(&refused.body).unwrap().into_result();
    assert_eq!(fault(refused).code, Code::ProtocolViolation);
    peer.send(&Envelope::new(MessageKind::Cancel, ask.id)).await;
    let last = peer.next().await.unwrap();
    assert!(!last.more);
    assert_eq!(last.body, b"{\"ok\":null}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_level_is_what_the_program_can_set() {
    let folder = state();
    let host = at(folder.path());
    let set = std::sync::Arc::new(std::sync::Mutex::new("info".to_owned()));
    let level = set.clone();
    let config = odeon::daemon::DaemonConfig {
        log_level: Some(std::sync::Arc::new(move |directive| {
            match directive {
                Some("nonsense") => return Err("expected a directive like info".to_owned()),
                Some(directive) => *level.lock().unwrap() = directive.to_owned(),
                None => {}
            }
            Ok(level.lock().unwrap().clone())
        })),
        ..config()
    };
    let daemon = serve(host, config).await.unwrap();
    let mut peer = Peer::greeted(daemon.socket()).await;
    let ask = |directive: Option<&str>| AdminRequest::LogLevel {
        directive: directive.map(str::to_owned),
    };
    let reply: odeon_protocol::LogLevelReply = peer.admin(&ask(Some("debug"))).await.unwrap();
    assert_eq!(reply.directive, "debug");
    let refused = peer
        .admin::<odeon_protocol::LogLevelReply>(&ask(Some("nonsense")))
        .await;
    assert_eq!(fault(refused).code, Code::InvalidArguments);
    let reply: odeon_protocol::LogLevelReply = peer.admin(&ask(None)).await.unwrap();
    assert_eq!(reply.directive, "debug");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_calls_end_and_says_so_in_the_audit() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-spin", "spin").await;
    let daemon = daemon(&host).await;
    let socket = daemon.socket().to_owned();
    let mut caller = Peer::greeted(&socket).await;
    let mut operator = Peer::greeted(&socket).await;
    caller.begin("spin/wait.sleep", &2000_u32.to_le_bytes()).await;
    soon("it runs", || host.list()[0].in_flight == 1).await;
    operator
        .admin::<()>(&AdminRequest::Stop { drain_ms: None })
        .await
        .unwrap();
    let reply = caller.next().await.expect("the reply before the end");
    assert!(reply.fault.is_none(), "{reply:?}");
    daemon.stopped().await.unwrap();
    assert!(caller.next().await.is_none());
    assert!(!socket.exists());
    let kinds: Vec<_> = audit(folder.path())
        .iter()
        .map(|line| line["event"]["kind"].clone())
        .collect();
    assert_eq!(kinds.last().unwrap(), "stop");
    assert!(kinds.contains(&"start".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_without_patience_still_answers_every_call() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-spin", "spin").await;
    let daemon = daemon(&host).await;
    let mut caller = Peer::greeted(daemon.socket()).await;
    for method in ["spin/cpu.spin", "spin/wait.sleep-forever"] {
        caller.begin(method, &[]).await;
    }
    soon("both run", || host.list()[0].in_flight == 2).await;
    daemon.stop(Some(Duration::ZERO));
    for _ in 0..2 {
        assert!(caller.next().await.expect("a reply").fault.is_some());
    }
    daemon.stopped().await.unwrap();
}

/// Enforced by `StateLock::wait_for`: here is one thread for everything.
#[tokio::test]
async fn whoever_waits_for_a_state_directory_holds_no_thread() {
    let folder = state();
    let held = std::fs::File::create(folder.path().join("lock")).unwrap();
    held.lock().unwrap();
    let host = at(folder.path());
    let mut turns = 0;
    let turning = async {
        loop {
            tokio::task::yield_now().await;
            turns += 1;
        }
    };
    let refused = tokio::select! {
        biased;
        served = serve(host, config()) => fault(served.map(|_| ())),
        _ = turning => unreachable!("it never ends"),
    };
    assert_eq!(refused.code, Code::WrongState);
    assert!(turns > 0, "nothing else came to run");
}

/// Enforced by `StateLock::take` and `socket::refuse_if_answered`.
#[tokio::test(flavor = "multi_thread")]
async fn one_host_holds_a_state_directory_and_one_answers_at_a_socket() {
    let (folder, elsewhere) = (state(), state());
    let first = at(folder.path());
    let daemon = daemon(&first).await;
    let second = fault(serve(at(folder.path()), config()).await.map(|_| ()));
    assert_eq!(second.code, Code::WrongState);
    assert!(
        second.message.contains(&std::process::id().to_string()),
        "{}",
        second.message
    );
    let same_socket = odeon::daemon::DaemonConfig {
        socket: Some(daemon.socket().to_owned()),
        ..config()
    };
    assert_eq!(
        fault(serve(at(elsewhere.path()), same_socket).await.map(|_| ())).code,
        Code::WrongState
    );
    assert_eq!(
        fault(serve(ephemeral(), config()).await.map(|_| ())).code,
        Code::WrongState
    );
    daemon.stop(Some(Duration::ZERO));
    daemon.stopped().await.unwrap();
    serve(at(folder.path()), config())
        .await
        .expect("the directory is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_was_left_behind_is_replaced_and_no_other_file_is() {
    let folder = state();
    let path = folder.path().join(odeon::daemon::SOCKET_NAME);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let daemon = daemon(&at(folder.path())).await;
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    Peer::greeted(daemon.socket()).await;

    let other = state();
    let path = other.path().join(odeon::daemon::SOCKET_NAME);
    std::fs::write(&path, "precious").unwrap();
    assert_eq!(
        fault(serve(at(other.path()), config()).await.map(|_| ())).code,
        Code::WrongState
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_status_dump_is_written_on_a_signal_while_every_guest_and_the_worker_are_stuck() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-spin", "spin").await;
    let daemon = serve(
        host.clone(),
        odeon::daemon::DaemonConfig {
            signals: true,
            ..config()
        },
    )
    .await
    .unwrap();
    let mut peer = Peer::greeted(daemon.socket()).await;
    for _ in 0..4 {
        peer.begin("spin/cpu.spin", &[]).await;
    }
    soon("all run", || host.list()[0].in_flight == 4).await;
    let path = folder.path().join("status-dump.json");
    // Nothing of the daemon that runs on the one worker gets a turn meanwhile.
    tokio::spawn(async move {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::USR1).unwrap();
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while !path.exists() {
            assert!(std::time::Instant::now() < until, "the dump was not written");
            std::thread::sleep(Duration::from_millis(1));
        }
        let dump: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(dump["status"]["in_flight"].as_array().unwrap().len(), 4);
        assert_eq!(dump["plugins"]["spin"]["in_flight"], 4);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    })
    .await
    .unwrap();

    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
    tokio::time::timeout(Duration::from_secs(20), daemon.stopped())
        .await
        .expect("SIGTERM stops it")
        .unwrap();
}

//! The stop of a daemon: it can be seen, hurried and waited for, and nothing is
//! done twice or after it.
#![expect(clippy::disallowed_methods, reason = "a test waits for its own tasks")]

use std::time::Duration;

use odeon::daemon::{DaemonConfig, serve};
use odeon::{
    Args, CallRequest, Code, Fault, Host, LimitsPatch, LoadRequest, Outcome, Principal, UnloadMode,
    UnloadReport,
};
use odeon_authority::TimeSpan;
use odeon_protocol::{AdminRequest, CancelReply, PluginName, PluginRow, PluginState, StatusReport};
use odeon_tests::guests;
use rustix::process::{Signal, getpid, kill_process};
use tokio::task::JoinHandle;

use crate::host::{at, audit, config, ephemeral, fault, load, outcome, soon, state};
use crate::peer::Peer;

/// A stop that waits for longer than any test does.
fn patient() -> DaemonConfig {
    DaemonConfig {
        drain: Duration::from_secs(600),
        write_timeout: Duration::from_secs(60),
        ..config()
    }
}

pub(crate) fn kinds(folder: &std::path::Path) -> Vec<String> {
    audit(folder)
        .iter()
        .map(|line| line["event"]["kind"].as_str().unwrap().to_owned())
        .collect()
}

/// A host whose only call would hold a stop for ever.
async fn held(host: &Host) -> odeon::Watcher {
    load(host, "guest-spin", "spin").await;
    let call = CallRequest::new("spin/wait.sleep-forever", Args::Wave(""));
    let watcher = host.request(call).unwrap().1;
    soon("it runs", || host.list().iter().any(|row| row.in_flight == 1)).await;
    watcher
}

fn is_stopping(host: &Host) -> bool {
    let call = CallRequest::new("spin/wait.sleep", Args::Wave("0"));
    matches!(host.request(call), Err(fault) if fault.code == Code::Draining)
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_answered_while_the_host_stops_and_can_end_what_holds_it() {
    let folder = state();
    let host = at(folder.path());
    let watcher = held(&host).await;
    let daemon = serve(host.clone(), patient()).await.unwrap();
    daemon.stop(None);
    soon("it stops", || is_stopping(&host)).await;
    let mut operator = Peer::greeted(daemon.socket()).await;
    let status: StatusReport = operator.admin(&AdminRequest::Status {}).await.unwrap();
    assert_eq!(status.requests.running, 1);
    let rows: Vec<PluginRow> = operator.admin(&AdminRequest::List {}).await.unwrap();
    assert_eq!(rows[0].in_flight, 1);
    let refused = operator.call("spin/wait.sleep", &0_u32.to_le_bytes()).await;
    assert_eq!(refused.fault.unwrap().code, Code::Draining);
    let serial = watcher.serial();
    let cancelled: CancelReply = operator.admin(&AdminRequest::Cancel { serial }).await.unwrap();
    assert_eq!(cancelled, CancelReply::Signalled);
    tokio::time::timeout(Duration::from_secs(20), daemon.stopped())
        .await
        .expect("nothing holds it any more")
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_hurried_by_one_with_less_patience_and_not_slowed_by_one_with_more() {
    let folder = state();
    let host = at(folder.path());
    let _watcher = held(&host).await;
    let daemon = serve(host.clone(), patient()).await.unwrap();
    let mut operator = Peer::greeted(daemon.socket()).await;
    for drain_ms in [None, Some(600_000), Some(0)] {
        operator
            .admin::<()>(&AdminRequest::Stop { drain_ms })
            .await
            .unwrap();
    }
    daemon.stop(Some(Duration::from_secs(600)));
    tokio::time::timeout(Duration::from_secs(20), daemon.stopped())
        .await
        .expect("it was hurried")
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_patience_of_the_first() {
    let folder = state();
    let host = at(folder.path());
    let _watcher = held(&host).await;
    let signals = DaemonConfig {
        signals: true,
        ..patient()
    };
    let daemon = serve(host.clone(), signals).await.unwrap();
    kill_process(getpid(), Signal::TERM).unwrap();
    soon("it stops", || is_stopping(&host)).await;
    assert_eq!(host.list()[0].in_flight, 1, "what runs may go on");
    kill_process(getpid(), Signal::INT).unwrap();
    tokio::time::timeout(Duration::from_secs(20), daemon.stopped())
        .await
        .expect("the second one hurries it")
        .unwrap();
}

/// Whoever hears of the end may start the next host, whoever else does not read.
#[tokio::test(flavor = "multi_thread")]
async fn the_state_directory_is_free_before_anybody_hears_of_the_end() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-echo", "echo").await;
    let daemon = serve(host.clone(), patient()).await.unwrap();
    let mut deaf = Peer::greeted(daemon.socket()).await;
    deaf.begin("echo/make-bytes", &(4_u32 << 20).to_le_bytes()).await;
    soon("its result is there", || host.totals().succeeded == 1).await;
    let mut operator = Peer::greeted(daemon.socket()).await;
    operator
        .admin::<()>(&AdminRequest::Stop { drain_ms: Some(0) })
        .await
        .unwrap();
    assert!(operator.next().await.is_none());
    let next = serve(at(folder.path()), config()).await;
    assert!(next.is_ok(), "{:?}", next.err());
    drop(deaf);
    daemon.stopped().await.unwrap();
}

/// A plugin, `life`, whose `unload` sleeps until its deadline ends that.
async fn lingers(host: &Host, deadline: TimeSpan) -> PluginName {
    let limits = LimitsPatch {
        load_deadline: Some(deadline),
        ..LimitsPatch::default()
    };
    let mut request = LoadRequest::component(guests::component("guest-lifecycle"))
        .named("life".parse().unwrap())
        .allow_unsigned()
        .with_limits(limits);
    request.config = [("unload".to_owned(), "sleep".to_owned())].into();
    host.load(request).await.unwrap().name
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unload_that_a_stop_overtakes_is_done_once_and_answered() {
    let host = ephemeral();
    let name = lingers(&host, TimeSpan::secs(3)).await;
    let unloading = tokio::spawn({
        let host = host.clone();
        async move { host.unload(&name, UnloadMode::Now, host.principal()).await }
    });
    let instances = || host.list().first().map_or(0, |row| row.instances);
    soon("its `unload` runs", || instances() == 1).await;
    let stopping = host.shutdown(Duration::ZERO);
    tokio::pin!(stopping);
    let mut most = 0;
    while tokio::time::timeout(Duration::from_millis(1), &mut stopping)
        .await
        .is_err()
    {
        most = most.max(instances());
    }
    assert_eq!(
        most, 1,
        "another would be a second `unload` of the same generation"
    );
    assert!(unloading.await.unwrap().is_ok_and(|report| report.hook.is_some()));
    assert!(host.list().is_empty());
}

/// The one that drains for a call is hurried by the stop that does not.
#[tokio::test(flavor = "multi_thread")]
async fn an_unload_that_waits_for_calls_does_not_hold_a_stop() {
    let host = ephemeral();
    let _watcher = held(&host).await;
    let unloading = drains(&host).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), host.shutdown(Duration::from_millis(20)));
    ended.await.expect("the stop does not wait for it");
    assert!(unloading.await.unwrap().is_ok());
}

type Unloading = JoinHandle<Result<UnloadReport, Fault>>;

/// An unload that waits for a call for longer than any test does.
async fn drains(host: &Host) -> Unloading {
    let unloading = tokio::spawn({
        let host = host.clone();
        let mode = UnloadMode::Drain(Duration::from_secs(600));
        async move {
            host.unload(&"spin".parse().unwrap(), mode, host.principal())
                .await
        }
    });
    soon("it drains", || host.list()[0].state == PluginState::Draining).await;
    unloading
}

/// An unload by somebody else, at once.
fn hurries(host: &Host, name: &str) -> Unloading {
    let name: PluginName = name.parse().unwrap();
    let host = host.clone();
    let other = Principal::LocalUser { uid: 4242 };
    tokio::spawn(async move { host.unload(&name, UnloadMode::Now, &other).await })
}

/// What an unload is answered, which it is.
async fn answer(unloading: Unloading) -> Result<UnloadReport, Fault> {
    let answered = tokio::time::timeout(Duration::from_secs(20), unloading);
    answered.await.expect("it is answered").unwrap()
}

/// Enforced by `Host::hurry`.
#[tokio::test(flavor = "multi_thread")]
async fn an_unload_that_waits_is_hurried_by_another_who_is_on_record() {
    let folder = state();
    let host = at(folder.path());
    let mut watcher = held(&host).await;
    let unloading = drains(&host).await;
    let soft = UnloadMode::Drain(Duration::ZERO);
    let refused = host
        .unload(&"spin".parse().unwrap(), soft, host.principal())
        .await;
    assert_eq!(fault(refused).code, Code::Draining, "only one that says now");
    let second = answer(hurries(&host, "spin")).await.unwrap();
    let first = answer(unloading).await.unwrap();
    assert_eq!(first.name, second.name);
    assert_eq!(first.generation, second.generation);
    assert_eq!(second.interrupted, 1);
    match outcome(&mut watcher).await {
        Outcome::Cancelled(ended) => assert_eq!(ended.code, Code::Unloaded),
        other => panic!("{other:?}"),
    }
    assert!(host.list().is_empty());
    let lines = audit(folder.path());
    let at = |kind: &str| {
        let found = lines.iter().position(|line| line["event"]["kind"] == kind);
        found.unwrap_or_else(|| panic!("no line of {kind} in {lines:?}"))
    };
    assert!(at("hurry") < at("unload"), "{lines:?}");
    assert_eq!(lines[at("hurry")]["event"]["name"], "spin");
    assert_eq!(lines[at("hurry")]["event"]["principal"], "user:4242");
    assert_eq!(lines[at("unload")]["event"]["principal"], "embedder");
    load(&host, "guest-echo", "spin").await;
}

/// The plugin goes all the same, and nobody is told that all is well.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_hurries_an_unload_hears_that_it_is_not_on_record() {
    let folder = state();
    let host = at(folder.path());
    // Time to break the audit before its line.
    lingers(&host, TimeSpan::secs(2)).await;
    let first = hurries(&host, "life");
    soon("its `unload` runs", || {
        host.list().first().is_some_and(|row| row.instances == 1)
    })
    .await;
    let second = hurries(&host, "life");
    soon("the second is on record", || {
        kinds(folder.path()).contains(&"hurry".to_owned())
    })
    .await;
    std::fs::write(folder.path().join("audit.head"), "nonsense").unwrap();
    for unloading in [first, second] {
        assert_eq!(fault(answer(unloading).await).code, Code::AuditUnwritable);
    }
    assert!(host.list().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_under_way_ends_when_the_host_stops() {
    let folder = state();
    let host = at(folder.path());
    let mut request = LoadRequest::component(guests::component("guest-lifecycle"))
        .named("life".parse().unwrap())
        .allow_unsigned();
    request.config = [("load".to_owned(), "sleep".to_owned())].into();
    let loading = tokio::spawn({
        let host = host.clone();
        async move { host.load(request).await }
    });
    soon("it is decided upon", || {
        kinds(folder.path()).contains(&"decision".to_owned())
    })
    .await;
    host.shutdown(Duration::ZERO).await;
    assert_eq!(fault(loading.await.unwrap()).code, Code::Draining);
    assert!(host.list().is_empty());
    assert!(!kinds(folder.path()).contains(&"load".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_after_the_start_is_an_end_in_the_audit_too() {
    let folder = state();
    let nowhere = DaemonConfig {
        plugins: Some(folder.path().join("nowhere")),
        ..config()
    };
    let failed = fault(serve(at(folder.path()), nowhere).await.map(|_| ()));
    assert_eq!(failed.code, Code::FileUnreadable);
    let kinds = kinds(folder.path());
    assert!(kinds.contains(&"start".to_owned()));
    assert_eq!(kinds.last().unwrap(), "stop");
    serve(at(folder.path()), config())
        .await
        .expect("the directory is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_a_host_twice_does_nothing() {
    let host = ephemeral();
    host.shutdown(Duration::ZERO).await;
    host.shutdown(Duration::MAX).await;
}

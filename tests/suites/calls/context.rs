//! What a guest is told about the request, and what it may ask the host for.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use odeon_authority::Principal;
use odeon_protocol::Serial;
use odeon_runtime::{CallContext, PROGRESS_DETAILS, Progress};
use odeon_tests::records::Denied;
use odeon_tests::runtime::{call, call_blocking, call_with, hits, runtime, spec};

#[tokio::test]
async fn a_guest_sees_the_request_it_serves() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-forger").await;
    let serial = Serial::new();
    let context = CallContext {
        serial: Some(serial),
        callers: Arc::from([Principal::LocalUser { uid: 7 }, Principal::Embedder]),
        user_data: Some("{\"ticket\":12}".into()),
        ..CallContext::default()
    };
    let facts = call_with(&plugin, "identity.facts", context).await.unwrap();
    assert!(facts.contains(&format!("serial: \"{serial}\"")), "{facts}");
    assert!(facts.contains(r#"callers: ["user:7", "embedder"]"#), "{facts}");
    assert!(facts.contains(r#"user-data: some("{\"ticket\":12}")"#), "{facts}");
    assert!(facts.contains("cancelled: false"), "{facts}");
}

/// Identity comes from the call, never from what a former call said.
#[tokio::test]
async fn a_resident_guest_sees_only_the_request_of_this_call() {
    let runtime = runtime();
    let plugin = spec().resident().load(&runtime, "guest-forger").await;
    let context = CallContext {
        callers: Arc::from([Principal::LocalUser { uid: 0 }]),
        user_data: Some("\"secret\"".into()),
        ..CallContext::default()
    };
    let first = call_with(&plugin, "identity.facts", context).await.unwrap();
    assert!(first.contains("user:0"), "{first}");
    let second = call(&plugin, "identity.facts").await.unwrap();
    assert!(
        second.contains("callers: []") && !second.contains("secret"),
        "{second}"
    );
    let serial = |facts: &str| facts.split('"').nth(1).map(str::to_owned);
    assert_ne!(serial(&first), serial(&second));
    // The same within one call.
    assert!(
        call(&plugin, "identity.facts-again(50)")
            .await
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 0
    );
}

/// What a guest is told lies between what was left when the test began and what
/// was left when the answer was there, however long the machine took for that.
/// The clock that it goes by may be late by as much as has passed since the
/// runtime started, and by no more: so that is where the measuring begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_the_time_left_is_the_nearer_of_both_deadlines() {
    // So far apart that neither can be taken for the other.
    const OWN: Duration = Duration::from_secs(60);
    const WAITED: Duration = Duration::from_secs(20);
    /// The clock counts whole milliseconds.
    const TICK: Duration = Duration::from_millis(2);
    let began = Instant::now();
    let runtime = runtime();
    let plugin = spec().deadline(OWN).load(&runtime, "guest-forger").await;
    let left = |facts: &str| {
        let (_, after) = facts.split_once("time-left: ").expect("the field");
        Duration::from_nanos(after.split([',', '}']).next().unwrap().trim().parse().unwrap())
    };
    let own = left(&call(&plugin, "identity.facts").await.unwrap());
    let passed = began.elapsed();
    assert!(
        own <= OWN && own + passed + TICK >= OWN,
        "{own:?} when {passed:?} had passed"
    );
    let asked = Instant::now();
    let wait_until = Some(asked + WAITED);
    let context = CallContext {
        wait_until,
        ..CallContext::default()
    };
    let waited = left(&call_with(&plugin, "identity.facts", context).await.unwrap());
    let (passed, late) = (asked.elapsed(), began.elapsed());
    assert!(
        waited <= WAITED + late + TICK && waited + passed + TICK >= WAITED,
        "{waited:?} when {passed:?} had passed"
    );
}

fn progress() -> (CallContext, Arc<Mutex<Vec<Progress>>>) {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let kept = reports.clone();
    let sink: odeon_runtime::ProgressSink = Arc::new(move |report| kept.lock().unwrap().push(report));
    (
        CallContext {
            progress: Some(sink),
            ..CallContext::default()
        },
        reports,
    )
}

/// The allowance of reports is enforced in `interfaces::request::report_progress`.
#[tokio::test]
async fn progress_is_passed_on_in_order_up_to_its_limit() {
    let runtime = runtime();
    let plugin = spec()
        .limits(|limits| limits.progress_reports = 5)
        .load(&runtime, "guest-forger")
        .await;
    let (context, reports) = progress();
    assert_eq!(
        call_with(&plugin, "conduct.report(5, 3)", context).await.unwrap(),
        "(5, none)"
    );
    let done: Vec<_> = reports
        .lock()
        .unwrap()
        .iter()
        .map(|report| report.completed)
        .collect();
    assert_eq!(done, [0, 1, 2, 3, 4]);
    assert_eq!(reports.lock().unwrap()[0].details, "ddd");

    let (context, reports) = progress();
    assert_eq!(
        call_with(&plugin, "conduct.report(6, 0)", context).await.unwrap(),
        "(5, some(\"too-many(5)\"))"
    );
    assert_eq!(reports.lock().unwrap().len(), 5);
    assert_eq!(hits(&plugin, "progress-reports"), 1);
}

#[tokio::test]
async fn details_of_progress_have_a_length_limit() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-forger").await;
    let fits = format!("conduct.report(1, {PROGRESS_DETAILS})");
    assert_eq!(call(&plugin, &fits).await.unwrap(), "(1, none)");
    let too_long = format!("conduct.report(1, {})", PROGRESS_DETAILS + 1);
    let refused = format!("(0, some(\"too-large({PROGRESS_DETAILS})\"))");
    assert_eq!(call(&plugin, &too_long).await.unwrap(), refused);
}

/// Numbers that make no sense are the caller's to judge; nothing breaks.
#[tokio::test]
async fn nonsense_progress_harms_nobody() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-forger").await;
    let (context, reports) = progress();
    assert_eq!(
        call_with(&plugin, "conduct.report-nonsense", context)
            .await
            .unwrap(),
        "(4, none)"
    );
    assert_eq!(reports.lock().unwrap()[0].completed, u64::MAX);
}

#[tokio::test]
async fn configuration_is_what_the_operator_said() {
    let runtime = runtime();
    let plugin = spec()
        .config("colour", "blue")
        .load(&runtime, "guest-forger")
        .await;
    assert_eq!(
        call(&plugin, "theft.config(\"colour\")").await.unwrap(),
        "ok(some(\"blue\"))"
    );
    assert_eq!(call(&plugin, "theft.config(\"PATH\")").await.unwrap(), "ok(none)");
    assert_eq!(
        call(&plugin, "theft.config-all").await.unwrap(),
        "ok([(\"colour\", \"blue\")])"
    );
    assert_eq!(
        call(&plugin, "theft.huge-key(1000000)").await.unwrap(),
        "ok(none)"
    );
}

/// Enforced by `HostState::secret_granted`.
#[tokio::test]
async fn a_secret_without_a_grant_is_denied_and_on_record() {
    let runtime = runtime();
    let spec = spec();
    let records = spec.records();
    records.keep_secret("token", b"hunter2");
    let plugin = spec.load(&runtime, "guest-forger").await;
    assert_eq!(
        call(&plugin, "theft.secret(\"token\")").await.unwrap(),
        "err(\"denied\")"
    );
    let expected = Denied {
        plugin: "tested".into(),
        kind: "secret",
        target: "token".into(),
    };
    assert_eq!(records.denials(), [expected]);
    assert_eq!(records.revealed(), [""; 0]);
    assert_eq!(plugin.stats().denials, 1);
}

#[tokio::test]
async fn a_granted_secret_is_revealed_and_on_record() {
    let runtime = runtime();
    let spec = spec().grant("secret=token").grant("secret=absent");
    let records = spec.records();
    records.keep_secret("token", b"ab");
    records.keep_secret("other", b"no");
    let plugin = spec.load(&runtime, "guest-forger").await;
    assert_eq!(
        call(&plugin, "theft.secret(\"token\")").await.unwrap(),
        "ok([97, 98])"
    );
    assert_eq!(records.revealed(), ["token"]);
    assert_eq!(
        call(&plugin, "theft.secret(\"absent\")").await.unwrap(),
        "err(\"not-found\")"
    );
    assert_eq!(
        call(&plugin, "theft.secret(\"other\")").await.unwrap(),
        "err(\"denied\")"
    );
}

/// Enforced by `HostSecret::reveal`: first written down, then read.
#[tokio::test]
async fn a_secret_that_cannot_be_written_to_the_audit_is_not_revealed() {
    let runtime = runtime();
    let spec = spec().grant("secret=token");
    let records = spec.records();
    records.keep_secret("token", b"ab");
    let plugin = spec.load(&runtime, "guest-forger").await;
    records.break_audit();
    assert_eq!(
        call(&plugin, "theft.secret(\"token\")").await.unwrap(),
        "err(\"unavailable\")"
    );
}

/// Lines of a guest carry the serial of the request, and none of another.
#[tokio::test]
async fn log_lines_name_their_request() {
    let runtime = runtime();
    let spec = spec();
    let records = spec.records();
    let plugin = spec.load(&runtime, "guest-spin").await;
    let serial = Serial::new();
    let context = CallContext {
        serial: Some(serial),
        ..CallContext::default()
    };
    call_with(&plugin, "flood.log-lines(1, 4)", context)
        .await
        .unwrap();
    call_with(
        &plugin,
        "flood.stdout-bytes(3)",
        CallContext {
            serial: Some(serial),
            ..CallContext::default()
        },
    )
    .await
    .unwrap();
    let lines = records.lines();
    assert_eq!(
        lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(),
        ["xxxx", "xxx"]
    );
    assert!(lines.iter().all(|line| line.serial == Some(serial)), "{lines:?}");
}

/// What the host says does not depend on the thread the call came from.
#[test]
fn a_blocking_call_carries_the_same_facts() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let runtime = runtime();
    let plugin = tokio.block_on(spec().load(&runtime, "guest-forger"));
    let context = CallContext {
        user_data: Some("1".into()),
        ..CallContext::default()
    };
    let facts = call_blocking(&plugin, "identity.facts", context).unwrap();
    assert!(facts.contains("user-data: some(\"1\")"), "{facts}");
}

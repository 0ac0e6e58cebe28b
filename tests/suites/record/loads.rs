//! Loads that fail after they were let in: what is on record, and how much.

use std::path::Path;
use std::time::Duration;

use odeon::{Code, Host, LoadRequest, ReplaceRequest, Source};
use odeon_authority::{Records, Why, why};
use odeon_tests::guests;
use serde_json::Value as Json;

use crate::host::{at, audit, fault, load, state};

fn unsigned(guest: &str, name: &str) -> LoadRequest {
    LoadRequest::component(guests::component(guest))
        .named(name.parse().unwrap())
        .allow_unsigned()
}

fn failed(folder: &Path) -> Vec<Json> {
    let events = audit(folder).into_iter().map(|line| line["event"].clone());
    events.filter(|event| event["kind"] == "load-failed").collect()
}

fn explained(folder: &Path, name: &str) -> Why {
    let records = Records::open(folder).unwrap();
    why(records, &name.parse().unwrap()).expect("it is on record")
}

/// Enforced by `Host::note_failed` (before the answer) and `failed::lines`.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_does_not_link_is_on_record_with_every_mismatch() {
    let folder = state();
    let host = at(folder.path());
    let refused = fault(host.load(unsigned("wat-missing-imports", "bad")).await);
    assert_eq!(refused.code, Code::LinkFailed);
    let event = &failed(folder.path())[0];
    assert_eq!(
        (&event["step"], &event["code"]),
        (&"link".into(), &"ODN-3008".into())
    );
    assert!(event["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(event["count"], 1);
    let details = refused.details.unwrap();
    let expected = details["mismatches"].as_array().unwrap();
    let mismatches = event["mismatches"].as_array().unwrap();
    assert!(expected.len() > 1, "{details}");
    assert_eq!(mismatches.len(), expected.len());
    for (line, mismatch) in mismatches.iter().zip(expected) {
        let line = line.as_str().unwrap();
        for field in ["interface", "expected", "found", "fix"] {
            let part = mismatch[field].as_str().unwrap();
            assert!(line.contains(part), "{field}: {line}");
        }
    }
    let reason = event["reason"].as_str().unwrap();
    assert!(
        reason.ends_with("do not link"),
        "the list stands beside it: {reason}"
    );
    let why = explained(folder.path(), "bad");
    assert!(!why.serving);
    let because = why.because.unwrap();
    assert_eq!(because.code, Some(Code::LinkFailed));
    assert_eq!(because.mismatches.len(), expected.len());
}

/// Enforced by `Host::make_ready`, at each step of it.
#[tokio::test(flavor = "multi_thread")]
async fn each_step_at_which_a_load_fails_is_on_record() {
    let folder = state();
    let host = at(folder.path());
    let hook = |how: &str| {
        let mut request = unsigned("guest-lifecycle", "life");
        request.config.insert("load".into(), how.into());
        request
    };
    let rows = [
        (unsigned("wat-huge-memory", "huge"), "fit", Code::DoesNotFit),
        (hook("fail-other"), "hook", Code::LoadHookFailed),
        (hook("huge-error"), "hook", Code::LoadHookFailed),
        (hook("trap"), "hook", Code::LoadHookFailed),
    ];
    for (number, (request, step, code)) in rows.into_iter().enumerate() {
        let name = request.name.clone().unwrap();
        let refused = fault(host.load(request).await);
        assert_eq!(refused.code, code, "{refused:?}");
        let failed = failed(folder.path());
        assert_eq!(failed.len(), number + 1);
        let event = failed.last().unwrap();
        assert_eq!(event["name"], name.as_str());
        assert_eq!(event["step"], step);
        assert_eq!(event["code"], code.to_string());
        assert!(event["reason"].as_str().unwrap().len() < 600);
        assert_eq!(
            explained(folder.path(), name.as_str()).because.unwrap().code,
            Some(code)
        );
    }
}

/// Enforced by `Host::note_failed` (`serving`).
#[tokio::test(flavor = "multi_thread")]
async fn a_replace_that_fails_says_what_serves_on() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-echo", "echo").await;
    let bad = Source::Component(guests::component("wat-missing-imports"));
    let mut request = ReplaceRequest::new("echo".parse().unwrap(), bad);
    request.allow_unsigned = true;
    assert_eq!(fault(host.replace(request).await).code, Code::LinkFailed);
    assert_eq!(failed(folder.path())[0]["serving"], 1);
    let why = explained(folder.path(), "echo");
    assert_eq!((why.serving, why.generation), (true, Some(1)));
    let because = why.because.unwrap();
    assert!(because.message.contains("generation 1 serves on"), "{because:?}");
}

/// Enforced by `Recorder::load_failed` (`Coalescer::note`): the same failure
/// again and again is one line and a number.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_fails_again_and_again_is_counted() {
    const LOADS: usize = 40;
    let folder = state();
    let host = at(folder.path());
    for _ in 0..LOADS {
        again(&host).await;
    }
    assert!(failed(folder.path()).len() <= 2, "{:?}", failed(folder.path()));
    host.shutdown(Duration::ZERO).await;
    let failed = failed(folder.path());
    let counted: u64 = failed.iter().map(|event| event["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, LOADS as u64, "{failed:?}");
    assert!(failed.len() <= 3, "{failed:?}");
}

async fn again(host: &Host) {
    let refused = fault(host.load(unsigned("wat-missing-imports", "bad")).await);
    assert_eq!(refused.code, Code::LinkFailed);
}

//! Whoever is hostile before the first call, or after the last.

use std::time::{Duration, Instant};

use odeon::{Code, Host, LimitsPatch, LoadRequest, UnloadMode};
use odeon_tests::stall::Stalls;

use super::{LIMIT, SLACK, busy_after, small};
use crate::host::{at, ephemeral, request, state_in_memory};

/// What is refused before a call of it could run. Falls with `runtime::fits`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_what_is_too_large_from_the_start_is_not_loaded() {
    let host = ephemeral();
    for (guest, code) in [
        ("wat-huge-memory", Code::DoesNotFit),
        ("wat-huge-table", Code::DoesNotFit),
        ("wat-instances", Code::DoesNotFit),
        ("wat-memory64", Code::CompileFailed),
    ] {
        let stalls = Stalls::watch();
        let began = Instant::now();
        let refused = host.load(request(guest, guest, &[])).await.unwrap_err();
        let took = stalls.since(began);
        assert_eq!(refused.code, code, "{guest}: {refused}");
        assert!(took.own() < Duration::from_secs(1), "{guest}: {took:?}");
    }
    assert!(host.list().is_empty());
    assert_eq!(busy_after("what is not loaded").await, None);
}

/// Falls with `Budget::lifecycle` and `Budget::after_service`. What is loaded
/// comes from the cache, so that the hook is all that takes time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_life_cycle_that_misbehaves_ends() {
    let folder = state_in_memory();
    let host = at(folder.path());
    let limits = LimitsPatch {
        load_deadline: Some("300ms".parse().unwrap()),
        ..small()
    };
    let life = |load: &str, unload: &str| {
        let mut request = request("guest-lifecycle", "life", &[]).with_limits(limits.clone());
        request.config.insert("load".into(), load.into());
        request.config.insert("unload".into(), unload.into());
        request
    };
    let name = "life".parse().unwrap();
    load_well(&host, || life("ok", "ok")).await;
    host.unload(&name, UnloadMode::Now, host.principal())
        .await
        .unwrap();
    for (how, code) in [
        ("spin", Code::DeadlineLimit),
        ("sleep", Code::DeadlineLimit),
        ("grow", Code::MemoryLimit),
        ("trap", Code::Trapped),
        ("panic", Code::Trapped),
    ] {
        let stalls = Stalls::watch();
        let began = Instant::now();
        let refused = host.load(life(how, "ok")).await.unwrap_err();
        let took = stalls.since(began);
        drop(stalls);
        assert_eq!(refused.code, Code::LoadHookFailed, "{how}: {refused}");
        let cause = &refused.details.as_ref().unwrap()["cause"]["code"];
        assert_eq!(cause, code.as_str(), "load, {how}: {refused}");
        assert!(took.own() <= LIMIT + SLACK, "load, {how}: {took:?}");
        assert!(host.list().is_empty(), "load, {how}");
        assert_eq!(busy_after(&format!("load, {how}")).await, None);

        load_well(&host, || life("ok", how)).await;
        let stalls = Stalls::watch();
        let began = Instant::now();
        let gone = host
            .unload(&name, UnloadMode::Now, host.principal())
            .await
            .unwrap();
        let took = stalls.since(began);
        drop(stalls);
        assert_eq!(gone.hook.map(|fault| fault.code), Some(code), "unload, {how}");
        assert!(took.own() <= LIMIT + SLACK, "unload, {how}: {took:?}");
        assert_eq!(busy_after(&format!("unload, {how}")).await, None);
    }
}

/// A load whose hook does nothing. It has no more time for that than one that never
/// ends, and is loaded again when a core stood still for as long.
async fn load_well(host: &Host, request: impl Fn() -> LoadRequest) {
    while let Err(fault) = host.load(request()).await {
        let cause = &fault.details.as_ref().unwrap()["cause"]["code"];
        assert_eq!(cause, Code::DeadlineLimit.as_str(), "{fault}");
    }
}

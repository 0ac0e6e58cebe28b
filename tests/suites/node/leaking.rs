//! A version that keeps a little memory with every call.

use std::path::Path;
use std::time::{Duration, Instant};

use odeon::{Args, CallOptions, Code, Fault, Host, LimitsPatch, LoadRequest, ReplaceRequest, Source};
use odeon_authority::{ByteSize, InstanceMode, Records, WhyKind, why};
use odeon_tests::guests;

use crate::host::{at, ephemeral, request, state};

/// Keeps 64 KiB with every call.
const LEAKS: &str = "wat-leaks";

/// Calls of it that one instance with 4 MiB of memory answers, and the one that it
/// does not.
const LASTS: u64 = 64;

/// A health window that does not end here.
const WATCHED: Duration = Duration::from_secs(120);

/// Many times as long as a bad version may be bad without being seen.
const SEEN: Duration = Duration::from_secs(2);

/// It, or what is before it, with 4 MiB of memory for one instance that is kept.
fn resident(guest: &str) -> LoadRequest {
    let mut load = request(guest, "v", &[]).with_limits(LimitsPatch {
        memory: Some(ByteSize::mib(4)),
        ..LimitsPatch::default()
    });
    load.placing.instance = Some(InstanceMode::Resident);
    load
}

fn by(guest: &str, window: Duration) -> ReplaceRequest {
    ReplaceRequest {
        allow_unsigned: true,
        health_window: window,
        ..ReplaceRequest::new("v".parse().unwrap(), Source::Component(guests::component(guest)))
    }
}

/// The generation that answered, and its answer.
async fn answer(host: &Host) -> Result<(u64, String), Fault> {
    let reply = host
        .call("v/answer", Args::Wave(""), CallOptions::default())
        .await?;
    Ok((reply.generation.0, reply.wave().unwrap()))
}

/// Calls so often; how many of them ended for want of memory, which is all that
/// may be wrong with them.
async fn lost(host: &Host, calls: u64) -> u64 {
    let mut lost = 0;
    for _ in 0..calls {
        match answer(host).await {
            Ok((_, answer)) => assert_eq!(answer, "2"),
            Err(fault) => {
                assert_eq!(fault.code, Code::MemoryLimit, "{fault}");
                lost += 1;
            }
        }
    }
    lost
}

/// Why the record says that the last generation went.
fn why_it_went(folder: &Path) -> String {
    let records = Records::open(folder).unwrap();
    let history = why(records, &"v".parse().unwrap()).unwrap().history;
    let mut went = history
        .into_iter()
        .filter(|moment| moment.event == WhyKind::RolledBack);
    went.next().expect("it was rolled back").message
}

/// Enforced by `Health::leaks_no_more`: far fewer of its calls trap than would be a
/// storm of them, but each takes the state with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_leaks_with_every_call_goes_by_itself() {
    let folder = state();
    let host = at(folder.path());
    host.load(resident("wat-version-one")).await.unwrap();
    assert_eq!(answer(&host).await.unwrap(), (1, "1".to_owned()));
    // Longer than this takes: it is not the window's end that ends it.
    host.replace(by(LEAKS, Duration::from_secs(120))).await.unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    let (mut calls, mut faults) = (0_u64, 0_u64);
    while host.list()[0].generation.0 == 2 {
        assert!(
            Instant::now() < end,
            "{faults} of {calls} calls, and it serves on"
        );
        match answer(&host).await {
            Ok((2, answer)) => assert_eq!(answer, "2"),
            Ok(answer) => assert_eq!(answer, (3, "1".to_owned())),
            Err(fault) => {
                assert_eq!(fault.code, Code::MemoryLimit, "{fault}");
                faults += 1;
            }
        }
        calls += 1;
    }
    assert!(calls >= 3 * LASTS && faults >= 3, "{faults} of {calls} calls");
    assert!(faults * 20 < calls, "no storm: {faults} of {calls} calls");
    assert_eq!(answer(&host).await.unwrap(), (3, "1".to_owned()));
    let reason = why_it_went(folder.path());
    assert!(
        reason.contains("instances that were kept had used up limits.memory, 4MiB"),
        "{reason}"
    );
    host.shutdown(Duration::from_secs(5)).await;
}

/// Enforced by `Health::leaked_before`: nothing is gained by the way back to a
/// version that leaks as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_leaks_as_the_last_one_did_stays() {
    let host = ephemeral();
    host.load(resident(LEAKS)).await.unwrap();
    assert!(lost(&host, 4 * LASTS).await >= 3);
    host.replace(by(LEAKS, WATCHED)).await.unwrap();
    assert!(lost(&host, 4 * LASTS).await >= 3);
    // As long as it takes to see that, and it goes on.
    let seen = Instant::now() + SEEN;
    while Instant::now() < seen {
        lost(&host, 1).await;
    }
    assert_eq!(host.list()[0].generation.0, 2);
    assert_ne!(
        host.status_dump()["replaced"],
        serde_json::json!([]),
        "it is watched still"
    );
    host.shutdown(Duration::from_secs(5)).await;
}

/// Enforced by `Health::leaks_no_more`: an instance that is made for one call has
/// nothing to keep, and is judged by how many of them trap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_need_much_memory_are_no_leak_where_none_is_kept() {
    let host = ephemeral();
    let grows = |args: &'static str| {
        let host = host.clone();
        async move {
            let call = host.call("v/perform", Args::Wave(args), CallOptions::default());
            call.await.map(|_| ())
        }
    };
    let fresh = request("guest-provider", "v", &[]).with_limits(LimitsPatch {
        memory: Some(ByteSize::mib(4)),
        ..LimitsPatch::default()
    });
    host.load(fresh).await.unwrap();
    host.replace(by("guest-provider", WATCHED)).await.unwrap();
    for _ in 0..3 {
        // Each of them is one in a hundred.
        for _ in 0..99 {
            grows(r#"["version"]"#).await.unwrap();
        }
        let fault = grows(r#"["grow"]"#).await.unwrap_err();
        assert_eq!(fault.code, Code::MemoryLimit, "{fault}");
    }
    let seen = Instant::now() + SEEN;
    while Instant::now() < seen {
        grows(r#"["version"]"#).await.unwrap();
    }
    assert_eq!(host.list()[0].generation.0, 2);
    assert_ne!(
        host.status_dump()["replaced"],
        serde_json::json!([]),
        "it is watched still"
    );
    host.shutdown(Duration::from_secs(5)).await;
}

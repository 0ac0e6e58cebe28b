//! Calls that wait in a plugin's queue, and what ends them there.

use std::time::Duration;

use odeon::{Args, CallOptions, CallRequest, Code, Host, LimitsPatch, Outcome, Watcher};
use odeon_authority::TimeSpan;

use crate::host::{at, audit, ephemeral, fault, load_with, outcome, soon, state};

/// A plugin that runs one call at a time.
async fn one_at_a_time(host: &Host, queue: u64, deadline: Option<u64>) {
    let limits = LimitsPatch {
        calls_in_flight: Some(1),
        queue: Some(queue),
        deadline: deadline.map(TimeSpan::millis),
        ..LimitsPatch::default()
    };
    load_with(host, "guest-spin", "spin", &[], limits).await;
}

fn sleeps_forever(host: &Host) -> Watcher {
    let call = CallRequest::new("spin/wait.sleep-forever", Args::Wave(""));
    host.request(call).unwrap().1
}

/// Enforced by `patience` in the runtime's `plugin/drive.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn requests_whose_time_to_live_is_over_leave_the_queue() {
    let host = ephemeral();
    one_at_a_time(&host, 4, None).await;
    let _holds = sleeps_forever(&host);
    soon("it runs", || host.list()[0].in_flight == 1).await;
    let mut late: Vec<Watcher> = (0..4)
        .map(|_| {
            let call = CallRequest {
                ttl: Some(Duration::from_millis(30)),
                ..CallRequest::new("spin/wait.sleep", Args::Wave("0"))
            };
            host.request(call).unwrap().1
        })
        .collect();
    for watcher in &mut late {
        let end = outcome(watcher).await;
        assert!(
            matches!(&end, Outcome::Rejected(fault) if fault.code == Code::Expired),
            "{end:?}"
        );
    }
    // There is room again: whoever comes now waits, and is not turned away.
    let freed = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let brief = CallOptions {
                wait: Some(Duration::from_millis(20)),
                ..CallOptions::default()
            };
            let waited = host.call("spin/wait.sleep", Args::Wave("0"), brief).await;
            if fault(waited.map(|_| ())).code == Code::WaitEnded {
                return;
            }
        }
    });
    assert!(freed.await.is_ok(), "the places were not given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_time_to_start_in_is_never_started() {
    let host = ephemeral();
    one_at_a_time(&host, 4, None).await;
    let at_once = CallOptions {
        ttl: Some(Duration::ZERO),
        ..CallOptions::default()
    };
    let called = host.call("spin/wait.sleep", Args::Wave("0"), at_once).await;
    assert_eq!(fault(called.map(|_| ())).code, Code::Expired);
    let at_once = CallRequest {
        ttl: Some(Duration::ZERO),
        ..CallRequest::new("spin/wait.sleep", Args::Wave("0"))
    };
    let end = outcome(&mut host.request(at_once).unwrap().1).await;
    assert!(
        matches!(&end, Outcome::Rejected(fault) if fault.code == Code::Expired),
        "{end:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_ends_in_the_queue_ends_as_cancelled_and_unexecuted() {
    let host = ephemeral();
    one_at_a_time(&host, 16, None).await;
    let _holds = sleeps_forever(&host);
    soon("it runs", || host.list()[0].in_flight == 1).await;
    for _ in 0..8 {
        let call = CallRequest {
            wait: Some(Duration::from_millis(15)),
            ..CallRequest::new("spin/wait.sleep", Args::Wave("0"))
        };
        let end = outcome(&mut host.request(call).unwrap().1).await;
        let Outcome::Cancelled(fault) = end else {
            panic!("{end:?}")
        };
        assert_eq!(fault.code, Code::WaitEnded);
        assert!(fault.message.contains("before the call was started"), "{fault}");
        assert_eq!(fault.details.unwrap()["executed"], false);
    }
}

/// Nothing of it ran: it is the plugin's load that is to blame, not the call.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_ends_in_the_queue_is_overload_and_no_stop_of_the_guest() {
    let folder = state();
    let host = at(folder.path());
    one_at_a_time(&host, 16, Some(1_000)).await;
    let mut all: Vec<Watcher> = (0..5).map(|_| sleeps_forever(&host)).collect();
    let (mut stopped, mut unstarted) = (0, 0);
    for watcher in &mut all {
        match outcome(watcher).await {
            Outcome::Rejected(fault) => {
                assert_eq!(fault.code, Code::Overloaded, "{fault}");
                assert!(fault.message.contains("1000 ms"), "{fault}");
                unstarted += 1;
            }
            Outcome::Failed { fault, .. } => {
                assert_eq!(fault.code, Code::DeadlineLimit);
                stopped += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    // The first, and whoever was let in at the moment in which it ended.
    assert!(stopped <= 2 && unstarted >= 3, "{stopped} {unstarted}");
    host.shutdown(Duration::ZERO).await;
    let noted: u64 = audit(folder.path())
        .iter()
        .filter(|line| line["event"]["kind"] == "limit-stop")
        .map(|line| line["event"]["count"].as_u64().unwrap())
        .sum();
    assert_eq!(noted, stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waited_has_its_whole_deadline() {
    let host = ephemeral();
    // Less than two calls take, and much more than one.
    one_at_a_time(&host, 16, Some(2_500)).await;
    let sleeps = || {
        host.request(CallRequest::new("spin/wait.sleep", Args::Wave("1500")))
            .unwrap()
            .1
    };
    let (mut first, mut second) = (sleeps(), sleeps());
    for watcher in [&mut first, &mut second] {
        let end = outcome(watcher).await;
        assert!(matches!(end, Outcome::Succeeded(_)), "{end:?}");
    }
}

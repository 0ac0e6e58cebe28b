//! Requests: statuses in order, one end, cancels, and what a dropped caller means.

use std::time::Duration;

use odeon::{Args, CallRequest, CancelOutcome, Code, Event, HostLimits, LimitsPatch, Outcome, UnloadMode};
use odeon_authority::TimeSpan;
use odeon_protocol::Serial;

use crate::host::{audit, builder, ephemeral, fault, load, load_with, outcome, soon, state};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_accepted_started_and_ended_once() {
    let host = ephemeral();
    load(&host, "guest-echo", "echo").await;
    let (serial, mut watcher) = host
        .request(CallRequest::new("echo/add", Args::Wave("1, 2")))
        .unwrap();
    let mut events = Vec::new();
    while let Some(status) = watcher.next().await {
        assert_eq!(status.serial, serial);
        events.push(status.event);
    }
    assert!(
        matches!(
            &events[..],
            [
                Event::Accepted,
                Event::Started,
                Event::Final(Outcome::Succeeded(_))
            ]
        ),
        "{events:?}"
    );
    assert_eq!(host.totals().succeeded, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_request_ends_as_cancelled_and_its_instance_is_gone() {
    let host = ephemeral();
    load(&host, "guest-spin", "spin").await;
    for method in ["spin/cpu.spin", "spin/wait.sleep-forever"] {
        let (serial, mut watcher) = host.request(CallRequest::new(method, Args::Wave(""))).unwrap();
        soon("it runs", || host.list()[0].instances > 0).await;
        assert_eq!(host.cancel(&serial).unwrap(), CancelOutcome::Signalled);
        let end = outcome(&mut watcher).await;
        assert!(
            matches!(&end, Outcome::Cancelled(fault) if fault.code == Code::Cancelled),
            "{end:?}"
        );
        soon("its instance is gone", || host.list()[0].instances == 0).await;
        assert_eq!(fault(host.cancel(&serial)).code, Code::RequestNotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_takes_its_request_along_unless_it_was_detached() {
    let host = ephemeral();
    load(&host, "guest-spin", "spin").await;
    let (_, watcher) = host
        .request(CallRequest::new("spin/wait.sleep-forever", Args::Wave("")))
        .unwrap();
    soon("it runs", || host.list()[0].in_flight == 1).await;
    drop(watcher);
    soon("it is cancelled", || {
        host.totals().cancelled == 1 && host.list()[0].in_flight == 0
    })
    .await;

    let detached = CallRequest {
        detached: true,
        ..CallRequest::new("spin/wait.sleep", Args::Wave("30"))
    };
    drop(host.request(detached).unwrap());
    soon("it goes on to its end", || host.totals().succeeded == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_longer_than_its_time_to_live_is_never_started() {
    let host = ephemeral();
    let limits = LimitsPatch {
        calls_in_flight: Some(1),
        ..LimitsPatch::default()
    };
    load_with(&host, "guest-spin", "spin", &[], limits).await;
    let (first, _holds) = host
        .request(CallRequest::new("spin/wait.sleep-forever", Args::Wave("")))
        .unwrap();
    soon("the first runs", || host.list()[0].in_flight == 1).await;
    let waiting = CallRequest {
        ttl: Some(Duration::from_millis(30)),
        ..CallRequest::new("spin/wait.sleep", Args::Wave("0"))
    };
    let (_, mut watcher) = host.request(waiting).unwrap();
    let end = outcome(&mut watcher).await;
    assert!(
        matches!(&end, Outcome::Rejected(fault) if fault.code == Code::Expired),
        "{end:?}"
    );
    host.cancel(&first).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serial_is_taken_once_and_a_stale_type_is_named() {
    let host = ephemeral();
    load(&host, "guest-echo", "echo").await;
    let serial = Serial::new();
    let call = || CallRequest {
        serial: Some(serial),
        ..CallRequest::new("echo/add", Args::Wave("1, 2"))
    };
    let (_, mut watcher) = host.request(call()).unwrap();
    outcome(&mut watcher).await;
    assert_eq!(
        fault(host.request(call()).map(|_| ())).code,
        Code::ProtocolViolation
    );

    let other = host.method("echo/echo.bytes").unwrap().fingerprint();
    let stale = CallRequest {
        fingerprint: Some(other),
        ..CallRequest::new("echo/add", Args::Wave("1, 2"))
    };
    let refused = fault(host.request(stale).map(|_| ()));
    assert_eq!(refused.code, Code::VersionMismatch);
    assert!(refused.message.contains("u32"), "{}", refused.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unload_gives_everybody_an_end() {
    let host = ephemeral();
    let name = load(&host, "guest-spin", "spin").await.name;
    let mut watchers = Vec::new();
    for _ in 0..8 {
        watchers.push(
            host.request(CallRequest::new("spin/wait.sleep-forever", Args::Wave("")))
                .unwrap()
                .1,
        );
    }
    soon("all run", || host.list()[0].in_flight == 8).await;
    let gone = host
        .unload(
            &name,
            UnloadMode::Drain(Duration::from_millis(30)),
            host.principal(),
        )
        .await
        .unwrap();
    assert_eq!(gone.interrupted, 8);
    for watcher in &mut watchers {
        let end = outcome(watcher).await;
        assert!(
            matches!(&end, Outcome::Cancelled(fault) if fault.code == Code::Unloaded),
            "{end:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_methods_own_error_is_a_failure_with_the_value() {
    let host = ephemeral();
    load(&host, "sample-calculator", "calc").await;
    let (_, mut watcher) = host
        .request(CallRequest::new("calc/divide", Args::Wave("1.0, 0.0")))
        .unwrap();
    match outcome(&mut watcher).await {
        Outcome::Failed {
            fault,
            answer: Some(answer),
        } => {
            assert_eq!(fault.code, Code::GuestError);
            assert!(fault.message.contains("divide-by-zero"), "{}", fault.message);
            assert_eq!(answer.body[0], 1);
        }
        other => panic!("{other:?}"),
    }
}

/// What changes nothing is nothing to write down, and nobody fills the audit.
#[tokio::test(flavor = "multi_thread")]
async fn the_audit_has_one_line_for_a_cancel_that_took_effect_and_so_many_for_a_storm() {
    let folder = state();
    let limits = HostLimits {
        audit_interval: TimeSpan::secs(3_600),
        ..HostLimits::default()
    };
    let host = builder()
        .state_dir(folder.path())
        .host_limits(limits)
        .start()
        .unwrap();
    load(&host, "guest-spin", "spin").await;
    let request = || CallRequest::new("spin/wait.sleep-forever", Args::Wave(""));
    // It has a grace of 20 ms, in which whoever does not stand still can ask twice.
    let (mut requests, mut signalled) = (0, 0);
    while signalled <= 1 {
        requests += 1;
        let (serial, mut watcher) = host.request(request()).unwrap();
        soon("it runs", || host.list()[0].in_flight == 1).await;
        signalled = 0;
        while host.cancel(&serial).is_ok() {
            signalled += 1;
        }
        outcome(&mut watcher).await;
    }
    let lines = |folder: &std::path::Path| {
        let lines = audit(folder);
        lines
            .iter()
            .filter(|line| line["event"]["kind"] == "cancel")
            .count()
    };
    soon("each is written once", || lines(folder.path()) == requests).await;
    for _ in 0..100 {
        let (serial, _watcher) = host.request(request()).unwrap();
        host.cancel(&serial).unwrap();
    }
    host.shutdown(Duration::ZERO).await;
    assert_eq!(lines(folder.path()), 64);
}

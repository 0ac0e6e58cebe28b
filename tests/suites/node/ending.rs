//! The end of a host: calls drain, the rest is interrupted, nobody is left without an answer.

use std::time::Duration;

use odeon::{Args, CallRequest, Code, LoadRequest, Outcome};
use odeon_tests::guests;

use crate::host::{audit, builder, ephemeral, fault, lines, load, soon, state};

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_flight_may_end_within_the_drain() {
    let host = ephemeral();
    load(&host, "guest-spin", "spin").await;
    let (_, mut watcher) = host
        .request(CallRequest::new("spin/wait.sleep", Args::Wave("2000")))
        .unwrap();
    soon("it runs", || host.list()[0].in_flight == 1).await;
    host.shutdown(Duration::from_secs(10)).await;
    assert!(matches!(watcher.outcome().await, Some(Outcome::Succeeded(_))));
    let late = host
        .request(CallRequest::new("spin/wait.sleep", Args::Wave("0")))
        .map(|_| ());
    assert!(late.is_err(), "a host that has ended takes nothing");
    let load = host
        .load(LoadRequest::component(guests::component("guest-echo")).allow_unsigned())
        .await;
    assert_eq!(fault(load).code, Code::Draining);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_is_interrupted() {
    let host = ephemeral();
    load(&host, "guest-spin", "spin").await;
    let (_, mut spins) = host
        .request(CallRequest::new("spin/cpu.spin", Args::Wave("")))
        .unwrap();
    let (_, mut sleeps) = host
        .request(CallRequest::new("spin/wait.sleep-forever", Args::Wave("")))
        .unwrap();
    soon("both run", || host.list()[0].in_flight == 2).await;
    host.shutdown(Duration::from_millis(20)).await;
    for watcher in [&mut spins, &mut sleeps] {
        let end = watcher.outcome().await;
        assert!(matches!(&end, Some(Outcome::Cancelled(_))), "{end:?}");
    }
    host.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_writes_reaches_the_sink_and_the_logs() {
    let sink = lines();
    let host = builder().log_sink(sink.clone()).start().unwrap();
    let name = load(&host, "guest-spin", "spin").await.name;
    host.call("spin/flood.log-lines", Args::Wave("3, 10"), Default::default())
        .await
        .unwrap();
    assert_eq!(sink.0.lock().unwrap().len(), 3);
    let kept = host.logs().tail(Some(&name), 2);
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[0].plugin.as_ref(), Some(&name));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_stopped_a_plugin_is_on_record_once_for_many() {
    let folder = state();
    let host = builder().state_dir(folder.path()).start().unwrap();
    load(&host, "guest-spin", "spin").await;
    for _ in 0..5 {
        let grown = host
            .call(
                "spin/memory.huge-result",
                Args::Wave("20000000"),
                Default::default(),
            )
            .await;
        assert!(grown.is_err());
    }
    host.shutdown(Duration::ZERO).await;
    let stops: Vec<_> = audit(folder.path())
        .into_iter()
        .filter(|line| line["event"]["kind"] == "limit-stop")
        .map(|line| line["event"]["count"].as_u64().unwrap())
        .collect();
    assert_eq!(stops, [1, 4]);
}

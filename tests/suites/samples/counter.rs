//! The counter: state between calls, and a configuration it refuses.

use odeon::Code;

use crate::host::{Sample, host, request};

#[tokio::test]
async fn the_number_outlives_the_call_and_stays_in_its_range() {
    let sample = Sample::load("counter").await;
    assert_eq!(sample.ask("increment(2)").await, "ok(2)");
    assert_eq!(sample.ask("increment(-5)").await, "ok(-3)");
    assert_eq!(sample.ask("reset()").await, "-3");
    assert_eq!(
        sample.ask("increment(9223372036854775807)").await,
        "ok(9223372036854775807)"
    );
    assert_eq!(
        sample.ask("increment(1)").await,
        "err({value: 9223372036854775807})"
    );
    assert_eq!(sample.ask("value()").await, "9223372036854775807");
}

#[tokio::test]
async fn it_begins_where_the_configuration_says() {
    let host = host();
    let mut request = request("counter");
    request.config = [("start".to_owned(), "40".to_owned())].into();
    let report = host.load(request).await.expect("a number is a start");
    let sample = Sample { host, report };
    assert_eq!(sample.ask("increment(2)").await, "ok(42)");
    assert_eq!(sample.ask("reset()").await, "42");
    assert_eq!(sample.ask("value()").await, "40");
}

#[tokio::test]
async fn a_start_that_is_no_number_refuses_the_load() {
    let host = host();
    let mut refused = request("counter");
    refused.config = [("start".to_owned(), "x".to_owned())].into();
    let fault = host.load(refused).await.expect_err("no number");
    assert_eq!(fault.code, Code::LoadHookFailed);
    assert!(fault.to_string().contains("start"), "{fault}");
    assert!(host.list().is_empty());
    // Nothing is left of it, the name neither.
    host.load(request("counter"))
        .await
        .expect("without a start it is zero");
}

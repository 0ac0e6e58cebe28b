//! Standard output of WASI 0.3.

use std::time::Duration;

use odeon_authority::ByteSize;
use odeon_protocol::Code;
use odeon_runtime::Stream;
use odeon_tests::runtime::{call, runtime, spec, stopped};

use crate::GUEST;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_arrives_line_by_line() {
    let runtime = runtime();
    let spec = spec();
    let records = spec.records();
    let plugin = spec.load(&runtime, GUEST).await;
    assert_eq!(
        call(&plugin, "output.write(\"one\\ntwo\\nthree\")")
            .await
            .unwrap(),
        "ok"
    );
    let lines = records.lines();
    let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["one", "two", "three"]);
    assert!(lines.iter().all(|line| line.stream == Stream::Stdout));
}

/// Falls with `LineSplitter::keep`, for a line that ends and one that does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_is_cut_at_its_limit() {
    const LINE: usize = 100;
    let runtime = runtime();
    let spec = spec().limits(|limits| limits.log_line = ByteSize::new(LINE as u64));
    let records = spec.records();
    let plugin = spec.load(&runtime, GUEST).await;
    let long = "x".repeat(LINE + 1);
    call(&plugin, &format!("output.write(\"{long}\\n{long}\")"))
        .await
        .unwrap();
    let lengths: Vec<_> = records.lines().iter().map(|line| line.text.len()).collect();
    assert_eq!(lengths, [LINE; 2]);
    let hurried = spec.deadline(Duration::from_millis(300));
    let plugin = hurried.load(&runtime, GUEST).await;
    stopped(&plugin, "output.endless-line()", Code::DeadlineLimit).await;
    assert!(records.lines().iter().all(|line| line.text.len() <= LINE));
    assert_eq!(records.lines().len(), 3);
}

/// Falls with `LogGate::admit`: dropped and counted, never throttled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_flood_of_output_is_dropped_and_counted() {
    const DEADLINE: Duration = Duration::from_millis(300);
    let runtime = runtime();
    let spec = spec()
        .deadline(DEADLINE)
        .limits(|limits| limits.log_rate = ByteSize::kib(64));
    let records = spec.records();
    let plugin = spec.load(&runtime, GUEST).await;
    let ended = stopped(&plugin, "output.flood()", Code::DeadlineLimit).await;
    assert!(
        ended.was_within(DEADLINE + Duration::from_millis(100)),
        "{:?}",
        ended.after
    );
    let kept: usize = records.lines().iter().map(|line| line.text.len()).sum();
    // What is in the bucket at first, and what the time adds that it had.
    let had = ended.after.wall + ended.late + Duration::from_millis(10);
    let most = (64 << 10) + ((64 << 10) * had.as_millis() as usize) / 1000;
    assert!(kept <= most, "{kept} bytes were passed on, of {most}");
    let told: u64 = records.lines().iter().map(|line| line.dropped).sum();
    assert!(told + plugin.stats().lines_dropped > 0);
}

//! Whoever goes on for ever.

use odeon::LimitsPatch;

use super::{CPU, Clock, FORGER, LIFTED, SPIN, TIME, all_end, load_all, small, stopped};
use crate::host::ephemeral;

/// Falls with `HostState::must_stop` (`deadline_ms`) where a guest computes and
/// with `drive::watch` where it waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_whoever_goes_on_for_ever_ends_at_the_deadline() {
    let rows = [
        stopped(SPIN, "cpu.spin", "", TIME),
        stopped(SPIN, "cpu.spin-with-host-calls", "", TIME),
        stopped(SPIN, "wait.sleep-forever", "", TIME),
        stopped(SPIN, "wait.drip", "1", TIME),
        stopped(SPIN, "wait.drip", "0", TIME),
        stopped(SPIN, "wait.poll-forever", "500", TIME),
        stopped(SPIN, "flood.log-forever", "", TIME),
        stopped(SPIN, "flood.log-huge-forever", "1000000", TIME),
        stopped(SPIN, "flood.stdout-forever", "", TIME),
        stopped(SPIN, "flood.random-forever", "1000000", TIME),
        stopped(FORGER, "conduct.ignore-cancel", "", TIME),
        stopped(FORGER, "conduct.report-forever", "4096", TIME),
        stopped(LIFTED, "work.spin", "", TIME),
        stopped(LIFTED, "work.sleep-forever", "", TIME),
        stopped(LIFTED, "work.drip", "1", TIME),
        stopped(LIFTED, "work.yield-forever", "", TIME),
        stopped(LIFTED, "output.flood", "", TIME),
        stopped(LIFTED, "output.endless-line", "", TIME),
        stopped("wat-start-spins", "answer", "", TIME),
        stopped("wat-post-return", "spins", "", TIME),
        stopped("wat-bad-realloc", "spins", "\"text\"", TIME),
        stopped("wat-tables", "grow-forever", "", TIME),
    ];
    let host = ephemeral();
    load_all(&host, &rows, &[], &small(), None).await;
    all_end(&host, &rows, Clock::Wall).await;
}

/// Falls with `HostState::must_stop` (`cpu_micros`). The limit is time on a
/// processor, and so is what is measured.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_whoever_computes_for_ever_ends_at_the_limit_on_cpu() {
    let rows = [
        stopped(SPIN, "cpu.spin", "", CPU),
        stopped(SPIN, "cpu.spin-with-host-calls", "", CPU),
        stopped(SPIN, "flood.log-forever", "", CPU),
        stopped(SPIN, "flood.random-forever", "500000", CPU),
        stopped(FORGER, "conduct.ignore-cancel", "", CPU),
        stopped(FORGER, "conduct.report-forever", "0", CPU),
        stopped(LIFTED, "work.spin", "", CPU),
        stopped(LIFTED, "work.yield-forever", "", CPU),
        stopped("wat-start-spins", "answer", "", CPU),
        stopped("wat-post-return", "spins", "", CPU),
        stopped("wat-bad-realloc", "spins", "\"text\"", CPU),
        stopped("wat-tables", "grow-forever", "", CPU),
    ];
    let limits = LimitsPatch {
        deadline: Some("60s".parse().unwrap()),
        cpu: Some("300ms".parse().unwrap()),
        ..small()
    };
    let host = ephemeral();
    load_all(&host, &rows, &[], &limits, None).await;
    all_end(&host, &rows, Clock::Processor).await;
}

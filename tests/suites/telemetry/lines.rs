//! Lines of guests and of the host.

use std::time::{Duration, Instant};

use odeon::LimitsPatch;
use odeon_authority::ByteSize;

use crate::collector::Manner;
use crate::stage::{Stage, load, soon};

const FULL: &str = "odeon_otlp_dropped_total{signal=\"logs\",reason=\"queue\"}";
const SENT: &str = "odeon_otlp_sent_total{signal=\"logs\"}";
const QUEUED: &str = "odeon_otlp_queued{signal=\"logs\"}";

/// Enforced by `Logs::line`, `Logs::host_line` and `Call::during`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_are_told_with_the_call_that_they_were_written_in() {
    let stage = Stage::new(1.0).await;
    stage.load("guest-spin", "spin").await;
    stage.ask("spin/log-lines", "2, 20").await.unwrap();
    stage.ask("spin/stdout-newlines", "1").await.unwrap();
    stage
        .host
        .logs()
        .host_line("warn", "something is as it should not be");
    let spans = stage.spans().await;
    let calls: Vec<_> = spans
        .iter()
        .filter(|span| span.get("odeon.hop") == "call")
        .collect();
    let records = stage.collector.records();
    let of = |source: &str| {
        let records = records.iter();
        records
            .filter(|record| record.attributes["odeon.source"] == source)
            .cloned()
            .collect::<Vec<_>>()
    };
    let logged = of("log");
    assert_eq!(logged.len(), 2, "{records:#?}");
    let call = calls
        .iter()
        .find(|call| call.get("odeon.method").ends_with("log-lines"))
        .unwrap();
    for record in &logged {
        assert_eq!(record.severity, (9, "INFO".to_owned()));
        assert_eq!(record.body, format!("flood: {}", "x".repeat(20)));
        assert_eq!(record.attributes["odeon.plugin"], "spin");
        assert_eq!(
            record.attributes["odeon.generation"],
            call.get("odeon.generation")
        );
        assert_eq!(record.attributes["odeon.serial"], call.get("odeon.serial"));
        assert_eq!(record.during, Some((call.trace.clone(), call.id.clone())));
    }
    let written = of("stdout");
    let call = calls
        .iter()
        .find(|call| call.get("odeon.method").ends_with("stdout-newlines"))
        .unwrap();
    assert_eq!(written.len(), 1, "{records:#?}");
    assert_eq!(written[0].during, Some((call.trace.clone(), call.id.clone())));
    let own = of("host");
    assert_eq!(own.len(), 1, "{records:#?}");
    assert_eq!(own[0].severity, (13, "WARN".to_owned()));
    assert_eq!(own[0].body, "something is as it should not be");
    assert_eq!((&own[0].during, own[0].attributes.len()), (&None, 1));
}

/// Enforced by `Waiting::has_room`: a first burst of empty lines, which is as
/// many as the guest's rate lets through at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_floods_its_log_crowds_out_nobodys_lines() {
    const SHARE: u64 = 512;
    let stage = Stage::before(Manner::Hangs, 0.0).await;
    stage.load("guest-spin", "spin").await;
    stage.load("guest-spin", "other").await;
    stage.host.logs().host_line("info", "the first");
    soon("it is asked", || !stage.collector.heard().is_empty()).await;
    let before = stage.counted(QUEUED);
    assert_eq!(stage.ask("spin/stdout-newlines", "4000").await.unwrap(), "4000");
    assert_eq!(stage.counted(QUEUED), before + SHARE);
    assert_eq!(stage.counted(FULL), 4000 - SHARE);
    stage.ask("other/stdout-newlines", "3").await.unwrap();
    stage.host.logs().host_line("warn", "the host's own");
    assert_eq!(stage.counted(QUEUED), before + SHARE + 4);
    assert_eq!(stage.counted(FULL), 4000 - SHARE);
    stage.collector.answers(Manner::Takes);
    soon("all that waits is sent", || stage.counted(QUEUED) == 0).await;
    stage.host.shutdown(Duration::from_secs(5)).await;
    assert_eq!(stage.counted(SENT), 1 + before + SHARE + 4);
    let records = stage.collector.records();
    let of = |key: &str, value: &str| {
        let has = |record: &&crate::collector::Record| {
            record.attributes.get(key).is_some_and(|found| found == value)
        };
        records.iter().filter(has).count()
    };
    assert_eq!(of("odeon.plugin", "spin") as u64, SHARE);
    assert_eq!(of("odeon.plugin", "other"), 3);
    assert!(records.iter().any(|record| record.body == "the host's own"));
}

/// Enforced by `record::shown`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_guest_writes_is_told_on_one_line_that_moves_nothing() {
    let stage = Stage::new(0.0).await;
    stage.load("guest-forger", "forger").await;
    for attack in ["log-newlines", "log-controls", "log-as-host"] {
        stage.ask(&format!("forger/{attack}"), "").await.unwrap();
    }
    stage.host.shutdown(Duration::from_secs(5)).await;
    let records = stage.collector.records();
    assert!(records.len() >= 3, "{records:#?}");
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    for record in &records {
        assert_eq!(record.attributes["odeon.plugin"], "forger");
        assert!(
            !record.body.chars().any(|c| c.is_control() || turns(c)),
            "{record:?}"
        );
    }
    assert!(
        records.iter().any(|record| record.body.contains("\\n")),
        "{records:#?}"
    );
    assert!(
        records.iter().any(|record| record.body.contains("\\u{1b}")),
        "{records:#?}"
    );
}

/// Enforced by `LogRecord::of`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_many_lines_a_guest_lost_is_told_with_the_next_one() {
    let stage = Stage::new(0.0).await;
    let limits = LimitsPatch {
        log_rate: Some(ByteSize::kib(4)),
        ..LimitsPatch::default()
    };
    let spin = load("guest-spin", "spin").with_limits(limits);
    stage.host.load(spin).await.expect("the guest loads");
    stage.ask("spin/log-lines", "500, 100").await.unwrap();
    let lost = || -> u64 {
        let lines = stage.host.logs().tail(None, 1000);
        lines.iter().map(|line| line.dropped).sum()
    };
    // By and by there is room again.
    let until = Instant::now() + Duration::from_secs(20);
    while lost() < 400 {
        assert!(Instant::now() < until, "{}", lost());
        stage.ask("spin/log-lines", "1, 10").await.unwrap();
    }
    stage.host.shutdown(Duration::from_secs(5)).await;
    let records = stage.collector.records();
    let told = records
        .iter()
        .filter_map(|record| record.attributes.get("odeon.dropped"));
    let told: u64 = told.map(|count| count.parse::<u64>().unwrap()).sum();
    assert_eq!(told, lost());
    assert!(
        records
            .iter()
            .any(|record| !record.attributes.contains_key("odeon.dropped"))
    );
}

/// Enforced by `record::cut`. What is not traced names no span.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_is_no_longer_than_what_is_told_of_it() {
    let stage = Stage::new(0.0).await;
    stage.load("guest-spin", "spin").await;
    stage.ask("spin/log-lines", "1, 8000").await.unwrap();
    stage.host.shutdown(Duration::from_secs(5)).await;
    let records = stage.collector.records();
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!(records[0].body.len(), 4096);
    assert_eq!(records[0].during, None);
    let logs = stage.host.logs().tail(None, 10);
    assert_eq!(
        logs[0].text.len(),
        "flood: ".len() + 8000,
        "`odeon logs` has all of it"
    );
}

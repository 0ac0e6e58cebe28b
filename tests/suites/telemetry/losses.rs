//! Collectors that are away, slow or unwilling: nobody waits for them, and what
//! they do not take is counted.

use std::time::{Duration, Instant};

use odeon_tests::stall::Stalls;

use crate::collector::{Collector, Manner, Then};
use crate::ear;
use crate::stage::{Stage, builder, counted, load, otlp, soon};

const FULL: &str = "odeon_otlp_dropped_total{signal=\"logs\",reason=\"queue\"}";
const UNTAKEN: &str = "odeon_otlp_dropped_total{signal=\"logs\",reason=\"collector\"}";
const SENT: &str = "odeon_otlp_sent_total{signal=\"logs\"}";
const QUEUED: &str = "odeon_otlp_queued{signal=\"logs\"}";

/// What waits at most, and what is sent at once.
const MOST: u64 = 4096;
const BATCH: u64 = 512;

/// Enforced by `Queue::push` and by the bound of the last flush in
/// `export::run`. The collector takes five seconds and more for nothing; calls
/// take what they always do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_collector_that_hangs_delays_no_call_and_loses_a_counted_number() {
    let stage = Stage::before(Manner::Hangs, 1.0).await;
    stage.load("guest-echo", "echo").await;
    stage.host.logs().host_line("info", "the first");
    soon("it is asked", || !stage.collector.heard().is_empty()).await;
    let stalls = Stalls::watch();
    let began = Instant::now();
    for _ in 0..500 {
        stage.ask("echo/echo.add", "1, 2").await.unwrap();
    }
    let lines = 3 * MOST;
    for _ in 1..lines {
        stage.host.logs().host_line("info", "another");
    }
    let took = stalls.since(began);
    assert!(took.own() < Duration::from_secs(3), "{took:?}");
    assert_eq!(stage.counted(QUEUED), MOST);
    let full = stage.counted(FULL);
    // In hand is what was sent first, and at most a batch that came after.
    assert!((lines - MOST - BATCH..lines - MOST).contains(&full), "{full}");
    let began = Instant::now();
    stage.host.shutdown(Duration::from_secs(5)).await;
    let took = stalls.since(began);
    assert!(took.own() < Duration::from_secs(6), "{took:?}");
    // Everything has become of something.
    assert_eq!(stage.counted(SENT), 0);
    assert_eq!(stage.counted(FULL) + stage.counted(UNTAKEN), lines);
    assert_eq!(stage.counted(QUEUED), 0);
    let spans = |reason: &str| {
        stage.counted(&format!(
            "odeon_otlp_dropped_total{{signal=\"spans\",reason=\"{reason}\"}}"
        ))
    };
    assert_eq!(spans("queue") + spans("collector"), 1000);
}

/// Enforced by `Queue::whole`: after an outage a collector that takes ten
/// milliseconds for a message is sent one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_after_an_outage_nothing_more_is_lost() {
    let stage = Stage::before(Manner::Hangs, 1.0).await;
    stage.load("guest-echo", "echo").await;
    let add = stage.host.typed::<(u32, u32), (u32,)>("echo/echo.add").unwrap();
    // Two spans for each, and as many lines.
    let come = |count: usize| {
        for _ in 0..count {
            add.call((1, 2)).unwrap();
            stage.host.logs().host_line("info", "one");
            stage.host.logs().host_line("info", "another");
        }
    };
    let of = |metric: &str| ["spans", "logs"].map(|signal| stage.counted(&metric.replace("{}", signal)));
    let full = || of("odeon_otlp_dropped_total{signal=\"{}\",reason=\"queue\"}");
    while full().contains(&0) {
        come(100);
    }
    stage.collector.answers(Manner::Slowly(Duration::from_millis(10)));
    soon("it has caught up", || {
        come(1);
        let queued = of("odeon_otlp_queued{signal=\"{}\"}");
        queued.iter().all(|queued| *queued < MOST / 2)
    })
    .await;
    // In two seconds, after which one batch is sent in any case, more than has room;
    // in a quarter of one, for which the exporter's core may stand still, less.
    loop {
        let (before, stalls, began) = (full(), Stalls::watch(), Instant::now());
        for _ in 0..600 {
            come(5);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (after, took) = (full(), stalls.since(began));
        if after == before {
            break;
        }
        assert!(
            took.lost >= Duration::from_millis(250),
            "{before:?}, then {after:?} within {took:?}"
        );
    }
}

/// Enforced by `Telemetry::begin`: spans and lines are sent side by side, also
/// at a stop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_lines_that_are_not_taken_hold_up_no_spans() {
    let stage = Stage::before(Manner::HangsAt("/v1/logs"), 1.0).await;
    stage.load("guest-echo", "echo").await;
    stage.host.logs().host_line("info", "the one");
    soon("it is asked", || !stage.collector.heard().is_empty()).await;
    let stalls = Stalls::watch();
    let began = Instant::now();
    stage.ask("echo/echo.add", "1, 2").await.unwrap();
    soon("both spans", || stage.collector.spans().len() == 2).await;
    let took = stalls.since(began);
    assert!(took.own() < Duration::from_secs(4), "{took:?}");
    stage.ask("echo/echo.add", "1, 2").await.unwrap();
    assert_eq!(stage.spans().await.len(), 4);
    assert_eq!(stage.counted(UNTAKEN), 1);
    assert_eq!(stage.counted("odeon_otlp_sent_total{signal=\"spans\"}"), 4);
}

/// Enforced by `Exporter::deliver`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_collector_does_not_take_now_is_sent_again() {
    let stage = Stage::before(Manner::Says(503), 1.0).await;
    stage.host.logs().host_line("info", "the one");
    soon("it is tried again", || stage.collector.heard().len() >= 2).await;
    stage.collector.answers(Manner::Takes);
    soon("it is taken", || stage.counted(SENT) == 1).await;
    assert_eq!((stage.counted(FULL), stage.counted(UNTAKEN)), (0, 0));
    let heard = stage.collector.heard();
    assert!(heard.iter().all(|message| message.body == heard[0].body));
    assert_eq!(stage.collector.records().len(), 1);
}

/// Enforced by `Exporter::attempt`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_says_nothing_is_asked_again() {
    let stage = Stage::before(Manner::Hangs, 1.0).await;
    stage.host.logs().host_line("info", "the one");
    soon("it is asked", || !stage.collector.heard().is_empty()).await;
    stage.collector.answers(Manner::Takes);
    soon("it is asked again", || stage.counted(SENT) == 1).await;
    assert_eq!(stage.collector.records()[0].body, "the one");
}

/// Enforced by `RETRY_FOR` in `export`: the next gets its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_collector_never_takes_is_given_up() {
    let stage = Stage::before(Manner::Says(503), 1.0).await;
    stage.host.logs().host_line("info", "the one");
    soon("it is given up", || stage.counted(UNTAKEN) == 1).await;
    let tried = stage.collector.heard().len();
    assert!((3..=20).contains(&tried), "{tried} times");
    stage.collector.answers(Manner::Takes);
    stage.host.logs().host_line("info", "the next");
    soon("the next is taken", || stage.counted(SENT) == 1).await;
    assert_eq!(stage.collector.records()[0].body, "the next");
}

/// Enforced by `post::exchange`: after a status of success it is not sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_collector_took_is_sent_once_whatever_else_it_says() {
    let stage = Stage::new(1.0).await;
    let ok = "HTTP/1.1 200 OK\r\n";
    let large = format!("{ok}content-length: 100000\r\n\r\n{}", "x".repeat(100_000));
    let answers = [
        (format!("{ok}\r\nno JSON"), Then::Ends),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), Then::Ends),
        (large, Then::Ends),
        (format!("{ok}content-length: 10\r\n\r\n{{"), Then::Ends),
        (
            format!("{ok}transfer-encoding: chunked\r\n\r\nnonsense\r\n"),
            Then::Ends,
        ),
        (format!("{ok}content-length: 10\r\n\r\n{{"), Then::Stays),
    ];
    for (count, (answer, then)) in (1..).zip(answers) {
        stage
            .collector
            .answers(Manner::TakesAndSays(answer.clone(), then));
        stage.host.logs().host_line("info", "the one");
        let taken = || stage.counted(SENT) + stage.counted(UNTAKEN) == count;
        soon("something becomes of it", taken).await;
        assert_eq!(stage.counted(UNTAKEN), 0, "{answer}");
        assert_eq!(stage.collector.heard().len() as u64, count, "{answer}");
    }
}

/// Enforced by `post::is_for_now`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_collector_refuses_is_not_sent_again() {
    let stage = Stage::before(Manner::Says(400), 1.0).await;
    stage.host.logs().host_line("info", "the one");
    soon("it is refused", || stage.counted(UNTAKEN) == 1).await;
    stage.host.shutdown(Duration::from_secs(5)).await;
    assert_eq!(stage.collector.heard().len(), 1);
}

/// Enforced by `Exporter::deliver`: it is waited for, up to the time for which
/// one is tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_collector_is_not_asked_before_it_wants_to_be() {
    let stage = Stage::before(Manner::SaysAfter(503, 3), 1.0).await;
    stage.host.logs().host_line("info", "the one");
    soon("it is asked again", || stage.collector.heard().len() == 2).await;
    stage.collector.answers(Manner::Takes);
    let heard = stage.collector.heard();
    let waited = heard[1].at - heard[0].at;
    assert!(waited >= Duration::from_secs(3), "{waited:?}");
    soon("it is taken", || stage.counted(SENT) == 1).await;

    let before = stage.collector.heard().len();
    stage.collector.answers(Manner::SaysAfter(429, 3600));
    stage.host.logs().host_line("info", "the next");
    soon("it is given up", || stage.counted(UNTAKEN) == 1).await;
    let heard = stage.collector.heard();
    assert_eq!(heard.len(), before + 2, "once, and once more at the end");
    let waited = heard[before + 1].at - heard[before].at;
    assert!(waited >= Duration::from_secs(8), "{waited:?}");
}

/// Enforced by `Complaints::lost`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_room_is_in_the_log() {
    ear::listen();
    let stage = Stage::before(Manner::Hangs, 1.0).await;
    stage.host.logs().host_line("info", "the first");
    soon("it is asked", || !stage.collector.heard().is_empty()).await;
    for _ in 0..MOST + 10 {
        stage.host.logs().host_line("info", "another");
    }
    assert!(stage.counted(FULL) > 0);
    let address = stage.collector.address();
    let said = |what: &str| ear::heard(address).iter().any(|said| said.contains(what));
    soon("it is said", || said(" without_room=")).await;
    soon("why it is", || said(" why=\"no answer within 5 s\"")).await;
    stage.host.shutdown(Duration::from_secs(5)).await;
    // All of them, in the end, and no more often than that.
    let sum = |field: &str| -> u64 {
        let said = ear::heard(address);
        let said = said.iter().filter(|said| said.contains(" signal=\"logs\" "));
        let counts = said.filter_map(|said| said.split_once(field)?.1.split(' ').next()?.parse::<u64>().ok());
        counts.sum()
    };
    assert_eq!(sum(" without_room="), stage.counted(FULL));
    assert_eq!(sum(" untaken="), stage.counted(UNTAKEN));
    let lines = ear::heard(address).len();
    assert!(lines <= 4, "{:?}", ear::heard(address));
}

/// Enforced by `Complaints::taken_in_part`: its words on one line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_collector_has_against_a_message_is_in_the_log() {
    ear::listen();
    let stage = Stage::before(Manner::TakesBut(1), 1.0).await;
    stage.host.logs().host_line("info", "the one");
    soon("it is counted", || stage.counted(UNTAKEN) == 1).await;
    let address = stage.collector.address();
    let said = |what: &str| ear::heard(address).iter().any(|said| said.contains(what));
    soon("it is said", || said(" rejected=1 ")).await;
    assert!(said("no\\\\nroom"), "{:?}", ear::heard(address));
}

/// Enforced by `json::partial`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_collector_takes_a_part_of_is_counted_in_part() {
    let stage = Stage::before(Manner::TakesBut(2), 1.0).await;
    stage.load("guest-echo", "echo").await;
    for _ in 0..5 {
        stage.ask("echo/echo.add", "1, 2").await.unwrap();
    }
    let spans = stage.spans().await.len() as u64;
    let messages = stage.collector.heard().len() as u64;
    let sent = stage.counted("odeon_otlp_sent_total{signal=\"spans\"}");
    let untaken = stage.counted("odeon_otlp_dropped_total{signal=\"spans\",reason=\"collector\"}");
    assert_eq!((spans, sent + untaken), (10, 10));
    // A message with one span can be refused no more than that.
    assert!((2..=2 * messages).contains(&untaken), "{untaken} of {messages}");
}

/// Enforced by `Held::drop`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_loses_a_counted_number() {
    let collector = Collector::new(Manner::Takes).await;
    let config = otlp(&collector, 1.0);
    let address = collector.address();
    drop(collector);
    soon("nobody listens", || {
        std::net::TcpStream::connect(address).is_err()
    })
    .await;
    let host = builder().otlp(config).start().unwrap();
    host.load(load("guest-echo", "echo")).await.unwrap();
    let args = [1_u32.to_le_bytes(), 2_u32.to_le_bytes()].concat();
    for _ in 0..7 {
        host.call_encoded("echo/echo.add", &args).unwrap();
    }
    let stalls = Stalls::watch();
    let began = Instant::now();
    host.shutdown(Duration::from_secs(5)).await;
    let took = stalls.since(began);
    assert!(took.own() < Duration::from_secs(10), "{took:?}");
    let dropped = "odeon_otlp_dropped_total{signal=\"spans\",reason=\"collector\"}";
    assert_eq!(counted(&host, dropped), 14);
}

/// What nobody is told is not counted either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_without_a_collector_has_no_such_metrics() {
    let host = builder().start().unwrap();
    assert!(!host.metrics().contains("odeon_otlp"));
}

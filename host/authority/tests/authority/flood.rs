//! What a plugin can make happen at will costs a bounded number of bytes.

use std::time::{Duration, Instant};

use odeon_authority::{
    ByteSize, Coalescer, Due, Event, FailedLoad, LoadStep, Noted, Records, Repeated, Text,
};
use odeon_protocol::{Code, Digest, PluginName};

use crate::ground::Ground;

fn denial(target: usize) -> Repeated {
    let target = format!("10.0.{}.{}:443", target / 250, target % 250);
    Repeated::Denial {
        grant: "tcp".into(),
        reason: format!("tcp to {target} is not granted: no tcp grant names it; add one with --grant tcp=…")
            .into(),
        target: target.into(),
        rule: None,
        chain: Vec::new(),
    }
}

/// The line that is to be written, if one is.
fn due(noted: Noted) -> Option<Due> {
    match noted {
        Noted::Due(due) => Some(due),
        Noted::Counted | Noted::NotOnRecord => None,
    }
}

fn event(noted: Noted) -> Option<Event> {
    due(noted).map(|due| due.event())
}

fn failed(number: usize) -> Repeated {
    Repeated::LoadFailed(Box::new(FailedLoad {
        digest: Some(Digest::of(&number.to_le_bytes())),
        step: LoadStep::Link,
        code: Code::LinkFailed,
        reason: Text::from("x".repeat(Text::MAX)),
        mismatches: Text::list(&vec!["y".repeat(Text::MAX); 200]),
        serving: None,
        principal: "user:0".into(),
    }))
}

/// Enforced by `Coalescer::note` (`MAX_DISTINCT`, the interval): over four
/// intervals, to ten thousand targets, a million denials leave some hundred
/// lines, and not one denial is uncounted.
#[test]
fn a_million_denials_to_ten_thousand_targets_cost_bounded_disk() {
    const DENIALS: usize = 1_000_000;
    const TARGETS: usize = 10_000;
    const INTERVAL: Duration = Duration::from_secs(10);
    const INTERVALS: u32 = 4;
    let ground = Ground::new();
    let audit = ground.open();
    let plugin: PluginName = "hostile".parse().unwrap();
    let mut coalescer = Coalescer::new(INTERVAL);
    let start = Instant::now();
    let step = INTERVAL * INTERVALS / DENIALS as u32;
    let mut flushed = start;
    for number in 0..DENIALS {
        let now = start + step * number as u32;
        if let Some(event) = event(coalescer.note(&plugin, denial(number % TARGETS), now)) {
            audit.append(event).unwrap();
        }
        if now - flushed >= INTERVAL {
            flushed = now;
            for due in coalescer.flush(now) {
                audit.append(due.event()).unwrap();
            }
        }
    }
    for event in coalescer.finish() {
        audit.append(event).unwrap();
    }
    let report = ground.report();
    assert!(report.is_sound(), "{:?}", report.findings);
    let bytes: u64 = ground
        .log()
        .iter()
        .map(|name| std::fs::metadata(ground.path().join(name)).unwrap().len())
        .sum();
    let counted: u64 = Records::open(ground.path())
        .unwrap()
        .filter(|record| record.event["kind"] == "denial")
        .map(|record| record.event["count"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, DENIALS as u64);
    let most = 2 * u64::from(INTERVALS + 1) * (Coalescer::MAX_DISTINCT as u64 + 1) * 512;
    assert!(bytes <= most, "{bytes} bytes, expected at most {most}");
    println!("{DENIALS} denials: {} lines, {bytes} bytes", report.lines);
}

/// Enforced by `Repeated::kin`: failing loads are bounded, and neither hides the
/// other.
#[test]
fn loads_that_fail_are_told_apart_up_to_a_bound_of_their_own() {
    let plugin: PluginName = "calc".parse().unwrap();
    let now = Instant::now();
    let mut coalescer = Coalescer::new(Duration::from_secs(10));
    let mut events: Vec<Event> = (0..1_000)
        .filter_map(|it| event(coalescer.note(&plugin, failed(it), now)))
        .collect();
    assert_eq!(events.len(), Coalescer::MAX_DISTINCT + 1);
    let is_own = |event: &Option<Event>| matches!(event, Some(Event::Denial { target, .. }) if target.as_str() != "(others)");
    assert!(
        is_own(&event(coalescer.note(&plugin, denial(1), now))),
        "it has room of its own"
    );
    events.extend(coalescer.finish());
    let counted: u64 = events
        .iter()
        .filter_map(|event| match event {
            Event::LoadFailed { count, .. } => Some(*count),
            _ => None,
        })
        .sum();
    assert_eq!(counted, 1_000);
    // The other way round.
    let mut coalescer = Coalescer::new(Duration::from_secs(10));
    (0..1_000).for_each(|number| drop(coalescer.note(&plugin, denial(number), now)));
    match event(coalescer.note(&plugin, failed(1), now)) {
        Some(Event::LoadFailed { failed, .. }) => {
            assert!(failed.digest.is_some() && failed.mismatches.len() == 65)
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        coalescer.note(&plugin, failed(1), now),
        Noted::Counted,
        "the same once per interval"
    );
}

/// Enforced by `Text::list` and `chain::MAX_LINE`: the longest failure there is
/// fits into a line.
#[test]
fn the_longest_failure_to_load_is_recorded() {
    let ground = Ground::new();
    let plugin: PluginName = "calc".parse().unwrap();
    let mut worst = failed(1);
    if let Repeated::LoadFailed(failed) = &mut worst {
        failed.mismatches = Text::list(&vec!["\\\"".repeat(Text::MAX); 200]);
    }
    ground.open().append(worst.event(&plugin, 1)).unwrap();
    let size = ByteSize::kib(128).bytes();
    assert!(
        std::fs::metadata(ground.path().join("audit.jsonl"))
            .unwrap()
            .len()
            < size
    );
}

/// Enforced by `Coalescer::unwritten` and `Count::due`: what could not be written
/// is nobody's line on record, is tried again, and is counted when it is written.
#[test]
fn what_could_not_be_written_is_not_taken_for_written() {
    const SECOND: Duration = Duration::from_secs(1);
    let plugin: PluginName = "keeper".parse().unwrap();
    let secret = || Repeated::SecretReveal {
        secret: "token".into(),
    };
    let start = Instant::now();
    let mut coalescer = Coalescer::new(Duration::from_secs(3600));
    let first = due(coalescer.note(&plugin, secret(), start)).unwrap();
    coalescer.unwritten(first, start);
    assert_eq!(coalescer.note(&plugin, secret(), start), Noted::NotOnRecord);
    // A moment later it is tried again, and fails again.
    let again = due(coalescer.note(&plugin, secret(), start + SECOND)).unwrap();
    coalescer.unwritten(again, start + SECOND);
    assert_eq!(
        coalescer.note(&plugin, secret(), start + SECOND),
        Noted::NotOnRecord
    );
    // So is what nobody asks for any more.
    let lines = coalescer.flush(start + 2 * SECOND);
    let counts: Vec<u64> = lines
        .iter()
        .map(|due| match due.event() {
            Event::SecretReveal { count, .. } => count,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts, [4], "each time it was asked for");
    assert_eq!(
        coalescer.note(&plugin, secret(), start + 2 * SECOND),
        Noted::Counted
    );
}

/// Enforced by `Count::due` (the pause that doubles) and `Repeated::most`: whoever
/// is denied the same things for a week, or comes back to them just when they
/// would be new again, writes no more than a line an hour about each in the end.
#[test]
fn denials_for_a_week_cost_a_line_an_hour_each() {
    const INTERVAL: Duration = Duration::from_secs(10);
    const WEEK: u64 = 7 * 24 * 3600;
    let plugin: PluginName = "hostile".parse().unwrap();
    for every in [1, 11, 60] {
        let mut coalescer = Coalescer::new(INTERVAL);
        let start = Instant::now();
        let (mut lines, mut counted, mut noted) = (0_u64, 0_u64, 0_u64);
        let mut take = |event: Event| {
            let Event::Denial { count, .. } = event else {
                panic!("{event:?}")
            };
            lines += 1;
            counted += count;
        };
        for second in (0..WEEK).step_by(every) {
            let now = start + Duration::from_secs(second);
            event(coalescer.note(&plugin, denial(0), now))
                .into_iter()
                .for_each(&mut take);
            noted += 1;
            coalescer.flush(now).iter().for_each(|due| take(due.event()));
        }
        coalescer.finish().into_iter().for_each(&mut take);
        assert_eq!(counted, noted);
        assert!(lines < 7 * 24 + 16, "{lines} lines, one each {every} s");
    }
}

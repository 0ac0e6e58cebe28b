//! What a plugin can make happen at will costs a bounded number of bytes.

use std::time::{Duration, Instant};

use odeon_authority::{ByteSize, Coalescer, Event, FailedLoad, LoadStep, Records, Repeated, Text};
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
        if let Some(event) = coalescer.note(&plugin, denial(number % TARGETS), now) {
            audit.append(event).unwrap();
        }
        if now - flushed >= INTERVAL {
            flushed = now;
            for event in coalescer.flush(now) {
                audit.append(event).unwrap();
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
        .filter_map(|it| coalescer.note(&plugin, failed(it), now))
        .collect();
    assert_eq!(events.len(), Coalescer::MAX_DISTINCT + 1);
    let is_own = |event: &Option<Event>| matches!(event, Some(Event::Denial { target, .. }) if target.as_str() != "(others)");
    assert!(
        is_own(&coalescer.note(&plugin, denial(1), now)),
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
    match coalescer.note(&plugin, failed(1), now) {
        Some(Event::LoadFailed { failed, .. }) => {
            assert!(failed.digest.is_some() && failed.mismatches.len() == 65)
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        coalescer.note(&plugin, failed(1), now),
        None,
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

//! What repeats costs few lines, and hides nothing of another kind.

use std::time::{Duration, Instant};

use odeon_authority::{Coalescer, Event, Noted, Repeated, Text};

fn denial(target: usize) -> Repeated {
    Repeated::Denial {
        grant: Text::from("tcp"),
        target: Text::from(format!("10.0.0.1:{target}")),
        reason: Text::from("no tcp grant names it"),
        rule: None,
        chain: Vec::new(),
    }
}

/// The line that is to be written, if one is.
fn line(noted: Noted) -> Option<Event> {
    match noted {
        Noted::Due(due) => Some(due.event()),
        Noted::Counted | Noted::NotOnRecord => None,
    }
}

// Passes by `Coalescer::note` (counting, and the bound on distinct targets).
#[test]
fn a_million_denials_cost_a_bounded_number_of_lines() {
    let plugin = "calc".parse().unwrap();
    let mut coalescer = Coalescer::new(Duration::from_secs(10));
    let start = Instant::now();
    // Ten seconds' worth of them, to a thousand different targets.
    let mut events: Vec<Event> = (0..1_000_000_usize)
        .filter_map(|number| {
            let now = start + Duration::from_micros(9 * number as u64);
            line(coalescer.note(&plugin, denial(number % 1_000), now))
        })
        .collect();
    assert_eq!(events.len(), Coalescer::MAX_DISTINCT + 1);
    events.extend(coalescer.finish());
    let counted: u64 = events
        .iter()
        .map(|event| match event {
            Event::Denial { count, .. } => *count,
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(counted, 1_000_000);
    assert!(events.len() <= 2 * (Coalescer::MAX_DISTINCT + 1));
}

// Passes by `Repeated::lumped`.
#[test]
fn the_name_of_a_secret_is_told_whatever_else_the_plugin_did() {
    let plugin = "calc".parse().unwrap();
    let mut coalescer = Coalescer::new(Duration::from_secs(10));
    let now = Instant::now();
    let reveal = |number: usize| Repeated::SecretReveal {
        secret: Text::from(format!("secret-{number}")),
    };
    for number in 0..200 {
        coalescer.note(&plugin, denial(number), now);
    }
    for number in 0..100 {
        let event = line(coalescer.note(&plugin, reveal(number), now));
        let expected = Text::from(format!("secret-{number}"));
        assert!(
            matches!(&event, Some(Event::SecretReveal { secret, .. }) if *secret == expected),
            "{event:?}"
        );
    }
    // Nor do secrets take the room of denials.
    let mut coalescer = Coalescer::new(Duration::from_secs(10));
    for number in 0..100 {
        coalescer.note(&plugin, reveal(number), now);
    }
    assert_eq!(
        coalescer.note(&plugin, denial(1), now),
        Coalescer::new(Duration::from_secs(10)).note(&plugin, denial(1), now)
    );
}

#[test]
fn the_first_denial_is_written_at_once_and_repeats_after_an_interval_and_then_after_two() {
    let plugin = "calc".parse().unwrap();
    let interval = Duration::from_secs(10);
    let mut coalescer = Coalescer::new(interval);
    let start = Instant::now();
    let count = |noted: Noted| match line(noted) {
        Some(Event::Denial { count, .. }) => Some(count),
        Some(other) => panic!("{other:?}"),
        None => None,
    };
    assert_eq!(count(coalescer.note(&plugin, denial(1), start)), Some(1));
    assert_eq!(count(coalescer.note(&plugin, denial(1), start)), None);
    assert!(coalescer.flush(start + interval / 2).is_empty());
    assert_eq!(
        coalescer
            .flush(start + interval)
            .into_iter()
            .map(Noted::Due)
            .map(count)
            .collect::<Vec<_>>(),
        [Some(1)]
    );
    assert_eq!(count(coalescer.note(&plugin, denial(1), start + interval)), None);
    assert_eq!(
        count(coalescer.note(&plugin, denial(1), start + interval * 2)),
        None
    );
    assert_eq!(
        count(coalescer.note(&plugin, denial(1), start + interval * 3)),
        Some(3)
    );
}

// Passes by `Repeated::kin` and `Repeated::lumped`: whoever is denied much hides
// no use of a secret behind it.
#[test]
fn a_shown_secret_is_named_however_many_denials_came_before() {
    let plugin = "calc".parse().unwrap();
    let mut coalescer = Coalescer::new(Duration::from_secs(10));
    let now = Instant::now();
    for target in 0..10 * Coalescer::MAX_DISTINCT {
        coalescer.note(&plugin, denial(target), now);
    }
    for secret in ["one", "two"] {
        let what = Repeated::SecretReveal {
            secret: Text::from(secret),
        };
        match line(coalescer.note(&plugin, what, now)) {
            Some(Event::SecretReveal { secret: shown, .. }) => assert_eq!(shown.as_str(), secret),
            other => panic!("{other:?}"),
        }
    }
    // And the other way round: what was shown takes no place of what is denied.
    let mut coalescer = Coalescer::new(Duration::from_secs(10));
    for secret in 0..10 * Coalescer::MAX_DISTINCT {
        let secret = Text::from(format!("secret-{secret}"));
        coalescer.note(&plugin, Repeated::SecretReveal { secret }, now);
    }
    match line(coalescer.note(&plugin, denial(1), now)) {
        Some(Event::Denial { grant, .. }) => assert_eq!(grant.as_str(), "tcp"),
        other => panic!("{other:?}"),
    }
}

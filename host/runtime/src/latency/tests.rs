//! What the buckets say of the times that went in.

use super::*;

fn of(micros: &[u64]) -> Latencies {
    let histogram = Histogram::new();
    for took in micros {
        histogram.add(Duration::from_micros(*took), 1);
    }
    histogram.read()
}

#[test]
fn a_time_is_in_the_bucket_whose_bound_it_does_not_pass() {
    let read = of(&[1, 2, 10, 60_000_000, 60_000_001]);
    let up_to = |bound: Duration| {
        let mut buckets = read.buckets();
        buckets.find(|(at, _)| *at == Some(bound)).unwrap().1
    };
    assert_eq!(up_to(Duration::from_micros(1)), 1);
    assert_eq!(up_to(Duration::from_nanos(2_500)), 2);
    assert_eq!(up_to(Duration::from_micros(5)), 2);
    assert_eq!(up_to(Duration::from_micros(10)), 3);
    assert_eq!(up_to(Duration::from_secs(60)), 4);
    assert_eq!(read.buckets().last().unwrap(), (None, 5));
    assert_eq!(
        (read.count(), read.sum()),
        (5, Duration::from_micros(120_000_014))
    );
}

#[test]
fn percentiles_are_within_the_bucket_of_their_call() {
    assert_eq!(Latencies::default().percentile(50), None);
    let mut times = vec![3; 98];
    times.extend([40_000, 70_000_000]);
    let read = of(&times);
    let p50 = read.percentile(50).unwrap();
    assert!((2_500..=5_000).contains(&p50.as_nanos()), "{p50:?}");
    let p99 = read.percentile(99).unwrap();
    assert!((25..=50).contains(&p99.as_millis()), "{p99:?}");
    // What is beyond the last bound is not guessed at.
    assert_eq!(read.percentile(100).unwrap(), Duration::from_secs(60));
}

#[test]
fn times_of_two_add_up() {
    let (mut one, two) = (of(&[1, 5]), of(&[5, 9]));
    one.add(&two);
    assert_eq!(one, of(&[1, 5, 5, 9]));
}

/// The sample stands for all calls, whatever pattern they come in: enforced by
/// `Timed::some`.
#[test]
fn the_sample_stands_for_all_calls() {
    const CALLS: u64 = 100_000;
    let stands_for = |numbers: &mut dyn Iterator<Item = u64>| -> u64 {
        numbers.filter_map(Timed::some).map(|timed| timed.weight).sum()
    };
    assert_eq!(stands_for(&mut (0..ALL)), ALL, "the first are all timed");
    // Every call, every second, every sixteenth, and the others of those.
    for (step, first) in [(1, 0), (2, 0), (2, 1), (16, 0), (16, 5)] {
        let found = stands_for(&mut (0..CALLS).map(|call| ALL + first + call * step));
        assert!(
            found.abs_diff(CALLS) < CALLS / 50,
            "{step} {first}: {found} for {CALLS}"
        );
    }
    // No clock is read for the others.
    let timed = (ALL..ALL + CALLS).filter_map(Timed::some).count() as u64;
    assert!(timed.abs_diff(CALLS / SAMPLE) < CALLS / SAMPLE / 50, "{timed}");
}

//! A process that is killed at 200 of its system calls, and what the next start
//! makes of each.
//!
//! Faults that it found in the host, all mended: a replace by a lower version
//! that was killed between its two files was refused at every start; a load
//! wrote its version before it was in the list, so that a version was on record
//! that had never served; files that were being written when a process was
//! killed stayed for ever; a revocation that was not gone by before the kill
//! left its load in the list; and a replace or load whose version could not be
//! written down was on record as done.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use crate::{
    found::look,
    ground::Ground,
    phases::{Phase, Victim, phases},
    tracer::At,
};

/// How many processes are killed.
const KILLS: u64 = 200;
/// So many of them may have ended before their call came.
const LATE: u64 = 20;
/// Sites that are worked on at a time.
const AT_ONCE: usize = 3;
/// Every so manieth restart is killed as well, before the one that is looked at.
const AGAIN: u64 = 4;

/// One kill.
struct Point<'a> {
    number: u64,
    phase: &'a Phase,
    call: u64,
    at: At,
    /// Where the restart is killed too.
    again: Option<(u64, At)>,
}

/// Choices that are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % most
    }

    fn at(&mut self, calls: u64) -> (u64, At) {
        let at = if self.below(2) == 0 { At::Entry } else { At::Exit };
        (self.below(calls.max(1)) + 1, at)
    }
}

/// The calls of a phase, by letting it run to its end.
fn counted(ground: &Ground, phase: &Phase) -> u64 {
    let site = ground.site(&format!("count-{}", phase.name.replace(' ', "-")), phase.base);
    let run = phase.run(ground, &site, None);
    let calls = run.calls.expect("nobody killed it");
    let found = look(&site, phase.small);
    let ends_with = match phase.name {
        "roll back" => &phase.old,
        _ => &phase.new,
    };
    assert_eq!(found.as_ref(), Ok(ends_with), "{}, undisturbed", phase.name);
    assert!(calls > 0, "{}: nothing changes", phase.name);
    if phase.small {
        assert!(site.segments() > 0, "{}: no segment has ended", phase.name);
    }
    site.remove();
    calls
}

/// The points of a phase: spread over all its calls, each at its entry or exit.
fn chosen<'a>(phase: &'a Phase, calls: u64, start: u64, dice: &mut Dice, points: &mut Vec<Point<'a>>) {
    let places = calls * 2;
    for index in 0..phase.points {
        let (from, to) = (index * places / phase.points, (index + 1) * places / phase.points);
        let place = from + dice.below((to - from).max(1));
        let number = points.len() as u64;
        points.push(Point {
            number,
            phase,
            call: place / 2 + 1,
            at: if place.is_multiple_of(2) {
                At::Entry
            } else {
                At::Exit
            },
            again: number.is_multiple_of(AGAIN).then(|| dice.at(start)),
        });
    }
}

/// Kills at a point and says what was wrong after that; and whether it was too
/// late.
fn tried(ground: &Ground, point: &Point<'_>) -> (Option<String>, bool) {
    let phase = point.phase;
    let site = ground.site(&format!("point-{}", point.number), phase.base);
    let run = phase.run(ground, &site, Some((point.call, point.at)));
    if let Some(again) = point.again {
        let command = site.serving(phase.small);
        let mut traced = ground
            .tracer
            .start(&command, &site.folder, &site.state, Some(again));
        traced.ready();
        traced.kill();
    }
    let found = look(&site, phase.small);
    let wrong = match found {
        Err(wrong) => Some(wrong),
        Ok(found) if run.answered && phase.answer_counts && found != phase.new => {
            Some(format!("it was answered that it is done, and found {found:?}"))
        }
        Ok(found) if found != phase.old && found != phase.new => {
            Some(format!("neither the old nor the new state: {found:?}"))
        }
        Ok(_) => None,
    };
    if wrong.is_none() {
        site.remove();
    }
    (wrong, run.calls.is_some())
}

/// Whatever a process is killed at: the next start serves, its audit is sound, and
/// it has the old or the new state, and not a mixture of them. Enforced by `Host::keep`.
#[test]
fn storm_two_hundred_kills() {
    let began = Instant::now();
    let ground = Ground::new();
    let phases = phases(&ground);
    assert_eq!(phases.iter().map(|phase| phase.points).sum::<u64>(), KILLS);
    let calls: Vec<u64> = phases.iter().map(|phase| counted(&ground, phase)).collect();
    let starting = phases.iter().zip(&calls);
    let start = starting
        .filter(|(phase, _)| phase.victim == Victim::Starting)
        .map(|(_, calls)| *calls)
        .sum();
    let mut dice = Dice(3);
    let mut points = Vec::new();
    for (phase, calls) in phases.iter().zip(&calls) {
        println!("{}: {} of the {calls} calls", phase.name, phase.points);
        chosen(phase, *calls, start, &mut dice, &mut points);
    }
    let next = AtomicU64::new(0);
    let (late, wrong) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let (found, was_late) = tried(&ground, point);
                    late.fetch_add(u64::from(was_late), Ordering::Relaxed);
                    if let Some(found) = found {
                        let place = format!(
                            "{}, {:?} of call {}, then {:?}",
                            point.phase.name, point.at, point.call, point.again
                        );
                        wrong.lock().unwrap().insert(point.number, (place, found));
                    }
                }
            });
        }
    });
    let late = late.into_inner();
    println!(
        "{KILLS} kills, {late} of them late, in {} s",
        began.elapsed().as_secs()
    );
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {KILLS}: {wrong:#?}", wrong.len());
    assert!(
        late <= LATE,
        "{late} of {KILLS} ended before they could be killed"
    );
}

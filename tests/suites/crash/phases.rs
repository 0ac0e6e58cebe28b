//! What is done while a process is killed, and what may be found after that.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    found::Found,
    ground::{Base, Ground, P, Q, Site, VARIABLE},
    tracer::{At, PATIENCE},
};

/// Whose system calls count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// A host's, from when it serves.
    Host,
    /// A host's, from its beginning until it serves.
    Starting,
    /// The command's own; no host runs.
    Command,
}

/// A thing that is done. What was so before is the old state; what it comes to is
/// the new one.
pub struct Phase {
    pub name: &'static str,
    /// How many points of it are chosen.
    pub points: u64,
    pub base: Base,
    /// Whether segments of the audit are small and the one that is written is
    /// nearly full.
    pub small: bool,
    pub victim: Victim,
    /// What is done: a command, or `describe` and what a descriptor says from then
    /// on.
    pub does: Vec<String>,
    /// Whether it has come to its end, where that is later than its answer.
    pub settled: fn(&Site<'_>) -> bool,
    pub old: Found,
    pub new: Found,
    /// Whether what was answered with success is so.
    pub answer_counts: bool,
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn at_once(_: &Site<'_>) -> bool {
    true
}

fn nothing_serves(site: &Site<'_>) -> bool {
    let list = site.list();
    list.is_some_and(|list| list["plugins"].as_array().unwrap().is_empty())
}

fn nothing_is_granted(site: &Site<'_>) -> bool {
    let ran = site.odeon(&["grant", P, "--json"]);
    let report = || -> serde_json::Value { serde_json::from_str(&ran.out).unwrap() };
    ran.status == Some(0) && report()["grants"].as_array().unwrap().is_empty()
}

fn second_serves(site: &Site<'_>) -> bool {
    let list = site.list();
    list.is_some_and(|list| list["plugins"][0]["version"] == "2.0.0")
}

/// Three calls that trap, and the version before is back under a number of its
/// own.
fn rolled_back(site: &Site<'_>) -> bool {
    let Some(list) = site.list() else { return false };
    match list["plugins"][0]["version"].as_str() {
        Some("3.0.0") => {
            for _ in 0..3 {
                site.odeon(&["call", &format!("{P}/trap")]);
            }
            false
        }
        _ => true,
    }
}

/// All of them; 200 points.
pub fn phases(ground: &Ground) -> Vec<Phase> {
    let allow = &["allow"][..];
    let one = Found::of(&[(P, 1)], &[(P, 1)], allow);
    let two = Found::of(&[(P, 2)], &[(P, 2)], allow);
    let usual = |name, points, base, does: &[&str], old: &Found, new: &Found| Phase {
        name,
        points,
        base,
        small: false,
        victim: Victim::Host,
        does: words(does),
        settled: at_once,
        old: old.clone(),
        new: new.clone(),
        answer_counts: true,
    };
    let file = |name, number| ground.file(name, number);
    let [first, second, bad, other] = [file(P, 1), file(P, 2), file(P, 3), file(Q, 1)];
    let granted = one.clone().granting(P, &["env=A"], &[VARIABLE]);
    let taken_away = one.clone().granting(P, &[], &[VARIABLE]);
    let take_away = &["trust", "revoke", "--grant", "env=A", "--name", P];
    let denied = |known: &[(&str, u64)]| Found::of(&[], known, &["deny"]);
    vec![
        usual(
            "load",
            20,
            Base::Empty,
            &["load", &first],
            &Found::of(&[], &[], allow),
            &one,
        ),
        usual("replace", 26, Base::One, &["replace", P, &second], &one, &two),
        // Fault found here: the list was written before the lower version was on
        // record, and the next start refused what the list said.
        usual(
            "replace by a lower version",
            16,
            Base::Two,
            &["replace", P, &first, "--allow-downgrade"],
            &two,
            &one,
        ),
        Phase {
            settled: rolled_back,
            answer_counts: false,
            ..usual(
                "roll back",
                14,
                Base::One,
                &["replace", P, &bad],
                &one,
                &Found::of(&[(P, 3)], &[(P, 3)], allow),
            )
        },
        usual(
            "unload",
            8,
            Base::One,
            &["unload", P, "--now"],
            &one,
            &Found::of(&[], &[(P, 1)], allow),
        ),
        Phase {
            victim: Victim::Command,
            ..usual(
                "trust another key",
                10,
                Base::One,
                &["trust", "add", "--key", "../other.key.pub"],
                &one,
                &Found::of(&[(P, 1)], &[(P, 1)], &["allow", "allow"]),
            )
        },
        // Fault found here: a host that was killed before it had gone by its policy
        // kept the load, and was refused it at every start.
        Phase {
            victim: Victim::Command,
            ..usual(
                "revoke a key",
                10,
                Base::One,
                &["trust", "revoke", "--key", "../author.key.pub"],
                &one,
                &denied(&[(P, 1)]),
            )
        },
        Phase {
            settled: nothing_serves,
            ..usual(
                "go by a revocation",
                16,
                Base::One,
                &["trust", "revoke", "--key", "../author.key.pub"],
                &one,
                &denied(&[(P, 1)]),
            )
        },
        usual("grant add", 8, Base::One, &["grant", P, VARIABLE], &one, &granted),
        usual(
            "grant --revoke",
            9,
            Base::Granted,
            &["grant", P, "--revoke", "env=A"],
            &granted,
            &one,
        ),
        Phase {
            victim: Victim::Command,
            ..usual(
                "trust revoke --grant",
                5,
                Base::Granted,
                take_away,
                &granted,
                &taken_away,
            )
        },
        Phase {
            settled: nothing_is_granted,
            ..usual(
                "go by trust revoke --grant",
                6,
                Base::Granted,
                take_away,
                &granted,
                &taken_away,
            )
        },
        // What it says counts from when it is there, whoever is killed after that.
        Phase {
            settled: second_serves,
            ..usual(
                "descriptor replace",
                8,
                Base::Described,
                &["describe", &ground.describing(2, "")],
                &one.clone().granting(P, &["env=A"], &[]),
                &two,
            )
        },
        Phase {
            small: true,
            ..usual(
                "begin a segment",
                24,
                Base::One,
                &["load", &other],
                &one,
                &Found::of(&[(P, 1), (Q, 1)], &[(P, 1), (Q, 1)], allow),
            )
        },
        Phase {
            small: true,
            victim: Victim::Starting,
            ..usual("start", 14, Base::One, &[], &one, &one)
        },
        usual("stop", 6, Base::One, &["stop", "--now"], &one, &one),
    ]
}

/// How a run ended.
pub struct Run {
    /// How many calls there were; none if it was killed at one.
    pub calls: Option<u64>,
    /// Whether whoever asked was told that it was done.
    pub answered: bool,
}

impl Phase {
    /// Does it on a site that is a copy of its base, with its victim killed at
    /// this call, or at the end.
    pub fn run(&self, ground: &Ground, site: &Site<'_>, kill: Option<(u64, At)>) -> Run {
        let does: Vec<&str> = self.does.iter().map(String::as_str).collect();
        match self.victim {
            Victim::Command => {
                let command = site.command(&does);
                let traced = ground.tracer.start(&command, &site.folder, &site.state, kill);
                let calls = traced.ended();
                let said = std::fs::read_to_string(site.folder.join("out")).unwrap();
                Run {
                    calls,
                    answered: !said.is_empty(),
                }
            }
            Victim::Starting => {
                site.fill();
                let command = site.serving(self.small);
                let mut traced = ground.tracer.start(&command, &site.folder, &site.state, kill);
                let is_ready = traced.ready();
                let calls = traced.count();
                assert!(is_ready || kill.is_some(), "{}", traced.log());
                traced.kill();
                Run {
                    calls,
                    answered: false,
                }
            }
            Victim::Host => self.run_beside(ground, site, &does, kill),
        }
    }

    fn run_beside(&self, ground: &Ground, site: &Site<'_>, does: &[&str], kill: Option<(u64, At)>) -> Run {
        let command = site.serving(self.small);
        let mut traced = ground.tracer.start(&command, &site.folder, &site.state, None);
        assert!(traced.ready(), "{}", traced.log());
        if self.small {
            site.fill();
        }
        let (number, at) = kill.unwrap_or((0, At::Entry));
        traced.arm(number, at);
        let answered = match does {
            ["describe", text] => {
                site.describe(text);
                true
            }
            does => site.odeon(does).status == Some(0),
        };
        assert!(answered || kill.is_some(), "{}: {}", self.name, traced.log());
        let until = Instant::now() + PATIENCE;
        while !traced.has_ended() && !(self.settled)(site) {
            assert!(Instant::now() < until, "{} does not settle", self.name);
            sleep(Duration::from_millis(20));
        }
        if does.first() == Some(&"stop") {
            return Run {
                calls: traced.ended(),
                answered,
            };
        }
        let calls = traced.count();
        traced.kill();
        Run { calls, answered }
    }
}

//! What the plan keeps to, whatever the folder and the host are like: by random
//! histories, each followed to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use odeon_authority::{Descriptor, GrantSet};
use odeon_protocol::{Code, DescriptorState, Digest, Generation, PluginName};
use proptest::prelude::*;

use super::super::applied::{Applied, FileName, Gone, Problem, Put, Refused, Want};
use super::super::content::{Content, Identity};
use super::{Folder, Now, Running, Seen, Step, plan};

/// A host and a folder as the planner sees them.
#[derive(Clone, Debug, Default)]
struct World {
    folder: Folder,
    applied: Applied,
    now: Now,
    last: BTreeMap<PluginName, u64>,
}

/// What happens.
#[derive(Clone, Debug)]
enum Happens {
    Written {
        file: u8,
        name: u8,
        content: u8,
        drain: bool,
    },
    Broken {
        file: u8,
    },
    Unsettled {
        file: u8,
    },
    Deleted {
        file: u8,
    },
    Unloaded {
        name: u8,
    },
    LoadedByHand {
        name: u8,
    },
    ReplacedByHand {
        name: u8,
    },
    NewRound,
    Steps {
        refusing: u8,
    },
}

fn file(number: u8) -> FileName {
    format!("{number}.toml").into()
}

fn name(number: u8) -> PluginName {
    format!("p{number}").parse().unwrap()
}

fn want(name: u8, content: u8, drain: bool) -> Want {
    let drain = if drain { "drain = \"1s\"\n" } else { "" };
    let text = format!("source = \"c.wasm\"\nname = \"p{name}\"\n{drain}");
    Want {
        descriptor: Arc::new(Descriptor::parse(text.as_bytes(), Path::new("/d")).unwrap()),
        content: Content::Offered(Identity {
            digest: Digest::of(&[content]),
            signers: Vec::new(),
            claim: None,
        }),
        name: Some(self::name(name)),
    }
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (0..5_u8, 0..3_u8, 0..4_u8, any::<bool>())
            .prop_map(|(file, name, content, drain)| Happens::Written { file, name, content, drain }),
        2 => (0..5_u8).prop_map(|file| Happens::Broken { file }),
        2 => (0..5_u8).prop_map(|file| Happens::Unsettled { file }),
        3 => (0..5_u8).prop_map(|file| Happens::Deleted { file }),
        1 => (0..3_u8).prop_map(|name| Happens::Unloaded { name }),
        1 => (0..3_u8).prop_map(|name| Happens::LoadedByHand { name }),
        1 => (0..3_u8).prop_map(|name| Happens::ReplacedByHand { name }),
        1 => Just(Happens::NewRound),
        6 => (0..4_u8).prop_map(|refusing| Happens::Steps { refusing }),
    ]
}

impl World {
    fn happen(&mut self, what: &Happens) {
        match what {
            Happens::Written {
                file,
                name,
                content,
                drain,
            } => {
                self.see(*file, Seen::Wants(want(*name, *content, *drain)));
            }
            Happens::Broken { file } => {
                self.see(*file, Seen::Broken(Problem::new(Code::DescriptorInvalid, "no")));
            }
            Happens::Unsettled { file } => self.see(*file, Seen::Unsettled),
            Happens::Deleted { file } => {
                self.folder.files.remove(&self::file(*file));
            }
            Happens::Unloaded { name } => {
                let name = self::name(*name);
                if let Some(running) = self.now.running.remove(&name) {
                    let folder = self.folder.clone();
                    self.applied
                        .departed(&folder, &name, running.generation, Gone::ByHand);
                }
            }
            Happens::LoadedByHand { name } => {
                let name = self::name(*name);
                if !self.now.running.contains_key(&name) {
                    self.runs(&name, None, None);
                }
            }
            Happens::ReplacedByHand { name } => {
                let name = self::name(*name);
                if self.now.running.contains_key(&name) {
                    self.runs(&name, None, None);
                }
            }
            Happens::NewRound => self.now.round += 1,
            // What is of this content is refused.
            Happens::Steps { refusing } => {
                self.settle(&[*refusing].map(|number| Digest::of(&[number])));
            }
        }
    }

    fn see(&mut self, file: u8, seen: Seen) {
        self.folder.files.insert(self::file(file), seen);
    }

    fn runs(&mut self, name: &PluginName, file: Option<FileName>, want: Option<Want>) -> Generation {
        let last = self.last.entry(name.clone()).or_default();
        *last += 1;
        let generation = Generation(*last);
        let running = Running {
            generation,
            file,
            want,
        };
        self.now.running.insert(name.clone(), running);
        generation
    }

    fn steps(&mut self) -> Vec<Step> {
        self.applied.observe(&self.folder, &self.now);
        plan(&self.folder, &self.applied, &self.now).steps
    }

    /// Does one step as the host would.
    fn take(&mut self, step: Step, refused: &[Digest]) {
        let (name, file) = match step {
            Step::Load { file } => (None, file),
            Step::Replace { name, file } => (Some(name), file),
            Step::Take { .. } => panic!("no file here says anything of grants"),
            Step::Adopt { name, file } => {
                let want = self.wanted(&file);
                let generation = self.now.running[&name].generation;
                let put = Put {
                    file,
                    want,
                    generation,
                    gone: None,
                };
                return self.applied.put(name, put);
            }
            Step::Unload { name } => {
                assert!(self.now.running.remove(&name).is_some(), "{name} runs");
                self.applied.puts.remove(&name);
                return;
            }
        };
        let want = self.wanted(&file);
        let target = want.name.clone().unwrap();
        assert_eq!(
            self.now.running.contains_key(&target),
            name.is_some(),
            "a load where nothing runs, a replace where something does"
        );
        let Content::Offered(Identity { digest, .. }) = &want.content else {
            panic!("every content here is offered");
        };
        if refused.contains(digest) {
            let refused = Refused {
                want,
                round: self.now.round,
                problem: Problem::new(Code::PolicyDenied, "no"),
            };
            self.applied.refused.insert(file, refused);
            return;
        }
        let generation = self.runs(&target, Some(file.clone()), Some(want.clone()));
        let put = Put {
            file,
            want,
            generation,
            gone: None,
        };
        self.applied.put(target, put);
    }

    fn wanted(&self, file: &FileName) -> Want {
        match &self.folder.files[file] {
            Seen::Wants(want) => want.clone(),
            other => panic!("no step is about a file that says {other:?}"),
        }
    }

    /// Does what is to be done until nothing is.
    fn settle(&mut self, refused: &[Digest]) {
        for _ in 0..64 {
            let steps = self.steps();
            if steps.is_empty() {
                return;
            }
            let names: Vec<_> = steps.iter().filter_map(of).collect();
            assert_eq!(
                names.len(),
                names.iter().collect::<BTreeSet<_>>().len(),
                "{steps:?}"
            );
            for step in steps {
                self.take(step, refused);
            }
        }
        panic!("the plan comes to no end: {self:?}");
    }
}

/// The name that a step is about.
fn of(step: &Step) -> Option<&PluginName> {
    match step {
        Step::Load { .. } => None,
        Step::Take { name, .. }
        | Step::Replace { name, .. }
        | Step::Adopt { name, .. }
        | Step::Unload { name } => Some(name),
    }
}

/// What serves, by the content that was loaded.
fn contents(world: &World) -> BTreeMap<&PluginName, &Content> {
    let runs = world.now.running.iter();
    runs.filter_map(|(name, running)| Some((name, &running.want.as_ref()?.content)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Enforced by `Applied::refusal` and by `Planner::settle`: what was done or
    /// refused is not done again.
    #[test]
    fn what_is_planned_comes_to_an_end(history in prop::collection::vec(happens(), 0..40)) {
        let mut world = World::default();
        for what in &history {
            world.happen(what);
        }
        world.settle(&[]);
        prop_assert_eq!(world.steps(), Vec::new());
        // And there is a row for each file, and none else.
        let plan = plan(&world.folder, &world.applied, &world.now);
        let files: Vec<_> = world.folder.files.keys().collect();
        prop_assert_eq!(plan.rows.keys().collect::<Vec<_>>(), files);
    }

    /// Enforced by the keeper of `Planner::claim` and by `Planner::unclaimed`.
    #[test]
    fn a_file_that_says_nothing_changes_nothing(
        history in prop::collection::vec(happens(), 0..30),
        chosen in 0..5_u8,
        broken in any::<bool>(),
    ) {
        let mut world = World::default();
        for what in &history {
            world.happen(what);
        }
        world.settle(&[]);
        let because: Vec<_> = world.applied.puts.iter()
            .filter(|(_, put)| put.is_live() && put.file == file(chosen))
            .map(|(name, _)| (name.clone(), world.now.running[name].generation))
            .collect();
        world.happen(&if broken { Happens::Broken { file: chosen } } else { Happens::Unsettled { file: chosen } });
        world.settle(&[]);
        for (name, generation) in because {
            prop_assert_eq!(world.now.running.get(&name).map(|running| running.generation), Some(generation));
        }
    }

    /// Without operators and refusals, what runs in the end is what the folder
    /// describes, whatever came before.
    #[test]
    fn in_the_end_what_runs_is_what_the_folder_describes(history in prop::collection::vec(happens(), 0..40)) {
        let mut world = World::default();
        let by_hand = |what: &&Happens| {
            !matches!(what, Happens::Unloaded { .. } | Happens::LoadedByHand { .. } | Happens::ReplacedByHand { .. })
        };
        for what in history.iter().filter(by_hand) {
            world.happen(what);
        }
        for number in 0..5 {
            let says_nothing = world.folder.files.get(&file(number))
                .is_some_and(|seen| !matches!(seen, Seen::Wants(_)));
            if says_nothing {
                world.happen(&Happens::Deleted { file: number });
            }
        }
        world.happen(&Happens::NewRound);
        world.settle(&[]);
        let mut described: BTreeMap<&PluginName, Vec<&Content>> = BTreeMap::new();
        for seen in world.folder.files.values() {
            if let Seen::Wants(want) = seen {
                described.entry(want.name.as_ref().unwrap()).or_default().push(&want.content);
            }
        }
        let mut runs = contents(&world);
        // A file that gave up its name for one that another has is broken, and
        // what it described stays.
        let rows = plan(&world.folder, &world.applied, &world.now).rows;
        runs.retain(|name, _| {
            let file = &world.applied.puts[*name].file;
            described.contains_key(*name) || rows[file].state != DescriptorState::Broken
        });
        prop_assert_eq!(runs.keys().collect::<Vec<_>>(), described.keys().collect::<Vec<_>>());
        for (name, content) in runs {
            prop_assert!(described[name].contains(&content), "{} runs what no file describes", name);
        }
        // Each name is one file's, and the others are told.
        let serving = rows.values().filter(|row| row.state == DescriptorState::Serving);
        prop_assert_eq!(serving.count(), described.len());
    }

    /// Enforced by `is_held`.
    #[test]
    fn what_was_unloaded_by_hand_stays_out_until_its_file_changes(
        history in prop::collection::vec(happens(), 0..30),
        rounds in 0..3_u8,
    ) {
        let mut world = World::default();
        for what in &history {
            world.happen(what);
        }
        for number in 0..5 {
            world.happen(&Happens::Deleted { file: number });
        }
        world.settle(&[]);
        world.happen(&Happens::Unloaded { name: 0 });
        world.happen(&Happens::Written { file: 0, name: 0, content: 1, drain: false });
        world.settle(&[]);
        world.happen(&Happens::Unloaded { name: 0 });
        for _ in 0..rounds {
            world.happen(&Happens::NewRound);
            // The component may change as it likes.
            world.happen(&Happens::Written { file: 0, name: 0, content: 2, drain: false });
            world.settle(&[]);
            prop_assert!(!world.now.running.contains_key(&name(0)));
        }
        world.happen(&Happens::Written { file: 0, name: 0, content: 1, drain: true });
        world.settle(&[]);
        prop_assert!(world.now.running.contains_key(&name(0)));
    }
}

/// Names that change hands between two files are replaced, and never out.
#[test]
fn two_files_that_swap_their_names_are_two_replaces() {
    let mut world = World::default();
    for (file, name) in [(0, 0), (1, 1)] {
        world.happen(&Happens::Written {
            file,
            name,
            content: file,
            drain: false,
        });
    }
    world.settle(&[]);
    for (file, name) in [(0, 1), (1, 0)] {
        world.happen(&Happens::Written {
            file,
            name,
            content: file,
            drain: false,
        });
    }
    let swapped = [
        Step::Replace {
            name: name(0),
            file: file(1),
        },
        Step::Replace {
            name: name(1),
            file: file(0),
        },
    ];
    assert_eq!(world.steps(), swapped);
}

/// The same under another name is no change, and what counts only at a replace
/// is none either.
#[test]
fn a_file_that_moves_is_adopted() {
    let mut world = World::default();
    world.happen(&Happens::Written {
        file: 0,
        name: 0,
        content: 0,
        drain: false,
    });
    world.settle(&[]);
    world.happen(&Happens::Deleted { file: 0 });
    world.happen(&Happens::Written {
        file: 3,
        name: 0,
        content: 0,
        drain: true,
    });
    assert_eq!(
        world.steps(),
        [Step::Adopt {
            name: name(0),
            file: file(3)
        }]
    );
    world.settle(&[]);
    assert_eq!(world.now.running[&name(0)].generation.0, 1);
    // Now it is this one's: without it the plugin goes.
    world.happen(&Happens::Deleted { file: 3 });
    assert_eq!(world.steps(), [Step::Unload { name: name(0) }]);
}

/// What a file does not allow any more waits for nobody, and for nothing else.
#[test]
fn a_grant_is_taken_first_whoever_is_busy_with_the_plugin() {
    let allowing = |want: &Want| Want {
        descriptor: Arc::new(Descriptor {
            grants: GrantSet::parse(["env=A"]).unwrap(),
            ..Descriptor::clone(&want.descriptor)
        }),
        ..want.clone()
    };
    let mut world = World::default();
    let written = |name| Happens::Written {
        file: name,
        name,
        content: name,
        drain: false,
    };
    world.happen(&written(1));
    world.settle(&[]);
    let running = world.now.running.get_mut(&name(1)).unwrap();
    running.want = running.want.as_ref().map(allowing);
    let put = world.applied.puts.get_mut(&name(1)).unwrap();
    put.want = allowing(&put.want);
    world.now.busy.insert(name(1));
    world.happen(&written(0));
    let steps = [
        Step::Take {
            name: name(1),
            file: file(1),
        },
        Step::Load { file: file(0) },
    ];
    assert_eq!(world.steps(), steps);
    // What somebody put there from elsewhere is not the file's to take from.
    world.now.running.get_mut(&name(1)).unwrap().file = None;
    assert_eq!(world.steps(), [Step::Load { file: file(0) }]);
}

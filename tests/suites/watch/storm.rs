//! A thousand random edits, and that in the end exactly that runs which the
//! folder describes.
//!
//! The model is what the folder holds, by file: a text of its own, or a link
//! into data that is swapped as a whole. It knows nothing of the host.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use odeon_protocol::{DescriptorState, Digest};

use crate::ground::{CALC, Ground, ONE, TWO, bytes, component, digest, ground, text};

const FILES: usize = 10;
const PLUGINS: usize = 6;
const EDITS: usize = 1000;

/// Random numbers of a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        // An xorshift generator: what is random here is the order of edits.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % most
    }
}

/// A descriptor that a file holds.
#[derive(Clone, Debug, PartialEq)]
struct Says {
    plugin: String,
    component: &'static str,
    queue: usize,
}

/// A text, if it is a whole one.
type Text = Option<Says>;

/// What a name in the folder is.
#[derive(Clone, Debug)]
enum Entry {
    File(Text),
    /// A link to the file of this name in the data.
    Link(String),
}

/// What the folder holds.
struct Model {
    dice: Dice,
    entries: BTreeMap<String, Entry>,
    /// The two versions of the data, and which of them is in force.
    data: [BTreeMap<String, Text>; 2],
    current: usize,
    /// What is in the component that changes, if it is whole.
    changing: Option<&'static str>,
}

fn file(number: usize) -> String {
    format!("f{number}.toml")
}

impl Says {
    fn write(&self) -> String {
        format!(
            "{}[limits]\nqueue = {}\n",
            text(&self.plugin, self.component),
            self.queue
        )
    }
}

impl Model {
    fn new(ground: &Ground, seed: u64) -> Self {
        for version in ["..a", "..b"] {
            fs::create_dir(ground.path(version)).unwrap();
        }
        symlink("..a", ground.path("..data")).unwrap();
        Model {
            dice: Dice(seed),
            entries: BTreeMap::new(),
            data: [BTreeMap::new(), BTreeMap::new()],
            current: 0,
            changing: Some(ONE),
        }
    }

    fn any_file(&mut self) -> String {
        file(self.dice.below(FILES))
    }

    fn any_text(&mut self) -> Says {
        Says {
            plugin: format!("p{}", self.dice.below(PLUGINS)),
            component: [ONE, TWO, CALC, "changing"][self.dice.below(4)],
            queue: 100 + self.dice.below(2),
        }
    }

    /// What a name says in the end; nothing if it is not there.
    fn says(&self, file: &str) -> Option<Text> {
        Some(match self.entries.get(file)? {
            Entry::File(text) => text.clone(),
            Entry::Link(target) => self.data[self.current].get(target).cloned().flatten(),
        })
    }

    fn edit(&mut self, ground: &Ground) {
        let name = self.any_file();
        let path = ground.path(&name);
        match self.dice.below(12) {
            // In place, in two parts.
            0 | 1 => {
                let says = self.any_text();
                unlink(&path);
                let text = says.write();
                fs::write(&path, &text[..text.len() / 2]).unwrap();
                fs::write(&path, text).unwrap();
                self.entries.insert(name, Entry::File(Some(says)));
            }
            2 | 3 => {
                let says = self.any_text();
                ground.put(&name, &says.write());
                self.entries.insert(name, Entry::File(Some(says)));
            }
            // Half of one, which stays so.
            4 => {
                let text = self.any_text().write();
                unlink(&path);
                fs::write(&path, &text[..20]).unwrap();
                self.entries.insert(name, Entry::File(None));
            }
            5 | 6 => {
                unlink(&path);
                self.entries.remove(&name);
            }
            // From one name to another.
            7 => {
                if let Some(entry) = self.entries.remove(&name) {
                    let other = self.any_file();
                    fs::rename(&path, ground.path(&other)).unwrap();
                    self.entries.insert(other, entry);
                }
            }
            // Touched, or with a comment more.
            8 => {
                if let Some(Entry::File(Some(says))) = self.entries.get(&name) {
                    if self.dice.below(2) == 0 {
                        let opened = fs::File::options().append(true).open(&path).unwrap();
                        opened.set_modified(SystemTime::now()).unwrap();
                    } else {
                        ground.put(&name, &format!("# a word\n{}", says.write()));
                    }
                }
            }
            9 => {
                unlink(&path);
                symlink(format!("..data/{name}"), &path).unwrap();
                self.entries.insert(name.clone(), Entry::Link(name));
            }
            // Another version of the data, made beside the one in force.
            10 => {
                let next = 1 - self.current;
                let folder = ground.path(["..a", "..b"][next]);
                fs::remove_dir_all(&folder).unwrap();
                fs::create_dir(&folder).unwrap();
                self.data[next].clear();
                for number in 0..FILES {
                    if self.dice.below(4) > 0 {
                        let says = self.any_text();
                        fs::write(folder.join(file(number)), says.write()).unwrap();
                        self.data[next].insert(file(number), Some(says));
                    }
                }
                let new = ground.path("..data_tmp");
                symlink(["..a", "..b"][next], &new).unwrap();
                fs::rename(new, ground.path("..data")).unwrap();
                self.current = next;
            }
            _ => self.change_component(ground),
        }
    }

    fn change_component(&mut self, ground: &Ground) {
        let path = ground.state.path().join("changing.wasm");
        let guest = [ONE, TWO, CALC][self.dice.below(3)];
        let bytes = bytes(guest);
        match self.dice.below(3) {
            0 => {
                fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
                self.changing = None;
            }
            1 => {
                let new = ground.state.path().join("changing.new");
                fs::write(&new, bytes).unwrap();
                fs::rename(new, path).unwrap();
                self.changing = Some(guest);
            }
            _ => {
                fs::write(&path, bytes).unwrap();
                self.changing = Some(guest);
            }
        }
    }

    /// Ends what was left half done: no broken file, no half component, and each
    /// plugin described once.
    fn finish(&mut self, ground: &Ground) {
        if self.changing.is_none() {
            fs::write(ground.state.path().join("changing.wasm"), bytes(TWO)).unwrap();
            self.changing = Some(TWO);
        }
        let mut described = BTreeSet::new();
        for number in 0..FILES {
            let name = file(number);
            let keeps = match self.says(&name) {
                None => continue,
                Some(None) => false,
                Some(Some(says)) => described.insert(says.plugin),
            };
            if !keeps {
                unlink(&ground.path(&name));
                self.entries.remove(&name);
            }
        }
    }

    /// What is to run, by the component's digest and the limit on its queue.
    fn described(&self) -> BTreeMap<String, (Digest, String)> {
        let says = (0..FILES).filter_map(|number| self.says(&file(number)).flatten());
        says.map(|says| {
            let guest = match says.component {
                "changing" => self.changing.expect("a whole one"),
                guest => guest,
            };
            (says.plugin, (digest(guest), says.queue.to_string()))
        })
        .collect()
    }
}

fn unlink(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
    }
}

fn runs(ground: &Ground) -> BTreeMap<String, (Digest, String)> {
    let rows = ground.host.list().into_iter();
    rows.filter(|row| row.name.as_str() != "steady")
        .filter_map(|row| {
            let limits = ground.host.describe(&row.name).ok()?.limits;
            Some((row.name.to_string(), (row.digest, limits["queue"].clone())))
        })
        .collect()
}

async fn storm(seed: u64) {
    let ground = ground().await;
    fs::write(component(ground.state.path(), "changing"), bytes(ONE)).unwrap();
    ground.write("steady.toml", &text("steady", ONE));
    ground.serves("steady", ONE).await;
    let mut model = Model::new(&ground, seed);
    for edit in 0..EDITS {
        model.edit(&ground);
        // Most come in a rush; now and then there is time to act on them.
        let pause = match edit % 50 {
            0 => 400,
            _ => model.dice.below(12),
        };
        tokio::time::sleep(Duration::from_millis(u64::try_from(pause).unwrap())).await;
    }
    model.finish(&ground);
    let described = model.described();
    println!("described {described:#?}");
    ground
        .soon("what the folder describes", || runs(&ground) == described)
        .await;
    ground
        .soon("every file is applied", || {
            let rows = ground.host.status().descriptors;
            rows.len() == model.entries.len() + 1
                && rows.iter().all(|row| row.state == DescriptorState::Serving)
        })
        .await;
    // And that is how it stays.
    let generations = || -> Vec<_> { ground.host.list().iter().map(|row| row.generation).collect() };
    let before = generations();
    ground.all_seen().await;
    assert_eq!((runs(&ground), generations()), (described, before));
    // Whoever was not touched noticed nothing.
    assert_eq!(ground.runs("steady"), Some((1, digest(ONE))));
    assert_eq!(ground.answer("steady").await, "1");
    let replaced = ground.audit("replace").len();
    assert!(
        replaced > 10,
        "the watcher was at work meanwhile: {replaced} replaces"
    );
}

/// Enforced by everything in `watch`, and by nothing alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storm_a_thousand_random_edits() {
    let seed = 0x0de0_u64 + 0x2026;
    println!("seed {seed}");
    storm(seed).await;
}

//! What is in the folder.
//!
//! Owns looking at it, and waiting until what is there is whole: a file counts
//! when it, its component and the signature beside that have not changed for a
//! moment, and so does its being gone. Whoever writes all the time is read in
//! between, now and then.
//!
//! **Invariant:** what is not bounded by the folder's own limits is not read:
//! so many descriptors, each so long, one component at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use odeon_authority::{Descriptor, DescriptorFile, DescriptorFolder, Stamp};
use odeon_protocol::{Code, PluginName};

use super::applied::{FileName, Problem, Want};
use super::plan::{Folder, Seen};
use crate::error::io_words;
use crate::host::Host;
use crate::load::beside;

/// For how long nothing of a file may change before it counts.
pub(crate) const SETTLED: Duration = Duration::from_millis(150);

/// After this time it counts even if it changes all the while.
const LONG_ENOUGH: Duration = Duration::from_secs(5);

/// The folder, as it was seen so far.
pub(crate) struct Scan {
    host: Host,
    path: PathBuf,
    sights: BTreeMap<FileName, Sight>,
}

/// One file, as it was seen last.
struct Sight {
    marks: Marks,
    /// Since when it is as it is.
    since: Instant,
    /// Since when it has not been settled.
    restless: Option<Instant>,
    /// What it said when it was read last, and by what it was read.
    said: Option<(Marks, Seen)>,
}

/// What changes when a file, or what it names, does.
#[derive(Clone, PartialEq)]
struct Marks {
    /// The round, for what depends on the trust policy.
    round: Option<u64>,
    text: Text,
    component: Option<Stamp>,
    signature: Option<Stamp>,
}

/// A descriptor's own file.
#[derive(Clone, PartialEq)]
enum Text {
    Gone,
    Unusable(Problem),
    Read(Stamp, Arc<Descriptor>),
}

impl Scan {
    pub(crate) fn new(host: Host, path: PathBuf) -> Self {
        Scan {
            host,
            path,
            sights: BTreeMap::new(),
        }
    }

    /// Looks at the folder. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// When the folder cannot be used. Nothing is known then, and nothing that
    /// was is forgotten.
    pub(crate) fn look(&mut self, now: Instant, round: u64) -> Result<Folder, Problem> {
        let unusable = |error: odeon_authority::FolderError| Problem::new(error.code(), error.to_string());
        let folder = DescriptorFolder::open(&self.path).map_err(unusable)?;
        let there: BTreeSet<FileName> = folder.names().map_err(unusable)?.into_iter().collect();
        let mut files = BTreeMap::new();
        let mut sights = std::mem::take(&mut self.sights);
        let gone: Vec<FileName> = sights
            .keys()
            .filter(|name| !there.contains(*name))
            .cloned()
            .collect();
        for name in there.iter().chain(&gone) {
            let before = sights.remove(name);
            let text = match there.contains(name) {
                true => read(&folder, name, before.as_ref()),
                false => Text::Gone,
            };
            let mut sight = Sight::of(Marks::of(text, round), before, now);
            match sight.seen(&self.host, now) {
                Some(seen) => files.insert(name.clone(), seen),
                // It is gone, and that is settled.
                None => continue,
            };
            self.sights.insert(name.clone(), sight);
        }
        Ok(Folder { files })
    }

    /// Whether this file has not changed since then.
    pub(crate) fn is_since(&self, file: &FileName, then: Instant) -> bool {
        self.sights.get(file).is_some_and(|sight| sight.since <= then)
    }

    /// The folders in which something can change: its own, and those of the
    /// components.
    pub(crate) fn places(&self) -> BTreeSet<PathBuf> {
        let component = |sight: &Sight| match &sight.marks.text {
            Text::Read(_, descriptor) => descriptor.source.parent().map(Path::to_owned),
            Text::Gone | Text::Unusable(_) => None,
        };
        let mut places: BTreeSet<PathBuf> = self.sights.values().filter_map(component).collect();
        places.remove(&self.path);
        places
    }
}

impl Marks {
    fn of(text: Text, round: u64) -> Self {
        let component = match &text {
            Text::Read(_, descriptor) => Some(&descriptor.source),
            Text::Gone | Text::Unusable(_) => None,
        };
        let by_policy = match &text {
            // The name that a component has by itself is one that somebody says
            // whom the policy believes.
            Text::Read(_, descriptor) => descriptor.name.is_none(),
            Text::Gone | Text::Unusable(_) => false,
        };
        Marks {
            round: by_policy.then_some(round),
            component: component.and_then(|path| stamp(path)),
            signature: component.and_then(|path| stamp(&beside(path))),
            text,
        }
    }

    /// Whether the files are the same, whatever the policy is.
    fn same_files(&self, other: &Marks) -> bool {
        self.text == other.text && self.component == other.component && self.signature == other.signature
    }
}

impl Sight {
    fn of(marks: Marks, before: Option<Sight>, now: Instant) -> Self {
        match before {
            Some(before) if before.marks.same_files(&marks) => Sight { marks, ..before },
            Some(before) => Sight {
                marks,
                since: now,
                restless: before.restless.or(Some(now)),
                said: before.said,
            },
            None => Sight {
                marks,
                since: now,
                restless: Some(now),
                said: None,
            },
        }
    }

    /// What the file says; nothing if it is gone for good.
    fn seen(&mut self, host: &Host, now: Instant) -> Option<Seen> {
        let passed = |since: Instant| now.saturating_duration_since(since);
        let is_settled = passed(self.since) >= SETTLED;
        if !is_settled && self.restless.is_some_and(|since| passed(since) < LONG_ENOUGH) {
            return Some(Seen::Unsettled);
        }
        // Who goes on changing is read again after as long a time.
        self.restless = (!is_settled).then_some(now);
        if self.marks.text == Text::Gone {
            return None;
        }
        match &self.said {
            // What was read while it changed is read once more.
            Some((marks, said)) if is_settled && *marks == self.marks => Some(said.clone()),
            _ => {
                let seen = self.marks.look(host);
                self.said = is_settled.then(|| (self.marks.clone(), seen.clone()));
                Some(seen)
            }
        }
    }
}

impl Marks {
    /// Looks into the component that a descriptor names.
    fn look(&self, host: &Host) -> Seen {
        let descriptor = match &self.text {
            Text::Read(_, descriptor) => descriptor,
            Text::Unusable(problem) => return Seen::Broken(problem.clone()),
            Text::Gone => return Seen::Unsettled,
        };
        let Some(component) = self.component else {
            let why = match std::fs::metadata(&descriptor.source) {
                Err(error) => io_words(&error),
                Ok(_) => "there was no such file a moment ago".to_owned(),
            };
            let message = format!("the component {}: {why}", descriptor.source.display());
            return Seen::Lacking(Problem::new(Code::FileUnreadable, message), descriptor.clone());
        };
        match host.look_into(&descriptor.source, component) {
            Ok((content, own)) => Seen::Wants(Want {
                descriptor: descriptor.clone(),
                content,
                name: name(descriptor, own),
            }),
            Err(fault) => Seen::Lacking(fault.into(), descriptor.clone()),
        }
    }
}

fn name(descriptor: &Descriptor, own: Option<PluginName>) -> Option<PluginName> {
    descriptor.name.clone().or(own)
}

/// Reads a descriptor, unless it is the one of before.
fn read(folder: &DescriptorFolder, name: &FileName, before: Option<&Sight>) -> Text {
    let unusable = |error: odeon_authority::DescriptorError| {
        Text::Unusable(Problem::new(error.code(), error.to_string()))
    };
    let file: DescriptorFile = match folder.find(name) {
        Ok(file) => file,
        Err(error) => return unusable(error),
    };
    match before {
        // What was read when it had just changed may not have been all of it.
        Some(sight) if sight.is_read(file.stamp()) => sight.marks.text.clone(),
        _ => match file.read() {
            Ok(descriptor) => Text::Read(file.stamp(), Arc::new(descriptor)),
            Err(error) => unusable(error),
        },
    }
}

impl Sight {
    /// Whether the text was read when this stamp was an old one already.
    fn is_read(&self, stamp: Stamp) -> bool {
        let read = self.said.as_ref().map(|(marks, _)| &marks.text);
        matches!((read, &self.marks.text), (Some(Text::Read(then, _)), Text::Read(now, _)) if *then == stamp && *now == stamp)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    std::fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata))
}

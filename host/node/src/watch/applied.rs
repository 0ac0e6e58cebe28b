//! What was made of the descriptors so far.
//!
//! Owns the memory of the watcher: which plugin is there because of which file,
//! what was refused and is not tried again as it is, or not at once, and what
//! somebody took out by hand. It knows no files and no registry; what it is told
//! decides.
//!
//! **Invariant:** it has entries for files that are in the folder, and for
//! plugins that one of those put into service, and for nothing else.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use odeon_authority::Descriptor;
use odeon_protocol::{Code, Fault, Generation, PluginName};

use super::content::Content;
use super::plan::{Folder, Now, Seen};

/// The name of a file in the folder.
pub(crate) type FileName = OsString;

/// What one file describes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Want {
    pub(crate) descriptor: Arc<Descriptor>,
    /// What is in the component's file.
    pub(crate) content: Content,
    /// The plugin's name, as far as it can be known beforehand.
    pub(crate) name: Option<PluginName>,
}

/// Why something is not as a file wants it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) message: String,
}

/// A plugin that is there because of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Put {
    pub(crate) file: FileName,
    pub(crate) want: Want,
    pub(crate) generation: Generation,
    /// How it was taken out, if it was.
    pub(crate) gone: Option<Gone>,
}

/// Who took a plugin out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// An operator. It stays so until its file says something else.
    ByHand,
    /// The trust policy.
    Denied,
}

/// A file that was refused as it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refused {
    pub(crate) want: Want,
    /// The round in which it was: in a later one it is tried again.
    pub(crate) round: u64,
    pub(crate) problem: Problem,
}

/// Everything that was made of the folder so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Applied {
    pub(crate) puts: BTreeMap<PluginName, Put>,
    pub(crate) refused: BTreeMap<FileName, Refused>,
}

impl Want {
    /// Whether the same would run.
    pub(crate) fn runs_as(&self, other: &Want) -> bool {
        self.content == other.content && self.descriptor.runs_as(&other.descriptor)
    }
}

impl Problem {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Problem {
            code,
            message: message.into(),
        }
    }

    /// Whether it says nothing of the file: what could not be written down now may
    /// be later.
    pub(crate) fn passes(&self) -> bool {
        matches!(self.code, Code::AuditUnwritable | Code::StateUnwritable)
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Problem::new(fault.code, fault.message)
    }
}

impl Put {
    /// Whether nobody has taken it out.
    pub(crate) fn is_live(&self) -> bool {
        self.gone.is_none()
    }
}

impl Applied {
    /// Takes in what runs by now, and forgets what no file stands for.
    pub(crate) fn observe(&mut self, folder: &Folder, now: &Now) {
        for (name, running) in &now.running {
            let (Some(file), Some(want)) = (&running.file, &running.want) else {
                continue;
            };
            let known = self.puts.get(name);
            // What an operator loaded from a file of the folder is the folder's.
            if known.is_none_or(|put| !put.is_live() && put.generation < running.generation) {
                let put = Put {
                    file: file.clone(),
                    want: want.clone(),
                    generation: running.generation,
                    gone: None,
                };
                self.puts.insert(name.clone(), put);
            }
        }
        self.puts.retain(|name, put| {
            if put.is_live() && !now.running.contains_key(name) && !now.busy.contains(name) {
                put.gone = Some(Gone::Denied);
            }
            let stands_for_it = match folder.files.get(&put.file) {
                None => false,
                Some(Seen::Wants(want)) => want.name.as_ref().is_none_or(|wanted| wanted == name),
                Some(Seen::Unsettled | Seen::Broken(_) | Seen::Lacking(..)) => true,
            };
            put.is_live() || stands_for_it
        });
        self.refused.retain(|file, _| folder.files.contains_key(file));
    }

    /// Somebody takes out what is loaded under this name.
    pub(crate) fn departed(
        &mut self,
        folder: &Folder,
        name: &PluginName,
        generation: Generation,
        gone: Gone,
    ) {
        let Some(put) = self.puts.get_mut(name) else {
            return;
        };
        put.generation = generation;
        put.gone = Some(gone);
        // It is this word of the file that does not count any more, also where
        // it was refused and an older one was in force.
        if let Some(Seen::Wants(want)) = folder.files.get(&put.file) {
            put.want = want.clone();
        }
    }

    /// A file was made a plugin of.
    pub(crate) fn put(&mut self, name: PluginName, put: Put) {
        self.refused.remove(&put.file);
        self.puts.insert(name, put);
    }

    /// The plugin that is there because of this file.
    pub(crate) fn name_of(&self, file: &FileName) -> Option<&PluginName> {
        let live = |put: &Put| put.file == *file;
        self.puts.iter().find(|(_, put)| live(put)).map(|(name, _)| name)
    }

    /// Why this was refused, if it would be again.
    pub(crate) fn refusal(&self, file: &FileName, want: &Want, round: u64) -> Option<&Problem> {
        let refused = self.refused.get(file)?;
        (refused.want == *want && refused.round == round).then_some(&refused.problem)
    }
}

//! The loads that are done again at the next start.
//!
//! Owns the file of them. It holds what an operator asked for, in full, and
//! what that was about: at the next start every load is decided anew, under the
//! same name and for nothing else than the same author's, or the same, bytes.

mod denied;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use odeon_authority::{
    Bound, ClassWish, DescriptorFolder, Event, FileError, FolderError, GrantSet, InstanceMode, LimitsPatch,
    Links, Placing, Principal, PublicKey, Route, SignedAs, read_operators_text, replace_private,
};
use odeon_protocol::{Code, Digest, Fault, Generation, PluginName};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize, Serializer};

use self::denied::Whose;
use crate::host::Host;
use crate::load::{LetIn, LoadRequest, Source, Way, blocking};
use crate::registry::{Loaded, is_being_loaded};

/// The longest file of remembered loads, in bytes.
const MAX: u64 = 16 << 20;
/// How many loads of a start are under way at a time, beside what they wait
/// for: the places of compile children. As many that hang delay the next.
pub(crate) const AT_ONCE: usize = 8;

/// The file of remembered loads.
pub(crate) struct Remembered {
    path: PathBuf,
    /// One change at a time.
    changing: Mutex<()>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, rename = "load")]
    loads: BTreeMap<PluginName, Row>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Row {
    path: PathBuf,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    descriptor: bool,
    /// The name it was signed for, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed_as: Option<PluginName>,
    /// The key that let it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed_by: Option<PublicKey>,
    /// The bytes that were let in, where no key did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<InstanceMode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workers: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class: Option<ClassWish>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "complete")]
    grants: Option<GrantSet>,
    #[serde(default)]
    limits: LimitsPatch,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    config: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    secrets: BTreeMap<String, PathBuf>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    links: Links,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http: Option<Route>,
}

/// What was to be done at the next start under a name, if anything was.
pub(crate) struct Before(Option<Row>);

/// One load that was tried at start, and what became of it.
#[derive(Debug)]
pub struct StartLoad {
    /// The file that was named.
    pub path: PathBuf,
    /// The name that serves now, or why none does.
    pub outcome: Result<PluginName, Fault>,
}

/// A load of a start that has ended.
struct Ended {
    name: PluginName,
    index: usize,
    request: LoadRequest,
    outcome: Result<PluginName, Fault>,
    /// How many loads had ended well when it began.
    served: usize,
}

/// A load of a start whose provider was not loaded when it was tried.
struct Unprovided {
    index: usize,
    request: LoadRequest,
    refusal: Fault,
    /// How many loads had ended well when it began: after another, it is tried
    /// again.
    served: usize,
}

/// A load of a start whose name one before it is being loaded under.
struct Waiting {
    name: PluginName,
    index: usize,
    request: LoadRequest,
    refusal: Fault,
}

impl Remembered {
    pub(crate) fn at(path: PathBuf) -> Self {
        Remembered {
            path,
            changing: Mutex::new(()),
        }
    }

    /// Has this load done again at the next start, as it was asked. Gives what
    /// was to be done until now.
    pub(crate) fn add(&self, loaded: &Loaded, request: &LoadRequest) -> Result<Option<Before>, Fault> {
        let (path, descriptor) = match &request.source {
            Source::Component(path) => (path, false),
            Source::Descriptor(path) => (path, true),
            Source::Bytes(_) => return Ok(None),
        };
        let path = std::path::absolute(path).map_err(|error| unwritable(path, &error))?;
        let offered = loaded.origin.offered.as_deref();
        let claim = offered.and_then(|(offer, _)| offer.signed.as_ref().ok()?.claim.as_ref());
        let (signed_by, digest) = match loaded.origin.bound_to {
            Some(Bound::Key(key)) => (Some(key), None),
            Some(Bound::Digest(digest)) => (None, Some(digest)),
            None => (None, None),
        };
        let row = Row {
            path,
            descriptor,
            // What no key vouched for is the same bytes or nothing.
            signed_as: claim
                .filter(|_| signed_by.is_some())
                .map(|claim| claim.name.clone()),
            signed_by,
            digest,
            instance: request.placing.instance,
            workers: request.placing.workers,
            class: request.placing.class,
            grants: request.grants.clone(),
            limits: request.limits.clone(),
            config: request.config.clone(),
            secrets: request.secrets.clone(),
            links: request.links.clone(),
            http: request.http.clone(),
        };
        let mut before = None;
        self.change(|written| before = written.loads.insert(loaded.name.clone(), row))?;
        Ok(Some(Before(before)))
    }

    /// Has done under this name what was to be done before.
    pub(crate) fn put_back(&self, name: &PluginName, Before(row): Before) -> Result<(), Fault> {
        self.change(|written| {
            match row {
                Some(row) => written.loads.insert(name.clone(), row),
                None => written.loads.remove(name),
            };
        })
    }

    /// Forgets the load of this name. Says whether there was one.
    pub(crate) fn remove(&self, name: &PluginName) -> Result<bool, Fault> {
        let mut was_there = false;
        self.change(|written| was_there = written.loads.remove(name).is_some())?;
        Ok(was_there)
    }

    fn requests(&self) -> Result<Vec<LoadRequest>, Fault> {
        let loads = self.read()?.loads.into_iter();
        Ok(loads.map(|(name, row)| row.request(name)).collect())
    }

    fn change(&self, change: impl FnOnce(&mut Written)) -> Result<(), Fault> {
        let _changing = self.changing.lock();
        let mut written = self.read()?;
        let before = toml::to_string(&written).map_err(|error| self.syntax(&error.to_string()))?;
        change(&mut written);
        let text = toml::to_string(&written).map_err(|error| self.syntax(&error.to_string()))?;
        if text == before {
            return Ok(());
        }
        replace_private(&self.path, text.as_bytes())
            .map_err(|error| Fault::new(Code::StateUnwritable, error.to_string()))
    }

    fn read(&self) -> Result<Written, Fault> {
        match read_operators_text(&self.path, MAX) {
            Ok(text) => toml::from_str(&text).map_err(|error| self.syntax(&error.to_string())),
            Err(FileError::Missing { .. }) => Ok(Written::default()),
            Err(error) => Err(self.syntax(&error.to_string())),
        }
    }

    fn syntax(&self, problem: &str) -> Fault {
        Fault::new(
            Code::StateUnwritable,
            format!(
                "{}: the list of remembered loads cannot be used: {problem}",
                self.path.display()
            ),
        )
    }
}

/// With the values of variables, which lists leave out: the file is the
/// operator's alone, and a variable without a value is the host's own.
fn complete<S: Serializer>(grants: &Option<GrantSet>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(grants.iter().flat_map(GrantSet::complete_lines))
}

impl Row {
    fn request(self, name: PluginName) -> LoadRequest {
        let mut request = match self.descriptor {
            true => LoadRequest::descriptor(self.path),
            false => LoadRequest::component(self.path),
        };
        request.name = Some(name);
        request.signed_as = self.signed_as.map(SignedAs::Name);
        request.bound_to = match (self.signed_by, self.digest) {
            (Some(key), _) => Some(Bound::Key(key)),
            (None, Some(digest)) => Some(Bound::Digest(digest)),
            (None, None) => None,
        };
        request.placing = Placing {
            instance: self.instance,
            workers: self.workers,
            class: self.class,
        };
        request.grants = self.grants;
        request.limits = self.limits;
        request.config = self.config;
        request.secrets = self.secrets;
        request.links = self.links;
        request.http = self.http;
        request.principal = Some(Principal::Host);
        request
    }
}

impl Host {
    /// Forgets a remembered load of something that is not loaded: one that was
    /// refused at the start would be tried at each of them. Says whether there
    /// was one.
    pub(crate) async fn forget(&self, name: &PluginName, principal: &Principal) -> Result<bool, Fault> {
        let (host, name, principal) = (self.clone(), name.clone(), principal.to_string());
        blocking(move || {
            let Some(remembered) = &host.inner.remembered else {
                return Ok(false);
            };
            if !remembered.remove(&name)? {
                return Ok(false);
            }
            let event = Event::Unload {
                name,
                generation: Generation(0),
                reason: "forgotten".into(),
                principal: principal.into(),
            };
            let written = host.inner.recorder.append(event);
            written
                .map_err(|error| Fault::new(error.code(), format!("the load is forgotten, but {error}")))?;
            Ok(true)
        })
        .await?
    }

    /// Loads again what was loaded to stay when the host ran last. Every load
    /// is decided anew. One that is refused is logged and stays in the list,
    /// unless the policy denies what it was of: that is forgotten.
    /// Some run side by side, so that one that hangs delays no other; the
    /// answer is in the order of the names.
    ///
    /// # Errors
    ///
    /// When the list itself cannot be read.
    pub async fn load_remembered(&self) -> Result<Vec<StartLoad>, Fault> {
        let requests = self.remembered_requests()?;
        let whose = Whose::of(&requests);
        let loads = self.load_all(requests).await;
        self.forget_denied(whose, &loads).await;
        Ok(loads)
    }

    fn remembered_requests(&self) -> Result<Vec<LoadRequest>, Fault> {
        let remembered = self.inner.remembered.as_ref();
        remembered.map_or_else(|| Ok(Vec::new()), Remembered::requests)
    }

    /// Loads every descriptor (`*.toml`) of a folder. One that is refused is
    /// logged. They are let in, and answered about, in the order of their file
    /// names: of two that want one name the first has it, the second only if
    /// the first fails.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub async fn load_descriptors(&self, folder: &Path) -> Result<Vec<StartLoad>, Fault> {
        Ok(self.load_all(descriptor_requests(folder)?).await)
    }

    /// Loads what a daemon has from its start: first in line is what was
    /// remembered, then the descriptors of a folder. A list that cannot be
    /// read is logged; a folder that cannot be is the error. Answers about the
    /// descriptors.
    pub(crate) async fn load_at_start(&self, descriptors: Option<&Path>) -> Result<Vec<StartLoad>, Fault> {
        let mut requests = self.remembered_requests().unwrap_or_else(|fault| {
            tracing::error!(%fault, "nothing was loaded again");
            Vec::new()
        });
        let remembered = requests.len();
        let whose = Whose::of(&requests);
        let more = descriptors.map_or_else(|| Ok(Vec::new()), descriptor_requests);
        let unreadable = match more {
            Ok(more) => {
                requests.extend(more);
                None
            }
            Err(fault) => Some(fault),
        };
        let mut loads = self.load_all(requests).await;
        self.forget_denied(whose, &loads).await;
        unreadable.map_or_else(|| Ok(loads.split_off(remembered.min(loads.len()))), Err)
    }

    async fn load_all(&self, requests: Vec<LoadRequest>) -> Vec<StartLoad> {
        let mut loads = Vec::with_capacity(requests.len());
        let mut in_line: VecDeque<(usize, LoadRequest)> = requests.into_iter().enumerate().collect();
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut under_way: FuturesUnordered<BoxFuture<'static, Ended>> = FuturesUnordered::new();
        // Of those under way, and of those that ended while one was let in.
        let mut names: Vec<PluginName> = Vec::new();
        let mut unprovided: Vec<Unprovided> = Vec::new();
        let mut served = 0;
        loop {
            let mut ended = Vec::new();
            if under_way.len() < AT_ONCE
                && let Some((index, request)) = in_line.pop_front()
            {
                // One after the other, so that it is not chance who gets a name.
                let letting = self.let_in(request.clone(), Way::Load);
                tokio::pin!(letting);
                let let_in = loop {
                    tokio::select! {
                        let_in = &mut letting => break let_in,
                        Some(load) = under_way.next() => ended.push(load),
                    }
                };
                match let_in {
                    Ok(let_in) => {
                        names.push(let_in.name().clone());
                        under_way.push(Box::pin(self.clone().finish(index, request, let_in, served)));
                    }
                    Err(refusal) => match names.iter().find(|name| is_being_loaded(&refusal, name)) {
                        // Nor is it chance whether the first fails before
                        // the second is let in: the second waits for that.
                        Some(name) => waiting.push(Waiting {
                            name: name.clone(),
                            index,
                            request,
                            refusal,
                        }),
                        None => loads.push((index, started(&request, Err(refusal)))),
                    },
                }
            } else if let Some(load) = under_way.next().await {
                ended.push(load);
            } else if let Some(at) = unprovided.iter().position(|one| one.served < served) {
                let again = unprovided.swap_remove(at);
                in_line.push_back((again.index, again.request));
            } else {
                break;
            }
            for Ended {
                name,
                index,
                request,
                outcome,
                served: before,
            } in ended
            {
                // One of them: the next of that name may have been let in.
                if let Some(at) = names.iter().position(|held| *held == name) {
                    names.swap_remove(at);
                }
                let serves = outcome.is_ok();
                served += usize::from(serves);
                match outcome {
                    Err(refusal) if refusal.code == Code::ProviderMissing => unprovided.push(Unprovided {
                        index,
                        request,
                        refusal,
                        served: before,
                    }),
                    outcome => loads.push((index, started(&request, outcome))),
                }
                let (over, others): (Vec<_>, Vec<_>) =
                    waiting.into_iter().partition(|waiting| waiting.name == name);
                waiting = others;
                if serves {
                    let refused = |over: Waiting| (over.index, started(&over.request, Err(over.refusal)));
                    loads.extend(over.into_iter().map(refused));
                } else {
                    for over in over.into_iter().rev() {
                        in_line.push_front((over.index, over.request));
                    }
                }
            }
        }
        // Nothing comes any more that could be their provider.
        let alone = unprovided.into_iter();
        loads.extend(alone.map(|one| (one.index, started(&one.request, Err(one.refusal)))));
        loads.sort_by_key(|(index, _)| *index);
        loads.into_iter().map(|(_, load)| load).collect()
    }

    async fn finish(self, index: usize, request: LoadRequest, let_in: LetIn, served: usize) -> Ended {
        let name = let_in.name().clone();
        let outcome = self.put_into_service(let_in).await.map(|report| report.name);
        Ended {
            name,
            index,
            request,
            outcome,
            served,
        }
    }
}

/// What became of a load of a start, which the log says if it was refused.
fn started(request: &LoadRequest, outcome: Result<PluginName, Fault>) -> StartLoad {
    let path = request.file().cloned().unwrap_or_default();
    if let Err(fault) = &outcome {
        tracing::error!(path = %path.display(), %fault, "a plugin was not loaded at start");
    }
    StartLoad { path, outcome }
}

/// A load for every descriptor of a folder, in the order of their names.
fn descriptor_requests(folder: &Path) -> Result<Vec<LoadRequest>, Fault> {
    let unusable = |error: FolderError| Fault::new(error.code(), error.to_string());
    let names = DescriptorFolder::open(folder).and_then(|folder| folder.names());
    let requests = names.map_err(unusable)?.into_iter();
    Ok(requests
        .map(|name| LoadRequest::of_folder(folder.join(name)))
        .collect())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(Code::StateUnwritable, format!("{}: {error}", path.display()))
}

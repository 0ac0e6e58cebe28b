//! From a request to load to the decision about it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odeon_authority::{
    Admission, Decision, Descriptor, DescriptorError, DescriptorFolder, Manifest, Offer, Principal, Refused,
    SignedAs, Terms, Verdict, decide, read_into_room,
};
use odeon_protocol::{Code, Digest, Fault, PluginName};

use super::Way;
use super::request::{LoadRequest, Source};
use crate::error::io_words;
use crate::host::Host;
use crate::observe::Observation;
use crate::registry::Reservation;

/// The longest detached signature, in bytes.
const MAX_DETACHED: u64 = 64 * 1024;

/// The rules that say no here, by their names in the audit.
const READABLE: &str = "file: a component of at most host-limits.component-size";
const NAME_FREE: &str = "name: one plugin at a time, and a replace keeps it";

/// A component that was let in, and what it was let in with.
pub(super) struct Admitted {
    pub(super) bytes: Vec<u8>,
    pub(super) admission: Admission,
    pub(super) manifest: Option<Manifest>,
    /// What was decided upon and on which terms.
    pub(super) offered: (Offer, Terms),
    pub(super) reservation: Reservation,
    /// The request, with what a descriptor said filled in.
    pub(super) request: LoadRequest,
    /// The request as it was asked, without the bytes if it brought them.
    pub(super) asked: LoadRequest,
    pub(super) observe: Option<Observation>,
    pub(super) warnings: Vec<String>,
}

impl Host {
    /// Reads, decides, and writes the decision down. Blocks on the disk.
    pub(super) fn admit(&self, mut request: LoadRequest, way: Way) -> Result<Admitted, Fault> {
        let gatekeeper = &self.inner.gatekeeper;
        let mut warnings = Vec::new();
        let given = match &mut request.source {
            Source::Bytes(bytes) => Some(std::mem::take(bytes)),
            Source::Component(_) | Source::Descriptor(_) => None,
        };
        request.described = None;
        let observe = request.observe.take();
        let asked = request.clone();
        let mut signed_as = match (&request.signed_as, &request.name) {
            (Some(signed_as), _) => signed_as.clone(),
            // The operator names file and name in one breath.
            (None, Some(_)) => SignedAs::Any,
            (None, None) => SignedAs::Same,
        };
        let component = match &request.source {
            Source::Component(path) => Some(path.clone()),
            Source::Descriptor(path) => {
                let descriptor = read_descriptor(path, request.in_folder)?;
                if request.signed_as.is_none()
                    && let Some(name) = &descriptor.signed_as
                {
                    signed_as = SignedAs::Name(name.clone());
                }
                request.described = Some(Arc::new(descriptor.clone()));
                let component = fill_in(&mut request, descriptor);
                if let Way::Replace { before, .. } = &way {
                    self.take_first(before, &request)?;
                }
                Some(component)
            }
            Source::Bytes(_) => None,
        };
        let most = self.inner.host_limits.component_size.bytes();
        let (bytes, detached) = match (&component, given) {
            (Some(path), _) => {
                let bytes = read(path, most, Code::ComponentTooLarge).map_err(|fault| {
                    // It was not read, so that its digest is that of nothing.
                    self.refused(request.name.as_ref(), request.principal.as_ref(), &[], fault)
                })?;
                let detached = read_detached(&beside(path)).map_err(|fault| {
                    self.refused(request.name.as_ref(), request.principal.as_ref(), &bytes, fault)
                })?;
                (bytes, detached)
            }
            (None, Some(bytes)) => {
                if bytes.len() as u64 > most {
                    let message = format!(
                        "the component: expected at most {most} bytes, found {}; see host-limits.component-size",
                        bytes.len()
                    );
                    let fault = Fault::new(Code::ComponentTooLarge, message);
                    return Err(self.refused(
                        request.name.as_ref(),
                        request.principal.as_ref(),
                        &bytes,
                        fault,
                    ));
                }
                (bytes, None)
            }
            (None, None) => return Err(Fault::new(Code::Internal, "a load without a source")),
        };
        let offer = Offer::read(&bytes, detached.as_deref()).map_err(|error| {
            let fault = Fault::new(error.code(), describe(component.as_deref(), &error.to_string()));
            self.refused(request.name.as_ref(), request.principal.as_ref(), &bytes, fault)
        })?;
        let manifest = offer.manifest.as_ref().ok().cloned().flatten();
        let nameless = manifest.is_none() && offer.signed.as_ref().is_ok_and(|signed| signed.claim.is_none());
        if request.name.is_none() && nameless && request.name_if_nameless.is_some() {
            request.name = request.name_if_nameless.take();
        } else if request.name.is_none()
            && nameless
            && request.allow_unsigned
            && let Some(path) = &component
        {
            request.name = LoadRequest::file_name(path);
            warnings.extend(request.name.as_ref().map(|name| {
                format!("the component does not say its name; it is loaded as {name}, after its file")
            }));
        }
        let policy = gatekeeper.policy();
        let mut terms = Terms::new(
            request
                .principal
                .clone()
                .unwrap_or_else(|| self.inner.principal.clone()),
        );
        terms.name = request.name.clone();
        terms.signed_as = signed_as;
        terms.grants = request.grants.clone();
        terms.allow_unsigned = request.allow_unsigned;
        terms.allow_downgrade = request.allow_downgrade;
        terms.bound_to = request.bound_to;
        terms.transient = request.transient || component.is_none();
        // The version of before belongs to a name, and the name is known only
        // when everything else was looked at.
        let first = decide(policy.as_ref(), &offer, &terms);
        let reservation = match self.take_name(&first, way) {
            Ok(Some((reservation, previous))) => {
                terms.previous_version = previous;
                Some(reservation)
            }
            Ok(None) => None,
            Err(fault) => return Err(self.on_record(first, NAME_FREE, fault)),
        };
        let decision = decide(policy.as_ref(), &offer, &terms);
        let admission = decision.record(self.inner.recorder.audit())?;
        let reservation =
            reservation.ok_or_else(|| Fault::new(Code::Internal, "a decision changed while it was taken"))?;
        // Its own version is what it was accepted with, from now on.
        terms.previous_version = None;
        let offered = (offer, terms);
        Ok(Admitted {
            bytes,
            admission,
            manifest,
            offered,
            reservation,
            request,
            asked,
            observe,
            warnings,
        })
    }
}

impl Host {
    /// Writes down that something was refused before there was an offer to
    /// decide about: who changes a signed file leaves a trace wherever the
    /// change was. Gives the fault to answer with.
    fn refused(
        &self,
        name: Option<&PluginName>,
        principal: Option<&Principal>,
        bytes: &[u8],
        fault: Fault,
    ) -> Fault {
        if fault.code == Code::FileUnreadable {
            // Nothing was offered.
            return fault;
        }
        let decision = Decision {
            digest: Digest::of(bytes),
            name: name.cloned(),
            version: None,
            principal: principal.unwrap_or(&self.inner.principal).clone(),
            verdict: Verdict::Deny {
                code: fault.code,
                message: fault.message.clone(),
                rule: READABLE.to_owned(),
            },
        };
        self.on_record(decision, READABLE, fault)
    }

    /// The name that a component is let in under, and the version of before.
    /// Nothing for one that is not let in.
    fn take_name(
        &self,
        decision: &Decision,
        way: Way,
    ) -> Result<Option<(Reservation, Option<semver::Version>)>, Fault> {
        let Verdict::Allow { name, .. } = &decision.verdict else {
            return Ok(None);
        };
        let accepted = self.inner.gatekeeper.previous_version(name)?;
        Ok(Some(match way {
            Way::Load => (self.inner.registry.reserve(name)?, accepted),
            Way::Replace { before, .. } if before.name != *name => {
                let message = format!(
                    "expected a component for {}, found one that is to be loaded as {name}",
                    before.name
                );
                return Err(Fault::new(Code::NameTaken, message));
            }
            // What serves counts too, even if it was let in for once.
            Way::Replace { reservation, before } => {
                (reservation, accepted.max(before.origin.version.clone()))
            }
        }))
    }

    /// Writes down that something was refused for this reason, whatever the
    /// policy says about it: who tries to take another's name leaves a trace.
    /// Gives the fault to answer with.
    fn on_record(&self, decision: Decision, rule: &str, fault: Fault) -> Fault {
        let (code, message) = (fault.code, fault.message.clone());
        let denied = Decision {
            verdict: Verdict::Deny {
                code,
                message,
                rule: rule.to_owned(),
            },
            ..decision
        };
        match denied.record(self.inner.recorder.audit()) {
            Err(unrecorded @ Refused::Unrecorded(_)) => unrecorded.into(),
            _ => fault,
        }
    }
}

/// Reads a descriptor. One of a folder is found there: it may be a link that
/// stays in it.
fn read_descriptor(path: &Path, in_folder: bool) -> Result<Descriptor, Fault> {
    let read = match (in_folder, path.parent(), path.file_name()) {
        (true, Some(folder), Some(name)) => {
            let folder = DescriptorFolder::open(folder)
                .map_err(|error| Fault::new(error.code(), error.to_string()))?;
            folder.find(name).and_then(|file| file.read())
        }
        _ => Descriptor::load(path),
    };
    read.map_err(|error| Fault::new(error.code(), of_file(path, &error)))
}

/// Puts what a descriptor says where the request says nothing. Returns the
/// component's file.
fn fill_in(request: &mut LoadRequest, descriptor: Descriptor) -> PathBuf {
    if request.name.is_none() {
        request.name = descriptor.name;
    }
    if request.grants.is_none() {
        request.grants = Some(descriptor.grants);
    }
    // Field by field and key by key: to say one of them again is not to take
    // the others back.
    request.limits = std::mem::take(&mut request.limits).or(descriptor.limits);
    request.placing.instance = request.placing.instance.or(descriptor.placing.instance);
    request.placing.workers = request.placing.workers.or(descriptor.placing.workers);
    request.placing.class = request.placing.class.or(descriptor.placing.class);
    for (key, value) in descriptor.config {
        request.config.entry(key).or_insert(value);
    }
    for (interface, provider) in descriptor.links {
        request.links.entry(interface).or_insert(provider);
    }
    for (name, file) in descriptor.secrets {
        request.secrets.entry(name).or_insert(file);
    }
    request.http = request.http.take().or(descriptor.http);
    descriptor.source
}

/// What is wrong with a descriptor, with its file where the error does not say it.
fn of_file(path: &Path, error: &DescriptorError) -> String {
    match error {
        DescriptorError::File(_) => error.to_string(),
        _ => format!("{}: {error}", path.display()),
    }
}

fn describe(path: Option<&Path>, problem: &str) -> String {
    path.map_or_else(
        || problem.to_owned(),
        |path| format!("{}: {problem}", path.display()),
    )
}

/// A component's file as it would be offered, with the signature beside it.
/// Nothing is put on record: nothing is asked for. Blocks on the disk.
pub(crate) fn look_at(path: &Path, most: u64) -> Result<Offer, Fault> {
    let bytes = read(path, most, Code::ComponentTooLarge)?;
    let detached = read_detached(&beside(path))?;
    Offer::read(&bytes, detached.as_deref())
        .map_err(|error| Fault::new(error.code(), describe(Some(path), &error.to_string())))
}

/// Where a component's detached signature is.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut beside = path.to_owned().into_os_string();
    beside.push(".sig");
    beside.into()
}

/// The bytes of a regular file, at most `most` of them.
fn read(path: &Path, most: u64, too_long: Code) -> Result<Vec<u8>, Fault> {
    let unreadable = |error: std::io::Error| {
        let why = io_words(&error);
        Fault::new(Code::FileUnreadable, format!("{}: {why}", path.display()))
    };
    let file = open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Fault::new(
            Code::FileUnreadable,
            format!(
                "{}: expected a regular file, found something else",
                path.display()
            ),
        ));
    }
    let longer = || {
        Fault::new(
            too_long,
            format!(
                "{}: expected at most {most} bytes, found more; see host-limits.component-size",
                path.display()
            ),
        )
    };
    if metadata.len() > most {
        return Err(longer());
    }
    let length = usize::try_from(metadata.len()).unwrap_or_default();
    let mut bytes = Vec::with_capacity(length.saturating_add(1));
    read_into_room(&file, &mut bytes).map_err(unreadable)?;
    // It may be growing.
    file.take(most.saturating_add(1).saturating_sub(bytes.len() as u64))
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(longer());
    }
    Ok(bytes)
}

/// The detached signature beside a component, if there is one.
fn read_detached(path: &Path) -> Result<Option<Vec<u8>>, Fault> {
    match path.symlink_metadata() {
        Ok(_) => read(path, MAX_DETACHED, Code::SignatureInvalid).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::new(
            Code::FileUnreadable,
            format!("{}: {}", path.display(), io_words(&error)),
        )),
    }
}

/// Opens without waiting for the other end of a pipe.
fn open(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC)
        .bits()
        .cast_signed();
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
}

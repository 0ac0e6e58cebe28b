//! `wasi:filesystem` 0.2: directories that were granted, within limits.
//!
//! Owns what the engine's file system leaves open: whether a directory is still
//! granted, the limits of a call, the length of paths, which links a guest may
//! make, and the audit. Containment
//! itself (no path leads out of its directory, however it is spelled) is the
//! work of wasmtime-wasi, to which every call is passed on.
//!
//! **Invariant:** nothing is created, written or grown except through
//! [`Disk`], and no refusal that stems from a grant or a limit goes unaudited.

mod disk;
mod guard;
mod listing;
mod load;
mod opened;
mod path;
mod preopens;
mod stream;
mod types;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{FsError, FsResult};

pub(crate) use self::disk::Disk;
use self::disk::OverLimit;
use self::guard::{Guard, Root};
pub(crate) use self::load::warn;
use self::opened::Opened;
pub(crate) use self::preopens::{Preopens, close_what_is_gone};
use crate::state::HostState;
use crate::unit::Unit;
use crate::warrant::Present;

/// The longest guest path that is kept for the audit, in bytes.
const SHOWN: usize = 512;

/// The file system as one store sees it.
pub(crate) struct Filesystem<'s> {
    pub(super) wasi: WasiFilesystemCtxView<'s>,
    pub(super) unit: &'s Arc<Unit>,
    pub(super) present: &'s Arc<Present>,
    pub(super) disk: &'s Arc<Disk>,
    pub(super) places: &'s mut Places,
}

/// Names the view to the linker.
pub(crate) struct HasFilesystem;

impl HasData for HasFilesystem {
    type Data<'s> = Filesystem<'s>;
}

/// Where each open descriptor is, by its number in the store's table. As many
/// as there are handles, which are limited.
#[derive(Default)]
pub(crate) struct Places(HashMap<u32, Place>);

/// Where a descriptor is.
#[derive(Clone)]
struct Place {
    /// Which of the granted directories it lies in.
    root: Arc<Root>,
    /// Its path as the guest sees it, cut to a length.
    path: Arc<str>,
    /// Given back with the last of what keeps the file open.
    opened: Arc<Opened>,
}

impl HostState {
    /// The file system for the linker.
    pub(crate) fn granted_filesystem(&mut self) -> Filesystem<'_> {
        let egress = self.egress().clone();
        let present = self.present().clone();
        let (unit, during) = (&self.unit, self.call.during());
        let wasi = self
            .wasi
            .get_or_insert_with(|| Box::new(super::wasi::Wasi::new(unit, &egress, present, during)));
        wasi.filesystem(unit, &mut self.table)
    }
}

/// Whether an operation changes something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Intent {
    Look,
    Change,
}

impl Filesystem<'_> {
    fn place(&self, descriptor: u32) -> Option<&Place> {
        self.places.0.get(&descriptor)
    }

    /// Which of the granted directories a descriptor lies in.
    fn root(&self, descriptor: u32) -> Option<&Arc<Root>> {
        self.place(descriptor).map(|place| &place.root)
    }

    /// What asks about a descriptor on behalf of what outlives it.
    fn guard(&self, descriptor: u32) -> Option<Guard> {
        let place = self.place(descriptor)?;
        Some(Guard::new(self.present, &place.root, &place.path))
    }

    /// Whether a descriptor may be used now: its directory may be granted no
    /// more, or for less, or not to those for whom the present call is. A no is
    /// in the audit.
    fn may(&self, descriptor: u32, path: &str, intent: Intent) -> FsResult<()> {
        let Some(place) = self.place(descriptor) else {
            return Err(ErrorCode::BadDescriptor.into());
        };
        // What was opened for reading is kept so by the file system itself.
        let intent = match self.read_only(descriptor) {
            true => Intent::Look,
            false => intent,
        };
        place.root.check(self.present, intent).map_err(|refused| {
            refused
                .told(self.present, &place.root, &self.target(descriptor, path))
                .into()
        })
    }

    /// What a descriptor and a path below it are called in the audit.
    fn target(&self, descriptor: u32, path: &str) -> String {
        let start = self.place(descriptor).map_or("", |place| &*place.path);
        path::join(start, path, SHOWN)
    }

    fn deny(&self, descriptor: u32, path: &str, reason: &str) {
        self.unit.deny("fs", &self.target(descriptor, path), reason);
    }

    /// Refuses paths that are too long before anything else looks at them, then
    /// what may not be used now.
    fn check_path(&self, descriptor: u32, path: &str, intent: Intent) -> FsResult<()> {
        path::check(path).map_err(|reason| {
            self.deny(descriptor, path, reason);
            FsError::from(ErrorCode::NameTooLong)
        })?;
        self.may(descriptor, path, intent)
    }

    /// A place among the files the plugin may have open. A no is in the audit
    /// once a call, however often it is given.
    fn open_place(&self) -> FsResult<Arc<Opened>> {
        let limit = self.unit.spec.limits.open_files;
        let counters = &self.unit.counters;
        Opened::take(&counters.open_files, limit).ok_or_else(|| {
            let over = OverLimit::OpenFiles(limit);
            counters.hit(over.limit());
            if self.disk.report_open_files() {
                self.unit.deny("fs", "limits.open-files", &over.to_string());
            } else {
                counters.denials.fetch_add(1, Ordering::Relaxed);
            }
            over.code().into()
        })
    }

    /// What keeps the file of a descriptor counted, for what outlives it.
    fn opened(&self, descriptor: u32) -> Option<Arc<Opened>> {
        self.place(descriptor).map(|place| place.opened.clone())
    }

    /// Writes a refusal by a limit down and makes it the guest's error.
    fn over_limit(&self, descriptor: u32, path: &str, over: disk::OverLimit) -> FsError {
        self.unit.counters.hit(over.limit());
        self.deny(descriptor, path, &over.to_string());
        over.code().into()
    }

    fn read_only(&self, descriptor: u32) -> bool {
        match self
            .wasi
            .table
            .get(&Resource::<Descriptor>::new_borrow(descriptor))
        {
            Ok(Descriptor::Dir(dir)) => dir.perms.write_not_permitted(),
            Ok(Descriptor::File(file)) => file.perms.write_not_permitted(),
            Err(_) => false,
        }
    }

    /// Writes a refusal by the file system down; the result is passed on.
    fn audited<T>(&self, descriptor: u32, path: &str, intent: Intent, result: FsResult<T>) -> FsResult<T> {
        if let Err(error) = &result
            && let Some(code) = error.downcast_ref()
        {
            let target = || self.target(descriptor, path);
            self.explain((descriptor, path), target, intent, *code);
        }
        result
    }

    /// Writes down why the file system refused something, if that is a matter of
    /// who may what.
    fn explain(
        &self,
        (descriptor, path): (u32, &str),
        target: impl FnOnce() -> String,
        intent: Intent,
        code: ErrorCode,
    ) {
        let refused = matches!(code, ErrorCode::NotPermitted | ErrorCode::ReadOnly);
        match self.root(descriptor) {
            // It is the grant that says so.
            Some(root) if refused && intent == Intent::Change && self.read_only(descriptor) => {
                root.deny_writing(self.present, &target());
            }
            _ => {
                if let Some(reason) = reason(path, code) {
                    self.unit.deny("fs", &target(), reason);
                }
            }
        }
    }

    /// The file behind a descriptor, if it is one that may be written to.
    fn writable(&self, descriptor: u32) -> Option<Arc<std::fs::File>> {
        match self
            .wasi
            .table
            .get(&Resource::<Descriptor>::new_borrow(descriptor))
        {
            Ok(Descriptor::File(file)) if !file.perms.write_not_permitted() => Some(file.file.clone()),
            _ => None,
        }
    }
}

/// What a refusal by the file system comes from, where it is no matter of grants.
fn reason(path: &str, code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::NotPermitted if path::is_absolute(path) => {
            Some("an absolute path leads out of the directory")
        }
        ErrorCode::NotPermitted if path::climbs(path) => Some("the path leads out of the directory"),
        ErrorCode::NotPermitted => {
            Some("a link leads out of the directory, or the host's file system does not permit it")
        }
        ErrorCode::Access => Some("the host's own permissions do not allow it"),
        ErrorCode::ReadOnly => Some("the host's file system is read-only"),
        _ => None,
    }
}

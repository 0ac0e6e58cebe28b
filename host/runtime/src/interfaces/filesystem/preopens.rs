//! `wasi:filesystem/preopens`: the granted directories.
//!
//! Owns their descriptors: each directory is opened once for a plugin, and all
//! its instances share that for as long as it is granted. One that could not be
//! opened is tried again.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use odeon_authority::{Access, FsGrant};
use parking_lot::Mutex;
use rustix::fs::OFlags;
use wasmtime::component::Resource;
use wasmtime_wasi::FsPerms;
use wasmtime_wasi::filesystem::{Descriptor, Dir, OpenMode};
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host;

use super::disk::OverLimit;
use super::guard::Root;
use super::load::usable;
use super::opened::Opened;
use super::{Filesystem, Place};
use crate::unit::Unit;

/// The granted directories of one plugin that are open: no more than it has
/// grants.
#[derive(Default)]
pub(crate) struct Preopens(Mutex<Vec<Preopen>>);

#[derive(Clone)]
struct Preopen {
    root: Arc<Root>,
    dir: Dir,
    place: Arc<Opened>,
}

impl Preopens {
    fn of(&self, grant: &FsGrant) -> Option<Preopen> {
        let open = self.0.lock();
        open.iter().find(|open| open.is_of(grant)).cloned()
    }
}

impl Preopen {
    fn is_of(&self, grant: &FsGrant) -> bool {
        self.root.guest == grant.guest && grant.host.as_ref() == Some(&self.root.host)
    }
}

/// Opens what is not open yet of a plugin's directories, which is a matter of
/// the disk and not of a call. Gives those that cannot be opened.
pub(super) fn open_all(unit: &Unit) -> Vec<(FsGrant, String)> {
    let granted = unit.warrant.now();
    let open = |grant: &FsGrant| {
        let refused = preopen(unit, grant)?.err()?;
        Some((grant.clone(), refused))
    };
    usable(unit, granted.set()).iter().filter_map(open).collect()
}

/// Lets go of directories that are not granted any more. What instances have
/// opened in them is refused at its next use.
pub(crate) fn close_what_is_gone(unit: &Unit) {
    let granted = unit.warrant.now();
    let mut open = unit.preopens.0.lock();
    open.retain(|open| granted.set().fs.iter().any(|grant| open.is_of(grant)));
}

/// The open directory of a grant; none if the grant names no directory.
fn preopen(unit: &Unit, grant: &FsGrant) -> Option<Result<Preopen, String>> {
    let host = grant.host.as_ref()?;
    if let Some(open) = unit.preopens.of(grant) {
        return Some(Ok(open));
    }
    let limit = unit.spec.limits.open_files;
    let Some(place) = Opened::take(&unit.counters.open_files, limit) else {
        let over = OverLimit::OpenFiles(limit);
        unit.counters.hit(over.limit());
        return Some(Err(over.to_string()));
    };
    Some(match open_directory(host) {
        Ok(file) => {
            let open = Preopen {
                root: Arc::new(Root {
                    host: host.clone(),
                    guest: grant.guest.clone(),
                }),
                dir: Dir::new(file, FsPerms::ReadOnly, OpenMode::READ, false),
                place,
            };
            // Opened without the lock: a disk that hangs holds nobody up who
            // takes a grant away.
            let mut all = unit.preopens.0.lock();
            let known = all.iter().find(|open| open.is_of(grant)).cloned();
            let open = known.unwrap_or_else(|| {
                all.push(open.clone());
                open
            });
            drop(all);
            close_what_is_gone(unit);
            Ok(open)
        }
        Err(error) => Err(format!("the granted directory cannot be opened: {error}")),
    })
}

/// As the engine opens it: a place in the file system, not what is in it.
fn open_directory(path: &Path) -> io::Result<std::fs::File> {
    let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

impl Host for Filesystem<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let granted = self.present.now();
        let mut directories = Vec::new();
        for grant in usable(self.unit, granted.set()) {
            let open = match preopen(self.unit, grant) {
                Some(Ok(open)) => open,
                // The guest sees that the directory is not there; the operator
                // is told why.
                Some(Err(refused)) => {
                    self.unit.deny("fs", &grant.guest, &refused);
                    continue;
                }
                None => continue,
            };
            let mut dir = open.dir;
            if grant.access == Access::ReadWrite {
                dir.perms = FsPerms::ReadWrite;
                dir.open_mode = OpenMode::READ | OpenMode::WRITE;
            }
            let descriptor = self.wasi.table.push(Descriptor::Dir(dir))?;
            let place = Place {
                root: open.root,
                path: Arc::from(grant.guest.as_str()),
                opened: open.place,
            };
            self.places.0.insert(descriptor.rep(), place);
            directories.push((descriptor, grant.guest.clone()));
        }
        Ok(directories)
    }
}

//! `wasi:filesystem/preopens`: the granted directories.
//!
//! Owns their descriptors: each directory is opened once for a plugin, and all
//! its instances share that. One that could not be opened is tried again.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use odeon_authority::{Access, FsGrant};
use rustix::fs::OFlags;
use wasmtime::component::Resource;
use wasmtime_wasi::FsPerms;
use wasmtime_wasi::filesystem::{Descriptor, Dir, OpenMode};
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host;

use super::disk::OverLimit;
use super::opened::Opened;
use super::{Filesystem, Place, usable};
use crate::unit::Unit;

/// The granted directories of one plugin.
#[derive(Default)]
pub(crate) struct Preopens(OnceLock<Box<[OnceLock<Preopen>]>>);

struct Preopen {
    dir: Dir,
    place: Arc<Opened>,
}

/// Opens what is not open yet of a plugin's directories, which is a matter of
/// the disk and not of a call. Gives those that cannot be opened.
pub(super) fn open_all(unit: &Unit) -> Vec<(&FsGrant, String)> {
    let open = |(index, grant)| {
        let refused = preopen(unit, index, grant)?.err()?;
        Some((grant, refused))
    };
    usable(unit).iter().enumerate().filter_map(open).collect()
}

/// The open directory of a grant; none if the grant names no directory.
fn preopen<'u>(unit: &'u Unit, index: usize, grant: &FsGrant) -> Option<Result<&'u Preopen, String>> {
    let host = grant.host.as_ref()?;
    let all = unit
        .preopens
        .0
        .get_or_init(|| usable(unit).iter().map(|_| OnceLock::new()).collect());
    let cell = all.get(index)?;
    if let Some(open) = cell.get() {
        return Some(Ok(open));
    }
    let limit = unit.spec.limits.open_files;
    let Some(place) = Opened::take(&unit.counters.open_files, limit) else {
        let over = OverLimit::OpenFiles(limit);
        unit.counters.hit(over.limit());
        return Some(Err(over.to_string()));
    };
    let (perms, mode) = match grant.access {
        Access::Read => (FsPerms::ReadOnly, OpenMode::READ),
        Access::ReadWrite => (FsPerms::ReadWrite, OpenMode::READ | OpenMode::WRITE),
    };
    Some(match open_directory(host) {
        Ok(file) => {
            let dir = Dir::new(file, perms, mode, false);
            Ok(cell.get_or_init(|| Preopen { dir, place }))
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
        let mut directories = Vec::new();
        for (index, grant) in usable(self.unit).iter().enumerate() {
            let open = match preopen(self.unit, index, grant) {
                Some(Ok(open)) => open,
                // The guest sees that the directory is not there; the operator
                // is told why.
                Some(Err(refused)) => {
                    self.unit.deny("fs", &grant.guest, &refused);
                    continue;
                }
                None => continue,
            };
            let descriptor = self.wasi.table.push(Descriptor::Dir(open.dir.clone()))?;
            let place = Place {
                root: u32::try_from(index).ok(),
                path: Arc::from(grant.guest.as_str()),
                opened: open.place.clone(),
            };
            self.places.0.insert(descriptor.rep(), place);
            directories.push((descriptor, grant.guest.clone()));
        }
        Ok(directories)
    }
}

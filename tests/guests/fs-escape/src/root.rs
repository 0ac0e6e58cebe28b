//! The preopened folders, and opening below them.

use crate::wasi::filesystem::preopens::get_directories;
use crate::wasi::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

/// The preopen with that guest path.
pub(crate) fn find(path: &str) -> Result<Descriptor, String> {
    let found = get_directories().into_iter().find(|(_, name)| name == path);
    found
        .map(|(descriptor, _)| descriptor)
        .ok_or_else(|| "no-preopen".to_owned())
}

/// The WIT name of an error code.
pub(crate) fn name(code: ErrorCode) -> String {
    code.name().to_owned()
}

/// Whether the last component of a path may be a link.
pub(crate) fn following(follow: bool) -> PathFlags {
    if follow {
        PathFlags::SYMLINK_FOLLOW
    } else {
        PathFlags::empty()
    }
}

/// Opens for reading.
pub(crate) fn open(root: &Descriptor, path: &str, follow: bool) -> Result<Descriptor, String> {
    root.open_at(following(follow), path, OpenFlags::empty(), DescriptorFlags::READ)
        .map_err(name)
}

/// Opens for writing, and creates what is not there.
pub(crate) fn create(root: &Descriptor, path: &str) -> Result<Descriptor, String> {
    root.open_at(
        PathFlags::empty(),
        path,
        OpenFlags::CREATE,
        DescriptorFlags::WRITE,
    )
    .map_err(name)
}

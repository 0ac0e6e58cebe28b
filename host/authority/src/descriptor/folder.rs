//! A folder of descriptors.
//!
//! Owns what is found in it and how: names that end in `.toml` and do not begin
//! with a dot, each opened beneath the folder. A link that stays in the folder
//! passes, as those by which a folder is swapped as a whole do; one that leaves
//! it is refused. The folder has to be one that nobody else can put files into.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use odeon_protocol::Code;
use rustix::{
    fd::OwnedFd,
    fs::{Dir, Mode, OFlags, ResolveFlags, StatVfsMountFlags, fstatvfs, openat, openat2},
    io::Errno,
};

use super::{Descriptor, DescriptorError};
use crate::file::{FileError, Others, Stamp, check_owned, read_bounded};

/// How often a file is opened anew whose folder moved meanwhile.
const TRIES: usize = 8;

/// A folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder itself cannot be opened or read, or is not the operator's.
    #[error("the folder of descriptors cannot be used: {0}")]
    File(#[from] FileError),
    /// Too much is in it.
    #[error(
        "the folder of descriptors cannot be used: {path}: expected at most {most} {what}, found more; move some away"
    )]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// What there is too much of.
        what: &'static str,
        /// The most there may be.
        most: usize,
    },
}

impl FolderError {
    /// The stable code.
    pub fn code(&self) -> Code {
        Code::FileUnreadable
    }
}

/// A folder of descriptors, as it was when it was opened.
#[derive(Debug)]
pub struct DescriptorFolder {
    path: PathBuf,
    folder: OwnedFd,
}

/// A descriptor that was opened and not read yet.
#[derive(Debug)]
pub struct DescriptorFile {
    path: PathBuf,
    file: File,
    stamp: Stamp,
}

impl DescriptorFolder {
    /// The most descriptors of one folder.
    pub const MOST: usize = 4096;

    /// The most names of any kind in it.
    pub const MOST_NAMES: usize = 65_536;

    /// Opens the folder at this path, refusing one that others can put files
    /// into.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or is not the operator's.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let wrong = |error: Errno| FileError::io(path, error.into());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty()).map_err(wrong)?;
        let opened = DescriptorFolder {
            path: path.to_owned(),
            folder,
        };
        opened.check()?;
        Ok(opened)
    }

    /// The names of the descriptors in it, in order.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or there are too many.
    pub fn names(&self) -> Result<Vec<OsString>, FolderError> {
        let wrong = |error: Errno| FileError::io(&self.path, error.into());
        let mut names = Vec::new();
        let entries = Dir::read_from(&self.folder).map_err(wrong)?;
        for (count, entry) in entries.enumerate() {
            if count >= Self::MOST_NAMES {
                return Err(self.too_many("names", Self::MOST_NAMES));
            }
            let entry = entry.map_err(wrong)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if !is_descriptor(name) {
                continue;
            }
            if names.len() >= Self::MOST {
                return Err(self.too_many("descriptors", Self::MOST));
            }
            names.push(name.to_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Opens the descriptor of this name.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, leads out of the folder, or is not the
    /// operator's.
    pub fn find(&self, name: &OsStr) -> Result<DescriptorFile, DescriptorError> {
        let path = self.path.join(name);
        let file = self
            .open_beneath(name)
            .map_err(|error| of_opening(&path, error))?;
        check_owned(&path, &file, Others::MayRead)?;
        let metadata = file.metadata().map_err(|error| FileError::io(&path, error))?;
        Ok(DescriptorFile {
            stamp: Stamp::of(&metadata),
            path,
            file,
        })
    }

    fn open_beneath(&self, name: &OsStr) -> Result<File, Errno> {
        // Not waiting for a pipe that somebody put there.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..TRIES {
            match openat2(&self.folder, name, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                // Where the kernel cannot keep links in the folder, none passes.
                Err(Errno::NOSYS) => {
                    return openat(&self.folder, name, flags | OFlags::NOFOLLOW, Mode::empty())
                        .map(File::from);
                }
                opened => return opened.map(File::from),
            }
        }
        Err(Errno::AGAIN)
    }

    fn check(&self) -> Result<(), FolderError> {
        let wrong = |error: io::Error| FileError::io(&self.path, error);
        let folder = File::from(self.folder.try_clone().map_err(wrong)?);
        let metadata = folder.metadata().map_err(wrong)?;
        let is = |expected, found: String, fix| FileError::Unsafe {
            path: self.path.clone(),
            expected,
            found,
            fix,
        };
        let me = rustix::process::geteuid().as_raw();
        if metadata.uid() != me && metadata.uid() != 0 {
            let found = format!("owner uid {} while running as uid {me}", metadata.uid());
            return Err(is("a folder owned by this user or root", found, "chown it").into());
        }
        // Nobody puts a file onto a file system that is read-only here,
        // whatever its modes say.
        let mounted = fstatvfs(&self.folder).map_err(|error| wrong(error.into()))?;
        let mode = metadata.mode() & 0o7777;
        if mode & 0o022 != 0 && !mounted.f_flag.contains(StatVfsMountFlags::RDONLY) {
            let expected = "a folder that only its owner can write";
            return Err(is(expected, format!("mode {mode:04o}"), "run chmod go-w on it").into());
        }
        Ok(())
    }

    fn too_many(&self, what: &'static str, most: usize) -> FolderError {
        FolderError::TooMany {
            path: self.path.clone(),
            what,
            most,
        }
    }
}

impl DescriptorFile {
    /// What changes when the file does.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is no descriptor.
    pub fn read(&self) -> Result<Descriptor, DescriptorError> {
        let bytes = read_bounded(&self.path, &self.file, Descriptor::MAX as u64)?;
        Descriptor::parse(&bytes, self.path.parent().unwrap_or(Path::new("")))
    }
}

fn is_descriptor(name: &OsStr) -> bool {
    // What begins with a dot is somebody's that is not finished with it.
    !name.as_bytes().starts_with(b".") && Path::new(name).extension() == Some(OsStr::new("toml"))
}

fn of_opening(path: &Path, error: Errno) -> FileError {
    match error {
        Errno::XDEV | Errno::LOOP => FileError::Unsafe {
            path: path.to_owned(),
            expected: "a file, or links that stay in the folder",
            found: "a link that leaves it".to_owned(),
            fix: "put the file itself there",
        },
        error => FileError::io(path, error.into()),
    }
}

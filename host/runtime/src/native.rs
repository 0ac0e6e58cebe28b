//! Native code between whoever made it and the engines that run it.
//!
//! Owns the memory that it lies in, and the one place where it becomes
//! executable. Must not decide what native code is: who hands it here has made it,
//! or has verified it.
//!
//! **Invariant:** what becomes executable is what was verified. It lies in private
//! memory of this process, or in a file in memory that nobody can write to any
//! more, of which every worker maps the same pages.

use std::fs::File;
use std::io::{self, Write as _};
use std::ops::Deref;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Bytes that are copied at once.
const PIECE: usize = 256 << 10;

/// Native code, to be made executable by as many engines as want it.
#[derive(Debug)]
pub(crate) enum Native {
    /// In the memory that it was read into, whatever stands before it there: it
    /// may be hundreds of megabytes, so that it is not moved.
    Read {
        /// What was read.
        bytes: Vec<u8>,
        /// Where the code begins.
        from: usize,
    },
    /// In a file in memory.
    Sealed(Sealed),
}

/// A file in memory that can be read and mapped, and nothing else.
#[derive(Debug)]
pub(crate) struct Sealed {
    file: File,
    length: usize,
}

/// The bytes of one, as long as somebody looks at them.
struct Mapped {
    at: std::ptr::NonNull<u8>,
    length: usize,
}

impl Default for Native {
    fn default() -> Self {
        Native::behind(Vec::new(), 0)
    }
}

impl Native {
    /// What begins at this place.
    pub(crate) fn behind(bytes: Vec<u8>, from: usize) -> Self {
        Native::Read { bytes, from }
    }

    /// The same in a file in memory, where there can be one.
    pub(crate) fn sealed(self) -> Self {
        let Native::Read { bytes, from } = &self else {
            return self;
        };
        let bytes = bytes.get(*from..).unwrap_or_default();
        // Looked at once more when nobody can write to it any more.
        let sealed = Sealed::of(bytes).and_then(|sealed| match *sealed.map()? == *bytes {
            true => Ok(sealed),
            false => Err(io::Error::other("the file holds something else")),
        });
        match sealed {
            Ok(sealed) => Native::Sealed(sealed),
            Err(error) => {
                no_file(&error);
                self
            }
        }
    }

    /// What is worth keeping of it when the first engine has it: nothing that is
    /// memory of its own.
    pub(crate) fn kept(self) -> Option<Sealed> {
        match self {
            Native::Sealed(sealed) => Some(sealed),
            Native::Read { .. } => None,
        }
    }

    /// Does something with the bytes.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&[u8]) -> R) -> io::Result<R> {
        match self {
            Native::Read { bytes, from } => Ok(act(bytes.get(*from..).unwrap_or_default())),
            Native::Sealed(sealed) => Ok(act(&sealed.map()?)),
        }
    }

    /// Makes a component of it.
    ///
    /// # Errors
    ///
    /// When this engine does not take it.
    #[allow(unsafe_code, reason = "native code has to become executable somewhere")]
    pub(crate) fn component(&self, engine: &Engine) -> wasmtime::Result<Component> {
        match self {
            // SAFETY: these bytes were made by this host's own compiler: they come
            // straight from it, or from a cache entry that was authenticated in the
            // very memory that is passed here, or from a component that was made of
            // such bytes and has been in this process's memory since.
            Native::Read { .. } => self.with(|native| unsafe { Component::deserialize(engine, native) })?,
            Native::Sealed(sealed) => sealed.component(engine),
        }
    }
}

impl Sealed {
    /// Makes a component of it: its pages are mapped, not copied.
    ///
    /// # Errors
    ///
    /// When this engine does not take it.
    #[allow(unsafe_code, reason = "native code has to become executable somewhere")]
    pub(crate) fn component(&self, engine: &Engine) -> wasmtime::Result<Component> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        // SAFETY: as for what was read; and nobody can change the file any more.
        match unsafe { Component::deserialize_file(engine, path) } {
            Ok(component) => Ok(component),
            // Where files in memory are not found by that name, or may not be
            // executed.
            // SAFETY: as above.
            Err(_) => unsafe { Component::deserialize(engine, &*self.map()?) },
        }
    }

    /// A copy of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> io::Result<Self> {
        let file = File::from(new()?);
        (&file).write_all(bytes)?;
        Sealed::seal(file, bytes.len())
    }

    /// A copy of so much of another file, from this place on.
    pub(crate) fn copy_of(other: &File, from: u64, length: usize) -> io::Result<Self> {
        let file = File::from(new()?);
        // By way of memory that stays near the processor: the kernel's own copy
        // from file to file goes page by page, and takes twice as long.
        let mut buffer = vec![0; PIECE.min(length)];
        let (mut from, mut left) = (from, length);
        while left > 0 {
            let most = left.min(buffer.len());
            let piece = buffer.get_mut(..most).unwrap_or_default();
            other.read_exact_at(piece, from)?;
            (&file).write_all(piece)?;
            from = from.saturating_add(most as u64);
            left = left.saturating_sub(most);
        }
        Sealed::seal(file, length)
    }

    fn seal(file: File, length: usize) -> io::Result<Self> {
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        Ok(Sealed { file, length })
    }

    #[allow(unsafe_code, reason = "there is no other way to map a file")]
    fn map(&self) -> io::Result<Mapped> {
        // SAFETY: a new mapping, where the system finds room for it.
        let at = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                self.length,
                ProtFlags::READ,
                MapFlags::PRIVATE | MapFlags::POPULATE,
                &self.file,
                0,
            )?
        };
        let at = std::ptr::NonNull::new(at.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory)?;
        let length = self.length;
        Ok(Mapped { at, length })
    }
}

impl Deref for Mapped {
    type Target = [u8];

    #[allow(unsafe_code, reason = "there is no other way to read a mapped file")]
    fn deref(&self) -> &[u8] {
        // SAFETY: mapped for reading as long as this lives, and sealed: neither
        // its length nor its bytes can change.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.length) }
    }
}

impl Drop for Mapped {
    #[allow(unsafe_code, reason = "what was mapped is unmapped")]
    fn drop(&mut self) {
        // SAFETY: nobody else knows this mapping.
        let unmapped = unsafe { rustix::mm::munmap(self.at.as_ptr().cast(), self.length) };
        debug_assert!(unmapped.is_ok(), "what was mapped can be unmapped");
    }
}

/// An empty file in memory that can be sealed.
fn new() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    Ok(rustix::fs::memfd_create("odeon-native", flags)?)
}

/// Everything works without, and takes more memory.
pub(crate) fn no_file(error: &io::Error) {
    tracing::debug!(%error, "native code is not in a file in memory; every worker has a copy");
}

#[cfg(test)]
mod tests;

//! What a call may still write and create.
//!
//! Owns the allowances behind `fs-bytes-written`, `fs-files-created` and
//! `fs-file-size`. They are shared with the streams that an instance holds, so
//! that a stream kept from an earlier call is charged to the one that uses it.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use odeon_authority::Limits;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

/// What is left of a call's allowances. One instance has one.
pub(crate) struct Disk {
    bytes: AtomicU64,
    files: AtomicU64,
    limits: [u64; 3],
    /// Whether the audit has it that too many files were to be open.
    open_files_reported: AtomicBool,
}

/// A limit that was reached. Its words name the field that raises it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OverLimit {
    #[error("the call has written limits.fs-bytes-written = {0} bytes, holes in files included")]
    Bytes(u64),
    #[error("the call has created limits.fs-files-created = {0} files, folders and links")]
    Files(u64),
    #[error("a file would grow beyond limits.fs-file-size = {0} bytes")]
    FileSize(u64),
    #[error("the plugin has limits.open-files = {0} files and directories open")]
    OpenFiles(u64),
}

impl OverLimit {
    /// Its name in a descriptor.
    pub(super) fn limit(self) -> &'static str {
        match self {
            OverLimit::Bytes(_) => "fs-bytes-written",
            OverLimit::Files(_) => "fs-files-created",
            OverLimit::FileSize(_) => "fs-file-size",
            OverLimit::OpenFiles(_) => "open-files",
        }
    }

    pub(super) fn code(self) -> ErrorCode {
        match self {
            OverLimit::Bytes(_) | OverLimit::Files(_) | OverLimit::OpenFiles(_) => ErrorCode::Quota,
            OverLimit::FileSize(_) => ErrorCode::FileTooLarge,
        }
    }
}

/// Where a write begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    At(u64),
    End,
}

impl Disk {
    pub(crate) fn new(limits: &Limits) -> Self {
        let limits = [
            limits.fs_bytes_written.bytes(),
            limits.fs_files_created,
            limits.fs_file_size.bytes(),
        ];
        let [bytes, files, _] = limits;
        Disk {
            bytes: AtomicU64::new(bytes),
            files: AtomicU64::new(files),
            limits,
            open_files_reported: AtomicBool::new(false),
        }
    }

    /// Begins a call: everything per call starts anew.
    pub(crate) fn begin(&self) {
        let [bytes, files, _] = self.limits;
        self.bytes.store(bytes, Ordering::Relaxed);
        self.files.store(files, Ordering::Relaxed);
        self.open_files_reported.store(false, Ordering::Relaxed);
    }

    /// Whether this is the first time in the call.
    pub(super) fn report_open_files(&self) -> bool {
        !self.open_files_reported.swap(true, Ordering::Relaxed)
    }

    /// Charges a write before it is made. What lies between the end of the
    /// file and the write is charged too: it is growth, if a sparse one.
    pub(super) fn write(&self, file: &File, position: Position, length: u64) -> Result<(), OverLimit> {
        if length == 0 {
            return Ok(());
        }
        // On an open file this reads no disk.
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let start = match position {
            Position::At(offset) => offset,
            Position::End => size,
        };
        let end = start.saturating_add(length);
        self.grow_to(size, end)?;
        self.take_bytes(start.saturating_sub(size).saturating_add(length))
    }

    /// Charges a change of a file's size before it is made.
    pub(super) fn set_size(&self, file: &File, size: u64) -> Result<(), OverLimit> {
        let before = file.metadata().map_or(0, |metadata| metadata.len());
        self.grow_to(before, size)?;
        self.take_bytes(size.saturating_sub(before))
    }

    /// Whether another file may be created.
    pub(super) fn may_create(&self) -> Result<(), OverLimit> {
        match self.files.load(Ordering::Relaxed) {
            0 => Err(self.too_many_files()),
            _ => Ok(()),
        }
    }

    /// Charges a file that was created.
    pub(super) fn created(&self) {
        // A store runs one call at a time, so nothing comes between.
        let left = self.files.load(Ordering::Relaxed);
        self.files.store(left.saturating_sub(1), Ordering::Relaxed);
    }

    fn too_many_files(&self) -> OverLimit {
        let [_, files, _] = self.limits;
        OverLimit::Files(files)
    }

    /// A file that is larger already may be written to within its size.
    fn grow_to(&self, before: u64, after: u64) -> Result<(), OverLimit> {
        let [_, _, most] = self.limits;
        if after > most && after > before {
            Err(OverLimit::FileSize(most))
        } else {
            Ok(())
        }
    }

    fn take_bytes(&self, bytes: u64) -> Result<(), OverLimit> {
        let [most, _, _] = self.limits;
        self.bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            })
            .map(drop)
            .map_err(|_| OverLimit::Bytes(most))
    }
}

#[cfg(test)]
mod tests {
    use odeon_authority::ByteSize;

    use super::*;

    fn disk(bytes: u64, files: u64, size: u64) -> Disk {
        Disk::new(&Limits {
            fs_bytes_written: ByteSize::new(bytes),
            fs_files_created: files,
            fs_file_size: ByteSize::new(size),
            ..Limits::default()
        })
    }

    #[test]
    fn bytes_are_written_up_to_the_limit() {
        let file = tempfile::tempfile().unwrap();
        let disk = disk(10, 0, 100);
        assert_eq!(disk.write(&file, Position::At(0), 10), Ok(()));
        assert_eq!(disk.write(&file, Position::At(0), 1), Err(OverLimit::Bytes(10)));
        disk.begin();
        assert_eq!(disk.write(&file, Position::At(0), 11), Err(OverLimit::Bytes(10)));
        assert_eq!(
            disk.write(&file, Position::At(0), 10),
            Ok(()),
            "what was refused costs nothing"
        );
    }

    #[test]
    fn holes_are_growth() {
        let file = tempfile::tempfile().unwrap();
        let disk = disk(10, 0, 100);
        assert_eq!(disk.write(&file, Position::At(10), 1), Err(OverLimit::Bytes(10)));
        assert_eq!(disk.write(&file, Position::At(9), 1), Ok(()));
        disk.begin();
        assert_eq!(disk.set_size(&file, 11), Err(OverLimit::Bytes(10)));
        assert_eq!(disk.set_size(&file, 10), Ok(()));
    }

    #[test]
    fn a_file_grows_up_to_the_limit() {
        let file = tempfile::tempfile().unwrap();
        let disk = disk(1000, 0, 10);
        assert_eq!(disk.write(&file, Position::At(0), 10), Ok(()));
        assert_eq!(
            disk.write(&file, Position::At(1), 10),
            Err(OverLimit::FileSize(10))
        );
        assert_eq!(
            disk.write(&file, Position::At(u64::MAX), 1),
            Err(OverLimit::FileSize(10))
        );
        assert_eq!(disk.set_size(&file, 10), Ok(()));
        assert_eq!(disk.set_size(&file, 11), Err(OverLimit::FileSize(10)));
        file.set_len(10).unwrap();
        assert_eq!(disk.write(&file, Position::End, 1), Err(OverLimit::FileSize(10)));
    }

    #[test]
    fn a_file_that_is_larger_already_does_not_grow() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(20).unwrap();
        let disk = disk(1000, 0, 10);
        assert_eq!(disk.write(&file, Position::At(10), 10), Ok(()));
        assert_eq!(
            disk.write(&file, Position::At(11), 10),
            Err(OverLimit::FileSize(10))
        );
        assert_eq!(disk.set_size(&file, 15), Ok(()), "smaller is allowed");
    }

    #[test]
    fn files_are_created_up_to_the_limit() {
        let disk = disk(0, 2, 0);
        for _ in 0..2 {
            assert_eq!(disk.may_create(), Ok(()));
            disk.created();
        }
        assert_eq!(disk.may_create(), Err(OverLimit::Files(2)));
        disk.begin();
        assert_eq!(disk.may_create(), Ok(()));
    }
}

//! What stands around several functions of `wasi:filesystem/types`: whether
//! something may be created, what is opened and how, and which of two paths is
//! told in the audit.
//!
//! Owns no limit and no grant: those are asked of `disk` and of the view.

use std::sync::Arc;

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorType, ErrorCode, HostDescriptor, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynOutputStream, FsResult};

use crate::interfaces::filesystem::disk::Position;
use crate::interfaces::filesystem::stream::Metered;
use crate::interfaces::filesystem::{Filesystem, Intent, path};

/// The same descriptor again: resources are consumed by every call, though
/// they are only borrowed.
fn again(descriptor: u32) -> Resource<Descriptor> {
    Resource::new_borrow(descriptor)
}

impl Filesystem<'_> {
    /// Runs what creates one file, folder or link, if another may be created.
    pub(super) fn may_create(&self, descriptor: u32, path: &str) -> FsResult<()> {
        self.check_path(descriptor, path, Intent::Change)?;
        self.disk
            .may_create()
            .map_err(|over| self.over_limit(descriptor, path, over))
    }

    /// Counts what was created; the result is passed on.
    pub(super) fn created<T>(&self, descriptor: u32, path: &str, result: FsResult<T>) -> FsResult<T> {
        if result.is_ok() {
            self.disk.created();
        }
        self.audited(descriptor, path, Intent::Change, result)
    }

    /// What a change from one path to another is called in the audit.
    pub(super) fn both(&self, from: (u32, &str), to: (u32, &str)) -> String {
        format!("{} -> {}", self.target(from.0, from.1), self.target(to.0, to.1))
    }

    /// The same as `audited` for a change from one path to another.
    pub(super) fn audited_both<T>(
        &self,
        from: (u32, &str),
        to: (u32, &str),
        result: FsResult<T>,
    ) -> FsResult<T> {
        if let Err(error) = &result
            && let Some(code) = error.downcast_ref()
        {
            // The side that explains the refusal is the one to go by.
            let new = self.read_only(to.0) || path::is_absolute(to.1) || path::climbs(to.1);
            let decisive = if new { to } else { from };
            self.explain(decisive, || self.both(from, to), Intent::Change, *code);
        }
        result
    }

    /// Refuses to open a pipe, a socket or a device: it could keep a thread of
    /// the host waiting for longer than the call lasts. A guest cannot make
    /// one, so what is seen here is what is opened.
    pub(super) async fn check_kind(
        &mut self,
        descriptor: u32,
        path_flags: PathFlags,
        path: &str,
    ) -> FsResult<()> {
        use DescriptorType as Kind;
        // What cannot be looked at cannot be opened either; opening says why.
        let Ok(stat) = self
            .wasi
            .stat_at(again(descriptor), path_flags, path.to_owned())
            .await
        else {
            return Ok(());
        };
        match stat.type_ {
            Kind::RegularFile | Kind::Directory | Kind::SymbolicLink => Ok(()),
            _ => {
                self.deny(
                    descriptor,
                    path,
                    "only files and folders can be opened, no pipes, sockets or devices",
                );
                Err(ErrorCode::NotPermitted.into())
            }
        }
    }

    pub(super) async fn open(
        &mut self,
        descriptor: u32,
        path_flags: PathFlags,
        path: &str,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let wasi = &mut self.wasi;
        if !open_flags.contains(OpenFlags::CREATE) {
            return wasi
                .open_at(again(descriptor), path_flags, path.to_owned(), open_flags, flags)
                .await;
        }
        if !open_flags.contains(OpenFlags::EXCLUSIVE) {
            // What is there already is not created: first without creating, in
            // the mode that creating would have opened it in.
            let present = open_flags & !OpenFlags::CREATE;
            let mut mode = flags | DescriptorFlags::WRITE;
            if !flags.contains(DescriptorFlags::WRITE) {
                mode |= DescriptorFlags::READ;
            }
            let opened = wasi
                .open_at(again(descriptor), path_flags, path.to_owned(), present, mode)
                .await;
            match opened {
                Err(error) if matches!(error.downcast_ref(), Some(ErrorCode::NoEntry)) => {}
                other => return other,
            }
        }
        self.disk
            .may_create()
            .map_err(|over| self.over_limit(descriptor, path, over))?;
        let opened = self
            .wasi
            .open_at(again(descriptor), path_flags, path.to_owned(), open_flags, flags)
            .await;
        if opened.is_ok() {
            self.disk.created();
        }
        opened
    }

    /// Puts the meter around a stream that was just made for a file.
    pub(super) fn metered(
        &mut self,
        descriptor: u32,
        position: Position,
        stream: Resource<DynOutputStream>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let (Some(file), Some(guard)) = (self.writable(descriptor), self.guard(descriptor)) else {
            return Ok(stream);
        };
        let stream = Metered {
            inner: self.wasi.table.delete(stream)?,
            file,
            position,
            disk: self.disk.clone(),
            unit: self.unit.clone(),
            guard,
            _opened: self.opened(descriptor),
            path: self
                .place(descriptor)
                .map_or_else(|| Arc::from(""), |place| place.path.clone()),
            failed: false,
        };
        Ok(self.wasi.table.push(Box::new(stream) as DynOutputStream)?)
    }
}

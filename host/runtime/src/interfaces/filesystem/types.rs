//! `wasi:filesystem/types`: every function, with its checks before it and the
//! audit after it.
//!
//! Owns the order of the two around wasmtime-wasi's own function, and nothing
//! about what a limit is. What stands around several of them is in `around`.

mod around;

use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::Descriptor as Open;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
    DirectoryEntryStream, ErrorCode, Filesize, Host, HostDescriptor, HostDirectoryEntryStream,
    MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use super::disk::{OverLimit, Position};
use super::listing::Listing;
use super::stream::Kept;
use super::{Filesystem, Intent, Place, path};

impl Host for Filesystem<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        if let Some(over) = self.wasi.table.get(&error)?.downcast_ref::<OverLimit>() {
            return Ok(Some(over.code()));
        }
        Host::filesystem_error_code(&mut self.wasi, error)
    }
}

impl HostDescriptor for Filesystem<'_> {
    fn read_via_stream(
        &mut self,
        descriptor: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynInputStream>> {
        let number = descriptor.rep();
        self.may(number, "", Intent::Look)?;
        let opened = self.opened(number);
        let guard = self.guard(number).ok_or(ErrorCode::BadDescriptor)?;
        let stream = self.wasi.read_via_stream(descriptor, offset)?;
        // The stream keeps the file open, with its descriptor or without.
        let inner = self.wasi.table.delete(stream)?;
        let stream = Kept {
            inner,
            guard,
            _opened: opened,
        };
        Ok(self.wasi.table.push(Box::new(stream) as DynInputStream)?)
    }

    fn write_via_stream(
        &mut self,
        descriptor: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        let number = descriptor.rep();
        self.may(number, "", Intent::Change)?;
        let stream = self.wasi.write_via_stream(descriptor, offset);
        let stream = self.audited(number, "", Intent::Change, stream)?;
        self.metered(number, Position::At(offset), stream)
    }

    fn append_via_stream(&mut self, descriptor: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        let number = descriptor.rep();
        self.may(number, "", Intent::Change)?;
        let stream = self.wasi.append_via_stream(descriptor);
        let stream = self.audited(number, "", Intent::Change, stream)?;
        self.metered(number, Position::End, stream)
    }

    async fn advise(
        &mut self,
        descriptor: Resource<Descriptor>,
        offset: Filesize,
        length: Filesize,
        advice: Advice,
    ) -> FsResult<()> {
        self.may(descriptor.rep(), "", Intent::Look)?;
        self.wasi.advise(descriptor, offset, length, advice).await
    }

    async fn sync_data(&mut self, descriptor: Resource<Descriptor>) -> FsResult<()> {
        self.may(descriptor.rep(), "", Intent::Look)?;
        self.wasi.sync_data(descriptor).await
    }

    async fn get_flags(&mut self, descriptor: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        self.may(descriptor.rep(), "", Intent::Look)?;
        self.wasi.get_flags(descriptor).await
    }

    async fn get_type(&mut self, descriptor: Resource<Descriptor>) -> FsResult<DescriptorType> {
        self.may(descriptor.rep(), "", Intent::Look)?;
        self.wasi.get_type(descriptor).await
    }

    async fn set_size(&mut self, descriptor: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        let number = descriptor.rep();
        self.may(number, "", Intent::Change)?;
        if let Some(file) = self.writable(number) {
            self.disk
                .set_size(&file, size)
                .map_err(|over| self.over_limit(number, "", over))?;
        }
        let result = self.wasi.set_size(descriptor, size).await;
        self.audited(number, "", Intent::Change, result)
    }

    async fn set_times(
        &mut self,
        descriptor: Resource<Descriptor>,
        access: NewTimestamp,
        modification: NewTimestamp,
    ) -> FsResult<()> {
        let number = descriptor.rep();
        self.may(number, "", Intent::Change)?;
        let result = self.wasi.set_times(descriptor, access, modification).await;
        self.audited(number, "", Intent::Change, result)
    }

    async fn read(
        &mut self,
        descriptor: Resource<Descriptor>,
        length: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        self.may(descriptor.rep(), "", Intent::Look)?;
        self.wasi.read(descriptor, length, offset).await
    }

    async fn write(
        &mut self,
        descriptor: Resource<Descriptor>,
        bytes: Vec<u8>,
        offset: Filesize,
    ) -> FsResult<Filesize> {
        let number = descriptor.rep();
        self.may(number, "", Intent::Change)?;
        if let Some(file) = self.writable(number) {
            let charged = self.disk.write(&file, Position::At(offset), bytes.len() as u64);
            charged.map_err(|over| self.over_limit(number, "", over))?;
        }
        let result = self.wasi.write(descriptor, bytes, offset).await;
        self.audited(number, "", Intent::Change, result)
    }

    async fn read_directory(
        &mut self,
        descriptor: Resource<Descriptor>,
    ) -> FsResult<Resource<DirectoryEntryStream>> {
        let dir = match self.wasi.table.get(&descriptor)? {
            Open::Dir(dir) => dir.dir.clone(),
            Open::File(_) => return Err(ErrorCode::NotDirectory.into()),
        };
        self.may(descriptor.rep(), "", Intent::Look)?;
        let guard = self.guard(descriptor.rep()).ok_or(ErrorCode::BadDescriptor)?;
        let opened = self.open_place()?;
        let listing = Listing::open(dir, guard, opened).await;
        let listing = self.audited(descriptor.rep(), "", Intent::Look, listing)?;
        // The guest's handle is to our listing in place of the engine's, which
        // reads a whole directory at once.
        let listing = self.wasi.table.push(listing)?;
        Ok(Resource::new_own(listing.rep()))
    }

    async fn sync(&mut self, descriptor: Resource<Descriptor>) -> FsResult<()> {
        self.may(descriptor.rep(), "", Intent::Look)?;
        self.wasi.sync(descriptor).await
    }

    async fn create_directory_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<()> {
        let number = descriptor.rep();
        self.may_create(number, &path)?;
        let result = self.wasi.create_directory_at(descriptor, path.clone()).await;
        self.created(number, &path, result)
    }

    async fn stat(&mut self, descriptor: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        self.may(descriptor.rep(), "", Intent::Look)?;
        self.wasi.stat(descriptor).await
    }

    async fn stat_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        let number = descriptor.rep();
        self.check_path(number, &path, Intent::Look)?;
        let result = self.wasi.stat_at(descriptor, path_flags, path.clone()).await;
        self.audited(number, &path, Intent::Look, result)
    }

    async fn set_times_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        access: NewTimestamp,
        modification: NewTimestamp,
    ) -> FsResult<()> {
        let number = descriptor.rep();
        self.check_path(number, &path, Intent::Change)?;
        let result = self
            .wasi
            .set_times_at(descriptor, path_flags, path.clone(), access, modification)
            .await;
        self.audited(number, &path, Intent::Change, result)
    }

    async fn link_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        new_descriptor: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let (from, to) = (descriptor.rep(), new_descriptor.rep());
        self.check_path(from, &path, Intent::Look)?;
        self.may_create(to, &new_path)?;
        if self.root(from).is_none() || self.root(from) != self.root(to) {
            let target = self.both((from, &path), (to, &new_path));
            self.unit.deny(
                "fs",
                &target,
                "a hard link between two granted directories would join them",
            );
            return Err(ErrorCode::NotPermitted.into());
        }
        let linked = self
            .wasi
            .link_at(
                descriptor,
                path_flags,
                path.clone(),
                new_descriptor,
                new_path.clone(),
            )
            .await;
        if linked.is_ok() {
            self.disk.created();
        }
        self.audited_both((from, &path), (to, &new_path), linked)
    }

    async fn open_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let number = descriptor.rep();
        let changes = open_flags.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE)
            || flags.intersects(DescriptorFlags::WRITE | DescriptorFlags::MUTATE_DIRECTORY);
        let intent = if changes { Intent::Change } else { Intent::Look };
        self.check_path(number, &path, intent)?;
        let place = self.open_place()?;
        self.check_kind(number, path_flags, &path).await?;
        let opened = self.open(number, path_flags, &path, open_flags, flags).await;
        let opened = self.audited(number, &path, intent, opened)?;
        let root = self.root(number).ok_or(ErrorCode::BadDescriptor)?;
        let place = Place {
            root: root.clone(),
            path: self.target(number, &path).into(),
            opened: place,
        };
        self.places.0.insert(opened.rep(), place);
        Ok(opened)
    }

    async fn readlink_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<String> {
        let number = descriptor.rep();
        self.check_path(number, &path, Intent::Look)?;
        let result = self.wasi.readlink_at(descriptor, path.clone()).await;
        self.audited(number, &path, Intent::Look, result)
    }

    async fn remove_directory_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<()> {
        let number = descriptor.rep();
        self.check_path(number, &path, Intent::Change)?;
        let result = self.wasi.remove_directory_at(descriptor, path.clone()).await;
        self.audited(number, &path, Intent::Change, result)
    }

    async fn rename_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        path: String,
        new_descriptor: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let (from, to) = (descriptor.rep(), new_descriptor.rep());
        self.check_path(from, &path, Intent::Change)?;
        self.check_path(to, &new_path, Intent::Change)?;
        let result = self
            .wasi
            .rename_at(descriptor, path.clone(), new_descriptor, new_path.clone())
            .await;
        self.audited_both((from, &path), (to, &new_path), result)
    }

    async fn symlink_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        target: String,
        path: String,
    ) -> FsResult<()> {
        let number = descriptor.rep();
        self.check_path(number, &target, Intent::Look)?;
        self.may_create(number, &path)?;
        if path::is_absolute(&target) || path::climbs(&target) {
            // It would be harmless to the guest, but not to another program
            // that follows it.
            self.deny(
                number,
                &path,
                "a link that is made by a guest may be neither absolute nor go up",
            );
            return Err(ErrorCode::NotPermitted.into());
        }
        let result = self.wasi.symlink_at(descriptor, target, path.clone()).await;
        self.created(number, &path, result)
    }

    async fn unlink_file_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<()> {
        let number = descriptor.rep();
        self.check_path(number, &path, Intent::Change)?;
        let result = self.wasi.unlink_file_at(descriptor, path.clone()).await;
        self.audited(number, &path, Intent::Change, result)
    }

    async fn is_same_object(
        &mut self,
        a: Resource<Descriptor>,
        b: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        self.wasi.is_same_object(a, b).await
    }

    async fn metadata_hash(&mut self, descriptor: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        self.may(descriptor.rep(), "", Intent::Look)?;
        self.wasi.metadata_hash(descriptor).await
    }

    async fn metadata_hash_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let number = descriptor.rep();
        self.check_path(number, &path, Intent::Look)?;
        let result = self
            .wasi
            .metadata_hash_at(descriptor, path_flags, path.clone())
            .await;
        self.audited(number, &path, Intent::Look, result)
    }

    fn drop(&mut self, descriptor: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.places.0.remove(&descriptor.rep());
        HostDescriptor::drop(&mut self.wasi, descriptor)
    }
}

impl HostDirectoryEntryStream for Filesystem<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let listing = Resource::<Listing>::new_borrow(stream.rep());
        self.wasi.table.get_mut(&listing)?.next().await
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.wasi
            .table
            .delete(Resource::<Listing>::new_own(stream.rep()))?;
        Ok(())
    }
}

//! Reaching what is not below the preopen.

use std::collections::BTreeSet;

use crate::exports::odeon_tests::fs_escape::reach::Guest;
use crate::root::{create, find, following, name, open};
use crate::wasi::filesystem::preopens::get_directories;
use crate::wasi::filesystem::types::{Descriptor, DescriptorFlags, NewTimestamp, OpenFlags, PathFlags};
use crate::wasi::io::streams::StreamError;

/// Bytes asked for at a time.
const READ: u64 = 64 * 1024;

impl Guest for crate::FsEscape {
    fn preopens() -> Vec<String> {
        get_directories().into_iter().map(|(_, name)| name).collect()
    }

    fn read(root: String, path: String, follow: bool) -> Result<Vec<u8>, String> {
        read_all(&open(&find(&root)?, &path, follow)?)
    }

    fn read_stream(root: String, path: String, follow: bool) -> Result<Vec<u8>, String> {
        let file = open(&find(&root)?, &path, follow)?;
        let stream = file.read_via_stream(0).map_err(name)?;
        let mut data = Vec::new();
        loop {
            match stream.blocking_read(READ) {
                Ok(bytes) => data.extend(bytes),
                Err(StreamError::Closed) => return Ok(data),
                Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
            }
        }
    }

    fn read_from(root: String, start: String, path: String) -> Result<Vec<u8>, String> {
        let flags = DescriptorFlags::READ;
        let folder = find(&root)?
            .open_at(PathFlags::empty(), &start, OpenFlags::DIRECTORY, flags)
            .map_err(name)?;
        read_all(&open(&folder, &path, true)?)
    }

    fn open_with_all_flags(root: String, path: String) -> Vec<String> {
        let root = match find(&root) {
            Ok(root) => root,
            Err(error) => return vec![error],
        };
        let mut outcomes = BTreeSet::new();
        for following in 0..=PathFlags::all().bits() {
            for opening in 0..=OpenFlags::all().bits() {
                for access in 0..=DescriptorFlags::all().bits() {
                    let opened = root.open_at(
                        PathFlags::from_bits_retain(following),
                        &path,
                        OpenFlags::from_bits_retain(opening),
                        DescriptorFlags::from_bits_retain(access),
                    );
                    outcomes.insert(opened.map_or_else(name, |_| "ok".to_owned()));
                }
            }
        }
        outcomes.into_iter().collect()
    }

    fn open_for_writing(root: String, path: String) -> Result<(), String> {
        let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
        find(&root)?
            .open_at(PathFlags::empty(), &path, OpenFlags::empty(), flags)
            .map(drop)
            .map_err(name)
    }

    fn list_directory(root: String, path: String) -> Result<Vec<String>, String> {
        let flags = DescriptorFlags::READ;
        let folder = find(&root)?
            .open_at(PathFlags::empty(), &path, OpenFlags::DIRECTORY, flags)
            .map_err(name)?;
        let entries = folder.read_directory().map_err(name)?;
        let mut names = Vec::new();
        while let Some(entry) = entries.read_directory_entry().map_err(name)? {
            names.push(entry.name);
        }
        Ok(names)
    }

    fn stat(root: String, path: String, follow: bool) -> Result<u64, String> {
        find(&root)?
            .stat_at(following(follow), &path)
            .map(|stat| stat.size)
            .map_err(name)
    }

    fn read_link(root: String, path: String) -> Result<String, String> {
        find(&root)?.readlink_at(&path).map_err(name)
    }

    fn write(root: String, path: String, data: Vec<u8>) -> Result<(), String> {
        create(&find(&root)?, &path)?
            .write(&data, 0)
            .map(drop)
            .map_err(name)
    }

    fn make_directory(root: String, path: String) -> Result<(), String> {
        find(&root)?.create_directory_at(&path).map_err(name)
    }

    fn remove_directory(root: String, path: String) -> Result<(), String> {
        find(&root)?.remove_directory_at(&path).map_err(name)
    }

    fn unlink(root: String, path: String) -> Result<(), String> {
        find(&root)?.unlink_file_at(&path).map_err(name)
    }

    fn set_times(root: String, path: String) -> Result<(), String> {
        find(&root)?
            .set_times_at(PathFlags::all(), &path, NewTimestamp::Now, NewTimestamp::Now)
            .map_err(name)
    }

    fn symlink(root: String, target: String, path: String) -> Result<(), String> {
        find(&root)?.symlink_at(&target, &path).map_err(name)
    }

    fn symlink_and_read(root: String, target: String, path: String) -> Result<Vec<u8>, String> {
        Self::symlink(root.clone(), target, path.clone())?;
        Self::read(root, path, true)
    }

    fn hard_link(
        root: String,
        old: String,
        follow: bool,
        new_root: String,
        new: String,
    ) -> Result<(), String> {
        find(&root)?
            .link_at(following(follow), &old, &find(&new_root)?, &new)
            .map_err(name)
    }

    fn rename(root: String, old: String, new_root: String, new: String) -> Result<(), String> {
        find(&root)?
            .rename_at(&old, &find(&new_root)?, &new)
            .map_err(name)
    }
}

fn read_all(file: &Descriptor) -> Result<Vec<u8>, String> {
    let mut data = Vec::new();
    loop {
        let (bytes, end) = file.read(READ, data.len() as u64).map_err(name)?;
        let empty = bytes.is_empty();
        data.extend(bytes);
        if end || empty {
            return Ok(data);
        }
    }
}

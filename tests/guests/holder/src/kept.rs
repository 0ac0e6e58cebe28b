//! What is kept between calls.

use std::cell::RefCell;

use odeon_sdk::secrets::{self, Secret};

use crate::exports::odeon_tests::holder::kept::Guest;
use crate::reach::{self, Connection, name, secret_name, stream_name};
use crate::wasi::filesystem::types::{Descriptor, DirectoryEntryStream};
use crate::wasi::io::streams::InputStream;

/// The most that is read at once.
const CHUNK: u64 = 64;

/// Fields are dropped in this order: what is of a descriptor before it.
struct Files {
    stream: InputStream,
    listing: DirectoryEntryStream,
    file: Descriptor,
    root: Descriptor,
}

thread_local! {
    static FILES: RefCell<Option<Files>> = const { RefCell::new(None) };
    static CONNECTION: RefCell<Option<Connection>> = const { RefCell::new(None) };
    static SECRET: RefCell<Option<Secret>> = const { RefCell::new(None) };
}

impl Guest for crate::Holder {
    fn open(root: String, path: String) -> Result<(), String> {
        let root = reach::root(&root)?;
        let file = reach::open(&root, &path)?;
        let files = Files {
            stream: file.read_via_stream(0).map_err(name)?,
            listing: root.read_directory().map_err(name)?,
            file,
            root,
        };
        FILES.replace(Some(files));
        Ok(())
    }

    fn read() -> Result<Vec<u8>, String> {
        with_files(|files| files.file.read(CHUNK, 0).map(|(bytes, _)| bytes).map_err(name))
    }

    fn write(data: Vec<u8>) -> Result<(), String> {
        with_files(|files| files.file.write(&data, 0).map(drop).map_err(name))
    }

    fn read_below(path: String) -> Result<Vec<u8>, String> {
        with_files(|files| {
            let file = reach::open(&files.root, &path)?;
            file.read(CHUNK, 0).map(|(bytes, _)| bytes).map_err(name)
        })
    }

    fn read_stream() -> Result<Vec<u8>, String> {
        with_files(|files| files.stream.blocking_read(1).map_err(|error| stream_name(&error)))
    }

    fn next_name() -> Result<Option<String>, String> {
        with_files(|files| {
            let entry = files.listing.read_directory_entry().map_err(name)?;
            Ok(entry.map(|entry| entry.name))
        })
    }

    fn connect(address: String, port: u16) -> Result<(), String> {
        CONNECTION.replace(Some(reach::connect(&address, port)?));
        Ok(())
    }

    fn send(data: Vec<u8>) -> Result<(), String> {
        with_connection(|connection| {
            let sent = connection.output.blocking_write_and_flush(&data);
            sent.map_err(|error| stream_name(&error))
        })
    }

    fn receive() -> Result<Vec<u8>, String> {
        with_connection(|connection| {
            let received = connection.input.blocking_read(CHUNK);
            received.map_err(|error| stream_name(&error))
        })
    }

    fn take(name: String) -> Result<(), String> {
        SECRET.replace(Some(secrets::get(&name).map_err(|error| secret_name(&error))?));
        Ok(())
    }

    fn reveal() -> Result<Vec<u8>, String> {
        SECRET.with_borrow(|secret| match secret {
            Some(secret) => secret.reveal().map_err(|error| secret_name(&error)),
            None => Err("nothing-kept".to_owned()),
        })
    }
}

fn with_files<T>(work: impl FnOnce(&Files) -> Result<T, String>) -> Result<T, String> {
    FILES.with_borrow(|files| work(files.as_ref().ok_or("nothing-kept")?))
}

fn with_connection<T>(work: impl FnOnce(&Connection) -> Result<T, String>) -> Result<T, String> {
    CONNECTION.with_borrow(|connection| work(connection.as_ref().ok_or("nothing-kept")?))
}

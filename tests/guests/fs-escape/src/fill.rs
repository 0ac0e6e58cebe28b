//! Using up the disk, or the host's patience with names.

use crate::exports::odeon_tests::fs_escape::fill::{Guest, Stopped};
use crate::root::{create, find, name, open};
use crate::wasi::filesystem::types::{Descriptor, filesystem_error_code};
use crate::wasi::io::streams::{OutputStream, StreamError};

/// The most that `blocking-write-and-flush` takes at once: more is a trap, which is not the attack here.
const CHUNK: usize = 4096;

impl Guest for crate::FsEscape {
    fn long_name(root: String, bytes: u32) -> Result<(), String> {
        create(&find(&root)?, &"n".repeat(bytes as usize)).map(drop)
    }

    fn long_path(root: String, components: u32) -> Result<Vec<u8>, String> {
        let path = vec!["d"; components as usize].join("/");
        let file = open(&find(&root)?, &path, false)?;
        file.read(1, 0).map(|(bytes, _)| bytes).map_err(name)
    }

    fn deep_directories(root: String, most: u32) -> Stopped {
        let mut path = String::new();
        until_refused(&root, |root, done| {
            if done >= u64::from(most) {
                return Err("none".to_owned());
            }
            path.push_str(if path.is_empty() { "d" } else { "/d" });
            root.create_directory_at(&path).map(|()| 1).map_err(name)
        })
    }

    fn set_size(root: String, path: String, bytes: u64) -> Result<(), String> {
        create(&find(&root)?, &path)?.set_size(bytes).map_err(name)
    }

    fn write_at(root: String, path: String, offset: u64, data: Vec<u8>) -> Result<u64, String> {
        create(&find(&root)?, &path)?.write(&data, offset).map_err(name)
    }

    fn stream_at(root: String, path: String, offset: u64, data: Vec<u8>) -> Result<(), String> {
        let file = create(&find(&root)?, &path)?;
        let stream = file.write_via_stream(offset).map_err(name)?;
        fill_stream(&stream, &data).map(drop)
    }

    fn write_forever(root: String, path: String, chunk: u32) -> Stopped {
        let data = vec![b'w'; chunk as usize];
        until_refused(&root, |root, done| {
            create(root, &path)?.write(&data, done).map_err(name)
        })
    }

    fn overwrite_forever(root: String, path: String, chunk: u32) -> Stopped {
        let data = vec![b'o'; chunk as usize];
        until_refused(&root, |root, _| {
            create(root, &path)?.write(&data, 0).map_err(name)
        })
    }

    fn stream_forever(root: String, path: String, chunk: u32) -> Stopped {
        let data = vec![b's'; chunk as usize];
        until_refused(&root, |root, done| {
            let file = create(root, &path)?;
            fill_stream(&file.write_via_stream(done).map_err(name)?, &data)
        })
    }

    fn append_forever(root: String, path: String, chunk: u32) -> Stopped {
        let data = vec![b'a'; chunk as usize];
        until_refused(&root, |root, _| {
            let file = create(root, &path)?;
            fill_stream(&file.append_via_stream().map_err(name)?, &data)
        })
    }

    fn zeroes_forever(root: String, path: String, chunk: u32) -> Stopped {
        until_refused(&root, |root, done| {
            let file = create(root, &path)?;
            let stream = file.write_via_stream(done).map_err(name)?;
            let chunk = u64::from(chunk).min(CHUNK as u64);
            stream
                .blocking_write_zeroes_and_flush(chunk)
                .map(|()| chunk)
                .map_err(|error| stream_name(&error))
        })
    }

    fn create_forever(root: String, prefix: String) -> Stopped {
        until_refused(&root, |root, done| {
            create(root, &format!("{prefix}{done}")).map(|_| 1)
        })
    }

    fn directories_forever(root: String, prefix: String) -> Stopped {
        until_refused(&root, |root, done| {
            root.create_directory_at(&format!("{prefix}{done}"))
                .map(|()| 1)
                .map_err(name)
        })
    }

    fn symlinks_forever(root: String, prefix: String) -> Stopped {
        until_refused(&root, |root, done| {
            root.symlink_at("nowhere", &format!("{prefix}{done}"))
                .map(|()| 1)
                .map_err(name)
        })
    }

    fn streams_forever(root: String, path: String) -> Stopped {
        let mut streams = Vec::new();
        until_refused(&root, |root, _| {
            streams.push(open(root, &path, false)?.read_via_stream(0).map_err(name)?);
            Ok(1)
        })
    }

    fn listings_forever(root: String) -> Stopped {
        let mut listings = Vec::new();
        until_refused(&root, |root, _| {
            listings.push(root.read_directory().map_err(name)?);
            Ok(1)
        })
    }

    fn open_again(root: String, path: String, times: u32) -> Result<u32, String> {
        let root = find(&root)?;
        for _ in 0..times {
            open(&root, &path, false)?;
        }
        Ok(times)
    }

    fn open_forever(root: String, path: String) -> Stopped {
        let mut handles = Vec::new();
        until_refused(&root, |root, _| {
            handles.push(open(root, &path, false)?);
            Ok(1)
        })
    }

    fn read_forever(root: String, path: String, chunk: u32) -> Stopped {
        let mut offset = 0;
        until_refused(&root, |root, _| {
            let file = open(root, &path, false)?;
            let (bytes, end) = file.read(u64::from(chunk), offset).map_err(name)?;
            offset = if end { 0 } else { offset + bytes.len() as u64 };
            Ok(bytes.len() as u64)
        })
    }

    fn read_stream_forever(root: String, path: String, chunk: u32) -> Stopped {
        until_refused(&root, |root, _| {
            let file = open(root, &path, false)?;
            let stream = file.read_via_stream(0).map_err(name)?;
            let mut done = 0;
            loop {
                match stream.blocking_read(u64::from(chunk)) {
                    Ok(bytes) => done += bytes.len() as u64,
                    Err(StreamError::Closed) => return Ok(done),
                    Err(error) => return Err(stream_name(&error)),
                }
            }
        })
    }

    fn sync_forever(root: String, path: String) -> Stopped {
        until_refused(&root, |root, done| {
            let file = create(root, &path)?;
            file.write(b"s", done % 4096).map_err(name)?;
            file.sync().map_err(name)?;
            Ok(1)
        })
    }

    fn read_huge(root: String, path: String, bytes: u64) -> Result<u64, String> {
        let file = open(&find(&root)?, &path, false)?;
        file.read(bytes, 0)
            .map(|(bytes, _)| bytes.len() as u64)
            .map_err(name)
    }
}

/// Repeats a step until it is refused. A step is given how much was done before it, and returns how much it did.
fn until_refused(root: &str, mut step: impl FnMut(&Descriptor, u64) -> Result<u64, String>) -> Stopped {
    let mut done = 0;
    let error = find(root).and_then(|root| {
        loop {
            done += step(&root, done)?;
        }
    });
    let error = match error {
        Err(error) => error,
        Ok(never) => never,
    };
    Stopped { done, error }
}

fn fill_stream(stream: &OutputStream, data: &[u8]) -> Result<u64, String> {
    for chunk in data.chunks(CHUNK) {
        stream
            .blocking_write_and_flush(chunk)
            .map_err(|error| stream_name(&error))?;
    }
    Ok(data.len() as u64)
}

fn stream_name(error: &StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => {
            let code = filesystem_error_code(error);
            code.map_or_else(|| error.to_debug_string(), name)
        }
    }
}

//! Goes through the granted folder, file by file, in the order of the paths.
//!
//! Symbolic links are not followed. Between two files the request's cancel is looked at and progress is reported.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use odeon_sdk::{progress, request};

use crate::exports::odeon_samples::file_indexer::indexer::IndexError;

/// Where the manifest asks for the folder.
const ROOT: &str = "/data";

/// Files that one request goes through.
const MAX_FILES: usize = 100_000;

/// Files between two reports of progress.
const REPORT_EVERY: usize = 16;

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// What is in a file.
pub(crate) enum Text {
    Read(String),
    /// Not UTF-8, too long, or not to be read.
    Unreadable,
}

/// Calls `visit` with every file until it returns `false`.
pub(crate) fn each_file(mut visit: impl FnMut(String, Text) -> bool) -> Result<(), IndexError> {
    let paths = paths()?;
    let total = paths.len() as u64;
    for (done, path) in (0..).zip(paths) {
        request::check_cancelled().map_err(|_| IndexError::Cancelled(done))?;
        if done % REPORT_EVERY as u64 == 0 {
            // A report that is refused is not worth stopping for.
            progress::report(done, Some(total), &path).ok();
        }
        let text = read(&path);
        if !visit(path, text) {
            break;
        }
    }
    progress::report(total, Some(total), "").ok();
    Ok(())
}

/// Every file below the root, sorted.
fn paths() -> Result<Vec<String>, IndexError> {
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        request::check_cancelled().map_err(|_| IndexError::Cancelled(0))?;
        let entries =
            fs::read_dir(Path::new(ROOT).join(&folder)).map_err(|error| opening(&folder, &error))?;
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() {
                name
            } else {
                format!("{folder}/{name}")
            };
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                files.push(path);
            }
            if files.len() + folders.len() > MAX_FILES {
                return Err(IndexError::TooManyFiles(MAX_FILES as u32));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &str) -> Text {
    let path = Path::new(ROOT).join(path);
    match fs::metadata(&path) {
        Ok(metadata) if metadata.len() <= MAX_FILE => {
            fs::read_to_string(&path).map_or(Text::Unreadable, Text::Read)
        }
        _ => Text::Unreadable,
    }
}

/// The root that cannot be opened is a missing grant; a folder below it is an error of its own.
fn opening(folder: &str, error: &io::Error) -> IndexError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied if folder.is_empty() => IndexError::NotGranted,
        _ => IndexError::Io(format!("{folder}: {error}")),
    }
}

fn failed(error: io::Error) -> IndexError {
    IndexError::Io(error.to_string())
}

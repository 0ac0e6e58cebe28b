//! The components that tests and benches load, and where they lie.

#![expect(
    clippy::disallowed_methods,
    reason = "tests learn where they run from cargo's environment"
)]

use std::env;
use std::path::{Path, PathBuf};

/// The file of the component `name`: a guest's package, or `wat-` and the stem
/// of a file in `tests/guests/wat`.
///
/// # Panics
///
/// When it was not built.
#[track_caller]
pub fn component(name: &str) -> PathBuf {
    let path = folder().join(format!("{name}.wasm"));
    assert!(
        path.is_file(),
        "there is no {}: run `cargo xtask guests` first",
        path.display()
    );
    path
}

/// The bytes of the component `name`.
///
/// # Panics
///
/// When it was not built.
#[track_caller]
pub fn bytes(name: &str) -> Vec<u8> {
    let path = component(name);
    match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// The bytes of the component `name` with this number, of one digit, in the place
/// of the 1 in its answer: another version of it, with another digest.
///
/// # Panics
///
/// When the component does not hold that answer once.
#[track_caller]
pub fn version(name: &str, number: u8) -> Vec<u8> {
    const ANSWER: &[u8] = b"answered by version 1";
    let mut bytes = bytes(name);
    let places: Vec<usize> = bytes
        .windows(ANSWER.len())
        .enumerate()
        .filter_map(|(at, found)| (found == ANSWER).then_some(at))
        .collect();
    let [at] = places[..] else {
        panic!(
            "{name}: expected its answer once, found it {} times",
            places.len()
        );
    };
    bytes[at + ANSWER.len() - 1] = b'0' + number;
    bytes
}

/// The bytes of a component written as text.
///
/// # Panics
///
/// When the text is not well-formed.
#[track_caller]
pub fn assemble(text: &str) -> Vec<u8> {
    match wat::parse_str(text) {
        Ok(bytes) => bytes,
        Err(error) => panic!("the component's text: {error}"),
    }
}

/// The release build of the `odeon` command.
///
/// # Panics
///
/// When it was not built.
#[track_caller]
pub fn odeon() -> PathBuf {
    let path = target().join("release").join("odeon");
    assert!(
        path.is_file(),
        "there is no {}: run `cargo build --release` first",
        path.display()
    );
    path
}

fn folder() -> PathBuf {
    match env::var_os("ODEON_GUESTS") {
        Some(folder) => folder.into(),
        None => target().join("guests").join("components"),
    }
}

/// Cargo's target folder.
fn target() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => workspace.join(folder),
        None => workspace.join("target"),
    }
}

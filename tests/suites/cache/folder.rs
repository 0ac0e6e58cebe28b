//! A cache in a folder of its own, and components that tell who they are.

use std::fs;
use std::path::PathBuf;

use odeon_runtime::{CacheConfig, Plugin, Runtime, RuntimeConfig, StartError};
use odeon_tests::dwarf::{escaped, piece, unit};
use odeon_tests::guests::assemble;
use odeon_tests::runtime::{call, config, spec};

/// A folder with a cache and its key.
pub(crate) struct Folder {
    root: tempfile::TempDir,
    max_bytes: u64,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self::of_size(64 << 20)
    }

    pub(crate) fn of_size(max_bytes: u64) -> Self {
        Folder {
            // In memory: what a disk does is another test's.
            root: tempfile::tempdir_in("/dev/shm").unwrap(),
            max_bytes,
        }
    }

    pub(crate) fn entries_dir(&self) -> PathBuf {
        self.root.path().join("entries")
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.root.path().join("key")
    }

    /// A runtime that uses it, as a new process would.
    pub(crate) fn start(&self) -> Result<Runtime, StartError> {
        self.start_with(|_| {})
    }

    /// The same, set up otherwise.
    pub(crate) fn start_with(&self, change: impl FnOnce(&mut RuntimeConfig)) -> Result<Runtime, StartError> {
        let cache = CacheConfig {
            dir: self.entries_dir(),
            key: self.key_file(),
            max_bytes: self.max_bytes,
        };
        let mut config = config();
        config.cache = Some(cache);
        change(&mut config);
        Runtime::new(config)
    }

    /// What there is, the oldest first.
    pub(crate) fn entries(&self) -> Vec<PathBuf> {
        let mut entries: Vec<_> = fs::read_dir(self.entries_dir())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
        entries
    }

    /// The only entry.
    pub(crate) fn entry(&self) -> PathBuf {
        match &self.entries()[..] {
            [entry] => entry.clone(),
            entries => panic!("expected one entry, found {entries:?}"),
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.entries()
            .iter()
            .map(|path| fs::metadata(path).unwrap().len())
            .sum()
    }
}

/// A component that answers with this number, which its author wrote in line 7.
pub(crate) fn answering(number: u32) -> Vec<u8> {
    let lines = escaped(&unit(&[], &[("answer.rs", 0)], &piece(&[(2, 1, 7)], 6)));
    assemble(&format!(
        r#"(component
            (core module $m
              (func (export "answer") (result i32) (i32.const {number}))
              (@custom ".debug_line" "{lines}"))
            (core instance $i (instantiate $m))
            (func (export "answer") (result u32) (canon lift (core func $i "answer"))))"#
    ))
}

/// Loads it and asks; gives whether its code came from the cache.
pub(crate) async fn loaded(runtime: &Runtime, number: u32) -> bool {
    let plugin: Plugin = spec().prepare(runtime, &answering(number)).await.unwrap();
    assert_eq!(
        call(&plugin, "answer").await.unwrap(),
        number.to_string(),
        "the code is the component's own"
    );
    assert_eq!(plugin.lines().rows(), 2, "its lines come with it");
    plugin.from_cache()
}

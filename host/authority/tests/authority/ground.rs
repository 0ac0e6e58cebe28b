//! A state directory with a log of short segments, and hands that touch it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use odeon_authority::{Audit, AuditError, ByteSize, Event, PublicKey, Report, SigningKey, Text, verify};
use tempfile::TempDir;

/// Room for about five lines.
pub(crate) const SEGMENT: u64 = 2 * 1024;

/// Where the second slot of the head begins.
pub(crate) const SLOT: usize = 576 * 1024;

/// The files of a folder, by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

pub(crate) struct Ground {
    pub(crate) folder: TempDir,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let ground = Ground {
            folder: tempfile::tempdir().unwrap(),
        };
        SigningKey::generate().unwrap().save(&ground.pem()).unwrap();
        ground
    }

    /// One whose log has this many segments that have ended, and some lines.
    pub(crate) fn with_segments(ended: usize) -> Self {
        let ground = Self::new();
        let audit = ground.open();
        while ground.ended().len() < ended {
            audit.append(event(0)).unwrap();
        }
        (0..3).for_each(|_| assert!(audit.append(event(0)).is_ok()));
        ground
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn pem(&self) -> PathBuf {
        self.path().join("host.key")
    }

    pub(crate) fn key(&self) -> SigningKey {
        SigningKey::load(&self.pem()).unwrap()
    }

    pub(crate) fn public(&self) -> PublicKey {
        self.key().public()
    }

    pub(crate) fn open(&self) -> Audit {
        self.reopen().unwrap()
    }

    pub(crate) fn reopen(&self) -> Result<Audit, AuditError> {
        Audit::open_sized(self.path(), self.key(), ByteSize::new(SEGMENT))
    }

    pub(crate) fn report(&self) -> Report {
        verify(self.path(), &self.public()).unwrap()
    }

    /// The first numbers of the segments that have ended.
    pub(crate) fn ended(&self) -> Vec<u64> {
        let number = |name: &String| name.strip_prefix("audit.")?.strip_suffix(".jsonl")?.parse().ok();
        let mut ended: Vec<u64> = self.files().keys().filter_map(number).collect();
        ended.sort_unstable();
        ended
    }

    /// The names of the log's files, the oldest first.
    pub(crate) fn log(&self) -> Vec<String> {
        let ended = self
            .ended()
            .into_iter()
            .map(|first| format!("audit.{first}.jsonl"));
        ended.chain(["audit.jsonl".to_owned()]).collect()
    }

    pub(crate) fn files(&self) -> Files {
        let entries = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap());
        entries
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect()
    }

    pub(crate) fn restore(&self, files: &Files) {
        for name in self.files().keys().filter(|name| *name != "audit.lock") {
            fs::remove_file(self.path().join(name)).unwrap();
        }
        for (name, bytes) in files.iter().filter(|(name, _)| *name != "audit.lock") {
            fs::write(self.path().join(name), bytes).unwrap();
        }
        let secret = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(self.pem(), secret).unwrap();
    }

    pub(crate) fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path().join(file)).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn write_lines(&self, file: &str, lines: &[String]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(self.path().join(file), text).unwrap();
    }
}

pub(crate) fn event(number: usize) -> Event {
    Event::Stop {
        reason: Text::from(format!("number {number} {}", "x".repeat(200))),
    }
}

pub(crate) fn seq(line: &str) -> u64 {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    line["seq"].as_u64().unwrap()
}

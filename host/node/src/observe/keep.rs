//! Files of core dumps and profiles.
//!
//! Owns the two folders for them in the state directory: nobody else can look
//! into them, and what is in them is bounded. Nothing in them is removed by the
//! host: what an operator asked for is his to take away.

use std::fs::DirBuilder;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use odeon_authority::{ByteSize, Event, NewFile, replace_private, sweep};
use odeon_protocol::{Code, DumpRow, Fault, Generation, PluginName, Serial};
use odeon_runtime::{CoreDump, DumpSink, LeftOut, StoppedCall};
use parking_lot::Mutex;

use crate::audit::Recorder;

/// The most files in one folder.
const FILES: usize = 64;

/// The names of both folders.
const FOLDERS: [&str; 2] = ["dumps", "profiles"];

/// Where something is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeepIn {
    /// In a folder of the state directory, under a name of its own.
    StateDir,
    /// In this file, whatever was there before.
    File(PathBuf),
}

/// Removes what a process that was killed left behind in both folders.
pub(crate) fn sweep_in(state: &Path) {
    for folder in FOLDERS.map(|name| state.join(name)) {
        if folder.is_dir()
            && let Err(error) = sweep(&folder)
        {
            tracing::warn!(%error, "unfinished files stay in {}", folder.display());
        }
    }
}

/// One of the two folders.
pub(super) struct Folder {
    path: PathBuf,
    most: ByteSize,
}

impl Folder {
    /// Makes it if it is missing.
    pub(super) fn open(path: &Path, most: ByteSize) -> Result<Self, Fault> {
        let wrong = |why: String| Fault::new(Code::WrongState, format!("{}: {why}", path.display()));
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(wrong(error.to_string()));
            }
            _ => {}
        }
        let found = path
            .symlink_metadata()
            .map_err(|error| wrong(error.to_string()))?;
        let me = rustix::process::geteuid().as_raw();
        if !found.is_dir() || found.uid() != me || found.mode() & 0o077 != 0 {
            return Err(wrong(format!(
                "expected a folder of uid {me} with mode 0700, found mode {:04o} of uid {}; move it away",
                found.mode() & 0o7777,
                found.uid()
            )));
        }
        Ok(Folder {
            path: path.to_owned(),
            most,
        })
    }

    /// Whether there is room for one more file of this size. Whoever refuses
    /// loses nothing that is there.
    pub(super) fn has_room(&self, bytes: u64) -> Result<(), Fault> {
        let full = |why: String| {
            let path = self.path.display();
            Fault::new(
                Code::WrongState,
                format!("{path} {why}; take some of its files away"),
            )
        };
        let (files, there) = self
            .taken()
            .map_err(|error| full(format!("cannot be read: {error}")))?;
        let taken = there.saturating_add(bytes);
        if files >= FILES {
            return Err(full(format!("expected fewer than {FILES} files, found {files}")));
        }
        if taken > self.most.bytes() {
            return Err(full(format!(
                "expected at most host-limits.dumps-size = {} in all, and would have {}",
                self.most,
                ByteSize::new(taken)
            )));
        }
        Ok(())
    }

    /// How many files there are, and their bytes together.
    fn taken(&self) -> io::Result<(usize, u64)> {
        let (mut files, mut bytes) = (0_usize, 0_u64);
        for entry in std::fs::read_dir(&self.path)? {
            files = files.saturating_add(1);
            bytes = bytes.saturating_add(entry?.metadata()?.len());
        }
        Ok((files, bytes))
    }

    /// The path of a new file.
    pub(super) fn new_path(
        &self,
        plugin: &PluginName,
        generation: Generation,
        serial: Option<Serial>,
        ending: &str,
    ) -> PathBuf {
        let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.6fZ");
        let serial = serial.map(|serial| format!("-{serial}")).unwrap_or_default();
        self.path
            .join(format!("{plugin}-{generation}-{time}{serial}.{ending}"))
    }

    /// A file that has its name when it is whole.
    pub(super) fn new_file(&self) -> io::Result<NewFile> {
        NewFile::inside(&self.path, 0o600)
    }

    fn keep(&self, call: &StoppedCall, bytes: &[u8]) -> Result<PathBuf, String> {
        self.has_room(bytes.len() as u64).map_err(|fault| fault.message)?;
        let path = self.new_path(&call.plugin, call.generation, call.serial, "coredump");
        let write = || -> io::Result<()> {
            let mut new = self.new_file()?;
            new.write_all(bytes)?;
            new.sync()?;
            new.create(&path)
        };
        write().map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }
}

/// The core dumps of one order.
pub(super) struct Dumps {
    /// A folder, or the one file.
    place: Result<Folder, PathBuf>,
    recorder: Recorder,
    /// What came of it: as many as were ordered at most.
    rows: Mutex<Vec<DumpRow>>,
}

impl Dumps {
    pub(super) fn new(place: Result<Folder, PathBuf>, recorder: Recorder) -> Self {
        Dumps {
            place,
            recorder,
            rows: Mutex::default(),
        }
    }

    pub(super) fn rows(&self) -> Vec<DumpRow> {
        self.rows.lock().clone()
    }

    /// Says what became of it: to whoever asks, and in the log.
    fn tell(&self, call: &StoppedCall, kept: Result<&Path, &str>) -> Event {
        let serial = call.serial.map(|serial| serial.to_string()).unwrap_or_default();
        let (plugin, generation, code) = (call.plugin.as_str(), call.generation.0, call.code.as_str());
        match kept {
            Ok(path) => {
                let file = path.display();
                tracing::warn!(plugin, generation, serial, code, %file, "a call that trapped left a core dump");
            }
            Err(why) => tracing::warn!(
                plugin,
                generation,
                serial,
                code,
                why,
                "a call that trapped left no core dump"
            ),
        }
        let file = kept.ok().map(|path| path.display().to_string());
        let left_out = kept.err().map(str::to_owned);
        self.rows.lock().push(DumpRow {
            time: format!("{:.6}", jiff::Timestamp::now()),
            generation: call.generation,
            serial: call.serial,
            code: call.code,
            file: file.clone(),
            left_out: left_out.clone(),
        });
        Event::CoreDump {
            plugin: call.plugin.clone(),
            generation: call.generation,
            serial: call.serial,
            code: call.code,
            file: file.map(Into::into),
            left_out: left_out.map(Into::into),
        }
    }
}

impl DumpSink for Dumps {
    fn dumped(&self, dump: CoreDump<'_>) {
        let kept = match &self.place {
            Ok(folder) => folder.keep(dump.call, dump.bytes),
            Err(file) => replace_private(file, dump.bytes)
                .map(|()| file.clone())
                .map_err(|error| error.to_string()),
        };
        let kept = kept.as_deref().map_err(String::as_str);
        if let Err(error) = self.recorder.append(self.tell(dump.call, kept)) {
            tracing::error!(%error, "a core dump is not on record");
        }
    }

    fn left_out(&self, call: &StoppedCall, why: LeftOut) {
        self.recorder.append_soon(self.tell(call, Err(&why.to_string())));
    }
}

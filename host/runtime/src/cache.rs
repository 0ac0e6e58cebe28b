//! The cache of native code.
//!
//! Owns the folder of compiled components. An entry is only ever used when
//! this host wrote it: it carries a MAC under a key that lives outside the
//! folder, over everything that decides what the code is. An entry that is
//! missing, stale, cut off, tampered with or foreign is no error; it is
//! compiled again.
//!
//! **Invariant:** what is executed is exactly the bytes that were verified:
//! an entry is read once, into memory that nobody else can write to, and used from
//! there.
//!
//! Whether native code fits this processor and these settings the engine checks
//! itself when it takes it; what it refuses is compiled again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use odeon_authority::{NewFile, sweep};
use odeon_protocol::Digest;
use sha2::{Digest as _, Sha256};

use crate::EngineClass;
use crate::compile::{CompileLimits, Compiled};
use crate::describe::{MAX_DESCRIPTION, from_json};
use crate::engine::PoolSize;
use crate::lines::{LineTable, MAX_TABLE};
use crate::native::{Native, Sealed, no_file};

/// Where native code is kept and how much of it.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// The folder of entries. Made with mode 0700 when missing.
    pub dir: PathBuf,
    /// The file of the host's key, outside that folder. Made with mode 0600
    /// when missing.
    pub key: PathBuf,
    /// The most that all entries together may take, in bytes. The least
    /// recently used ones go first.
    pub max_bytes: u64,
}

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The folder or the key cannot be made or read.
    #[error("the cache's {what} cannot be used: {source}")]
    Io {
        /// `folder` or `key file`.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The key file can be read by others.
    #[error(
        "the cache's key file can be read by others (mode {mode:o}, expected 600); remove it and start again"
    )]
    KeyExposed {
        /// Its mode.
        mode: u32,
    },
    /// The key file is somebody else's, or no file.
    #[error("the cache's key file is not a file of this user; remove it and start again")]
    KeyForeign,
}

const MAGIC: &[u8; 8] = b"ODNC\0\0\0\x05";
const TAG: usize = blake3::OUT_LEN;

/// Raised with every change of what `scan.rs`, `describe.rs` and
/// `compile/lines.rs` say about a component, and of the engine's settings.
const DESCRIPTION: u32 = 6;

/// What an entry was made for, besides the component.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    pub(crate) class: Option<EngineClass>,
    pub(crate) pool: PoolSize,
    pub(crate) limits: CompileLimits,
}

/// The cache of one host.
pub(crate) struct Cache {
    dir: PathBuf,
    key: [u8; 32],
    max_bytes: u64,
    /// How much there was when the folder was last looked through.
    bytes: AtomicU64,
}

impl Cache {
    pub(crate) fn open(config: &CacheConfig) -> Result<Self, CacheError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.dir)
            .map_err(|source| CacheError::Io {
                what: "folder",
                source,
            })?;
        let key = host_key(&config.key)?;
        sweep(&config.dir).map_err(|source| CacheError::Io {
            what: "folder",
            source,
        })?;
        let cache = Cache {
            dir: config.dir.clone(),
            key,
            max_bytes: config.max_bytes,
            bytes: AtomicU64::new(0),
        };
        let entries = cache.entries().map_err(|source| CacheError::Io {
            what: "folder",
            source,
        })?;
        cache.bytes.store(
            entries.iter().map(|(_, length, _)| length).sum(),
            Ordering::Relaxed,
        );
        Ok(cache)
    }

    /// How many bytes are kept, as far as this host knows: other processes put
    /// entries there and take them away as well.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The name of the entry for a component under these circumstances: it
    /// changes with the component, this program, the kind of processor, the
    /// class, the pool that decides about the class, and the limits on what is
    /// compiled: what was let through by other ones is no answer.
    pub(crate) fn entry(&self, digest: &Digest, made_for: &Circumstances) -> Entry {
        let mut hash = Sha256::new();
        hash.update(MAGIC);
        hash.update(DESCRIPTION.to_le_bytes());
        let (class, pool, limits) = (made_for.class, made_for.pool, made_for.limits);
        for text in [
            env!("CARGO_PKG_VERSION"),
            std::env::consts::ARCH,
            class.map_or("any", EngineClass::as_str),
        ] {
            hash.update(text);
            hash.update([0]);
        }
        for number in [
            u64::from(pool.instances),
            pool.memory as u64,
            limits.output,
            u64::from(limits.type_depth),
            u64::from(limits.type_nodes),
        ] {
            hash.update(number.to_le_bytes());
        }
        hash.update(digest.as_bytes());
        Entry(hash.finalize().into())
    }

    /// The native code of this entry, if it is there and is ours.
    pub(crate) fn get(&self, entry: &Entry, limits: &CompileLimits) -> Option<Compiled> {
        let path = self.path(entry);
        let (file, length) = open_own(&path).ok()??;
        let most = limits
            .output
            .saturating_add(MAX_DESCRIPTION as u64)
            .saturating_add((MAX_TABLE + MAGIC.len() + TAG + 8) as u64)
            .min(self.max_bytes);
        if length > most {
            return None;
        }
        let mut head = Head::of(&file, length);
        if head.next(MAGIC.len())? != MAGIC {
            return None;
        }
        let tag = <[u8; TAG]>::try_from(head.next(TAG)?).ok()?;
        let (mut mac, description) = (self.mac(entry), head.part(MAX_DESCRIPTION)?.to_vec());
        let lines = head.part(MAX_TABLE)?.to_vec();
        let native = head.rest()?;
        mac.update(head.read.get(MAGIC.len() + TAG..)?);
        native
            .with(|native| {
                mac.update(native);
            })
            .ok()?;
        // Compared in constant time.
        if mac.finalize() != tag {
            return None;
        }
        let (description, lines) = (from_json(&description)?, LineTable::decode(&lines)?);
        // Recently used: eviction goes by this time.
        drop(file.set_modified(SystemTime::now()));
        Some(Compiled {
            description,
            lines,
            native,
        })
    }

    /// Keeps native code that was compiled here. Written beside the old entry
    /// and renamed over it, so that readers see one or the other.
    pub(crate) fn put(&self, entry: &Entry, compiled: &Compiled) -> io::Result<()> {
        let description = serde_json::to_vec(&compiled.description)?;
        let lines = compiled.lines.encode();
        let length = |part: &[u8]| u32::try_from(part.len()).map_err(io::Error::other);
        let native = compiled.native.with(<[u8]>::len)?;
        let total = MAGIC.len() + TAG + 8 + description.len() + lines.len() + native;
        if total as u64 > self.max_bytes {
            return Ok(());
        }
        let mut body = Vec::with_capacity(total);
        for part in [&description, &lines] {
            body.extend_from_slice(&length(part)?.to_le_bytes());
            body.extend_from_slice(part);
        }
        compiled.native.with(|native| body.extend_from_slice(native))?;
        let tag = self.mac(entry).update(&body).finalize();
        let mut file = NewFile::inside(&self.dir, 0o600)?;
        file.write_all(MAGIC)?;
        file.write_all(tag.as_bytes())?;
        file.write_all(&body)?;
        // Not synced: what a power cut leaves of it is not authentic.
        file.replace(&self.path(entry))?;
        self.evict()
    }

    /// What is there: when it was last used, its length and its place.
    fn entries(&self) -> io::Result<Vec<(SystemTime, u64, PathBuf)>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            // Another process may have evicted it meanwhile.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() {
                entries.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        Ok(entries)
    }

    fn evict(&self) -> io::Result<()> {
        let mut entries = self.entries()?;
        entries.sort();
        let mut total: u64 = entries.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in entries {
            if total <= self.max_bytes {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total -= length;
            }
        }
        self.bytes.store(total, Ordering::Relaxed);
        Ok(())
    }

    fn path(&self, entry: &Entry) -> PathBuf {
        let name: String = entry.0.iter().map(|byte| format!("{byte:02x}")).collect();
        self.dir.join(name)
    }

    /// The MAC, before the body: a load is mostly waiting for it, and this one is
    /// several times as fast as any that is made of SHA-256.
    fn mac(&self, entry: &Entry) -> blake3::Hasher {
        let mut mac = blake3::Hasher::new_keyed(&self.key);
        mac.update(&entry.0);
        mac
    }
}

/// An entry that is being read: what stands before its native code. Nothing of it
/// is to be believed before the MAC was compared.
struct Head<'f> {
    file: &'f File,
    length: u64,
    read: Vec<u8>,
}

impl<'f> Head<'f> {
    fn of(file: &'f File, length: u64) -> Self {
        let read = Vec::new();
        Head { file, length, read }
    }

    /// The next so many bytes.
    fn next(&mut self, count: usize) -> Option<&[u8]> {
        let at = self.read.len();
        let end = at.checked_add(count).filter(|end| *end as u64 <= self.length)?;
        self.read.resize(end, 0);
        let next = self.read.get_mut(at..)?;
        self.file.read_exact_at(next, at as u64).ok()?;
        Some(next)
    }

    /// A part that begins with its length, which is at most so much.
    fn part(&mut self, most: usize) -> Option<&[u8]> {
        let length = u32::from_le_bytes(*self.next(4)?.first_chunk()?);
        self.next(usize::try_from(length).ok().filter(|length| *length <= most)?)
    }

    /// All that is behind it.
    fn rest(&self) -> Option<Native> {
        let from = self.read.len() as u64;
        let length = usize::try_from(self.length.checked_sub(from)?).ok()?;
        match Sealed::copy_of(self.file, from, length) {
            Ok(sealed) => return Some(Native::Sealed(sealed)),
            Err(error) => no_file(&error),
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).ok()?;
        bytes.resize(length, 0);
        self.file.read_exact_at(&mut bytes, from).ok()?;
        Some(Native::behind(bytes, 0))
    }
}

/// The name of one entry.
#[derive(Clone, Copy)]
pub(crate) struct Entry([u8; 32]);

/// Opens a file of this user's for reading, never waiting for anybody: not
/// through a link, no pipe, no device. Nothing if it is something else.
fn open_own(path: &Path) -> io::Result<Option<(File, u64)>> {
    use rustix::fs::OFlags;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let metadata = file.metadata()?;
    let own = metadata.is_file() && metadata.uid() == rustix::process::geteuid().as_raw();
    Ok(own.then_some((file, metadata.len())))
}

/// Reads the host's key, or makes one.
fn host_key(path: &Path) -> Result<[u8; 32], CacheError> {
    let failed = |source| CacheError::Io {
        what: "key file",
        source,
    };
    for _ in 0..2 {
        match open_own(path) {
            Ok(None) => return Err(CacheError::KeyForeign),
            Ok(Some((mut file, _))) => {
                let mode = file.metadata().map_err(failed)?.mode() & 0o777;
                if mode & 0o077 != 0 {
                    return Err(CacheError::KeyExposed { mode });
                }
                let mut key = [0; 32];
                file.read_exact(&mut key).map_err(failed)?;
                return Ok(key);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| failed(io::Error::other(error.to_string())))?;
        let parent = path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(failed)?;
        let mut file = NewFile::inside(parent, 0o600).map_err(failed)?;
        file.write_all(&key).and_then(|()| file.sync()).map_err(failed)?;
        match file.create(path) {
            Ok(()) => return Ok(key),
            // Another process was first: its key counts.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(failed(io::Error::from(io::ErrorKind::AlreadyExists)))
}

//! The cache of native code.
//!
//! Owns the folder of compiled components. An entry is only ever used when
//! this host wrote it: it carries a MAC under a key that lives outside the
//! folder, over everything that decides what the code is. An entry that is
//! missing, stale, cut off, tampered with or foreign is no error; it is
//! compiled again.
//!
//! **Invariant:** what is executed is exactly the bytes that were verified:
//! an entry is read once into private memory and used from there.

use std::fs::{self, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::EngineClass;
use crate::compile::Compiled;
use crate::engine::compile_config;

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
    /// The engine does not start.
    #[error("the engine cannot be configured: {0}")]
    Engine(String),
}

const MAGIC: &[u8; 8] = b"ODNC\0\0\0\x02";
const TAG: usize = 32;

/// The cache of one host.
pub(crate) struct Cache {
    dir: PathBuf,
    key: [u8; 32],
    max_bytes: u64,
    /// Per class, what native code of this process depends on.
    compatibility: Vec<(EngineClass, [u8; 32])>,
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
        let compatibility = EngineClass::ALL
            .into_iter()
            .map(|class| Ok((class, compatibility(class)?)))
            .collect::<Result<_, CacheError>>()?;
        Ok(Cache {
            dir: config.dir.clone(),
            key,
            max_bytes: config.max_bytes,
            compatibility,
        })
    }

    /// The name of the entry for these bytes compiled for that class: it
    /// changes with the component, the engine's version and settings, the
    /// processor's features and the class.
    pub(crate) fn entry(&self, bytes: &[u8], class: Option<EngineClass>) -> Entry {
        let mut hash = Sha256::new();
        hash.update(MAGIC);
        hash.update(class.map_or("any", EngineClass::as_str));
        hash.update([0]);
        for (_, compatibility) in self
            .compatibility
            .iter()
            .filter(|(c, _)| class.is_none_or(|class| class == *c))
        {
            hash.update(compatibility);
        }
        hash.update(Sha256::digest(bytes));
        Entry(hash.finalize().into())
    }

    /// The native code of this entry, if it is there and is ours.
    pub(crate) fn get(&self, entry: &Entry) -> Option<Compiled> {
        let path = self.path(entry);
        let file = File::open(&path).ok()?;
        let length = file.metadata().ok()?.len();
        if length > self.max_bytes {
            return None;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).ok()?.checked_add(1)?);
        (&file).take(self.max_bytes).read_to_end(&mut bytes).ok()?;
        let rest = bytes.strip_prefix(MAGIC)?;
        let (tag, body) = rest.split_at_checked(TAG)?;
        self.mac(entry, body)?.verify_slice(tag).ok()?;
        let (length, rest) = body.split_first_chunk::<4>()?;
        let description = rest.get(..u32::from_le_bytes(*length) as usize)?;
        let native_at = MAGIC.len() + TAG + 4 + description.len();
        let description = serde_json::from_slice(description).ok()?;
        // Recently used: eviction goes by this time.
        drop(file.set_modified(SystemTime::now()));
        bytes.drain(..native_at);
        Some(Compiled {
            description,
            native: bytes,
        })
    }

    /// Keeps native code that was compiled here. Written beside the old entry
    /// and renamed over it, so that readers see one or the other.
    pub(crate) fn put(&self, entry: &Entry, compiled: &Compiled) -> io::Result<()> {
        let description = serde_json::to_vec(&compiled.description)?;
        let length = u32::try_from(description.len()).map_err(io::Error::other)?;
        let total = MAGIC.len() + TAG + 4 + description.len() + compiled.native.len();
        if total as u64 > self.max_bytes {
            return Ok(());
        }
        let mut body = Vec::with_capacity(total);
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(&description);
        body.extend_from_slice(&compiled.native);
        let tag = self
            .mac(entry, &body)
            .ok_or_else(|| io::Error::other("no key"))?
            .finalize()
            .into_bytes();
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.dir)?;
        file.write_all(MAGIC)?;
        file.write_all(&tag)?;
        file.write_all(&body)?;
        file.persist(self.path(entry)).map_err(|error| error.error)?;
        self.evict()
    }

    fn evict(&self) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            // Another process may have evicted it meanwhile.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() {
                entries.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
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
        Ok(())
    }

    fn path(&self, entry: &Entry) -> PathBuf {
        let name: String = entry.0.iter().map(|byte| format!("{byte:02x}")).collect();
        self.dir.join(name)
    }

    fn mac(&self, entry: &Entry, body: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(&entry.0);
        mac.update(body);
        Some(mac)
    }
}

/// The name of one entry.
pub(crate) struct Entry([u8; 32]);

/// A hash of everything native code of this class depends on here.
fn compatibility(class: EngineClass) -> Result<[u8; 32], CacheError> {
    struct Collect(Sha256);
    impl Hasher for Collect {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let engine = wasmtime::Engine::new(&compile_config(class))
        .map_err(|error| CacheError::Engine(format!("{error:#}")))?;
    let mut collect = Collect(Sha256::new());
    collect.0.update(env!("CARGO_PKG_VERSION"));
    engine.precompile_compatibility_hash().hash(&mut collect);
    Ok(collect.0.finalize().into())
}

/// Reads the host's key, or makes one.
fn host_key(path: &Path) -> Result<[u8; 32], CacheError> {
    let failed = |source| CacheError::Io {
        what: "key file",
        source,
    };
    for _ in 0..2 {
        match OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(path)
        {
            Ok(mut file) => {
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
        let mut file = tempfile::Builder::new()
            .prefix(".key-")
            .tempfile_in(parent)
            .map_err(failed)?;
        file.write_all(&key)
            .and_then(|()| file.as_file().sync_all())
            .map_err(failed)?;
        match file.persist_noclobber(path) {
            Ok(_) => return Ok(key),
            // Another process was first: its key counts.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error.error)),
        }
    }
    Err(failed(io::Error::from(io::ErrorKind::AlreadyExists)))
}

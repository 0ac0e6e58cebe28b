//! Ed25519 keys and their files.
//!
//! Owns making, naming, reading and writing keys. A private key is a PEM file
//! (PKCS #8) that only its owner can read; its bytes are wiped from memory
//! when it is dropped and it has no Debug form. A public key is one line,
//! `ed25519:` and base64, with an optional comment behind it.

use std::{fmt, path::Path, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{
    Signer as _,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, spki::der::pem::LineEnding},
};
use odeon_protocol::Digest;
use zeroize::Zeroizing;

use crate::file::{self, FileError, Others};

/// A public key: the 32 bytes of a point that is on the curve and not weak.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// A private key.
pub struct SigningKey(ed25519_dalek::SigningKey);

/// A short name of a public key: the first 16 hexadecimal digits of its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

/// Text that is no public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("public key: expected ed25519: and 44 characters of base64, found {found:?}")]
pub struct InvalidKey {
    /// What was there, cut to a readable length.
    pub found: String,
}

/// A key that cannot be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be used.
    #[error("the key cannot be used: {0}")]
    File(#[from] FileError),
    /// Not a private key.
    #[error(
        "expected a private Ed25519 key in PEM form (PKCS #8), found something else; make one with `odeon keygen`"
    )]
    NotPrivate,
    /// The other half of a private key.
    #[error("expected a private key, found a public one; the private one is in the file without .pub")]
    Public,
    /// Not a public key.
    #[error(transparent)]
    NotPublic(#[from] InvalidKey),
    /// The system has no random numbers.
    #[error("the system gave no random numbers for a new key: {0}")]
    Random(getrandom::Error),
}

const MAX_KEY_FILE: u64 = 16 * 1024;
const PREFIX: &str = "ed25519:";

impl SigningKey {
    /// A new key from the system's random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(KeyError::Random)?;
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        Ok(SigningKey(key))
    }

    /// Reads a private key, refusing a file that others can read.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let bytes = match file::read_owned(path, Others::MayNothing, MAX_KEY_FILE) {
            // A public key may be read by everybody, and closing it helps nobody.
            Err(FileError::Unsafe { .. }) if PublicKey::load(path).is_ok() => return Err(KeyError::Public),
            read => Zeroizing::new(read?),
        };
        std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| ed25519_dalek::SigningKey::from_pkcs8_pem(text).ok())
            .map(SigningKey)
            .ok_or(KeyError::NotPrivate)
    }

    /// Writes the key to a new file with mode 0600; one that is there already
    /// is left alone and is an error.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        let pem = self
            .0
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|_| KeyError::NotPrivate)?;
        Ok(file::create_new(path, pem.as_bytes(), 0o600)?)
    }

    /// Reads the key at this path, or makes one and writes it there.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        match Self::load(path) {
            Err(KeyError::File(FileError::Missing { .. })) => {
                let key = Self::generate()?;
                match key.save(path) {
                    Ok(()) => Ok(key),
                    // Another process was first: its key counts.
                    Err(KeyError::File(FileError::Taken { .. })) => Self::load(path),
                    Err(error) => Err(error),
                }
            }
            other => other,
        }
    }

    /// The public key to this one.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a message. Callers put a prefix of their own before it, so that
    /// a signature for one purpose is none for another.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl PublicKey {
    /// Whether this is the signature of the message by this key, by the strict
    /// rules: one signature has one form, and weak keys sign nothing.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        ed25519_dalek::VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }

    /// The key's short name.
    pub fn id(&self) -> KeyId {
        let digest = Digest::of(&self.0);
        let mut short = [0; 8];
        short
            .iter_mut()
            .zip(digest.as_bytes())
            .for_each(|(to, from)| *to = *from);
        KeyId(short)
    }

    /// Reads a key from its file: the first word of its first line that is not
    /// empty and no `#` comment.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let file = std::fs::File::open(path).map_err(|error| FileError::io(path, error))?;
        let bytes = file::read_bounded(path, &file, MAX_KEY_FILE)?;
        let text = String::from_utf8_lossy(&bytes);
        let line = text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with('#'));
        Ok(line
            .and_then(|line| line.split_whitespace().next())
            .unwrap_or_default()
            .parse()?)
    }

    /// Writes the key, with a comment behind it, to a new file.
    pub fn save(&self, path: &Path, comment: &str) -> Result<(), KeyError> {
        let comment: String = comment.chars().filter(|c| !c.is_control()).collect();
        Ok(file::create_new(
            path,
            format!("{} {comment}\n", self).as_bytes(),
            0o644,
        )?)
    }
}

/// Makes a key pair: the private key at `path`, the public one at
/// `path` + `.pub`. If either exists, neither is written.
pub fn keygen(path: &Path, comment: &str) -> Result<PublicKey, KeyError> {
    let mut public_path = path.as_os_str().to_owned();
    public_path.push(".pub");
    let key = SigningKey::generate()?;
    let public = key.public();
    public.save(Path::new(&public_path), comment)?;
    if let Err(error) = key.save(path) {
        // Made a moment ago by this call; without its private half it is of no use.
        drop(std::fs::remove_file(&public_path));
        return Err(error);
    }
    Ok(public)
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let key = || {
            let bytes = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
            let bytes: [u8; 32] = bytes.try_into().ok()?;
            let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes).ok()?;
            // A point has one encoding in a file, like everything that is signed.
            (!key.is_weak() && key.to_bytes() == bytes).then_some(PublicKey(bytes))
        };
        key().ok_or_else(|| InvalidKey {
            found: text.chars().take(80).collect(),
        })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().id())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let wrong = || InvalidKey {
            found: text.chars().take(80).collect(),
        };
        if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        u64::from_str_radix(text, 16)
            .map(|number| KeyId(number.to_be_bytes()))
            .map_err(|_| wrong())
    }
}

impl serde::Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl serde::Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

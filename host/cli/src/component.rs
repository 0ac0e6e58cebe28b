//! A component file of the user's.
//!
//! Owns reading one within the host's default size, and writing one so that a
//! file is never half there. What the bytes mean is for `odeon_authority`.

use std::{
    fs::{OpenOptions, Permissions},
    io::{Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use odeon_authority::{HostLimits, Offer};
use odeon_protocol::{Code, PluginName};
use serde::Serialize;

use crate::{failure::Failure, human, output::Done};

/// Keys that a component is signed with, for programs and lists.
#[derive(Debug, Serialize)]
pub(crate) struct Signer {
    pub(crate) key: String,
    pub(crate) id: String,
}

/// What a file is, for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) path: PathBuf,
    pub(crate) digest: String,
    pub(crate) size_bytes: usize,
    pub(crate) name: Option<PluginName>,
    pub(crate) version: Option<String>,
    pub(crate) signers: Vec<Signer>,
}

/// A component file, with the signature beside it.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    /// What the file of the same name with `.sig` behind holds, if it is there.
    pub(crate) detached: Option<Vec<u8>>,
}

impl Signed {
    /// Reads both files, as a host does.
    pub(crate) fn read(path: &Path) -> Done<Self> {
        let bytes = read(path)?;
        let mut beside = path.to_owned().into_os_string();
        beside.push(".sig");
        let beside = PathBuf::from(beside);
        let detached = match beside.symlink_metadata() {
            Ok(_) => Some(read_at_most(&beside, MAX_DETACHED, Code::SignatureInvalid)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failure::unreadable(&beside, &error)),
        };
        Ok(Signed {
            path: path.to_owned(),
            bytes,
            detached,
        })
    }
}

/// The longest detached signature, in bytes.
const MAX_DETACHED: u64 = 64 * 1024;

/// The bytes of a component file.
pub(crate) fn read(path: &Path) -> Done<Vec<u8>> {
    let max = HostLimits::default().component_size.bytes();
    read_at_most(path, max, Code::ComponentTooLarge)
}

fn read_at_most(path: &Path, max: u64, too_long: Code) -> Done<Vec<u8>> {
    let wrong = |error: std::io::Error| Failure::unreadable(path, &error);
    // Not waiting for the other end of a pipe.
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC)
        .bits()
        .cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(wrong)?;
    let metadata = file.metadata().map_err(wrong)?;
    if metadata.is_dir() {
        return Err(Failure::unreadable(
            path,
            &std::io::ErrorKind::IsADirectory.into(),
        ));
    }
    if !metadata.is_file() {
        let message = format!(
            "{}: expected a regular file, found something else",
            path.display()
        );
        return Err(Failure::new(Code::FileUnreadable, message));
    }
    // One byte more than there is, so that the end is seen without growing.
    let room = metadata.len().min(max).saturating_add(1);
    let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(wrong)?;
    if bytes.len() as u64 > max {
        let message = format!(
            "{}: expected at most {}, found more",
            path.display(),
            human::size(max)
        );
        return Err(Failure::new(too_long, message));
    }
    Ok(bytes)
}

/// Puts these bytes in the place of the file, whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Done {
    let wrong = |error: std::io::Error| Failure::unwritable(path, &error);
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mode = path
        .metadata()
        .map_or(0o644, |metadata| metadata.permissions().mode() & 0o777);
    let mut file = tempfile::Builder::new()
        .prefix(".odeon-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(wrong)?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(wrong)?;
    file.persist(path).map_err(|error| wrong(error.error))?;
    Ok(())
}

/// What these bytes of a component say about themselves.
pub(crate) fn row(path: &Path, bytes: &[u8], detached: Option<&[u8]>) -> Done<Row> {
    let offer = Offer::read(bytes, detached)?;
    let manifest = offer.manifest?;
    let signed = offer.signed?;
    let claim = signed.claim.map(|claim| (claim.name, claim.version.to_string()));
    let (name, version) = manifest
        .map(|manifest| (manifest.name, manifest.version.to_string()))
        .or(claim)
        .unzip();
    let signers = signed
        .signers
        .iter()
        .map(|key| Signer {
            key: key.to_string(),
            id: key.id().to_string(),
        })
        .collect();
    Ok(Row {
        path: path.to_owned(),
        digest: offer.digest.to_string(),
        size_bytes: bytes.len(),
        name,
        version,
        signers,
    })
}

/// A component's row as lines for people.
pub(crate) fn text(row: &Row) -> String {
    let named = match (&row.name, &row.version) {
        (Some(name), Some(version)) => format!("{name} {version}"),
        _ => "no manifest".to_owned(),
    };
    let mut text = format!("{}: {named}\ndigest  {}", row.path.display(), row.digest);
    for Signer { key, id } in &row.signers {
        text.push_str(&format!("\nsigned  {id}  {key}"));
    }
    text
}

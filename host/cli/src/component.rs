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

use crate::{failure::Failure, output::Done};

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

/// The bytes of a component file.
pub(crate) fn read(path: &Path) -> Done<Vec<u8>> {
    let max = HostLimits::default().component_size.bytes();
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
    if !file.metadata().map_err(wrong)?.is_file() {
        return Err(Failure::new(
            Code::FileUnreadable,
            format!(
                "{}: expected a regular file, found something else",
                path.display()
            ),
        ));
    }
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(wrong)?;
    if bytes.len() as u64 > max {
        let message = format!(
            "{}: expected a component of at most {} MiB, found more",
            path.display(),
            max >> 20
        );
        return Err(Failure::new(Code::ComponentTooLarge, message));
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
pub(crate) fn row(path: &Path, bytes: &[u8]) -> Done<Row> {
    let offer = Offer::read(bytes, None)?;
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

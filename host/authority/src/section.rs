//! A component's own custom sections, at its top level.
//!
//! Owns finding, adding and removing them, and telling a component from what
//! is none. It looks at section headers only, never into a nested component,
//! whose sections are its own business; whether the rest is valid is for the
//! compiler to say.

use odeon_protocol::Code;
use wasm_encoder::ComponentSection as _;
use wasmparser::BinaryReader;

use crate::manifest::{Manifest, ManifestError};

/// The section that holds the manifest.
pub const MANIFEST_SECTION: &str = "odeon:manifest";
/// The section that holds the signatures.
pub const SIGNATURE_SECTION: &str = "odeon:signature";

/// Bytes that are no component.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SectionError {
    /// Not WebAssembly.
    #[error("expected a WebAssembly component, found {found}; build one for the target wasm32-wasip2")]
    NotWasm {
        /// What it looks like.
        found: &'static str,
    },
    /// A core module.
    #[error(
        "expected a WebAssembly component, found a core module; build it for the target wasm32-wasip2, \
         or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// Of another version of the format.
    #[error(
        "expected a component of version 13, layer 1, found version {version}, layer {layer}; rebuild it"
    )]
    Version {
        /// The version in the header.
        version: u16,
        /// The layer in the header.
        layer: u16,
    },
    /// Cut off, or not made of sections.
    #[error(
        "expected whole sections, found that the component is cut off or malformed at byte {at}; copy it again"
    )]
    Malformed {
        /// Where.
        at: usize,
    },
}

impl SectionError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            SectionError::NotWasm { .. } => Code::NotWasm,
            SectionError::CoreModule => Code::CoreModule,
            SectionError::Version { .. } | SectionError::Malformed { .. } => Code::Malformed,
        }
    }
}

/// A component that cannot be given a manifest.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EmbedError {
    /// No component.
    #[error(transparent)]
    Section(#[from] SectionError),
    /// No manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl EmbedError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            EmbedError::Section(error) => error.code(),
            EmbedError::Manifest(error) => error.code(),
        }
    }
}

/// One custom section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Custom<'a> {
    pub(crate) name: &'a str,
    pub(crate) data: &'a [u8],
    /// Where the section begins, its id included.
    pub(crate) start: usize,
    /// Where the next one begins.
    pub(crate) end: usize,
}

const HEADER: usize = 8;
/// Two are in use; a few more are looked at to say what is wrong with them.
const MAX_OWN_SECTIONS: usize = 16;

/// The custom sections at the top level, in the order of the file.
pub(crate) fn customs(component: &[u8]) -> Result<Vec<Custom<'_>>, SectionError> {
    check_header(component)?;
    let mut reader = BinaryReader::new(component, 0);
    let mut found = Vec::new();
    reader.read_bytes(HEADER).map_err(malformed)?;
    while !reader.eof() {
        let start = reader.original_position();
        let id = reader.read_u8().map_err(malformed)?;
        let size = reader.read_var_u32().map_err(malformed)?;
        let body_start = reader.original_position();
        let size = usize::try_from(size).map_err(|_| SectionError::Malformed { at: start })?;
        let body = reader.read_bytes(size).map_err(malformed)?;
        let end = reader.original_position();
        if id != 0 {
            continue;
        }
        let mut body = BinaryReader::new(body, body_start);
        let name = body.read_unlimited_string().map_err(malformed)?;
        if name == MANIFEST_SECTION || name == SIGNATURE_SECTION {
            if found.len() == MAX_OWN_SECTIONS {
                return Err(SectionError::Malformed { at: start });
            }
            let data = body.read_bytes(body.bytes_remaining()).map_err(malformed)?;
            found.push(Custom {
                name,
                data,
                start,
                end,
            });
        }
    }
    Ok(found)
}

fn malformed(error: wasmparser::BinaryReaderError) -> SectionError {
    SectionError::Malformed { at: error.offset() }
}

fn check_header(bytes: &[u8]) -> Result<(), SectionError> {
    const MAGIC: &[u8] = b"\0asm";
    if !bytes.starts_with(MAGIC) {
        let text = bytes.trim_ascii_start();
        let found = match () {
            () if bytes.is_empty() => "an empty file",
            () if MAGIC.starts_with(bytes) => return Err(SectionError::Malformed { at: bytes.len() }),
            () if text.starts_with(b"(component") || text.starts_with(b"(module") => "WebAssembly text",
            () => "other bytes",
        };
        return Err(SectionError::NotWasm { found });
    }
    let Some(&[_, _, _, _, v0, v1, l0, l1]) = bytes.first_chunk::<HEADER>() else {
        return Err(SectionError::Malformed { at: bytes.len() });
    };
    match (u16::from_le_bytes([v0, v1]), u16::from_le_bytes([l0, l1])) {
        (13, 1) => Ok(()),
        (_, 0) => Err(SectionError::CoreModule),
        (version, layer) => Err(SectionError::Version { version, layer }),
    }
}

/// The component without the sections `which` names.
pub(crate) fn without(component: &[u8], which: &[&str]) -> Result<Vec<u8>, SectionError> {
    let mut kept = Vec::with_capacity(component.len());
    let mut from = 0;
    for section in customs(component)?
        .iter()
        .filter(|section| which.contains(&section.name))
    {
        kept.extend_from_slice(component.get(from..section.start).unwrap_or_default());
        from = section.end;
    }
    kept.extend_from_slice(component.get(from..).unwrap_or_default());
    Ok(kept)
}

/// Appends a custom section.
pub(crate) fn append(component: &mut Vec<u8>, name: &str, data: &[u8]) {
    wasm_encoder::CustomSection {
        name: name.into(),
        data: data.into(),
    }
    .append_to_component(component);
}

/// The component with this manifest (the text of `odeon.toml`) in the place of
/// any other. Signatures, which covered the old bytes, are dropped.
pub fn embed_manifest(component: &[u8], manifest: &[u8]) -> Result<Vec<u8>, EmbedError> {
    let mut packed = without(component, &[MANIFEST_SECTION, SIGNATURE_SECTION])?;
    Manifest::parse(manifest)?;
    append(&mut packed, MANIFEST_SECTION, manifest);
    Ok(packed)
}

/// The component's manifest, if it has one.
pub fn manifest_of(component: &[u8]) -> Result<Option<Manifest>, EmbedError> {
    let sections = customs(component)?;
    let mut manifests = sections.iter().filter(|section| section.name == MANIFEST_SECTION);
    match (manifests.next(), manifests.next()) {
        (None, _) => Ok(None),
        (Some(section), None) => Ok(Some(Manifest::parse(section.data)?)),
        (Some(_), Some(_)) => Err(ManifestError::Twice.into()),
    }
}

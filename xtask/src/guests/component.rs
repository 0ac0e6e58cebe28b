//! Bytes that are a component, from bytes that a compiler made.

use std::{borrow::Cow, fs, path::Path};

use anyhow::{Context, Result, bail};
use wasm_encoder::{ComponentSection, CustomSection};
use wit_component::ComponentEncoder;

/// The custom section in which a manifest travels.
const MANIFEST: &str = "odeon:manifest";
const MAGIC: &[u8] = b"\0asm";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Makes a component of a core module, leaves a component as it is, and
/// appends the manifest, if there is one.
pub(super) fn encode(bytes: Vec<u8>, manifest: Option<&Path>) -> Result<Vec<u8>> {
    let mut component = if is_component(&bytes) {
        bytes
    } else if bytes.starts_with(MAGIC) {
        ComponentEncoder::default()
            .validate(true)
            .module(&bytes)
            .and_then(|mut encoder| encoder.encode())
            .context("the core module does not make a component; expected one built with wit-bindgen")?
    } else {
        bail!("the compiler's output is not WebAssembly");
    };
    if let Some(path) = manifest {
        let text = fs::read(path).with_context(|| format!("cannot read the manifest {}", path.display()))?;
        CustomSection {
            name: MANIFEST.into(),
            data: Cow::Owned(text),
        }
        .append_to_component(&mut component);
    }
    Ok(component)
}

/// Whether the first bytes are those of a component, not of a core module.
pub(super) fn is_component(bytes: &[u8]) -> bool {
    bytes.starts_with(COMPONENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_module_becomes_a_component_and_a_component_stays() {
        let module = wat::parse_str("(module)").unwrap();
        let component = encode(module, None).unwrap();
        assert!(is_component(&component));
        assert_eq!(encode(component.clone(), None).unwrap(), component);
        assert!(encode(b"text".to_vec(), None).is_err());
    }

    #[test]
    fn the_manifest_is_the_last_section() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("odeon.toml");
        fs::write(&path, "name = 'x'").unwrap();
        let component = encode(COMPONENT.to_vec(), Some(&path)).unwrap();
        assert!(component.ends_with(b"\x0eodeon:manifestname = 'x'"));
    }
}

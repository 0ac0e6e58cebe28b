//! The echo guest as somebody signed it, and policies that trust whoever did.

use odeon_authority::{Claim, SigningKey, embed_manifest, sign};
use odeon_tests::guests;

use crate::host::state;

pub(crate) const MANIFEST: &str = "[plugin]\nname = \"echo\"\nversion = \"1.2.0\"\n";

pub(crate) fn signed(version: &str, key: &SigningKey) -> Vec<u8> {
    let manifest = MANIFEST.replace("1.2.0", version);
    let packed = embed_manifest(&guests::bytes("guest-echo"), manifest.as_bytes()).unwrap();
    sign(
        &packed,
        key,
        &Claim {
            name: "echo".parse().unwrap(),
            version: version.parse().unwrap(),
        },
    )
    .unwrap()
}

pub(crate) fn trust(folder: &std::path::Path, key: &SigningKey) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("trust.toml");
    std::fs::write(&path, format!("[[key]]\nkey = \"{}\"\n", key.public())).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A state directory whose policy trusts this key.
pub(crate) fn trusted() -> (tempfile::TempDir, SigningKey) {
    let folder = state();
    let key = SigningKey::generate().unwrap();
    trust(folder.path(), &key);
    (folder, key)
}

/// The echo guest, signed as version 1.2.0.
pub(crate) fn echo_in(folder: &std::path::Path, key: &SigningKey) -> std::path::PathBuf {
    let path = folder.join("echo.wasm");
    std::fs::write(&path, signed("1.2.0", key)).unwrap();
    path
}

pub(crate) fn named(name: &str, key: &SigningKey) -> Vec<u8> {
    packed(&MANIFEST.replace("echo", name), name, key)
}

pub(crate) fn packed(manifest: &str, name: &str, key: &SigningKey) -> Vec<u8> {
    let packed = embed_manifest(&guests::bytes("guest-echo"), manifest.as_bytes()).unwrap();
    let claim = Claim {
        name: name.parse().unwrap(),
        version: "1.2.0".parse().unwrap(),
    };
    sign(&packed, key, &claim).unwrap()
}

pub(crate) fn policy(folder: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("trust.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

//! Keys and their files.

use std::{fs, os::unix::fs::PermissionsExt as _};

use odeon_authority::{PublicKey, SigningKey, keygen};

use crate::fixture::key;

#[test]
fn a_key_pair_is_made_private_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("release");
    let public = keygen(&path, "release key").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(SigningKey::load(&path).unwrap().public(), public);
    assert_eq!(
        PublicKey::load(&folder.path().join("release.pub")).unwrap(),
        public
    );
    let text = fs::read_to_string(folder.path().join("release.pub")).unwrap();
    assert_eq!(text, format!("{public} release key\n"));
    assert_eq!(public.id().to_string().len(), 16);
    // Never over another key.
    let before = fs::read(&path).unwrap();
    assert!(keygen(&path, "").is_err());
    fs::remove_file(folder.path().join("release.pub")).unwrap();
    assert!(keygen(&path, "").is_err());
    assert!(!folder.path().join("release.pub").exists());
    assert_eq!(fs::read(&path).unwrap(), before);
}

// Passes by `file::check_owned`.
#[test]
fn a_private_key_that_others_can_read_is_refused_with_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    key().save(&path).unwrap();
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let message = SigningKey::load(&path).unwrap_err().to_string();
        assert!(message.contains("chmod 600"), "{message}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(SigningKey::load(&path).is_ok());
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(
        SigningKey::load(&link)
            .unwrap_err()
            .to_string()
            .contains("symbolic link")
    );
}

#[test]
fn what_is_no_key_is_refused() {
    let good = key().public().to_string();
    assert_eq!(good.parse::<PublicKey>().unwrap().to_string(), good);
    for wrong in [
        "",
        "ed25519:",
        "ed25519:AAAA",
        &good[8..],
        &good.replace("ed25519", "rsa"),
        &format!("{good}="),
    ] {
        assert!(wrong.parse::<PublicKey>().is_err(), "{wrong}");
    }
    // A key that fits every signature: the point of low order.
    let weak = format!("ed25519:{}=", "A".repeat(43));
    assert!(weak.parse::<PublicKey>().is_err());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, "not a key").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(SigningKey::load(&path).is_err());
    assert!(PublicKey::load(&path).is_err());
}

#[test]
fn a_private_key_has_no_readable_debug_form() {
    let key = key();
    assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.public().id()));
}

// Passes by `SigningKey::load_or_create`: whoever comes second takes the first
// one's key.
#[test]
fn first_starts_at_the_same_time_have_one_key() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host.key");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let make = || SigningKey::load_or_create(&path).unwrap().public();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

//! A folder of descriptors: what is found in it, and what leads out of it.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use odeon_authority::{DescriptorError, DescriptorFolder, FolderError};
use odeon_protocol::Code;

const TEXT: &str = "source = \"a.wasm\"\n";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn find(folder: &Path, name: &str) -> Result<(), DescriptorError> {
    let opened = DescriptorFolder::open(folder).unwrap();
    let read = opened.find(OsStr::new(name))?.read()?;
    assert_eq!(
        read.source,
        folder.join("a.wasm"),
        "beside the link, not beside the file"
    );
    Ok(())
}

#[test]
fn names_are_those_of_descriptors_in_order() {
    let folder = folder();
    for name in ["b.toml", "a.toml", ".hidden.toml", "a.toml~", "c.txt", "toml"] {
        fs::write(folder.path().join(name), TEXT).unwrap();
    }
    let names = DescriptorFolder::open(folder.path()).unwrap().names().unwrap();
    assert_eq!(names, ["a.toml", "b.toml"]);
}

/// As a ConfigMap is mounted; enforced by `RESOLVE_BENEATH`.
#[test]
fn links_that_stay_in_the_folder_pass_and_those_that_leave_it_do_not() {
    let (folder, outside) = (folder(), folder());
    let data = folder.path().join("..2026_11_21");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("x.toml"), TEXT).unwrap();
    symlink("..2026_11_21", folder.path().join("..data")).unwrap();
    symlink("..data/x.toml", folder.path().join("x.toml")).unwrap();
    find(folder.path(), "x.toml").unwrap();

    let secret = outside.path().join("secret.toml");
    fs::write(&secret, TEXT).unwrap();
    let beside = format!(
        "../{}/secret.toml",
        outside.path().file_name().unwrap().to_str().unwrap()
    );
    symlink(&secret, folder.path().join("absolute.toml")).unwrap();
    symlink(beside, folder.path().join("up.toml")).unwrap();
    symlink("/proc/self/exe", folder.path().join("magic.toml")).unwrap();
    symlink("round.toml", folder.path().join("round.toml")).unwrap();
    for name in ["absolute.toml", "up.toml", "magic.toml", "round.toml"] {
        let message = find(folder.path(), name).unwrap_err().to_string();
        assert!(message.contains("a link that leaves it"), "{name}: {message}");
    }
    symlink("..data/none.toml", folder.path().join("dangling.toml")).unwrap();
    let message = find(folder.path(), "dangling.toml").unwrap_err().to_string();
    assert!(message.contains("there is no such file"), "{message}");
}

/// Enforced by `DescriptorFolder::check` and `file::check_owned`.
#[test]
fn a_folder_or_a_file_that_others_can_write_is_refused() {
    let folder = folder();
    let path = folder.path().join("x.toml");
    fs::write(&path, TEXT).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
    let message = find(folder.path(), "x.toml").unwrap_err().to_string();
    assert!(message.contains("chmod go-w"), "{message}");
    for mode in [0o770, 0o707] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        let error = DescriptorFolder::open(folder.path()).unwrap_err();
        assert_eq!(error.code(), Code::FileUnreadable);
        assert!(error.to_string().contains("chmod go-w"), "{error}");
    }
    let gone = DescriptorFolder::open(&folder.path().join("none")).unwrap_err();
    assert!(gone.to_string().contains("there is no such file"), "{gone}");
}

/// Enforced by `DescriptorFolder::names`.
#[test]
fn a_folder_has_so_many_descriptors_and_not_one_more() {
    let folder = folder();
    for number in 0..DescriptorFolder::MOST {
        fs::write(folder.path().join(format!("{number}.toml")), "").unwrap();
    }
    let opened = DescriptorFolder::open(folder.path()).unwrap();
    assert_eq!(opened.names().unwrap().len(), DescriptorFolder::MOST);
    fs::write(folder.path().join("one-more.toml"), "").unwrap();
    assert!(matches!(opened.names(), Err(FolderError::TooMany { .. })));
}

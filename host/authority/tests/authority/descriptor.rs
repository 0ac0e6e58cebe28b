//! What an operator can say about one plugin.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use odeon_authority::{Descriptor, InstanceMode, TimeSpan};

const FULL: &str = r#"
source = "calc.wasm"
name = "calc"
signed-as = "calculator"
instance = "resident"
workers = 2
[limits]
deadline = "5s"
[grants]
http = ["api.example.com"]
fs = ["data::/data,rw"]
[config]
mode = "fast"
[secrets]
token = "token.secret"
"#;

#[test]
fn a_descriptor_is_read_with_paths_beside_it() {
    let read = Descriptor::parse(FULL.as_bytes(), Path::new("/etc/odeon/plugins.d")).unwrap();
    assert_eq!(read.source, Path::new("/etc/odeon/plugins.d/calc.wasm"));
    assert_eq!(
        read.grants.fs[0].host.as_deref(),
        Some(Path::new("/etc/odeon/plugins.d/data"))
    );
    assert_eq!(
        read.secrets["token"],
        Path::new("/etc/odeon/plugins.d/token.secret")
    );
    assert_eq!(read.placing.instance, Some(InstanceMode::Resident));
    assert_eq!(read.limits.deadline, Some(TimeSpan::secs(5)));
}

#[test]
fn what_is_no_descriptor_is_refused() {
    for wrong in [
        "",
        "source = 1",
        "source = \"a\"\nallow-unsigned = true",
        "source = \"a\"\nlinks = [\"b\"]",
        "source = \"a\"\n[links]\n\"b\" = \"c\"",
        "source = \"a\"\n[links]\n\"wasi:random/random\" = \"c\"",
        "source = \"a\"\nworkers = 2\ninstance = \"fresh\"",
        "source = \"a\"\n[[grants.fs]]\nguest = \"/data\"",
        "source = \"a\"\n[secrets]\n\"a/b\" = \"f\"",
        "source = \"a\"\n[config]\nk = 1",
    ] {
        assert!(
            Descriptor::parse(wrong.as_bytes(), Path::new("")).is_err(),
            "{wrong}"
        );
    }
    let padded = |length: usize| format!("source = \"a\"\n#{}", "x".repeat(length - 14));
    assert!(Descriptor::parse(padded(Descriptor::MAX).as_bytes(), Path::new("")).is_ok());
    assert!(Descriptor::parse(padded(Descriptor::MAX + 1).as_bytes(), Path::new("")).is_err());
}

// Passes by `file::check_owned`.
#[test]
fn a_descriptor_that_others_can_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calc.toml");
    fs::write(&path, FULL).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(Descriptor::load(&path).is_ok());
    for mode in [0o664, 0o646] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let message = Descriptor::load(&path).unwrap_err().to_string();
        assert!(message.contains("chmod go-w"), "{message}");
    }
}

/// Enforced by `Patience`, which has a longest.
#[test]
fn how_a_plugin_is_replaced_is_said_in_times_that_may_be_none() {
    let read = |text: &str| Descriptor::parse(format!("source = \"a\"\n{text}\n").as_bytes(), Path::new(""));
    let both = read("drain = \"0s\"\nhealth-window = \"24h\"").unwrap();
    assert_eq!(both.drain.unwrap().duration(), Duration::ZERO);
    assert_eq!(
        both.health_window.unwrap().duration(),
        Duration::from_secs(24 * 3600)
    );
    for wrong in [
        "drain = \"24h 1s\"",
        "health-window = \"-1s\"",
        "drain = 5",
        "drain = \"soon\"",
    ] {
        let message = read(wrong).unwrap_err().to_string();
        assert!(message.contains("line 2, column"), "{message}");
    }
    let message = read("drain = \"25h\"").unwrap_err().to_string();
    assert!(
        message.contains("at most 24h") && message.contains("25h"),
        "{message}"
    );
    // They say how it is replaced and not how it runs.
    let (plain, limited) = (read("").unwrap(), read("[limits]\ndeadline = \"1s\"").unwrap());
    assert!(plain.runs_as(&both) && !plain.runs_as(&limited));
}

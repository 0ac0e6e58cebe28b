//! The daemon under a service manager: the example unit, and what it is told.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::desk::Desk;

/// The settings of the example unit, by section and name.
fn unit() -> BTreeMap<(String, String), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/systemd/odeon.service");
    let text = std::fs::read_to_string(path).expect("there is an example unit");
    let mut section = String::new();
    let mut settings = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.to_owned();
        } else {
            let (name, value) = line.split_once('=').expect("a setting is NAME=VALUE");
            settings.insert((section.clone(), name.to_owned()), value.to_owned());
        }
    }
    settings
}

/// Who waits for messages as a service manager does.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Manager(socket)
    }

    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("a message in time");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// The first message that says this, of those that come.
    fn hears(&self, wanted: &str) -> String {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let message = self.next();
            if message.lines().any(|line| line == wanted) {
                return message;
            }
            assert!(Instant::now() < end, "expected {wanted}");
        }
    }
}

/// The unit's own command line starts a host, which says when it is ready, that
/// it is alive, and that it stops. Enforced by `serve::service`.
#[test]
fn the_example_unit_starts_a_host_that_says_how_it_is() {
    let settings = unit();
    let setting = |name: &str| &settings[&("Service".to_owned(), name.to_owned())];
    assert_eq!(setting("Type"), "notify");
    let desk = Desk::new();
    desk.write("odeon.toml", "");
    let args: Vec<&str> = setting("ExecStart")
        .split_whitespace()
        .skip(1)
        .map(|word| match word {
            "/var/lib/odeon" => "state",
            "/etc/odeon/odeon.toml" => "odeon.toml",
            other => other,
        })
        .collect();
    let path = desk.path("notify");
    let manager = Manager::at(&path);
    let mut host = desk
        .command(&args)
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let ready = manager.hears("READY=1");
    assert!(ready.contains("STATUS=accepting calls at /"), "{ready}");
    for _ in 0..3 {
        manager.hears("WATCHDOG=1");
    }
    desk.odeon(&["--state", "state", "stop"]).ended(0);
    manager.hears("STOPPING=1");
    assert!(host.wait().unwrap().success());
}

/// What the unit says about rights is what the host needs, without a wish to
/// forbid the pages that native code is put in.
#[test]
fn the_example_unit_takes_rights_away() {
    let settings = unit();
    let setting = |name: &str| settings[&("Service".to_owned(), name.to_owned())].as_str();
    assert_eq!(setting("MemoryDenyWriteExecute"), "no");
    for (right, value) in [
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateDevices", "yes"),
        ("RestrictNamespaces", "yes"),
        ("SystemCallFilter", "@system-service"),
        ("UMask", "0077"),
        ("LimitCORE", "0"),
    ] {
        assert_eq!(setting(right), value, "{right}");
    }
}

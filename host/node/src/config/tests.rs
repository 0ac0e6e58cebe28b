//! The configuration file: every field is read, and what is misspelt or out of range is pointed at.

use std::path::Path;
use std::time::Duration;

use odeon_protocol::Code;

use super::HostConfig;
use crate::web::ClientTrace;

#[test]
fn every_field_is_read_and_paths_are_beside_the_file() {
    let text = "plugins = \"plugins.d\"\ntrust-policy = \"/etc/trust.toml\"\n\
                audit-head = \"/mnt/heads/odeon\"\n\
                [host]\nworkers = 2\npool-instances = 50\npool-memory = \"16MiB\"\nsocket = \"o.sock\"\ndrain = \"5s\"\n\
                [limits]\nmemory = \"8MiB\"\n[host-limits]\nloads-per-minute = 5\n[secrets]\ntoken = \"token\"\n\
                [telemetry]\nmetrics = \"127.0.0.1:9464\"\n\
                otlp = \"http://127.0.0.1:4318\"\nsample = 1\nheaders = \"otlp.headers\"\n[wall]\nread = [\"in\"]\nwrite = [\"/out\"]\n";
    let config = HostConfig::parse(text, Path::new("/srv/odeon")).unwrap();
    assert_eq!(
        (config.workers, config.pool_instances, config.pool_memory),
        (Some(2), Some(50), Some(16 << 20))
    );
    assert_eq!(config.plugins.as_deref(), Some(Path::new("/srv/odeon/plugins.d")));
    assert_eq!(config.trust_policy.as_deref(), Some(Path::new("/etc/trust.toml")));
    assert_eq!(config.audit_head.as_deref(), Some(Path::new("/mnt/heads/odeon")));
    assert_eq!(config.socket.as_deref(), Some(Path::new("/srv/odeon/o.sock")));
    assert_eq!(config.drain, Some(Duration::from_secs(5)));
    assert_eq!(config.secrets["token"], Path::new("/srv/odeon/token"));
    assert_eq!(config.host_limits.loads_per_minute, Some(5));
    assert_eq!(config.metrics.unwrap().to_string(), "127.0.0.1:9464");
    let otlp = config.otlp.unwrap();
    assert_eq!(otlp.address.to_string(), "http://127.0.0.1:4318");
    assert_eq!(otlp.sample, 1.0.try_into().unwrap());
    assert_eq!(
        otlp.headers.as_deref(),
        Some(Path::new("/srv/odeon/otlp.headers"))
    );
    let wall = config.wall.unwrap();
    assert_eq!(
        (wall.read, wall.write),
        (
            vec![Path::new("/srv/odeon/in").to_owned()],
            vec![Path::new("/out").to_owned()]
        )
    );
    assert_eq!(
        HostConfig::parse("", Path::new("")).unwrap(),
        HostConfig::default()
    );
}

#[test]
fn a_misspelt_field_is_pointed_at() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odeon.toml");
    std::fs::write(&path, "[host]\nworkers = 2\nsokcet = \"x\"\n").unwrap();
    let fault = HostConfig::load(&path).unwrap_err();
    assert_eq!(fault.code, Code::ConfigInvalid);
    assert!(fault.message.contains("line 3, column 1"), "{}", fault.message);
    assert!(fault.message.contains("sokcet"), "{}", fault.message);
}

#[test]
fn numbers_have_a_range() {
    for (text, fits) in [
        ("[host]\nworkers = 1\n", true),
        ("[host]\nworkers = 1024\n", true),
        ("[host]\nworkers = 0\n", false),
        ("[host]\nworkers = 1025\n", false),
        ("[host]\npool-instances = 100000\n", true),
        ("[host]\npool-instances = 100001\n", false),
        ("[host]\npool-instances = 0\n", false),
        ("[host]\npool-memory = \"4GiB\"\n", true),
        ("[host]\npool-memory = \"5GiB\"\n", false),
        ("[host]\npool-memory = 0\n", false),
        ("[host-limits]\naudit-size = \"4KiB\"\n", true),
        ("[host-limits]\naudit-size = \"4095B\"\n", false),
        ("[host-limits]\naudit-size = 0\n", false),
        ("[secrets]\n\"not a name!\" = \"file\"\n", false),
    ] {
        assert_eq!(HostConfig::parse(text, Path::new("")).is_ok(), fits, "{text}");
    }
}

/// Enforced by `TelemetryTable::otlp` and the types of its fields.
#[test]
fn a_collector_is_named_clearly_or_not_at_all() {
    let read = |table: &str| HostConfig::parse(&format!("[telemetry]\n{table}\n"), Path::new(""));
    assert_eq!(read("").unwrap().otlp, None);
    let alone = read("otlp = \"http://[::1]:4318\"").unwrap().otlp.unwrap();
    assert_eq!((alone.sample, alone.headers), (0.01.try_into().unwrap(), None));
    for (table, why) in [
        ("sample = 0.5", "telemetry.sample: expected `otlp` beside it"),
        ("headers = \"x\"", "telemetry.headers: expected `otlp` beside it"),
        ("otlp = \"https://127.0.0.1:4318\"", "TLS is not spoken here"),
        ("otlp = \"http://192.0.2.1:4318\"", "sent in the clear"),
        (
            "otlp = \"http://127.0.0.1:4318\"\nsample = 1.5",
            "telemetry.sample: expected a share from 0",
        ),
    ] {
        let error = read(table).unwrap_err();
        assert!(error.contains(why), "{table}: {error}");
    }
}

/// Enforced by `ListenerConfig::client_trace` and `check_traces`.
#[test]
fn strangers_say_nothing_of_traces_unless_it_is_said_that_they_may() {
    const OTLP: &str = "[telemetry]\notlp = \"http://127.0.0.1:4318\"\n";
    const PLAIN: &str = "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:8080\"\n";
    const TLS: &str = "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:8443\"\n\
                       tls = { cert = \"c.pem\", key = \"k.pem\" }\n";
    let read = |text: &str| HostConfig::parse(text, Path::new(""));
    for (listener, said, counts_for) in [
        (PLAIN, "", ClientTrace::Continue),
        (TLS, "", ClientTrace::Ignore),
        (PLAIN, "trace = \"ignore\"\n", ClientTrace::Ignore),
        (TLS, "trace = \"continue\"\n", ClientTrace::Continue),
    ] {
        let config = read(&format!("{OTLP}{listener}{said}")).unwrap();
        assert_eq!(config.listeners[0].client_trace(), counts_for, "{listener}{said}");
    }
    let error = read(&format!("{OTLP}{PLAIN}trace = \"some\"\n")).unwrap_err();
    assert!(error.contains("`ignore` or `continue`"), "{error}");
    let error = read(&format!("{PLAIN}trace = \"ignore\"\n")).unwrap_err();
    assert!(
        error.contains("listener web: trace: expected `otlp` in [telemetry]"),
        "{error}"
    );
}

/// Enforced by `odeon_authority::read_operators_text`.
#[test]
fn a_configuration_that_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odeon.toml");
    std::fs::write(&path, "").unwrap();
    for (mode, good) in [(0o600, true), (0o644, true), (0o664, false), (0o666, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let loaded = HostConfig::load(&path);
        assert_eq!(loaded.is_ok(), good, "{mode:o}: {loaded:?}");
    }
    assert_eq!(
        HostConfig::load(folder.path()).unwrap_err().code,
        Code::ConfigInvalid
    );
}

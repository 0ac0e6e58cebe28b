//! What the collector knows the host by.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use odeon::{Code, Fault, OtlpConfig};

use crate::collector::{Collector, Manner};
use crate::stage::{Stage, builder, otlp, soon};

fn put(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn with(collector: &Collector, headers: &Path) -> OtlpConfig {
    OtlpConfig {
        headers: Some(headers.to_owned()),
        ..otlp(collector, 1.0)
    }
}

/// Enforced by `Exporter::attempt`: they are read each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_are_sent_and_new_ones_need_no_new_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headers");
    put(&path, "Authorization: Bearer one\nx-tenant: a\n", 0o600);
    let collector = Collector::new(Manner::Takes).await;
    let host = builder().otlp(with(&collector, &path)).start().unwrap();
    let stage = Stage { host, collector };
    stage.host.logs().host_line("info", "first");
    soon("it is told", || !stage.collector.records().is_empty()).await;
    put(&path, "Authorization: Bearer two\n", 0o600);
    stage.host.logs().host_line("info", "second");
    stage.host.shutdown(Duration::from_secs(5)).await;
    let heard = stage.collector.heard();
    assert_eq!(heard.len(), 2, "{heard:?}");
    let field = |at: usize, name: &str| heard[at].fields.get(name).map(String::as_str);
    assert_eq!(
        (field(0, "authorization"), field(0, "x-tenant")),
        (Some("Bearer one"), Some("a"))
    );
    assert_eq!(
        (field(1, "authorization"), field(1, "x-tenant")),
        (Some("Bearer two"), None)
    );
    assert!(field(1, "user-agent").unwrap().starts_with("odeon/"));
}

/// Enforced by `Telemetry::new` and `secrets::read`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_cannot_be_used_keep_a_host_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headers");
    let collector = Collector::new(Manner::Takes).await;
    for (text, mode, why) in [
        ("a: secretword\n", 0o640, "only its owner can read"),
        ("secretword\n", 0o600, "line 1: expected a field"),
        ("host: secretword\n", 0o600, "how it is sent"),
    ] {
        put(&path, text, mode);
        let refused = builder().otlp(with(&collector, &path)).start();
        let fault = Fault::from(refused.map(|_| ()).unwrap_err());
        assert_eq!(fault.code, Code::ConfigInvalid);
        assert!(
            fault.message.starts_with("telemetry.headers: ") && fault.message.contains(why),
            "{fault}"
        );
        assert!(!fault.message.contains("secretword"), "{fault}");
    }
    let absent = builder()
        .otlp(with(&collector, &folder.path().join("absent")))
        .start();
    assert!(absent.is_err());
}

//! The use of a secret, which is on disk before the guest has it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

use odeon::{Args, CallOptions, Host};
use odeon_authority::{LimitsPatch, Records};

use crate::host::{builder, load_with, state};

async fn shown(host: &Host) -> String {
    let called = host
        .call(
            "forger/theft.secret",
            Args::Wave("\"token\""),
            CallOptions::default(),
        )
        .await
        .unwrap();
    called.wave().unwrap().to_string()
}

fn reveals(folder: &Path) -> u64 {
    let counts = Records::open(folder)
        .unwrap()
        .filter(|record| record.event["kind"] == "secret-reveal")
        .map(|record| record.event["count"].as_u64().unwrap());
    counts.sum()
}

/// Enforced by `Writer::write` (`Coalescer::unwritten`): not at the second try
/// either, and all tries are counted once the audit can be written again.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_not_shown_while_its_use_cannot_be_recorded() -> io::Result<()> {
    let folder = state();
    let secret = folder.path().join("token");
    fs::write(&secret, "hidden")?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    let host = builder()
        .state_dir(folder.path())
        .secrets([("token".to_owned(), secret)].into())
        .start()
        .unwrap();
    load_with(
        &host,
        "guest-forger",
        "forger",
        &["secret=token"],
        LimitsPatch::default(),
    )
    .await;
    let head = folder.path().join("audit.head");
    let whole = fs::read(&head)?;
    fs::write(&head, "nonsense")?;
    for attempt in ["first", "second", "third"] {
        assert_eq!(shown(&host).await, "err(\"unavailable\")", "the {attempt} time");
    }
    assert_eq!(reveals(folder.path()), 0);
    fs::write(&head, whole)?;
    let until = Instant::now() + Duration::from_secs(20);
    while !shown(&host).await.starts_with("ok(") {
        assert!(Instant::now() < until, "expected soon: it can be recorded again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    host.shutdown(Duration::from_secs(5)).await;
    assert!(reveals(folder.path()) >= 4, "{}", reveals(folder.path()));
    Ok(())
}

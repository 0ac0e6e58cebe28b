//! What a guest that is denied without an end costs.

use std::path::Path;
use std::time::Duration;

use odeon::{Args, CallOptions, HostLimits, LimitsPatch};
use odeon_authority::{Records, SigningKey, verify};

use crate::host::{builder, load_with, state_in_memory};

/// Ports of an address, and the times each is tried. That a million cost no more
/// is shown without a guest, in the tests of the authority.
const PORTS: u64 = 10_000;
const TIMES: u64 = 3;

fn bytes(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let log = files.filter(|file| file.file_name().to_string_lossy().ends_with(".jsonl"));
    log.map(|file| file.metadata().unwrap().len()).sum()
}

/// Enforced by `Recorder::denied` (the bounded queue, what is lost is counted)
/// and `Coalescer::note`: real calls of a real guest.
#[tokio::test(flavor = "multi_thread")]
async fn denials_of_a_guest_cost_bounded_disk_and_are_all_counted() {
    // In memory, so that the last lines are written in the time that a stop has: what
    // a disk does is another test's.
    let folder = state_in_memory();
    let host = builder()
        .state_dir(folder.path())
        .host_limits(HostLimits::default())
        .start()
        .unwrap();
    let limits = LimitsPatch::from_words([("deadline", "60s"), ("cpu", "60s")]).unwrap();
    load_with(&host, "guest-egress", "hostile", &[], limits).await;
    for _ in 0..TIMES {
        let call = format!("\"10.0.0.1\", 1, {PORTS}");
        let answered = host
            .call("hostile/sockets.scan", Args::Wave(&call), CallOptions::default())
            .await
            .unwrap();
        assert_eq!(answered.wave().unwrap(), "[]", "nothing answered");
    }
    host.shutdown(Duration::from_secs(5)).await;
    let counted: u64 = Records::open(folder.path())
        .unwrap()
        .filter(|record| record.event["kind"] == "denial")
        .map(|record| record.event["count"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, PORTS * TIMES);
    let bytes = bytes(folder.path());
    println!("{counted} denials: {bytes} bytes of audit");
    assert!(bytes < 256 << 10, "{bytes} bytes");
    let key = SigningKey::load(&folder.path().join("host.key"))
        .unwrap()
        .public();
    let report = verify(folder.path(), &key).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
}

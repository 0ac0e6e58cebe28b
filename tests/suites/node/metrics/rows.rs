//! How many rows there are.

use std::os::unix::fs::PermissionsExt as _;

use odeon::{Args, CallOptions, Host, LoadRequest, UnloadMode};
use odeon_tests::guests;

use super::exposition::Metrics;
use crate::host::{builder, few_loads};

const OTHERS: &[(&str, &str)] = &[("plugin", "(others)")];

async fn load(host: &Host, number: usize) {
    let request = LoadRequest::component(guests::component("wat-version-one"))
        .named(format!("tiny-{number}").parse().unwrap())
        .allow_unsigned();
    host.load(request).await.expect("it loads");
}

async fn unload(host: &Host, number: usize) {
    let name = format!("tiny-{number}").parse().unwrap();
    host.unload(&name, UnloadMode::Now, host.principal())
        .await
        .unwrap();
}

async fn call(host: &Host, number: usize) {
    let path = format!("tiny-{number}/answer");
    host.call(&path, Args::Wave(""), CallOptions::default())
        .await
        .unwrap();
}

/// A thousand plugins have rows of their own, those that came first; all others
/// have one together, which loses nothing when a row becomes free. Enforced by
/// `MOST_ROWS`.
#[tokio::test(flavor = "multi_thread")]
async fn storm_a_thousand_plugins_have_rows_of_their_own_and_all_others_one() {
    // Where syncing a line of the audit costs nothing.
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let host = builder()
        .state_dir(folder.path())
        .host_limits(few_loads(60_000))
        .start()
        .unwrap();
    // The last is the first by its name.
    for number in (0..1_100).rev() {
        load(&host, number).await;
    }
    call(&host, 1_099).await;
    for others in 0..100 {
        call(&host, others).await;
    }
    let before = Metrics::read(&host.metrics());
    assert_eq!(before.get("odeon_plugins", &[]), 1_100.0);
    assert_eq!(before.values_of("plugin").len(), 1_001);
    let calls = "odeon_plugin_calls_total";
    assert_eq!(before.get(calls, &[("plugin", "tiny-1099")]), 1.0);
    assert_eq!(before.find(calls, &[("plugin", "tiny-99")]), None);
    assert_eq!(before.get(calls, OTHERS), 100.0);
    assert_eq!(before.get("odeon_plugin_latency_seconds_count", OTHERS), 100.0);
    assert_eq!(before.find("odeon_plugin_generation", OTHERS), None);

    // A row that is free is for whoever comes next, and for nobody who is there.
    unload(&host, 1_099).await;
    call(&host, 5).await;
    let after = Metrics::read(&host.metrics());
    assert_eq!(after.get(calls, OTHERS), 101.0);
    // Nor do the others lose what one of them has counted.
    unload(&host, 5).await;
    let after = Metrics::read(&host.metrics());
    assert_eq!(after.get(calls, OTHERS), 101.0);
    load(&host, 5_000).await;
    call(&host, 5_000).await;
    let after = Metrics::read(&host.metrics());
    assert_eq!(after.get(calls, &[("plugin", "tiny-5000")]), 1.0);
    assert_eq!(after.values_of("plugin").len(), 1_001);
}

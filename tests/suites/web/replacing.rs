//! A thousand replaces under HTTP: no request is lost, none is answered by what
//! was replaced before it began, and no connection notices.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use odeon::{HostLimits, LoadRequest, ReplaceRequest, Source};
use odeon_tests::guests;
use odeon_tests::web::{Answer, Client};

use crate::stage::{Stage, builder, soon};

const REPLACES: u64 = 1_000;

/// Lines of a response in many pieces.
const LINES: usize = 40;

/// What serves, and whether the load goes on.
#[derive(Default)]
struct Storm {
    generation: AtomicU64,
    done: AtomicBool,
}

/// Three versions take turns, so that the one before and the one after a
/// generation differ from each other.
fn version(generation: u64) -> u64 {
    (generation - 1) % 3 + 1
}

/// The component with another answer, and so another digest.
fn component(folder: &Path, number: u8) -> PathBuf {
    let path = folder.join(format!("web-{number}.wasm"));
    std::fs::write(&path, guests::version("guest-web", number)).unwrap();
    path
}

impl Storm {
    /// Asks on one connection until the storm is over. How often it did.
    async fn ask(self: Arc<Self>, mut client: Client, kind: usize) -> u64 {
        let mut asked = 0_u64;
        while !self.done.load(Ordering::SeqCst) {
            let before = self.generation.load(Ordering::SeqCst);
            let answer = self.one(&mut client, kind, asked).await;
            // The number of the one that serves is told a moment after it does.
            let after = self.generation.load(Ordering::SeqCst) + 1;
            let versions: Vec<u64> = (before..=after).map(version).collect();
            let text = answer.text();
            let mut said = text
                .lines()
                .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
            let first = said.next().expect("an answer names its version");
            assert!(
                versions.contains(&first),
                "{first} of {versions:?} after {before}"
            );
            assert!(
                said.all(|other| other == first),
                "one version answers a request: {text}"
            );
            assert!(!answer.closes(), "the connection is kept");
            asked += 1;
        }
        asked
    }

    async fn one(&self, client: &mut Client, kind: usize, asked: u64) -> Answer {
        let answer = match (kind + asked as usize) % 4 {
            0 => client.get("/w/version").await,
            1 => client.get(&format!("/w/lines?{LINES}")).await,
            2 => {
                client
                    .post_pieces("/w/version-of", &[b"a", b"body in", b" pieces"])
                    .await
            }
            _ => client.get("/w/slow-version?15").await,
        };
        let answer = answer.expect("no request is lost");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }
}

/// Enforced by `Inner::enter_where`, which follows a request to the generation
/// that serves, and by `Gate::retire`, after which the old one takes none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storm_a_thousand_replaces_under_http() {
    // In memory: what a disk does is another test's.
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let limits = HostLimits {
        loads_per_minute: 60_000,
        ..HostLimits::default()
    };
    let stage = Stage::empty(builder().state_dir(folder.path()).host_limits(limits)).await;
    let components = [1, 2, 3].map(|number| component(folder.path(), number));
    let load = LoadRequest::component(&components[0])
        .named("web".parse().unwrap())
        .served_at("web/w".parse().unwrap())
        .allow_unsigned();
    stage.host.load(load).await.unwrap();
    let storm = Arc::new(Storm::default());
    storm.generation.store(1, Ordering::SeqCst);
    let mut clients = Vec::new();
    for kind in 0..8 {
        let client = stage.client().await;
        clients.push(tokio::spawn(storm.clone().ask(client, kind)));
    }
    for round in 1..=REPLACES {
        let component = &components[version(round + 1) as usize - 1];
        let request = ReplaceRequest {
            allow_unsigned: true,
            health_window: Duration::ZERO,
            ..ReplaceRequest::new("web".parse().unwrap(), Source::Component(component.clone()))
        };
        let report = stage.host.replace(request).await.expect("a replace");
        storm
            .generation
            .store(report.loaded.generation.0, Ordering::SeqCst);
    }
    storm.done.store(true, Ordering::SeqCst);
    let mut asked = 0;
    for client in clients {
        let of_one = client.await.expect("no request was lost");
        assert!(of_one > 0);
        asked += of_one;
    }
    println!("{asked} requests during {REPLACES} replaces");
    stage.quiet().await;
    soon("what was replaced is gone", || {
        let status = stage.host.status();
        status.plugins.len() == 1 && status.plugins[0].faults == 0
    })
    .await;
    let totals = stage.host.totals();
    assert_eq!(
        (
            totals.succeeded,
            totals.failed + totals.cancelled + totals.rejected
        ),
        (asked, 0)
    );
}

/// Enforced by `Host::drain_replaced`: what runs goes on, on the old generation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_has_begun_is_finished_by_who_began_it() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new().await;
    let mut client = stage.client().await;
    client
        .send(b"GET /w/slow-version?2500 HTTP/1.1\r\nHost: test\r\n\r\n")
        .await
        .unwrap();
    soon("it runs", || stage.host.list().remove(0).in_flight == 1).await;
    let request = ReplaceRequest {
        allow_unsigned: true,
        ..ReplaceRequest::new(
            "web".parse().unwrap(),
            Source::Component(component(folder.path(), 2)),
        )
    };
    stage.host.replace(request).await.unwrap();
    assert_eq!(stage.get("/w/version").await.text(), "answered by version 2");
    assert_eq!(client.answer().await.unwrap().text(), "answered by version 1");
    assert_eq!(
        client.get("/w/version").await.unwrap().text(),
        "answered by version 2"
    );
}

//! What is replaced under HTTP. A thousand times over: no request is lost, none is
//! answered by what was replaced before it began, no connection notices, and who
//! attacks meanwhile changes nothing of that.

mod attackers;
mod load;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use odeon::{HostLimits, LimitsPatch, LoadRequest, ReplaceRequest, Source};
use odeon_authority::{ByteSize, TimeSpan};
use odeon_tests::guests;

use self::load::{Load, VERSIONS};
use crate::stage::{Stage, builder, soon};

const REPLACES: u64 = 1_000;

/// Who sends requests, in turns of each kind.
const CLIENTS: usize = 8;

/// At least so many requests of those that take their time were under way over a
/// switch. Each of them is, but for those that come between two.
const STRADDLED: u64 = 100;

/// The component with another answer, and so another digest.
fn component(folder: &Path, number: u8) -> PathBuf {
    let path = folder.join(format!("web-{number}.wasm"));
    std::fs::write(&path, guests::version("guest-web", number)).unwrap();
    path
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
        // Whoever has sent half of a head is disconnected more than once.
        http_head_time: TimeSpan::millis(500),
        ..HostLimits::default()
    };
    let stage = Stage::empty(builder().state_dir(folder.path()).host_limits(limits)).await;
    let components: Vec<_> = (1..=VERSIONS)
        .map(|number| component(folder.path(), u8::try_from(number).unwrap()))
        .collect();
    let load = LoadRequest::component(&components[0])
        .named("web".parse().unwrap())
        .served_at("web/w".parse().unwrap())
        .with_limits(LimitsPatch {
            http_body: Some(ByteSize::kib(8)),
            header_bytes: Some(ByteSize::kib(1)),
            ..LimitsPatch::default()
        })
        .allow_unsigned();
    stage.host.load(load).await.unwrap();

    let storm = Load::new(CLIENTS + attackers::PIPELINES);
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let client = stage.client().await;
        clients.push(tokio::spawn(storm.clone().ask(client, number)));
    }
    let attacks = attackers::all(stage.address(), &storm, CLIENTS);
    for _ in 0..REPLACES {
        let generation = storm.announce().await;
        let component = &components[usize::try_from((generation - 1) % VERSIONS).unwrap()];
        let request = ReplaceRequest {
            allow_unsigned: true,
            health_window: Duration::ZERO,
            ..ReplaceRequest::new("web".parse().unwrap(), Source::Component(component.clone()))
        };
        let report = stage.host.replace(request).await.expect("a replace");
        assert_eq!(report.loaded.generation.0, generation);
        storm.serves(generation);
    }
    storm.is_over();
    let mut asked = 0;
    for client in clients {
        let of_one = client.await.expect("no request was lost");
        assert!(of_one > 0);
        asked += of_one;
    }
    for (attack, task) in attacks {
        let made = task.await.expect("the attack met what it had to meet");
        println!("{attack}: {} times", made.times);
        assert!(made.times > 0, "{attack}");
        asked += made.answered;
    }
    println!("{asked} requests during {REPLACES} replaces");
    storm.assert_tried(STRADDLED);
    stage.quiet().await;
    soon("what was replaced is gone, and nobody is left", || {
        let status = stage.host.status();
        let connections: u64 = status.listeners.iter().map(|row| row.connections).sum();
        status.plugins.len() == 1 && status.plugins[0].faults == 0 && connections == 0
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

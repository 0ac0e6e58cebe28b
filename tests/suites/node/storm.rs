//! Ten thousand replaces under load: nothing is lost, nothing is answered by
//! what was replaced, and nothing is left behind.

mod callers;
mod looks;
mod numbers;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use odeon::{
    Args, CallOptions, Host, ListenerConfig, LoadRequest, ReplaceRequest, Source, UnloadMode, WebListener,
};
use odeon_protocol::PluginName;
use odeon_tests::footprint::descriptors;
use odeon_tests::guests;
use odeon_tests::numbers::Numbers;

use self::callers::{
    SLOW_WEB, call, link, link_on_a_thread, on_a_thread, over_the_socket, request, slow_call, web,
};
use self::looks::{EVERY, Looks};
use self::numbers::Storm;
use crate::host::{builder, daemon, few_loads, soon};
use crate::peer::Peer;

/// Replaces of the plugin whose calls are short.
const SHORT: u64 = 8_000;

/// So many before memory counts: histories with a bound (of requests, of log
/// lines) and the allocator's own pools fill once, and stay filled.
const WARM_UP: u64 = 8_000;

/// After so many of them each of the other four is replaced: 500 times, which
/// makes it ten thousand.
const OTHERS_EVERY: u64 = 16;
const OTHERS: u64 = 4;

/// After so many, a hundred plugins have been replaced in all.
const LOOK_EVERY: u64 = EVERY * OTHERS_EVERY / (OTHERS_EVERY + OTHERS);

/// After so many, everybody rests.
const REST_EVERY: u64 = 1_000;

/// Versions of the plugin whose calls are short, and of others: so many that no
/// call takes until all of them have served, where its answer says no more. Those
/// of guests are named by a digit.
const VERSIONS: u64 = 64;
const DIGITS: u64 = 9;

/// The plugin that is replaced as is usual: for the usual time, the generation
/// before is kept for its return.
const KEEPS: &str = "p";

/// A plugin that is replaced: versions take turns.
struct Replaced {
    name: PluginName,
    numbers: Arc<Numbers>,
    versions: Vec<PathBuf>,
    /// For so long the generation before is kept for its return.
    window: Duration,
}

impl Replaced {
    /// Versions are written into the folder. Nothing is kept for its return.
    fn new(folder: &Path, name: &str, numbers: &Arc<Numbers>, version: impl Fn(u64) -> Vec<u8>) -> Self {
        let write = |number| {
            let path = folder.join(format!("{name}-{number}.wasm"));
            std::fs::write(&path, version(number)).unwrap();
            path
        };
        Replaced {
            name: name.parse().unwrap(),
            numbers: numbers.clone(),
            versions: (1..=numbers.versions()).map(write).collect(),
            window: Duration::ZERO,
        }
    }

    /// A guest that answers with its version.
    fn guest(folder: &Path, name: &str, numbers: &Arc<Numbers>, guest: &str) -> Self {
        let version = |number| guests::version(guest, u8::try_from(number).unwrap());
        Self::new(folder, name, numbers, version)
    }

    /// Of its first generation.
    fn load(&self) -> LoadRequest {
        LoadRequest::component(&self.versions[0])
            .named(self.name.clone())
            .allow_unsigned()
    }

    /// Puts the next generation in its place.
    async fn replace(&self, host: &Host) {
        let generation = self.numbers.announce();
        let version = &self.versions[(generation as usize - 1) % self.versions.len()];
        let request = ReplaceRequest {
            allow_unsigned: true,
            health_window: self.window,
            ..ReplaceRequest::new(self.name.clone(), Source::Component(version.clone()))
        };
        let report = host.replace(request).await.expect("a replace");
        assert_eq!(report.loaded.generation.0, generation);
        self.numbers.serves(generation);
    }
}

/// A plugin whose calls are short, and that answers this number.
fn answering(number: u64) -> Vec<u8> {
    guests::assemble(&format!(
        r#"(component
            (core module $m
              (func (export "answer") (result i32) i32.const {number})
              (func (export "busy") (param $turns i32) (result i32)
                (loop $again
                  (local.set $turns (i32.sub (local.get $turns) (i32.const 1)))
                  (br_if $again (i32.gt_s (local.get $turns) (i32.const 0))))
                i32.const {number}))
            (core instance $i (instantiate $m))
            (func (export "answer") (result u32) (canon lift (core func $i "answer")))
            (func (export "busy") (param "turns" u32) (result u32) (canon lift (core func $i "busy"))))"#
    ))
}

/// A folder in memory: what a disk does is another test's.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

async fn listen(host: &Host) -> WebListener {
    let config = ListenerConfig::plain("web".parse().unwrap(), "127.0.0.1:0".parse().unwrap());
    host.listen(&config.unwrap()).await.unwrap()
}

/// Waits until every old generation is gone, but one that is kept for its return.
async fn nobody_leaves(host: &Host) {
    soon("every old generation is gone", || {
        let dump = host.status_dump();
        let left = dump["replaced"].as_array().expect("those that leave");
        let kept = |left: &serde_json::Value| left["name"] == KEEPS && left["in_flight"] == 0;
        left.len() <= 1 && left.iter().all(kept)
    })
    .await;
}

/// The descriptors of a host that has served plugins and has none. One of the
/// calls overran its turn, and one waits on its caller's thread: what there is for
/// those has some too.
async fn at_rest(host: &Host) -> usize {
    let name: PluginName = "first".parse().unwrap();
    let load = LoadRequest::component(guests::component("wat-version-one"))
        .named(name.clone())
        .allow_unsigned();
    host.load(load).await.unwrap();
    for (method, turns) in [("first/answer", ""), ("first/busy", "100000000")] {
        let reply = host.call(method, Args::Wave(turns), CallOptions::default());
        reply.await.unwrap();
    }
    let waits = LoadRequest::component(guests::component("guest-spin"))
        .named("waits".parse().unwrap())
        .allow_unsigned();
    host.load(waits).await.unwrap();
    let caller = host.clone();
    let thread = std::thread::spawn(move || caller.call_encoded("waits/snoop.arguments", &[]).map(|_| ()));
    let joined = tokio::task::spawn_blocking(|| thread.join()).await.unwrap();
    joined.unwrap().unwrap();
    for name in [name, "waits".parse().unwrap()] {
        host.unload(&name, UnloadMode::Now, host.principal())
            .await
            .unwrap();
    }
    descriptors()
}

/// Looks at the descriptors while these are loaded and nobody calls: there may be
/// no more of them than there were before.
async fn rest(host: &Host, storm: &Storm, callers: usize, loaded: &[&Replaced], fewest: &mut usize) {
    storm.rest(callers).await;
    // Twice, so that no generation was ever called, not even one that is kept for
    // its return: what instances begin with is opened by the first call.
    for _ in 0..2 {
        for plugin in loaded {
            plugin.replace(host).await;
        }
    }
    nobody_leaves(host).await;
    let most = *fewest;
    soon("no more descriptors than at the rests before", || {
        descriptors() <= most
    })
    .await;
    *fewest = most.min(descriptors());
    storm.resume().await;
}

/// Enforced by `Inner::enter`, `Inner::enter_web`, `links::call` and the loops of
/// `call`, which follow a call to the new generation; by `Gate::retire`, after
/// which the old one admits nobody; and by `Host::see_off`, which lets go of what
/// was replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storm_ten_thousand_replaces_lose_nothing_and_leave_nothing() {
    let folder = folder();
    let host = builder()
        .workers(2)
        .state_dir(folder.path())
        .host_limits(few_loads(60_000))
        .start()
        .unwrap();
    let listener = listen(&host).await;
    let daemon = daemon(&host).await;
    let unloaded = at_rest(&host).await;
    let storm = Storm::of(VERSIONS, DIGITS);
    let files = folder.path();
    let v = Replaced::new(files, "v", &storm.short, answering);
    let s = Replaced::guest(files, "s", &storm.slow, "guest-spin");
    let w = Replaced::guest(files, "w", &storm.web, "guest-web");
    let p = Replaced {
        window: ReplaceRequest::HEALTH_WINDOW,
        ..Replaced::guest(files, KEEPS, &storm.provider, "guest-provider")
    };
    let u = Replaced::guest(files, "u", &storm.user, "guest-caller");
    let loads = [
        v.load(),
        s.load(),
        w.load().served_at("web/w".parse().unwrap()),
        p.load(),
        u.load().linked("odeon-tests:links/steps", p.name.clone()),
    ];
    for load in loads {
        host.load(load).await.unwrap();
    }
    let all = [&v, &s, &w, &p, &u];

    let (peer, address) = (Peer::greeted(daemon.socket()).await, listener.address());
    let threads = [
        ("typed", on_a_thread(&host, &storm, true)),
        ("by name", on_a_thread(&host, &storm, false)),
        ("link on a thread", link_on_a_thread(&host, &storm)),
    ];
    let tasks = [
        ("call", tokio::spawn(call(host.clone(), storm.clone()))),
        ("request", tokio::spawn(request(host.clone(), storm.clone()))),
        ("socket", tokio::spawn(over_the_socket(peer, storm.clone()))),
        ("slow", tokio::spawn(slow_call(host.clone(), storm.clone()))),
        ("web", tokio::spawn(web(address, storm.clone(), 0))),
        ("slow web", tokio::spawn(web(address, storm.clone(), SLOW_WEB))),
        ("link", tokio::spawn(link(host.clone(), storm.clone()))),
    ];
    let callers = threads.len() + tasks.len();

    let mut memory = Looks::default();
    let mut fewest = usize::MAX;
    for round in 0..WARM_UP + SHORT {
        v.replace(&host).await;
        if round % OTHERS_EVERY == 0 {
            for other in &all[1..] {
                other.replace(&host).await;
            }
        }
        if round % LOOK_EVERY == LOOK_EVERY - 1 {
            // A generation that is leaving has memory.
            nobody_leaves(&host).await;
            memory.look();
        }
        if round % REST_EVERY == REST_EVERY - 1 {
            rest(&host, &storm, callers, &all, &mut fewest).await;
        }
    }
    storm.is_over();
    let mut made = BTreeMap::new();
    for (name, task) in tasks {
        made.insert(name, task.await.expect("the caller saw what it had to see"));
    }
    for (name, thread) in threads {
        let joined = tokio::task::spawn_blocking(|| thread.join()).await.unwrap();
        made.insert(name, joined.expect("the caller saw what it had to see"));
    }
    println!("calls of each caller: {made:?}");
    assert!(made.values().all(|calls| *calls > 100), "{made:?}");
    // There is a slow call under way at almost every switch of its plugin; of a
    // link, as long as the provider is busy.
    storm.slow.assert_tried("slow calls", 100);
    storm.web.assert_tried("HTTP", 100);
    storm.provider.assert_tried("links", 20);
    storm.user.assert_tried("users of links", 1);
    storm.short.assert_tried("short calls", 1);
    nobody_leaves(&host).await;
    // What the callers saw, the host has counted: their requests ended well, and
    // nothing that they do not see went wrong.
    let requests: u64 = ["request", "socket", "web", "slow web"]
        .iter()
        .map(|name| made[name])
        .sum();
    soon("every request has its end", || {
        host.totals().succeeded == requests
    })
    .await;
    let totals = host.totals();
    assert_eq!(
        totals.failed + totals.cancelled + totals.rejected,
        0,
        "{totals:?}"
    );
    for row in host.list() {
        assert_eq!(row.faults, 0, "{row:?}");
    }
    memory.assert_flat_after(usize::try_from(WARM_UP / LOOK_EVERY).unwrap());
    for row in host.list() {
        host.unload(&row.name, UnloadMode::Now, host.principal())
            .await
            .unwrap();
    }
    println!(
        "descriptors: {unloaded} before anything was loaded, {fewest} at the best rest, {} after",
        descriptors()
    );
    soon("what was opened is closed", || descriptors() <= unloaded).await;
    listener.close(Duration::from_secs(5)).await;
    daemon.stop(Some(Duration::from_secs(5)));
    daemon.stopped().await.unwrap();
}

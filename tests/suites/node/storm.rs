//! Ten thousand replaces under load: nothing is lost, nothing is answered by
//! what was replaced, and nothing is left behind.

mod callers;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use odeon::{
    Args, CallOptions, Host, ListenerConfig, LoadRequest, ReplaceRequest, Source, UnloadMode, WebListener,
};
use odeon_protocol::PluginName;
use odeon_tests::guests;

use self::callers::{Numbers, Storm, call, link, on_a_thread, request, slow_call, web};
use crate::host::{builder, few_loads, soon};

/// Replaces of the plugin whose calls are short.
const SHORT: u64 = 8_500;

/// So many before memory is looked at: histories with a bound (of requests, of
/// log lines) and the allocator's own pools fill once, and stay filled.
const WARM_UP: u64 = 8_500;

/// After so many of them each of the other three is replaced: 500 times, which
/// makes it ten thousand.
const OTHERS_EVERY: u64 = 17;

/// The descriptors of the threads that calls are moved to which overrun their
/// turn: a runtime of their own, made for the first of them.
const ASIDE: usize = 4;

/// A plugin that is replaced: versions take turns, so that the one before and
/// the one after a generation differ from each other.
struct Replaced {
    name: PluginName,
    numbers: Arc<Numbers>,
    versions: Vec<PathBuf>,
}

impl Replaced {
    fn new(name: &str, numbers: &Arc<Numbers>, versions: impl IntoIterator<Item = PathBuf>) -> Self {
        Replaced {
            name: name.parse().unwrap(),
            numbers: numbers.clone(),
            versions: versions.into_iter().collect(),
        }
    }

    /// Of its first generation.
    fn load(&self) -> LoadRequest {
        LoadRequest::component(&self.versions[0])
            .named(self.name.clone())
            .allow_unsigned()
    }

    /// Puts the next generation in its place. It is not watched, so that nothing
    /// is kept for its return.
    async fn replace(&self, host: &Host) {
        let generation = self.numbers.announce();
        let version = &self.versions[(generation as usize - 1) % self.versions.len()];
        let request = ReplaceRequest {
            allow_unsigned: true,
            health_window: Duration::ZERO,
            ..ReplaceRequest::new(self.name.clone(), Source::Component(version.clone()))
        };
        let report = host.replace(request).await.expect("a replace");
        assert_eq!(report.loaded.generation.0, generation);
        self.numbers.serves(generation);
    }
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

/// Waits until every old generation is gone.
async fn nobody_leaves(host: &Host) {
    soon("every old generation is gone", || {
        host.status_dump()["replaced"]
            .as_array()
            .is_some_and(Vec::is_empty)
    })
    .await;
}

/// Resident memory of this process in KiB.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The open descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The descriptors of a host that has served a plugin and has none.
async fn at_rest(host: &Host) -> usize {
    let name: PluginName = "first".parse().unwrap();
    let load = LoadRequest::component(guests::component("wat-version-one"))
        .named(name.clone())
        .allow_unsigned();
    host.load(load).await.unwrap();
    let reply = host
        .call("first/answer", Args::Wave(""), CallOptions::default())
        .await;
    reply.unwrap();
    host.unload(&name, UnloadMode::Now, host.principal())
        .await
        .unwrap();
    descriptors()
}

/// The median of ten looks: one look may meet a page more or less.
fn median(of: &[u64]) -> u64 {
    let mut of = of.to_vec();
    of.sort_unstable();
    of[of.len() / 2]
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
    let at_rest = at_rest(&host).await;
    let storm = Arc::new(Storm::default());
    let write = |name: &str, bytes: Vec<u8>| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let versions = |guest: &'static str| {
        [1, 2, 3].map(|number| write(&format!("{guest}-{number}.wasm"), guests::version(guest, number)))
    };
    let short = ["one", "two", "three"].map(|number| guests::component(&format!("wat-version-{number}")));
    let short = Replaced::new("v", &storm.short, short);
    // The same code with another digest.
    let mut bytes = guests::bytes("guest-spin");
    bytes.extend([0, 3, 1, b'x', b'y']);
    let slow = [guests::component("guest-spin"), write("spin-2.wasm", bytes)];
    let others = [
        Replaced::new("s", &storm.slow, slow),
        Replaced::new("w", &storm.web, versions("guest-web")),
        Replaced::new("p", &storm.provider, versions("guest-provider")),
    ];
    let [s, w, p] = &others;
    host.load(short.load()).await.unwrap();
    host.load(s.load()).await.unwrap();
    host.load(w.load().served_at("web/w".parse().unwrap()))
        .await
        .unwrap();
    host.load(p.load()).await.unwrap();
    let uses = LoadRequest::component(guests::component("guest-caller"))
        .named("u".parse().unwrap())
        .linked("odeon-tests:links/steps", p.name.clone())
        .allow_unsigned();
    host.load(uses).await.unwrap();

    let threads = [true, false].map(|typed| on_a_thread(&host, &storm, typed));
    let callers = [
        tokio::spawn(call(host.clone(), storm.clone())),
        tokio::spawn(request(host.clone(), storm.clone())),
        tokio::spawn(slow_call(host.clone(), storm.clone())),
        tokio::spawn(web(listener.address(), storm.clone(), 0)),
        tokio::spawn(web(listener.address(), storm.clone(), 20)),
        tokio::spawn(link(host.clone(), storm.clone())),
    ];

    let mut footprints = Vec::new();
    for round in 0..WARM_UP + SHORT {
        short.replace(&host).await;
        if round % OTHERS_EVERY == 0 {
            for other in &others {
                other.replace(&host).await;
            }
        }
        if round >= WARM_UP && round % 100 == 99 {
            // A generation that is leaving has memory.
            nobody_leaves(&host).await;
            footprints.push(resident());
        }
    }
    storm.is_over();
    let mut made = Vec::new();
    for caller in callers {
        made.push(caller.await.expect("the caller saw what it had to see"));
    }
    for thread in threads {
        let joined = tokio::task::spawn_blocking(|| thread.join()).await.unwrap();
        made.push(joined.expect("the caller saw what it had to see"));
    }
    println!("calls of each caller: {made:?}");
    assert!(made.iter().all(|calls| *calls > 100), "{made:?}");
    nobody_leaves(&host).await;
    // What the callers saw, the host has counted: their requests ended well, and
    // nothing that they do not see went wrong.
    let (requests, pages) = (made[1], made[3] + made[4]);
    soon("every request has its end", || {
        host.totals().succeeded == requests + pages
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

    let (first, last) = (
        median(&footprints[..10]),
        median(&footprints[footprints.len() - 10..]),
    );
    println!(
        "each thousand: {:?}",
        footprints.chunks(10).map(median).collect::<Vec<_>>()
    );
    println!("memory: {first} KiB in the first thousand, {last} in the last");
    assert!(last * 100 <= first * 105, "memory: {first}, {last}");
    // Descriptors at rest: while generations come and go they have some, for
    // what their instances begin with.
    for row in host.list() {
        host.unload(&row.name, UnloadMode::Now, host.principal())
            .await
            .unwrap();
    }
    println!("descriptors: {at_rest} at rest before, {} after", descriptors());
    soon("what was opened is closed", || descriptors() <= at_rest + ASIDE).await;
    listener.close(Duration::from_secs(5)).await;
    host.shutdown(Duration::from_secs(5)).await;
}

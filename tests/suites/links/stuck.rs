//! What those are told at once who use a plugin that is stuck: in it, in its
//! queue, and before its full queue; and when it is taken out or replaced.

use std::time::{Duration, Instant};

use odeon::{Compiler, Host, LimitsPatch, LoadRequest, ReplaceRequest, Source, UnloadMode};
use odeon_authority::TimeSpan;
use odeon_protocol::{Code, Fault, PluginName, Retry};
use odeon_runtime::CallContext;
use odeon_tests::guests;
use odeon_tests::runtime::hits;
use odeon_tests::way::{Begun, Way};

use crate::town::{STEPS, Town, perform, soon};

/// All times that could end anything by themselves.
const DEADLINE: Duration = Duration::from_secs(60);

/// What happens at once takes less than that, also on a machine that is busy.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Who wait in the provider's queue, which is all that have room there.
const QUEUE: usize = 2;

/// Taking the steps, and the next plugin too.
const PERFORM: &str = "caller/perform";

/// A provider of one call at a time that is in a call of its dependant and stays
/// there, with others of its dependant in its queue.
struct Stuck {
    way: Way,
    host: Host,
    inside: Begun,
    waiting: Vec<Begun>,
}

fn name(text: &str) -> PluginName {
    text.parse().unwrap()
}

fn patient() -> LimitsPatch {
    let deadline = TimeSpan::secs(DEADLINE.as_secs());
    LimitsPatch {
        deadline: Some(deadline),
        cpu: Some(deadline),
        ..LimitsPatch::default()
    }
}

impl Stuck {
    async fn new(way: Way) -> Self {
        let host = Host::builder(Compiler::InProcess).workers(1).start().unwrap();
        let load = |guest: &str, named: &str| {
            LoadRequest::component(guests::component(guest))
                .named(name(named))
                .allow_unsigned()
        };
        let narrow = LimitsPatch {
            calls_in_flight: Some(1),
            queue: Some(QUEUE as u64),
            ..patient()
        };
        let provider = load("guest-provider", "provider").with_limits(narrow);
        host.load(provider).await.unwrap();
        let caller = load("guest-caller", "caller").with_limits(patient());
        host.load(caller.linked(STEPS, name("provider"))).await.unwrap();
        let inside = way.begin_at(&host, PERFORM, r#"["next", "spin"]"#);
        soon(|| numbers(&host).0 == 1).await;
        let mut waiting = Vec::new();
        for number in 1..=QUEUE {
            waiting.push(way.begin_at(&host, PERFORM, r#"["next", "version"]"#));
            soon(|| numbers(&host).1 == number as u64).await;
        }
        Stuck {
            way,
            host,
            inside,
            waiting,
        }
    }

    /// What one more dependant is told.
    async fn one_more(&self) -> Fault {
        self.way
            .ask(&self.host, PERFORM, r#"["next", "version"]"#)
            .await
            .unwrap_err()
    }
}

/// How many calls of the provider run, and how many wait.
fn numbers(host: &Host) -> (u64, u64) {
    let row = host
        .list()
        .into_iter()
        .find(|row| row.name == name("provider"))
        .expect("the provider is there");
    (row.in_flight, row.waiting)
}

/// Enforced by `Gate::enter`, and for those in it by `Gate::close` and the
/// provider's interrupt: nobody waits for his deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dependants_of_a_stuck_provider_are_told_at_once_when_it_is_taken_out() {
    let modes = [UnloadMode::Now, UnloadMode::Drain(Duration::from_millis(100))];
    for (way, mode) in Way::BOTH
        .into_iter()
        .flat_map(|way| modes.map(|mode| (way, mode)))
    {
        let stuck = Stuck::new(way).await;
        let began = Instant::now();
        let full = stuck.one_more().await;
        assert_eq!(
            (full.code, full.chain().len(), full.retry()),
            (Code::Overloaded, 2, Retry::Unsafe),
            "{way:?}: {full}"
        );
        assert!(began.elapsed() < AT_ONCE, "{way:?}: {:?}", began.elapsed());
        assert!(!stuck.inside.has_ended(), "{way:?}: it is stuck");
        assert_eq!(numbers(&stuck.host), (1, QUEUE as u64), "{way:?}");

        let began = Instant::now();
        stuck
            .host
            .unload(&name("provider"), mode, stuck.host.principal())
            .await
            .unwrap();
        // They run on their own stacks and are told there.
        let inside = stuck.inside.ended().await.unwrap_err();
        assert_eq!(
            (inside.code, inside.chain().len()),
            (Code::Unloaded, 2),
            "{way:?}: {inside}"
        );
        for waiting in stuck.waiting {
            let fault = waiting.ended().await.unwrap_err();
            assert_eq!(
                (fault.code, fault.chain().len()),
                (Code::LinkUnavailable, 2),
                "{way:?}: {fault}"
            );
            assert!(fault.message.contains("is being unloaded"), "{way:?}: {fault}");
        }
        let late = way
            .ask(&stuck.host, PERFORM, r#"["next", "version"]"#)
            .await
            .unwrap_err();
        assert_eq!(late.code, Code::LinkUnavailable, "{way:?}: {late}");
        assert!(began.elapsed() < AT_ONCE, "{way:?}: {:?}", began.elapsed());
        // The dependant itself is well.
        let own = way.ask(&stuck.host, PERFORM, r#"["version"]"#).await;
        assert_eq!(own.unwrap(), r#"ok("answered by version 1")"#, "{way:?}");
    }
}

/// Enforced by `Gate::retire`, after which whoever waits goes on to what came in
/// its place, and by `Host::drain_replaced` for whoever is in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dependants_of_a_stuck_provider_go_on_when_it_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let better = folder.path().join("better.wasm");
    std::fs::write(&better, guests::version("guest-provider", 2)).unwrap();
    for way in Way::BOTH {
        let stuck = Stuck::new(way).await;
        let replace = ReplaceRequest {
            allow_unsigned: true,
            drain: Duration::from_millis(100),
            health_window: Duration::ZERO,
            ..ReplaceRequest::new(name("provider"), Source::Component(better.clone()))
        };
        let began = Instant::now();
        stuck.host.replace(replace).await.unwrap();
        for waiting in stuck.waiting {
            let told = waiting.ended().await.unwrap();
            assert_eq!(told, r#"ok("answered by version 2")"#, "{way:?}");
        }
        let inside = stuck.inside.ended().await.unwrap_err();
        assert_eq!(
            (inside.code, inside.chain().len()),
            (Code::Cancelled, 2),
            "{way:?}: {inside}"
        );
        assert!(inside.message.contains("replaced"), "{way:?}: {inside}");
        let told = way.ask(&stuck.host, PERFORM, r#"["next", "version"]"#).await;
        assert_eq!(told.unwrap(), r#"ok("answered by version 2")"#, "{way:?}");
        assert!(began.elapsed() < AT_ONCE, "{way:?}: {:?}", began.elapsed());
    }
}

/// Enforced by `Call::over_by`: who waits in the queue of a stuck provider has his
/// own time, and the provider is not to blame for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_stuck_provider_waits_no_longer_than_he_may() {
    for way in Way::BOTH {
        let town = Town::new();
        let narrow = town.spec("provider").deadline(DEADLINE).cpu(DEADLINE);
        let narrow = narrow.limits(|limits| limits.calls_in_flight = 1);
        let provider = town.load(&narrow, "guest-provider").await;
        let hurried = town
            .caller("caller", "provider")
            .deadline(Duration::from_millis(200));
        let caller = town.load(&hurried, "guest-caller").await;
        let occupant = way.begin(&provider, &perform(["spin"]), CallContext::default());
        soon(|| provider.stats().in_flight == 1).await;
        let began = Instant::now();
        let fault = way
            .call(&caller, &perform(["next", "version"]))
            .await
            .unwrap_err();
        assert_eq!(
            (fault.code, fault.chain().len()),
            (Code::DeadlineLimit, 0),
            "{way:?}: {fault}"
        );
        assert!(began.elapsed() < AT_ONCE, "{way:?}: {:?}", began.elapsed());
        soon(|| provider.stats().waiting == 0).await;
        assert_eq!(
            (provider.stats().in_flight, provider.stats().faults),
            (1, 0),
            "{way:?}"
        );
        provider.interrupt(odeon_runtime::Reason::Unloaded);
        assert!(occupant.ended().await.is_err());
    }
}

/// Enforced by `Counters::fault`: what a provider takes is not what its caller
/// has kept, which is not brought back for it.
#[tokio::test]
async fn memory_that_a_provider_has_used_up_is_not_its_callers() {
    for way in Way::BOTH {
        let town = Town::new();
        let small = town.spec("provider").memory(4);
        let provider = town.load(&small, "guest-provider").await;
        let caller = town.caller("caller", "provider").resident();
        let caller = town.load(&caller, "guest-caller").await;
        let fault = way.call(&caller, &perform(["next", "grow"])).await.unwrap_err();
        assert_eq!(fault.code, Code::MemoryLimit, "{way:?}: {fault}");
        let counted = [&caller, &provider].map(|plugin| plugin.stats().out_of_memory);
        assert_eq!(counted, [0, 1], "{way:?}");
        assert_eq!((hits(&caller, "memory"), caller.stats().traps), (0, 0), "{way:?}");
    }
}

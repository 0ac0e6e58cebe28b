//! Linked calls on a thread of the caller's own: there the provider runs on the
//! stack of the plugin that calls it.

use std::thread;
use std::time::{Duration, Instant};

use odeon_protocol::{Code, Fault};
use odeon_runtime::{CallContext, Interrupt, Plugin, Reason};
use odeon_tests::runtime::{call_blocking, hits};
use odeon_tests::stall::Stalls;

use crate::town::{Town, perform, soon};

/// The call on a thread that is no task's.
fn on_thread(plugin: &Plugin, steps: &[&str]) -> thread::JoinHandle<Result<String, Fault>> {
    with_context(plugin, steps, CallContext::default())
}

fn with_context(
    plugin: &Plugin,
    steps: &[&str],
    context: CallContext,
) -> thread::JoinHandle<Result<String, Fault>> {
    let (plugin, invocation) = (plugin.clone(), perform(steps));
    thread::spawn(move || call_blocking(&plugin, &invocation, context))
}

async fn ended(call: thread::JoinHandle<Result<String, Fault>>) -> Result<String, Fault> {
    tokio::task::spawn_blocking(move || call.join().unwrap())
        .await
        .unwrap()
}

/// A `caller` that is linked to a `provider` of one instance, and both.
async fn with_resident_provider(town: &Town) -> (Plugin, Plugin) {
    let provider = town
        .load(&town.spec("provider").resident(), "guest-provider")
        .await;
    let caller = town
        .load(&town.caller("caller", "provider"), "guest-caller")
        .await;
    (caller, provider)
}

/// The same as for a caller that is a task.
#[tokio::test]
async fn a_provider_on_the_callers_stack_is_told_what_any_other_is() {
    let town = Town::new();
    let (caller, provider) = town.pair().await;
    let facts = ended(on_thread(&caller, &["next", "facts"])).await.unwrap();
    assert!(facts.contains("callers plugin:caller data"), "{facts}");
    for _ in 0..3 {
        let fault = ended(on_thread(&caller, &["next", "trap"])).await.unwrap_err();
        assert_eq!((fault.code, fault.chain().len()), (Code::Trapped, 2), "{fault}");
    }
    assert_eq!((caller.stats().traps, provider.stats().traps), (0, 3));
    let line = "provider provider/odeon-tests:links/steps.perform ODN-2001";
    assert_eq!(town.ended(), [line; 3]);
}

/// Enforced by `async_stack_size`, which has room for two guests beside the host: else
/// the process would be gone.
#[tokio::test]
async fn two_guests_that_use_up_their_stacks_have_room_on_one() {
    let town = Town::new();
    let (caller, provider) = town.pair().await;
    let reaches = |frames: u64| {
        let (caller, frames) = (caller.clone(), frames.to_string());
        async move {
            let steps = ["deep", &frames, "next", "version"];
            ended(on_thread(&caller, &steps)).await.is_ok()
        }
    };
    // As deep as the caller comes and still calls: what the host needs beside two
    // guests is little, and what is left of either's stack would be room for it.
    let (mut deep, mut too_deep) = (100, 1 << 20);
    assert!(reaches(deep).await && !reaches(too_deep).await);
    while too_deep - deep > 1 {
        let middle = deep + (too_deep - deep) / 2;
        match reaches(middle).await {
            true => deep = middle,
            false => too_deep = middle,
        }
    }
    let frames = deep.to_string();
    let fault = ended(on_thread(&caller, &["deep", &frames, "next", "recurse"]))
        .await
        .unwrap_err();
    assert_eq!(
        (fault.code, fault.chain().len()),
        (Code::StackLimit, 2),
        "{fault}"
    );
    assert_eq!(hits(&provider, "stack"), 1);
    let told = ended(on_thread(&caller, &["deep", &frames, "next", "version"])).await;
    assert!(told.is_ok(), "{told:?}");
}

/// Enforced by `Call::ends_caller`: nobody else looks after a caller whose
/// provider computes on its stack.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_the_caller_ends_the_provider_on_its_stack() {
    for reason in [Reason::Unloaded, Reason::Replaced] {
        let town = Town::new();
        let (caller, provider) = town.pair().await;
        let running = on_thread(&caller, &["next", "spin"]);
        soon(|| provider.stats().in_flight == 1).await;
        let stalls = Stalls::watch();
        let began = Instant::now();
        caller.interrupt(reason);
        let fault = ended(running).await.unwrap_err();
        let code = match reason {
            Reason::Unloaded => Code::Unloaded,
            _ => Code::Cancelled,
        };
        assert_eq!(fault.code, code, "{fault}");
        assert!(fault.chain().is_empty(), "it is the caller's own end: {fault}");
        let took = stalls.since(began);
        assert!(took.own() < Duration::from_secs(2), "{took:?}");
        soon(|| provider.stats().in_flight == 0).await;
        // It was not the one that was ended.
        let counted = provider.stats().faults_by_code;
        assert_eq!(counted.keys().collect::<Vec<_>>(), [&Code::Cancelled.as_str()]);
    }
}

/// Enforced by `HostState::must_stop`, as for a provider on a stack of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_on_the_callers_stack_keeps_to_all_limits() {
    let town = Town::new();
    let provider = town
        .load(
            &town.spec("provider").cpu(Duration::from_millis(50)),
            "guest-provider",
        )
        .await;
    let caller = town
        .load(&town.caller("caller", "provider"), "guest-caller")
        .await;
    let fault = ended(on_thread(&caller, &["next", "spin"])).await.unwrap_err();
    assert_eq!((fault.code, fault.chain().len()), (Code::CpuLimit, 2), "{fault}");
    assert_eq!((hits(&caller, "cpu"), hits(&provider, "cpu")), (0, 1));

    let town = Town::new();
    town.load(&town.spec("provider"), "guest-provider").await;
    let hurried = town
        .caller("caller", "provider")
        .deadline(Duration::from_millis(100));
    let caller = town.load(&hurried, "guest-caller").await;
    let fault = ended(on_thread(&caller, &["next", "spin"])).await.unwrap_err();
    assert_eq!(
        fault.code,
        Code::DeadlineLimit,
        "the caller's time is over: {fault}"
    );

    let interrupt = Interrupt::new();
    let context = CallContext {
        interrupt: interrupt.clone(),
        ..CallContext::default()
    };
    let town = Town::new();
    let (caller, provider) = town.pair().await;
    let running = with_context(&caller, &["next", "spin"], context);
    soon(|| provider.stats().in_flight == 1).await;
    interrupt.raise(Reason::Cancelled);
    let fault = ended(running).await.unwrap_err();
    assert_eq!(fault.code, Code::Cancelled, "{fault}");
}

/// Enforced by `Outgoing::call_nested`, which makes a call only where there is
/// room at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_without_room_is_waited_for_on_a_thread_too() {
    let town = Town::new();
    let (caller, provider) = with_resident_provider(&town).await;
    let interrupt = Interrupt::new();
    let context = CallContext {
        interrupt: interrupt.clone(),
        ..CallContext::default()
    };
    let occupant = with_context(&provider, &["until-cancelled"], context);
    soon(|| provider.stats().in_flight == 1).await;
    let waiting = on_thread(&caller, &["next", "version"]);
    soon(|| provider.stats().waiting == 1).await;
    interrupt.raise(Reason::Cancelled);
    assert_eq!(ended(occupant).await.unwrap(), r#"ok("cancelled")"#);
    assert_eq!(ended(waiting).await.unwrap(), r#"ok("answered by version 1")"#);
}

/// A caller that waits on its thread is ended where it waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_provider_on_a_thread_is_ended_there() {
    let town = Town::new();
    let (caller, provider) = with_resident_provider(&town).await;
    let occupant = on_thread(&provider, &["spin"]);
    soon(|| provider.stats().in_flight == 1).await;
    let waiting = on_thread(&caller, &["next", "version"]);
    soon(|| provider.stats().waiting == 1).await;
    caller.interrupt(Reason::Unloaded);
    let fault = ended(waiting).await.unwrap_err();
    assert_eq!(fault.code, Code::Unloaded, "{fault}");
    assert_eq!(caller.stats().faults, 1);
    provider.interrupt(Reason::Unloaded);
    assert!(ended(occupant).await.is_err());
}

//! Core dumps: which calls leave one, and when that ends.

use std::sync::Arc;
use std::time::Duration;

use odeon_protocol::{Code, Serial};
use odeon_runtime::{CallContext, DumpOrder, LeftOut, MAX_OBSERVED, ObserveError, Plugin, Runtime};
use odeon_tests::guests::assemble;
use odeon_tests::runtime::{call, call_blocking, call_with, runtime, spec};

use crate::host::soon;
use crate::left::{Left, read};

async fn trapping() -> (Runtime, Plugin, Arc<Left>) {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "wat-traps").await;
    (runtime, plugin, Arc::default())
}

/// The call traps, and is told so as ever.
async fn traps(plugin: &Plugin) {
    assert_eq!(
        call(plugin, "unreachable()").await.unwrap_err().code,
        Code::Trapped
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_traps_leaves_a_core_dump_that_can_be_read() {
    let (runtime, plugin, left) = trapping().await;
    plugin.arm_dumps(left.order(2)).unwrap();
    let serial = Serial::new();
    let context = CallContext {
        serial: Some(serial),
        ..CallContext::default()
    };
    let fault = call_with(&plugin, "out-of-bounds-fill()", context)
        .await
        .unwrap_err();
    assert_eq!(fault.code, Code::Trapped);
    let own = plugin.clone();
    let fault = std::thread::spawn(move || call_blocking(&own, "divide-by-zero()", CallContext::default()))
        .join()
        .unwrap();
    assert_eq!(fault.unwrap_err().code, Code::Trapped);
    let dumps = left.dumps(&runtime).await;
    assert_eq!(dumps.len(), 2);
    let (of, bytes) = &dumps[0];
    assert_eq!((of.plugin.as_str(), of.generation.0), ("tested", 1));
    assert_eq!((of.serial, of.code), (Some(serial), Code::Trapped));
    for (_, bytes) in &dumps {
        let read = read(bytes);
        assert_eq!((&*read.name, read.modules, read.instances), ("tested", 1, 1));
        assert_eq!(read.frames, 1, "{read:?}");
    }
    assert!(!bytes.is_empty());
    soon("nothing is left of it", || plugin.stats().instances == 0).await;
}

/// Enforced by `Armed::is_used_up`.
#[tokio::test(flavor = "multi_thread")]
async fn so_many_calls_leave_a_core_dump_as_were_ordered() {
    let (runtime, plugin, left) = trapping().await;
    traps(&plugin).await;
    plugin.arm_dumps(left.order(2)).unwrap();
    assert_eq!(plugin.dumps_armed().unwrap().traps, 2);
    for _ in 0..4 {
        traps(&plugin).await;
    }
    assert_eq!(left.dumps(&runtime).await.len(), 2);
    assert!(plugin.dumps_armed().is_none());
    plugin.arm_dumps(left.order(2)).unwrap();
    assert_eq!(plugin.disarm_dumps().unwrap().traps, 2);
    traps(&plugin).await;
    assert_eq!(left.dumps(&runtime).await.len(), 2);
    assert!(left.left_out(&runtime).await.is_empty());
}

/// Enforced by `Observer::look`.
#[tokio::test(flavor = "multi_thread")]
async fn core_dumps_end_by_themselves_after_their_time() {
    let (runtime, plugin, left) = trapping().await;
    plugin
        .arm_dumps(DumpOrder {
            time: Duration::from_millis(50),
            ..left.order(16)
        })
        .unwrap();
    soon("the time is over", || plugin.dumps_armed().is_none()).await;
    traps(&plugin).await;
    assert!(left.dumps(&runtime).await.is_empty() && left.left_out(&runtime).await.is_empty());
}

/// Enforced by `Shared::leave_dump`.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_with_more_memory_than_a_dump_may_have_leaves_none() {
    let (runtime, plugin, left) = trapping().await;
    let most = |largest| DumpOrder {
        largest,
        ..left.order(1)
    };
    plugin.arm_dumps(most((64 << 10) - 1)).unwrap();
    traps(&plugin).await;
    let too_large = LeftOut::TooLarge {
        memory: 64 << 10,
        most: (64 << 10) - 1,
    };
    assert_eq!(left.left_out(&runtime).await, [too_large]);
    assert!(left.dumps(&runtime).await.is_empty());
    // And that was the one that was ordered.
    assert!(plugin.dumps_armed().is_none());
    plugin.arm_dumps(most(64 << 10)).unwrap();
    traps(&plugin).await;
    assert_eq!(left.dumps(&runtime).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_a_limit_stops_while_it_computes_says_where_it_was() {
    let runtime = runtime();
    let spec = spec().cpu(Duration::from_millis(20));
    let plugin = spec.load(&runtime, "guest-spin").await;
    let left = Arc::<Left>::default();
    plugin.arm_dumps(left.order(1)).unwrap();
    assert_eq!(
        call(&plugin, "cpu.spin()").await.unwrap_err().code,
        Code::CpuLimit
    );
    let dumps = left.dumps(&runtime).await;
    assert_eq!(dumps[0].0.code, Code::CpuLimit);
    assert!(read(&dumps[0].1).frames > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_trap_leaves_no_core_dump() {
    let runtime = runtime();
    let plugin = spec().memory(16).load(&runtime, "guest-spin").await;
    let left = Arc::<Left>::default();
    plugin.arm_dumps(left.order(1)).unwrap();
    // A growth that is refused is no end of anything.
    call(&plugin, "memory.grow-until-refused(false)").await.unwrap();
    let exit = call(&plugin, "ending.exit(false)").await.unwrap_err();
    assert_eq!(exit.code, Code::GuestExit);
    let waits_not = CallContext {
        wait_until: std::time::Instant::now().checked_add(Duration::from_millis(30)),
        ..CallContext::default()
    };
    let given_up = call_with(&plugin, "cpu.spin()", waits_not).await.unwrap_err();
    assert_eq!(given_up.code, Code::WaitEnded);
    assert!(left.dumps(&runtime).await.is_empty() && left.left_out(&runtime).await.is_empty());
    assert_eq!(plugin.dumps_armed().unwrap().traps, 1);
}

/// Enforced by `Observatory::admit`.
#[tokio::test(flavor = "multi_thread")]
async fn so_many_plugins_are_observed_at_a_time_and_no_more() {
    let runtime = runtime();
    let left = Arc::<Left>::default();
    let mut plugins = Vec::new();
    for number in 0..=MAX_OBSERVED {
        let spec = spec().name(&format!("p{number}"));
        plugins.push(spec.load(&runtime, "wat-traps").await);
    }
    let (last, first) = plugins.split_last().unwrap();
    for plugin in first {
        plugin.arm_dumps(left.order(1)).unwrap();
        // Once more is the same one.
        plugin.arm_dumps(left.order(1)).unwrap();
    }
    match last.arm_dumps(left.order(1)) {
        Err(ObserveError::Taken(names)) => assert_eq!(names.len(), MAX_OBSERVED),
        other => panic!("expected no place, found {other:?}"),
    }
    traps(&first[0]).await;
    last.arm_dumps(left.order(1)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_resident_plugin_has_by_now_stays_and_is_not_observed() {
    let runtime = runtime();
    let plugin = spec().resident().load(&runtime, "guest-forger").await;
    let left = Arc::<Left>::default();
    call(&plugin, "identity.facts()").await.unwrap();
    plugin.arm_dumps(left.order(1)).unwrap();
    let panics = async || {
        call(&plugin, "disguise.panic-with(\"now\")")
            .await
            .unwrap_err()
            .code
    };
    assert_eq!(panics().await, Code::Trapped);
    assert!(left.dumps(&runtime).await.is_empty());
    // The next one is made while it is observed.
    assert_eq!(panics().await, Code::Trapped);
    assert_eq!(left.dumps(&runtime).await.len(), 1);
}

/// What the engine puts between nested components has no place in its dumps: it
/// says so, and the host goes on. Enforced by `Job::write`.
#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_is_made_of_others_is_dumped_or_said_not_to_be() {
    let runtime = runtime();
    let bytes = assemble(
        r#"(component
            (component $inner
              (core module $m (func (export "boom") unreachable))
              (core instance $i (instantiate $m))
              (func (export "boom") (canon lift (core func $i "boom"))))
            (component $outer
              (import "boom" (func $boom))
              (core module $m (import "" "boom" (func $boom)) (func (export "go") (call $boom)))
              (core func $lowered (canon lower (func $boom)))
              (core instance $i (instantiate $m (with "" (instance (export "boom" (func $lowered))))))
              (func (export "go") (canon lift (core func $i "go"))))
            (instance $in (instantiate $inner))
            (instance $out (instantiate $outer (with "boom" (func $in "boom"))))
            (export "go" (func $out "go")))"#,
    );
    let plugin = spec().prepare(&runtime, &bytes).await.unwrap();
    let left = Arc::<Left>::default();
    plugin.arm_dumps(left.order(1)).unwrap();
    assert_eq!(call(&plugin, "go()").await.unwrap_err().code, Code::Trapped);
    match &*left.dumps(&runtime).await {
        [] => assert_eq!(left.left_out(&runtime).await, [LeftOut::Engine]),
        [(_, bytes)] => assert!(read(bytes).frames >= 2),
        more => panic!("expected one, found {}", more.len()),
    }
    plugin.arm_dumps(left.order(1)).unwrap();
    assert_eq!(call(&plugin, "go()").await.unwrap_err().code, Code::Trapped);
}

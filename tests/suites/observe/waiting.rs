//! Core dumps that wait to be written: what they keep is not missing to those
//! that serve.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use odeon_protocol::Code;
use odeon_runtime::{
    CoreDump, DumpOrder, DumpSink, EngineClass, LeftOut, PoolSize, Runtime, RuntimeConfig, StoppedCall,
};
use odeon_tests::guests::assemble;
use odeon_tests::runtime::{Spec, call, config, spec};

/// Core dumps that may wait to be written.
const QUEUE: usize = 32;

/// Takes a core dump when it is let go on, and no sooner.
struct Stuck {
    goes_on: Mutex<Receiver<()>>,
    taken: Mutex<usize>,
    busy: Mutex<usize>,
}

impl DumpSink for Stuck {
    fn dumped(&self, _: CoreDump<'_>) {
        // Nothing is ever sent: it ends when the other side goes.
        self.goes_on.lock().unwrap().recv().unwrap_err();
        *self.taken.lock().unwrap() += 1;
    }

    fn left_out(&self, _: &StoppedCall, why: LeftOut) {
        assert_eq!(why, LeftOut::Busy);
        *self.busy.lock().unwrap() += 1;
    }
}

/// A component of so many memories, whose one function traps.
fn traps(memories: usize) -> Vec<u8> {
    let modules: String = (0..memories)
        .map(|number| {
            format!(
                r#"(core module $m{number} (memory 1) (func (export "boom") unreachable))
                   (core instance $i{number} (instantiate $m{number}))"#
            )
        })
        .collect();
    assemble(&format!(
        r#"(component {modules} (func (export "boom") (canon lift (core func $i0 "boom"))))"#
    ))
}

/// Has more calls trap than core dumps may wait, while none is written. Each of
/// them has to trap: none is refused for want of room.
async fn trap_while_others_wait(spec: Spec, memories: usize, instances: u32) {
    let pool = PoolSize {
        instances,
        ..PoolSize::default()
    };
    let runtime = Runtime::new(RuntimeConfig {
        workers: 1,
        pool,
        ..config()
    });
    let runtime = runtime.unwrap();
    let plugin = spec.prepare(&runtime, &traps(memories)).await.unwrap();
    let (let_go, goes_on) = channel();
    let sink = std::sync::Arc::new(Stuck {
        goes_on: Mutex::new(goes_on),
        taken: Mutex::default(),
        busy: Mutex::default(),
    });
    let calls = QUEUE + 8;
    plugin
        .arm_dumps(DumpOrder {
            traps: u32::try_from(calls).unwrap(),
            time: std::time::Duration::from_secs(600),
            largest: 256 << 20,
            sink: sink.clone(),
        })
        .unwrap();
    for number in 0..calls {
        let fault = call(&plugin, "boom()").await.unwrap_err();
        assert_eq!(fault.code, Code::Trapped, "call {number}: {fault}");
    }
    drop(let_go);
    runtime.dumps_written().await;
    // One may be in hand.
    let (taken, busy) = (*sink.taken.lock().unwrap(), *sink.busy.lock().unwrap());
    assert_eq!(taken + busy, calls);
    assert!((QUEUE..=QUEUE + 1).contains(&taken), "{taken} were kept");
}

/// Of the pool of that class a worker has a quarter. Enforced by
/// `Totals::and_those_that_wait`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn core_dumps_that_wait_take_no_room_of_a_plugin_of_the_class_async() {
    trap_while_others_wait(spec().class(EngineClass::Async), 1, 4).await;
}

/// Enforced by `Totals::and_those_that_wait`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn core_dumps_that_wait_take_no_room_of_a_plugin_of_many_memories() {
    trap_while_others_wait(spec(), 8, 16).await;
}

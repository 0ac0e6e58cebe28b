//! `fresh-call`: an instance for one call, with everything a host does for it.

use std::hint::black_box;

use odeon_authority::InstanceMode;

use super::host::Stage;
use super::measure::{Clock, Effort, compare};
use super::raw::{ECHO, Raw, store};
use super::{Row, row};

const ROUNDS: usize = 400;

/// The arguments and the result of `add(2, 3)`, encoded.
pub(super) const ARGS: [u8; 8] = [2, 0, 0, 0, 3, 0, 0, 0];
pub(super) const SUM: [u8; 4] = [5, 0, 0, 0];

pub(super) fn rows(effort: Effort) -> Vec<Row> {
    let stage = Stage::new(1);
    stage.load_echo("echo", InstanceMode::Fresh);
    let numbers = compare(
        effort,
        Clock::ThreadCpu,
        ROUNDS,
        || {
            let reply = stage
                .host
                .call_encoded("echo/add", black_box(&ARGS))
                .expect("a sum");
            assert_eq!(reply.bytes, SUM);
        },
        bare(),
    );
    vec![row(
        "fresh-call",
        "ns",
        numbers,
        "raw fresh instance + call, pool + keep resident + pagemap scan",
    )]
}

/// One bare fresh call: store, instance, call, and all of it dropped.
pub(super) fn bare() -> impl FnMut() {
    let raw = Raw::echo();
    let component = raw.pre.component();
    let interface = component.get_export_index(None, ECHO).expect("the interface");
    let add = component
        .get_export_index(Some(&interface), "add")
        .expect("the function");
    move || {
        let mut store = store(raw.pre.engine());
        let instance = raw.pre.instantiate(&mut store).expect("an instance");
        let function = instance
            .get_typed_func::<(u32, u32), (u32,)>(&mut store, &add)
            .expect("the function's type");
        let (sum,) = function
            .call(&mut store, (black_box(2), black_box(3)))
            .expect("a sum");
        assert_eq!(sum, 5);
    }
}

//! `call-typed` and `call-by-name`: what the way from an embedding program to
//! a guest costs beside the bare call.

use std::hint::black_box;

use odeon_authority::InstanceMode;

use super::host::Stage;
use super::measure::{Clock, Effort, compare};
use super::raw::Raw;
use super::{Row, row};

const BASELINE: &str = "raw component call";
const ROUNDS: usize = 400;

pub(super) fn rows(effort: Effort) -> Vec<Row> {
    let stage = Stage::new(1);
    stage.load_echo("echo", InstanceMode::Resident);
    let raw = Raw::echo();
    let (mut store, function) = raw.resident::<(u32, u32), (u32,)>("add");
    let mut bare = || {
        let (sum,) = function
            .call(&mut store, (black_box(2), black_box(3)))
            .expect("a sum");
        assert_eq!(sum, 5);
    };

    let typed = stage
        .host
        .typed::<(u32, u32), (u32,)>("echo/add")
        .expect("the method");
    let by_type = compare(
        effort,
        Clock::ThreadCpu,
        ROUNDS,
        || {
            let (sum,) = typed.call((black_box(2), black_box(3))).expect("a sum");
            assert_eq!(sum, 5);
        },
        &mut bare,
    );

    let args = [2, 0, 0, 0, 3, 0, 0, 0];
    let by_name = compare(
        effort,
        Clock::ThreadCpu,
        ROUNDS,
        || {
            let reply = stage
                .host
                .call_encoded(black_box("echo/add"), black_box(&args))
                .expect("a sum");
            assert_eq!(reply.bytes, [5, 0, 0, 0]);
        },
        &mut bare,
    );
    vec![
        row("call-typed", "ns", by_type, BASELINE),
        row("call-by-name", "ns", by_name, BASELINE),
    ]
}

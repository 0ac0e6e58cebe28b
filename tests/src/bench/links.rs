//! `link-call` and `link-call-resident`: a plugin that uses another one, beside
//! the two calls that this comes to.

use std::hint::black_box;

use odeon_authority::InstanceMode;

use super::fresh::{ARGS, SUM, bare};
use super::host::Stage;
use super::measure::{Clock, Effort, compare};
use super::raw::Raw;
use super::{Row, row};

const ROUNDS: usize = 400;

pub(super) fn fresh(effort: Effort) -> Vec<Row> {
    let mut once = bare();
    let fresh = compare(
        effort,
        Clock::ThreadCpu,
        ROUNDS,
        linked(InstanceMode::Fresh),
        || {
            once();
            once();
        },
    );
    vec![row("link-call", "ns", fresh, "two raw fresh instances + calls")]
}

pub(super) fn resident(effort: Effort) -> Vec<Row> {
    let raw = Raw::echo();
    let (mut store, function) = raw.resident::<(u32, u32), (u32,)>("add");
    let warm = compare(
        effort,
        Clock::ThreadCpu,
        ROUNDS,
        linked(InstanceMode::Resident),
        || {
            for _ in 0..2 {
                let (sum,) = function
                    .call(&mut store, (black_box(2), black_box(3)))
                    .expect("a sum");
                assert_eq!(sum, 5);
            }
        },
    );
    vec![row("link-call-resident", "ns", warm, "two raw component calls")]
}

/// A call of a plugin whose import another one serves, both of this kind.
fn linked(mode: InstanceMode) -> impl FnMut() {
    let stage = Stage::new(1);
    stage.load("guest-provider", "provider", mode, None);
    let link = ("odeon-tests:links/steps", "provider");
    stage.load("guest-caller", "caller", mode, Some(link));
    // Found once, as the functions of the other side are; `call-by-name` is what
    // finding it at each call takes.
    let method = stage.host.method("caller/add").expect("the method");
    move || {
        let _stage = &stage;
        let reply = method.call(black_box(&ARGS)).expect("a sum");
        assert_eq!(reply.bytes, SUM);
    }
}

//! A plugin that uses another one, beside the two calls that this comes to.
//!
//! `link-call` and `link-call-resident` call on a thread of the caller's own,
//! where the provider runs on the stack of the plugin that asks it.
//! `link-call-task` and `link-call-task-resident` are the same calls by
//! `Host::call`, as an asynchronous task makes them: both plugins can be made to
//! yield, and can be moved to other threads. What that costs has no target.

use std::hint::black_box;

use odeon::{Args, CallOptions};
use odeon_authority::InstanceMode;

use super::fresh::{ARGS, SUM, bare};
use super::host::Stage;
use super::measure::{Clock, Effort, compare};
use super::raw::Raw;
use super::{Row, row};

const ROUNDS: usize = 400;

/// The method of the plugin that uses another one.
const METHOD: &str = "caller/add";

pub(super) fn fresh(effort: Effort) -> Vec<Row> {
    beside_fresh("link-call", effort, on_a_thread(InstanceMode::Fresh))
}

pub(super) fn fresh_in_a_task(effort: Effort) -> Vec<Row> {
    beside_fresh("link-call-task", effort, in_a_task(InstanceMode::Fresh))
}

pub(super) fn resident(effort: Effort) -> Vec<Row> {
    beside_warm("link-call-resident", effort, on_a_thread(InstanceMode::Resident))
}

pub(super) fn resident_in_a_task(effort: Effort) -> Vec<Row> {
    beside_warm(
        "link-call-task-resident",
        effort,
        in_a_task(InstanceMode::Resident),
    )
}

fn beside_fresh(id: &'static str, effort: Effort, linked: impl FnMut()) -> Vec<Row> {
    let mut once = bare();
    let fresh = compare(effort, Clock::ThreadCpu, ROUNDS, linked, || {
        once();
        once();
    });
    vec![row(id, "ns", fresh, "two raw fresh instances + calls")]
}

fn beside_warm(id: &'static str, effort: Effort, linked: impl FnMut()) -> Vec<Row> {
    let raw = Raw::echo();
    let (mut store, function) = raw.resident::<(u32, u32), (u32,)>("add");
    let warm = compare(effort, Clock::ThreadCpu, ROUNDS, linked, || {
        for _ in 0..2 {
            let (sum,) = function
                .call(&mut store, (black_box(2), black_box(3)))
                .expect("a sum");
            assert_eq!(sum, 5);
        }
    });
    vec![row(id, "ns", warm, "two raw component calls")]
}

/// A plugin whose import another one serves, both of this kind.
fn linked(mode: InstanceMode) -> Stage {
    let stage = Stage::new(1);
    stage.load("guest-provider", "provider", mode, None);
    let link = ("odeon-tests:links/steps", "provider");
    stage.load("guest-caller", "caller", mode, Some(link));
    stage
}

/// The method is found once, as the functions of the other side are:
/// `call-by-name` is what finding it at each call takes.
fn on_a_thread(mode: InstanceMode) -> impl FnMut() {
    let stage = linked(mode);
    let method = stage.host.method(METHOD).expect("the method");
    move || {
        let _stage = &stage;
        let reply = method.call(black_box(&ARGS)).expect("a sum");
        assert_eq!(reply.bytes, SUM);
    }
}

/// Polled by this thread alone, whose processor time is what is measured: a call
/// that ends within its turn is never moved.
fn in_a_task(mode: InstanceMode) -> impl FnMut() {
    let stage = linked(mode);
    move || {
        let args = Args::Encoded(black_box(&ARGS).to_vec());
        let call = stage.host.call(METHOD, args, CallOptions::default());
        let reply = stage.tokio.block_on(call).expect("a sum");
        assert_eq!(reply.bytes, SUM);
    }
}

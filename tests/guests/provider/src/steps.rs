//! The steps that a plugin can be told to take.

use std::cell::{Cell, RefCell};

use odeon_sdk::{request, secrets};

/// Tests make another version of the component by writing another number here.
static VERSION: &str = "answered by version 1";

/// What another plugin does with steps.
pub(crate) type Next = fn(&[String]) -> Result<String, String>;

thread_local! {
    static TIMES: Cell<u32> = const { Cell::new(0) };
    static REST: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static DONE: RefCell<Option<Result<String, String>>> = const { RefCell::new(None) };
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Takes the steps; `next` is what another plugin does with the rest.
pub(crate) fn perform(steps: &[String], next: Next) -> Result<String, String> {
    let Some((step, rest)) = steps.split_first() else {
        return Ok("done".into());
    };
    match step.as_str() {
        "next" => next(rest),
        // What comes back as an error goes on as a value.
        "try" => perform(rest, next).or_else(|error| Ok(format!("told: {error}"))),
        // Looked up when it is asked for, so that it stands in the component as it is here.
        "version" => Ok(std::hint::black_box(VERSION).into()),
        "facts" => Ok(format!(
            "serial {} callers {} data {} left {}",
            request::serial(),
            request::caller_chain().join(","),
            request::user_data().unwrap_or_default(),
            request::time_left().as_millis(),
        )),
        // Whether the rest is told the same serial.
        "same-serial" => {
            let own = request::serial().to_string();
            next(rest).map(|told| told.contains(&own).to_string())
        }
        "count" => {
            TIMES.set(TIMES.get() + 1);
            Ok(TIMES.get().to_string())
        }
        "secret" => {
            let name = rest.first().ok_or("expected a name")?;
            let shown = secrets::get(name).and_then(|secret| secret.reveal());
            let shown = shown.map_err(|error| format!("{error:?}"))?;
            String::from_utf8(shown).map_err(|error| error.to_string())
        }
        "error" => Err("as it was told".into()),
        "trap" => std::process::abort(),
        "spin" => loop {
            std::hint::black_box(0);
        },
        "grow" => loop {
            KEPT.with_borrow_mut(|kept| kept.push(vec![1; 1 << 20]));
        },
        // As often as it takes until something else comes of them.
        "until-other" => {
            let first = perform(rest, next)?;
            loop {
                let now = perform(rest, next)?;
                if now != first {
                    return Ok(now);
                }
            }
        }
        "busy" => number(rest, |turns, rest| {
            (0..turns).for_each(|turn| {
                std::hint::black_box(turn);
            });
            perform(rest, next)
        }),
        "until-cancelled" => {
            while !request::is_cancelled() {
                std::hint::black_box(0);
            }
            Ok("cancelled".into())
        }
        "recurse" => recurse(u64::MAX, rest, next),
        "deep" => number(rest, |frames, rest| recurse(frames, rest, next)),
        "times" => number(rest, |times, rest| {
            (1..times).try_for_each(|_| perform(rest, next).map(drop))?;
            perform(rest, next)
        }),
        "large" => number(rest, |bytes, _| {
            Ok("x".repeat(usize::try_from(bytes).unwrap_or(usize::MAX)))
        }),
        // Passes on that much, which nobody looks at.
        "carry" => number(rest, |bytes, rest| {
            let mut with = rest.to_vec();
            with.push("x".repeat(usize::try_from(bytes).unwrap_or(usize::MAX)));
            perform(&with, next)
        }),
        unknown => Err(format!("no such step: {unknown}")),
    }
}

fn number(
    rest: &[String],
    then: impl FnOnce(u64, &[String]) -> Result<String, String>,
) -> Result<String, String> {
    match rest.split_first().map(|(first, rest)| (first.parse(), rest)) {
        Some((Ok(number), rest)) => then(number, rest),
        _ => Err("expected a number".into()),
    }
}

/// Takes the other steps that many frames deeper on its stack.
fn recurse(frames: u64, rest: &[String], next: Next) -> Result<String, String> {
    REST.set(rest.to_vec());
    std::hint::black_box(down(frames, next));
    DONE.take().unwrap_or_else(|| Err("nothing was done".into()))
}

#[inline(never)]
fn bottom(next: Next) -> u64 {
    DONE.set(Some(perform(&REST.take(), next)));
    1
}

/// Frames without anything in linear memory: it is the other stack that is used.
#[inline(never)]
fn down(frames: u64, next: Next) -> u64 {
    if frames == 0 {
        return bottom(next);
    }
    down(frames - 1, next).wrapping_mul(3) ^ frames
}

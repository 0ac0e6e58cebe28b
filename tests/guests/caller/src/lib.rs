//! Uses other plugins, also itself, as deep and as often as it is told.

odeon_sdk::plugin!();

#[path = "../../provider/src/steps.rs"]
mod steps;

use exports::odeon_tests::links::steps::Guest;
use odeon_sdk::rmi;
use odeon_tests::links::steps as provided;

struct Caller;

/// By the import, or by the name that follows `by-name`.
fn next(steps: &[String]) -> Result<String, String> {
    match steps {
        [by_name, method, rest @ ..] if by_name == "by-name" => {
            let done: Result<Result<String, String>, _> = rmi::call(method, (rest.to_vec(),));
            done.unwrap_or_else(|error| Err(error.to_string()))
        }
        _ => provided::perform(steps),
    }
}

impl Guest for Caller {
    fn perform(steps: Vec<String>) -> Result<String, String> {
        steps::perform(&steps, next)
    }

    fn add(a: u32, b: u32) -> u32 {
        provided::add(a, b)
    }
}

export!(Caller);

//! Uses other plugins, also itself, as deep and as often as it is told.

odeon_sdk::plugin!();

#[path = "../../provider/src/steps.rs"]
mod steps;

use exports::odeon_tests::links::steps::Guest;
use odeon_sdk::rmi;
use odeon_tests::links::steps as provided;

struct Caller;

/// By the import, or by the name that follows `by-name`; or adds 2 and 3 by the name and the fingerprint that follow
/// `by-fingerprint`.
fn next(steps: &[String]) -> Result<String, String> {
    match steps {
        [by_name, method, rest @ ..] if by_name == "by-name" => {
            let done: Result<Result<String, String>, _> = rmi::call(method, (rest.to_vec(),));
            done.unwrap_or_else(|error| Err(error.to_string()))
        }
        [by, method, fingerprint] if by == "by-fingerprint" => {
            let args = [2_u32.to_le_bytes(), 3_u32.to_le_bytes()].concat();
            let sum = rmi::call_encoded(method, Some(fingerprint.as_str()), &args);
            sum.map(|sum| format!("{sum:?}"))
                .map_err(|fault| format!("{}: {}", fault.code, fault.message))
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

//! What another plugin uses: answers, and every way not to answer.

odeon_sdk::plugin!();

mod steps;

use exports::odeon_tests::links::steps::Guest;

struct Provider;

impl Guest for Provider {
    fn perform(steps: Vec<String>) -> Result<String, String> {
        steps::perform(&steps, |_| Err("there is nobody next".into()))
    }

    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }
}

export!(Provider);

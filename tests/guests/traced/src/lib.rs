//! Ends badly, and says in which line: it keeps its table of lines.

odeon_sdk::plugin!();

mod deep;

use exports::odeon_tests::traced::ending::Guest;

struct Traced;

impl Guest for Traced {
    fn fail(number: u32) -> u32 {
        deep::fail(number)
    }
}

export!(Traced);

//! What the host says about the request.

use odeon_sdk::request;

use crate::exports::odeon_tests::forger::identity::{Guest, RequestFacts};

impl Guest for crate::Forger {
    fn facts() -> RequestFacts {
        RequestFacts {
            serial: request::serial(),
            callers: request::caller_chain(),
            user_data: request::user_data(),
            time_left: u64::try_from(request::time_left().as_nanos()).unwrap_or(u64::MAX),
            cancelled: request::is_cancelled(),
        }
    }

    fn facts_again(times: u32) -> u64 {
        let sizes = (0..times).map(|_| {
            let facts = Self::facts();
            let callers: usize = facts.callers.iter().map(String::len).sum();
            (facts.serial.len() + callers + facts.user_data.map_or(0, |data| data.len())) as u64
        });
        sizes.max().unwrap_or(0)
    }
}

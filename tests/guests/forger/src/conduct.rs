//! Progress, cancel and deadline.

use odeon_sdk::progress::{self, ProgressError};
use odeon_sdk::request;

use crate::exports::odeon_tests::forger::conduct::Guest;

impl Guest for crate::Forger {
    fn report(times: u32, bytes: u32) -> (u32, Option<String>) {
        let details = "d".repeat(bytes as usize);
        count((0..times).map(|done| progress::report(done.into(), Some(times.into()), &details)))
    }

    fn report_forever(bytes: u32) {
        let details = "d".repeat(bytes as usize);
        for done in 0.. {
            // It goes on whatever the answer is: that is the attack.
            progress::report(done, None, &details).ok();
        }
    }

    fn report_nonsense() -> (u32, Option<String>) {
        let reports = [(u64::MAX, Some(1)), (5, Some(0)), (0, None), (7, Some(3))];
        count(
            reports
                .into_iter()
                .map(|(done, total)| progress::report(done, total, "\u{0}\n\u{1b}[2J")),
        )
    }

    fn until_cancelled() -> u64 {
        let mut looks = 1;
        while !request::is_cancelled() {
            looks += 1;
        }
        looks
    }

    fn ignore_cancel() {
        progress::report(0, None, "working").ok();
        loop {
            std::hint::black_box(request::is_cancelled());
        }
    }

    fn until_left(milliseconds: u64) -> u64 {
        let wanted = std::time::Duration::from_millis(milliseconds);
        let mut looks = 0;
        while request::time_left() >= wanted {
            looks += 1;
        }
        looks
    }
}

/// How many were passed on, and the first refusal.
fn count(reports: impl Iterator<Item = Result<(), ProgressError>>) -> (u32, Option<String>) {
    let mut passed_on = 0;
    let mut refusal = None;
    for report in reports {
        match report {
            Ok(()) => passed_on += 1,
            Err(error) => {
                refusal.get_or_insert_with(|| match error {
                    ProgressError::TooLarge(limit) => format!("too-large({limit})"),
                    ProgressError::TooMany(limit) => format!("too-many({limit})"),
                });
            }
        }
    }
    (passed_on, refusal)
}

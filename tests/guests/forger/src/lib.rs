//! Hostile: floods what a request carries, claims what is not its own, and does not listen.

odeon_sdk::plugin!();
odeon_sdk::panic_to_log!();

mod conduct;
mod disguise;
mod identity;
mod theft;

struct Forger;

export!(Forger);

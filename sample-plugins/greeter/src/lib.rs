//! The plugin that the README writes: what follows is its text, and a test compares the two.

odeon_sdk::plugin!();

use exports::acme::greeter::greetings::Guest;

struct Greeter;

impl Guest for Greeter {
    fn greet(name: String) -> String {
        format!("Hello, {name}!")
    }
}

export!(Greeter);

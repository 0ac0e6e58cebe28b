//! What a guest can learn about the host's process.

use crate::exports::odeon_tests::spin::snoop::Guest;
use crate::wasi::cli::environment::{get_arguments, get_environment, initial_cwd};
use crate::wasi::cli::terminal_stdin::get_terminal_stdin;

impl Guest for crate::Spin {
    fn environment() -> Vec<(String, String)> {
        get_environment()
    }

    fn arguments() -> Vec<String> {
        get_arguments()
    }

    fn initial_directory() -> Option<String> {
        initial_cwd()
    }

    fn stdin_is_terminal() -> bool {
        get_terminal_stdin().is_some()
    }
}

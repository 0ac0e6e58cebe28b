//! The command line.
//!
//! Owns the verbs and the flags that all of them have; each verb's own flags
//! are beside what it does.

use clap::{Parser, Subcommand};

use crate::{command, generate, whereabouts::Whereabouts};

/// Runs untrusted WebAssembly components within limits, and calls them.
#[derive(Debug, Parser)]
#[command(name = "odeon", version, max_term_width = 110, after_help = EXIT)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) whereabouts: Whereabouts,
    /// Write JSON for programs: one document, or one per line where it streams
    #[arg(long, global = true, display_order = 100)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT: &str = "\
Exit statuses: 0 done · 1 the method's own error · 2 usage · 3 denied · 4 not found
5 waiting ended or cancelled · 6 the guest was stopped · 7 not a component, or does not link · 8 anything else";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Call one method of a component file, without a host
    Run(command::run::Args),
    /// Run a host until it is stopped
    Serve(command::serve::Args),
    /// End a host
    Stop(command::stop::Args),
    /// Show how a host is
    Status,
    /// Watch a host
    Top,
    /// Show what a host counts, in the text format of Prometheus
    Metrics,
    /// Load a component or a descriptor into a host
    Load(command::load::Args),
    /// Put a new version in the place of a loaded plugin, without a lost call
    Replace(command::replace::Args),
    /// Replace a plugin by what it was loaded from, read again
    Reload(command::reload::Args),
    /// Change what a loaded plugin may use, or show it
    Grant(command::grant::Args),
    /// Take a plugin out of service
    Unload(command::unload::Args),
    /// List what is loaded
    List,
    /// Show everything about a plugin
    Describe(command::describe::Args),
    /// Check that a component can be loaded, without loading it
    Check(command::check::Args),
    /// Call a method of a loaded plugin
    Call(command::call::Args),
    /// Cancel a request
    Cancel(command::cancel::Args),
    /// Show what plugins and the host wrote
    Logs(command::logs::Args),
    /// Show or set what the host logs
    LogLevel(command::log_level::Args),
    /// Show the core dumps of a plugin; have calls of it that trap leave some
    Dump(command::dump::Args),
    /// See in which functions a plugin spends its time
    Profile(command::profile::Args),
    /// Make a key to sign with
    Keygen(command::keygen::Args),
    /// Put a manifest into a component; make a component of a core module
    Pack(command::pack::Args),
    /// Sign a component
    Sign(command::sign::Args),
    /// Verify the signatures of a component
    Verify(command::verify::Args),
    /// Say what may be loaded
    Trust(command::trust::Args),
    /// Show what was decided and done
    Audit(command::audit::Args),
    /// Say why a plugin is not loaded, was denied something or was stopped
    Why(command::why::Args),
    /// Print the schema of a kind of file, for editors
    Schema(command::schema::Args),
    /// Write the completions of a shell
    Completions(generate::Completions),
    /// Write the manual pages
    Man(generate::Man),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn negative_numbers_are_arguments_of_a_call() {
        let cli = Cli::try_parse_from(["odeon", "call", "calc/add", "-1", "-2.5", "--json"]).unwrap();
        assert!(cli.json && matches!(cli.command, Command::Call(_)));
    }
}

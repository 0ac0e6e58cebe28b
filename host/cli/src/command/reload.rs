//! `odeon reload`: a plugin's file or descriptor, read again.

use odeon_protocol::PluginName;

use super::Context;
use super::replace::{Terms, replace};
use crate::output::Done;

/// Flags of `reload`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plugin
    name: PluginName,
    #[command(flatten)]
    terms: Terms,
}

pub(crate) fn run(args: Args, context: &Context) -> Done {
    let what = format!("reloading {}", args.name);
    replace(args.name, None, &args.terms, context, what)
}

//! `odeon replace`: a new version in the place of a loaded plugin.

use std::path::PathBuf;

use odeon_authority::Patience;
use odeon_protocol::{AdminRequest, PluginName, Replace, ReplaceReply};

use super::Context;
use crate::{human, output::Done, tokens::milliseconds, whereabouts::absolute_text};

/// Flags of `replace`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plugin
    name: PluginName,
    /// The new component, or a descriptor (.toml)
    file: PathBuf,
    #[command(flatten)]
    terms: Terms,
}

/// On which terms another generation comes.
#[derive(Debug, clap::Args)]
pub(crate) struct Terms {
    /// Take it although nothing vouches for it; it is forgotten when the host ends
    #[arg(long)]
    allow_unsigned: bool,
    /// Take it although a higher version was accepted under this name before
    #[arg(long)]
    allow_downgrade: bool,
    /// How long calls of the old generation may go on [default: as the host is configured]
    #[arg(long, value_name = "TIME")]
    drain: Option<Patience>,
    /// How long the new generation is watched, and replaced by the old one if it traps [default: 10s; 0s: not at all]
    #[arg(long, value_name = "TIME")]
    health: Option<Patience>,
    /// Replace it although plugins that are linked to it would not link any more
    #[arg(long)]
    break_links: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let path = absolute_text(&args.file)?;
    let what = format!("replacing {} by {}", args.name, args.file.display());
    replace(args.name.clone(), Some(path), &args.terms, context, what)
}

/// Asks for another generation, and shows what came of it.
pub(super) fn replace(
    name: PluginName,
    path: Option<String>,
    terms: &Terms,
    context: &Context,
    what: String,
) -> Done {
    let request = AdminRequest::Replace(Replace {
        name,
        path,
        allow_unsigned: terms.allow_unsigned,
        allow_downgrade: terms.allow_downgrade,
        drain_ms: terms.drain.map(|time| milliseconds(time.duration())),
        health_ms: terms.health.map(|time| milliseconds(time.duration())),
        break_links: terms.break_links,
    });
    let reply: ReplaceReply = context.ask_waiting(&request, || what)?;
    for warning in &reply.warnings {
        context.out.say(&format!("note: {warning}"));
    }
    context.out.either(&reply, || {
        let plugin = &reply.plugin;
        let cache = if reply.from_cache {
            "from the cache"
        } else {
            "compiled"
        };
        let state = if reply.state_handed_over {
            ", with its state"
        } else {
            ""
        };
        format!(
            "replaced {} generation {} by generation {}{state} ({}, {cache} in {}, switched in {} us)",
            plugin.name,
            reply.from,
            plugin.generation,
            plugin.digest,
            human::span(reply.elapsed_us / 1000),
            reply.switch_us
        )
    })
}

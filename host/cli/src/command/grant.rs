//! `odeon grant`: what a loaded plugin may use.

use odeon_protocol::{AdminRequest, GrantReply, PluginName};

use super::Context;
use crate::{output::Done, tokens::grant_lines};

/// Flags of `grant`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plugin
    name: PluginName,
    /// What it may use besides, as for load; without any grant, what it may use is shown
    #[arg(value_name = "GRANT")]
    grants: Vec<String>,
    /// What it may not use any more: a grant as `odeon grant NAME` shows it
    #[arg(long, value_name = "GRANT")]
    revoke: Vec<String>,
}

pub(crate) fn run(args: Args, context: &Context) -> Done {
    let request = AdminRequest::Grant {
        name: args.name,
        add: grant_lines(&args.grants)?,
        revoke: grant_lines(&args.revoke)?,
    };
    let reply: GrantReply = context.ask(&request)?;
    for warning in &reply.warnings {
        context.out.say(&format!("note: {warning}"));
    }
    context.out.either(&reply, || text(&reply))
}

fn text(reply: &GrantReply) -> String {
    let marked = |mark: &'static str, lines: &[String]| {
        let lines = lines.iter().map(move |line| format!("{mark} {line}"));
        lines.collect::<Vec<_>>()
    };
    let stays = reply.grants.iter().filter(|line| !reply.added.contains(line));
    let mut lines = vec![format!(
        "{} generation {} may use:",
        reply.plugin.name, reply.plugin.generation
    )];
    lines.extend(marked(" ", &stays.cloned().collect::<Vec<_>>()));
    lines.extend(marked("+", &reply.added));
    lines.extend(marked("-", &reply.removed));
    if reply.grants.is_empty() && reply.removed.is_empty() {
        lines.push("  nothing".to_owned());
    }
    lines.join("\n")
}

//! `odeon load`: a component or a descriptor into a host.

use std::path::PathBuf;

use odeon::Route;
use odeon_protocol::{AdminRequest, Load, LoadReply, PluginName};

use super::Context;
use crate::{
    human,
    output::Done,
    tokens::{Pair, by_name, grant_lines, links},
    whereabouts::absolute_text,
};

/// Flags of `load`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A component, or a descriptor (.toml)
    file: PathBuf,
    /// The name to load it under [default: as its manifest or file says]
    #[arg(long)]
    name: Option<PluginName>,
    /// Load it although nothing vouches for it; it is forgotten when the host ends
    #[arg(long)]
    allow_unsigned: bool,
    /// Load it although a higher version was accepted under this name before
    #[arg(long)]
    allow_downgrade: bool,
    /// Forget it when the host ends
    #[arg(long)]
    transient: bool,
    /// What it may touch: fs=HOSTDIR[::GUESTDIR][,rw] tcp=HOST:PORT http=HOST[:PORT] env=NAME[=VALUE] secret=NAME
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<String>,
    /// A limit in place of the host's, as in a descriptor: memory=16MiB
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<Pair>,
    /// The plugin that serves an interface which it imports: odeon-samples:markdown/markdown=markdown
    #[arg(long = "link", value_name = "INTERFACE=PLUGIN")]
    links: Vec<Pair>,
    /// Serve it over HTTP: web/hello is the path /hello of the host's listener `web`
    #[arg(long, value_name = "LISTENER/PATH")]
    http: Option<Route>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let request = AdminRequest::Load(Load {
        path: absolute_text(&args.file)?,
        name: args.name.clone(),
        allow_unsigned: args.allow_unsigned,
        allow_downgrade: args.allow_downgrade,
        transient: args.transient,
        grants: grant_lines(&args.grants)?,
        limits: by_name(&args.limits, "--limit")?,
        links: links(&args.links)?,
        http: args.http.as_ref().map(ToString::to_string),
    });
    let reply: LoadReply = context.ask_waiting(&request, || format!("loading {}", args.file.display()))?;
    for warning in &reply.warnings {
        context.out.say(&format!("note: {warning}"));
    }
    context.out.either(&reply, || {
        let LoadReply {
            plugin,
            from_cache,
            elapsed_us,
            ..
        } = &reply;
        let cache = if *from_cache { "from the cache" } else { "compiled" };
        let took = human::span(elapsed_us / 1000);
        format!(
            "loaded {} generation {} ({}, {cache} in {took})",
            plugin.name, plugin.generation, plugin.digest
        )
    })
}

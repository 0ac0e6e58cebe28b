//! `odeon unload`: a plugin out of service.

use odeon_authority::Patience;
use odeon_protocol::{AdminRequest, PluginName, UnloadReply};

use super::Context;
use crate::{output::Done, tokens::milliseconds};

/// Flags of `unload`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plugin
    name: PluginName,
    /// Stop the calls that run instead of waiting for them
    #[arg(long)]
    now: bool,
    /// How long calls that run may go on [default: as the host is configured]
    #[arg(long, value_name = "TIME", conflicts_with = "now")]
    drain: Option<Patience>,
}

pub(crate) fn run(args: Args, context: &Context) -> Done {
    let what = format!("unloading {}", args.name);
    let request = AdminRequest::Unload {
        name: args.name,
        now: args.now,
        drain_ms: args.drain.map(|time| milliseconds(time.duration())),
    };
    let reply: UnloadReply = context.ask_waiting(&request, || what)?;
    context.out.either(&serde_json::json!({ "plugin": reply }), || {
        let stopped = match reply.interrupted {
            0 => String::new(),
            1 => ", 1 call was stopped".to_owned(),
            n => format!(", {n} calls were stopped"),
        };
        format!("unloaded {} generation {}{stopped}", reply.name, reply.generation)
    })
}

//! `odeon dump`: core dumps of the calls of a plugin that trap.

use odeon_authority::TimeSpan;
use odeon_protocol::{AdminRequest, DumpAsk, DumpReply, MAX_DUMPS, PluginName};

use super::Context;
use crate::{
    human,
    output::{Done, lines, table},
    tokens::milliseconds,
};

/// Flags of `dump`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plugin
    name: PluginName,
    /// How many of the next calls that trap leave one: 1 to 16, in the place of what was ordered before; without it, what
    /// came of that is shown
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_DUMPS)))]
    traps: Option<u32>,
    /// For how long: up to 24h
    #[arg(long = "for", value_name = "TIME", default_value = "10m", requires = "traps")]
    time: TimeSpan,
    /// No call leaves one any more
    #[arg(long, conflicts_with_all = ["traps", "time"])]
    off: bool,
}

pub(crate) fn run(args: Args, context: &Context) -> Done {
    let what = match args.traps {
        _ if args.off => DumpAsk::Off,
        None => DumpAsk::Show,
        Some(traps) => DumpAsk::Order {
            traps,
            for_ms: milliseconds(args.time.duration()),
        },
    };
    let reply: DumpReply = context.ask(&AdminRequest::Dump {
        name: args.name,
        what,
    })?;
    for warning in &reply.warnings {
        context.out.say(&format!("note: {warning}"));
    }
    context.out.either(&reply, || text(&reply))
}

fn text(reply: &DumpReply) -> String {
    let (name, generation) = (&reply.name, reply.generation);
    let mut text = match reply.armed {
        Some(left) => format!(
            "{name} generation {generation}: the next calls that trap leave a core dump, {} of them, for {}",
            left.traps,
            human::span(left.for_ms)
        ),
        None => format!("{name} generation {generation}: calls that trap leave no core dump"),
    };
    if !reply.dumps.is_empty() {
        let mut rows = table(&["time", "generation", "code", "core dump"]);
        for row in &reply.dumps {
            let left = match (&row.file, &row.left_out) {
                (Some(file), _) => file.clone(),
                (None, why) => format!("none: {}", why.as_deref().unwrap_or_default()),
            };
            let (generation, code) = (row.generation.to_string(), row.code.as_str().to_owned());
            rows.add_row([row.time.clone(), generation, code, left]);
        }
        text.push('\n');
        text.push_str(&lines(&rows));
    }
    text
}

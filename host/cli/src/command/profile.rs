//! `odeon profile`: in which functions a plugin spends its time.

use std::path::{Path, PathBuf};

use odeon_authority::{FileError, TimeSpan, replace_private};
use odeon_protocol::{AdminRequest, PluginName, ProfileEndReply, ProfileReply};

use super::Context;
use crate::{failure::Failure, output::Done, tokens::milliseconds, whereabouts::writable};

/// Flags of `profile`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plugin
    name: PluginName,
    /// How long it is looked at: up to 10m
    #[arg(long = "for", value_name = "TIME", default_value = "10s")]
    time: TimeSpan,
    /// Where the profile goes [default: a file in the folder profiles of the state directory]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// End the one that is being made: whoever asked for it gets what there is
    #[arg(long, conflicts_with_all = ["time", "output"])]
    off: bool,
}

pub(crate) fn run(args: Args, context: &Context) -> Done {
    if args.off {
        return end(args.name, context);
    }
    // Before anything is looked at: afterwards it would be for nothing.
    let to = args.output.as_deref().map(writable).transpose()?;
    let request = AdminRequest::Profile {
        name: args.name,
        for_ms: milliseconds(args.time.duration()),
    };
    let mut reply: ProfileReply = context.ask_waiting(&request, || format!("looking for {}", args.time))?;
    if let Some(to) = to {
        carry(Path::new(&reply.file), &to)?;
        reply.file = to.display().to_string();
    }
    for warning in &reply.warnings {
        context.out.say(&format!("note: {warning}"));
    }
    context.out.either(&reply, || {
        let left_out = match reply.left_out {
            0 => String::new(),
            left_out => format!(", {left_out} left out"),
        };
        format!(
            "{} generation {}: {} samples{left_out}: {}\nopen it at https://profiler.firefox.com",
            reply.name, reply.generation, reply.samples, reply.file
        )
    })
}

fn end(name: PluginName, context: &Context) -> Done {
    let reply: ProfileEndReply = context.ask(&AdminRequest::EndProfile { name })?;
    context.out.either(&reply, || {
        let what = match reply.ended {
            true => "the profile ends, and whoever asked for it gets what there is",
            false => "no profile is being made",
        };
        format!("{} generation {}: {what}", reply.name, reply.generation)
    })
}

/// Puts the host's file where it is wanted; it is there once then.
fn carry(from: &Path, to: &Path) -> Done {
    let is_there =
        |failure: Box<Failure>| failure.helped(format!("the profile is in {} on the host", from.display()));
    let bytes = std::fs::read(from).map_err(|error| is_there(Failure::unreadable(from, &error)))?;
    replace_private(to, &bytes).map_err(|error| {
        is_there(match error {
            FileError::Io { source, .. } => Failure::unwritable(to, &source),
            other => other.into(),
        })
    })?;
    // Else it is there twice, which takes room and nothing else.
    std::fs::remove_file(from).ok();
    Ok(())
}

//! `odeon stop`: ends a host.

use odeon_authority::TimeSpan;
use odeon_protocol::AdminRequest;

use super::{Context, wait};
use crate::{output::Done, tokens::milliseconds};

/// Flags of `stop`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long calls that run may go on [default: as the host is configured]
    #[arg(long, value_name = "TIME")]
    drain: Option<TimeSpan>,
    /// Stop the calls that run instead of waiting for them
    #[arg(long, conflicts_with = "drain")]
    now: bool,
}

/// Returns when the host has closed the connection, which it does last.
pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let drain_ms = match args.now {
        true => Some(0),
        false => args.drain.map(milliseconds),
    };
    let waiting = context
        .out
        .waiting(|| "waiting for the host to let go of its calls".into());
    wait(async {
        let mut client = context.connect().await?;
        let () = client.admin(&AdminRequest::Stop { drain_ms }).await?;
        client.closed().await;
        Ok(())
    })?;
    drop(waiting);
    context
        .out
        .either(&serde_json::json!({ "stopped": true }), || "stopped".to_owned())
}

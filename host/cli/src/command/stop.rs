//! `odeon stop`: ends a host.

use odeon_authority::TimeSpan;
use odeon_protocol::AdminRequest;

use super::{Context, wait};
use crate::output::Done;

/// Flags of `stop`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long calls that run may go on [default: as the host is configured]
    #[arg(long, value_name = "TIME")]
    drain: Option<TimeSpan>,
}

/// Returns when the host has closed the connection, which it does last.
pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let drain_ms = args
        .drain
        .map(|drain| u64::try_from(drain.duration().as_millis()).unwrap_or(u64::MAX));
    wait(async {
        let mut client = context.connect().await?;
        let () = client.admin(&AdminRequest::Stop { drain_ms }).await?;
        client.closed().await;
        Ok(())
    })?;
    context
        .out
        .either(&serde_json::json!({ "stopped": true }), || "stopped".to_owned())
}

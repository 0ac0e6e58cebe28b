//! `odeon stop`: ends a host.

use std::time::Duration;

use odeon_authority::Patience;
use odeon_protocol::{AdminRequest, Code};

use super::{Context, wait};
use crate::{failure::Failure, output::Done, tokens::milliseconds};

/// Flags of `stop`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long calls that run may go on [default: as the host is configured]
    #[arg(long, value_name = "TIME")]
    drain: Option<Patience>,
    /// Stop the calls that run instead of waiting for them
    #[arg(long, conflicts_with = "drain")]
    now: bool,
}

/// How much longer than its calls may go on a host may take to end.
const GRACE: Duration = Duration::from_secs(30);

fn still_there(drain: Duration) -> Box<Failure> {
    let waited = drain.saturating_add(GRACE).as_secs();
    let message = format!("the host was told to stop, and had not ended {waited} s later");
    Failure::new(Code::WaitEnded, message)
        .helped("`odeon status` shows whether it is there; its log says what it does")
}

/// Returns when the host has closed the connection, which it does last.
pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let drain_ms = match args.now {
        true => Some(0),
        false => args.drain.map(|time| milliseconds(time.duration())),
    };
    let waiting = context
        .out
        .waiting(|| "waiting for the host to let go of its calls".into());
    wait(async {
        let mut client = context.connect().await?;
        let () = client.admin(&AdminRequest::Stop { drain_ms }).await?;
        let closed = client.closed();
        match drain_ms.map(Duration::from_millis) {
            None => closed.await,
            Some(drain) => tokio::time::timeout(drain.saturating_add(GRACE), closed)
                .await
                .map_err(|_| still_there(drain))?,
        }
        Ok(())
    })?;
    drop(waiting);
    context
        .out
        .either(&serde_json::json!({ "stopped": true }), || "stopped".to_owned())
}

//! `odeon serve`: a host until it is stopped.
//!
//! Owns what surrounds it: its configuration, its log, the threads it works
//! on, and the one line that says that it accepts calls.

use std::{path::PathBuf, sync::Arc};

use odeon::{CompileChild, Compiler, Host, HostConfig, LogControl, Principal};
use odeon_protocol::{Code, Fault};

use super::{Context, run::environment};
use crate::{failure::Failure, journal::Journal, output::Done, whereabouts::absolute};

/// Flags of `serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The host's configuration
    #[arg(long, value_name = "odeon.toml")]
    config: Option<PathBuf>,
    /// What the host logs to standard error: a level, or levels by part (info,odeon=debug)
    #[arg(long, value_name = "SETTING", env = "ODEON_LOG", default_value = "info")]
    log: String,
}

pub(crate) fn run(args: &Args, context: &Context, child: CompileChild) -> Done {
    let config = match &args.config {
        Some(path) => {
            HostConfig::load(&absolute(path)?).map_err(|error| Box::<Failure>::from(Fault::from(error)))?
        }
        None => HostConfig::default(),
    };
    let state = context.whereabouts.made_state_dir()?;
    let journal = Journal::start(&args.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.workers())
        .thread_name("odeon-worker")
        .enable_all()
        .build()
        .map_err(|error| Failure::system("the host's threads cannot be started", &error))?;
    let ended = runtime.block_on(serve(config, state, &journal, context, child));
    // What a guest still holds ends with the process; nothing waits for it.
    runtime.shutdown_background();
    ended
}

async fn serve(
    config: HostConfig,
    state: PathBuf,
    journal: &Journal,
    context: &Context,
    child: CompileChild,
) -> Done {
    let me = Principal::LocalUser {
        uid: rustix::process::getuid().as_raw(),
    };
    let builder = Host::builder(Compiler::ThisProgram(child))
        .state_dir(state)
        .principal(me)
        .environment(environment());
    let host = config.apply(builder).start().map_err(Fault::from)?;
    journal.keep_in(host.logs().clone());
    let mut daemon = config.daemon();
    if let Some(socket) = &context.whereabouts.socket {
        daemon.socket = Some(absolute(socket)?);
    }
    daemon.log_level = Some(log_control(journal.clone()));
    let daemon = odeon::serve(host, daemon).await?;
    let socket = daemon.socket().to_str().ok_or_else(|| {
        Failure::new(
            Code::StateUnwritable,
            "expected a socket's path in UTF-8, found another; choose it with --socket",
        )
    })?;
    context
        .out
        .either(&serde_json::json!({ "ready": true, "socket": socket }), || {
            format!("ready {socket}")
        })?;
    Ok(daemon.stopped().await?)
}

fn log_control(journal: Journal) -> LogControl {
    Arc::new(move |directive| journal.level(directive).map_err(|fault| fault.message))
}

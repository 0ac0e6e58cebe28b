//! `odeon serve`: a host until it is stopped.
//!
//! Owns what surrounds it: its configuration, its log, the threads it works
//! on, and the one line that says that it accepts calls.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use odeon::{
    CompileChild, Compiler, Host, HostConfig, Principal,
    daemon::{DaemonConfig, LogControl},
};
use odeon_protocol::{Code, Fault};

use super::{Context, run::environment};
use crate::{
    failure::Failure,
    journal::Journal,
    output::Done,
    whereabouts::{TRUST, absolute},
};

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
    let config = args.config.as_deref().map(read).transpose()?.unwrap_or_default();
    let state = context.whereabouts.made_state_dir()?;
    let journal = Journal::start(&args.log)?;
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.workers.unwrap_or_else(cores))
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
        // The configuration's takes its place, and the state directory says so.
        .trust_policy(state.join(TRUST))
        .state_dir(state)
        .principal(me)
        .environment(environment());
    let host = config.apply(builder).start().map_err(Fault::from)?;
    journal.keep_in(host.logs().clone());
    let usual = DaemonConfig::default();
    let socket = context.whereabouts.socket.as_deref().map(absolute).transpose()?;
    let daemon = DaemonConfig {
        socket: socket.or(config.socket),
        plugins: config.plugins,
        drain: config.drain.unwrap_or(usual.drain),
        log_level: Some(log_control(journal.clone())),
        ..usual
    };
    let daemon = odeon::daemon::serve(host, daemon).await?;
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

fn read(path: &Path) -> Done<HostConfig> {
    let path = absolute(path)?;
    path.metadata()
        .map_err(|error| Failure::unreadable(&path, &error))?;
    Ok(HostConfig::load(&path)?)
}

/// Connections, sockets of guests and compile children all take descriptors,
/// and the usual soft limit of 1024 is there for programs that use `select`.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if current != maximum && setrlimit(Resource::Nofile, raised).is_err() {
        tracing::warn!(?current, ?maximum, "the limit on open files stays as it is");
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn log_control(journal: Journal) -> LogControl {
    Arc::new(move |directive| journal.level(directive).map_err(|fault| fault.message))
}

//! `odeon serve`: a host until it is stopped.
//!
//! Owns what surrounds it: its configuration, its log, the threads it works
//! on, the one line that says that it accepts calls, and what a service manager
//! is told.

mod service;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use odeon::{
    CompileChild, Compiler, Host, HostConfig, Principal,
    daemon::{DaemonConfig, LogControl, SOCKET_NAME},
};
use odeon_authority::Policy;
use odeon_protocol::{Fault, WallRow};

use super::{Context, run::environment};
use crate::{
    failure::Failure,
    journal::Journal,
    output::Done,
    stderr,
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
    let no_core = leave_no_core();
    let config = args.config.as_deref().map(read).transpose()?.unwrap_or_default();
    let state = context.whereabouts.made_state_dir()?;
    let socket = match (context.whereabouts.named_socket()?, &config.socket) {
        (Some(socket), _) => socket,
        (None, Some(socket)) => socket.clone(),
        (None, None) => state.join(SOCKET_NAME),
    };
    // Before any thread is started: one that is there stays outside.
    let walls = odeon::daemon::raise_walls(&config, &state, &socket)?;
    stderr::take_panics();
    let journal = Journal::start(&args.log)?;
    for row in walls.iter().filter(|row| row.state.starts_with("missing")) {
        tracing::warn!(wall = row.wall, around = row.process, "{}", row.state);
    }
    if let Err(error) = no_core {
        tracing::warn!(%error, "a core dump of this process would hold its keys");
    }
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.workers.unwrap_or_else(cores))
        .thread_name("odeon-worker")
        .enable_all()
        .build()
        .map_err(|error| Failure::system("the host's threads cannot be started", &error))?;
    let places = Places { state, socket, walls };
    let ended = runtime.block_on(serve(config, places, &journal, context, child));
    // What a guest still holds ends with the process; nothing waits for it.
    runtime.shutdown_background();
    ended
}

/// Where a host is, and what stands around it.
struct Places {
    state: PathBuf,
    socket: PathBuf,
    walls: Vec<WallRow>,
}

async fn serve(
    config: HostConfig,
    places: Places,
    journal: &Journal,
    context: &Context,
    child: CompileChild,
) -> Done {
    let Places { state, socket, walls } = places;
    // Before anything is started that would have to be stopped again.
    let shown = socket.to_str().map(str::to_owned).ok_or_else(|| {
        Failure::usage(format!(
            "expected a socket's path in UTF-8, found {}",
            socket.display()
        ))
        .helped("choose another with --socket PATH")
    })?;
    let me = Principal::LocalUser {
        uid: rustix::process::getuid().as_raw(),
    };
    let kept = state.clone();
    let policy = config.trust_policy.clone().unwrap_or_else(|| state.join(TRUST));
    let builder = Host::builder(Compiler::ThisProgram(child))
        // The configuration's takes its place.
        .trust_policy(state.join(TRUST))
        .state_dir(state)
        .principal(me)
        .environment(environment());
    let host = config.apply(builder).start().map_err(Fault::from)?;
    // The runtime has opened what it needs to see of its own memory.
    close_memory();
    journal.keep_in(host.logs().clone());
    let named = config.trust_policy.iter().map(|path| ("the trust policy", path));
    let secrets = config.secrets.values().map(|path| ("the file of a secret", path));
    for (what, path) in named.chain(secrets).filter(|(_, path)| !path.exists()) {
        tracing::warn!(path = %path.display(), "{what} that the configuration names is not there");
    }
    let usual = DaemonConfig::default();
    let daemon = DaemonConfig {
        socket: Some(socket),
        plugins: config.plugins,
        watch: config.watch.unwrap_or(usual.watch),
        drain: config.drain.unwrap_or(usual.drain),
        log_level: Some(log_control(journal.clone())),
        metrics: config.metrics,
        walls,
        listeners: config.listeners,
        ..usual
    };
    let daemon = odeon::daemon::serve(host, daemon).await?;
    // Now that the state directory is this host's alone.
    if let Err(error) = Policy::keep_in(&kept, &policy) {
        tracing::error!(%error, "`odeon trust` cannot be told where the trust policy is");
    }
    let ready = context
        .out
        .either(&serde_json::json!({ "ready": true, "socket": shown }), || {
            format!("ready {shown}")
        });
    if let Err(failure) = ready {
        // Nobody waits for the line; the host is there all the same.
        tracing::warn!(
            error = failure.fault.message,
            socket = shown,
            "ready, but that could not be said on standard output"
        );
    }
    service::ready(&shown);
    let stopping = daemon.stopping();
    // Where those that serve run, and for as long as this function does.
    let mut signs = tokio::task::JoinSet::new();
    signs.spawn(service::alive());
    let stopped = daemon.stopped();
    tokio::pin!(stopped);
    tokio::select! {
        biased;
        ended = &mut stopped => return Ok(ended?),
        () = stopping => service::stopping(),
    }
    Ok(stopped.await?)
}

fn read(path: &Path) -> Done<HostConfig> {
    let path = absolute(path)?;
    path.metadata()
        .map_err(|error| Failure::unreadable(&path, &error))?;
    Ok(HostConfig::load(&path)?)
}

/// Keys and secrets are in this process: it leaves no core dump.
fn leave_no_core() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    Ok(setrlimit(Resource::Core, none)?)
}

/// Nor does anybody but root look into its memory, or hand it to a program
/// that collects dumps.
fn close_memory() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "other processes of this user can look into this one");
    }
}

/// Connections, sockets of guests, compile children and plugins that were called
/// all take descriptors, and the usual soft limit of 1024 is there for programs
/// that use `select`.
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

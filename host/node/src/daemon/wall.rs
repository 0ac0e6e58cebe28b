//! The second wall around a daemon.
//!
//! Owns which files a daemon needs for itself, and in which words operators are
//! told what stands. Which calls it needs is the runtime's to know.
//!
//! System calls that no host needs are refused always. Files are closed off only
//! when the configuration names those that plugins and descriptors lie in: a
//! wall has no door, and what an operator may grant later is anything.

use std::path::{Path, PathBuf};

use odeon_protocol::{Code, Fault, WallRow};
use odeon_runtime::{Opening, Runtime, Standing, refuse_meddling, refuse_other_files};

use crate::config::HostConfig;

/// Files that a daemon may reach besides those that it needs for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WallConfig {
    /// What it may read, with everything below.
    pub read: Vec<PathBuf>,
    /// What it may read and change, with everything below.
    pub write: Vec<PathBuf>,
}

/// Where programs and what they are linked with lie, and what the system says
/// about names, time and processors. Those that are not there are left out.
const SYSTEM: &[&str] = &[
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc",
    "/proc",
    "/sys",
    "/run/systemd/resolve",
    "/nix/store",
];

/// What is opened for writing and nothing is written to.
const NULL: &str = "/dev/null";

/// Raises the walls around a daemon with this configuration. To be called before any
/// thread is started; what cannot be raised on this kernel is not there after it,
/// and the rows say so.
///
/// # Errors
///
/// `ODN-3016` when a path that the configuration names cannot be left open.
pub fn raise_walls(config: &HostConfig, state: &Path, socket: &Path) -> Result<Vec<WallRow>, Fault> {
    let invalid = |error: &dyn std::fmt::Display| Fault::new(Code::ConfigInvalid, format!("wall: {error}"));
    let files = match &config.wall {
        Some(wall) => {
            let open = needed(config, wall, state, socket);
            standing(refuse_other_files(&open).map_err(|error| invalid(&error))?)
        }
        None => "off: the configuration has no [wall]",
    };
    let calls = refuse_meddling().map_err(|error| invalid(&error))?;
    Ok(vec![
        row("host", "seccomp", standing(calls)),
        row("host", "landlock", files),
    ])
}

/// What stands around the processes that compile, as they say themselves.
pub(crate) fn around_compiles(runtime: &Runtime) -> Vec<WallRow> {
    if !runtime.has_compile_child() {
        return Vec::new();
    }
    let said = runtime.compile_child();
    let words = |said: Option<Standing>| said.map_or("not known yet: nothing was compiled here", standing);
    vec![
        row("compile child", "seccomp", words(said.map(|said| said.calls))),
        row("compile child", "landlock", words(said.map(|said| said.files))),
    ]
}

fn row(process: &str, wall: &str, state: &str) -> WallRow {
    WallRow {
        process: process.to_owned(),
        wall: wall.to_owned(),
        state: state.to_owned(),
    }
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Whole => "stands",
        Standing::Part => "stands as far as this kernel has it",
        Standing::Missing => "missing: this kernel has none, or gives it to nobody here",
    }
}

/// Everything that the host opens by itself, and what the configuration names.
fn needed(config: &HostConfig, wall: &WallConfig, state: &Path, socket: &Path) -> Vec<(PathBuf, Opening)> {
    let parent = |path: &Path| path.parent().map(Path::to_owned);
    let own = std::env::current_exe().ok();
    let system = SYSTEM.iter().map(PathBuf::from);
    let tls = config.listeners.iter().filter_map(|listener| listener.files());
    let tls = tls.flat_map(|files| [&files.cert, &files.key]);
    let tls = tls.filter_map(|path| parent(path));
    let headers = config.otlp.as_ref().and_then(|otlp| otlp.headers.as_deref());
    // Folders, since files are put in their place.
    let read = own
        .into_iter()
        .chain(system)
        .chain(config.plugins.clone())
        .chain(config.trust_policy.as_deref().and_then(parent))
        .chain(config.secrets.values().filter_map(|path| parent(path)))
        .chain(tls)
        .chain(headers.and_then(parent));
    let write = [parent(socket), config.audit_head.as_deref().and_then(parent)];
    let write = write.into_iter().flatten().chain([PathBuf::from(NULL)]);
    let opened = |paths: &mut dyn Iterator<Item = PathBuf>, opening| {
        // What the host looks for later and does not find is said then.
        let there = paths.filter(|path| path.exists());
        there.map(|path| (path, opening)).collect::<Vec<_>>()
    };
    let mut open = opened(&mut { read }, Opening::Read);
    open.extend(opened(&mut { write }, Opening::Write));
    open.push((state.to_owned(), Opening::Write));
    let named = |paths: &[PathBuf], opening| {
        let paths = paths.iter().cloned();
        paths.map(|path| (path, opening)).collect::<Vec<_>>()
    };
    open.extend(named(&wall.read, Opening::Read));
    open.extend(named(&wall.write, Opening::Write));
    open
}

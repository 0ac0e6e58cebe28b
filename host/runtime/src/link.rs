//! What components are linked against, and why one does not link.
//!
//! Owns the linkers, one per flavour, and the comparison of a component's
//! imports with what the host has. A linker never decides what a component
//! may do: everything here always links, and grants decide at the call.

mod check;
mod provided;
mod report;
mod surface;

use wasmtime::Engine;
use wasmtime::component::{HasData, HasSelf, Linker, ResourceTable};

pub use self::check::check_imports;
pub(crate) use self::check::{check_provided, explain};
pub(crate) use self::provided::{Provided, find_provided, is_same_interface};
pub use self::report::{LinkReport, Mismatch, Problem};
use crate::bindings::{odeon, wasi};
use crate::describe::{Description, Import};
use crate::interfaces::filesystem::HasFilesystem;
use crate::state::HostState;

/// Which set of host functions a component is linked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// Only functions that never wait: a call may run on the caller's own
    /// thread, without a fiber.
    Direct,
    /// Everything of WASI 0.2. One function that may wait makes every call of
    /// the component an asynchronous one.
    Waiting,
    /// WASI 0.2 and 0.3.
    Concurrent,
}

/// The interfaces of [`Flavour::Direct`], without their versions.
const DIRECT: &[&str] = &[
    "odeon:plugin/request",
    "odeon:plugin/secrets",
    "wasi:logging/logging",
    "wasi:config/store",
    "wasi:clocks/wall-clock",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:cli/environment",
    "wasi:cli/exit",
];

/// The flavour a component needs.
pub(crate) fn flavour(description: &Description) -> Flavour {
    if description.class == crate::EngineClass::Async {
        return Flavour::Concurrent;
    }
    let direct = |import: &Import| {
        let name = import.name.split('@').next().unwrap_or_default();
        // A type-only use of an interface needs no function of it.
        import.functions.is_empty() || DIRECT.contains(&name)
    };
    if description.imports.iter().all(direct) {
        Flavour::Direct
    } else {
        Flavour::Waiting
    }
}

/// Whether a component uses the file system of WASI 0.3.
pub(crate) fn uses_filesystem_0_3(description: &Description) -> bool {
    let names = description.imports.iter().map(|import| &*import.name);
    names
        .filter_map(|name| name.strip_prefix("wasi:filesystem/"))
        .any(|rest| rest.contains("@0.3"))
}

/// The host functions of one flavour on one engine: one function per group of
/// interfaces, so that each group is replaced in one place.
pub(crate) fn linker(engine: &Engine, flavour: Flavour) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    clocks(l, flavour)?;
    random(l, flavour)?;
    cli(l, flavour)?;
    if flavour != Flavour::Direct {
        io(l)?;
        filesystem(l, flavour)?;
        network(l, flavour)?;
    }
    plugin(l, flavour)?;
    Ok(linker)
}

/// The table of a store, which is all that streams and polling need.
struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

fn io(l: &mut Linker<HostState>) -> wasmtime::Result<()> {
    use wasmtime_wasi_io::bindings::wasi::io;
    io::error::add_to_linker::<_, Table>(l, |s| &mut s.table)?;
    io::poll::add_to_linker::<_, Table>(l, |s| &mut s.table)?;
    io::streams::add_to_linker::<_, Table>(l, HostState::used_table)
}

fn clocks(l: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
    use wasmtime_wasi::p2::bindings::clocks;
    clocks::wall_clock::add_to_linker::<_, WasiClocks>(l, HostState::clocks)?;
    if flavour != Flavour::Direct {
        // Its timers can be waited for.
        clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(l, HostState::clocks)?;
    }
    if flavour == Flavour::Concurrent {
        wasmtime_wasi::p3::clocks::add_to_linker(l)?;
    }
    Ok(())
}

fn random(l: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    use wasmtime_wasi::p2::bindings::random;
    use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};
    random::random::add_to_linker::<_, WasiRandom>(l, HostState::random)?;
    random::insecure::add_to_linker::<_, WasiRandom>(l, HostState::random)?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(l, HostState::random)?;
    if flavour == Flavour::Concurrent {
        wasmtime_wasi::p3::random::add_to_linker(l)?;
    }
    Ok(())
}

fn cli(l: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
    use wasmtime_wasi::p2::bindings::cli;
    crate::interfaces::environment::add_to_linker(l)?;
    cli::exit::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    if flavour == Flavour::Direct {
        return Ok(());
    }
    cli::stdin::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    if flavour == Flavour::Concurrent {
        wasmtime_wasi::p3::cli::add_to_linker(l)?;
        crate::interfaces::environment::replace_in_linker(l)?;
    }
    Ok(())
}

fn filesystem(l: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    use wasmtime_wasi::p2::bindings::filesystem;
    filesystem::preopens::add_to_linker::<_, HasFilesystem>(l, HostState::granted_filesystem)?;
    filesystem::types::add_to_linker::<_, HasFilesystem>(l, HostState::granted_filesystem)?;
    if flavour == Flavour::Concurrent {
        // Reaches no directory: see `usable`.
        wasmtime_wasi::p3::filesystem::add_to_linker(l)?;
    }
    Ok(())
}

fn network(l: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    crate::interfaces::sockets::add_to_linker(l)?;
    if flavour == Flavour::Concurrent {
        crate::interfaces::sockets::add_concurrent_to_linker(l)?;
    }
    crate::interfaces::http::add_to_linker(l, flavour)
}

fn plugin(l: &mut Linker<HostState>, flavour: Flavour) -> wasmtime::Result<()> {
    if flavour != Flavour::Direct {
        // Whoever calls another plugin waits for it.
        odeon::plugin::rmi::add_to_linker::<_, HasSelf<_>>(l, |s| s)?;
    }
    odeon::plugin::request::add_to_linker::<_, HasSelf<_>>(l, |s| s)?;
    crate::interfaces::secrets::add_to_linker(l)?;
    wasi::logging::logging::add_to_linker::<_, HasSelf<_>>(l, |s| s)?;
    wasi::config::store::add_to_linker::<_, HasSelf<_>>(l, |s| s)
}

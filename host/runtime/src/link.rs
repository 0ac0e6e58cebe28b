//! What components are linked against, and why one does not link.
//!
//! Owns the linkers, one per flavour, and the comparison of a component's
//! imports with what the host has. A linker never decides what a component
//! may do: everything here always links, and grants decide at the call.

use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker};

use crate::bindings::{odeon, wasi};
use crate::describe::{Description, Import};
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
    if description.imports.iter().all(direct) { Flavour::Direct } else { Flavour::Waiting }
}

/// The host functions of one flavour on one engine.
pub(crate) fn linker(engine: &Engine, flavour: Flavour) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    match flavour {
        Flavour::Direct => {
            use wasmtime_wasi::WasiView as _;
            use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
            use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
            use wasmtime_wasi::p2::bindings::{cli, clocks, random};
            use wasmtime_wasi::random::WasiRandom;
            clocks::wall_clock::add_to_linker::<_, WasiClocks>(l, |s: &mut HostState| s.clocks())?;
            random::random::add_to_linker::<_, WasiRandom>(l, |s: &mut HostState| s.ctx().ctx.random())?;
            random::insecure::add_to_linker::<_, WasiRandom>(l, |s: &mut HostState| s.ctx().ctx.random())?;
            random::insecure_seed::add_to_linker::<_, WasiRandom>(l, |s: &mut HostState| s.ctx().ctx.random())?;
            cli::environment::add_to_linker::<_, WasiCli>(l, |s: &mut HostState| s.cli())?;
            cli::exit::add_to_linker::<_, WasiCli>(l, &Default::default(), |s: &mut HostState| s.cli())?;
        }
        Flavour::Waiting => {
            wasmtime_wasi::p2::add_to_linker_async(l)?;
        }
        Flavour::Concurrent => {
            wasmtime_wasi::p2::add_to_linker_async(l)?;
            wasmtime_wasi::p3::add_to_linker(l)?;
        }
    }
    odeon::plugin::request::add_to_linker::<_, HasSelf<_>>(l, |s| s)?;
    odeon::plugin::secrets::add_to_linker::<_, HasSelf<_>>(l, |s| s)?;
    wasi::logging::logging::add_to_linker::<_, HasSelf<_>>(l, |s| s)?;
    wasi::config::store::add_to_linker::<_, HasSelf<_>>(l, |s| s)?;
    Ok(linker)
}

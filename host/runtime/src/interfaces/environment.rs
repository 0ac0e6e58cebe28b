//! `wasi:cli/environment`: the granted variables.
//!
//! WASI's own implementation is not used: it would hand out what was granted
//! when the instance was made.

use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::{p2, p3};

use crate::state::HostState;

/// Adds the interfaces of WASI 0.2.
pub(crate) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    p2::bindings::cli::environment::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

/// Puts the one of WASI 0.3 in the place of WASI's own.
pub(crate) fn replace_in_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    p3::bindings::cli::environment::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl HostState {
    fn granted_variables(&mut self) -> Vec<(String, String)> {
        let granted = self.present().now();
        let variables: Vec<_> = granted
            .env
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !variables.is_empty() {
            // Their values may be secrets; no record shows them either.
            self.confide();
        }
        variables
    }
}

/// The same functions in both versions of WASI.
macro_rules! environment {
    ($host:path, $cwd:ident) => {
        impl $host for HostState {
            fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
                Ok(self.granted_variables())
            }

            fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
                Ok(Vec::new())
            }

            fn $cwd(&mut self) -> wasmtime::Result<Option<String>> {
                Ok(None)
            }
        }
    };
}

environment!(p2::bindings::cli::environment::Host, initial_cwd);
environment!(p3::bindings::cli::environment::Host, get_initial_cwd);

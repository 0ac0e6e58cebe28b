//! `wasi:config/store`: what the operator configured for this plugin.

use crate::bindings::wasi::config::store::{Error, Host};
use crate::state::HostState;

impl Host for HostState {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        Ok(Ok(self.unit.spec.config.get(&key).cloned()))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, Error>> {
        let all = self
            .unit
            .spec
            .config
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()));
        Ok(Ok(all.collect()))
    }
}

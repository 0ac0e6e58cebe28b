//! `odeon:plugin/secrets`: secrets by name, in two steps.
//!
//! **Invariant:** a secret is read from its source only in `reveal`, after the
//! grant was checked and the use was written to the audit.

use wasmtime::component::Resource;

use crate::bindings::odeon::plugin::secrets::{Host, HostSecret, SecretError as Wit};
use crate::sinks::SecretError;
use crate::state::HostState;

/// The longest name of a secret, in bytes.
const NAME: usize = 256;

/// What a handle stands for: a name, not yet a secret.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Secret {
    name: String,
}

impl HostState {
    fn secret_granted(&self, name: &str) -> Result<(), Wit> {
        if name.len() > NAME {
            return Err(Wit::NotFound);
        }
        self.unit.spec.grants.secret(name).map_err(|denied| {
            self.unit.deny("secret", name, &denied.to_string());
            Wit::Denied
        })
    }
}

impl Host for HostState {
    fn get(&mut self, name: String) -> wasmtime::Result<Result<Resource<Secret>, Wit>> {
        if let Err(denied) = self.secret_granted(&name) {
            return Ok(Err(denied));
        }
        Ok(Ok(self.table.push(Secret { name })?))
    }
}

impl HostSecret for HostState {
    fn reveal(&mut self, secret: Resource<Secret>) -> wasmtime::Result<Result<Vec<u8>, Wit>> {
        let name = self.table.get(&secret)?.name.clone();
        if let Err(denied) = self.secret_granted(&name) {
            return Ok(Err(denied));
        }
        let spec = &self.unit.spec;
        if !spec.audit.revealed(&spec.name, spec.generation, &name) {
            return Ok(Err(Wit::Unavailable));
        }
        Ok(match spec.secrets.reveal(&name) {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(SecretError::NotFound) => Err(Wit::NotFound),
            Err(SecretError::Unavailable) => Err(Wit::Unavailable),
        })
    }

    fn drop(&mut self, secret: Resource<Secret>) -> wasmtime::Result<()> {
        self.table.delete(secret)?;
        Ok(())
    }
}

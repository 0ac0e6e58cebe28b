//! `odeon:plugin/secrets`: secrets by name, in two steps.
//!
//! **Invariant:** a secret is read from its source only in `reveal`, after the
//! grant was checked and the use was written to the audit.

use std::sync::Arc;

use odeon_authority::Wanted;
use wasmtime::StoreContextMut;
use wasmtime::component::{HasSelf, Linker, Resource};
use zeroize::Zeroize as _;

use crate::bindings::odeon::plugin::secrets::{self, Host, HostSecret, SecretError as Wit};
use crate::sinks::SecretError;
use crate::state::HostState;

/// The longest name of a secret, in bytes.
const NAME: usize = 256;

/// What a handle stands for: a name, not yet a secret.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Secret {
    name: String,
    /// What was revealed last. The engine copies it into the guest and lets go
    /// of its share; this one is wiped.
    revealed: Option<Wiped>,
}

/// Bytes that are overwritten before their memory is given back, unless the
/// engine still has them, which it has not once the guest runs again.
struct Wiped(Arc<[u8]>);

impl Drop for Wiped {
    fn drop(&mut self) {
        if let Some(bytes) = Arc::get_mut(&mut self.0) {
            bytes.zeroize();
        }
    }
}

/// Adds the interface.
pub(crate) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    secrets::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    // The generated function gives the bytes away for good; this one keeps a
    // share of them.
    linker.allow_shadowing(true);
    linker.instance("odeon:plugin/secrets@0.1.0")?.func_wrap(
        "[method]secret.reveal",
        |mut store: StoreContextMut<'_, HostState>,
         (secret,): (Resource<Secret>,)|
         -> wasmtime::Result<(Result<Arc<[u8]>, Wit>,)> {
            Ok((store.data_mut().reveal_secret(&secret)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

impl HostState {
    fn secret_granted(&mut self, name: &str) -> Result<(), Wit> {
        if name.len() > NAME {
            return Err(Wit::NotFound);
        }
        let present = self.present();
        present.now().set().secret(name).map_err(|denied| {
            present.deny("secret", name, &denied.to_string(), &Wanted::Secret(name));
            Wit::Denied
        })?;
        if !present.shares_secret(name) {
            let reason = "another plugin that it works for has another secret of this name";
            present.deny("secret", name, reason, &Wanted::Secret(name));
            return Err(Wit::Denied);
        }
        Ok(())
    }
}

impl Host for HostState {
    fn get(&mut self, name: String) -> wasmtime::Result<Result<Resource<Secret>, Wit>> {
        if let Err(denied) = self.secret_granted(&name) {
            return Ok(Err(denied));
        }
        Ok(Ok(self.table.push(Secret { name, revealed: None })?))
    }
}

impl HostState {
    fn reveal_secret(&mut self, secret: &Resource<Secret>) -> wasmtime::Result<Result<Arc<[u8]>, Wit>> {
        let name = self.table.get(secret)?.name.clone();
        if let Err(denied) = self.secret_granted(&name) {
            return Ok(Err(denied));
        }
        let spec = &self.unit.spec;
        if !spec.audit.revealed(&spec.name, self.unit.generation(), &name) {
            return Ok(Err(Wit::Unavailable));
        }
        let bytes: Arc<[u8]> = match spec.secrets.reveal(&name) {
            Ok(bytes) => Arc::from(bytes.as_slice()),
            Err(SecretError::NotFound) => return Ok(Err(Wit::NotFound)),
            Err(SecretError::Unavailable) => return Ok(Err(Wit::Unavailable)),
        };
        self.confide();
        self.table.get_mut(secret)?.revealed = Some(Wiped(bytes.clone()));
        Ok(Ok(bytes))
    }
}

impl HostSecret for HostState {
    fn reveal(&mut self, secret: Resource<Secret>) -> wasmtime::Result<Result<Vec<u8>, Wit>> {
        // Stands behind the function that the linker has in its place.
        let revealed = self.reveal_secret(&secret)?;
        Ok(revealed.map(|bytes| bytes.to_vec()))
    }

    fn drop(&mut self, secret: Resource<Secret>) -> wasmtime::Result<()> {
        self.table.delete(secret)?;
        Ok(())
    }
}

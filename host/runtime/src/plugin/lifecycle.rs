//! `odeon:plugin/lifecycle`: what a plugin does before and after service.

use odeon_protocol::{Fault, wire};

use super::drive::Target;
use super::{LIFECYCLE, Plugin};
use crate::control::CallContext;
use crate::state::Budget;

/// Why a plugin does not go into service.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// Its `load` returned an error; carries it as WAVE text.
    #[error("the plugin's load refused: {0}")]
    Refused(String),
    /// Its `load` was stopped or trapped.
    #[error("the plugin's load failed: {0}")]
    Failed(Fault),
}

impl Plugin {
    /// Runs the plugin's `load`, if it exports one. A resident plugin keeps the
    /// instance that ran it.
    ///
    /// # Errors
    ///
    /// When it refuses, traps, or reaches a limit.
    pub async fn load(&self) -> Result<(), LifecycleError> {
        let Some(ty) = self.lifecycle("load") else {
            return Ok(());
        };
        let budget = Budget::lifecycle(&self.spec().limits);
        let reply = self
            .drive(Target::Load, Vec::new(), CallContext::default(), budget)
            .await
            .map_err(LifecycleError::Failed)?;
        // `result<_, load-error>`: the first byte says which.
        if reply.bytes.first() == Some(&0) {
            return Ok(());
        }
        let limits = odeon_protocol::ValueLimits::default();
        let text = wire::decode_result(&ty, &reply.bytes, &limits)
            .ok()
            .flatten()
            .and_then(|value| odeon_protocol::wave::print(ty.result.as_ref()?, &value, &limits).ok());
        Err(LifecycleError::Refused(
            text.unwrap_or_else(|| "with an error that cannot be read".into()),
        ))
    }

    /// Runs the plugin's `unload`, if it exports one. To be called when it is
    /// drained.
    ///
    /// # Errors
    ///
    /// When it traps or reaches a limit, which changes nothing.
    pub async fn unload(&self) -> Result<(), Fault> {
        if self.lifecycle("unload").is_none() {
            return Ok(());
        }
        let budget = Budget::after_service(&self.spec().limits);
        self.drive(Target::Unload, Vec::new(), CallContext::default(), budget)
            .await
            .map(|_| ())
    }

    fn lifecycle(&self, function: &str) -> Option<odeon_protocol::FunctionType> {
        let exports = &self.shared.source.description.exports;
        let found = exports
            .iter()
            .find(|export| export.interface.as_deref() == Some(LIFECYCLE) && &*export.function == function)?;
        Some(found.ty.clone())
    }
}

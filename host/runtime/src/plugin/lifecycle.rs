//! `odeon:plugin/lifecycle`: what a plugin does before and after service.

use std::sync::Arc;
use std::time::Instant;

use odeon_protocol::{Case, Fault, FunctionType, Type, signature, wire};

use super::drive::Target;
use super::{LIFECYCLE, Plugin};
use crate::control::CallContext;
use crate::describe::Export;
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

/// Whether the hooks among these exports have the types that `wit/odeon-plugin`
/// gives them. They go by their names, which anybody can export.
///
/// # Errors
///
/// Says which hook is of another type, and what its type has to be.
pub(crate) fn check_hooks(exports: &[Export]) -> Result<(), String> {
    let hooks = exports
        .iter()
        .filter(|export| export.interface.as_deref() == Some(LIFECYCLE));
    for hook in hooks {
        let name = format!("{LIFECYCLE}.{}", hook.function);
        let expected = match &*hook.function {
            "load" => load_type(),
            "unload" => FunctionType {
                params: Arc::from([]),
                result: None,
                is_async: false,
            },
            _ => return Err(format!("{name} is exported, expected load and unload alone")),
        };
        if hook.ty != expected {
            return Err(format!(
                "expected {}, found {}; build against the package odeon:plugin of this host",
                signature(&name, &expected),
                signature(&name, &hook.ty)
            ));
        }
    }
    Ok(())
}

fn load_type() -> FunctionType {
    let case = |name: &str| Case {
        name: name.into(),
        ty: Some(Type::String),
    };
    let error = Type::Variant(Arc::from([case("config"), case("unavailable"), case("other")]));
    FunctionType {
        params: Arc::from([]),
        result: Some(Type::Result(None, Some(Arc::new(error)))),
        is_async: false,
    }
}

/// The most bytes of a plugin's own words that a refusal carries.
const WORDS: usize = 1024;

impl Plugin {
    /// Runs the plugin's `load`, if it exports one. A resident plugin keeps the
    /// instance that ran it.
    ///
    /// # Errors
    ///
    /// When it refuses, traps, or reaches a limit.
    pub async fn load(&self) -> Result<(), LifecycleError> {
        let Some(ty) = self.shared.hook_type("load") else {
            return Ok(());
        };
        let budget = Budget::lifecycle(&self.spec().limits);
        let reply = self
            .drive(
                Target::Load,
                Vec::new(),
                CallContext::default(),
                budget,
                None,
                Instant::now(),
            )
            .await
            .map_err(LifecycleError::Failed)?;
        // `result<_, load-error>`: the first byte says which.
        if reply.bytes.first() == Some(&0) {
            return Ok(());
        }
        let limits = odeon_protocol::ValueLimits::default();
        let text = wire::decode_result(ty, &reply.bytes, &limits)
            .ok()
            .flatten()
            .and_then(|value| odeon_protocol::wave::print(ty.result.as_ref()?, &value, &limits).ok());
        let mut text = text.unwrap_or_else(|| "with an error that cannot be read".into());
        text.truncate(text.floor_char_boundary(WORDS));
        Err(LifecycleError::Refused(text))
    }

    /// Runs the plugin's `unload`, if it exports one. To be called when it is
    /// drained.
    ///
    /// # Errors
    ///
    /// When it traps or reaches a limit, which changes nothing.
    pub async fn unload(&self) -> Result<(), Fault> {
        if self.shared.hook_type("unload").is_none() {
            return Ok(());
        }
        let budget = Budget::after_service(&self.spec().limits);
        self.drive(
            Target::Unload,
            Vec::new(),
            CallContext::default(),
            budget,
            None,
            Instant::now(),
        )
        .await
        .map(|_| ())
    }
}

//! `odeon:plugin/lifecycle`: what a plugin does before and after service.

use std::sync::Arc;
use std::time::Instant;

use odeon_protocol::{Case, Fault, FunctionType, Type, signature, wire};

use super::Plugin;
use super::drive::Target;
use super::handover::{self, STATE};
use crate::control::CallContext;
use crate::describe::Export;
use crate::state::Budget;

/// The optional export that runs before and after service.
const LIFECYCLE: &str = "odeon:plugin/lifecycle@0.1.0";

/// Whether this interface is for the host, and for no caller.
pub(crate) fn is_hook(interface: Option<&str>) -> bool {
    matches!(interface, Some(LIFECYCLE | STATE))
}

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
    for hook in exports {
        let (interface, expected, all) = match hook.interface.as_deref() {
            Some(LIFECYCLE) => (LIFECYCLE, hook_type(&hook.function), "load and unload"),
            Some(STATE) => (STATE, handover::hook_type(&hook.function), "save and restore"),
            _ => continue,
        };
        let name = format!("{interface}.{}", hook.function);
        let expected = expected.ok_or_else(|| format!("{name} is exported, expected {all} alone"))?;
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

fn hook_type(function: &str) -> Option<FunctionType> {
    let result = match function {
        "load" => Some(load_result()),
        "unload" => None,
        _ => return None,
    };
    Some(FunctionType {
        params: Arc::from([]),
        result,
        is_async: false,
    })
}

fn load_result() -> Type {
    let case = |name: &str| Case {
        name: name.into(),
        ty: Some(Type::String),
    };
    let error = Type::Variant(Arc::from([case("config"), case("unavailable"), case("other")]));
    Type::Result(None, Some(Arc::new(error)))
}

/// The most bytes of a plugin's own words that a refusal carries.
const WORDS: usize = 1024;

impl Plugin {
    /// Whether code of it may run before it serves: its `load`, or a `restore`.
    pub fn runs_before_service(&self) -> bool {
        self.shared.hook(LIFECYCLE, "load").is_some() || self.hands_over()
    }

    /// Runs the plugin's `load`, if it exports one. A resident plugin keeps the
    /// instance that ran it.
    ///
    /// # Errors
    ///
    /// When it refuses, traps, or reaches a limit.
    pub async fn load(&self) -> Result<(), LifecycleError> {
        let Some((method, ty)) = self.shared.hook(LIFECYCLE, "load") else {
            return Ok(());
        };
        let budget = Budget::lifecycle(&self.spec().limits);
        let reply = self
            .drive(
                Target::Hook(method),
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
        Err(LifecycleError::Refused(words(ty, &reply.bytes)))
    }

    /// Runs the plugin's `unload`, if it exports one. To be called when it is
    /// drained.
    ///
    /// # Errors
    ///
    /// When it traps or reaches a limit, which changes nothing.
    pub async fn unload(&self) -> Result<(), Fault> {
        let Some((method, _)) = self.shared.hook(LIFECYCLE, "unload") else {
            return Ok(());
        };
        let budget = Budget::after_service(&self.spec().limits);
        self.drive(
            Target::Hook(method),
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

/// What a hook returned that is an error, as WAVE text.
pub(super) fn words(ty: &FunctionType, returned: &[u8]) -> String {
    let limits = odeon_protocol::ValueLimits::default();
    let text = wire::decode_result(ty, returned, &limits)
        .ok()
        .flatten()
        .and_then(|value| odeon_protocol::wave::print(ty.result.as_ref()?, &value, &limits).ok());
    let mut text = text.unwrap_or_else(|| "with an error that cannot be read".into());
    text.truncate(text.floor_char_boundary(WORDS));
    text
}

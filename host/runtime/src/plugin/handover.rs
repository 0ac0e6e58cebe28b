//! `odeon:plugin/state`: what one generation hands to the next.
//!
//! Owns the two hooks and the bytes between them, which are those of the
//! `snapshot` that `save` returns: the host carries them and never looks inside.
//! Must not decide when that happens; whoever replaces does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use odeon_protocol::{Case, Fault, Field, FunctionType, Type};

use super::Plugin;
use super::drive::Target;
use super::lifecycle::words;
use crate::control::CallContext;
use crate::state::Budget;
use crate::unit::InstanceModel;

/// The optional export that saves and restores.
pub(crate) const STATE: &str = "odeon:plugin/state@0.1.0";

/// What a generation gave for its successor, in the wire form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    bytes: Vec<u8>,
    /// Whether there may be a secret in it.
    secret: bool,
}

/// Why a state was not handed over.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// `save` or `restore` returned an error; carries it as WAVE text.
    #[error("the plugin's {hook} refused: {error}")]
    Refused {
        /// Which of the two.
        hook: &'static str,
        /// In the plugin's own words.
        error: String,
    },
    /// It was stopped or trapped.
    #[error("the plugin's {hook} failed: {fault}")]
    Failed {
        /// Which of the two.
        hook: &'static str,
        /// What ended it.
        fault: Fault,
    },
    /// The successor takes no message as long as the snapshot is.
    #[error(
        "the snapshot has {found} bytes, and the new generation takes messages of at most {most}; raise limits.message"
    )]
    TooLarge {
        /// What was saved.
        found: usize,
        /// `limits.message` of the successor.
        most: usize,
    },
}

/// The type that the hook of this name has to have; none if there is no such
/// hook.
pub(super) fn hook_type(function: &str) -> Option<FunctionType> {
    let snapshot = Type::Record(Arc::from([
        field("format", Type::String),
        field("body", Type::List(Arc::new(Type::U8))),
    ]));
    let result = |ok: Option<Type>, error: Type| Type::Result(ok.map(Arc::new), Some(Arc::new(error)));
    match function {
        "save" => Some(FunctionType {
            params: Arc::from([]),
            result: Some(result(Some(snapshot), Type::String)),
            is_async: false,
        }),
        "restore" => {
            let case = |name: &str| Case {
                name: name.into(),
                ty: Some(Type::String),
            };
            let error = Type::Variant(Arc::from([
                case("unknown-format"),
                case("corrupt"),
                case("other"),
            ]));
            Some(FunctionType {
                params: Arc::from([field("saved", snapshot)]),
                result: Some(result(None, error)),
                is_async: false,
            })
        }
        _ => None,
    }
}

fn field(name: &str, ty: Type) -> Field {
    Field {
        name: name.into(),
        ty,
    }
}

impl Plugin {
    /// Whether it has a state that can be handed over: it exports the hooks, and
    /// all of its calls are answered by one instance.
    pub fn hands_over(&self) -> bool {
        let one = matches!(self.spec().instances, InstanceModel::Resident { workers: 1 });
        one && self.shared.hook(STATE, "save").is_some() && self.shared.hook(STATE, "restore").is_some()
    }

    /// Runs its `save`. To be called when no call runs, so that nothing is done
    /// to the state afterwards.
    ///
    /// # Errors
    ///
    /// When it refuses, and its state is what it was; or when it traps or reaches
    /// a limit, and the instance is gone with its state.
    pub async fn save(&self) -> Result<Snapshot, HandoverError> {
        let mut bytes = self.hand("save", Vec::new()).await?;
        // Behind the byte that says that it is one.
        bytes.drain(..1.min(bytes.len()));
        let secret = self.shared.knows_secret();
        Ok(Snapshot { bytes, secret })
    }

    /// Runs its `restore`, before its first call. It keeps the instance that ran
    /// it.
    ///
    /// # Errors
    ///
    /// When it refuses, traps, or reaches a limit.
    pub async fn restore(&self, saved: Snapshot) -> Result<(), HandoverError> {
        let most = self.shared.message;
        let Snapshot { bytes, secret } = saved;
        if bytes.len() > most {
            return Err(HandoverError::TooLarge {
                found: bytes.len(),
                most,
            });
        }
        if secret {
            self.shared.unit.inherits_secret.store(true, Ordering::Release);
        }
        self.hand("restore", bytes).await.map(|_| ())
    }

    /// Runs a hook that returns a `result`.
    async fn hand(&self, hook: &'static str, args: Vec<u8>) -> Result<Vec<u8>, HandoverError> {
        let Some((method, ty)) = self.shared.hook(STATE, hook) else {
            return Ok(Vec::new());
        };
        let budget = Budget::lifecycle(&self.spec().limits);
        let reply = self
            .drive(
                Target::Hook(method),
                args,
                CallContext::default(),
                budget,
                None,
                Instant::now(),
            )
            .await
            .map_err(|fault| HandoverError::Failed { hook, fault })?;
        match reply.bytes.first() {
            Some(0) => Ok(reply.bytes),
            _ => Err(HandoverError::Refused {
                hook,
                error: words(ty, &reply.bytes),
            }),
        }
    }
}

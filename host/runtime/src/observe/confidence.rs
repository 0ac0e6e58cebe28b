//! Whether there is a secret in a guest's memory.
//!
//! Owns the one thing that is known of it: that it was shown one, or has called,
//! or was called by, a plugin that was. Where a guest keeps it nobody knows, so
//! that a guest which has had one has it until its store is gone.
//!
//! **Invariant:** what is known is never forgotten while the store lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::control::CallContext;

/// Whether anybody in a chain of calls has seen a secret. Made by the first
/// plugin that calls another.
#[derive(Clone, Debug, Default)]
pub struct Confided(Option<Arc<AtomicBool>>);

impl Confided {
    fn is_so(&self) -> bool {
        self.0.as_ref().is_some_and(|chain| chain.load(Ordering::Acquire))
    }
}

/// The same of one store.
#[derive(Default)]
pub(crate) struct Confidence {
    own: bool,
    chain: Confided,
}

impl Confidence {
    /// A call begins. What its callers know may be in the arguments, and what is
    /// known here in the result.
    #[inline]
    pub(crate) fn enter(&mut self, context: Option<&CallContext>) {
        self.chain = context
            .map(|context| context.confided.clone())
            .unwrap_or_default();
        self.learn();
        if self.own {
            self.confide();
        }
    }

    /// The guest is shown a secret.
    pub(crate) fn confide(&mut self) {
        self.own = true;
        if let Confided(Some(chain)) = &self.chain {
            chain.store(true, Ordering::Release);
        }
    }

    /// Another plugin was called, and has answered.
    pub(crate) fn learn(&mut self) {
        self.own |= self.chain.is_so();
    }

    /// Another plugin is about to be called.
    pub(crate) fn share(&mut self) -> Confided {
        let own = self.own;
        let chain = self.chain.0.get_or_insert_with(|| Arc::new(AtomicBool::new(own)));
        Confided(Some(chain.clone()))
    }

    /// Whether a secret may be in the guest's memory.
    pub(crate) fn knows_secret(&self) -> bool {
        self.own || self.chain.is_so()
    }
}

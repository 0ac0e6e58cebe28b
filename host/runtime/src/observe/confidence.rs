//! Whether there is a secret in a guest's memory.
//!
//! Owns the one thing that is known of it: that it was shown one, or has called,
//! or was called by, a plugin that was. Where a guest keeps it nobody knows, so
//! that a guest which has had one has it until its store is gone.
//!
//! **Invariant:** what is known is never forgotten while the store lives.

use crate::links::Hop;

/// What is known of one store. The chain of calls that it stands in, if it is in
/// one, knows the same of all its plugins.
pub(crate) struct Confidence {
    own: bool,
}

impl Confidence {
    /// Of a store whose plugin has a secret in the state that it took over, or has
    /// none.
    pub(crate) fn of(own: bool) -> Self {
        Confidence { own }
    }

    /// A call begins. What its callers know may be in the arguments, and what is
    /// known here in the result.
    #[inline]
    pub(crate) fn enter(&mut self, chain: Option<&Hop>) {
        let Some(chain) = chain else { return };
        self.learn(chain);
        self.share(chain);
    }

    /// The guest is shown a secret.
    pub(crate) fn confide(&mut self, chain: Option<&Hop>) {
        self.own = true;
        if let Some(chain) = chain {
            self.share(chain);
        }
    }

    /// Another plugin was called, and has answered.
    pub(crate) fn learn(&mut self, chain: &Hop) {
        self.own |= chain.has_secret();
    }

    /// Another plugin is about to be called.
    pub(crate) fn share(&self, chain: &Hop) {
        if self.own {
            chain.confide();
        }
    }

    /// Whether a secret may be in the guest's memory.
    pub(crate) fn knows_secret(&self, chain: Option<&Hop>) -> bool {
        self.own || chain.is_some_and(Hop::has_secret)
    }
}

//! From a method that was found to a place in the generation that serves it.
//!
//! Owns the way from one generation to the next: a caller who comes, or waits,
//! while a plugin is being replaced goes on to the new generation, if the
//! method is still of the type that the arguments were made for.
//!
//! **Invariant:** every way to call goes through here or through the loops of
//! `call`, so that a replace loses no call.

use std::sync::Arc;

use odeon_protocol::{Code, Fault, signature};
use odeon_runtime::{Attempt, CallContext, Entered, NotEntered};

use crate::call::fits_user_data;
use crate::host::Inner;
use crate::registry::{Loaded, MethodEntry};

/// A method of one generation.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) loaded: Arc<Loaded>,
    index: usize,
}

impl Found {
    pub(crate) fn new(loaded: Arc<Loaded>, index: usize) -> Self {
        Found { loaded, index }
    }

    pub(crate) fn method(&self) -> Result<&MethodEntry, Fault> {
        self.loaded.method(self.index)
    }
}

impl Inner {
    /// Comes in at the generation that serves when there is room, which may be
    /// a later one than was found: `found` says which. Cancellation safe.
    pub(crate) async fn enter(
        &self,
        found: &mut Found,
        args: &[u8],
        context: &CallContext,
    ) -> Result<Entered, Fault> {
        self.enter_where(found, context, |found| self.follow(found, args, context))
            .await
    }

    /// The same for what answers HTTP requests, which `handler` finds in a
    /// generation.
    pub(crate) async fn enter_web(
        &self,
        found: &mut Found,
        context: &CallContext,
        handler: fn(&Arc<Loaded>) -> Result<Found, Fault>,
    ) -> Result<Entered, Fault> {
        self.enter_where(found, context, |found| {
            *found = handler(&self.registry.get(&found.loaded.name)?)?;
            Ok(())
        })
        .await
    }

    async fn enter_where(
        &self,
        found: &mut Found,
        context: &CallContext,
        follow: impl Fn(&mut Found) -> Result<(), Fault>,
    ) -> Result<Entered, Fault> {
        let mut attempt = Attempt::first();
        loop {
            match found.loaded.plugin.enter(context, attempt).await {
                Ok(entered) => return Ok(entered),
                Err(NotEntered::Fault(fault)) => return Err(fault),
                Err(NotEntered::Moved(next)) => {
                    follow(found)?;
                    attempt = next;
                }
            }
        }
    }

    /// Finds the same method in the generation that serves now.
    #[cold]
    fn follow(&self, found: &mut Found, args: &[u8], context: &CallContext) -> Result<(), Fault> {
        let loaded = self.registry.get(&found.loaded.name)?;
        let before = found.method()?;
        let index = loaded.find_same(before)?;
        let now = loaded.method(index)?;
        if now.fingerprint != before.fingerprint {
            return Err(Fault::new(
                Code::VersionMismatch,
                format!(
                    "the plugin was replaced while the call waited: the method was {} and is {} now; nothing was \
                     executed, encode the arguments again",
                    signature(&before.path, &before.ty),
                    signature(&now.path, &now.ty)
                ),
            )
            .with_details(serde_json::json!({ "fingerprint": now.fingerprint, "executed": false })));
        }
        let fits = now.check(args, &loaded.limits);
        fits.and_then(|()| fits_user_data(&loaded, context.user_data.as_deref()))
            .inspect_err(|fault| loaded.plugin.refused(fault))?;
        *found = Found { loaded, index };
        Ok(())
    }
}

//! Deciding again about what was let in and is not in service yet.
//!
//! Owns the look at the policy of that moment: making ready takes long, and runs
//! the plugin's own code. What has come to be denied goes no further, and what is
//! allowed less has less from here on.

use std::sync::Arc;

use odeon_authority::{LoadStep, Principal, Verdict, decide};
use odeon_protocol::{Code, Fault, PluginName};

use super::{About, Failed, Ready, blocking};
use crate::grants::BY_POLICY;
use crate::host::Host;
use crate::registry::Loaded;

impl Host {
    /// Refuses what a review has denied, or would by now. Awaits the disk.
    pub(super) async fn let_in_still(&self, loaded: &Arc<Loaded>) -> Result<(), Failed> {
        let (host, loaded) = (self.clone(), loaded.clone());
        let decided = blocking(move || {
            let _turn = host.inner.gatekeeper.turn();
            host.refuse_denied(&loaded)
        });
        decided.await.map_err(Failed::at(LoadStep::Settle))?
    }

    /// The same, in the turn of whoever asks. Blocks on the disk. What was denied
    /// takes no calls any more, so that it is refused also where it would be let
    /// in again.
    pub(super) fn refuse_denied(&self, loaded: &Loaded) -> Result<(), Failed> {
        self.decide_again(loaded).map_err(Failed::on_record)?;
        if loaded.is_condemned() {
            return Err(Failed::at(LoadStep::Publish)(denied_meanwhile(&loaded.name)));
        }
        Ok(())
    }

    /// Writes down why something that was denied while it was made ready does not
    /// go into service, and gives the fault to answer with.
    pub(crate) async fn note_denied(&self, ready: &Ready) -> Fault {
        match self.let_in_still(&ready.loaded).await {
            Err(failed) => self.note_failed(About::of(ready), failed).await,
            Ok(()) => denied_meanwhile(&ready.loaded.name),
        }
    }

    /// Refuses what the trust policy has come to deny since it was let in, and
    /// takes or gives what it has come to allow less or more of.
    pub(crate) fn decide_again(&self, loaded: &Loaded) -> Result<(), Fault> {
        let Some((offer, terms)) = loaded.offered() else {
            return Ok(());
        };
        let policy = self.inner.gatekeeper.policy();
        let decision = decide(policy.as_ref(), offer, &terms);
        match &decision.verdict {
            Verdict::Allow { grants, .. } => {
                let policy = policy.map_err(|error| Fault::new(error.code(), error.to_string()))?;
                let grants = self.grants_of(&policy, &loaded.name, (offer, &terms), grants);
                match self.begin_change(loaded, grants, BY_POLICY) {
                    Some(change) => self.finish_change(change, &Principal::Host),
                    None => Ok(()),
                }
            }
            Verdict::Deny { .. } => Err(match decision.record(self.inner.recorder.audit()) {
                Err(refused) => refused.into(),
                Ok(_) => Fault::new(Code::Internal, "a decision changed while it was taken"),
            }),
        }
    }
}

#[cold]
fn denied_meanwhile(name: &PluginName) -> Fault {
    Fault::new(
        Code::PolicyDenied,
        format!("{name} was denied by the trust policy while it was being made ready; load it again"),
    )
}

//! One call in its instance, and what becomes of both.
//!
//! Owns the settling of a call: its result or the fault that says why there is
//! none, and whether the instance is kept. A panic of the host's own code ends
//! the call it is in.

use std::panic::{AssertUnwindSafe, catch_unwind};

use odeon_protocol::{Code, Fault, ValueLimits, wire};
use wasmtime::Store;

use super::{MethodId, Reply, Shared, running};
use crate::codec::BadValue;
use crate::control::CallContext;
use crate::frames::backtrace;
use crate::gate::Pass;
use crate::instance::Instance;
use crate::meter::{Meter, Refused};
use crate::state::HostState;
use crate::stop::explain;

impl Shared {
    /// A call on this thread, from admission to result.
    #[inline]
    pub(super) fn call_here(
        &self,
        method: MethodId,
        args: &[u8],
        context: Option<Box<CallContext>>,
        pass: Pass<'_>,
    ) -> Result<Reply, Fault> {
        let mut place = None;
        let called = self.guarded(|| {
            let (instance, template) = self.instance_here(context)?;
            let instance = place.insert(instance);
            let index = template.methods.get(method.0).ok_or_else(no_such_method)?;
            Ok(instance.call(method, index, args))
        });
        let reply = match (called, place) {
            (Ok(called), Some(instance)) => self.settle(instance, self.within_depth(method, called)),
            (Ok(_), None) => Err(self.broke_off()),
            (Err(fault), _) => Err(fault),
        };
        drop(pass);
        reply
    }

    /// The same, or the fault that says that the host's own code panicked. What
    /// it was used on is not used again.
    #[inline]
    pub(super) fn guarded<T>(&self, work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(done) => done,
            Err(_) => Err(self.broke_off()),
        }
    }

    #[cold]
    pub(super) fn broke_off(&self) -> Fault {
        let fault = running::broke_off();
        self.count_fault(&fault);
        fault
    }

    /// A result that is nested no deeper than values may be. Most types are
    /// not that deep, so that nothing has to be looked at.
    #[inline]
    pub(super) fn within_depth(
        &self,
        method: MethodId,
        called: wasmtime::Result<Vec<u8>>,
    ) -> wasmtime::Result<Vec<u8>> {
        match self.deep.get(method.0) {
            Some(true) => called.and_then(|bytes| self.look_into(method, bytes)),
            _ => called,
        }
    }

    #[cold]
    fn look_into(&self, method: MethodId, bytes: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        let Some(ty) = self.method_type(method) else {
            return Ok(bytes);
        };
        // All else was checked when it was taken from the guest.
        let limits = ValueLimits {
            max_bytes: usize::MAX,
            max_nodes: usize::MAX,
            ..self.values
        };
        match wire::validate_result(ty, &bytes, &limits) {
            Ok(()) => Ok(bytes),
            Err(_) => Err(BadValue::TooDeep.into()),
        }
    }

    /// Turns what the instance gave into what the caller gets. The instance is
    /// kept only if it is resident and nothing went wrong.
    #[inline]
    pub(super) fn settle(
        &self,
        mut instance: Box<Instance>,
        called: wasmtime::Result<Vec<u8>>,
    ) -> Result<Reply, Fault> {
        let called = match called {
            Ok(bytes) if bytes.len() > self.message => Err(BadValue::TooLarge.into()),
            other => other,
        };
        match called {
            Ok(bytes) => {
                instance.store.data_mut().end();
                self.keep(instance);
                Ok(Reply {
                    bytes,
                    generation: self.unit.generation(),
                })
            }
            Err(error) => Err(self.stopped(instance.store, error)),
        }
    }

    /// Ends a call that has no result. Its instance is not used again.
    #[cold]
    pub(super) fn stopped(&self, mut store: Store<HostState>, error: wasmtime::Error) -> Fault {
        let state = store.data_mut();
        let serial = state.call.during().serial;
        state.end();
        let fault = self.explained(&error, &state.meter);
        if state.is_observed() {
            self.leave_dump(store, error, serial, &fault);
        }
        fault
    }

    /// Counts a call that ended with this fault, and the limit that ended it.
    /// The gate counts all calls.
    #[cold]
    pub(super) fn count_fault(&self, fault: &Fault) {
        self.unit.counters.fault(fault);
        self.count_limit(fault);
    }

    /// Counts the limit that made this fault, if one did.
    #[cold]
    pub(super) fn count_limit(&self, fault: &Fault) {
        if let Some(limit) = limit_of(fault) {
            self.unit.counters.hit(limit);
        }
    }

    /// Says why a call ended with this error, and counts it.
    #[cold]
    fn explained(&self, error: &wasmtime::Error, meter: &Meter) -> Fault {
        let frames = || backtrace(error, &self.source.lines);
        let fault = explain(error, frames, meter, &self.unit.spec.limits);
        if fault.is_passed_on() {
            // The limit that it names, if any, is another plugin's.
            self.unit.counters.fault(&fault);
            return fault;
        }
        let counted = meter.refused().map(Refused::limit);
        match limit_of(&fault) {
            // Growth was counted when it was refused: the guest may go on.
            limit if limit.is_some() && limit == counted => self.unit.counters.fault(&fault),
            _ => self.count_fault(&fault),
        }
        fault
    }
}

#[cold]
pub(super) fn no_such_method() -> Fault {
    Fault::new(Code::MethodNotFound, "the plugin has no method of this number")
}

/// The limit that made this fault, by its name in a descriptor, if one did.
fn limit_of(fault: &Fault) -> Option<&str> {
    fault.details.as_ref()?.get("limit")?.as_str()
}

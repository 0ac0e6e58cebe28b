//! A generation that is observed.
//!
//! Owns when that begins, and which of its calls leave a core dump.

use odeon_protocol::{Code, Fault, Kind, Serial};
use wasmtime::{Store, WasmCoreDump};

use super::{Plugin, Shared};
use crate::instance::Template;
use crate::observe::{
    DumpOrder, DumpPlace, DumpsLeft, GuestProfile, Job, LeftOut, ObserveError, ProfileOrder, ProfilePlace,
    StoppedCall,
};
use crate::state::HostState;

impl Plugin {
    /// From now on, until its time or number is over, calls that trap leave a
    /// core dump; in the place of what was ordered before. Those that run now are
    /// not observed, nor are the instances that a resident plugin has by now.
    ///
    /// May take as long as linking does.
    ///
    /// # Errors
    ///
    /// When it cannot be observed.
    pub fn arm_dumps(&self, order: DumpOrder) -> Result<(), ObserveError> {
        self.admit_dumps()?.arm(order);
        Ok(())
    }

    /// The same up to where it begins: for whoever has to say so before that.
    ///
    /// # Errors
    ///
    /// As for [`Plugin::arm_dumps`].
    pub fn admit_dumps(&self) -> Result<DumpPlace, ObserveError> {
        self.shared.observed_template()?;
        self.shared.runtime.observatory.admit_dumps(&self.shared.unit)
    }

    /// Ends that. Says what was left of it, if it had not ended by itself.
    pub fn disarm_dumps(&self) -> Option<DumpsLeft> {
        self.shared.unit.observer.disarm()
    }

    /// What is left of it.
    pub fn dumps_armed(&self) -> Option<DumpsLeft> {
        self.shared.unit.observer.armed()
    }

    /// Begins a profile of the calls that begin from now on, for so long. Of a
    /// resident plugin, as for [`Plugin::arm_dumps`].
    ///
    /// # Errors
    ///
    /// When it cannot be observed, or is being profiled.
    pub fn begin_profile(&self, order: ProfileOrder) -> Result<(), ObserveError> {
        self.admit_profile(order.samples)?.begin(order.time);
        Ok(())
    }

    /// The same up to where it begins, for so many samples.
    ///
    /// # Errors
    ///
    /// As for [`Plugin::begin_profile`].
    pub fn admit_profile(&self, samples: u32) -> Result<ProfilePlace, ObserveError> {
        let component = self.shared.observed_template()?.pre.component();
        let observatory = &self.shared.runtime.observatory;
        observatory.admit_profile(&self.shared.unit, component, samples)
    }

    /// Ends it, and gives what there is.
    pub fn end_profile(&self) -> Option<GuestProfile> {
        self.shared.unit.observer.end_profile()
    }
}

impl Shared {
    /// The number of the shard where it is observed.
    pub(super) fn observed_shard(&self) -> usize {
        self.runtime.shards.len()
    }

    /// The code there, which is kept from then on.
    fn observed_template(&self) -> Result<&Template, ObserveError> {
        let shard = self.observed_shard();
        match self.template(shard) {
            Some((found, template)) if found == shard => Ok(template),
            _ => Err(ObserveError::Engine(
                "its code cannot be made ready where plugins are observed; see the log".into(),
            )),
        }
    }

    /// Has a core dump written of a call that ended with this fault, if one is
    /// wanted and may be made.
    #[cold]
    pub(super) fn leave_dump(
        &self,
        store: Store<HostState>,
        error: wasmtime::Error,
        serial: Option<Serial>,
        fault: &Fault,
    ) {
        // What another plugin did is seen there; whoever calls `exit` means it.
        let is_trap = fault.kind() == Kind::Trapped && !fault.is_passed_on() && fault.code != Code::GuestExit;
        if !is_trap || !error.is::<WasmCoreDump>() {
            return;
        }
        let Some(ticket) = self.unit.observer.ticket() else {
            return;
        };
        let call = StoppedCall {
            plugin: self.unit.spec.name.clone(),
            generation: self.unit.generation(),
            serial,
            code: fault.code,
        };
        if store.data().knows_secret() {
            return ticket.sink.left_out(&call, LeftOut::Secret);
        }
        let memory = store.data().meter.memory();
        if memory > ticket.largest {
            let most = ticket.largest;
            return ticket.sink.left_out(&call, LeftOut::TooLarge { memory, most });
        }
        self.runtime.observatory.write(Job {
            call,
            store,
            error,
            sink: ticket.sink,
        });
    }
}

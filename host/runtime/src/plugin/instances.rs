//! The instance that a call runs in.
//!
//! Owns where it comes from: kept, or made from the template of the caller's
//! own shard, which is made when a call first comes to it.

use std::sync::Arc;

use odeon_protocol::{Code, Fault, FunctionType};
use wasmtime::Engine;

use super::{MethodId, Shared};
use crate::control::CallContext;
use crate::instance::{Instance, NotMade, Template};
use crate::links::Hop;
use crate::native::Native;
use crate::shard::here;
use crate::stop::is_out_of_room;
use crate::unit::InstanceModel;

impl Shared {
    /// The template of this shard, or of the first if this one has none and
    /// cannot make it.
    pub(super) fn template(&self, shard: usize) -> Option<(usize, &Template)> {
        let slot = self.templates.get(shard)?;
        if let Some(Some(template)) = slot.get() {
            return Some((shard, template));
        }
        let first = self.templates.first()?.get()?.as_ref()?;
        // Whoever comes meanwhile waits, instead of making it too.
        match slot.get_or_init(|| self.make_template(shard, first)) {
            Some(template) => Some((shard, template)),
            None => Some((0, first)),
        }
    }

    /// Where the native code is in no file in memory, it is taken from the first
    /// one, which has it in any case: kept beside that, every plugin would be in
    /// memory twice.
    #[cold]
    fn make_template(&self, number: usize, first: &Template) -> Option<Template> {
        let shard = self.runtime.shard(number)?;
        let (source, spec) = (&self.source, &self.unit.spec);
        let component = |engine: &Engine| match &self.native {
            Some(sealed) => sealed.component(engine),
            None => Native::behind(first.pre.component().serialize()?, 0).component(engine),
        };
        let made = self.runtime.template(shard, component, source, spec);
        made.inspect_err(|error| {
            tracing::warn!(
                plugin = spec.name.as_str(), worker = number, %error,
                "a worker has no code of a plugin; its calls go to another one's"
            );
        })
        .ok()
    }

    pub(super) fn here(&self) -> Result<(usize, &Template), Fault> {
        let shard = match self.unit.observer.is_on() {
            true => self.observed_shard(),
            false => here(self.runtime.shards.len()),
        };
        self.template(shard)
            .ok_or_else(|| Fault::new(Code::Internal, "the plugin has no code for this worker"))
    }

    /// An instance that has begun a call: a kept one, or a new one of this
    /// thread's shard. For calls that have passed the gate.
    #[inline]
    pub(super) fn instance_here(
        &self,
        context: Option<Box<CallContext>>,
    ) -> Result<(Box<Instance>, &Template), Fault> {
        self.unit.ticker.awake();
        let Some(mut instance) = self.take_idle() else {
            return self.make_here(context);
        };
        instance.store.data_mut().begin(context, self.budget, false);
        match self.template(instance.shard) {
            Some((_, template)) => Ok((instance, template)),
            None => Err(Fault::new(
                Code::Internal,
                "the plugin has no code for this worker",
            )),
        }
    }

    fn make_here(&self, context: Option<Box<CallContext>>) -> Result<(Box<Instance>, &Template), Fault> {
        let (shard, template) = self.here()?;
        let begin = |state: &mut crate::state::HostState| state.begin(context, self.budget, false);
        match Instance::make(template, &self.unit, shard, begin) {
            Ok(instance) => Ok((Box::new(instance), template)),
            Err(not_made) => Err(self.not_made(*not_made)),
        }
    }

    pub(super) fn not_made(&self, not_made: NotMade) -> Fault {
        if is_out_of_room(&not_made.error) {
            let fault = Fault::new(
                Code::Overloaded,
                "no memory slot is free for another instance on this worker; try again later",
            );
            self.count_fault(&fault);
            return fault;
        }
        self.stopped(not_made.state, not_made.error)
    }

    pub(super) fn method_type(&self, method: MethodId) -> Option<&FunctionType> {
        let export = self.source.description.exports.get(method.0)?;
        Some(&export.ty)
    }

    /// Where a call of this method stands in a chain of plugins, if it can go on
    /// from here. `before` is where the instance stood in its last call, if that
    /// was the first in its chain.
    pub(super) fn hop(
        &self,
        method: MethodId,
        via: Option<Arc<Hop>>,
        before: Option<Arc<Hop>>,
    ) -> Option<Arc<Hop>> {
        if !self.source.links.lead_on() {
            return None;
        }
        let before = before.filter(|_| via.is_none());
        if let Some(again) = before.and_then(|before| Hop::again(before, method)) {
            return Some(again);
        }
        let export = self.source.description.exports.get(method.0)?;
        let (interface, function) = (export.interface.clone(), export.function.clone());
        let hop = Hop::new(self.unit.clone(), interface, function, method, via);
        Some(Arc::new(hop))
    }

    /// The number and the type of a hook, if it is exported.
    pub(super) fn hook(&self, interface: &str, function: &str) -> Option<(MethodId, &FunctionType)> {
        let mut exports = self.source.description.exports.iter().enumerate();
        exports
            .find(|(_, export)| {
                export.interface.as_deref() == Some(interface) && &*export.function == function
            })
            .map(|(number, export)| (MethodId(number), &export.ty))
    }

    /// A kept instance that is free. A fresh one is never kept.
    #[inline]
    pub(super) fn take_idle(&self) -> Option<Box<Instance>> {
        match self.unit.spec.instances {
            InstanceModel::Resident { workers } => self.idle.take(workers),
            InstanceModel::Fresh => None,
        }
    }

    /// Whether there may be a secret in the instance that is kept. While no call
    /// runs.
    pub(super) fn knows_secret(&self) -> bool {
        let Some(instance) = self.take_idle() else {
            return false;
        };
        let knows = instance.store.data().knows_secret();
        self.idle.put(instance);
        knows
    }

    /// Keeps the instance if it is a resident one; else drops it.
    #[inline]
    pub(super) fn keep(&self, instance: Box<Instance>) {
        if matches!(self.unit.spec.instances, InstanceModel::Resident { .. }) {
            self.idle.put(instance);
        }
    }
}

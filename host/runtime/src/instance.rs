//! One instance in its own store.
//!
//! Owns the store and its one component instance. **Invariant:** after a trap,
//! a stop or a dropped call the instance is never entered again: whoever gets
//! an error from here drops it.

use std::sync::Arc;

use odeon_protocol::{FunctionType, ValueLimits, wire};
use wasmtime::component::{self, ComponentExportIndex, InstancePre, Val};
use wasmtime::{Store, Trap};

use crate::codec::{self, Out};
use crate::engine::Capture;
use crate::plugin::MethodId;
use crate::state::{HostState, on_tick};
use crate::unit::Unit;

/// A component ready to be instantiated on one shard.
pub(crate) struct Template {
    pub(crate) pre: InstancePre<HostState>,
    /// Of the methods and hooks, by their number.
    pub(crate) methods: Vec<ComponentExportIndex>,
    /// What the engine of that shard keeps of a guest that is stopped.
    pub(crate) capture: Capture,
}

/// An instance and its store.
pub(crate) struct Instance {
    pub(crate) store: Store<HostState>,
    pub(crate) instance: component::Instance,
    pub(crate) shard: usize,
    /// The function that was called last, and the number of its method.
    known: Option<(usize, component::Func)>,
}

fn store(template: &Template, unit: &Arc<Unit>) -> Store<HostState> {
    let limits = &unit.spec.limits;
    let mut store = Store::new(
        template.pre.engine(),
        HostState::new(unit.clone(), template.capture),
    );
    store.limiter(|state| state);
    store.set_hostcall_fuel(usize::try_from(limits.host_call_bytes.bytes()).unwrap_or(usize::MAX));
    store.set_max_component_handles(usize::try_from(limits.handles).unwrap_or(usize::MAX));
    store.epoch_deadline_callback(on_tick);
    store.set_epoch_deadline(1);
    store
}

/// Why there is no instance.
pub(crate) struct NotMade {
    pub(crate) error: wasmtime::Error,
    pub(crate) state: Store<HostState>,
}

impl Instance {
    /// Makes an instance on this thread. `prepare` is given the state before
    /// any guest code runs.
    pub(crate) fn make(
        template: &Template,
        unit: &Arc<Unit>,
        shard: usize,
        prepare: impl FnOnce(&mut HostState),
    ) -> Result<Self, Box<NotMade>> {
        let mut store = store(template, unit);
        prepare(store.data_mut());
        match template.pre.instantiate(&mut store) {
            Ok(instance) => Ok(Instance {
                store,
                instance,
                shard,
                known: None,
            }),
            Err(error) => Err(Box::new(NotMade { error, state: store })),
        }
    }

    /// Makes an instance on a fiber, so that its start code can be made to
    /// yield.
    pub(crate) async fn make_async(
        template: &Template,
        unit: &Arc<Unit>,
        shard: usize,
        prepare: impl FnOnce(&mut HostState),
    ) -> Result<Self, Box<NotMade>> {
        let mut store = store(template, unit);
        prepare(store.data_mut());
        match template.pre.instantiate_async(&mut store).await {
            Ok(instance) => Ok(Instance {
                store,
                instance,
                shard,
                known: None,
            }),
            Err(error) => Err(Box::new(NotMade { error, state: store })),
        }
    }

    /// Calls a method, which is this function, with checked arguments in the wire
    /// form.
    #[inline]
    pub(crate) fn call(
        &mut self,
        method: MethodId,
        index: &ComponentExportIndex,
        args: &[u8],
    ) -> wasmtime::Result<Vec<u8>> {
        self.store.set_epoch_deadline(1);
        let function = self.method(method, index)?;
        let Out(result) = codec::direct(function).call(&mut self.store, codec::Args(args))?;
        Ok(result)
    }

    /// The same on a fiber: the call can wait and can be made to yield.
    pub(crate) async fn call_async(
        &mut self,
        method: MethodId,
        index: &ComponentExportIndex,
        args: &[u8],
    ) -> wasmtime::Result<Vec<u8>> {
        self.store.set_epoch_deadline(1);
        let function = self.method(method, index)?;
        let Out(result) = codec::direct(function)
            .call_async(&mut self.store, codec::Args(args))
            .await?;
        Ok(result)
    }

    /// The same for an export that is lifted asynchronously, by way of the
    /// engine's own values.
    pub(crate) async fn call_lifted(
        &mut self,
        index: &ComponentExportIndex,
        ty: &FunctionType,
        args: &[u8],
        limits: &ValueLimits,
    ) -> wasmtime::Result<Vec<u8>> {
        self.store.set_epoch_deadline(1);
        let function = self.function(index)?;
        // They were checked against the plugin's limits before the call.
        let as_checked = ValueLimits {
            max_bytes: args.len(),
            max_nodes: usize::MAX,
            ..*limits
        };
        let values = wire::decode_args(ty, args, &as_checked).map_err(|_| codec::BadValue::Short)?;
        let params = ty
            .params
            .iter()
            .zip(&values)
            .map(|(param, value)| codec::to_val(&param.ty, value))
            .collect::<Result<Vec<_>, _>>()?;
        let mut results = vec![Val::Bool(false); usize::from(ty.result.is_some())];
        function
            .call_async(&mut self.store, &params, &mut results)
            .await?;
        let mut out = Vec::new();
        if let (Some(ty), Some(val)) = (&ty.result, results.first()) {
            let value = codec::from_val(ty, val)?;
            // How deep it is nested is looked at with all other results.
            let at_any_depth = ValueLimits {
                max_depth: usize::MAX,
                ..*limits
            };
            out = wire::encode(ty, &value, &at_any_depth).map_err(|_| codec::BadValue::TooLarge)?;
        }
        Ok(out)
    }

    /// The function of a method: an instance that is kept is mostly called by the
    /// same one again.
    #[inline]
    fn method(
        &mut self,
        method: MethodId,
        index: &ComponentExportIndex,
    ) -> wasmtime::Result<component::Func> {
        if let Some((known, function)) = self.known
            && known == method.number()
        {
            return Ok(function);
        }
        let function = self.function(index)?;
        self.known = Some((method.number(), function));
        Ok(function)
    }

    #[inline]
    pub(crate) fn function(&mut self, index: &ComponentExportIndex) -> wasmtime::Result<component::Func> {
        self.instance
            .get_func(&mut self.store, index)
            .ok_or_else(|| Trap::CannotEnterComponent.into())
    }
}

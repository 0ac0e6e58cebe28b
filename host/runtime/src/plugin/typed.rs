//! Calls with Rust types, for embedders that know the method at compile time.

use std::marker::PhantomData;

use odeon_protocol::{Code, Fault};
use wasmtime::component::{ComponentNamedList, Lift, Lower};

use super::serve::no_such_method;
use super::{MethodId, Place, Plugin};
use crate::control::CallContext;
use crate::instance::Instance;
use crate::link::Flavour;
use crate::trace::{self, Span, Trace};

fn not_direct() -> Fault {
    Fault::new(
        Code::InvalidArguments,
        "typed calls are for plugins whose imports never wait; call this one by name",
    )
}

/// A method bound to the Rust types of its parameters and result, both tuples.
pub struct TypedMethod<P, R> {
    plugin: Plugin,
    method: MethodId,
    types: PhantomData<fn(P) -> R>,
}

impl<P, R> Clone for TypedMethod<P, R> {
    fn clone(&self) -> Self {
        TypedMethod {
            plugin: self.plugin.clone(),
            method: self.method,
            types: PhantomData,
        }
    }
}

impl Plugin {
    /// Binds a method to Rust types. The types are checked against the method's
    /// at every call, which costs a few nanoseconds.
    ///
    /// # Errors
    ///
    /// When the plugin's imports can wait, so that it has to be called
    /// asynchronously.
    pub fn typed<P, R>(&self, method: MethodId) -> Result<TypedMethod<P, R>, Fault>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        if self.shared.source.flavour != Flavour::Direct {
            return Err(not_direct());
        }
        Ok(TypedMethod {
            plugin: self.clone(),
            method,
            types: PhantomData,
        })
    }
}

impl<P, R> TypedMethod<P, R>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift + 'static,
{
    /// Calls the method on this thread.
    ///
    /// # Errors
    ///
    /// As for [`Place::call_typed`], and why it did not come in.
    #[inline]
    pub fn call(&self, params: P) -> Result<R, Fault> {
        self.plugin.place(None)?.call_typed(self.method, params)
    }
}

impl Place<'_> {
    /// Calls a method with Rust types on this thread. Only for plugins whose
    /// imports never wait, which [`Plugin::typed`] checks.
    ///
    /// # Errors
    ///
    /// The fault that ended the call; a fault with
    /// [`Code::InvalidArguments`] when the Rust types are not the method's.
    #[inline]
    pub fn call_typed<P, R>(self, method: MethodId, params: P) -> Result<R, Fault>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        self.call_typed_in(method, params, None)
    }

    /// The same for a call that is traced.
    ///
    /// # Errors
    ///
    /// As for [`Place::call_typed`].
    pub fn call_traced<P, R>(self, method: MethodId, params: P, trace: Trace) -> Result<R, Fault>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        let mut context = CallContext {
            trace: Some(trace),
            ..CallContext::default()
        };
        let span = Span::begin(&mut context, self.shared(), method);
        let called = self.call_typed_in(method, params, Some(Box::new(context)));
        trace::end(span, &called);
        called
    }

    #[inline]
    fn call_typed_in<P, R>(
        self,
        method: MethodId,
        params: P,
        context: Option<Box<CallContext>>,
    ) -> Result<R, Fault>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        let (shared, pass) = self.parts();
        if shared.source.flavour != Flavour::Direct {
            return Err(not_direct());
        }
        let (mut place, mut fits) = (None, true);
        let called = shared.guarded(|| {
            let (made, template) = shared.instance_here(context)?;
            let Instance { store, instance, .. } = &mut **place.insert(made);
            let index = template.methods.get(method.0).ok_or_else(no_such_method)?;
            store.set_epoch_deadline(1);
            let function = instance.get_typed_func::<P, R>(&mut *store, index);
            let function = function.map_err(|error| {
                fits = false;
                not_of_these_types(&error)
            })?;
            Ok(function.call(store, params))
        });
        let outcome = match (called, place) {
            (Ok(Ok(result)), Some(mut instance)) => {
                instance.store.data_mut().end();
                shared.keep(instance);
                Ok(result)
            }
            (Ok(Err(error)), Some(instance)) => Err(shared.stopped(instance.store, error)),
            (Ok(_), None) => Err(shared.broke_off()),
            (Err(fault), Some(mut instance)) if !fits => {
                // Nothing of it ran.
                instance.store.data_mut().end();
                shared.keep(instance);
                Err(fault)
            }
            (Err(fault), _) => Err(fault),
        };
        drop(pass);
        outcome
    }
}

#[cold]
fn not_of_these_types(error: &wasmtime::Error) -> Fault {
    Fault::new(
        Code::InvalidArguments,
        format!("the Rust types are not the method's: {error:#}"),
    )
}

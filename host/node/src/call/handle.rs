//! Methods that are looked up once and called often.
//!
//! Owns the memory of where a method was found. A handle stays good over a
//! reload: it finds the method again in the new generation. It holds nothing
//! of what was unloaded.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use odeon_protocol::{Code, Fault, Fingerprint, FunctionType, Generation};
use odeon_runtime::{ComponentNamedList, Lift, Lower, NotEntered, Reply};

use super::{Args, CallOptions, CallReply, no_further};
use crate::host::{Host, Inner};
use crate::registry::{Loaded, Slot, not_loaded};

/// A method of a plugin, found by name once. Cheap to clone.
#[derive(Clone)]
pub struct MethodHandle {
    place: Arc<Place>,
    ty: Arc<FunctionType>,
    fingerprint: Fingerprint,
}

/// The same for Rust types: `P` is a tuple of parameters, `R` a tuple of the
/// result.
pub struct TypedHandle<P, R> {
    method: MethodHandle,
    types: PhantomData<fn(P) -> R>,
}

struct Place {
    inner: Arc<Inner>,
    slot: Arc<Slot>,
    member: Box<str>,
    /// The type that its callers know.
    fingerprint: Fingerprint,
    /// The generation in which the method was found last, and its number
    /// there, in one word.
    found: AtomicU64,
}

/// The low bits of [`Place::found`] that hold the method's number: more than
/// the host describes of any component.
const NUMBER_BITS: u32 = 24;

fn pack(generation: u64, index: usize) -> u64 {
    (generation << NUMBER_BITS) | (index as u64 & ((1 << NUMBER_BITS) - 1))
}

impl Host {
    /// Finds a method, to be called often.
    ///
    /// # Errors
    ///
    /// When no such plugin is loaded, or it has no such method.
    pub fn method(&self, path: &str) -> Result<MethodHandle, Fault> {
        let (loaded, index) = self.inner.find(path)?;
        let method = loaded.method(index)?;
        let (ty, fingerprint) = (method.ty.clone(), method.fingerprint);
        let slot = self.inner.registry.slot(&loaded.name)?;
        let member = match &method.interface {
            Some(interface) => format!("{interface}.{}", method.function),
            None => method.function.to_string(),
        };
        let found = AtomicU64::new(pack(loaded.generation.0, index));
        let place = Place {
            inner: self.inner.clone(),
            slot,
            member: member.into(),
            fingerprint,
            found,
        };
        Ok(MethodHandle {
            place: Arc::new(place),
            ty,
            fingerprint,
        })
    }

    /// Finds a method, to be called often with Rust types.
    ///
    /// # Errors
    ///
    /// As for [`Host::method`], and when the plugin can wait: such a one is
    /// called by [`Host::call`].
    pub fn typed<P, R>(&self, path: &str) -> Result<TypedHandle<P, R>, Fault>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        let method = self.method(path)?;
        // Finds out now whether this plugin can be called so at all.
        method.place.with(|loaded, index| {
            let typed = loaded.plugin.typed::<P, R>(loaded.method(index)?.id);
            Ok(typed.map(|_| ())?)
        })?;
        Ok(TypedHandle {
            method,
            types: PhantomData,
        })
    }
}

impl Place {
    /// Does something with the generation that serves now, and the method's
    /// number in it.
    #[inline]
    fn with<T>(&self, act: impl FnOnce(&Loaded, usize) -> Result<T, NotEntered>) -> Result<T, NotEntered> {
        let current = self.slot.current();
        let Some(loaded) = current.as_ref() else {
            return Err(not_loaded(self.slot.name.as_str()).into());
        };
        let index = self.index(loaded)?;
        act(loaded, index)
    }

    #[inline]
    fn index(&self, loaded: &Loaded) -> Result<usize, Fault> {
        let found = self.found.load(Ordering::Relaxed);
        let number = found & ((1 << NUMBER_BITS) - 1);
        if found == (loaded.generation.0 << NUMBER_BITS | number) {
            return usize::try_from(number).map_err(|_| Fault::new(Code::Internal, "a number of a method"));
        }
        self.again(loaded)
    }

    #[cold]
    fn again(&self, loaded: &Loaded) -> Result<usize, Fault> {
        let index = loaded.find(&self.member)?;
        let method = loaded.method(index)?;
        if method.fingerprint != self.fingerprint {
            return Err(changed(&method.path, &method.ty));
        }
        self.found
            .store(pack(loaded.generation.0, index), Ordering::Relaxed);
        Ok(index)
    }
}

impl MethodHandle {
    /// The method's type, as it was found.
    pub fn ty(&self) -> &FunctionType {
        &self.ty
    }

    /// The type's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Calls the method on this thread, with encoded arguments.
    ///
    /// # Errors
    ///
    /// As for [`Host::call_encoded`]; after an unload `ODN-1001`.
    #[inline]
    pub fn call(&self, args: &[u8]) -> Result<Reply, Fault> {
        let mut moved = None;
        let mut entry = None;
        loop {
            let called = self.place.with(|loaded, index| {
                let method = loaded.method(index)?;
                method.check(args, &loaded.limits)?;
                self.place.inner.call_on(loaded, method, args, moved, &mut entry)
            });
            match called {
                Err(NotEntered::Moved(next)) => moved = Some(next),
                Ok(reply) => return Ok(reply),
                Err(NotEntered::Fault(fault)) => return Err(no_further(entry, fault)),
            }
        }
    }

    /// Calls the method and waits for its result. Dropping the future ends the
    /// call.
    ///
    /// # Errors
    ///
    /// As for [`Host::call`].
    pub async fn call_async(&self, args: Args<'_>, options: CallOptions) -> Result<CallReply, Fault> {
        // As in `Host::call`.
        tokio::task::coop::consume_budget().await;
        let place = &self.place;
        let current = place.slot.current().clone();
        let loaded = current.ok_or_else(|| not_loaded(place.slot.name.as_str()))?;
        let index = place.index(&loaded)?;
        place.inner.call(loaded, index, args, options).await
    }
}

impl<P, R> Clone for TypedHandle<P, R> {
    fn clone(&self) -> Self {
        TypedHandle {
            method: self.method.clone(),
            types: PhantomData,
        }
    }
}

impl<P, R> TypedHandle<P, R>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift + 'static,
{
    /// Calls the method on this thread. The types are checked against the
    /// method's at every call.
    ///
    /// # Errors
    ///
    /// As for [`MethodHandle::call`], and `ODN-1004` when the Rust types are
    /// not the method's.
    #[inline]
    pub fn call(&self, params: P) -> Result<R, Fault> {
        self.call_with_generation(params).map(|(result, _)| result)
    }

    /// The same, and which generation answered.
    ///
    /// # Errors
    ///
    /// As for [`TypedHandle::call`].
    #[inline]
    pub fn call_with_generation(&self, params: P) -> Result<(R, Generation), Fault> {
        let mut params = Some(params);
        let mut moved = None;
        let mut entry = None;
        loop {
            let called = self.method.place.with(|loaded, index| {
                let method = loaded.method(index)?;
                if moved.is_none() {
                    entry = self.method.place.inner.entry_here(loaded, method);
                }
                let place = loaded.plugin.place(moved)?;
                // Given away once: whoever has a place does not come here again.
                let params = params.take().ok_or_else(given_away)?;
                let result = match entry.as_ref().and_then(|entry| entry.trace()) {
                    None => place.call_typed::<P, R>(method.id, params),
                    Some(trace) => place.call_traced::<P, R>(method.id, params, trace),
                };
                if let Some(entry) = entry.take() {
                    let code = result.as_ref().err().map(|fault| fault.code);
                    entry.end(loaded, loaded.plugin.generation(), code);
                }
                if let Err(fault) = &result {
                    self.method.place.inner.note_end(loaded, method, fault);
                }
                Ok((result?, loaded.plugin.generation()))
            });
            match called {
                Err(NotEntered::Moved(next)) => moved = Some(next),
                Ok(result) => return Ok(result),
                Err(NotEntered::Fault(fault)) => return Err(no_further(entry, fault)),
            }
        }
    }
}

/// The method is not what the handle was made for any more.
#[cold]
pub(super) fn changed(path: &str, ty: &FunctionType) -> Fault {
    Fault::new(
        Code::VersionMismatch,
        format!(
            "the plugin was replaced, and the method is {} now; nothing was executed, look it up again",
            odeon_protocol::signature(path, ty)
        ),
    )
}

#[cold]
fn given_away() -> Fault {
    Fault::new(Code::Internal, "the parameters of a call were given away twice")
}

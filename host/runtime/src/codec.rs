//! The direct codec: wire bytes into guest memory and back, for any function.
//!
//! Owns the two types that stand for "the whole parameter list" and "the whole
//! result" of a function whose type is only known at run time. `import` has the
//! two for the other direction, a call that comes from a guest. There is one
//! copy of this code for all functions; no [`wasmtime::component::Val`] and no
//! Rust value is built between the wire and the guest.
//!
//! **Invariant:** [`Args`] is lowered only after the wire was checked against
//! the function's type (`odeon_protocol::wire`). An error while lowering leaks
//! a call scope in the store, so it must not happen; the checks repeated here
//! are what memory safety of the *host* rests on, not what callers see.
//!
//! This module leans on engine internals that carry no promise of stability,
//! which is why the engine's version is pinned exactly. What it assumes is
//! asserted at compile time below and by the differential tests against
//! `Val` in `tests/`.
#![allow(unsafe_code, reason = "the engine's lowering traits are unsafe to implement")]

mod import;
mod lift;
mod lower;
mod shape;
mod val;

use std::mem::MaybeUninit;

use wasmtime::ValRaw;
use wasmtime::component::__internal::wasmtime_environ::component::{MAX_FLAT_PARAMS, MAX_FLAT_RESULTS};
use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, LowerContext,
};
use wasmtime::component::{ComponentNamedList, ComponentType, Func, Lift, Lower, TypedFunc};

pub(crate) use self::import::{Params, Returned, slots_of};
pub(crate) use self::shape::BadValue;
pub(crate) use self::val::{from_val, to_val};

const _: () = assert!(
    MAX_FLAT_PARAMS == 16 && MAX_FLAT_RESULTS == 1,
    "Args and Out are laid out for these"
);

/// What [`Args`] and [`Out`] claim of themselves: only the number of slots
/// matters, as the engine asks each value for the rest at run time.
const fn slots(count: u8) -> CanonicalAbiInfo {
    CanonicalAbiInfo {
        size32: 0,
        align32: 1,
        size64: 0,
        align64: 1,
        flat_count: Some(count),
    }
}

/// A whole parameter list in the wire form, checked against the function's
/// type beforehand.
pub(crate) struct Args<'a>(pub(crate) &'a [u8]);

/// A whole result in the wire form.
pub(crate) struct Out(pub(crate) Vec<u8>);

/// A function to be called with [`Args`] and [`Out`], whatever its type is.
#[inline]
pub(crate) fn direct<'a>(function: Func) -> TypedFunc<Args<'a>, Out> {
    // SAFETY: what the check would find out, `lower` and `lift` find out again
    // from the type the engine passes them, and refuse what they cannot write.
    // A function with more slots than `Args` has, or with any number of
    // results but one slot, does not exist: the engine spills to memory there.
    unsafe { TypedFunc::new_unchecked(function) }
}

fn check_shape(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
    match ty {
        InterfaceType::Tuple(_) if shape::carriable(types.types, ty) => Ok(()),
        _ => Err(BadValue::NotCarriable.into()),
    }
}

// SAFETY: `typecheck` accepts exactly the tuples whose every part `lower`
// knows how to write.
unsafe impl ComponentNamedList for Args<'_> {}

// SAFETY: `Lower` is an array of as many `ValRaw` as the flat count says, and
// a parameter list that does not fit goes through memory, which
// `linear_lower_to_flat` does itself.
unsafe impl ComponentType for Args<'_> {
    type Lower = [ValRaw; MAX_FLAT_PARAMS];
    const ABI: CanonicalAbiInfo = slots(MAX_FLAT_PARAMS as u8);

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
        check_shape(ty, types)
    }
}

// SAFETY: writes the slots that the function's own flat count asks for, or the
// one pointer when its parameters go through memory.
unsafe impl Lower for Args<'_> {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<[ValRaw; MAX_FLAT_PARAMS]>,
    ) -> wasmtime::Result<()> {
        let dst: *mut MaybeUninit<[ValRaw; MAX_FLAT_PARAMS]> = dst;
        // SAFETY: an uninitialised array of slots and an array of
        // uninitialised slots are the same memory, and both may be anything.
        let dst = unsafe { &mut *dst.cast::<[MaybeUninit<ValRaw>; MAX_FLAT_PARAMS]>() };
        lower::params(cx, self.0, ty, dst)
    }

    fn linear_lower_to_memory<T>(
        &self,
        _: &mut LowerContext<'_, T>,
        _: InterfaceType,
        _: usize,
    ) -> wasmtime::Result<()> {
        Err(BadValue::NotCarriable.into())
    }
}

// SAFETY: as for `Args`.
unsafe impl ComponentNamedList for Out {}

// SAFETY: a result has at most one slot: its one flat value, or a pointer.
unsafe impl ComponentType for Out {
    type Lower = ValRaw;
    const ABI: CanonicalAbiInfo = slots(MAX_FLAT_RESULTS as u8);

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
        check_shape(ty, types)
    }
}

// SAFETY: every guest pointer is checked against the memory before it is read.
unsafe impl Lift for Out {
    fn linear_lift_from_flat(
        cx: &mut LiftContext<'_>,
        ty: InterfaceType,
        src: &ValRaw,
    ) -> wasmtime::Result<Self> {
        lift::result(cx, ty, *src).map(Out)
    }

    fn linear_lift_from_memory(
        _: &mut LiftContext<'_>,
        _: InterfaceType,
        _: &[u8],
    ) -> wasmtime::Result<Self> {
        Err(BadValue::NotCarriable.into())
    }
}

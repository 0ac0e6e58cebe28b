//! The direct codec the other way round: what a guest passes to a function that
//! another plugin serves, and what it gets back.
//!
//! Owns the two types that stand for "the whole parameter list" and "the whole
//! result" of an imported function whose type is only known at run time. The
//! engine hands a host function its slots as one array, so that there is one
//! such type per number of slots; what walks the values knows no number and is
//! the same code for all of them.
//!
//! **Invariant:** [`Returned`] is lowered only for a wire that was lifted from a
//! function of the same type; the checks in `lower` hold whatever the wire is.

use std::mem::MaybeUninit;

use odeon_protocol::{FunctionType, Type};
use wasmtime::ValRaw;
use wasmtime::component::__internal::wasmtime_environ::component::{MAX_FLAT_PARAMS, MAX_FLAT_RESULTS};
use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, LowerContext,
};
use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Lower};

use super::{BadValue, lift, lower, shape, slots};

/// Slots of a parameter list that goes through memory: one, for its address.
pub(crate) const SPILLED: usize = 1;

/// A whole parameter list in the wire form, taken from `N` slots, or from
/// memory.
pub(crate) struct Params<const N: usize>(pub(crate) Vec<u8>);

/// A whole result in the wire form, for `M` slots, or for memory.
pub(crate) struct Returned<const M: usize>(pub(crate) Vec<u8>);

/// How many slots the parameters and the result of a function take.
pub(crate) fn slots_of(ty: &FunctionType) -> (usize, usize) {
    let params = ty.params.iter().map(|param| flat(&param.ty));
    let params = params.fold(0, usize::saturating_add);
    let result = ty.result.as_ref().map_or(0, flat);
    let or_spilled = |count: usize, most: usize| if count > most { SPILLED } else { count };
    (
        or_spilled(params, MAX_FLAT_PARAMS),
        or_spilled(result, MAX_FLAT_RESULTS),
    )
}

/// Slots of one value.
fn flat(ty: &Type) -> usize {
    let widest = |types: &mut dyn Iterator<Item = &Type>| types.map(flat).max().unwrap_or(0);
    match ty {
        Type::String | Type::List(_) | Type::Map(_, _) => 2,
        Type::Record(fields) => fields
            .iter()
            .map(|field| flat(&field.ty))
            .fold(0, usize::saturating_add),
        Type::Tuple(types) => types.iter().map(flat).fold(0, usize::saturating_add),
        Type::FixedList(ty, count) => flat(ty).saturating_mul(usize::try_from(*count).unwrap_or(usize::MAX)),
        Type::Variant(cases) => {
            widest(&mut cases.iter().filter_map(|case| case.ty.as_ref())).saturating_add(1)
        }
        Type::Option(ty) => flat(ty).saturating_add(1),
        Type::Result(ok, err) => widest(&mut ok.iter().chain(err.iter()).map(|ty| &**ty)).saturating_add(1),
        Type::Flags(names) if names.len() <= 32 => usize::from(!names.is_empty()),
        Type::Flags(names) => names.len().div_ceil(32),
        _ => 1,
    }
}

/// Whether the engine counts as many slots for this list as `slots_of` did.
fn check(ty: &InterfaceType, types: &InstanceType<'_>, most: usize, expected: usize) -> wasmtime::Result<()> {
    let InterfaceType::Tuple(index) = ty else {
        return Err(BadValue::NotCarriable.into());
    };
    let counted = types.types[*index].abi.flat_count(most).unwrap_or(SPILLED);
    match counted == expected && shape::carriable(types.types, ty) {
        true => Ok(()),
        false => Err(BadValue::NotCarriable.into()),
    }
}

// SAFETY: `typecheck` accepts exactly the tuples of `N` slots, or those that go
// through memory, whose every part `lift` knows how to read.
unsafe impl<const N: usize> ComponentNamedList for Params<N> {}

// SAFETY: `Lower` is an array of as many `ValRaw` as the list has slots, which
// `typecheck` sees to. A list in memory never comes as slots.
unsafe impl<const N: usize> ComponentType for Params<N> {
    type Lower = [ValRaw; N];
    // The engine passes the place in memory; its length is known at run time.
    const ABI: CanonicalAbiInfo = slots(N as u8);

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
        check(ty, types, MAX_FLAT_PARAMS, N)
    }
}

// SAFETY: every guest pointer is checked against the memory before it is read.
unsafe impl<const N: usize> Lift for Params<N> {
    fn linear_lift_from_flat(
        cx: &mut LiftContext<'_>,
        ty: InterfaceType,
        src: &[ValRaw; N],
    ) -> wasmtime::Result<Self> {
        lift::params(cx, ty, src).map(Params)
    }

    fn linear_lift_from_memory(
        cx: &mut LiftContext<'_>,
        ty: InterfaceType,
        bytes: &[u8],
    ) -> wasmtime::Result<Self> {
        // An empty part of the guest's memory, at the place where the list is.
        let memory = cx.memory().as_ptr().addr();
        let at = bytes
            .as_ptr()
            .addr()
            .checked_sub(memory)
            .ok_or(BadValue::Pointer)?;
        lift::spilled(cx, ty, at).map(Params)
    }
}

// SAFETY: as for `Params`.
unsafe impl<const M: usize> ComponentNamedList for Returned<M> {}

// SAFETY: as for `Params`.
unsafe impl<const M: usize> ComponentType for Returned<M> {
    type Lower = [ValRaw; M];
    const ABI: CanonicalAbiInfo = slots(M as u8);

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
        check(ty, types, MAX_FLAT_RESULTS, M)
    }
}

// SAFETY: writes exactly `M` slots, or the part of guest memory that the engine
// found large enough for the type.
unsafe impl<const M: usize> Lower for Returned<M> {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<[ValRaw; M]>,
    ) -> wasmtime::Result<()> {
        let dst: *mut MaybeUninit<[ValRaw; M]> = dst;
        // SAFETY: an uninitialised array of slots and an array of
        // uninitialised slots are the same memory, and both may be anything.
        let dst = unsafe { &mut *dst.cast::<[MaybeUninit<ValRaw>; M]>() };
        lower::result(cx, &self.0, ty, dst)
    }

    fn linear_lower_to_memory<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        at: usize,
    ) -> wasmtime::Result<()> {
        lower::result_at(cx, &self.0, ty, at)
    }
}

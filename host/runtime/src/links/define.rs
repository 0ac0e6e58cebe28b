//! The host functions behind linked imports.
//!
//! Owns their definition in a linker: one function for each import, in the form
//! that its number of slots asks for. What it does is `call`'s.

use std::future::ready;
use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance};

use super::call::Outgoing;
use super::{LinkedFunction, Links};
use crate::codec::{BadValue, Params, Returned, slots_of};
use crate::state::HostState;

type Result<T> = wasmtime::Result<T>;
type Instance<'l> = LinkerInstance<'l, HostState>;
type Function = Arc<LinkedFunction>;

/// Defines every linked import.
pub(crate) fn define(linker: &mut Linker<HostState>, links: &Links) -> Result<()> {
    for interface in &links.interfaces {
        let mut instance = linker.instance(&interface.import)?;
        for function in &interface.functions {
            with_params(&mut instance, function)?;
        }
    }
    Ok(())
}

/// By the slots of its parameters: there is a type for each number.
fn with_params(instance: &mut Instance<'_>, function: &Function) -> Result<()> {
    macro_rules! by_number {
        ($($number:literal)*) => {
            match slots_of(&function.ty).0 {
                $($number => with_result::<$number>(instance, function),)*
                // No list has more: it would go through memory.
                _ => Err(BadValue::NotCarriable.into()),
            }
        };
    }
    by_number!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
}

/// By the slots of its result.
fn with_result<const N: usize>(instance: &mut Instance<'_>, function: &Function) -> Result<()> {
    match slots_of(&function.ty).1 {
        0 => bind::<N, 0>(instance, function),
        _ => bind::<N, 1>(instance, function),
    }
}

fn bind<const N: usize, const M: usize>(instance: &mut Instance<'_>, function: &Function) -> Result<()> {
    let called = function.clone();
    instance.func_wrap_async(
        &function.name,
        move |mut store: StoreContextMut<'_, HostState>, Params::<N>(args)| match begin(
            store.data_mut(),
            &called,
            args,
        ) {
            Begun::Ended(ended) => Box::new(ready(ended.map(Returned::<M>))),
            Begun::Goes(outgoing, args) => {
                let called = called.clone();
                Box::new(async move {
                    let outcome = outgoing.call(&called, args).await;
                    store.data_mut().came_back(outcome).map(Returned::<M>)
                })
            }
        },
    )
}

/// What a call has come to before anything is made to wait with.
enum Begun {
    Ended(Result<Vec<u8>>),
    Goes(Outgoing, Vec<u8>),
}

/// The same code for every number of slots.
fn begin(state: &mut HostState, function: &LinkedFunction, args: Vec<u8>) -> Begun {
    let outgoing = match Outgoing::of(state) {
        Ok(outgoing) => outgoing,
        Err(error) => return Begun::Ended(Err(error)),
    };
    match outgoing.call_nested(function, &args) {
        Ok(outcome) => Begun::Ended(state.came_back(outcome)),
        Err(outgoing) => Begun::Goes(outgoing, args),
    }
}

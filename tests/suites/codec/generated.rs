//! Random types: a component is made for each, and called both ways with
//! random values.

use odeon_protocol::{Type, Value};
use odeon_tests::guests::assemble;
use odeon_tests::oracle::Oracle;
use odeon_tests::runtime::{runtime, spec};

use crate::dice::{Dice, has_plain_keys};
use crate::differential::direct;
use crate::text::{PADDING, component};

/// Types that are tried.
const TYPES: usize = 60;

/// Values of each.
const VALUES: usize = 12;

/// Enforced by all of `codec::lower` and `codec::lift`.
#[test]
fn values_of_random_types_agree_with_the_engines_own() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let runtime = runtime();
    let mut dice = Dice::new(1);
    for _ in 0..TYPES {
        let (ty, values) = dice.typed(has_plain_keys, VALUES);
        let (text, is_flat) = component(&ty);
        let bytes = assemble(&text);
        let plugin = tokio
            .block_on(spec().prepare(&runtime, &bytes))
            .unwrap_or_else(|error| panic!("{ty:?}: {error}"));
        assert_eq!(plugin.methods().len(), 2 + usize::from(is_flat));
        for method in plugin.methods() {
            for value in &values {
                let arg = match &*method.function {
                    "through-memory" => {
                        let padding = (0..PADDING as u64).map(Value::U64);
                        Value::Tuple([value.clone()].into_iter().chain(padding).collect())
                    }
                    "in-list" => match (&ty, value) {
                        (Type::U8, Value::U8(byte)) => Value::Bytes(vec![*byte; 3]),
                        _ => Value::List(vec![value.clone(); 3]),
                    },
                    _ => value.clone(),
                };
                let args = [arg];
                let ours = direct(&plugin, method, &args).unwrap_or_else(|fault| panic!("{ty:?}: {fault}"));
                // A fresh one each, so that both allocate from the same start.
                let theirs = Oracle::new(&bytes)
                    .call(None, &method.function, &method.ty, &args)
                    .unwrap_or_else(|error| panic!("{ty:?}: {error:#}"));
                assert_eq!(ours, theirs, "{} of {ty:?}", method.function);
                if &*method.function != "flat" {
                    assert_eq!(ours.as_ref(), Some(&args[0]), "{} of {ty:?}", method.function);
                }
            }
        }
    }
}

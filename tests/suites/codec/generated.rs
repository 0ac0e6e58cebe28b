//! Random types: a component is made for each, and called both ways with
//! random values.

use odeon_protocol::test_util::{arb_type, arb_value};
use odeon_protocol::{Type, Value, wire};
use odeon_tests::guests::assemble;
use odeon_tests::oracle::Oracle;
use odeon_tests::runtime::{runtime, spec, wide};
use proptest::collection::vec;
use proptest::strategy::{Strategy as _, ValueTree as _};

use crate::differential::{direct, runner};
use crate::text::{PADDING, component};

/// Types that are tried.
const TYPES: usize = 60;

/// Values of each.
const VALUES: usize = 12;

/// Keys of a map are whole numbers, booleans, chars or strings.
fn has_plain_keys(ty: &Type) -> bool {
    match ty {
        Type::Map(key, value) => {
            !matches!(**key, Type::F32 | Type::F64 | Type::Enum(_) | Type::Flags(_)) && has_plain_keys(value)
        }
        Type::List(ty) | Type::FixedList(ty, _) | Type::Option(ty) => has_plain_keys(ty),
        Type::Record(fields) => fields.iter().all(|field| has_plain_keys(&field.ty)),
        Type::Tuple(types) => types.iter().all(has_plain_keys),
        Type::Variant(cases) => cases
            .iter()
            .filter_map(|case| case.ty.as_ref())
            .all(has_plain_keys),
        Type::Result(ok, err) => ok.iter().chain(err.iter()).all(|ty| has_plain_keys(ty)),
        _ => true,
    }
}

/// Enforced by all of `codec::lower` and `codec::lift`.
#[test]
fn values_of_random_types_agree_with_the_engines_own() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let runtime = runtime();
    let mut runner = runner(1);
    let types = arb_type().prop_filter("keys that the engine takes", has_plain_keys);
    for _ in 0..TYPES {
        let ty = types.new_tree(&mut runner).expect("a type").current();
        let (text, is_flat) = component(&ty);
        let bytes = assemble(&text);
        let plugin = tokio
            .block_on(spec().prepare(&runtime, &bytes))
            .unwrap_or_else(|error| panic!("{ty:?}: {error}"));
        assert_eq!(plugin.methods().len(), 2 + usize::from(is_flat));
        let values = vec(arb_value(&ty), VALUES)
            .new_tree(&mut runner)
            .expect("values")
            .current();
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
                // On the wire there is one NaN; the engine is given that one, too.
                let limits = wide();
                let wire = wire::encode_args(&method.ty, &[arg], &limits).expect("an argument that fits");
                let args = wire::decode_args(&method.ty, &wire, &limits).expect("what was encoded");
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

//! Values as text and as documents: what stands there is what the engine's own
//! values would have said, for random types.

use odeon_protocol::{Type, Value, cbor, json, wave};
use odeon_tests::guests::assemble;
use odeon_tests::oracle::{Oracle, from_val, to_val};
use odeon_tests::runtime::{runtime, spec, wide};

use crate::dice::{Dice, has_plain_keys};
use crate::differential::direct;
use crate::text::{PADDING, component};

/// Types that are tried.
const TYPES: usize = 60;

/// Values of each.
const VALUES: usize = 12;

/// The engine writes no maps.
fn is_written(ty: &Type) -> bool {
    !matches!(ty, Type::Map(..))
}

/// It writes lists of a fixed length, and cannot read them.
fn is_read(ty: &Type) -> bool {
    !matches!(ty, Type::Map(..) | Type::FixedList(..))
}

/// Enforced by `wave::print`.
#[test]
fn wave_is_written_as_the_engine_writes_it() {
    let mut dice = Dice::new(1);
    for _ in 0..10 * TYPES {
        let (ty, values) = dice.typed(is_written, VALUES);
        for value in &values {
            let ours = wave::print(&ty, value, &wide()).expect("a value that is written");
            let theirs = to_val(&ty, value).to_wave().expect("a value that is written");
            assert_eq!(ours, theirs, "{ty:?}");
        }
    }
}

/// Enforced by `wave::parse_value` and `wave::print`.
#[test]
fn wave_is_read_as_the_engine_reads_it() {
    let mut dice = Dice::new(1);
    for _ in 0..TYPES {
        let (ty, values) = dice.typed(is_read, VALUES);
        let (text, _) = component(&ty);
        let mut oracle = Oracle::new(&assemble(&text));
        for value in &values {
            let text = wave::print(&ty, value, &wide()).expect("a value that is written");
            let theirs = oracle
                .read("through-memory", &text)
                .unwrap_or_else(|error| panic!("{ty:?}: {text}: {error:#}"));
            assert_eq!(from_val(&ty, &theirs), *value, "{ty:?}: {text}");
            let again = theirs.to_wave().expect("a value that is written");
            assert_eq!(
                wave::parse_value(&ty, &again, &wide()).as_ref(),
                Ok(value),
                "{ty:?}"
            );
        }
    }
}

/// What a caller sends as a document is what the guest gets: `forms` has one
/// way through each of them.
fn arrives(forms: &[fn(&Type, &Value) -> Value]) {
    let mut dice = Dice::new(1);
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let runtime = runtime();
    for _ in 0..TYPES {
        let (ty, values) = dice.typed(has_plain_keys, VALUES);
        let (text, _) = component(&ty);
        let bytes = assemble(&text);
        let plugin = tokio
            .block_on(spec().prepare(&runtime, &bytes))
            .unwrap_or_else(|error| panic!("{ty:?}: {error}"));
        let method = plugin
            .methods()
            .iter()
            .find(|method| &*method.function == "through-memory")
            .expect("it takes any type");
        let padded = |value: Value| {
            let padding = (0..PADDING as u64).map(Value::U64);
            Value::Tuple([value].into_iter().chain(padding).collect())
        };
        for value in &values {
            let theirs = Oracle::new(&bytes)
                .call(None, &method.function, &method.ty, &[padded(value.clone())])
                .unwrap_or_else(|error| panic!("{ty:?}: {error:#}"));
            for form in forms {
                let read = form(&ty, value);
                assert_eq!(to_val(&ty, &read), to_val(&ty, value), "{ty:?}");
                let ours = direct(&plugin, method, &[padded(read)])
                    .unwrap_or_else(|fault| panic!("{ty:?}: {fault}"));
                assert_eq!(ours, theirs, "{ty:?}");
            }
        }
    }
}

/// Enforced by `json::encode` and `json::decode`.
fn through_json(ty: &Type, value: &Value) -> Value {
    let text = json::encode(ty, value, &wide())
        .expect("a value that is written")
        .to_string();
    let document = serde_json::from_str(&text).expect("what was written is JSON");
    json::decode(ty, &document, &wide()).unwrap_or_else(|error| panic!("{ty:?}: {text}: {error}"))
}

/// Enforced by `cbor::encode` and `cbor::decode`.
fn through_cbor(ty: &Type, value: &Value) -> Value {
    let bytes = cbor::encode(ty, value, &wide()).expect("a value that is written");
    cbor::decode(ty, &bytes, &wide()).unwrap_or_else(|error| panic!("{ty:?}: {error}"))
}

#[test]
fn what_is_sent_as_json_or_cbor_arrives_as_the_engines_own_value() {
    arrives(&[through_json, through_cbor]);
}

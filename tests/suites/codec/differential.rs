//! Every function of `guest-echo`, with random values of its own types.

use odeon_protocol::test_util::arb_value;
use odeon_protocol::{Value, wire};
use odeon_runtime::{CallContext, Method, Plugin};
use odeon_tests::guests;
use odeon_tests::oracle::Oracle;
use odeon_tests::runtime::{runtime, spec, wide};
use proptest::strategy::Strategy as _;

use crate::dice::Dice;

/// Random calls of each function.
const CASES: u32 = 64;

/// Functions that do other things than to echo what they get.
const OTHERS: &[&str] = &["make-bytes"];

/// Calls by way of the direct codec, on this thread.
pub(crate) fn direct(
    plugin: &Plugin,
    method: &Method,
    args: &[Value],
) -> Result<Option<Value>, odeon_protocol::Fault> {
    let limits = wide();
    let encoded = wire::encode_args(&method.ty, args, &limits).expect("arguments that fit");
    let reply = plugin.call_blocking(method.id, &encoded, CallContext::default())?;
    wire::validate_result(&method.ty, &reply.bytes, &limits).expect("a reply is valid");
    Ok(wire::decode_result(&method.ty, &reply.bytes, &limits).expect("a reply is a value"))
}

fn functions_agree(resident: bool) {
    let bytes = guests::bytes("guest-echo");
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let runtime = runtime();
    let spec = if resident { spec().resident() } else { spec() };
    let plugin = tokio.block_on(spec.prepare(&runtime, &bytes)).unwrap();
    let oracle = std::cell::RefCell::new(Oracle::new(&bytes));
    let mut checked = 0;
    let mut dice = Dice::new(CASES);
    for method in plugin.methods() {
        let handles = method.ty.params.iter().any(|param| param.ty.handle().is_some())
            || method.ty.result.as_ref().is_some_and(|ty| ty.handle().is_some());
        if handles || OTHERS.contains(&&*method.function) {
            continue;
        }
        let args = method
            .ty
            .params
            .iter()
            .map(|param| arb_value(&param.ty))
            .collect::<Vec<_>>();
        dice.runner()
            .run(&args.prop_map(|args| args), |args| {
                let ours = direct(&plugin, method, &args).expect("a result");
                let theirs = oracle
                    .borrow_mut()
                    .call(method.interface.as_deref(), &method.function, &method.ty, &args)
                    .expect("a result");
                proptest::prop_assert_eq!(ours, theirs);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{}: {error}", method.function));
        checked += 1;
    }
    assert!(checked >= 60, "only {checked} functions were compared");
}

/// Enforced by all of `codec::lower` and `codec::lift`.
#[test]
fn resident_instances_agree_with_the_engines_own_values() {
    functions_agree(true);
}

#[test]
fn fresh_instances_agree_with_the_engines_own_values() {
    functions_agree(false);
}

/// What is sent is what comes back, for the sizes at which lists are copied in
/// one piece or several.
#[test]
fn lists_of_every_length_come_back_as_they_were() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let runtime = runtime();
    let plugin = tokio.block_on(spec().resident().load(&runtime, "guest-echo"));
    let method = |name: &str| {
        plugin
            .methods()
            .iter()
            .find(|method| &*method.function == name)
            .unwrap()
    };
    for length in [
        0,
        1,
        2,
        3,
        7,
        8,
        9,
        63,
        64,
        65,
        4095,
        4096,
        4097,
        65_535,
        65_536,
        65_537,
        1 << 20,
    ] {
        let bytes = Value::Bytes((0..length).map(|n| n as u8).collect());
        assert_eq!(
            direct(&plugin, method("bytes"), &[bytes.clone()]).unwrap(),
            Some(bytes)
        );
        if length <= 65_537 {
            let words = Value::List((0..length as u64).map(|n| Value::U64(n * n)).collect());
            assert_eq!(
                direct(&plugin, method("u64s"), &[words.clone()]).unwrap(),
                Some(words)
            );
            let bools = Value::List((0..length).map(|n| Value::Bool(n % 3 == 0)).collect());
            assert_eq!(
                direct(&plugin, method("bools"), &[bools.clone()]).unwrap(),
                Some(bools)
            );
        }
    }
}

/// Results whose size the guest chooses.
#[test]
fn a_result_may_be_larger_than_its_arguments() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let runtime = runtime();
    let plugin = tokio.block_on(spec().load(&runtime, "guest-echo"));
    let method = plugin
        .methods()
        .iter()
        .find(|method| &*method.function == "make-bytes")
        .unwrap();
    for count in [0, 1, 100_000, 5_000_000] {
        let made = direct(&plugin, method, &[Value::U32(count)]).unwrap();
        assert_eq!(made, Some(Value::Bytes(vec![0; count as usize])));
    }
}

/// Calls on a fiber go through the same codec.
#[tokio::test]
async fn calls_from_tasks_agree_with_calls_from_threads() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-echo").await;
    let call = |invocation: &'static str| odeon_tests::runtime::call(&plugin, invocation);
    let mixed =
        "mixed(1, \"b\", 1.5, [1, 2], some(9), 'x', {name: \"n\", notes: [\"m\"]}, text(\"t\"), {read}, -3)";
    assert_eq!(call(mixed).await.unwrap(), "\"1, b, 1.5, 2, 9, x, n, t, 1, -3\"");
    assert_eq!(call("swap(\"a\", 7)").await.unwrap(), "(7, \"a\")");
    assert_eq!(call("fail(\"why\")").await.unwrap(), "err(text(\"why\"))");
    assert_eq!(call("nothing").await.unwrap(), "()");
    assert_eq!(
        call("echo-tree(maybe(some(none)))").await.unwrap(),
        "maybe(some(none))"
    );
}

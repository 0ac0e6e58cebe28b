//! Random choices that can be made again.

use proptest::collection::vec;
use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngSeed, TestRunner};

use odeon_protocol::test_util::{arb_type, arb_value};
use odeon_protocol::{Type, Value, wire};
use odeon_tests::runtime::wide;

/// Says where it began when the test that holds it fails:
/// `PROPTEST_RNG_SEED=N` throws the same again.
pub(crate) struct Dice {
    runner: TestRunner,
    seed: u64,
}

impl Dice {
    /// A property is tried with this many cases.
    pub(crate) fn new(cases: u32) -> Self {
        // The variable, if it is set, is in the default.
        let config = Config::default();
        let seed = match config.rng_seed {
            RngSeed::Fixed(seed) => seed,
            RngSeed::Random => std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), cases),
        };
        let runner = TestRunner::new(Config {
            cases,
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(seed),
            ..config
        });
        Dice { runner, seed }
    }

    pub(crate) fn runner(&mut self) -> &mut TestRunner {
        &mut self.runner
    }

    fn throw<S: Strategy>(&mut self, strategy: &S) -> S::Value {
        strategy
            .new_tree(&mut self.runner)
            .expect("a value of the strategy")
            .current()
    }

    /// A type of which every part fits, and values of it as they are after the
    /// wire: there is one NaN there.
    pub(crate) fn typed(&mut self, fits: fn(&Type) -> bool, values: usize) -> (Type, Vec<Value>) {
        let ty = self.throw(&arb_type().prop_filter("types that fit", move |ty| every_part(ty, fits)));
        let limits = wide();
        let values = self.throw(&vec(arb_value(&ty), values));
        let values = values.iter().map(|value| {
            let wire = wire::encode(&ty, value, &limits).expect("a value of its type");
            wire::decode(&ty, &wire, &limits).expect("what was encoded")
        });
        let values = values.collect();
        (ty, values)
    }
}

impl Drop for Dice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the same again: PROPTEST_RNG_SEED={}", self.seed);
        }
    }
}

/// Whether something holds for a type and all types within it.
pub(crate) fn every_part(ty: &Type, holds: fn(&Type) -> bool) -> bool {
    let below = |ty: &Type| every_part(ty, holds);
    holds(ty)
        && match ty {
            Type::Map(key, value) => below(key) && below(value),
            Type::List(ty) | Type::FixedList(ty, _) | Type::Option(ty) => below(ty),
            Type::Record(fields) => fields.iter().all(|field| below(&field.ty)),
            Type::Tuple(types) => types.iter().all(below),
            Type::Variant(cases) => cases.iter().filter_map(|case| case.ty.as_ref()).all(below),
            Type::Result(ok, err) => ok.iter().chain(err.iter()).all(|ty| below(ty)),
            _ => true,
        }
}

/// Keys of a map are whole numbers, booleans, chars or strings.
pub(crate) fn has_plain_keys(ty: &Type) -> bool {
    match ty {
        Type::Map(key, _) => !matches!(**key, Type::F32 | Type::F64 | Type::Enum(_) | Type::Flags(_)),
        _ => true,
    }
}

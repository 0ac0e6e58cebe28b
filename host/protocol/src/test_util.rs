//! Strategies for property tests: any type, and any value of it.
//!
//! Only behind the feature `test-util`; no product code uses it. The types are
//! those that a component can have: nothing is empty that the component model
//! wants to be filled.

use std::sync::Arc;

use proptest::{
    collection::vec,
    prelude::{BoxedStrategy, Just, Strategy, any, prop, prop_oneof},
    sample::subsequence,
};

use crate::{
    types::{Case, Field, FunctionType, Type},
    value::Value,
};

/// Names for fields, cases, flags and parameters; the words of WAVE's grammar
/// are among them.
const NAMES: &[&str] = &[
    "a",
    "b2",
    "long-name",
    "some",
    "none",
    "ok",
    "err",
    "inf",
    "nan",
    "true",
    "false",
    "X-RAY",
    "value",
    "key",
    "type",
    "record",
    "list",
    "z",
];

fn names(most: usize) -> BoxedStrategy<Vec<Arc<str>>> {
    subsequence(NAMES, 1..=most)
        .prop_map(|names| names.into_iter().map(Arc::from).collect())
        .boxed()
}

fn fields(least: usize, ty: BoxedStrategy<Type>) -> BoxedStrategy<Arc<[Field]>> {
    subsequence(NAMES, least..=5)
        .prop_flat_map(move |names| {
            let count = names.len();
            (Just(names), vec(ty.clone(), count))
        })
        .prop_map(|(names, types)| {
            names
                .into_iter()
                .zip(types)
                .map(|(name, ty)| Field {
                    name: name.into(),
                    ty,
                })
                .collect()
        })
        .boxed()
}

fn cases(ty: BoxedStrategy<Type>) -> BoxedStrategy<Arc<[Case]>> {
    subsequence(NAMES, 1..=6)
        .prop_flat_map(move |names| {
            let count = names.len();
            (Just(names), vec(proptest::option::of(ty.clone()), count))
        })
        .prop_map(|(names, types)| {
            names
                .into_iter()
                .zip(types)
                .map(|(name, ty)| Case {
                    name: name.into(),
                    ty,
                })
                .collect()
        })
        .boxed()
}

/// Enough cases for a discriminant of two bytes.
fn many_cases() -> Type {
    Type::Enum((0..300).map(|n| Arc::from(format!("c{n}"))).collect())
}

/// As many flags.
fn flags(count: usize) -> Type {
    Type::Flags((0..count).map(|n| Arc::from(format!("f{n}"))).collect())
}

/// Any type without nesting.
pub fn arb_leaf_type() -> BoxedStrategy<Type> {
    prop_oneof![
        Just(Type::Bool),
        Just(Type::S8),
        Just(Type::U8),
        Just(Type::S16),
        Just(Type::U16),
        Just(Type::S32),
        Just(Type::U32),
        Just(Type::S64),
        Just(Type::U64),
        Just(Type::F32),
        Just(Type::F64),
        Just(Type::Char),
        Just(Type::String),
        names(6).prop_map(|names| Type::Enum(names.into())),
        names(6).prop_map(|names| Type::Flags(names.into())),
        Just(many_cases()),
        (1_usize..=32).prop_map(flags),
    ]
    .boxed()
}

/// Any type that can be carried, with at most six levels. Only `map` and
/// fixed-size lists need a guard where an engine does not have them: filter on
/// [`Type`].
pub fn arb_type() -> BoxedStrategy<Type> {
    arb_leaf_type()
        .prop_recursive(5, 24, 5, |inner| {
            let shared = inner.clone().prop_map(Arc::new).boxed();
            let side = proptest::option::of(shared.clone()).boxed();
            prop_oneof![
                shared.clone().prop_map(Type::List),
                (shared.clone(), 1_u32..4).prop_map(|(ty, count)| Type::FixedList(ty, count)),
                (arb_leaf_type().prop_map(Arc::new), shared.clone()).prop_map(|(k, v)| Type::Map(k, v)),
                fields(1, inner.clone()).prop_map(Type::Record),
                vec(inner.clone(), 1..5).prop_map(|types| Type::Tuple(types.into())),
                cases(inner.clone()).prop_map(Type::Variant),
                shared.prop_map(Type::Option),
                (side.clone(), side).prop_map(|(ok, err)| Type::Result(ok, err)),
            ]
        })
        .boxed()
}

/// Any function of up to five parameters, all of types that can be carried.
pub fn arb_function() -> BoxedStrategy<FunctionType> {
    (
        fields(0, arb_type()),
        proptest::option::of(arb_type()),
        any::<bool>(),
    )
        .prop_map(|(params, result, is_async)| FunctionType {
            params,
            result,
            is_async,
        })
        .boxed()
}

fn payload(ty: Option<&Type>) -> BoxedStrategy<Option<Box<Value>>> {
    match ty {
        Some(ty) => arb_value(ty).prop_map(|value| Some(Box::new(value))).boxed(),
        None => Just(None).boxed(),
    }
}

fn each<'t>(types: impl Iterator<Item = &'t Type>) -> BoxedStrategy<Vec<Value>> {
    types.map(arb_value).collect::<Vec<_>>().boxed()
}

/// Any value of a type. Lists have up to five elements. A [`Type::Handle`] and
/// a variant without cases have no values; for them the strategy rejects.
pub fn arb_value(ty: &Type) -> BoxedStrategy<Value> {
    match ty {
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::S8 => any::<i8>().prop_map(Value::S8).boxed(),
        Type::U8 => any::<u8>().prop_map(Value::U8).boxed(),
        Type::S16 => any::<i16>().prop_map(Value::S16).boxed(),
        Type::U16 => any::<u16>().prop_map(Value::U16).boxed(),
        Type::S32 => any::<i32>().prop_map(Value::S32).boxed(),
        Type::U32 => any::<u32>().prop_map(Value::U32).boxed(),
        Type::S64 => prop_oneof![any::<i64>(), -3_i64..3].prop_map(Value::S64).boxed(),
        Type::U64 => prop_oneof![any::<u64>(), 0_u64..3].prop_map(Value::U64).boxed(),
        Type::F32 => any::<u32>()
            .prop_map(|bits| Value::F32(f32::from_bits(bits)))
            .boxed(),
        Type::F64 => any::<u64>()
            .prop_map(|bits| Value::F64(f64::from_bits(bits)))
            .boxed(),
        Type::Char => any::<char>().prop_map(Value::Char).boxed(),
        Type::String => any::<String>().prop_map(Value::String).boxed(),
        Type::List(element) if **element == Type::U8 => {
            vec(any::<u8>(), 0..40).prop_map(Value::Bytes).boxed()
        }
        Type::List(element) => vec(arb_value(element), 0..5).prop_map(Value::List).boxed(),
        Type::FixedList(element, count) if **element == Type::U8 => {
            vec(any::<u8>(), *count as usize).prop_map(Value::Bytes).boxed()
        }
        Type::FixedList(element, count) => vec(arb_value(element), *count as usize)
            .prop_map(Value::List)
            .boxed(),
        Type::Map(key, value) => vec((arb_value(key), arb_value(value)), 0..4)
            .prop_map(Value::Map)
            .boxed(),
        Type::Record(fields) => each(fields.iter().map(|field| &field.ty))
            .prop_map(Value::Record)
            .boxed(),
        Type::Tuple(types) => each(types.iter()).prop_map(Value::Tuple).boxed(),
        Type::Variant(cases) => {
            let strategies = (0..).zip(cases.iter()).map(|(case, declared)| {
                payload(declared.ty.as_ref())
                    .prop_map(move |payload| Value::Variant { case, payload })
                    .boxed()
            });
            one_of(strategies.collect())
        }
        Type::Enum(names) => one_of(
            (0..)
                .zip(names.iter())
                .map(|(case, _)| Just(Value::Enum(case)).boxed())
                .collect(),
        ),
        Type::Option(inner) => {
            prop_oneof![Just(Value::none()), arb_value(inner).prop_map(Value::some),].boxed()
        }
        Type::Result(ok, err) => prop_oneof![
            payload(ok.as_deref()).prop_map(|value| Value::Result(Ok(value))),
            payload(err.as_deref()).prop_map(|value| Value::Result(Err(value))),
        ]
        .boxed(),
        Type::Flags(names) => vec(any::<bool>(), names.len()).prop_map(Value::Flags).boxed(),
        Type::Handle(_) => one_of(Vec::new()),
    }
}

fn one_of(strategies: Vec<BoxedStrategy<Value>>) -> BoxedStrategy<Value> {
    if strategies.is_empty() {
        return Just(Value::none())
            .prop_filter("a type without values", |_| false)
            .boxed();
    }
    (0..strategies.len())
        .prop_flat_map(move |index| match strategies.get(index) {
            Some(strategy) => strategy.clone(),
            None => Just(Value::none()).boxed(),
        })
        .boxed()
}

/// A type and a value of it.
pub fn arb_typed() -> BoxedStrategy<(Type, Value)> {
    arb_type()
        .prop_flat_map(|ty| {
            let value = arb_value(&ty);
            (Just(ty), value)
        })
        .boxed()
}

/// A function and arguments for it.
pub fn arb_call() -> BoxedStrategy<(FunctionType, Vec<Value>)> {
    arb_function()
        .prop_flat_map(|function| {
            let values = each(function.params.iter().map(|param| &param.ty));
            (Just(function), values)
        })
        .boxed()
}

/// Bytes that are nearly right: `bytes` with one thing changed.
pub fn arb_damage(bytes: Vec<u8>) -> BoxedStrategy<Vec<u8>> {
    let length = bytes.len();
    (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8)
        .prop_map(move |(index, byte, how)| {
            let mut bytes = bytes.clone();
            let at = if length == 0 { 0 } else { index.index(length) };
            match how {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, byte),
                2 => bytes.extend([byte]),
                _ => {
                    if let Some(place) = bytes.get_mut(at) {
                        *place = byte;
                    }
                }
            }
            bytes
        })
        .boxed()
}

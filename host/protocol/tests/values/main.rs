//! What is promised about values, seen from outside the crate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod cbor;
mod document;
mod fingerprint;
mod json;
mod limits;
mod round_trips;
mod wave;
mod wire;

use std::sync::Arc;

use odeon_protocol::{Case, Field, FunctionType, Type, Value, ValueLimits};

fn limits() -> ValueLimits {
    ValueLimits::default()
}

fn list(ty: Type) -> Type {
    Type::List(Arc::new(ty))
}

fn option(ty: Type) -> Type {
    Type::Option(Arc::new(ty))
}

fn tuple(types: impl IntoIterator<Item = Type>) -> Type {
    Type::Tuple(types.into_iter().collect())
}

fn result(ok: Option<Type>, err: Option<Type>) -> Type {
    Type::Result(ok.map(Arc::new), err.map(Arc::new))
}

fn field(name: &str, ty: Type) -> Field {
    Field {
        name: name.into(),
        ty,
    }
}

fn record<const N: usize>(fields: [(&str, Type); N]) -> Type {
    Type::Record(fields.into_iter().map(|(name, ty)| field(name, ty)).collect())
}

fn variant<const N: usize>(cases: [(&str, Option<Type>); N]) -> Type {
    Type::Variant(
        cases
            .into_iter()
            .map(|(name, ty)| Case {
                name: name.into(),
                ty,
            })
            .collect(),
    )
}

fn names<const N: usize>(names: [&str; N]) -> Arc<[Arc<str>]> {
    names.into_iter().map(Arc::from).collect()
}

fn function<const N: usize>(params: [(&str, Type); N], result: Option<Type>) -> FunctionType {
    let params = params.into_iter().map(|(name, ty)| field(name, ty)).collect();
    FunctionType {
        params,
        result,
        is_async: false,
    }
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

fn boxed(value: Value) -> Option<Box<Value>> {
    Some(Box::new(value))
}

fn case(case: u32, payload: Option<Value>) -> Value {
    Value::Variant {
        case,
        payload: payload.map(Box::new),
    }
}

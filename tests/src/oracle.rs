//! The engine's own values, as the judge of ours.
//!
//! Owns the conversion between [`Value`] and [`Val`], written apart from the
//! one in the product, and calls through the engine's dynamic interface.

use odeon_protocol::{FunctionType, Type, Value};
use wasmtime::component::{Component, Instance, Linker, Val};
use wasmtime::{Config, Engine, Store};

/// A component that the engine alone runs. It imports nothing but types.
pub struct Oracle {
    store: Store<()>,
    instance: Instance,
}

impl Oracle {
    /// An instance of these bytes.
    ///
    /// # Panics
    ///
    /// When the engine does not take them.
    pub fn new(bytes: &[u8]) -> Self {
        let mut config = Config::new();
        config
            .concurrency_support(false)
            .wasm_component_model_map(true)
            .wasm_component_model_fixed_length_lists(true);
        let engine = Engine::new(&config).expect("an engine");
        let component = Component::new(&engine, bytes).expect("the component compiles");
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine)
            .instantiate(&mut store, &component)
            .expect("an instance");
        Oracle { store, instance }
    }

    /// What the engine makes of this call.
    ///
    /// # Errors
    ///
    /// Whatever the engine says.
    pub fn call(
        &mut self,
        interface: Option<&str>,
        function: &str,
        ty: &FunctionType,
        args: &[Value],
    ) -> wasmtime::Result<Option<Value>> {
        let store = &mut self.store;
        let interface = interface.map(|name| {
            self.instance
                .get_export_index(&mut *store, None, name)
                .expect("the interface is exported")
        });
        let index = self
            .instance
            .get_export_index(&mut *store, interface.as_ref(), function)
            .expect("the function is exported");
        let function = self
            .instance
            .get_func(&mut *store, index)
            .expect("it is a function");
        let params: Vec<Val> = ty
            .params
            .iter()
            .zip(args)
            .map(|(param, value)| to_val(&param.ty, value))
            .collect();
        let mut results = vec![Val::Bool(false); usize::from(ty.result.is_some())];
        function.call(&mut *store, &params, &mut results)?;
        Ok(ty.result.as_ref().map(|ty| from_val(ty, &results[0])))
    }

    /// What the engine reads from this text as the first part of the function's
    /// first parameter, which is a tuple.
    ///
    /// # Errors
    ///
    /// Whatever the engine says.
    ///
    /// # Panics
    ///
    /// When there is no such function.
    pub fn read(&mut self, function: &str, text: &str) -> wasmtime::Result<Val> {
        let store = &mut self.store;
        let function = self
            .instance
            .get_func(&mut *store, function)
            .expect("the function is exported");
        let ty = function.ty(&*store);
        let (_, param) = ty.params().next().expect("it has a parameter");
        let ty = param.unwrap_tuple().types().next().expect("a tuple of something");
        Val::from_wave(&ty, text)
    }
}

fn boxed(ty: Option<&Type>, value: Option<&Value>) -> Option<Box<Val>> {
    ty.zip(value).map(|(ty, value)| Box::new(to_val(ty, value)))
}

/// The engine's form of a value of this type.
///
/// # Panics
///
/// When it is none of this type.
pub fn to_val(ty: &Type, value: &Value) -> Val {
    let all = |ty: &Type, items: &[Value]| items.iter().map(|item| to_val(ty, item)).collect::<Vec<_>>();
    let bytes = |bytes: &[u8]| bytes.iter().map(|byte| Val::U8(*byte)).collect::<Vec<_>>();
    match (ty, value) {
        (_, Value::Bool(v)) => Val::Bool(*v),
        (_, Value::S8(v)) => Val::S8(*v),
        (_, Value::U8(v)) => Val::U8(*v),
        (_, Value::S16(v)) => Val::S16(*v),
        (_, Value::U16(v)) => Val::U16(*v),
        (_, Value::S32(v)) => Val::S32(*v),
        (_, Value::U32(v)) => Val::U32(*v),
        (_, Value::S64(v)) => Val::S64(*v),
        (_, Value::U64(v)) => Val::U64(*v),
        (_, Value::F32(v)) => Val::Float32(*v),
        (_, Value::F64(v)) => Val::Float64(*v),
        (_, Value::Char(v)) => Val::Char(*v),
        (_, Value::String(v)) => Val::String(v.clone()),
        (Type::List(_), Value::Bytes(v)) => Val::List(bytes(v)),
        (Type::FixedList(..), Value::Bytes(v)) => Val::FixedLengthList(bytes(v)),
        (Type::List(ty), Value::List(items)) => Val::List(all(ty, items)),
        (Type::FixedList(ty, _), Value::List(items)) => Val::FixedLengthList(all(ty, items)),
        (Type::Map(key, ty), Value::Map(entries)) => Val::Map(
            entries
                .iter()
                .map(|(k, v)| (to_val(key, k), to_val(ty, v)))
                .collect(),
        ),
        (Type::Record(fields), Value::Record(values)) => Val::Record(
            fields
                .iter()
                .zip(values)
                .map(|(field, v)| (field.name.to_string(), to_val(&field.ty, v)))
                .collect(),
        ),
        (Type::Tuple(types), Value::Tuple(values)) => {
            Val::Tuple(types.iter().zip(values).map(|(ty, v)| to_val(ty, v)).collect())
        }
        (Type::Variant(cases), Value::Variant { case, payload }) => {
            let case = &cases[*case as usize];
            Val::Variant(case.name.to_string(), boxed(case.ty.as_ref(), payload.as_deref()))
        }
        (Type::Enum(names), Value::Enum(case)) => Val::Enum(names[*case as usize].to_string()),
        (Type::Option(ty), Value::Option(v)) => Val::Option(boxed(Some(ty), v.as_deref())),
        (Type::Result(ok, err), Value::Result(v)) => Val::Result(match v {
            Ok(v) => Ok(boxed(ok.as_deref(), v.as_deref())),
            Err(v) => Err(boxed(err.as_deref(), v.as_deref())),
        }),
        (Type::Flags(names), Value::Flags(set)) => Val::Flags(
            names
                .iter()
                .zip(set)
                .filter(|(_, set)| **set)
                .map(|(name, _)| name.to_string())
                .collect(),
        ),
        _ => panic!("{value:?} is no {ty:?}"),
    }
}

fn unboxed(ty: Option<&Type>, val: Option<&Val>) -> Option<Box<Value>> {
    ty.zip(val).map(|(ty, val)| Box::new(from_val(ty, val)))
}

/// Our form of a value that the engine gave.
///
/// # Panics
///
/// When it is none of this type.
pub fn from_val(ty: &Type, val: &Val) -> Value {
    match (ty, val) {
        (_, Val::Bool(v)) => Value::Bool(*v),
        (_, Val::S8(v)) => Value::S8(*v),
        (_, Val::U8(v)) => Value::U8(*v),
        (_, Val::S16(v)) => Value::S16(*v),
        (_, Val::U16(v)) => Value::U16(*v),
        (_, Val::S32(v)) => Value::S32(*v),
        (_, Val::U32(v)) => Value::U32(*v),
        (_, Val::S64(v)) => Value::S64(*v),
        (_, Val::U64(v)) => Value::U64(*v),
        (_, Val::Float32(v)) => Value::F32(*v),
        (_, Val::Float64(v)) => Value::F64(*v),
        (_, Val::Char(v)) => Value::Char(*v),
        (_, Val::String(v)) => Value::String(v.clone()),
        (Type::List(ty) | Type::FixedList(ty, _), Val::List(items) | Val::FixedLengthList(items)) => {
            let values = items.iter().map(|item| from_val(ty, item));
            match **ty {
                Type::U8 => Value::Bytes(
                    values
                        .map(|value| match value {
                            Value::U8(byte) => byte,
                            other => panic!("{other:?} is no byte"),
                        })
                        .collect(),
                ),
                _ => Value::List(values.collect()),
            }
        }
        (Type::Map(key, ty), Val::Map(entries)) => Value::Map(
            entries
                .iter()
                .map(|(k, v)| (from_val(key, k), from_val(ty, v)))
                .collect(),
        ),
        (Type::Record(fields), Val::Record(values)) => Value::Record(
            fields
                .iter()
                .zip(values)
                .map(|(field, (_, v))| from_val(&field.ty, v))
                .collect(),
        ),
        (Type::Tuple(types), Val::Tuple(values)) => {
            Value::Tuple(types.iter().zip(values).map(|(ty, v)| from_val(ty, v)).collect())
        }
        (Type::Variant(cases), Val::Variant(name, payload)) => {
            let case = cases
                .iter()
                .position(|case| *case.name == **name)
                .expect("a case of the type");
            let ty = cases[case].ty.as_ref();
            Value::Variant {
                case: case as u32,
                payload: unboxed(ty, payload.as_deref()),
            }
        }
        (Type::Enum(names), Val::Enum(name)) => Value::Enum(
            names
                .iter()
                .position(|known| **known == **name)
                .expect("a case of the type") as u32,
        ),
        (Type::Option(ty), Val::Option(v)) => Value::Option(unboxed(Some(ty), v.as_deref())),
        (Type::Result(ok, err), Val::Result(v)) => Value::Result(match v {
            Ok(v) => Ok(unboxed(ok.as_deref(), v.as_deref())),
            Err(v) => Err(unboxed(err.as_deref(), v.as_deref())),
        }),
        (Type::Flags(names), Val::Flags(set)) => Value::Flags(
            names
                .iter()
                .map(|name| set.iter().any(|known| **known == **name))
                .collect(),
        ),
        _ => panic!("{val:?} is no {ty:?}"),
    }
}

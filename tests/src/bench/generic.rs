//! `generic-*`: values of a type known only at run time, from encoded bytes
//! into the guest and back, beside calls that were compiled for the type.

use std::hint::black_box;

use odeon_authority::InstanceMode;
use odeon_protocol::{Value, wire};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::host::Stage;
use super::measure::{Clock, Effort, compare};
use super::raw::Raw;
use super::{Row, row};
use crate::runtime::wide;

const BASELINE: &str = "raw typed call";
const ROUNDS: usize = 300;
const ELEMENTS: u32 = 10_000;

#[derive(Clone, ComponentType, Lift, Lower)]
#[component(record)]
struct Pair {
    name: String,
    notes: Vec<String>,
}

#[derive(Clone, ComponentType, Lift, Lower)]
#[component(record)]
struct Blob {
    name: String,
    data: Vec<u8>,
}

pub(super) fn rows(effort: Effort) -> Vec<Row> {
    let stage = Stage::new(1);
    stage.load_echo("echo", InstanceMode::Resident);
    let bench = Generic {
        effort,
        stage: &stage,
        raw: Raw::echo(),
    };
    let words = |count: u32| {
        (0..count)
            .map(|number| format!("word number {number}"))
            .collect::<Vec<_>>()
    };
    let texts = |words: &[String]| Value::List(words.iter().cloned().map(Value::String).collect());

    let numbers: Vec<u32> = (0..ELEMENTS).collect();
    let floats: Vec<f64> = (0..ELEMENTS).map(f64::from).collect();
    let strings = words(ELEMENTS);
    let pair = Pair {
        name: "a pair of a name and notes".into(),
        notes: words(8),
    };
    let blob = Blob {
        name: "four KiB".into(),
        data: vec![7; 4096],
    };

    let mut rows: Vec<Row> = [
        ("generic-1k", 1 << 10),
        ("generic-64k", 64 << 10),
        ("generic-1m", 1 << 20),
    ]
    .into_iter()
    .map(|(id, size)| {
        let bytes = vec![42_u8; size];
        bench.beside::<&[u8], Vec<u8>>(id, "bytes", &Value::Bytes(bytes.clone()), &bytes)
    })
    .collect();
    let value = Value::List(numbers.iter().copied().map(Value::U32).collect());
    rows.push(bench.beside::<&[u32], Vec<u32>>("generic-u32", "u32s", &value, &numbers));
    let value = Value::List(floats.iter().copied().map(Value::F64).collect());
    rows.push(bench.beside::<&[f64], Vec<f64>>("generic-f64", "f64s", &value, &floats));
    rows.push(bench.beside::<&[String], Vec<String>>(
        "generic-strings",
        "strings",
        &texts(&strings),
        &strings,
    ));
    let value = Value::Record(vec![Value::String(pair.name.clone()), texts(&pair.notes)]);
    rows.push(bench.beside::<&Pair, Pair>("generic-record", "echo-pair", &value, &pair));
    let value = Value::Record(vec![
        Value::String(blob.name.clone()),
        Value::Bytes(blob.data.clone()),
    ]);
    rows.push(bench.beside::<&Blob, Result<Blob, String>>("generic-result", "echo-blob", &value, &blob));
    rows
}

struct Generic<'s> {
    effort: Effort,
    stage: &'s Stage,
    raw: Raw,
}

impl Generic<'_> {
    /// A function of one parameter and a result, which gives back what it got.
    fn beside<P, R>(&self, id: &'static str, function: &str, value: &Value, typed: P) -> Row
    where
        P: Lower + Copy,
        R: Lift,
    {
        let method = self
            .stage
            .host
            .method(&format!("echo/echo.{function}"))
            .expect("the method");
        let args = wire::encode_args(method.ty(), std::slice::from_ref(value), &wide()).expect("an argument");
        let reply = method.call(&args).expect("an echo");
        // A `result` says in its first byte that it is no error.
        assert!(
            reply.bytes == args || reply.bytes.get(1..) == Some(&args[..]),
            "{function} sends back what it got"
        );

        let (mut store, function) = self.raw.resident::<(P,), (R,)>(function);
        let numbers = compare(
            self.effort,
            Clock::ThreadCpu,
            ROUNDS,
            || {
                black_box(method.call(black_box(&args)).expect("an echo"));
            },
            || {
                black_box(function.call(&mut store, (black_box(typed),)).expect("an echo"));
            },
        );
        row(id, "ns", numbers, BASELINE)
    }
}

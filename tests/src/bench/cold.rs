//! `load-cold`: a component nobody has seen, from its file to its first
//! answer: decision, audit, compile in a child, cache, link, instance, call.
#![allow(clippy::let_underscore_must_use, reason = "writing to a string cannot fail")]

use std::time::Instant;

use odeon::LoadRequest;
use odeon_protocol::PluginName;
use wasmtime::component::{Component, Linker};

use super::host::Stage;
use super::measure::{Effort, median};
use super::raw::{engine, store};
use super::{Row, row};
use crate::guests::assemble;

const ROUNDS: usize = 9;

/// Bytes that a component has to have.
const SIZE: usize = 1 << 20;

pub(super) fn rows(effort: Effort) -> Vec<Row> {
    let stage = Stage::new(1);
    let engine = engine();
    let folder = tempfile::tempdir().expect("a folder");
    let (mut loaded, mut bare) = (Vec::new(), Vec::new());
    for round in 0..effort.rounds(ROUNDS) {
        // Another component every time: nothing of it can be remembered.
        let bytes = component(round);
        assert!(
            (SIZE..SIZE + SIZE / 8).contains(&bytes.len()),
            "expected 1 MiB, found {}",
            bytes.len()
        );
        let path = folder.path().join(format!("cold-{round}.wasm"));
        std::fs::write(&path, &bytes).expect("the component's file");
        let name: PluginName = format!("cold-{round}").parse().expect("a name");
        let mut load = || {
            let began = Instant::now();
            let request = LoadRequest::component(&path).named(name.clone()).allow_unsigned();
            stage
                .tokio
                .block_on(stage.host.load(request))
                .expect("it is loaded");
            let reply = stage
                .host
                .call_encoded(&format!("{name}/answer"), &[])
                .expect("an answer");
            loaded.push(began.elapsed().as_secs_f64() * 1e3);
            assert_eq!(reply.bytes.len(), 4);
        };
        let mut compile = || {
            let began = Instant::now();
            let component = Component::new(&engine, &bytes).expect("it compiles");
            let pre = Linker::new(&engine)
                .instantiate_pre(&component)
                .expect("it links");
            let mut store = store(&engine);
            let instance = pre.instantiate(&mut store).expect("an instance");
            let answer = instance
                .get_typed_func::<(), (u32,)>(&mut store, "answer")
                .expect("the function");
            answer.call(&mut store, ()).expect("an answer");
            bare.push(began.elapsed().as_secs_f64() * 1e3);
        };
        if round % 2 == 0 {
            load();
            compile();
        } else {
            compile();
            load();
        }
    }
    let numbers = (median(loaded), median(bare));
    vec![row(
        "load-cold",
        "ms",
        numbers,
        "raw parallel compile + instantiate + call",
    )]
}

/// A component of a MiB: functions that do arithmetic, load, store, branch and
/// call each other, as compiled programs do.
pub(super) fn component(seed: usize) -> Vec<u8> {
    use std::fmt::Write as _;
    /// So many functions make a MiB.
    const FUNCTIONS: usize = 1610;
    let mut text = String::from("(component (core module $m (memory (export \"memory\") 1)\n");
    for number in 0..FUNCTIONS {
        let salt = number * 2_654_435_761 + seed * 97 + 1;
        let _ = writeln!(
            text,
            "(func $f{number} (param $a i32) (param $b i32) (result i32) (local $c i32)"
        );
        for step in 0..14 {
            let constant = (salt >> (step % 7)) & 0x3fff_ffff;
            let offset = (salt.wrapping_mul(step + 3)) & 0x7fff;
            let _ = writeln!(
                text,
                "(local.set $c (i32.add (i32.mul (local.get $a) (i32.const {constant})) (i32.load offset={offset} \
                 (i32.and (local.get $b) (i32.const 0xfff)))))
                 (if (i32.lt_u (local.get $c) (local.get $b)) (then
                   (local.set $a (i32.xor (local.get $c) (local.get $a)))))
                 (local.set $b (i32.rotl (local.get $c) (i32.const {})))",
                step % 31 + 1
            );
        }
        if number > 0 {
            let callee = salt % number;
            let _ = writeln!(
                text,
                "(if (i32.eqz (local.get $b)) (then
                   (local.set $a (call $f{callee} (local.get $a) (local.get $c)))))"
            );
        }
        text.push_str("(i32.add (local.get $a) (local.get $b)))\n");
    }
    let _ = write!(
        text,
        "(func (export \"answer\") (result i32) (call $f{} (i32.const 1) (i32.const {seed}))))
         (core instance $i (instantiate $m))
         (func (export \"answer\") (result u32) (canon lift (core func $i \"answer\"))))",
        FUNCTIONS - 1
    );
    assemble(&text)
}

//! `load-warm`: a component that was compiled before, from its file to its first
//! answer: decision, audit, cache, link, instance, call.
//!
//! Its files lie in memory, so that waiting for a disk is no part of it.

use std::time::{Duration, Instant};

use odeon::{LoadRequest, UnloadMode};
use odeon_protocol::PluginName;
use wasmtime::component::Linker;

use super::cold::component;
use super::host::Stage;
use super::measure::{Effort, median};
use super::raw::{deserialize, engine, store};
use super::{Row, row};

const ROUNDS: usize = 60;

pub(super) fn rows(effort: Effort) -> Vec<Row> {
    let stage = Stage::in_memory(1);
    let engine = engine();
    // The component of `load-cold`.
    let bytes = component(0);
    let (path, native) = (
        stage.folder().join("warm.wasm"),
        stage.folder().join("warm.native"),
    );
    std::fs::write(&path, &bytes).expect("the component's file");
    let compiled = engine.precompile_component(&bytes).expect("it compiles");
    std::fs::write(&native, compiled).expect("the file of its code");
    let name: PluginName = "warm".parse().expect("a name");

    let load = || {
        let began = Instant::now();
        let request = LoadRequest::component(&path).named(name.clone()).allow_unsigned();
        let report = stage
            .tokio
            .block_on(stage.host.load(request))
            .expect("it is loaded");
        let reply = stage.host.call_encoded("warm/answer", &[]).expect("an answer");
        let took = began.elapsed();
        assert_eq!(reply.bytes.len(), 4);
        let mode = UnloadMode::Drain(Duration::from_secs(10));
        stage
            .tokio
            .block_on(stage.host.unload(&name, mode, stage.host.principal()))
            .expect("it is unloaded");
        (took, report.from_cache)
    };
    let bare = || {
        let began = Instant::now();
        let native = std::fs::read(&native).expect("its code");
        let component = deserialize(&engine, &native);
        let pre = Linker::new(&engine)
            .instantiate_pre(&component)
            .expect("it links");
        let mut store = store(&engine);
        let instance = pre.instantiate(&mut store).expect("an instance");
        let answer = instance
            .get_typed_func::<(), (u32,)>(&mut store, "answer")
            .expect("the function");
        answer.call(&mut store, ()).expect("an answer");
        began.elapsed()
    };

    // The first makes what the others find.
    let (_, from_cache) = load();
    assert!(!from_cache, "nobody has compiled it before");
    bare();
    let (mut loaded, mut raw) = (Vec::new(), Vec::new());
    for round in 0..effort.rounds(ROUNDS) {
        let mut ours = || {
            let (took, from_cache) = load();
            assert!(from_cache, "it was compiled before");
            loaded.push(took.as_secs_f64() * 1e3);
        };
        let mut theirs = || raw.push(bare().as_secs_f64() * 1e3);
        if round % 2 == 0 {
            ours();
            theirs();
        } else {
            theirs();
            ours();
        }
    }
    let numbers = (median(loaded), median(raw));
    vec![row(
        "load-warm",
        "ms",
        numbers,
        "raw read + deserialize + pre-instantiate + call",
    )]
}

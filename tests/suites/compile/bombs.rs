//! Code that takes a compiler long, or makes it large.

use std::time::{Duration, Instant};

use odeon_protocol::{Code, Kind};
use odeon_runtime::{CompileLimits, Compiler, LoadError, Runtime, RuntimeConfig};
use odeon_tests::bombs::{functions, huge_function, million_functions};
use odeon_tests::guests;
use odeon_tests::runtime::{call, config, spec};
use odeon_tests::stall::Stalls;
use wasm_encoder::Instruction;

/// A runtime that compiles in child processes, within these limits.
pub(crate) fn runtime(change: impl FnOnce(&mut CompileLimits)) -> Runtime {
    let mut compile = CompileLimits::default();
    change(&mut compile);
    let compiler = Compiler::Program(guests::odeon());
    Runtime::new(RuntimeConfig {
        compiler,
        compile,
        compile_jobs: 2,
        ..config()
    })
    .unwrap()
}

/// It must not become a plugin; gives why, and how long that took, but for what the
/// cores stood still meanwhile.
pub(crate) async fn refused(runtime: &Runtime, bytes: &[u8]) -> (LoadError, Duration) {
    let stalls = Stalls::watch();
    let began = Instant::now();
    match spec().prepare(runtime, bytes).await {
        Err(error) => (error, stalls.since(began).own()),
        Ok(_) => panic!("it was loaded"),
    }
}

const TIME: Duration = Duration::from_millis(500);

/// What starting and killing a child may add.
const SLACK: Duration = Duration::from_millis(500);

/// Enforced by `compile::compile` (the time-out that kills the child).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_compiling_ends_at_its_time_limit() {
    let runtime = runtime(|limits| limits.time = TIME);
    for (bomb, bytes) in [
        ("a huge function", huge_function(300_000)),
        ("a million functions", million_functions()),
    ] {
        let (error, took) = refused(&runtime, &bytes).await;
        assert_eq!(error.code(), Code::CompileLimit, "{bomb}: {error}");
        assert_eq!(error.code().kind(), Kind::InvalidComponent);
        assert!(error.to_string().contains("0.5 s"), "{error}");
        assert!(took < TIME + SLACK, "{bomb}: {took:?}");
    }
    odeon_tests::clock::until("the children are gone", Duration::from_secs(10), || {
        crate::child::children().is_empty()
    });
}

/// Enforced by `child::confine` (`RLIMIT_AS`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compiling_ends_at_its_memory_limit() {
    let runtime = runtime(|limits| limits.memory = 256 << 20);
    for (bomb, bytes) in [
        ("a huge function", huge_function(300_000)),
        ("a million functions", million_functions()),
    ] {
        let (error, _) = refused(&runtime, &bytes).await;
        assert_eq!(error.code(), Code::CompileLimit, "{bomb}: {error}");
        assert!(error.to_string().contains("256 MiB of memory"), "{bomb}: {error}");
    }
}

/// Enforced by `compile::run` (what it reads of the child's answer).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compiling_ends_at_its_output_limit() {
    let runtime = runtime(|limits| limits.output = 1 << 20);
    let bytes = functions(20_000, |function| {
        for _ in 0..8 {
            function.instruction(&Instruction::LocalGet(0));
            function.instruction(&Instruction::LocalGet(1));
            function.instruction(&Instruction::I32Add);
            function.instruction(&Instruction::LocalSet(1));
        }
        function.instruction(&Instruction::LocalGet(1));
    });
    let (error, _) = refused(&runtime, &bytes).await;
    assert_eq!(error.code(), Code::CompileLimit, "{error}");
    assert!(error.to_string().contains("larger than 1 MiB"), "{error}");
}

/// The runtime goes on with everything else meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_plugins_are_served_and_loaded_beside_a_bomb() {
    let runtime = runtime(|limits| limits.time = Duration::from_secs(3));
    let good = spec().load(&runtime, "sample-calculator").await;
    let bomb = huge_function(300_000);
    let exploding = refused(&runtime, &bomb);
    tokio::pin!(exploding);
    let served = async {
        while crate::child::children().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let stalls = Stalls::watch();
        let mut times = Vec::new();
        for _ in 0..100 {
            let began = Instant::now();
            call(&good, "math.add(1, 2)").await.unwrap();
            times.push((began, Instant::now()));
        }
        for (began, ended) in times {
            let took = stalls.between(began, ended);
            assert!(took.own() < Duration::from_millis(100), "{took:?}");
        }
        spec().load(&runtime, "sample-counter").await;
    };
    tokio::pin!(served);
    let first = futures::future::select(&mut exploding, &mut served).await;
    assert!(
        matches!(first, futures::future::Either::Right(_)),
        "the bomb was over before the rest was served"
    );
    let (error, _) = exploding.await;
    assert_eq!(error.code(), Code::CompileLimit, "{error}");
}

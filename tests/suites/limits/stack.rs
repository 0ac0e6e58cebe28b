//! The guest's stack: `limits.stack`, one size per engine class.

use odeon_authority::ByteSize;
use odeon_protocol::Code;
use odeon_runtime::EngineClass;
use odeon_tests::guests;
use odeon_tests::runtime::{call, runtime, spec, stopped_both_ways};

/// Enforced by `engine::common` (`max_wasm_stack`).
#[tokio::test]
async fn recursion_ends_with_the_stack_fault() {
    let runtime = runtime();
    for class in [EngineClass::Fast, EngineClass::Heavy, EngineClass::Async] {
        let plugin = spec().class(class).load(&runtime, "guest-spin").await;
        stopped_both_ways(&plugin, "cpu.recurse(1000000000)", Code::StackLimit).await;
        assert!(call(&plugin, "cpu.recurse(100)").await.is_ok());
    }
    let plugin = spec().load(&runtime, "wat-traps").await;
    stopped_both_ways(&plugin, "recurse", Code::StackLimit).await;
}

/// The stack that compiled programs keep in linear memory ends in a trap of
/// its own, which harms nobody.
#[tokio::test]
async fn recursion_with_large_frames_traps() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-spin").await;
    let (method, args, _) = odeon_tests::runtime::encode(&plugin, "cpu.recurse-with-frames(1000000)");
    let fault = plugin.call(method, args, Default::default()).await.unwrap_err();
    assert_eq!(fault.code, Code::Trapped, "{fault}");
    assert_eq!(plugin.stats().instances, 0);
}

/// A stack smaller than the engine's cannot be enforced, and is not promised.
#[tokio::test]
async fn a_stack_that_cannot_be_enforced_refuses_the_load() {
    let runtime = runtime();
    let bytes = guests::bytes("sample-calculator");
    let error = spec()
        .limits(|limits| limits.stack = ByteSize::kib(512))
        .prepare(&runtime, &bytes)
        .await
        .map(|_| ());
    assert!(error.is_ok());
    let error = spec()
        .limits(|limits| limits.stack = ByteSize::new((512 << 10) - 1))
        .prepare(&runtime, &bytes)
        .await
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.code(), Code::LimitUnsupported, "{error}");
}

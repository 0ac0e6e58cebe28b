//! How many parts an instance may be made of: `limits.core-instances`, and what
//! counts as its memory besides its linear memories.

use odeon_protocol::Code;
use odeon_runtime::EngineClass;
use odeon_tests::guests::{self, assemble};
use odeon_tests::runtime::{call, runtime, spec, stopped_both_ways};

/// Enforced by the pool. A thousand instances stand in a few hundred bytes,
/// three levels deep.
#[tokio::test]
async fn an_instance_bomb_does_not_fit() {
    let runtime = runtime();
    let outcome = spec().prepare(&runtime, &guests::bytes("wat-instances")).await;
    let error = outcome.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::DoesNotFit, "{error}");
    assert!(
        error.to_string().contains("1001 core module instances"),
        "{error}"
    );
}

/// Enforced by `Meter::instances`, where there is no pool to do it.
#[tokio::test]
async fn an_instance_bomb_ends_at_its_limit_without_a_pool() {
    let runtime = runtime();
    let heavy = spec().class(EngineClass::Heavy);
    let plugin = heavy.load(&runtime, "wat-instances").await;
    stopped_both_ways(&plugin, "answer", Code::InstanceLimit).await;
    let more = heavy.limits(|limits| limits.core_instances = 1001).memory(64);
    assert_eq!(
        call(&more.load(&runtime, "wat-instances").await, "answer")
            .await
            .unwrap(),
        "42"
    );
    let fewer = spec()
        .class(EngineClass::Heavy)
        .limits(|limits| limits.core_instances = 1000);
    stopped_both_ways(
        &fewer.load(&runtime, "wat-instances").await,
        "answer",
        Code::InstanceLimit,
    )
    .await;
}

#[tokio::test]
async fn as_many_core_instances_as_the_limit_says_do_fit() {
    let runtime = runtime();
    let bytes = guests::bytes("wat-memories");
    let nine = spec().limits(|limits| limits.core_instances = 9);
    let plugin = nine
        .prepare(&runtime, &bytes)
        .await
        .expect("eight memories and one that grows them");
    assert_eq!(call(&plugin, "grow-each(1)").await.unwrap(), "8");
    let eight = spec().limits(|limits| limits.core_instances = 8);
    let error = eight.prepare(&runtime, &bytes).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::DoesNotFit, "{error}");
}

/// A component of so many instances of a module with this in it.
fn made_of(instances: usize, module: &str) -> String {
    let many = "(core instance (instantiate $many))\n".repeat(instances);
    format!(
        "(component (core module $many {module})\n{many}
         (core module $m (func (export \"answer\") (result i32) (i32.const 42)))
         (core instance $i (instantiate $m))
         (func (export \"answer\") (result u32) (canon lift (core func $i \"answer\"))))"
    )
}

/// What the host keeps for globals is memory too. Enforced by `runtime::fits`.
#[tokio::test]
async fn globals_that_take_more_than_the_memory_do_not_fit() {
    let runtime = runtime();
    let globals = "(global (mut i64) (i64.const 0))".repeat(40_000);
    // 64 times 40,000 globals of 16 bytes: 39 MiB.
    let bytes = assemble(&made_of(63, &globals));
    let error = spec().memory(32).prepare(&runtime, &bytes).await.map(|_| ());
    let error = error.unwrap_err();
    assert_eq!(error.code(), Code::DoesNotFit, "{error}");
    assert!(error.to_string().contains("globals"), "{error}");
    let plugin = spec()
        .memory(64)
        .class(EngineClass::Heavy)
        .prepare(&runtime, &bytes)
        .await
        .unwrap();
    assert_eq!(call(&plugin, "answer").await.unwrap(), "42");
}

/// Memories take address space and mappings of the whole process, however
/// small they are. Enforced by `runtime::fits`.
#[tokio::test]
async fn hundreds_of_memories_do_not_fit() {
    let runtime = runtime();
    let bytes = assemble(&made_of(1, &"(memory 0)".repeat(33)));
    let error = spec().prepare(&runtime, &bytes).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::DoesNotFit, "{error}");
    assert!(error.to_string().contains("33 memories"), "{error}");
}

/// What nested components add up to is only known when they are made.
/// Enforced by `ResourceLimiter::memories`.
#[tokio::test]
async fn memories_of_nested_components_end_at_their_number_too() {
    let runtime = runtime();
    let memories = "(memory 0)".repeat(8);
    let nested = "(instance (instantiate $c))".repeat(5);
    let text = format!(
        "(component
           (component $c (core module $m {memories}) (core instance (instantiate $m)))
           {nested}
           (core module $m (func (export \"answer\") (result i32) (i32.const 42)))
           (core instance $i (instantiate $m))
           (func (export \"answer\") (result u32) (canon lift (core func $i \"answer\"))))"
    );
    let plugin = spec()
        .class(EngineClass::Heavy)
        .prepare(&runtime, &assemble(&text))
        .await
        .unwrap();
    stopped_both_ways(&plugin, "answer", Code::InstanceLimit).await;
}

/// A limit above what the pool has room for is kept by an engine without one,
/// or refused. Enforced by `runtime::beyond_pool`.
#[tokio::test]
async fn memory_beyond_the_pool_takes_another_engine_class() {
    let runtime = runtime();
    let bytes = guests::bytes("guest-spin");
    let large = spec().memory(256);
    let plugin = large.prepare(&runtime, &bytes).await.unwrap();
    assert_eq!(plugin.description().class, EngineClass::Heavy);
    let fast = large.class(EngineClass::Fast).prepare(&runtime, &bytes).await;
    let error = fast.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::LimitUnsupported, "{error}");
    let tables = spec().limits(|limits| limits.table_elements = 20_001);
    let plugin = tables.prepare(&runtime, &bytes).await.unwrap();
    assert_eq!(plugin.description().class, EngineClass::Heavy);
}

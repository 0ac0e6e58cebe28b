//! How many parts an instance may be made of: `limits.core-instances`.

use odeon_protocol::Code;
use odeon_runtime::EngineClass;
use odeon_tests::guests;
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

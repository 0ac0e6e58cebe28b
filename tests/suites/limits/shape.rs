//! How many parts an instance may be made of: `limits.core-instances`, and what
//! counts as its memory besides its linear memories.

use odeon_protocol::Code;
use odeon_runtime::EngineClass;
use odeon_tests::guests::{self, assemble};
use odeon_tests::runtime::{call, runtime, spec, stopped_both_ways};

/// A thousand instances stand in a few hundred bytes, three levels deep.
/// Enforced by `runtime::fits` with what `scan` has added up.
#[tokio::test]
async fn an_instance_bomb_does_not_fit() {
    let runtime = runtime();
    let bytes = guests::bytes("wat-instances");
    for class in [None, Some(EngineClass::Heavy)] {
        for (most, fits) in [(64, false), (1000, false), (1001, true)] {
            let mut spec = spec().memory(64).limits(|limits| limits.core_instances = most);
            if let Some(class) = class {
                spec = spec.class(class);
            }
            match spec.prepare(&runtime, &bytes).await {
                Ok(plugin) => {
                    assert!(fits, "{most}");
                    assert_eq!(plugin.description().class, EngineClass::Heavy);
                    assert_eq!(call(&plugin, "answer").await.unwrap(), "42");
                }
                Err(error) => {
                    assert!(!fits, "{error}");
                    assert_eq!(error.code(), Code::DoesNotFit, "{error}");
                    assert!(error.to_string().contains("1001 core instances"), "{error}");
                }
            }
        }
    }
}

/// A component that makes so many instances of the module that is handed to it,
/// which has this in it.
fn handed_on(instances: usize, module: &str) -> String {
    let many = "(core instance (instantiate $handed))\n".repeat(instances);
    format!(
        "(component
           (core module $many {module})
           (component $maker (import \"module\" (core module $handed)) {many})
           (instance (instantiate $maker (with \"module\" (core module $many))))
           (core module $m (func (export \"answer\") (result i32) (i32.const 42)))
           (core instance $i (instantiate $m))
           (func (export \"answer\") (result u32) (canon lift (core func $i \"answer\"))))"
    )
}

/// What the engine itself puts between two components is counted when it is
/// made, with all the others. Enforced by `Meter::instance_limit`.
#[tokio::test]
async fn instances_of_the_engine_itself_count_when_they_are_made() {
    let runtime = runtime();
    let callee = "(core module $c (func (export \"f\")))
        (core instance $i (instantiate $c))
        (func (export \"f\") (canon lift (core func $i \"f\")))";
    let caller = "(import \"f\" (func $f))
        (core func $g (canon lower (func $f)))
        (core module $c (import \"\" \"f\" (func)))
        (core instance (instantiate $c (with \"\" (instance (export \"f\" (func $g))))))";
    let text = format!(
        "(component
           (component $callee {callee})
           (component $caller {caller})
           (instance $e (instantiate $callee))
           (instance (instantiate $caller (with \"f\" (func $e \"f\"))))
           (core module $m (func (export \"answer\") (result i32) (i32.const 42)))
           (core instance $i (instantiate $m))
           (func (export \"answer\") (result u32) (canon lift (core func $i \"answer\"))))"
    );
    let bytes = assemble(&text);
    let most = |most: u64| {
        spec()
            .class(EngineClass::Heavy)
            .limits(|limits| limits.core_instances = most)
    };
    let four = most(4).prepare(&runtime, &bytes).await.unwrap();
    assert_eq!(call(&four, "answer").await.unwrap(), "42");
    let three = most(3).prepare(&runtime, &bytes).await.unwrap();
    stopped_both_ways(&three, "answer", Code::InstanceLimit).await;
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
    // 64 times 40,000 globals of 16 bytes: 39 MiB. Whoever hands a module on
    // does not say how often it is made: as often as instances may be.
    for text in [made_of(63, &globals), handed_on(60, &globals)] {
        let bytes = assemble(&text);
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
}

/// Memories take address space and mappings of the whole process, however
/// small they are: each counts as often as it is made, however deep. Enforced by
/// `runtime::fits` with what `scan` has added up.
#[tokio::test]
async fn hundreds_of_memories_do_not_fit() {
    let runtime = runtime();
    let one = "(core module $m (memory 0)) (core instance (instantiate $m))";
    let seven_of = |part: &str| {
        let parts = "(instance (instantiate $p))".repeat(7);
        format!("(component $p {part}) {parts}")
    };
    let nested = format!(
        "(component {}
           (core module $a (func (export \"answer\") (result i32) (i32.const 42)))
           (core instance $i (instantiate $a))
           (func (export \"answer\") (result u32) (canon lift (core func $i \"answer\"))))",
        seven_of(&seven_of(&seven_of(one)))
    );
    for (text, memories) in [
        (made_of(1, &"(memory 0)".repeat(33)), "33 memories"),
        (made_of(11, &"(memory 0)".repeat(3)), "33 memories"),
        (nested, "343 memories"),
    ] {
        for class in [None, Some(EngineClass::Heavy)] {
            let mut spec = spec().limits(|limits| limits.core_instances = 1000);
            if let Some(class) = class {
                spec = spec.class(class);
            }
            let refused = spec.prepare(&runtime, &assemble(&text)).await;
            let error = refused.map(|_| ()).unwrap_err();
            assert_eq!(error.code(), Code::DoesNotFit, "{error}");
            assert!(error.to_string().contains(memories), "{error}");
        }
    }
}

/// As many as fit into no pool go to the class that has none.
#[tokio::test]
async fn memories_choose_the_engine_class_by_how_often_they_are_made() {
    let runtime = runtime();
    for (instances, class) in [
        (8, EngineClass::Fast),
        (9, EngineClass::Heavy),
        (32, EngineClass::Heavy),
    ] {
        for text in [
            made_of(instances, "(memory 0)"),
            handed_on(instances, "(memory 0)"),
        ] {
            let plugin = spec().prepare(&runtime, &assemble(&text)).await.unwrap();
            assert_eq!(plugin.description().class, class, "{instances}");
            assert_eq!(call(&plugin, "answer").await.unwrap(), "42");
        }
    }
    let text = made_of(9, "(memory 0)");
    let fast = spec()
        .class(EngineClass::Fast)
        .prepare(&runtime, &assemble(&text))
        .await;
    let error = fast.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::DoesNotFit, "{error}");
    assert!(error.to_string().contains("9 memories"), "{error}");
}

/// Of a module that one component hands to another, the engine tells.
/// Enforced by `compile_here` with `resources_required`.
#[tokio::test]
async fn memories_of_modules_that_are_handed_on_count_too() {
    let runtime = runtime();
    let bytes = assemble(&handed_on(11, &"(memory 0)".repeat(3)));
    let error = spec().prepare(&runtime, &bytes).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::DoesNotFit, "{error}");
    assert!(error.to_string().contains("33 memories"), "{error}");
}

/// A part too large for a slot of the pool, which only the pool can tell, is
/// none for an engine without one. Enforced by `Runtime::prepare`.
#[tokio::test]
async fn a_part_that_no_slot_holds_goes_where_there_are_none() {
    let runtime = runtime();
    // 1.1 MiB of globals, in one instance.
    let text = made_of(1, &"(global (mut i64) (i64.const 0))".repeat(70_000));
    let plugin = spec().prepare(&runtime, &assemble(&text)).await.unwrap();
    assert_eq!(plugin.description().class, EngineClass::Heavy);
    assert_eq!(call(&plugin, "answer").await.unwrap(), "42");
    let fast = spec()
        .class(EngineClass::Fast)
        .prepare(&runtime, &assemble(&text))
        .await;
    assert_eq!(fast.map(|_| ()).unwrap_err().code(), Code::DoesNotFit);
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

//! Linear memory and tables: `limits.memory`, `limits.table-elements`.

use odeon_protocol::Code;
use odeon_runtime::{EngineClass, LoadError};
use odeon_tests::guests;
use odeon_tests::runtime::{call, hits, runtime, spec, stopped, stopped_both_ways};

/// Pages of 64 KiB in a MiB.
const PAGES_PER_MIB: u64 = 16;

/// Enforced by `Meter::memory_growing`.
#[tokio::test]
async fn growth_is_refused_at_the_limit() {
    let runtime = runtime();
    for touch in ["true", "false"] {
        let plugin = spec().memory(8).load(&runtime, "guest-spin").await;
        let grown = call(&plugin, &format!("memory.grow-until-refused({touch})"))
            .await
            .unwrap();
        let pages: u64 = grown.parse().unwrap();
        assert!(
            pages > 0 && pages < 8 * PAGES_PER_MIB,
            "it started with a few pages, and got {pages} more"
        );
    }
}

/// One page less than the limit and the limit itself fit, one page more does not.
#[tokio::test]
async fn the_limit_is_exact() {
    let runtime = runtime();
    let plugin = spec().memory(8).load(&runtime, "guest-spin").await;
    let free: u64 = call(&plugin, "memory.grow-until-refused(false)")
        .await
        .unwrap()
        .parse()
        .unwrap();
    let by = |pages: u64| format!("memory.grow-by({pages})");
    assert!(call(&plugin, &by(free)).await.unwrap().starts_with("some("));
    assert_eq!(call(&plugin, &by(free + 1)).await.unwrap(), "none");
    assert_eq!(call(&plugin, &by(65_535)).await.unwrap(), "none");
}

/// Every refusal is counted, and once: of a guest that goes on, and of one that
/// traps because of it. Enforced by `HostState::memory_growing`, `table_growing`
/// and `Shared::explained`.
#[tokio::test]
async fn refused_growth_is_counted_once() {
    let component = guests::assemble(
        "(component
           (core module $m
             (memory 1)
             (table 1 funcref)
             (func $memory (drop (memory.grow (i32.const 60000))))
             (func $table (drop (table.grow (ref.null func) (i32.const 60000))))
             (func (export \"memory\") (call $memory))
             (func (export \"memory-traps\") (call $memory) unreachable)
             (func (export \"table\") (call $table))
             (func (export \"table-traps\") (call $table) unreachable))
           (core instance $i (instantiate $m))
           (func (export \"memory\") (canon lift (core func $i \"memory\")))
           (func (export \"memory-traps\") (canon lift (core func $i \"memory-traps\")))
           (func (export \"table\") (canon lift (core func $i \"table\")))
           (func (export \"table-traps\") (canon lift (core func $i \"table-traps\"))))",
    );
    let runtime = runtime();
    let plugin = spec().memory(8).prepare(&runtime, &component).await.unwrap();
    let counted = || (hits(&plugin, "memory"), hits(&plugin, "table-elements"));
    assert_eq!(counted(), (0, 0));
    call(&plugin, "memory").await.unwrap();
    assert_eq!(counted(), (1, 0));
    stopped(&plugin, "memory-traps", Code::MemoryLimit).await;
    assert_eq!(counted(), (2, 0));
    call(&plugin, "table").await.unwrap();
    assert_eq!(counted(), (2, 1));
    stopped(&plugin, "table-traps", Code::TableLimit).await;
    assert_eq!(counted(), (2, 2));
}

/// An allocator that gives up traps; what is reported is why.
#[tokio::test]
async fn a_guest_that_needs_more_ends_with_the_memory_fault() {
    let runtime = runtime();
    let plugin = spec().memory(8).load(&runtime, "guest-spin").await;
    for ended in stopped_both_ways(&plugin, "memory.allocate-until-abort", Code::MemoryLimit).await {
        assert!(ended.fault.message.contains("8MiB"), "{}", ended.fault);
        assert_eq!(ended.fault.details.unwrap()["limit"], "memory");
    }
    stopped(&plugin, "memory.use-bytes(16000000)", Code::MemoryLimit).await;
    assert_eq!(call(&plugin, "memory.use-bytes(1000)").await.unwrap(), "1000");
}

/// A refusal long ago does not explain the trap of a later call.
#[tokio::test]
async fn a_refused_growth_is_forgotten_with_its_call() {
    let runtime = runtime();
    let plugin = spec().memory(8).resident().load(&runtime, "guest-spin").await;
    assert_eq!(call(&plugin, "memory.grow-by(60000)").await.unwrap(), "none");
    let (method, args, _) = odeon_tests::runtime::encode(&plugin, "ending.unreachable");
    let fault = plugin.call(method, args, Default::default()).await.unwrap_err();
    assert_eq!(fault.code, Code::Trapped, "{fault}");
}

/// The limit is on the sum over all memories of an instance.
#[tokio::test]
async fn many_small_memories_share_one_limit() {
    let runtime = runtime();
    // Eight memories of a page, and room for five times fifteen pages more.
    let plugin = spec()
        .limits(|limits| limits.memory = odeon_authority::ByteSize::kib((8 + 5 * 15) * 64))
        .load(&runtime, "wat-memories")
        .await;
    assert_eq!(call(&plugin, "grow-each(15)").await.unwrap(), "5");
    assert_eq!(call(&plugin, "grow-each(9)").await.unwrap(), "8");
}

/// The same limit holds where memory is mapped on demand.
#[tokio::test]
async fn the_limit_holds_in_every_class() {
    let runtime = runtime();
    for class in [EngineClass::Fast, EngineClass::Heavy, EngineClass::Async] {
        let plugin = spec().memory(8).class(class).load(&runtime, "guest-spin").await;
        assert_eq!(plugin.description().class, class);
        stopped(&plugin, "memory.allocate-until-abort", Code::MemoryLimit).await;
    }
}

/// More than the pool's slot has: the limit is then the slot.
#[tokio::test]
async fn a_limit_above_the_pools_slot_ends_at_the_slot() {
    let runtime = runtime();
    let plugin = spec().memory(1024).load(&runtime, "guest-spin").await;
    stopped(&plugin, "memory.allocate-until-abort", Code::MemoryLimit).await;
}

async fn refused(guest: &str) -> LoadError {
    let runtime = runtime();
    match spec().prepare(&runtime, &guests::bytes(guest)).await {
        Err(error) => error,
        Ok(_) => panic!("{guest} was loaded"),
    }
}

/// Enforced by `runtime::fits`, before any instance is made.
#[tokio::test]
async fn what_starts_larger_than_its_limits_does_not_fit() {
    let error = refused("wat-huge-memory").await;
    assert_eq!(error.code(), Code::DoesNotFit, "{error}");
    assert!(error.to_string().contains("limits.memory = 64MiB"), "{error}");
    let error = refused("wat-huge-table").await;
    assert_eq!(error.code(), Code::DoesNotFit, "{error}");
    assert!(
        error.to_string().contains("limits.table-elements = 20000"),
        "{error}"
    );
}

/// A 64-bit memory would not be held to a slot.
#[tokio::test]
async fn a_64_bit_memory_is_refused() {
    let error = refused("wat-memory64").await;
    assert_eq!(error.code(), Code::CompileFailed, "{error}");
}

/// Enforced by `Meter::table_growing`.
#[tokio::test]
async fn tables_grow_up_to_their_limit() {
    let runtime = runtime();
    let plugin = spec()
        .limits(|limits| limits.table_elements = 5000)
        .load(&runtime, "wat-tables")
        .await;
    assert_eq!(call(&plugin, "grow-until-refused").await.unwrap(), "4096");
    assert_eq!(call(&plugin, "grow-by(5000)").await.unwrap(), "true");
    assert_eq!(call(&plugin, "grow-by(5001)").await.unwrap(), "false");
}

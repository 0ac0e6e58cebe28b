//! Results that no guest may return, and types that no host can carry.

use std::time::Duration;

use odeon_protocol::{Code, Value};
use odeon_tests::clock::process_cpu;
use odeon_tests::guests::{self, assemble};
use odeon_tests::oracle::Oracle;
use odeon_tests::runtime::{call, runtime, spec, stopped, stopped_both_ways};

use crate::differential::direct;

/// Enforced by the checks in `codec::lift`: for each result, either the value
/// that the engine reads too, or a fault, never a byte from outside.
#[test]
fn broken_results_are_judged_as_the_engine_judges_them() {
    let bytes = guests::bytes("wat-bad-results");
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let runtime = runtime();
    let plugin = tokio.block_on(spec().prepare(&runtime, &bytes)).unwrap();
    let mut taken = Vec::new();
    for method in plugin.methods() {
        let ours = direct(&plugin, method, &[]);
        let theirs = Oracle::new(&bytes).call(None, &method.function, &method.ty, &[]);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                assert_eq!(ours, theirs, "{}", method.function);
                taken.push((method.function.to_string(), ours.unwrap()));
            }
            (Err(fault), Err(_)) => assert_eq!(fault.code, Code::BadResult, "{}: {fault}", method.function),
            (ours, theirs) => panic!("{}: found {ours:?}, the engine says {theirs:?}", method.function),
        }
    }
    let expected = [
        ("bool-two", Value::Bool(true)),
        ("u8-wide", Value::U8(0xff)),
        ("s8-wide", Value::S8(-128)),
        ("flags-wide", Value::Flags(vec![true; 3])),
    ];
    assert_eq!(taken, expected.map(|(name, value)| (name.to_owned(), value)));
    assert_eq!(plugin.stats().instances, 0);
}

/// Allocators that lie harm nobody but their guest.
#[tokio::test]
async fn lies_about_room_for_arguments_are_faults() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "wat-bad-realloc").await;
    for lie in [
        "outside(\"a longer text\")",
        "negative(\"text\")",
        "misaligned([1, 2, 3])",
    ] {
        for ended in stopped_both_ways(&plugin, lie, Code::Trapped).await {
            assert!(!ended.fault.message.is_empty());
        }
    }
    stopped_both_ways(&plugin, "traps(\"text\")", Code::Trapped).await;
    let many = format!(
        "({})",
        ["\"some text\""; 300].join(", ").replacen('"', "[\"", 1) + "]"
    );
    for harmless in ["same", "grows"] {
        assert_eq!(call(&plugin, &format!("{harmless}{many}")).await.unwrap(), "()");
    }
}

/// Enforced by `codec::lift` (`BadValue::Encoding`).
#[tokio::test]
async fn utf16_strings_are_refused_with_a_reason() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "wat-utf16").await;
    for ended in stopped_both_ways(&plugin, "greet", Code::NotCarriable).await {
        assert!(ended.fault.message.contains("UTF-8"), "{}", ended.fault);
    }
}

/// Enforced by `shape::carriable`.
#[tokio::test]
async fn handles_do_not_leave_their_store() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-echo").await;
    let make = plugin
        .methods()
        .iter()
        .find(|method| &*method.function == "make")
        .unwrap();
    assert!(make.ty.result.as_ref().unwrap().handle().is_some());
    let fault = plugin
        .call(make.id, vec![1, 0, 0, 0], Default::default())
        .await
        .unwrap_err();
    assert_eq!(fault.code, Code::NotCarriable, "{fault}");
    let peek = plugin
        .methods()
        .iter()
        .find(|method| &*method.function == "peek")
        .unwrap();
    let fault = plugin
        .call(peek.id, vec![1, 0, 0, 0], Default::default())
        .await
        .unwrap_err();
    assert_eq!(fault.code, Code::NotCarriable, "{fault}");
    assert_eq!(plugin.stats().instances, 0);
}

/// Eight thousand strings that are all the same 60 KiB of guest memory: 64 KiB
/// in the guest, 480 MiB outside.
const AMPLIFIER: &str = r#"
(component
  (core module $m
    (memory (export "memory") 3)
    (func (export "strings") (result i32) (local $i i32)
      (memory.fill (i32.const 65536) (i32.const 0x61) (i32.const 61440))
      (loop $next
        (i32.store (i32.add (i32.const 1024) (i32.shl (local.get $i) (i32.const 3))) (i32.const 65536))
        (i32.store (i32.add (i32.const 1028) (i32.shl (local.get $i) (i32.const 3))) (i32.const 61440))
        (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 8000))))
      (i32.store (i32.const 0) (i32.const 1024))
      (i32.store (i32.const 4) (i32.const 8000))
      (i32.const 0)))
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $memory))
  (func (export "strings") (result (list string)) (canon lift (core func $i "strings") (memory $memory))))
"#;

/// Enforced while the result is read, not after: nothing of it is built beyond
/// the message limit.
#[tokio::test]
async fn a_result_that_repeats_itself_ends_at_the_message_limit() {
    let runtime = runtime();
    let plugin = spec().prepare(&runtime, &assemble(AMPLIFIER)).await.unwrap();
    let before = peak();
    let cpu = process_cpu();
    let ended = stopped(&plugin, "strings", Code::ResultTooLarge).await;
    assert!(ended.fault.message.contains("16MiB"), "{}", ended.fault);
    let grown = peak() - before;
    assert!(grown < 128 << 10, "reading it took {} MiB", grown >> 10);
    // A system may count what it took of a core as the thread's that was on it.
    let most = Duration::from_millis(500) + ended.after.lost;
    assert!(process_cpu() - cpu < most);
}

/// The most memory this process ever had, in KiB.
fn peak() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

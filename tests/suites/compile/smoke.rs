//! Nearly right input for what the runtime reads: components, and what a
//! compile child answers. Nothing panics, and every end is a value.

use std::fs;

use odeon_protocol::test_util::arb_damage;
use odeon_runtime::{CompileError, Runtime, RuntimeConfig};
use odeon_tests::guests;
use odeon_tests::runtime::{config, runtime};
use proptest::test_runner::{Config, TestRunner};

use crate::child::script;

/// Damaged inputs of each kind.
const CASES: u32 = 100;

fn runner() -> TestRunner {
    TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    })
}

/// Read by `scan` and `describe`; compiled in this process, so that a panic
/// is the test's own.
#[test]
fn nearly_right_components_are_described_or_refused() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let runtime = runtime();
    let (mut described, mut refused) = (0, 0);
    for guest in [
        "wat-traps",
        "wat-missing-imports",
        "wat-bad-results",
        "wat-instances",
    ] {
        let good = guests::bytes(guest);
        let described_whole = tokio.block_on(runtime.describe(&good, None));
        described_whole.unwrap_or_else(|error| panic!("{guest}: {error}"));
        let counts = std::cell::Cell::new((0, 0));
        let outcome = runner().run(&arb_damage(good), |bytes| {
            let (good, bad) = counts.get();
            counts.set(match tokio.block_on(runtime.describe(&bytes, None)) {
                Ok(_) => (good + 1, bad),
                Err(CompileError::Process(why)) => panic!("{guest}: {why}"),
                Err(_) => (good, bad + 1),
            });
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{guest}: {error}"));
        described += counts.get().0;
        refused += counts.get().1;
    }
    assert!(
        described > 0 && refused > 0,
        "expected some of both: {described}, {refused}"
    );
}

/// Enforced by `child::parse`. The native code in an answer is not run here.
#[test]
fn nearly_right_answers_of_a_compiler_are_taken_or_refused() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let answer = folder.path().join("answer");
    let component = guests::bytes("wat-traps");
    let using = |text: &str| {
        let compiler = script(folder.path(), text);
        Runtime::new(RuntimeConfig { compiler, ..config() }).unwrap()
    };
    // A real one is written down on its way.
    let recording = using(&format!(
        "{} \"$@\" | tee {answer}",
        guests::odeon().display(),
        answer = answer.display()
    ));
    let described = tokio.block_on(recording.describe(&component, None));
    let described = described.expect("a compiler's own answer");
    let good = fs::read(&answer).unwrap();
    let length = u32::from_le_bytes(good[2..6].try_into().unwrap()) as usize;
    // What stands before the native code is what is parsed: the walls, a length, the head.
    let head = good[..6 + length].to_vec();
    let repeating = using(&format!("cat > /dev/null; cat {}", answer.display()));
    let outcome = runner().run(&arb_damage(head), |bytes| {
        fs::write(&answer, [&bytes[..], &good[6 + length..]].concat()).unwrap();
        match tokio.block_on(repeating.describe(&component, None)) {
            Ok(other) if bytes == good[..6 + length] => assert_eq!(other, described),
            Ok(_) | Err(CompileError::Process(_)) => {}
            Err(error) => panic!("expected an answer or none, found {error}"),
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

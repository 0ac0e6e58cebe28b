//! What the verdict is made of.

use super::*;

#[test]
fn a_broken_step_is_one_failure_and_what_needs_it_is_not_run() {
    let mut report = Report { steps: Vec::new() };
    let first = report.step("first", None, || {
        Ok(Outcome::Counted(Count { passed: 3, failed: 1 }))
    });
    let second = report.step("second", None, || anyhow::bail!("no"));
    report.step("third", needs(second, "second"), || unreachable!("it is not run"));
    report.step("fourth", None, || Ok(Outcome::Passed));
    assert!(first && !second);
    assert_eq!(report.total(), Count { passed: 3, failed: 2 });
    assert!(!report.print());
    assert_eq!(describe(&report.steps[2].outcome), "not run, needs `second`");
}

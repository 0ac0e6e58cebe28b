//! How many tests passed and failed, from what test runners leave behind.

use std::ops::Add;

use anyhow::{Context, Result};

/// Tests that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: u64,
    pub(super) failed: u64,
}

impl Add for Count {
    type Output = Count;

    fn add(self, other: Count) -> Count {
        Count {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
        }
    }
}

impl Count {
    /// From the totals that the root element of a JUnit file carries.
    pub(super) fn from_junit(text: &str) -> Result<Count> {
        let (_, root) = text
            .split_once("<testsuites")
            .context("the JUnit file has no <testsuites>")?;
        let (root, _) = root.split_once('>').context("the JUnit file is cut off")?;
        let tests = attribute(root, "tests")?;
        let failed = attribute(root, "failures")? + attribute(root, "errors")?;
        // Only newer releases count what was filtered out.
        let skipped = if root.contains(" skipped=") {
            attribute(root, "skipped")?
        } else {
            0
        };
        let passed = tests
            .checked_sub(failed + skipped)
            .context("the JUnit file counts more failures than tests")?;
        Ok(Count { passed, failed })
    }

    /// From the lines that Rust's own test harness prints, one per binary:
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    pub(super) fn from_libtest(text: &str) -> Count {
        text.lines()
            .filter_map(|line| line.trim().strip_prefix("test result: "))
            .map(|line| Count {
                passed: before(line, " passed"),
                failed: before(line, " failed"),
            })
            .fold(Count::default(), Add::add)
    }
}

/// The value of ` name="…"` in a tag.
fn attribute(tag: &str, name: &str) -> Result<u64> {
    tag.split_once(&format!(" {name}=\""))
        .and_then(|(_, rest)| rest.split_once('"'))
        .and_then(|(value, _)| value.parse().ok())
        .with_context(|| format!("the JUnit file has no number of `{name}`"))
}

/// The number that stands directly before `word`.
fn before(line: &str, word: &str) -> u64 {
    line.split_once(word)
        .and_then(|(head, _)| head.rsplit(' ').next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junit_totals_come_from_the_root_element() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
            <testsuites name="nextest-run" tests="8" skipped="1" failures="2" errors="1" uuid="x" time="0.1">
            <testsuite name="a" tests="99" failures="99" errors="0"><testcase name="x > y"/></testsuite></testsuites>"#;
        assert_eq!(Count::from_junit(text).unwrap(), Count { passed: 4, failed: 3 });
    }

    #[test]
    fn a_cut_or_impossible_junit_file_is_an_error_and_not_a_success() {
        assert!(Count::from_junit("").is_err());
        assert!(Count::from_junit("<testsuites tests=\"1\"").is_err());
        assert!(Count::from_junit("<testsuites tests=\"1\">").is_err());
        assert!(Count::from_junit("<testsuites tests=\"1\" failures=\"2\" errors=\"0\">").is_err());
    }

    #[test]
    fn doctest_results_of_all_crates_are_summed() {
        let text = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\n\
            noise\n\
            test result: FAILED. 12 passed; 2 failed; 0 ignored; 0 measured\n";
        assert_eq!(
            Count::from_libtest(text),
            Count {
                passed: 15,
                failed: 2
            }
        );
    }
}

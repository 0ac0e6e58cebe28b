//! The arithmetic, on the machine itself: no component is needed for it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

#[track_caller]
fn check(steps: Vec<Step>, expected: &str) {
    assert_eq!(format!("{:?}", Calculator::evaluate(steps)), expected);
}

#[test]
fn steps_run_over_a_stack() {
    use Operator::{Add, Divide, Multiply, Subtract};
    use Step::{Number, Operator as Do};
    check(
        vec![Number(2.0), Number(3.0), Do(Multiply), Number(1.0), Do(Subtract)],
        "Ok(5.0)",
    );
    check(
        vec![Number(1.0), Number(0.0), Do(Divide)],
        "Err(MathError::DivideByZero)",
    );
    check(vec![Number(1.0), Do(Add)], "Err(MathError::Operands(1))");
    check(vec![Number(1.0), Number(2.0)], "Err(MathError::Unfinished(1))");
    check(vec![], "Err(MathError::Unfinished(0))");
}

#[test]
fn steps_are_bounded() {
    let steps = |count: usize| {
        let pairs = [Step::Number(1.0), Step::Operator(Operator::Add)]
            .into_iter()
            .cycle();
        [Step::Number(1.0)]
            .into_iter()
            .chain(pairs)
            .take(count)
            .collect::<Vec<_>>()
    };
    // An odd count ends with an operator, so it leaves one number.
    check(steps(MAX_STEPS - 1), "Ok(5000.0)");
    check(steps(MAX_STEPS), "Err(MathError::Unfinished(1))");
    check(steps(MAX_STEPS + 1), "Err(MathError::TooMany(10000))");
}

#[test]
fn what_leaves_a_range_is_an_error() {
    assert!(matches!(
        Calculator::checked_add(u32::MAX, 1),
        Err(MathError::Overflow(_))
    ));
    assert!(matches!(
        Calculator::div_rem(i64::MIN, -1),
        Err(MathError::Overflow(_))
    ));
    assert!(matches!(Calculator::div_rem(1, 0), Err(MathError::DivideByZero)));
    assert_eq!(Calculator::div_rem(-7, 2).unwrap(), (-3, -1));
}

#[test]
fn a_summary_needs_a_number_and_a_deviation_two() {
    assert!(matches!(Calculator::summarize(vec![]), Err(MathError::TooFew(1))));
    assert_eq!(Calculator::summarize(vec![3.0]).unwrap().deviation, None);
    assert_eq!(
        Calculator::summarize(vec![1.0, 3.0]).unwrap().deviation,
        Some(2.0_f64.sqrt())
    );
}

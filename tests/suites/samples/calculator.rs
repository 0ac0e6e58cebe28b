//! The calculator: records, variants, options and tuples through a component.

use crate::host::Sample;

#[tokio::test]
async fn calculations_in_postfix_order_have_a_result_or_say_what_is_wrong() {
    let sample = Sample::load("calculator").await;
    for (steps, answer) in [
        ("[number(2.0), number(3.0), operator(multiply)]", "ok(6)"),
        (
            "[number(1.0), number(4.0), operator(subtract), number(0.5), operator(divide)]",
            "ok(-6)",
        ),
        (
            "[number(1.0), number(0.0), operator(divide)]",
            "err(divide-by-zero)",
        ),
        ("[number(1.0), operator(add)]", "err(operands(1))"),
        ("[number(1.0), number(2.0)]", "err(unfinished(1))"),
        ("[]", "err(unfinished(0))"),
    ] {
        assert_eq!(sample.ask(&format!("evaluate({steps})")).await, answer, "{steps}");
    }
    let steps = vec!["number(1.0)"; 10_001].join(", ");
    assert_eq!(
        sample.ask(&format!("evaluate([{steps}])")).await,
        "err(too-many(10000))"
    );
}

#[tokio::test]
async fn a_summary_has_a_deviation_from_two_numbers_on() {
    let sample = Sample::load("calculator").await;
    assert_eq!(
        sample.ask("summarize([2.0, 4.0, 6.0])").await,
        "ok({count: 3, minimum: 2, maximum: 6, mean: 4, deviation: some(2)})"
    );
    assert_eq!(
        sample.ask("summarize([5.0])").await,
        "ok({count: 1, minimum: 5, maximum: 5, mean: 5})"
    );
    assert_eq!(sample.ask("summarize([])").await, "err(too-few(1))");
}

#[tokio::test]
async fn whole_numbers_are_divided_and_added_within_their_range() {
    let sample = Sample::load("calculator").await;
    for (invocation, answer) in [
        ("div-rem(17, 5)", "ok((3, 2))"),
        ("div-rem(-7, 2)", "ok((-3, -1))"),
        ("div-rem(1, 0)", "err(divide-by-zero)"),
        (
            "div-rem(-9223372036854775808, -1)",
            r#"err(overflow("-9223372036854775808 / -1"))"#,
        ),
        ("checked-add(4294967294, 1)", "ok(4294967295)"),
        ("checked-add(4294967295, 1)", r#"err(overflow("4294967295 + 1"))"#),
        ("add(4294967295, 1)", "0"),
    ] {
        assert_eq!(sample.ask(invocation).await, answer, "{invocation}");
    }
}

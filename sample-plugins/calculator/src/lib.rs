//! A calculator. It imports nothing, so it can do nothing but calculate.

odeon_sdk::plugin!();

use exports::odeon_samples::calculator::math::{Guest, MathError, Operator, Step, Summary};

/// Steps of one calculation; more than that is refused, not computed.
const MAX_STEPS: usize = 10_000;

struct Calculator;

impl Guest for Calculator {
    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    fn checked_add(a: u32, b: u32) -> Result<u32, MathError> {
        a.checked_add(b)
            .ok_or_else(|| MathError::Overflow(format!("{a} + {b}")))
    }

    fn divide(dividend: f64, divisor: f64) -> Result<f64, MathError> {
        if divisor == 0.0 {
            Err(MathError::DivideByZero)
        } else {
            Ok(dividend / divisor)
        }
    }

    fn div_rem(dividend: i64, divisor: i64) -> Result<(i64, i64), MathError> {
        if divisor == 0 {
            return Err(MathError::DivideByZero);
        }
        match (dividend.checked_div(divisor), dividend.checked_rem(divisor)) {
            (Some(quotient), Some(remainder)) => Ok((quotient, remainder)),
            _ => Err(MathError::Overflow(format!("{dividend} / {divisor}"))),
        }
    }

    fn evaluate(steps: Vec<Step>) -> Result<f64, MathError> {
        if steps.len() > MAX_STEPS {
            return Err(MathError::TooMany(MAX_STEPS as u32));
        }
        let mut stack = Vec::new();
        for (index, step) in (0..).zip(steps) {
            let value = match step {
                Step::Number(number) => number,
                Step::Operator(operator) => {
                    let (Some(right), Some(left)) = (stack.pop(), stack.pop()) else {
                        return Err(MathError::Operands(index));
                    };
                    apply(operator, left, right)?
                }
            };
            stack.push(value);
        }
        match (stack.pop(), stack.len()) {
            (Some(value), 0) => Ok(value),
            (_, left_over) => Err(MathError::Unfinished(left_over as u32)),
        }
    }

    fn summarize(numbers: Vec<f64>) -> Result<Summary, MathError> {
        if numbers.is_empty() {
            return Err(MathError::TooFew(1));
        }
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
        Ok(Summary {
            count: numbers.len() as u32,
            minimum: numbers.iter().copied().fold(f64::INFINITY, f64::min),
            maximum: numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            mean,
            deviation: (numbers.len() > 1).then(|| (squares / (count - 1.0)).sqrt()),
        })
    }
}

fn apply(operator: Operator, left: f64, right: f64) -> Result<f64, MathError> {
    match operator {
        Operator::Add => Ok(left + right),
        Operator::Subtract => Ok(left - right),
        Operator::Multiply => Ok(left * right),
        Operator::Divide => Calculator::divide(left, right),
    }
}

export!(Calculator);

#[cfg(test)]
mod tests;

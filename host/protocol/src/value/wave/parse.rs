//! Reading WAVE.
//!
//! `wasm-wave` turns text into a tree, which `tree` reads as a type; `mistakes`
//! says what is wrong with text that makes none. The parser of `wasm-wave`
//! refuses more than a hundred levels, so neither it nor this runs out of
//! stack.

mod mistakes;
mod off;
mod tree;

use std::ops::Range;

use wasm_wave::{parser::ParserErrorKind, untyped::UntypedValue};

use self::{
    mistakes::syntax,
    off::{Off, Read},
    tree::Reader,
};
use super::WaveError;
use crate::{
    limits::ValueLimits,
    types::{FunctionType, Type},
    value::{
        Value,
        misfit::Misfit,
        path::{Located as _, Step},
        wit::{arguments, parameters},
    },
};

/// Reads one value.
pub(super) fn value(ty: &Type, text: &str, limits: &ValueLimits) -> Read {
    measure(text.len(), limits)?;
    let tree = UntypedValue::parse(text).map_err(|e| syntax(&e, text))?;
    let mut reader = Reader::new(text, limits);
    reader.value(ty, tree.node(), limits.max_depth)
}

/// Reads arguments separated by commas.
pub(super) fn args(function: &FunctionType, text: &str, limits: &ValueLimits) -> Read<Vec<Value>> {
    measure(text.len(), limits)?;
    // The parser knows only whole values, so the arguments become a tuple; the
    // line break ends a comment on the last line.
    let tuple = format!("({text}\n)");
    let back = |off: Box<Off>| {
        let Range { start, end } = off.span;
        Box::new(Off {
            span: start.saturating_sub(1)..end.saturating_sub(1),
            ..*off
        })
    };
    let tree = match UntypedValue::parse(&tuple) {
        Ok(tree) => Some(tree),
        Err(error) if error.kind() == ParserErrorKind::EmptyTuple && error.span() == (0..tuple.len()) => None,
        Err(error) => return Err(back(syntax(&error, &tuple))),
    };
    let mut reader = Reader::new(&tuple, limits);
    let nodes = match &tree {
        Some(tree) => tree
            .node()
            .as_tuple()
            .map_err(|e| back(syntax(&e, &tuple)))?
            .collect(),
        None => Vec::new(),
    };
    let given = nodes.len();
    if let (Some(first), Some(last)) = (nodes.get(function.params.len()), nodes.last()) {
        let misfit = Misfit::new(parameters(function), arguments(given));
        return Err(back(Off::explained(first.span().start..last.span().end, misfit)));
    }
    let values = function
        .params
        .iter()
        .zip(nodes)
        .enumerate()
        .map(|(index, (param, node))| {
            let value = reader.value(&param.ty, node, limits.max_depth);
            value.map_err(|e| back(e).within(Step::Argument(index, &param.name)))
        });
    let values = values.collect::<Read<Vec<_>>>()?;
    complete(function, values, text.len())
}

/// Reads arguments from one text each.
pub(super) fn each<T: AsRef<str>>(
    function: &FunctionType,
    texts: &[T],
    limits: &ValueLimits,
) -> Result<Vec<Value>, WaveError> {
    if let Some(first) = texts.get(function.params.len()) {
        let misfit = Misfit::new(parameters(function), arguments(texts.len()));
        let whole = 0..first.as_ref().len();
        let error = Off::explained(whole, misfit).finish(first.as_ref());
        return Err(WaveError {
            text: Some(function.params.len()),
            ..error
        });
    }
    let mut values = Vec::with_capacity(function.params.len());
    for (index, (param, text)) in function.params.iter().zip(texts).enumerate() {
        let text = text.as_ref();
        let read = value(&param.ty, text, limits).map_err(|e| {
            let error = e.within(Step::Argument(index, &param.name)).finish(text);
            WaveError {
                text: Some(index),
                ..error
            }
        });
        values.push(read?);
    }
    complete(function, values, 0).map_err(|e| e.finish(""))
}

/// Adds the options that were left out at the end.
fn complete(function: &FunctionType, mut values: Vec<Value>, end: usize) -> Read<Vec<Value>> {
    let given = values.len();
    for param in function.params.iter().skip(given) {
        if !matches!(param.ty, Type::Option(_)) {
            let misfit = Misfit::new(parameters(function), arguments(given));
            return Err(Off::explained(end..end, misfit));
        }
        values.push(Value::none());
    }
    Ok(values)
}

fn measure(length: usize, limits: &ValueLimits) -> Read<()> {
    if length > limits.max_text {
        let misfit = Misfit::new(
            format!("at most {} bytes of text", limits.max_text),
            format!("{length} bytes"),
        );
        return Err(Off::explained(0..0, misfit));
    }
    Ok(())
}

//! From what the user typed to the arguments of a call.
//!
//! Owns choosing a method among a plugin's, and checking arguments against its
//! type before anything is sent or run. What is wrong is shown in the user's
//! own text, with the method's signature beside it.

use std::{ops::Range, str::FromStr};

use odeon_protocol::{
    FunctionType, MemberPath, MethodPathError, MethodRow, PluginName, ResolveError, ValueLimits, json,
    resolve_member, shortest_member, signature, wave, wire,
};

use crate::{
    answer::LIMITS,
    failure::{Failure, Place},
    output::Done,
};

/// Arguments as the user gave them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given<'a> {
    /// All of a call: `add(1, 2)`.
    Call(&'a str),
    /// One WAVE text each.
    Words(&'a [String]),
    /// JSON: an array, or an object by name.
    Json(&'a str),
}

/// A path in the user's own text.
#[derive(Clone, Debug)]
pub(crate) struct Written<'a, P> {
    pub(crate) path: P,
    pub(crate) text: &'a str,
    pub(crate) span: Range<usize>,
}

impl<'a, P: FromStr<Err = MethodPathError>> Written<'a, P> {
    /// Reads the path in this part of the text; `expected` is its form.
    pub(crate) fn read(text: &'a str, span: Range<usize>, expected: &str) -> Done<Self> {
        let name = text.get(span.clone()).unwrap_or_default();
        match name.parse() {
            Ok(path) => Ok(Written { path, text, span }),
            Err(error) => {
                let mut failure = Failure::usage(error.to_string());
                failure.place = Some(Place {
                    text: text.to_owned(),
                    span,
                    label: format!("expected {expected}"),
                });
                Err(failure)
            }
        }
    }
}

/// Reads all of a call, `add(1, 2)`, as far as its path.
pub(crate) fn path_of<'a, P>(text: &'a str, expected: &str) -> Done<Written<'a, P>>
where
    P: FromStr<Err = MethodPathError>,
{
    let invocation = wave::parse_invocation(text).map_err(|error| Failure::wave(&error, text))?;
    let start = text.find(invocation.name).unwrap_or_default();
    Written::read(text, start..start.saturating_add(invocation.name.len()), expected)
}

/// The row of the method that this path stands for.
pub(crate) fn choose<'a>(
    methods: &'a [MethodRow],
    path: &MemberPath,
    written: (&str, Range<usize>),
) -> Done<&'a MethodRow> {
    let exports: Vec<_> = methods
        .iter()
        .map(|row| (row.interface.as_deref(), row.function.as_str()))
        .collect();
    let found = match resolve_member(&exports, path) {
        Ok(index) => methods.get(index),
        Err(error) => {
            let mut failure = unresolved(error, methods);
            let (text, span) = written;
            failure.place = Some(Place {
                text: text.to_owned(),
                span,
                label: "expected one function of the component".into(),
            });
            return Err(failure);
        }
    };
    found.ok_or_else(|| {
        Failure::new(
            odeon_protocol::Code::MethodNotFound,
            format!("no function {path}"),
        )
    })
}

fn unresolved(error: ResolveError, methods: &[MethodRow]) -> Box<Failure> {
    /// Signatures that are listed when no name is near.
    const LISTED: usize = 12;
    let near = match &error {
        ResolveError::NotFound { nearest, .. } => nearest.clone(),
        ResolveError::Ambiguous { candidates, .. } => candidates.clone(),
    };
    let failure: Box<Failure> = error.into();
    let is_near = |row: &MethodRow| near.contains(&full(row)) || near.contains(&short(row, methods));
    let mut rows: Vec<&MethodRow> = methods.iter().filter(|row| is_near(row)).collect();
    if rows.is_empty() {
        rows = methods.iter().take(LISTED).collect();
    }
    if rows.is_empty() {
        return failure.helped("the component exports no functions");
    }
    let more = if near.is_empty() {
        methods.len().saturating_sub(rows.len())
    } else {
        0
    };
    let failure = rows
        .iter()
        .fold(failure, |failure, row| failure.helped(line(row, methods)));
    if more > 0 {
        failure.helped(format!("and {more} more"))
    } else {
        failure
    }
}

/// The interface and function as exported.
fn full(row: &MethodRow) -> String {
    match &row.interface {
        Some(interface) => format!("{interface}.{}", row.function),
        None => row.function.clone(),
    }
}

/// The shortest form of a method among these, without its plugin.
pub(crate) fn short(row: &MethodRow, methods: &[MethodRow]) -> String {
    let exports: Vec<_> = methods
        .iter()
        .map(|row| (row.interface.as_deref(), row.function.as_str()))
        .collect();
    let index = methods.iter().position(|other| std::ptr::eq(other, row));
    index
        .and_then(|index| shortest_member(&exports, index))
        .unwrap_or_else(|| full(row))
}

/// The one path of a method that is never ambiguous.
pub(crate) fn target(plugin: &PluginName, row: &MethodRow) -> String {
    format!("{plugin}/{}", full(row))
}

/// A method with its signature, as a list shows it.
pub(crate) fn line(row: &MethodRow, methods: &[MethodRow]) -> String {
    signature(&short(row, methods), &row.ty)
}

/// The wire form of the arguments, checked against the method's type.
pub(crate) fn encode(row: &MethodRow, given: Given<'_>) -> Done<Vec<u8>> {
    read(&row.ty, given, &LIMITS)
        .and_then(|values| Ok(wire::encode_args(&row.ty, &values, &LIMITS)?))
        .map_err(|failure| failure.helped(signature(&row.function, &row.ty)))
}

fn read(ty: &FunctionType, given: Given<'_>, limits: &ValueLimits) -> Done<Vec<odeon_protocol::Value>> {
    match given {
        Given::Call(text) => {
            let invocation = wave::parse_invocation(text).map_err(|error| Failure::wave(&error, text))?;
            invocation
                .parse_args(ty, limits)
                .map_err(|error| Failure::wave(&error, text))
        }
        Given::Words(words) => wave::parse_each(ty, words, limits).map_err(|error| of_words(&error, words)),
        Given::Json(text) => {
            let document = json::parse(text)
                .map_err(|error| not_json("--args", "the arguments as JSON", &error, text))?;
            json::args_from(ty, &document, limits).map_err(|error| misfit(&error, text))
        }
    }
}

/// An error in one of several words, shown in all of them.
fn of_words(error: &wave::WaveError, words: &[String]) -> Box<Failure> {
    let start = match error.text {
        // Each word before it, and the space behind that.
        Some(index) => words.iter().take(index).map(|word| word.len() + 1).sum(),
        // It is about all of them: what is missing is missing at the end.
        None => words.join(" ").len(),
    };
    Failure::wave(&error.clone().moved(start), &words.join(" "))
}

/// JSON that does not fit, shown where it stands.
fn misfit(error: &json::JsonError, text: &str) -> Box<Failure> {
    let mut failure = Failure::usage(error.to_string());
    failure.place = Some(Place {
        text: text.to_owned(),
        span: json::locate(text, &error.path),
        label: format!("expected {}", error.expected),
    });
    failure
}

/// The text of a flag that is no JSON, shown where it ends to be some.
pub(crate) fn not_json(flag: &str, expected: &str, error: &serde_json::Error, text: &str) -> Box<Failure> {
    let mut failure = Failure::usage(format!("{flag}: expected {expected}: {error}"));
    let before: usize = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    let at = text.floor_char_boundary((before + error.column().saturating_sub(1)).min(text.len()));
    failure.place = Some(Place {
        text: text.to_owned(),
        span: at..at,
        label: "here".into(),
    });
    failure
}

#[cfg(test)]
mod tests {
    use odeon_protocol::{Code, Field, Fingerprint, Type};

    use super::*;

    fn method(interface: Option<&str>, function: &str, params: &[(&str, Type)]) -> MethodRow {
        let params = params
            .iter()
            .map(|(name, ty)| Field {
                name: (*name).into(),
                ty: ty.clone(),
            })
            .collect();
        let ty = FunctionType {
            params,
            result: Some(Type::U32),
            is_async: false,
        };
        MethodRow {
            interface: interface.map(str::to_owned),
            function: function.into(),
            path: String::new(),
            fingerprint: Fingerprint::of(&ty),
            ty,
        }
    }

    fn add() -> MethodRow {
        method(None, "add", &[("a", Type::U32), ("b", Type::U32)])
    }

    #[test]
    fn the_three_ways_to_give_arguments_are_the_same() {
        let ways = [
            Given::Call("add(1, 2)"),
            Given::Words(&["1".into(), "2".into()]),
            Given::Json("[1, 2]"),
            Given::Json("{\"b\": 2, \"a\": 1}"),
        ];
        for given in ways {
            assert_eq!(
                encode(&add(), given).unwrap(),
                [1, 0, 0, 0, 2, 0, 0, 0],
                "{given:?}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_shown_where_it_stands() {
        let words = ["1".to_owned(), "\"two\"".to_owned()];
        for (given, part) in [
            (Given::Call("add(1, \"two\")"), "\"two\""),
            (Given::Words(&words), "\"two\""),
            (Given::Call("add(1, 2, 3)"), "3"),
        ] {
            let failure = encode(&add(), given).unwrap_err();
            let place = failure.place.unwrap();
            assert!(place.text[place.span].contains(part), "{given:?}");
            assert_eq!(failure.fault.code, Code::InvalidArguments);
            assert_eq!(failure.help, ["add: func(a: u32, b: u32) -> u32"]);
        }
    }

    #[test]
    fn a_long_text_is_for_the_host_to_refuse() {
        let row = method(None, "same", &[("text", Type::String)]);
        let long = format!("\"{}\"", "x".repeat(5 << 20));
        assert_eq!(encode(&row, Given::Words(&[long])).unwrap().len(), (5 << 20) + 4);
    }

    #[test]
    fn what_is_missing_is_pointed_at_behind_the_last_word() {
        let failure = encode(&add(), Given::Words(&["1".into()])).unwrap_err();
        assert_eq!(failure.place.unwrap().span, 1..1);
    }

    #[test]
    fn json_that_does_not_fit_is_pointed_at() {
        let failure = encode(&add(), Given::Json("{\"a\": 1, \"b\": \"x\"}")).unwrap_err();
        let place = failure.place.unwrap();
        assert_eq!(&place.text[place.span], "\"x\"");
    }

    #[test]
    fn broken_json_is_pointed_at() {
        let failure = encode(&add(), Given::Json("[1,\n 2,,]")).unwrap_err();
        assert_eq!(failure.place.unwrap().span, 7..7);
    }

    #[test]
    fn a_function_that_is_not_there_names_those_that_are_near() {
        let methods = [add(), method(Some("acme:calc/math@1.0.0"), "sub", &[])];
        let failure = choose(&methods, &"ad".parse().unwrap(), ("ad(1)", 0..2)).unwrap_err();
        assert_eq!(failure.place.unwrap().span, 0..2);
        assert_eq!(failure.fault.code, Code::MethodNotFound);
        assert_eq!(failure.help, ["add: func(a: u32, b: u32) -> u32"]);
        assert_eq!(
            choose(&methods, &"math.sub".parse().unwrap(), ("", 0..0))
                .unwrap()
                .function,
            "sub"
        );
    }
}

//! Reading WAVE.
//!
//! `wasm-wave` turns text into a tree; here the tree is read as a type. Its
//! parser refuses more than a hundred levels, so neither it nor this runs out
//! of stack.

use std::{ops::Range, str::FromStr};

use wasm_wave::{
    ast::{Node, NodeType},
    lex::Keyword,
    parser::{ParserError, ParserErrorKind},
    untyped::UntypedValue,
};

use super::WaveError;
use crate::{
    limits::ValueLimits,
    types::{FunctionType, Type},
    value::{
        Value,
        budget::Budget,
        error::Problem,
        misfit::{Misfit, SHOWN, in_words},
        names::{Fields, find_case, find_enum, set_flag},
        path::{Located, Step},
        wit::{arguments, cut, parameters},
    },
};

/// Something wrong at some bytes of the text.
#[derive(Debug)]
pub(super) struct Off {
    span: Range<usize>,
    misfit: Misfit,
    /// Whether `misfit.found` says more than the text at the span would.
    explained: bool,
}

type Read<T = Value> = Result<T, Box<Off>>;

impl Located for Off {
    fn path_mut(&mut self) -> &mut String {
        &mut self.misfit.path
    }
}

impl Off {
    #[cold]
    fn new(span: Range<usize>, expected: impl Into<String>) -> Box<Self> {
        let misfit = Misfit {
            path: String::new(),
            expected: expected.into(),
            found: String::new(),
        };
        Box::new(Off {
            span,
            misfit,
            explained: false,
        })
    }

    #[cold]
    fn explained(span: Range<usize>, misfit: impl Into<Box<Misfit>>) -> Box<Self> {
        Box::new(Off {
            span,
            misfit: *misfit.into(),
            explained: true,
        })
    }

    /// The error as a caller sees it, for the text that it gave.
    pub(super) fn finish(self, text: &str) -> WaveError {
        let Off {
            span,
            misfit:
                Misfit {
                    path,
                    expected,
                    found,
                },
            explained,
        } = self;
        let start = floor(text, span.start);
        let end = ceil(text, span.end).max(start);
        let shown = match text.get(start..end) {
            None | Some("") => "the end of the text".into(),
            Some(part) => format!("`{}`", cut(part, SHOWN)),
        };
        let found = if explained { found } else { shown };
        WaveError {
            span: start..end,
            expected,
            found,
            path,
            text: None,
        }
    }
}

fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

fn ceil(text: &str, at: usize) -> usize {
    text.ceil_char_boundary(at.min(text.len()))
}

/// Reads one value.
pub(super) fn value(ty: &Type, text: &str, limits: &ValueLimits) -> Read {
    measure(text.len(), limits)?;
    let tree = UntypedValue::parse(text).map_err(|e| syntax(&e, text))?;
    let mut reader = Reader {
        source: text,
        budget: Budget::new(limits),
    };
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
    let mut reader = Reader {
        source: &tuple,
        budget: Budget::new(limits),
    };
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

/// An error of the grammar, where no type is known yet.
fn syntax(error: &ParserError, source: &str) -> Box<Off> {
    let span = error.span();
    if let Some(mistake) = familiar(source, &span) {
        return mistake;
    }
    let expected = match error.kind() {
        ParserErrorKind::UnexpectedEnd => {
            return Off::new(usize::MAX..usize::MAX, "a value or a closing bracket");
        }
        ParserErrorKind::UnexpectedToken => "a value, a comma or a closing bracket",
        ParserErrorKind::TrailingCharacters => "the end of the text",
        ParserErrorKind::InvalidEscape => ESCAPES,
        ParserErrorKind::EmptyTuple => "at least one value in a tuple",
        ParserErrorKind::MultipleChars => "one character",
        ParserErrorKind::DuplicateField => "each field once",
        ParserErrorKind::DuplicateFlag => "each flag once",
        ParserErrorKind::NestingTooDeep => "at most 100 levels of nesting",
        ParserErrorKind::InvalidMultilineString => {
            return Off::new(
                span,
                error
                    .detail()
                    .unwrap_or("a well-formed text in three double quotes"),
            );
        }
        _ => "a WAVE value: a number, a name, \"text\", 'c', [list], (tuple) or {record}",
    };
    Off::new(span, expected)
}

const ESCAPES: &str = r#"one of the escapes \n \t \r \\ \' \" \u{…}, the last with a character's number"#;

/// A mistake that people make who write other languages, where the grammar
/// alone would name the token that it did not understand.
fn familiar(source: &str, span: &Range<usize>) -> Option<Box<Off>> {
    let start = floor(source, span.start);
    let (before, rest) = source.split_at(start);
    let mut letters = rest.chars();
    match letters.next()? {
        '"' if !rest.starts_with("\"\"\"") => {
            let end = start + 1 + closing(rest.get(1..)?, '"');
            let text = source.get(start + 1..end).unwrap_or_default();
            if let Some(at) = unknown_escape(text) {
                let at = start + 1 + at;
                return Some(Off::new(at..ceil(source, at + 2), ESCAPES));
            }
            if source.get(end..).is_none_or(|rest| !rest.starts_with('"')) {
                return Some(Off::new(start..end, "a closing quotation mark behind the text"));
            }
            let opens = before.trim_end().ends_with(['{', ',']);
            let is_field = source.get(end + 1..)?.trim_start().starts_with(':');
            (opens && is_field).then(|| {
                let expected = format!("the field's name without quotation marks: {text}");
                Off::new(start..end + 1, expected)
            })
        }
        '\'' => {
            let end = start + 1 + closing(rest.get(1..)?, '\'');
            let text = source.get(start + 1..end).unwrap_or_default();
            if let Some(at) = unknown_escape(text) {
                let at = start + 1 + at;
                return Some(Off::new(at..ceil(source, at + 2), ESCAPES));
            }
            let is_closed = source.get(end..).is_some_and(|rest| rest.starts_with('\''));
            // A well-formed one is only in the wrong place.
            (!is_closed || !is_one_character(text)).then(|| {
                let expected = "one character between single quotes; texts have double ones";
                Off::new(start..ceil(source, end + 1), expected)
            })
        }
        letter if letter.is_alphanumeric() => {
            let is_part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
            let from = before.rfind(|c| !is_part(c)).map_or(0, |at| ceil(source, at + 1));
            let word = source.get(from..)?.split(|c| !is_part(c)).next()?;
            let small = word.to_lowercase();
            // A part in capital letters alone is part of a name, too.
            let is_mixed =
                |part: &str| part.contains(char::is_uppercase) && part.contains(char::is_lowercase);
            let is_wrong = word.starts_with(char::is_alphabetic) && word.split('-').any(is_mixed);
            is_wrong.then(|| {
                let expected = format!(
                    "`{small}`: names are in small letters, or words of them in capital ones, with dashes \
                     between words"
                );
                Off::new(from..from + word.len(), expected)
            })
        }
        _ => None,
    }
}

/// Where the text ends that stands in these quotation marks: at the one that
/// closes it, at the end of its line, or where there is no more.
fn closing(text: &str, mark: char) -> usize {
    let mut escaped = false;
    let end = text.char_indices().find(|(_, c)| {
        let ends = (*c == mark && !escaped) || *c == '\n';
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at)
}

/// Whether this is what stands between the quotation marks of a character.
fn is_one_character(text: &str) -> bool {
    match text.strip_prefix('\\') {
        Some(escape) if escape.starts_with('u') => escape.ends_with('}'),
        Some(escape) => escape.chars().count() == 1,
        None => text.chars().count() == 1,
    }
}

/// Where a backslash stands that begins no escape.
fn unknown_escape(text: &str) -> Option<usize> {
    let mut rest = text.char_indices();
    while let Some((at, c)) = rest.next() {
        if c == '\\' && !rest.next().is_some_and(|(_, c)| "ntr\\'\"u".contains(c)) {
            return Some(at);
        }
    }
    None
}

struct Reader<'s> {
    source: &'s str,
    budget: Budget,
}

impl<'s> Reader<'s> {
    fn value(&mut self, ty: &Type, node: &Node, depth: usize) -> Read {
        let limit = |problem: Problem| Off::explained(node.span(), problem);
        let below = self.budget.descend(depth).map_err(limit)?;
        Ok(match ty {
            Type::Bool => Value::Bool(node.as_bool().map_err(|_| wrong(ty, node))?),
            Type::S8 => Value::S8(self.number(ty, node)?),
            Type::U8 => Value::U8(self.number(ty, node)?),
            Type::S16 => Value::S16(self.number(ty, node)?),
            Type::U16 => Value::U16(self.number(ty, node)?),
            Type::S32 => Value::S32(self.number(ty, node)?),
            Type::U32 => Value::U32(self.number(ty, node)?),
            Type::S64 => Value::S64(self.number(ty, node)?),
            Type::U64 => Value::U64(self.number(ty, node)?),
            Type::F32 => {
                let number: f32 = self.number(ty, node)?;
                self.finite(ty, node, number.is_infinite())?;
                Value::F32(number)
            }
            Type::F64 => {
                let number: f64 = self.number(ty, node)?;
                self.finite(ty, node, number.is_infinite())?;
                Value::F64(number)
            }
            Type::Char => Value::Char(node.as_char(self.source).map_err(|e| self.leaf(ty, node, &e))?),
            Type::Handle(name) => {
                return Err(limit(Problem::Handle {
                    name: name.to_string(),
                }));
            }
            _ => {
                self.budget.charge(1).map_err(limit)?;
                self.compound(ty, node, below)?
            }
        })
    }

    fn compound(&mut self, ty: &Type, node: &Node, below: usize) -> Read {
        Ok(match ty {
            Type::String => {
                let text = node.as_str(self.source).map_err(|e| self.leaf(ty, node, &e))?;
                Value::String(text.into_owned())
            }
            Type::List(element) => self.list(ty, element, node, below)?,
            Type::FixedList(element, count) => {
                let list = self.list(ty, element, node, below)?;
                let length = match &list {
                    Value::Bytes(bytes) => bytes.len(),
                    Value::List(items) => items.len(),
                    _ => 0,
                };
                if length != *count as usize {
                    let misfit = Misfit::of(ty, format!("{length} elements"));
                    return Err(Off::explained(node.span(), misfit));
                }
                list
            }
            Type::Map(key, value) => {
                let mut pairs = Vec::new();
                for (index, item) in node.as_list().map_err(|_| wrong(ty, node))?.enumerate() {
                    let index = Step::Index(index);
                    let parts: Vec<&Node> = item.as_tuple().map(Iterator::collect).unwrap_or_default();
                    let [k, v] = parts.as_slice() else {
                        return Err(Off::new(item.span(), "a pair (key, value)").within(index));
                    };
                    let k = self.value(key, k, below);
                    let k = k.map_err(|e| e.within(Step::Name("key")).within(index))?;
                    let v = self.value(value, v, below);
                    pairs.push((k, v.map_err(|e| e.within(Step::Name("value")).within(index))?));
                }
                Value::Map(pairs)
            }
            Type::Record(declared) => {
                let mut fields = Fields::new(declared);
                // `{}` is an empty set of flags to the grammar, and an empty
                // record to people.
                let is_empty = node
                    .as_flags(self.source)
                    .is_ok_and(|mut flags| flags.next().is_none());
                if !is_empty {
                    for (name, item) in node.as_record(self.source).map_err(|_| wrong(ty, node))? {
                        let (index, field) = fields
                            .find(name)
                            .map_err(|e| Off::explained(self.span_of(name), e))?;
                        let value = self.value(&field.ty, item, below);
                        fields.put(index, value.map_err(|e| e.within(Step::Name(&field.name)))?);
                    }
                }
                let values = fields.finish(&mut self.budget);
                Value::Record(values.map_err(|e| Off::explained(node.span(), e))?)
            }
            Type::Tuple(types) => {
                let items = node.as_tuple().map_err(|_| wrong(ty, node))?;
                if items.len() != types.len() {
                    let misfit = Misfit::of(ty, format!("{} elements", items.len()));
                    return Err(Off::explained(node.span(), misfit));
                }
                let values = types.iter().zip(items).enumerate().map(|(index, (ty, item))| {
                    self.value(ty, item, below)
                        .map_err(|e| e.within(Step::Index(index)))
                });
                Value::Tuple(values.collect::<Read<_>>()?)
            }
            Type::Variant(cases) => {
                let (name, carried) = node.as_variant(self.source).map_err(|_| self.keyword(ty, node))?;
                let (case, declared) =
                    find_case(cases, name).map_err(|e| Off::explained(self.span_of(name), e))?;
                let payload = self.payload(declared.ty.as_ref(), name, node, carried, below)?;
                Value::Variant { case, payload }
            }
            Type::Enum(names) => {
                let name = node.as_enum(self.source).map_err(|_| self.keyword(ty, node))?;
                Value::Enum(find_enum(names, name).map_err(|e| Off::explained(self.span_of(name), e))?)
            }
            Type::Option(inner) => match node.as_option() {
                Ok(None) => Value::none(),
                Ok(Some(carried)) => {
                    Value::Option(self.payload(Some(inner), "some", node, Some(carried), below)?)
                }
                // A plain value is `some`, unless that could be read two ways.
                Err(_) if is_plain(inner) => Value::some(self.value(inner, node, below)?),
                Err(_) => return Err(wrong(ty, node)),
            },
            Type::Result(ok, err) => match (node.as_result(), ok.as_deref()) {
                (Ok(Ok(carried)), ok) => Value::Result(Ok(self.payload(ok, "ok", node, carried, below)?)),
                (Ok(Err(carried)), _) => {
                    Value::Result(Err(self.payload(err.as_deref(), "err", node, carried, below)?))
                }
                (Err(_), Some(ok)) if is_plain(ok) => {
                    Value::Result(Ok(Some(Box::new(self.value(ok, node, below)?))))
                }
                (Err(_), _) => return Err(wrong(ty, node)),
            },
            Type::Flags(names) => {
                let mut set = vec![false; names.len()];
                for name in node.as_flags(self.source).map_err(|_| wrong(ty, node))? {
                    let plain = name.strip_prefix('%').unwrap_or(name);
                    set_flag(names, &mut set, plain).map_err(|e| Off::explained(self.span_of(name), e))?;
                }
                Value::Flags(set)
            }
            // `value` has dealt with all the others.
            scalar => self.value(scalar, node, below)?,
        })
    }

    fn list(&mut self, ty: &Type, element: &Type, node: &Node, below: usize) -> Read {
        let items = node.as_list().map_err(|_| wrong(ty, node))?;
        let mut values = Vec::new();
        let mut bytes = Vec::new();
        for (index, item) in items.enumerate() {
            match self
                .value(element, item, below)
                .map_err(|e| e.within(Step::Index(index)))?
            {
                Value::U8(byte) => bytes.push(byte),
                value => values.push(value),
            }
        }
        Ok(if *element == Type::U8 {
            Value::Bytes(bytes)
        } else {
            Value::List(values)
        })
    }

    fn payload(
        &mut self,
        ty: Option<&Type>,
        case: &str,
        node: &Node,
        carried: Option<&Node>,
        below: usize,
    ) -> Read<Option<Box<Value>>> {
        match (ty, carried) {
            (Some(ty), Some(carried)) => {
                let value = self
                    .value(ty, carried, below)
                    .map_err(|e| e.within(Step::Name(case)))?;
                Ok(Some(Box::new(value)))
            }
            (None, None) => Ok(None),
            (Some(ty), None) => Err(Off::new(
                node.span(),
                format!("`{case}(…)` with {}", in_words(ty)),
            )),
            (None, Some(_)) => Err(Off::new(node.span(), format!("`{case}` without a payload"))),
        }
    }

    fn number<T: FromStr>(&self, ty: &Type, node: &Node) -> Read<T> {
        node.as_number(self.source).map_err(|_| wrong(ty, node))
    }

    /// Infinity has to be written as such, not as a number too large.
    fn finite(&self, ty: &Type, node: &Node, infinite: bool) -> Read<()> {
        let text = self.source.get(node.span()).unwrap_or_default();
        if infinite && !text.ends_with("inf") {
            let expected = format!("{} within its range, or inf", in_words(ty));
            Err(Off::new(node.span(), expected))
        } else {
            Ok(())
        }
    }

    /// A word of the grammar where the name of a case belongs.
    fn keyword(&self, ty: &Type, node: &Node) -> Box<Off> {
        let text = self.source.get(node.span()).unwrap_or_default();
        let word = text.split('(').next().unwrap_or_default();
        let is_case = match ty {
            Type::Variant(cases) => cases.iter().any(|case| *case.name == *word),
            Type::Enum(names) => names.iter().any(|name| **name == *word),
            _ => false,
        };
        let expected = match (is_case, Keyword::decode(word)) {
            (false, _) => return wrong(ty, node),
            (true, Some(_)) => format!("`%{word}`: {word} is a word of the grammar, so the case needs a %"),
            (true, None) => format!("`{word}` without a payload"),
        };
        Off::new(node.span(), expected)
    }

    /// A leaf that is of the right sort but spelled wrongly, or of another sort.
    fn leaf(&self, ty: &Type, node: &Node, error: &ParserError) -> Box<Off> {
        match error.kind() {
            ParserErrorKind::InvalidType => wrong(ty, node),
            _ => syntax(error, self.source),
        }
    }

    /// Where a name is that was cut out of the source.
    fn span_of(&self, name: &str) -> Range<usize> {
        let start = (name.as_ptr() as usize).saturating_sub(self.source.as_ptr() as usize);
        start..start + name.len()
    }
}

fn is_plain(ty: &Type) -> bool {
    !matches!(ty, Type::Option(_) | Type::Result(..))
}

fn wrong(ty: &Type, node: &Node) -> Box<Off> {
    let span = node.span();
    match (ty, node.ty()) {
        (Type::String | Type::Char, NodeType::Label) => {
            Off::new(span, format!("{}; the quotes are missing", in_words(ty)))
        }
        (Type::Char, NodeType::String) => Off::new(span, "char (one character in single quotes)"),
        _ => Off::new(span, in_words(ty)),
    }
}

//! The tree of a text, read as a type.
//!
//! Owns what belongs where, by type; the bytes that do not are `off`'s to show.
//! Every level and every value below the first is charged to the budget.

use std::{ops::Range, str::FromStr};

use wasm_wave::{
    ast::{Node, NodeType},
    lex::Keyword,
    parser::{ParserError, ParserErrorKind},
};

use super::{
    mistakes::syntax,
    off::{Off, Read},
};
use crate::{
    limits::ValueLimits,
    types::Type,
    value::{
        Value,
        budget::Budget,
        error::Problem,
        misfit::{Misfit, in_words},
        names::{Fields, find_case, find_enum, set_flag},
        path::{Located as _, Step},
    },
};

pub(super) struct Reader<'s> {
    source: &'s str,
    budget: Budget,
}

impl<'s> Reader<'s> {
    pub(super) fn new(source: &'s str, limits: &ValueLimits) -> Self {
        Reader {
            source,
            budget: Budget::new(limits),
        }
    }

    pub(super) fn value(&mut self, ty: &Type, node: &Node, depth: usize) -> Read {
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

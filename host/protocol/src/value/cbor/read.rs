//! Reading CBOR as a type, by the items that `read::items` takes apart.

mod items;

use minicbor::{Decoder, data::Type as Kind};

use self::items::Items;
use super::typed::{Layout, number};
use crate::{
    limits::ValueLimits,
    types::{FunctionType, Type},
    value::{
        Value,
        budget::Budget,
        error::Problem,
        misfit::{Misfit, in_words, quoted},
        names::{Fields, find_case, find_enum, set_flag},
        path::{Located as _, Step},
        wit::{arguments, parameters},
    },
};

type Read<T = Value> = Result<T, Box<Misfit>>;

pub(super) struct Reader<'b> {
    input: Decoder<'b>,
    budget: Budget,
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8], limits: &ValueLimits) -> Read<Self> {
        if bytes.len() > limits.max_bytes {
            return Err(Problem::TooLong {
                limit: limits.max_bytes,
            }
            .into());
        }
        Ok(Reader {
            input: Decoder::new(bytes),
            budget: Budget::new(limits),
        })
    }

    /// That everything was read.
    pub(super) fn end(&self) -> Read<()> {
        match self.input.input().len().saturating_sub(self.input.position()) {
            0 => Ok(()),
            left => Err(Misfit::new("the end", format!("{left} more bytes"))),
        }
    }

    pub(super) fn null(&mut self) -> Read<()> {
        match self.kind()? {
            Kind::Null => self.input.null().map_err(|e| self.malformed(&e)),
            Kind::Undefined => self.input.undefined().map_err(|e| self.malformed(&e)),
            _ => Err(Misfit::new("null", self.found())),
        }
    }

    pub(super) fn args(&mut self, function: &FunctionType, depth: usize) -> Read<Vec<Value>> {
        match self.kind()? {
            Kind::Array | Kind::ArrayIndef => {
                let mut items = self.array()?;
                let mut values = Vec::with_capacity(function.params.len());
                for (index, param) in function.params.iter().enumerate() {
                    if !self.more(&mut items)? {
                        return Err(Misfit::new(parameters(function), arguments(values.len())));
                    }
                    let value = self.value(&param.ty, depth);
                    values.push(value.map_err(|e| e.within(Step::Argument(index, &param.name)))?);
                }
                match self.more(&mut items)? {
                    true => Err(Misfit::new(parameters(function), "more arguments")),
                    false => Ok(values),
                }
            }
            Kind::Map | Kind::MapIndef => {
                let mut items = self.map()?;
                let mut fields = Fields::new(&function.params);
                while self.more(&mut items)? {
                    let (index, param) = fields.find(&self.text("the name of a parameter")?)?;
                    let value = self.value(&param.ty, depth);
                    fields.put(
                        index,
                        value.map_err(|e| e.within(Step::Argument(index, &param.name)))?,
                    );
                }
                fields.finish(&mut self.budget)
            }
            _ => Err(Misfit::new(
                "an array of the arguments, or a map by their names",
                self.found(),
            )),
        }
    }

    /// Reads one value of type `ty`, which may be `depth` levels deep.
    pub(super) fn value(&mut self, ty: &Type, depth: usize) -> Read {
        let below = self.budget.descend(depth)?;
        Ok(match ty {
            Type::Bool => match self.kind()? {
                Kind::Bool => Value::Bool(self.input.bool().map_err(|e| self.malformed(&e))?),
                _ => return Err(self.wrong(ty)),
            },
            Type::S8 => Value::S8(self.integer(ty)?),
            Type::U8 => Value::U8(self.integer(ty)?),
            Type::S16 => Value::S16(self.integer(ty)?),
            Type::U16 => Value::U16(self.integer(ty)?),
            Type::S32 => Value::S32(self.integer(ty)?),
            Type::U32 => Value::U32(self.integer(ty)?),
            Type::S64 => Value::S64(self.integer(ty)?),
            Type::U64 => Value::U64(self.integer(ty)?),
            Type::F32 => Value::F32(self.narrow(ty)?),
            Type::F64 => Value::F64(self.float(ty)?),
            Type::Char => {
                let text = self.text("one character")?;
                let mut chars = text.chars();
                match (chars.next(), chars.next()) {
                    (Some(only), None) => Value::Char(only),
                    _ => return Err(Misfit::of(ty, quoted(&text))),
                }
            }
            Type::Handle(name) => {
                return Err(Problem::Handle {
                    name: name.to_string(),
                }
                .into());
            }
            _ => {
                self.budget.charge(1)?;
                self.compound(ty, below)?
            }
        })
    }

    fn compound(&mut self, ty: &Type, below: usize) -> Read {
        Ok(match ty {
            Type::String => Value::String(self.text_of(ty)?),
            Type::List(element) => self.list(ty, element, None, below)?,
            Type::FixedList(element, count) => self.list(ty, element, Some(*count), below)?,
            Type::Map(key, value) => {
                let mut items = self.map_of(ty)?;
                let mut pairs = Vec::new();
                while self.more(&mut items)? {
                    let index = Step::Index(pairs.len());
                    let key = self.value(key, below);
                    let key = key.map_err(|e| e.within(Step::Name("key")).within(index))?;
                    let value = self.value(value, below);
                    pairs.push((
                        key,
                        value.map_err(|e| e.within(Step::Name("value")).within(index))?,
                    ));
                }
                Value::Map(pairs)
            }
            Type::Record(declared) => {
                let mut items = self.map_of(ty)?;
                let mut fields = Fields::new(declared);
                while self.more(&mut items)? {
                    let (index, field) = fields.find(&self.text("the name of a field")?)?;
                    let value = self.value(&field.ty, below);
                    fields.put(index, value.map_err(|e| e.within(Step::Name(&field.name)))?);
                }
                Value::Record(fields.finish(&mut self.budget)?)
            }
            Type::Tuple(types) => {
                let mut items = self.array_of(ty)?;
                let mut values = Vec::new();
                for (index, part) in types.iter().enumerate() {
                    if !self.more(&mut items)? {
                        return Err(Misfit::of(ty, format!("{index} elements")));
                    }
                    values.push(
                        self.value(part, below)
                            .map_err(|e| e.within(Step::Index(index)))?,
                    );
                }
                if self.more(&mut items)? {
                    return Err(Misfit::of(ty, "more elements"));
                }
                Value::Tuple(values)
            }
            Type::Variant(cases) => {
                let (name, mut items) = self.case(ty)?;
                let (case, declared) = find_case(cases, &name)?;
                let payload = self.payload(declared.ty.as_ref(), &name, items.as_mut(), below)?;
                Value::Variant { case, payload }
            }
            Type::Enum(names) => Value::Enum(find_enum(names, &self.text_of(ty)?)?),
            Type::Option(inner) => {
                if matches!(self.kind()?, Kind::Null | Kind::Undefined) {
                    self.null()?;
                    Value::none()
                } else if matches!(**inner, Type::Option(_)) {
                    match self.case(ty)? {
                        (name, Some(mut items)) if name == "some" => {
                            let value = self.payload(Some(inner), "some", Some(&mut items), below)?;
                            Value::Option(value)
                        }
                        (name, _) => return Err(Misfit::new("null or {\"some\": …}", quoted(&name))),
                    }
                } else {
                    Value::some(self.value(inner, below)?)
                }
            }
            Type::Result(ok, err) => match self.case(ty)? {
                (name, Some(mut items)) if name == "ok" => {
                    Value::Result(Ok(self.payload(ok.as_deref(), "ok", Some(&mut items), below)?))
                }
                (name, Some(mut items)) if name == "err" => Value::Result(Err(self.payload(
                    err.as_deref(),
                    "err",
                    Some(&mut items),
                    below,
                )?)),
                (name, _) => {
                    return Err(Misfit::new("{\"ok\": …} or {\"err\": …}", quoted(&name)));
                }
            },
            Type::Flags(names) => {
                let mut items = self.array_of(ty)?;
                let mut set = vec![false; names.len()];
                let mut index = 0;
                while self.more(&mut items)? {
                    let name = self.text("the name of a flag");
                    name.and_then(|name| set_flag(names, &mut set, &name))
                        .map_err(|e| e.within(Step::Index(index)))?;
                    index += 1;
                }
                Value::Flags(set)
            }
            // `value` has dealt with all the others.
            scalar => self.value(scalar, below)?,
        })
    }

    /// A byte string, a typed array or a plain array.
    fn list(&mut self, ty: &Type, element: &Type, count: Option<u32>, below: usize) -> Read {
        let is_bytes = *element == Type::U8;
        let mut values = Vec::new();
        let mut bytes = Vec::new();
        match (self.kind()?, Layout::of(element)) {
            (Kind::Bytes | Kind::BytesIndef, _) if is_bytes => bytes = self.byte_string()?,
            (Kind::Tag, Some(layout)) => {
                let tag = self.input.tag().map_err(|e| self.malformed(&e))?.as_u64();
                if tag != layout.little && tag != layout.big {
                    let expected = format!("{}: a typed array with tag {}", in_words(ty), layout.little);
                    return Err(Misfit::new(expected, format!("tag {tag}")));
                }
                let raw = self.byte_string()?;
                if is_bytes {
                    bytes = raw;
                } else if raw.len() % layout.width == 0 {
                    let big = tag != layout.little;
                    let numbers = raw.chunks_exact(layout.width);
                    values.extend(numbers.filter_map(|chunk| number(element, chunk, big)));
                } else {
                    let expected = format!("a multiple of {} bytes in a typed array", layout.width);
                    return Err(Misfit::new(expected, format!("{} bytes", raw.len())));
                }
            }
            (Kind::Array | Kind::ArrayIndef, _) => {
                let mut items = self.array()?;
                while self.more(&mut items)? {
                    let index = Step::Index(values.len() + bytes.len());
                    match self.value(element, below).map_err(|e| e.within(index))? {
                        Value::U8(byte) if is_bytes => bytes.push(byte),
                        value => values.push(value),
                    }
                }
            }
            _ => return Err(self.wrong(ty)),
        }
        let length = values.len() + bytes.len();
        if length > 0 {
            self.budget.descend(below)?;
        }
        if count.is_some_and(|count| count as usize != length) {
            return Err(Misfit::of(ty, format!("{length} elements")));
        }
        Ok(if is_bytes {
            Value::Bytes(bytes)
        } else {
            Value::List(values)
        })
    }

    /// `"case"`, or the beginning of `{"case": payload}`.
    fn case(&mut self, ty: &Type) -> Read<(String, Option<Items>)> {
        match self.kind()? {
            Kind::String | Kind::StringIndef => Ok((self.text("a case")?, None)),
            Kind::Map | Kind::MapIndef => {
                let mut items = self.map()?;
                if !self.more(&mut items)? {
                    return Err(Misfit::of(ty, "an empty map"));
                }
                Ok((self.text("the name of a case")?, Some(items)))
            }
            _ => Err(self.wrong(ty)),
        }
    }

    /// The rest of `{"case": payload}`, if it was begun.
    fn payload(
        &mut self,
        ty: Option<&Type>,
        case: &str,
        items: Option<&mut Items>,
        below: usize,
    ) -> Read<Option<Box<Value>>> {
        let value = match (ty, &items) {
            (Some(ty), Some(_)) => {
                let value = self.value(ty, below).map_err(|e| e.within(Step::Name(case)))?;
                Some(Box::new(value))
            }
            (None, Some(_)) => {
                self.null().map_err(|e| e.within(Step::Name(case)))?;
                None
            }
            (None, None) => None,
            (Some(ty), None) => {
                let expected = format!("{{\"{case}\": …}} with {}", in_words(ty));
                return Err(Misfit::new(expected, format!("\"{case}\"")));
            }
        };
        if let Some(items) = items
            && self.more(items)?
        {
            return Err(Misfit::new("a map with one entry", "more entries"));
        }
        Ok(value)
    }
}

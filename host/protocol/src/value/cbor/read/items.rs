//! Single items of CBOR: numbers, texts, byte strings, and the beginnings of
//! arrays and maps.
//!
//! Owns what an item is and what is said of one that does not belong there.
//! Knows no compound types; what is allocated is what was read.

use minicbor::{data::Type as Kind, decode};

use super::{Read, Reader};
use crate::{types::Type, value::misfit::Misfit};

/// How many items of an array or a map are still to come.
pub(super) struct Items {
    /// `None` while the end is marked rather than counted.
    left: Option<u64>,
}

impl Reader<'_> {
    pub(super) fn kind(&mut self) -> Read<Kind> {
        self.input.datatype().map_err(|e| self.malformed(&e))
    }

    pub(super) fn array(&mut self) -> Read<Items> {
        if !matches!(self.kind()?, Kind::Array | Kind::ArrayIndef) {
            return Err(Misfit::new("an array", self.found()));
        }
        let left = self.input.array().map_err(|e| self.malformed(&e))?;
        Ok(Items { left })
    }

    /// An array, where a `ty` is written as one.
    pub(super) fn array_of(&mut self, ty: &Type) -> Read<Items> {
        match self.kind()? {
            Kind::Array | Kind::ArrayIndef => self.array(),
            _ => Err(self.wrong(ty)),
        }
    }

    /// A map, where a `ty` is written as one.
    pub(super) fn map_of(&mut self, ty: &Type) -> Read<Items> {
        match self.kind()? {
            Kind::Map | Kind::MapIndef => self.map(),
            _ => Err(self.wrong(ty)),
        }
    }

    pub(super) fn map(&mut self) -> Read<Items> {
        if !matches!(self.kind()?, Kind::Map | Kind::MapIndef) {
            return Err(Misfit::new("a map", self.found()));
        }
        let left = self.input.map().map_err(|e| self.malformed(&e))?;
        Ok(Items { left })
    }

    /// Whether another item follows; the mark of the end is read over.
    pub(super) fn more(&mut self, items: &mut Items) -> Read<bool> {
        match &mut items.left {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None if self.kind()? == Kind::Break => {
                self.input.set_position(self.input.position() + 1);
                items.left = Some(0);
                Ok(false)
            }
            None => Ok(true),
        }
    }

    pub(super) fn text(&mut self, expected: &str) -> Read<String> {
        if !matches!(self.kind()?, Kind::String | Kind::StringIndef) {
            return Err(Misfit::new(expected, self.found()));
        }
        let mut text = String::new();
        let read = self.input.str_iter().and_then(|mut parts| {
            parts.try_for_each(|part| {
                text.push_str(part?);
                Ok(())
            })
        });
        read.map_err(|e| self.malformed(&e))?;
        Ok(text)
    }

    pub(super) fn text_of(&mut self, ty: &Type) -> Read<String> {
        if !matches!(self.kind()?, Kind::String | Kind::StringIndef) {
            return Err(self.wrong(ty));
        }
        self.text("text")
    }

    pub(super) fn byte_string(&mut self) -> Read<Vec<u8>> {
        if !matches!(self.kind()?, Kind::Bytes | Kind::BytesIndef) {
            return Err(Misfit::new("a byte string", self.found()));
        }
        let mut bytes = Vec::new();
        let read = self.input.bytes_iter().and_then(|mut parts| {
            parts.try_for_each(|part| {
                bytes.extend_from_slice(part?);
                Ok(())
            })
        });
        read.map_err(|e| self.malformed(&e))?;
        Ok(bytes)
    }

    pub(super) fn integer<T: TryFrom<i128>>(&mut self, ty: &Type) -> Read<T> {
        if !is_integer(self.kind()?) {
            return Err(self.wrong(ty));
        }
        let number = self.input.int().map_err(|e| self.malformed(&e))?;
        T::try_from(i128::from(number))
            .map_err(|_| Misfit::of(ty, format!("the number {}", i128::from(number))))
    }

    pub(super) fn float(&mut self, ty: &Type) -> Read<f64> {
        let kind = self.kind()?;
        if matches!(kind, Kind::F16 | Kind::F32 | Kind::F64) {
            return self.input.f64().map_err(|e| self.malformed(&e));
        }
        // Some writers, JavaScript's among them, write 1.0 as the integer 1.
        let number: i64 = self.integer(ty)?;
        if number.unsigned_abs() > 1 << 53 {
            return Err(Misfit::of(
                ty,
                format!("the integer {number}, which is not exact as a float"),
            ));
        }
        #[expect(clippy::cast_precision_loss, reason = "checked to be exact")]
        Ok(number as f64)
    }

    pub(super) fn narrow(&mut self, ty: &Type) -> Read<f32> {
        let wide = self.float(ty)?;
        #[expect(clippy::cast_possible_truncation, reason = "the nearest f32 is what is meant")]
        let narrow = wide as f32;
        if narrow.is_infinite() && wide.is_finite() {
            return Err(Misfit::of(ty, format!("{wide}, which is too large")));
        }
        Ok(narrow)
    }

    #[cold]
    pub(super) fn wrong(&mut self, ty: &Type) -> Box<Misfit> {
        Misfit::of(ty, self.found())
    }

    /// What comes next, in words.
    pub(super) fn found(&mut self) -> String {
        let what = match self.input.datatype() {
            Ok(kind) if is_integer(kind) => "an integer",
            Ok(Kind::Bool) => "a bool",
            Ok(Kind::Null | Kind::Undefined) => "null",
            Ok(Kind::F16 | Kind::F32 | Kind::F64) => "a float",
            Ok(Kind::Bytes | Kind::BytesIndef) => "a byte string",
            Ok(Kind::String | Kind::StringIndef) => "a text",
            Ok(Kind::Array | Kind::ArrayIndef) => "an array",
            Ok(Kind::Map | Kind::MapIndef) => "a map",
            Ok(Kind::Tag) => "a tag",
            Ok(Kind::Break) => "the end of a container",
            Ok(_) => "an unknown item",
            Err(_) => "the end",
        };
        format!("{what} at byte {}", self.input.position())
    }

    #[cold]
    pub(super) fn malformed(&self, error: &decode::Error) -> Box<Misfit> {
        let found = if error.is_end_of_input() {
            "the end"
        } else {
            "something malformed"
        };
        let place = error.position().unwrap_or_else(|| self.input.position());
        Misfit::new("well-formed CBOR", format!("{found} at byte {place}"))
    }
}

fn is_integer(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::U8
            | Kind::U16
            | Kind::U32
            | Kind::U64
            | Kind::I8
            | Kind::I16
            | Kind::I32
            | Kind::I64
            | Kind::Int
    )
}

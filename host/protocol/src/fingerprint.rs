//! Whether two sides mean the same function.
//!
//! Owns the fingerprint that every request carries and the sentence that says
//! where two types differ. Everything that decides what bytes mean, or what a
//! person would write, is part of it: names of parameters, fields, cases and
//! flags, their order, and whether the function is asynchronous.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    id::InvalidId,
    types::{Case, Field, FunctionType, Type},
    value::short_name,
};

/// The first 16 bytes of the SHA-256 of a function's resolved type.
///
/// Equal for equal types on every host and in every version of this one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of a function's type.
    pub fn of(function: &FunctionType) -> Self {
        let mut hash = Canonical(Sha256::new());
        hash.0.update(b"odeon function type 1\0");
        hash.count(usize::from(function.is_async));
        hash.fields(&function.params);
        hash.optional(function.result.as_ref());
        let digest: [u8; 32] = hash.0.finalize().into();
        let mut first = [0; 16];
        first.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Fingerprint(first)
    }

    /// A fingerprint that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Fingerprint(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let wrong = || InvalidId::new("fingerprint", "32 hexadecimal digits", text);
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        u128::from_str_radix(text, 16)
            .map(|number| Fingerprint(number.to_be_bytes()))
            .map_err(|_| wrong())
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// A type written so that no two types are written the same: a letter for what
/// it is, counts before everything repeated, lengths before names.
struct Canonical(Sha256);

impl Canonical {
    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    fn name(&mut self, name: &str) {
        self.count(name.len());
        self.0.update(name.as_bytes());
    }

    fn names(&mut self, names: &[Arc<str>]) {
        self.count(names.len());
        names.iter().for_each(|name| self.name(name));
    }

    fn fields(&mut self, fields: &[Field]) {
        self.count(fields.len());
        for field in fields {
            self.name(&field.name);
            self.ty(&field.ty);
        }
    }

    fn cases(&mut self, cases: &[Case]) {
        self.count(cases.len());
        for case in cases {
            self.name(&case.name);
            self.optional(case.ty.as_ref());
        }
    }

    fn optional(&mut self, ty: Option<&Type>) {
        match ty {
            Some(ty) => {
                self.0.update(b"+");
                self.ty(ty);
            }
            None => self.0.update(b"-"),
        }
    }

    fn ty(&mut self, ty: &Type) {
        let letter = match ty {
            Type::Bool => b'b',
            Type::S8 => b'1',
            Type::U8 => b'2',
            Type::S16 => b'3',
            Type::U16 => b'4',
            Type::S32 => b'5',
            Type::U32 => b'6',
            Type::S64 => b'7',
            Type::U64 => b'8',
            Type::F32 => b'f',
            Type::F64 => b'd',
            Type::Char => b'c',
            Type::String => b's',
            Type::List(_) => b'l',
            Type::FixedList(..) => b'n',
            Type::Map(..) => b'm',
            Type::Record(_) => b'r',
            Type::Tuple(_) => b't',
            Type::Variant(_) => b'v',
            Type::Enum(_) => b'e',
            Type::Option(_) => b'o',
            Type::Result(..) => b'x',
            Type::Flags(_) => b'g',
            Type::Handle(_) => b'h',
        };
        self.0.update([letter]);
        match ty {
            Type::List(inner) | Type::Option(inner) => self.ty(inner),
            Type::FixedList(inner, count) => {
                self.count(*count as usize);
                self.ty(inner);
            }
            Type::Map(key, value) => {
                self.ty(key);
                self.ty(value);
            }
            Type::Record(fields) => self.fields(fields),
            Type::Tuple(types) => {
                self.count(types.len());
                types.iter().for_each(|ty| self.ty(ty));
            }
            Type::Variant(cases) => self.cases(cases),
            Type::Enum(names) | Type::Flags(names) => self.names(names),
            Type::Result(ok, err) => {
                self.optional(ok.as_deref());
                self.optional(err.as_deref());
            }
            Type::Handle(name) => self.name(name),
            _ => {}
        }
    }
}

/// The first place where `found` differs from `expected`, in words:
/// ``parameter `b`: expected u32, found u64``. `None` when they are equal.
pub fn type_diff(expected: &FunctionType, found: &FunctionType) -> Option<String> {
    fields("parameter", &expected.params, &found.params)
        .or_else(|| match (&expected.result, &found.result) {
            (Some(a), Some(b)) => ty(a, b).map(|inner| join("result", &inner)),
            (None, None) => None,
            (Some(a), None) => Some(format!("result: expected {}, found none", short_name(a))),
            (None, Some(b)) => Some(format!("result: expected none, found {}", short_name(b))),
        })
        .or_else(|| {
            let word = |is_async: bool| {
                if is_async {
                    "an async function"
                } else {
                    "a sync function"
                }
            };
            (expected.is_async != found.is_async).then(|| {
                format!(
                    "expected {}, found {}",
                    word(expected.is_async),
                    word(found.is_async)
                )
            })
        })
}

/// A difference seen from one step further out: leaves begin with a colon.
fn join(step: &str, inner: &str) -> String {
    if inner.starts_with(':') {
        format!("{step}{inner}")
    } else {
        format!("{step} → {inner}")
    }
}

fn ty(expected: &Type, found: &Type) -> Option<String> {
    let differ = || {
        Some(format!(
            ": expected {}, found {}",
            short_name(expected),
            short_name(found)
        ))
    };
    if expected == found {
        return None;
    }
    let inner = match (expected, found) {
        (Type::List(a), Type::List(b)) => ty(a, b).map(|inner| join("element", &inner)),
        (Type::FixedList(a, n), Type::FixedList(b, m)) if n == m => {
            ty(a, b).map(|inner| join("element", &inner))
        }
        (Type::Option(a), Type::Option(b)) => ty(a, b).map(|inner| join("some", &inner)),
        (Type::Map(k, v), Type::Map(l, w)) => ty(k, l)
            .map(|inner| join("key", &inner))
            .or_else(|| ty(v, w).map(|inner| join("value", &inner))),
        (Type::Record(a), Type::Record(b)) => fields("field", a, b),
        (Type::Tuple(a), Type::Tuple(b)) if a.len() == b.len() => a
            .iter()
            .zip(b.iter())
            .enumerate()
            .find_map(|(index, (a, b))| ty(a, b).map(|inner| join(&format!("element {index}"), &inner))),
        (Type::Variant(a), Type::Variant(b)) => {
            names("case", a.iter().map(|c| &*c.name), b.iter().map(|c| &*c.name)).or_else(|| {
                a.iter().zip(b.iter()).find_map(|(a, b)| {
                    optional(a.ty.as_ref(), b.ty.as_ref())
                        .map(|inner| join(&format!("case `{}`", a.name), &inner))
                })
            })
        }
        (Type::Enum(a), Type::Enum(b)) => names("case", a.iter().map(|n| &**n), b.iter().map(|n| &**n)),
        (Type::Flags(a), Type::Flags(b)) => names("flag", a.iter().map(|n| &**n), b.iter().map(|n| &**n)),
        (Type::Result(a, c), Type::Result(b, d)) => optional(a.as_deref(), b.as_deref())
            .map(|inner| join("ok", &inner))
            .or_else(|| optional(c.as_deref(), d.as_deref()).map(|inner| join("err", &inner))),
        _ => None,
    };
    inner.or_else(differ)
}

fn optional(expected: Option<&Type>, found: Option<&Type>) -> Option<String> {
    match (expected, found) {
        (Some(a), Some(b)) => ty(a, b),
        (None, None) => None,
        (Some(a), None) => Some(format!(": expected a payload of {}, found none", short_name(a))),
        (None, Some(b)) => Some(format!(": expected no payload, found {}", short_name(b))),
    }
}

fn fields(what: &str, expected: &[Field], found: &[Field]) -> Option<String> {
    let differ = names(
        what,
        expected.iter().map(|f| &*f.name),
        found.iter().map(|f| &*f.name),
    );
    differ.or_else(|| {
        expected
            .iter()
            .zip(found)
            .find_map(|(a, b)| ty(&a.ty, &b.ty).map(|inner| join(&format!("{what} `{}`", a.name), &inner)))
    })
}

/// The first name that is missing, is one too many, or is out of its place.
fn names<'a>(
    what: &str,
    expected: impl Iterator<Item = &'a str> + Clone,
    found: impl Iterator<Item = &'a str> + Clone,
) -> Option<String> {
    let has = |mut names: Box<dyn Iterator<Item = &'a str> + '_>, name: &str| names.any(|n| n == name);
    let (mut a, mut b) = (expected.clone(), found.clone());
    loop {
        return Some(match (a.next(), b.next()) {
            (None, None) => return None,
            (Some(x), Some(y)) if x == y => continue,
            (Some(x), _) if !has(Box::new(found.clone()), x) => format!("{what} `{x}` is missing"),
            (_, Some(y)) if !has(Box::new(expected.clone()), y) => format!("{what} `{y}` is unexpected"),
            (Some(x), Some(y)) => format!("{what} `{x}` expected, found `{y}` in its place"),
            (Some(x), None) => format!("{what} `{x}` is missing"),
            (None, Some(y)) => format!("{what} `{y}` is unexpected"),
        });
    }
}

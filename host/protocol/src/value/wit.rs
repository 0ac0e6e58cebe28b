//! Types and signatures as text in WIT syntax.
//!
//! The names of records and variants are not part of a resolved type, so these
//! are written out where they stand: `list<record { a: u32 }>`.

use crate::types::{FunctionType, Type};

/// The most characters of a type inside an error message.
const READABLE: usize = 200;

/// The type in WIT syntax, in full.
pub fn wit_name(ty: &Type) -> String {
    let mut text = Text {
        out: String::new(),
        limit: usize::MAX,
    };
    text.ty(ty);
    text.out
}

/// A function in WIT syntax: `add: func(a: u32, b: u32) -> u32`.
pub fn signature(name: &str, function: &FunctionType) -> String {
    let mut text = Text {
        out: String::new(),
        limit: usize::MAX,
    };
    text.put(name);
    text.put(if function.is_async {
        ": async func("
    } else {
        ": func("
    });
    text.list(function.params.iter(), |text, param| {
        text.named(&param.name, &param.ty)
    });
    text.put(")");
    if let Some(result) = &function.result {
        text.put(" -> ");
        text.ty(result);
    }
    text.out
}

/// The type in WIT syntax, cut to what fits into a message.
pub(crate) fn short_name(ty: &Type) -> String {
    let mut text = Text {
        out: String::new(),
        limit: READABLE,
    };
    text.ty(ty);
    text.finish()
}

/// The parameters with their number: ``2 arguments (`a`: u32, `b`: u32)``.
pub(crate) fn parameters(function: &FunctionType) -> String {
    let count = function.params.len();
    if count == 0 {
        return "no arguments".into();
    }
    let mut text = Text {
        out: String::new(),
        limit: 2 * READABLE,
    };
    text.put(&arguments(count));
    text.put(" (");
    text.list(function.params.iter(), |text, param| {
        text.put("`");
        text.put(&param.name);
        text.put("`: ");
        text.ty(&param.ty);
    });
    text.put(")");
    text.finish()
}

/// `no arguments`, `1 argument`, `2 arguments`.
pub(crate) fn arguments(count: usize) -> String {
    match count {
        0 => "no arguments".into(),
        1 => "1 argument".into(),
        n => format!("{n} arguments"),
    }
}

/// Up to `most` characters of `text`, and a mark where it was cut.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned() + "…",
        None => text.to_owned(),
    }
}

struct Text {
    out: String,
    /// Writing stops soon after this many bytes.
    limit: usize,
}

impl Text {
    fn put(&mut self, text: &str) {
        if self.out.len() <= self.limit {
            self.out.push_str(text);
        }
    }

    fn finish(self) -> String {
        cut(&self.out, self.limit)
    }

    fn named(&mut self, name: &str, ty: &Type) {
        self.put(name);
        self.put(": ");
        self.ty(ty);
    }

    fn list<T>(&mut self, items: impl Iterator<Item = T>, mut each: impl FnMut(&mut Self, T)) {
        for (index, item) in items.enumerate() {
            if self.out.len() > self.limit {
                return;
            }
            if index > 0 {
                self.put(", ");
            }
            each(self, item);
        }
    }

    fn braced<T>(&mut self, word: &str, items: impl Iterator<Item = T>, each: impl FnMut(&mut Self, T)) {
        self.put(word);
        self.put(" { ");
        self.list(items, each);
        self.put(" }");
    }

    fn ty(&mut self, ty: &Type) {
        match ty {
            Type::Bool => self.put("bool"),
            Type::S8 => self.put("s8"),
            Type::U8 => self.put("u8"),
            Type::S16 => self.put("s16"),
            Type::U16 => self.put("u16"),
            Type::S32 => self.put("s32"),
            Type::U32 => self.put("u32"),
            Type::S64 => self.put("s64"),
            Type::U64 => self.put("u64"),
            Type::F32 => self.put("f32"),
            Type::F64 => self.put("f64"),
            Type::Char => self.put("char"),
            Type::String => self.put("string"),
            Type::Handle(name) => self.put(name),
            Type::List(element) => {
                self.put("list<");
                self.ty(element);
                self.put(">");
            }
            Type::FixedList(element, count) => {
                self.put("list<");
                self.ty(element);
                self.put(&format!(", {count}>"));
            }
            Type::Map(key, value) => {
                self.put("map<");
                self.ty(key);
                self.put(", ");
                self.ty(value);
                self.put(">");
            }
            Type::Option(inner) => {
                self.put("option<");
                self.ty(inner);
                self.put(">");
            }
            Type::Tuple(types) => {
                self.put("tuple<");
                self.list(types.iter(), Text::ty);
                self.put(">");
            }
            Type::Record(fields) => {
                self.braced("record", fields.iter(), |text, field| {
                    text.named(&field.name, &field.ty)
                });
            }
            Type::Variant(cases) => self.braced("variant", cases.iter(), |text, case| {
                text.put(&case.name);
                if let Some(payload) = &case.ty {
                    text.put("(");
                    text.ty(payload);
                    text.put(")");
                }
            }),
            Type::Enum(names) => self.braced("enum", names.iter(), |text, name| text.put(name)),
            Type::Flags(names) => self.braced("flags", names.iter(), |text, name| text.put(name)),
            Type::Result(ok, err) => {
                self.put("result");
                if ok.is_none() && err.is_none() {
                    return;
                }
                self.put("<");
                match ok {
                    Some(ok) => self.ty(ok),
                    None => self.put("_"),
                }
                if let Some(err) = err {
                    self.put(", ");
                    self.ty(err);
                }
                self.put(">");
            }
        }
    }
}

//! Components written out for any type: what comes in goes out again.
//!
//! Three functions for a type: `through-memory` passes the value beside enough
//! numbers that parameters go through memory, and gives back the same block;
//! `in-list` gives back the list it got; `flat` gives back the core values that
//! its parameters arrived as.

use std::fmt::Write as _;

use odeon_protocol::Type;

/// Numbers beside a value, so many that parameters do not fit flat.
pub(crate) const PADDING: usize = 16;

/// The most core values that parameters arrive as.
const MAX_FLAT: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Core {
    I32,
    I64,
    F32,
    F64,
}

/// The text of the component, and whether it has a function `flat`.
pub(crate) fn component(ty: &Type) -> (String, bool) {
    let mut types = Types::default();
    let value = types.name(ty);
    let padding = " u64".repeat(PADDING);
    let mut flat = Vec::new();
    flatten(ty, &mut flat);
    let is_flat = flat.len() <= MAX_FLAT;
    let (mut core, mut lifted) = (String::new(), String::new());
    if is_flat {
        let params: String = flat.iter().map(|core| format!(" {}", core.text())).collect();
        let _ = writeln!(core, "(func (export \"flat\") (param{params}) (result i32)");
        for (number, core_type) in flat.iter().enumerate() {
            let bits = match core_type {
                Core::I32 => format!("(i64.extend_i32_u (local.get {number}))"),
                Core::I64 => format!("(local.get {number})"),
                Core::F32 => format!("(i64.extend_i32_u (i32.reinterpret_f32 (local.get {number})))"),
                Core::F64 => format!("(i64.reinterpret_f64 (local.get {number}))"),
            };
            let _ = writeln!(core, "(i64.store (i32.const {}) {bits})", 64 + number * 8);
        }
        let _ = writeln!(
            core,
            "(i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const {})) (i32.const 0))",
            flat.len()
        );
        let _ = writeln!(
            lifted,
            "(func (export \"flat\") (param \"value\" {value}) (result (list u64))
               (canon lift (core func $i \"flat\") (memory $memory) (realloc (core func $i \"realloc\"))))"
        );
    }
    let text = format!(
        r#"(component
  {definitions}
  (core module $m
    (memory (export "memory") 4)
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 $align i32 $size i32) (result i32)
      (local $at i32)
      (if (i32.eqz (local.get $size)) (then (return (local.get $align))))
      (local.set $at (i32.and (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (block $enough
        (br_if $enough (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
        (br_if $enough (i32.ne (memory.grow
          (i32.add (i32.shr_u (local.get $size) (i32.const 16)) (i32.const 1))) (i32.const -1)))
        unreachable)
      (local.get $at))
    (func (export "same") (param i32) (result i32) (local.get 0))
    (func (export "list") (param i32 i32) (result i32)
      (i32.store (i32.const 0) (local.get 0))
      (i32.store (i32.const 4) (local.get 1))
      (i32.const 0))
    {core})
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $memory))
  (func (export "through-memory") (param "value" (tuple {value}{padding})) (result (tuple {value}{padding}))
    (canon lift (core func $i "same") (memory $memory) (realloc (core func $i "realloc"))))
  (func (export "in-list") (param "value" (list {value})) (result (list {value}))
    (canon lift (core func $i "list") (memory $memory) (realloc (core func $i "realloc"))))
  {lifted})"#,
        definitions = types.definitions,
    );
    (
        text.replace(
            "(param i32 i32 $align i32 $size i32)",
            "(param i32 i32) (param $align i32) (param $size i32)",
        ),
        is_flat,
    )
}

/// Types that need a name have to come from outside.
#[derive(Default)]
struct Types {
    definitions: String,
    count: usize,
}

impl Types {
    fn name(&mut self, ty: &Type) -> String {
        match ty {
            Type::Bool => "bool".into(),
            Type::S8 => "s8".into(),
            Type::U8 => "u8".into(),
            Type::S16 => "s16".into(),
            Type::U16 => "u16".into(),
            Type::S32 => "s32".into(),
            Type::U32 => "u32".into(),
            Type::S64 => "s64".into(),
            Type::U64 => "u64".into(),
            Type::F32 => "f32".into(),
            Type::F64 => "f64".into(),
            Type::Char => "char".into(),
            Type::String => "string".into(),
            Type::List(ty) => format!("(list {})", self.name(ty)),
            Type::FixedList(ty, count) => format!("(list {} {count})", self.name(ty)),
            Type::Map(key, value) => format!("(map {} {})", self.name(key), self.name(value)),
            Type::Option(ty) => format!("(option {})", self.name(ty)),
            Type::Tuple(types) => {
                let types: Vec<_> = types.iter().map(|ty| self.name(ty)).collect();
                format!("(tuple {})", types.join(" "))
            }
            Type::Result(ok, err) => {
                let ok = ok.as_ref().map(|ty| self.name(ty)).unwrap_or_default();
                let err = err
                    .as_ref()
                    .map(|ty| format!("(error {})", self.name(ty)))
                    .unwrap_or_default();
                format!("(result {ok} {err})")
            }
            Type::Record(fields) => {
                let fields: String = fields
                    .iter()
                    .map(|f| format!(" (field \"{}\" {})", f.name, self.name(&f.ty)))
                    .collect();
                self.define(format!("(record{fields})"))
            }
            Type::Variant(cases) => {
                let cases: String = cases
                    .iter()
                    .map(|case| {
                        let ty = case.ty.as_ref().map(|ty| self.name(ty)).unwrap_or_default();
                        format!(" (case \"{}\" {ty})", case.name)
                    })
                    .collect();
                self.define(format!("(variant{cases})"))
            }
            Type::Enum(names) => self.define(format!("(enum{})", quoted(names))),
            Type::Flags(names) => self.define(format!("(flags{})", quoted(names))),
            Type::Handle(name) => panic!("{name} is no value"),
        }
    }

    fn define(&mut self, definition: String) -> String {
        let number = self.count;
        self.count += 1;
        let _ = writeln!(
            self.definitions,
            "(type $t{number}' {definition}) (import \"t{number}\" (type $t{number} (eq $t{number}')))"
        );
        format!("$t{number}")
    }
}

fn quoted(names: &[std::sync::Arc<str>]) -> String {
    names.iter().map(|name| format!(" \"{name}\"")).collect()
}

impl Core {
    fn text(self) -> &'static str {
        match self {
            Core::I32 => "i32",
            Core::I64 => "i64",
            Core::F32 => "f32",
            Core::F64 => "f64",
        }
    }

    /// The core type that can hold either.
    fn join(self, other: Core) -> Core {
        match (self, other) {
            (one, other) if one == other => one,
            (Core::I32, Core::F32) | (Core::F32, Core::I32) => Core::I32,
            _ => Core::I64,
        }
    }
}

/// The core values that a value arrives as.
fn flatten(ty: &Type, flat: &mut Vec<Core>) {
    match ty {
        Type::U64 | Type::S64 => flat.push(Core::I64),
        Type::F32 => flat.push(Core::F32),
        Type::F64 => flat.push(Core::F64),
        Type::String | Type::List(_) | Type::Map(..) => flat.extend([Core::I32, Core::I32]),
        Type::FixedList(ty, count) => (0..*count).for_each(|_| flatten(ty, flat)),
        Type::Record(fields) => fields.iter().for_each(|field| flatten(&field.ty, flat)),
        Type::Tuple(types) => types.iter().for_each(|ty| flatten(ty, flat)),
        Type::Variant(cases) => choice(cases.iter().map(|case| case.ty.as_ref()), flat),
        Type::Option(ty) => choice([None, Some(&**ty)].into_iter(), flat),
        Type::Result(ok, err) => choice([ok.as_deref(), err.as_deref()].into_iter(), flat),
        _ => flat.push(Core::I32),
    }
}

fn choice<'t>(payloads: impl Iterator<Item = Option<&'t Type>>, flat: &mut Vec<Core>) {
    flat.push(Core::I32);
    let start = flat.len();
    for payload in payloads.flatten() {
        let mut own = Vec::new();
        flatten(payload, &mut own);
        for (number, core) in own.into_iter().enumerate() {
            match flat.get_mut(start + number) {
                Some(there) => *there = there.join(core),
                None => flat.push(core),
            }
        }
    }
}

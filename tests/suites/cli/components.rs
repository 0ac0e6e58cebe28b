//! Components small enough to read, for what a command does with them.

/// A function for every way in which a call can end.
pub(crate) const KIT: &str = r#"
(component
  (core module $m
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (global.get $top))
      (global.set $top (i32.add (global.get $top) (local.get 3)))
      (local.get $at))
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "fail") (result i32) (i32.const 1))
    (func (export "trap") unreachable)
    (func (export "spin") (loop (br 0)))
    (func (export "nothing"))
    (func (export "same") (param i32 i32) (result i32)
      (i32.store (i32.const 0) (local.get 0))
      (i32.store (i32.const 4) (local.get 1))
      (i32.const 0)))
  (core instance $i (instantiate $m))
  (func (export "add") (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "add")))
  (func (export "fail") (result (result)) (canon lift (core func $i "fail")))
  (func (export "trap") (canon lift (core func $i "trap")))
  (func (export "spin") (canon lift (core func $i "spin")))
  (func (export "nothing") (canon lift (core func $i "nothing")))
  (func (export "same") (param "text" string) (result string)
    (canon lift (core func $i "same") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))
"#;

/// [`KIT`] with another type of `add` and without the rest.
pub(crate) const KIT_CHANGED: &str = r#"
(component
  (core module $m (func (export "add") (param i64 i64) (result i64) (i64.add (local.get 0) (local.get 1))))
  (core instance $i (instantiate $m))
  (func (export "add") (param "a" u64) (param "b" u64) (result u64) (canon lift (core func $i "add"))))
"#;

/// Two interfaces with a function of the same name.
pub(crate) const TWICE: &str = r#"
(component
  (core module $m
    (func (export "one") (result i32) (i32.const 1))
    (func (export "two") (result i32) (i32.const 2)))
  (core instance $i (instantiate $m))
  (func $one (result u32) (canon lift (core func $i "one")))
  (func $two (result u32) (canon lift (core func $i "two")))
  (instance $a (export "get" (func $one)))
  (instance $b (export "get" (func $two)))
  (export "test:twice/first@1.0.0" (instance $a))
  (export "test:twice/second@1.0.0" (instance $b)))
"#;

/// Imports an interface that no host has.
pub(crate) const IMPORTS_UNKNOWN: &str = r#"
(component
  (import "acme:storage/blobs@0.3.0" (instance $blobs (export "open" (func (param "name" u32) (result u32)))))
  (core func $open (canon lower (func $blobs "open")))
  (core module $m
    (import "blobs" "open" (func $open (param i32) (result i32)))
    (func (export "go") (result i32) (call $open (i32.const 1))))
  (core instance $i (instantiate $m (with "blobs" (instance (export "open" (func $open))))))
  (func (export "go") (result u32) (canon lift (core func $i "go"))))
"#;

/// Not a component at all.
pub(crate) const CORE_MODULE: &str =
    r#"(module (func (export "add") (param i32 i32) (result i32) (i32.const 0)))"#;

/// The bytes of a text above.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("a fixture is well-formed text")
}

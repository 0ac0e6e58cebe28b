;; Results that break the canonical ABI. The host must refuse each without reading a byte it may not.
(component
  (type $choice' (enum "a" "b" "c"))
  (import "choice" (type $choice (eq $choice')))
  (type $access' (flags "read" "write" "execute"))
  (import "access" (type $access (eq $access')))
  (core module $m
    (memory (export "memory") 1)
    ;; The pair (pointer, length) of each string or list is at the address that the function returns.
    (data (i32.const 16) "\00\01\00\00\04\00\00\00")      ;; 256, 4: the bytes below are no UTF-8
    (data (i32.const 256) "\ff\fe\c0\80")
    (data (i32.const 24) "\fe\ff\00\00\10\00\00\00")      ;; starts inside, ends outside
    (data (i32.const 32) "\00\00\01\00\01\00\00\00")      ;; starts at the very end
    (data (i32.const 40) "\10\00\00\00\ff\ff\ff\ff")      ;; as long as addresses go
    (data (i32.const 48) "\01\01\00\00\02\00\00\00")      ;; 257, 2: not aligned for u32
    (data (i32.const 56) "\00\00\00\00\00\00\00\40")      ;; 2^30 elements of four bytes: the product wraps
    (data (i32.const 64) "\ff\ff\ff\ff\01\00\00\00")      ;; the last address
    (data (i32.const 72) "\00\02\00\00\02\00\00\00")      ;; 512, 2: two chars, the second a surrogate
    (data (i32.const 512) "\61\00\00\00\00\d8\00\00")
    (data (i32.const 80) "\07\00\00\00\00\00\00\00")      ;; an option with discriminant 7
    (data (i32.const 88) "\05\00\00\00\00\00\00\00")      ;; a result with discriminant 5
    (data (i32.const 96) "\00\03\00\00\02\00\00\00")      ;; 768, 2: two strings, the second outside
    (data (i32.const 768) "\00\00\00\00\00\00\00\00\00\00\ff\ff\10\00\00\00")
    (func (export "utf8") (result i32) i32.const 16)
    (func (export "past-end") (result i32) i32.const 24)
    (func (export "at-end") (result i32) i32.const 32)
    (func (export "longest") (result i32) i32.const 40)
    (func (export "misaligned") (result i32) i32.const 48)
    (func (export "wraps") (result i32) i32.const 56)
    (func (export "last-address") (result i32) i32.const 64)
    (func (export "surrogate") (result i32) i32.const 72)
    (func (export "bad-option") (result i32) i32.const 80)
    (func (export "bad-result") (result i32) i32.const 88)
    (func (export "inner") (result i32) i32.const 96)
    (func (export "outside") (result i32) i32.const 65532)
    (func (export "negative") (result i32) i32.const -8)
    (func (export "misaligned-return") (result i32) i32.const 17)
    (func (export "flat-enum") (result i32) i32.const 3)
    (func (export "flat-char") (result i32) i32.const 0xd800)
    (func (export "flat-char-large") (result i32) i32.const 0x110000)
    (func (export "flat-bool") (result i32) i32.const 2)
    (func (export "flat-u8") (result i32) i32.const 0x1ff)
    (func (export "flat-s8") (result i32) i32.const 0x80)
    (func (export "flat-flags") (result i32) i32.const -1)
  )
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $memory))
  (func (export "utf8") (result string) (canon lift (core func $i "utf8") (memory $memory)))
  (func (export "string-past-end") (result string) (canon lift (core func $i "past-end") (memory $memory)))
  (func (export "string-at-end") (result string) (canon lift (core func $i "at-end") (memory $memory)))
  (func (export "string-longest") (result string) (canon lift (core func $i "longest") (memory $memory)))
  (func (export "string-last-address") (result string) (canon lift (core func $i "last-address") (memory $memory)))
  (func (export "bytes-past-end") (result (list u8)) (canon lift (core func $i "past-end") (memory $memory)))
  (func (export "bytes-longest") (result (list u8)) (canon lift (core func $i "longest") (memory $memory)))
  (func (export "list-misaligned") (result (list u32)) (canon lift (core func $i "misaligned") (memory $memory)))
  (func (export "list-wraps") (result (list u32)) (canon lift (core func $i "wraps") (memory $memory)))
  (func (export "list-surrogate") (result (list char)) (canon lift (core func $i "surrogate") (memory $memory)))
  (func (export "list-inner") (result (list string)) (canon lift (core func $i "inner") (memory $memory)))
  (func (export "bad-option") (result (option u32)) (canon lift (core func $i "bad-option") (memory $memory)))
  (func (export "bad-result") (result (result u32 (error u32)))
    (canon lift (core func $i "bad-result") (memory $memory)))
  (func (export "return-outside") (result string) (canon lift (core func $i "outside") (memory $memory)))
  (func (export "return-negative") (result string) (canon lift (core func $i "negative") (memory $memory)))
  (func (export "return-misaligned") (result string) (canon lift (core func $i "misaligned-return") (memory $memory)))
  (func (export "enum-outside") (result $choice) (canon lift (core func $i "flat-enum")))
  (func (export "char-surrogate") (result char) (canon lift (core func $i "flat-char")))
  (func (export "char-large") (result char) (canon lift (core func $i "flat-char-large")))
  ;; Not errors: the canonical ABI takes any non-zero number as true, and ignores bits that a type does not have.
  (func (export "bool-two") (result bool) (canon lift (core func $i "flat-bool")))
  (func (export "u8-wide") (result u8) (canon lift (core func $i "flat-u8")))
  (func (export "s8-wide") (result s8) (canon lift (core func $i "flat-s8")))
  (func (export "flags-wide") (result $access) (canon lift (core func $i "flat-flags")))
)

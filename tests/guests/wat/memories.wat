;; Eight memories in eight core instances, each small: the limit is on their sum.
(component
  (core module $m
    (memory 1)
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  )
  (core instance $i0 (instantiate $m))
  (core instance $i1 (instantiate $m))
  (core instance $i2 (instantiate $m))
  (core instance $i3 (instantiate $m))
  (core instance $i4 (instantiate $m))
  (core instance $i5 (instantiate $m))
  (core instance $i6 (instantiate $m))
  (core instance $i7 (instantiate $m))
  (core module $all
    (import "0" "grow" (func $g0 (param i32) (result i32)))
    (import "1" "grow" (func $g1 (param i32) (result i32)))
    (import "2" "grow" (func $g2 (param i32) (result i32)))
    (import "3" "grow" (func $g3 (param i32) (result i32)))
    (import "4" "grow" (func $g4 (param i32) (result i32)))
    (import "5" "grow" (func $g5 (param i32) (result i32)))
    (import "6" "grow" (func $g6 (param i32) (result i32)))
    (import "7" "grow" (func $g7 (param i32) (result i32)))
    (func $ok (param i32) (result i32) (i32.ne (local.get 0) (i32.const -1)))
    ;; How many of the eight could grow by that many pages.
    (func (export "grow-each") (param i32) (result i32)
      (call $ok (call $g0 (local.get 0)))
      (call $ok (call $g1 (local.get 0))) i32.add
      (call $ok (call $g2 (local.get 0))) i32.add
      (call $ok (call $g3 (local.get 0))) i32.add
      (call $ok (call $g4 (local.get 0))) i32.add
      (call $ok (call $g5 (local.get 0))) i32.add
      (call $ok (call $g6 (local.get 0))) i32.add
      (call $ok (call $g7 (local.get 0))) i32.add)
  )
  (core instance $a (instantiate $all
    (with "0" (instance $i0)) (with "1" (instance $i1)) (with "2" (instance $i2)) (with "3" (instance $i3))
    (with "4" (instance $i4)) (with "5" (instance $i5)) (with "6" (instance $i6)) (with "7" (instance $i7))))
  (func (export "grow-each") (param "pages" u32) (result u32) (canon lift (core func $a "grow-each")))
)

;; Declares types at the level of its world, which arrive as imports of types. It needs nothing from the host.
(component
  (type $level' (enum "low" "high"))
  (import "level" (type $level (eq $level')))
  (core module $m (func (export "raise") (param i32) (result i32) i32.const 1))
  (core instance $i (instantiate $m))
  (func $raise (param "from" $level) (result $level) (canon lift (core func $i "raise")))
  (export "raise" (func $raise))
)

;; Functions that answer well and then trap, or never end, in their clean-up.
(component
  (core module $m
    (func (export "answer") (result i32) i32.const 42)
    (func (export "traps") (param i32) unreachable)
    (func (export "spins") (param i32) (loop $again (br $again)))
  )
  (core instance $i (instantiate $m))
  (func (export "traps") (result u32)
    (canon lift (core func $i "answer") (post-return (core func $i "traps"))))
  (func (export "spins") (result u32)
    (canon lift (core func $i "answer") (post-return (core func $i "spins"))))
)

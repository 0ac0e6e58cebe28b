;; Asks for four GiB before it runs a single instruction.
(component
  (core module $m
    (memory 65536)
    (func (export "touch") (result i32) (i32.load (i32.const 0)))
  )
  (core instance $i (instantiate $m))
  (func (export "touch") (result u32) (canon lift (core func $i "touch")))
)

;; Asks for a table of ten million elements before it runs a single instruction.
(component
  (core module $m
    (table 10000000 funcref)
    (func (export "size") (result i32) (table.size 0))
  )
  (core instance $i (instantiate $m))
  (func (export "size") (result u32) (canon lift (core func $i "size")))
)

;; Keeps a 64-bit memory to itself: no value of the boundary lies in it, so it may load, but its pages count.
(component
  (core module $m
    (memory i64 1)
    (func (export "grow-by") (param i64) (result i64) (memory.grow (local.get 0)))
  )
  (core instance $i (instantiate $m))
  (func (export "grow-by") (param "pages" u64) (result s64) (canon lift (core func $i "grow-by")))
)

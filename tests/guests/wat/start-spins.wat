;; Never ends while it is being instantiated, before any function of it is called.
(component
  (core module $m
    (func $spin (loop $again (br $again)))
    (start $spin)
    (func (export "answer") (result i32) i32.const 42)
  )
  (core instance $i (instantiate $m))
  (func (export "answer") (result u32) (canon lift (core func $i "answer")))
)

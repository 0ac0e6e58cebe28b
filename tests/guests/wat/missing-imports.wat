;; Imports four things that the host does not offer, each wrong in another way: an interface nobody has, a function
;; that an interface of the host does not have, one with another type, and a version of its own.
(component
  (import "odeon-tests:nobody/has-this@1.0.0" (instance (export "f" (func))))
  (import "wasi:cli/exit@0.2.12" (instance (export "exit-politely" (func))))
  (import "wasi:random/random@0.2.12" (instance (export "get-random-u64" (func (result string)))))
  (import "odeon:plugin/request@7.0.0" (instance (export "serial" (func (result string)))))
  (core module $m (func (export "answer") (result i32) i32.const 42))
  (core instance $i (instantiate $m))
  (func (export "answer") (result u32) (canon lift (core func $i "answer")))
)

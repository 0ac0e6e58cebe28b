;; Lifts its strings as UTF-16. Valid, but the direct codec does not speak it: a call must say so or go another way.
(component
  (core module $m
    (memory (export "memory") 1)
    (data (i32.const 16) "\20\00\00\00\02\00\00\00")
    (data (i32.const 32) "h\00i\00")
    (func (export "greet") (result i32) i32.const 16)
  )
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $memory))
  (func (export "greet") (result string)
    (canon lift (core func $i "greet") (memory $memory) string-encoding=utf16))
)

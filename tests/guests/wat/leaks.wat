;; Keeps 64 KiB of memory with every call, and traps when it gets no more; it answers as version 2 does.
(component
  (core module $m
    (memory 1)
    (func (export "answer") (result i32)
      (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
      i32.const 2)
  )
  (core instance $i (instantiate $m))
  (func (export "answer") (result u32) (canon lift (core func $i "answer")))
)

;; One of three versions of the same plugin, which differ in what they answer: 2.
(component
  (core module $m
    (func (export "answer") (result i32) i32.const 2)
    (func (export "busy") (param $turns i32) (result i32)
      (loop $again
        (local.set $turns (i32.sub (local.get $turns) (i32.const 1)))
        (br_if $again (i32.gt_s (local.get $turns) (i32.const 0))))
      i32.const 2)
  )
  (core instance $i (instantiate $m))
  (func (export "answer") (result u32) (canon lift (core func $i "answer")))
  (func (export "busy") (param "turns" u32) (result u32) (canon lift (core func $i "busy")))
)

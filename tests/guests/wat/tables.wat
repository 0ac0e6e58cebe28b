;; Grows tables until growth is refused. A function that returns says how many elements it got.
(component
  (core module $m
    (table $a (export "a") 0 funcref)
    (table $b 0 funcref)
    (func (export "grow-until-refused") (result i32)
      (local $elements i32)
      (loop $again
        (if (i32.ne (table.grow $a (ref.null func) (i32.const 1024)) (i32.const -1))
          (then
            (local.set $elements (i32.add (local.get $elements) (i32.const 1024)))
            (br $again))))
      local.get $elements)
    (func (export "grow-forever")
      (loop $again
        (drop (table.grow $a (ref.null func) (i32.const 1024)))
        (br $again)))
    (func (export "grow-by") (param i32) (result i32)
      (i32.ne (table.grow $b (ref.null func) (local.get 0)) (i32.const -1)))
  )
  (core instance $i (instantiate $m))
  (func (export "grow-until-refused") (result u32) (canon lift (core func $i "grow-until-refused")))
  (func (export "grow-forever") (canon lift (core func $i "grow-forever")))
  (func (export "grow-by") (param "elements" u32) (result bool) (canon lift (core func $i "grow-by")))
)

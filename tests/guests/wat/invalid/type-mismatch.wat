;; A component whose core module does not validate: a function that promises a number and leaves none.
(component
  (core module $m (func (export "answer") (result i32)))
)

;; A thousand core instances out of a few hundred bytes: components that contain ten of each other, three levels deep.
(component
  (component $hundreds
    (component $tens
      (component $one
        (core module $m)
        (core instance (instantiate $m))
      )
      (instance (instantiate $one)) (instance (instantiate $one))
      (instance (instantiate $one)) (instance (instantiate $one))
      (instance (instantiate $one)) (instance (instantiate $one))
      (instance (instantiate $one)) (instance (instantiate $one))
      (instance (instantiate $one)) (instance (instantiate $one))
    )
    (instance (instantiate $tens)) (instance (instantiate $tens))
    (instance (instantiate $tens)) (instance (instantiate $tens))
    (instance (instantiate $tens)) (instance (instantiate $tens))
    (instance (instantiate $tens)) (instance (instantiate $tens))
    (instance (instantiate $tens)) (instance (instantiate $tens))
  )
  (instance (instantiate $hundreds)) (instance (instantiate $hundreds))
  (instance (instantiate $hundreds)) (instance (instantiate $hundreds))
  (instance (instantiate $hundreds)) (instance (instantiate $hundreds))
  (instance (instantiate $hundreds)) (instance (instantiate $hundreds))
  (instance (instantiate $hundreds)) (instance (instantiate $hundreds))
  (core module $m (func (export "answer") (result i32) i32.const 42))
  (core instance $i (instantiate $m))
  (func (export "answer") (result u32) (canon lift (core func $i "answer")))
)

//! Names that are taken, given back and forgotten.

use super::*;

#[test]
fn a_name_that_was_only_tried_leaves_nothing_behind() {
    let registry = Registry::new();
    let name: PluginName = "tried".parse().unwrap();
    for _ in 0..3 {
        let held = registry.reserve(&name).unwrap();
        assert!(registry.reserve(&name).is_err(), "one at a time");
        assert_eq!(registry.loading(), std::slice::from_ref(&name));
        drop(held);
        assert!(registry.slots.lock().is_empty());
    }
}

//! Names that are taken, given back and forgotten.

use super::forgotten::MOST_FREE;
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

/// Loads something under a name and unloads it again, as far as names and numbers
/// go. Says which number it had.
fn used(registry: &Arc<Registry>, name: &PluginName) -> u64 {
    let held = registry.reserve(name).unwrap();
    let number = held.generation().0;
    held.slot.last.store(number, Ordering::Relaxed);
    number
}

fn job(number: usize) -> PluginName {
    format!("job-{number}").parse().unwrap()
}

/// Enforced by `Forgotten::make_room` and `Forgotten::highest`.
#[test]
fn names_that_are_free_are_not_kept_for_ever_and_their_numbers_never_go_back() {
    let registry = Registry::new();
    let first: PluginName = "first".parse().unwrap();
    for number in 1..=3 {
        assert_eq!(used(&registry, &first), number);
    }
    for number in 0..3 * MOST_FREE {
        used(&registry, &job(number));
        assert!(registry.slots.lock().len() <= MOST_FREE);
    }
    assert!(!registry.slots.lock().contains_key(&first), "long forgotten");
    let again = used(&registry, &first);
    assert!(again > 3, "{again}");
    assert_eq!(used(&registry, &first), again + 1);
}

/// Enforced by `Place::is_held`: a handle is good for what comes later.
#[test]
fn a_name_that_somebody_holds_is_kept() {
    let registry = Registry::new();
    let name: PluginName = "held".parse().unwrap();
    used(&registry, &name);
    let slot = registry.slots.lock().get(&name).unwrap().slot.clone();
    let under_way = registry.reserve(&"loading".parse().unwrap()).unwrap();
    for number in 0..2 * MOST_FREE {
        used(&registry, &job(number));
    }
    assert!(Arc::ptr_eq(
        &slot,
        &registry.slots.lock().get(&name).unwrap().slot
    ));
    assert_eq!(used(&registry, &name), 2);
    assert_eq!(registry.loading().len(), 1);
    drop(under_way);
    // Nobody holds it any more.
    drop(slot);
    for number in 0..2 * MOST_FREE {
        used(&registry, &job(number));
    }
    assert!(!registry.slots.lock().contains_key(&name));
}

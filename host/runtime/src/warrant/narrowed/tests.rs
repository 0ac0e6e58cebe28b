//! What is remembered, and how much of it.

use odeon_authority::GrantSet;

use super::*;
use crate::warrant::Grants;

fn granted(texts: &[&str]) -> Arc<Granted> {
    let set = GrantSet::parse(texts.iter().copied()).unwrap();
    Arc::new(
        Grants {
            set,
            ..Grants::default()
        }
        .into(),
    )
}

/// Enforced by `Met::is_of`, which compares the very grants.
#[test]
fn a_meeting_is_remembered_until_one_of_those_who_met_is_another() {
    let narrowed = Narrowed::default();
    let own = granted(&["secret=a", "secret=b"]);
    let first = granted(&["secret=a"]);
    let left = narrowed.of(&own, std::slice::from_ref(&first));
    assert_eq!(left.set().lines(), ["secret=a"]);
    assert!(Arc::ptr_eq(
        &left,
        &narrowed.of(&own, std::slice::from_ref(&first))
    ));
    let second = granted(&["secret=b"]);
    assert_eq!(
        narrowed.of(&own, std::slice::from_ref(&second)).set().lines(),
        ["secret=b"]
    );
    assert!(narrowed.of(&own, &[first, second]).set().lines().is_empty());
}

/// Enforced by `Narrowed::of`.
#[test]
fn only_so_many_meetings_are_remembered_and_none_of_what_is_gone() {
    let narrowed = Narrowed::default();
    let own = granted(&["secret=a"]);
    let others: Vec<_> = (0..MOST * 2).map(|_| granted(&["secret=a"])).collect();
    for other in &others {
        narrowed.of(&own, std::slice::from_ref(other));
    }
    assert_eq!(narrowed.0.lock().len(), MOST);
    drop(others);
    narrowed.of(&own, &[granted(&[])]);
    assert_eq!(narrowed.0.lock().len(), 1);
}

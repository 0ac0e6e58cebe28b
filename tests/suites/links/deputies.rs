//! What a plugin that is linked to another has that one do.

use odeon_authority::GrantSet;
use odeon_runtime::Grants;
use odeon_tests::runtime::call;
use odeon_tests::way::Way;

use crate::town::{Town, perform};

/// Enforced by `Outgoing::of` (the chain) and `Warrant::on_behalf`: by default a
/// provider uses nothing for one who may not use it himself; where the policy has
/// it act for him, it does.
#[tokio::test]
async fn a_provider_uses_for_its_caller_what_both_may_unless_it_acts_for_him() {
    for way in Way::BOTH {
        let town = Town::new();
        let spec = town.spec("provider").grant("secret=token");
        let records = spec.records();
        records.keep_secret("token", b"ab");
        let provider = town.load(&spec, "guest-provider").await;
        let caller = town
            .load(&town.caller("caller", "provider"), "guest-caller")
            .await;
        let (shown, through) = (perform(["secret", "token"]), perform(["next", "secret", "token"]));
        assert_eq!(call(&provider, &shown).await.unwrap(), r#"ok("ab")"#);

        let refused = way.call(&caller, &through).await.unwrap();
        assert!(refused.starts_with("err("), "{way:?}: {refused}");
        let whose = records.whose();
        let denied = whose.last().expect("it is on record");
        assert_eq!(denied.chain, ["caller", "provider"], "{way:?}");
        assert!(denied.rule.contains("[[deputy]]"), "{way:?}: {denied:?}");

        provider.regrant(Grants {
            set: GrantSet::parse(["secret=token"]).unwrap(),
            acts_for: vec!["caller".parse().unwrap()],
            ..Grants::default()
        });
        assert_eq!(
            way.call(&caller, &through).await.unwrap(),
            r#"ok("ab")"#,
            "{way:?}"
        );
        assert_eq!(call(&provider, &shown).await.unwrap(), r#"ok("ab")"#);
    }
}

/// Enforced by `Present::shares_secret`.
#[tokio::test]
async fn a_secret_of_the_same_name_is_not_yet_the_same_secret() {
    let town = Town::new();
    let spec = town.spec("provider").grant("secret=token");
    spec.records().keep_secret("token", b"ab");
    town.load(&spec, "guest-provider").await;
    let through = perform(["next", "secret", "token"]);
    for (named, bytes, expected) in [("other", b"cd", "err("), ("same", b"ab", "ok(")] {
        let spec = town.caller(named, "provider").grant("secret=token");
        spec.records().keep_secret("token", bytes);
        let caller = town.load(&spec, "guest-caller").await;
        for way in Way::BOTH {
            let told = way.call(&caller, &through).await.unwrap();
            assert!(told.starts_with(expected), "{named}, {way:?}: {told}");
        }
    }
}

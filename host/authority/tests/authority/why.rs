//! What the record says about a plugin.

use odeon_authority::{
    Event, FailedLoad, LoadStep, Moment, Principal, Records, Terms, Text, Why, WhyKind, why,
};
use odeon_protocol::{Code, Digest, Generation};

use crate::fixture::{Host, key, signed, terms};

/// What the audit of a host says about the plugin `calc`.
fn calc(host: &Host) -> Option<Why> {
    why(
        Records::open(host.folder.path()).unwrap(),
        &"calc".parse().unwrap(),
    )
}

fn because(host: &Host) -> Moment {
    let because = calc(host).expect("it is known").because;
    because.expect("there is a reason")
}

fn append(host: &Host, event: Event) -> u64 {
    host.audit.append(event).unwrap()
}

fn load(host: &Host, generation: u64) {
    append(
        host,
        Event::Load {
            name: "calc".parse().unwrap(),
            generation: Generation(generation),
            digest: Digest::of(b"calc"),
            principal: "user:0".into(),
        },
    );
}

fn denial(target: &str, count: u64) -> Event {
    Event::Denial {
        plugin: "calc".parse().unwrap(),
        grant: "tcp".into(),
        target: target.into(),
        reason: format!("tcp to {target} is not granted: no tcp grant names it").into(),
        rule: None,
        chain: Vec::new(),
        count,
    }
}

fn failed(step: LoadStep, code: Code, mismatches: &[String], serving: Option<u64>) -> Event {
    Event::LoadFailed {
        name: "calc".parse().unwrap(),
        failed: FailedLoad {
            digest: Some(Digest::of(b"calc")),
            step,
            code,
            reason: "it does not".into(),
            mismatches: Text::list(mismatches),
            serving: serving.map(Generation),
            principal: "user:0".into(),
        },
        count: 1,
    }
}

/// Enforced by `Decision::event` (the rule) and `why::moment`.
#[test]
fn a_refusal_is_explained_by_its_rule() {
    let author = key();
    let component = signed("calc", "1.0.0", &author);
    let host = Host::new();
    assert!(host.offer(&component, &terms()).is_err());
    let unknown = because(&host);
    assert_eq!(
        (unknown.event, unknown.code),
        (WhyKind::Refused, Some(Code::KeyUnknown))
    );
    assert_eq!(
        unknown.rule.as_deref(),
        Some("default: what no row lets in is refused")
    );
    assert!(
        unknown.message.contains(&author.public().id().to_string()),
        "{unknown:?}"
    );
    assert!(unknown.fix.unwrap().contains("odeon trust add --key"));
    assert_eq!(unknown.seq, 1);
    assert!(unknown.time.ends_with('Z'), "{}", unknown.time);
}

/// Enforced by `Denial::new` at each refusal: whatever says no is named.
#[test]
fn every_refusal_names_its_rule() {
    let (author, other) = (key(), key());
    let component = signed("calc", "1.0.0", &author);
    let public = author.public();
    let rows = [
        (
            format!("[[key]]\nkey = \"{public}\"\ndecision = \"deny\"\n"),
            format!("denied key {}", public.id()),
        ),
        (
            format!("[[key]]\nkey = \"{public}\"\n[[name]]\nname = \"c*\"\ndecision = \"deny\"\n"),
            "denied name c*".to_owned(),
        ),
        (
            format!(
                "[[key]]\nkey = \"{public}\"\n[[pin]]\nname = \"calc\"\nkey = \"{}\"\n",
                other.public()
            ),
            format!("name calc pinned to key {}", other.public().id()),
        ),
    ];
    for (policy, rule) in rows {
        let host = Host::new();
        std::fs::write(host.folder.path().join("trust.toml"), policy).unwrap();
        let terms = Terms {
            name: Some("calc".parse().unwrap()),
            ..Terms::new(Principal::LocalUser { uid: 0 })
        };
        assert!(host.offer(&component, &terms).is_err());
        assert_eq!(because(&host).rule, Some(rule));
    }
}

/// Enforced by `why::cause`: that it was revoked is said by the decision.
#[test]
fn a_revocation_is_explained_by_the_decision_that_took_it_out() {
    let host = Host::new();
    load(&host, 3);
    let seq = append(
        &host,
        Event::Decision {
            allowed: false,
            code: Some(Code::KeyRevoked),
            reason: "the signing key 00 is revoked in the trust policy".into(),
            rule: "denied key 00".into(),
            digest: Digest::of(b"calc"),
            name: Some("calc".parse().unwrap()),
            version: None,
            signed_by: None,
            transient: false,
            grants: Vec::new(),
            principal: "user:0".into(),
        },
    );
    append(
        &host,
        Event::Unload {
            name: "calc".parse().unwrap(),
            generation: Generation(3),
            reason: "revoked".into(),
            principal: "host".into(),
        },
    );
    let why = calc(&host).unwrap();
    assert_eq!((why.serving, why.generation), (false, Some(3)));
    let because = why.because.unwrap();
    assert_eq!((because.seq, because.code), (seq, Some(Code::KeyRevoked)));
    assert_eq!(because.rule.as_deref(), Some("denied key 00"));
    let kinds: Vec<WhyKind> = why.history.iter().map(|moment| moment.event).collect();
    assert_eq!(kinds, [WhyKind::Loaded, WhyKind::Refused, WhyKind::Revoked]);
}

/// Enforced by `why::moment` (`mismatches`).
#[test]
fn a_load_that_does_not_link_is_explained_with_every_mismatch() {
    let host = Host::new();
    load(&host, 1);
    let mismatches: Vec<String> = (0..40)
        .map(|number| format!("odeon:x/y.f{number}: no such"))
        .collect();
    append(
        &host,
        failed(LoadStep::Link, Code::LinkFailed, &mismatches, Some(1)),
    );
    let why = calc(&host).unwrap();
    assert!(why.serving, "the old one serves on");
    let because = why.because.unwrap();
    assert_eq!(because.event, WhyKind::LoadFailed);
    assert_eq!(because.mismatches, mismatches);
    assert!(because.message.contains("linking its imports"), "{because:?}");
    assert!(because.message.contains("generation 1 serves on"), "{because:?}");
    assert!(because.fix.unwrap().contains("odeon check"));
    // Once it serves, that is over, and still on record.
    load(&host, 2);
    let why = calc(&host).unwrap();
    assert_eq!(why.because, None);
    assert_eq!(why.history.len(), 3);
}

#[test]
fn what_a_serving_plugin_was_denied_and_stopped_by_is_explained() {
    let host = Host::new();
    load(&host, 1);
    append(&host, denial("10.0.0.1:80", 7));
    let denied = because(&host);
    assert_eq!((denied.event, denied.count), (WhyKind::Denied, Some(7)));
    assert!(denied.rule.unwrap().contains("no tcp grant names it"));
    assert!(denied.fix.unwrap().contains("--grant"));
    append(
        &host,
        Event::LimitStop {
            plugin: "calc".parse().unwrap(),
            code: Code::MemoryLimit,
            method: "grow".into(),
            count: 2,
        },
    );
    let stopped = because(&host);
    assert_eq!(
        (stopped.event, stopped.code),
        (WhyKind::Stopped, Some(Code::MemoryLimit))
    );
    assert_eq!(stopped.rule.as_deref(), Some("memory"));
    assert!(stopped.fix.unwrap().contains("--limit memory="));
    append(
        &host,
        Event::Rollback {
            name: "calc".parse().unwrap(),
            from: Generation(2),
            to: Generation(3),
            digest: Digest::of(b"calc"),
            reason: "5 of 9 calls trapped".into(),
        },
    );
    let why = calc(&host).unwrap();
    assert_eq!((why.serving, why.generation), (true, Some(3)));
    let back = why.because.unwrap();
    assert_eq!(back.event, WhyKind::RolledBack);
    assert!(back.message.contains("5 of 9 calls trapped"), "{back:?}");
}

#[test]
fn what_the_end_of_a_host_ended_is_explained() {
    let start = || Event::Start { version: "1".into() };
    let host = Host::new();
    append(&host, start());
    load(&host, 1);
    append(
        &host,
        Event::Stop {
            reason: "asked to stop".into(),
        },
    );
    assert_eq!(because(&host).event, WhyKind::Restarted);
    let host = Host::new();
    load(&host, 1);
    append(&host, start());
    assert!(because(&host).message.contains("killed"));
    load(&host, 1);
    assert_eq!(calc(&host).unwrap().because, None);
}

/// Enforced by `why::OF_A_KIND`.
#[test]
fn a_flood_hides_nothing_of_another_kind_and_is_not_kept() {
    let host = Host::new();
    append(&host, failed(LoadStep::Hook, Code::LoadHookFailed, &[], None));
    load(&host, 1);
    for number in 0..50 {
        append(&host, denial(&format!("10.0.0.1:{number}"), 1));
    }
    let why = calc(&host).unwrap();
    assert_eq!(why.history.len(), 12);
    assert_eq!(why.history[0].event, WhyKind::LoadFailed);
    assert!(why.because.unwrap().message.contains("10.0.0.1:49"));
}

#[test]
fn what_is_about_others_is_not_about_it() {
    let host = Host::new();
    append(&host, Event::Start { version: "1".into() });
    assert_eq!(calc(&host), None);
    load(&host, 1);
    let other = "calculator".parse().unwrap();
    assert_eq!(why(Records::open(host.folder.path()).unwrap(), &other), None);
}

/// Enforced by `why::moment`: whose word it is, the chain it worked for, and
/// what was changed before.
#[test]
fn a_denial_names_whose_word_it_is_and_for_whom_it_worked() {
    let host = Host::new();
    load(&host, 1);
    append(
        &host,
        Event::GrantChange {
            name: "calc".parse().unwrap(),
            generation: Generation(1),
            added: vec!["secret=b".into()],
            removed: vec!["secret=a".into()],
            rule: "trust policy".into(),
            principal: "host".into(),
        },
    );
    let refused = |target: &str, rule: &str, chain: &[&str]| Event::Denial {
        plugin: "calc".parse().unwrap(),
        grant: "secret".into(),
        target: target.into(),
        reason: "the plugin has no grant".into(),
        rule: Some(rule.into()),
        chain: chain.iter().map(|name| (*name).into()).collect(),
        count: 1,
    };
    append(&host, refused("a", "trust policy: name c* takes it away", &[]));
    let denied = because(&host);
    assert_eq!(
        denied.rule.as_deref(),
        Some("trust policy: name c* takes it away")
    );
    assert!(denied.fix.unwrap().contains("odeon grant"));
    append(&host, refused("b", "deputy: calc works for x", &["x", "calc"]));
    let denied = because(&host);
    assert_eq!(denied.rule.as_deref(), Some("deputy: calc works for x"));
    assert!(
        denied.message.contains("while it worked for others (x -> calc)"),
        "{}",
        denied.message
    );
    assert!(denied.fix.unwrap().contains("odeon trust deputy add"));
    let history = calc(&host).unwrap().history;
    let changed = history.iter().find(|moment| moment.event == WhyKind::Regranted);
    let changed = changed.unwrap();
    assert_eq!(
        changed.message,
        "it was granted secret=b and lost secret=a by host"
    );
    assert_eq!(changed.rule.as_deref(), Some("trust policy"));
}

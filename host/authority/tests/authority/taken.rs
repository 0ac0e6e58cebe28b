//! Grants that are taken away, that are shared, and whose word it is.

use std::net::SocketAddr;

use odeon_authority::{
    Access, Askable, EgressReason, Grant, GrantSet, Offer, Policy, PolicyEditError, Protocol, Sides, Trust,
    Verdict, Wanted, decide, sign,
};

use crate::fixture::{Host, claim, component, key, packed, terms};

fn set(texts: &[&str]) -> GrantSet {
    GrantSet::parse(texts.iter().copied()).unwrap()
}

fn without(granted: &[&str], denied: &[&str]) -> Vec<String> {
    set(granted).without(&set(denied)).lines()
}

// Passes by `without::lowered` and `without::touches`.
#[test]
fn a_directory_goes_with_what_is_above_and_below_it() {
    let gone: Vec<String> = Vec::new();
    assert_eq!(without(&["fs=/srv/a::/data"], &["fs=/srv/a"]), gone);
    assert_eq!(without(&["fs=/srv/a/b::/data"], &["fs=/srv/a"]), gone);
    assert_eq!(without(&["fs=/srv::/data"], &["fs=/srv/a"]), gone);
    assert_eq!(without(&["fs=/srv/x/../a::/data"], &["fs=/srv/a"]), gone);
    assert_eq!(
        without(&["fs=/srv/ab::/data"], &["fs=/srv/a"]),
        ["fs=/srv/ab::/data"]
    );
    assert_eq!(without(&["fs=/srv/a::/data"], &["fs=::/data"]), gone);
    assert_eq!(
        without(&["fs=/srv/a::/data"], &["fs=::/other"]),
        ["fs=/srv/a::/data"]
    );
    assert_eq!(
        without(&["fs=/srv/a::/data,rw"], &["fs=/srv/a,rw"]),
        ["fs=/srv/a::/data"]
    );
}

// Passes by `GrantSet::without`.
#[test]
fn names_go_and_others_stay() {
    assert_eq!(
        without(
            &["env=A=1", "env=B", "secret=x", "secret=y"],
            &["env=A", "secret=y"]
        ),
        ["env=B", "secret=x"]
    );
}

// Passes by `CallGrant::is_touched_by`: what is denied for one method is left to
// no wider grant, which could not be told apart from it.
#[test]
fn calls_go_with_the_plugin_or_the_method() {
    assert_eq!(without(&["call=a", "call=b"], &["call=a"]), ["call=b"]);
    assert_eq!(without(&["call=a/add", "call=a/sub"], &["call=a"]), [""; 0]);
    assert_eq!(
        without(&["call=a/add", "call=a/sub"], &["call=a/add"]),
        ["call=a/sub"]
    );
    assert_eq!(without(&["call=a", "call=b"], &["call=a/add"]), ["call=b"]);
}

// Passes by `Endpoint::covers`, and `EgressPolicy::excepted` for what is part of
// a wider rule.
#[test]
fn a_part_of_a_network_rule_goes_out_of_the_wider_one() {
    assert_eq!(without(&["tcp=a.test:1"], &["tcp=a.test:1"]), [""; 0]);
    assert_eq!(without(&["tcp=x.a.test:1"], &["tcp=*.a.test:*"]), [""; 0]);
    assert_eq!(without(&["http=a.test:80"], &["http=a.test"]), [""; 0]);
    let left = set(&["tcp=*:*,private", "http=*"]).without(&set(&["tcp=10.0.0.5:22", "http=evil.test"]));
    assert_eq!(
        left.lines(),
        [
            "tcp=*:*,private",
            "http=*",
            "except tcp=10.0.0.5:22",
            "except http=evil.test"
        ]
    );
    // It is no grant, and nobody writes it down as one.
    assert_eq!(left.complete_lines(), ["tcp=*:*,private", "http=*"]);
    let egress = left.egress();
    let tcp = |address: &str, name| {
        let address: SocketAddr = address.parse().unwrap();
        egress.check(Protocol::Tcp, address, name).map(drop)
    };
    assert!(tcp("10.0.0.5:23", None).is_ok() && tcp("10.0.0.6:22", None).is_ok());
    for name in [None, Some("inner.test")] {
        let denied = tcp("10.0.0.5:22", name).unwrap_err();
        assert_eq!(denied.reason, EgressReason::Excepted);
        assert!(denied.to_string().contains("tcp=10.0.0.5:22"), "{denied}");
    }
    assert!(egress.check_request("good.test", 443).is_ok());
    assert_eq!(
        egress.check_request("EVIL.test.", 443).unwrap_err().reason,
        EgressReason::Excepted
    );
    assert!(
        egress.check_request("evil.test", 8080).is_err(),
        "another port was never granted"
    );
    // Nor does it come back by meeting somebody who does not except it.
    let met = GrantSet::intersect(&left, &set(&["tcp=10.0.0.5:22"]));
    let address = "10.0.0.5:22".parse().unwrap();
    assert!(met.egress().check(Protocol::Tcp, address, None).is_err());
}

// Passes by `EgressPolicy::check_lookup` and `check_answer`.
#[test]
fn a_name_of_which_every_port_is_taken_away_is_not_looked_up() {
    let left = set(&["tcp=*:*"]).without(&set(&["tcp=evil.test:*", "tcp=half.test:1"]));
    let egress = left.egress();
    assert_eq!(
        egress.check_lookup(None, "evil.test").unwrap_err().reason,
        EgressReason::Excepted
    );
    assert!(egress.check_lookup(None, "half.test").is_ok() && egress.check_lookup(None, "good.test").is_ok());
    let address = "1.1.1.1".parse().unwrap();
    assert!(egress.check_answer(address, "evil.test").is_err());
    assert!(egress.check_answer(address, "good.test").is_ok());
}

// Passes by `GrantSet::on_behalf_of`.
#[test]
fn two_plugins_share_what_both_have() {
    let own = set(&[
        "fs=/srv/a::/data,rw",
        "fs=/srv/b::/more,rw",
        "tcp=a.test:*",
        "env=A=1",
        "env=B=1",
        "secret=x",
        "secret=y",
    ]);
    let other = set(&[
        "fs=/srv/a::/theirs",
        "fs=/srv::/more,rw",
        "tcp=*.test:443",
        "tcp=*:80",
        "env=A=1",
        "env=B=2",
        "secret=y",
    ]);
    let shared = own.on_behalf_of(&other);
    assert_eq!(
        shared.complete_lines(),
        [
            "fs=/srv/a::/data",
            "tcp=a.test:80",
            "tcp=a.test:443",
            "env=A=1",
            "secret=y"
        ]
    );
    assert!(own.on_behalf_of(&GrantSet::default()).is_empty());
}

// Passes by `GrantSet::take_out`.
#[test]
fn an_operator_takes_out_what_he_names() {
    let mut grants = set(&["fs=/srv/a::/data,rw", "tcp=a.test:1", "env=A=1", "secret=x"]);
    let mut take = |text: &str| grants.take_out(&text.parse::<Grant>().unwrap());
    assert!(!take("tcp=a.test:2") && !take("fs=/srv/b::/data") && !take("secret=y"));
    assert!(take("fs=/srv/a::/data") && take("tcp=a.test:1") && take("env=A") && take("secret=x"));
    assert!(!take("secret=x"));
    assert!(grants.is_empty());
}

// Passes by `GrantSet::still_allows`.
#[test]
fn an_operator_hears_of_what_is_wider_than_what_he_takes() {
    let before = set(&["fs=/srv/a::/data"]);
    let left = set(&[
        "fs=/srv::/all",
        "fs=/srv/b::/other",
        "tcp=*.test:443",
        "tcp=b.test:*",
        "http=*",
        "env=B",
        "secret=y",
        "call=p",
        "call=q/add",
    ]);
    let wider = |taken: &str| {
        left.still_allows(&taken.parse::<Grant>().unwrap(), &before)
            .join(" ")
    };
    assert_eq!(wider("fs=::/data"), "fs=/srv::/all");
    assert_eq!(wider("fs=/srv/c::/data"), "", "it was not there");
    assert_eq!(wider("tcp=a.test:443"), "tcp=*.test:443");
    assert_eq!(wider("tcp=a.test:80"), "");
    assert_eq!(wider("tcp=*:443"), "", "what is left is narrower");
    assert_eq!(wider("http=a.test"), "http=*");
    assert_eq!(wider("udp=a.test:53") + &wider("env=A") + &wider("secret=x"), "");
    assert_eq!(wider("call=p/add"), "call=p");
    assert_eq!(wider("call=q/calc.add"), "call=q/add", "it may be the same");
    assert_eq!(wider("call=q"), "");
    // What the policy takes away cannot be used, whatever is wider.
    let left = left.without(&set(&["http=a.test"]));
    let taken = "http=a.test".parse::<Grant>().unwrap();
    assert!(left.still_allows(&taken, &before).is_empty());
}

// Passes by `PolicyEdit::take_away` and `decision::grants`.
#[test]
fn what_the_policy_takes_away_no_row_and_no_operator_gives() {
    let host = Host::new();
    let key = key();
    let component = sign(&component("calc"), &key, &claim("calc", "1.0.0")).unwrap();
    host.trust(|edit| {
        edit.allow_key(&key.public(), &[], None, None).unwrap();
        edit.take_away(&"c*".parse().unwrap(), &set(&["secret=x", "tcp=a.test:1"]))
            .unwrap();
        edit.take_away(&"c*".parse().unwrap(), &set(&["secret=x", "env=A"]))
            .unwrap();
    });
    let text = std::fs::read_to_string(host.folder.path().join("trust.toml")).unwrap();
    assert!(
        text.contains("without = [\"tcp=a.test:1\", \"secret=x\", \"env=A\"]"),
        "{text}"
    );
    let mut terms = terms();
    terms.grants = Some(set(&["secret=x", "secret=y", "tcp=*.test:*", "env=A"]));
    let admitted = host.offer(&component, &terms).unwrap();
    assert_eq!(
        admitted.grants().lines(),
        ["tcp=*.test:*", "secret=y", "except tcp=a.test:1"]
    );
    let row = &Policy::load(&host.folder.path().join("trust.toml"))
        .unwrap()
        .rows()[1];
    assert_eq!((row.kind, row.decision), ("name", Trust::Allow));
    assert_eq!(row.without.as_ref().unwrap().len(), 3);
}

// Passes by `Sides::says_no`.
#[test]
fn it_is_told_whose_word_it_is() {
    let policy = Policy::parse(
        "[[name]]\nname = \"calc\"\ngrants = [\"secret=a\", \"secret=b\", \"tcp=*:*\"]\n\
         [[name]]\nname = \"c*\"\nwithout = [\"secret=b\", \"tcp=a.test:*\", \"fs=::/data,rw\"]\n",
    )
    .unwrap();
    let offer = Offer::read(&component("calc"), None).unwrap();
    let mut terms = terms();
    terms.allow_unsigned = true;
    terms.grants = Some(set(&["secret=a", "secret=b", "secret=c", "tcp=*:*"]));
    let sides = Sides::of(&policy, &offer, &terms, &"calc".parse().unwrap());
    let says = |wanted: &Wanted<'_>| sides.says_no(wanted).map(str::to_owned);
    assert_eq!(says(&Wanted::Secret("a")), None);
    let taken = Some("trust policy: name c* takes it away".to_owned());
    assert_eq!(says(&Wanted::Secret("b")), taken);
    assert_eq!(
        says(&Wanted::Secret("c")),
        Some("trust policy: the ceiling of name calc".to_owned())
    );
    assert_eq!(
        says(&Wanted::Secret("d")),
        Some("operator: not among the grants of its load; see `odeon grant`".to_owned())
    );
    let address = Wanted::Address {
        protocol: Protocol::Tcp,
        address: "1.1.1.1:443".parse().unwrap(),
        name: Some("a.test"),
    };
    assert_eq!(says(&address), taken);
    let directory = |access| Wanted::Directory {
        host: std::path::Path::new("/srv"),
        guest: "/data",
        access,
    };
    assert_eq!(says(&directory(Access::ReadWrite)), taken);
    assert_ne!(says(&directory(Access::Read)), taken);
    // An author who asks for nothing is the first to say so.
    let modest = Offer::read(&packed("calc", "1.0.0"), None).unwrap();
    let of_modest = Sides::of(&policy, &modest, &terms, &"calc".parse().unwrap());
    assert_eq!(
        of_modest.says_no(&Wanted::Secret("a")),
        Some("manifest: the component does not ask for it")
    );
    terms.grants = None;
    terms.name = Some("calc".parse().unwrap());
    let sides = Sides::of(&policy, &offer, &terms, &"calc".parse().unwrap());
    let nobody = sides.says_no(&Wanted::Secret("a")).unwrap();
    assert!(
        nobody.starts_with("operator: its load names no grants"),
        "{nobody}"
    );
    assert!(matches!(
        decide(Ok(&policy), &offer, &terms).verdict,
        Verdict::Allow { .. }
    ));
}

// Passes by `Askable::allows_elsewhere`.
#[test]
fn a_directory_is_the_same_by_its_place() {
    let asked: Askable = set(&["fs=/srv/a::/mine"]).into();
    let wanted = |access| Wanted::Directory {
        host: std::path::Path::new("/srv/a"),
        guest: "/theirs",
        access,
    };
    assert!(asked.allows_elsewhere(&wanted(Access::Read)));
    assert!(!asked.allows_elsewhere(&wanted(Access::ReadWrite)));
    assert!(!asked.allows(&wanted(Access::Read)));
}

// Passes by `PolicyEdit::add_deputy` and `remove_deputy`.
#[test]
fn deputies_are_added_and_removed() {
    let host = Host::new();
    let (b, a): (odeon_protocol::PluginName, odeon_authority::NamePattern) =
        ("b".parse().unwrap(), "a".parse().unwrap());
    let more = "x*".parse().unwrap();
    let policy = host.trust(|edit| {
        edit.add_deputy(&b, std::slice::from_ref(&a)).unwrap();
        edit.add_deputy(&b, &[a.clone(), more]).unwrap();
    });
    let acts_for: Vec<String> = policy.acts_for(&b).iter().map(ToString::to_string).collect();
    assert_eq!(acts_for, ["a", "x*"]);
    assert!(policy.acts_for(&"a".parse().unwrap()).is_empty());
    let policy = host.trust(|edit| edit.remove_deputy(&b, std::slice::from_ref(&a)).unwrap());
    assert_eq!(policy.acts_for(&b).len(), 1);
    host.trust(|edit| {
        let unknown = edit.remove_deputy(&b, std::slice::from_ref(&a)).unwrap_err();
        assert!(matches!(unknown, PolicyEditError::NoDeputy { .. }), "{unknown}");
    });
    let policy = host.trust(|edit| edit.remove_deputy(&b, &[]).unwrap());
    assert!(policy.rows().is_empty());
}

// Passes by `Policy::check`.
#[test]
fn rows_that_say_nothing_are_refused() {
    for text in [
        "[[deputy]]\nplugin = \"b\"\nfor = []\n",
        "[[deputy]]\nplugin = \"b\"\n",
        "[[name]]\nname = \"b\"\ndecision = \"deny\"\nwithout = [\"secret=x\"]\n",
        "[[name]]\nname = \"b\"\n",
        "[[key]]\nkey = \"b\"\nwithout = []\n",
    ] {
        assert!(Policy::parse(text).is_err(), "{text}");
    }
}

//! What grants say, and which texts are none.

use odeon_authority::{Access, Grant, GrantSet};

use crate::fixture::set;

#[test]
fn command_line_grants_are_read() {
    let grants = set(&[
        "fs=/srv/data::/data,rw",
        "fs=.",
        "tcp=db.example.com:5432",
        "tcp=[::1]:80",
        "udp=*:53",
        "http=API.Example.com.",
        "http=*.example.org:8080,private",
        "listen=127.0.0.1:*",
        "env=LANG",
        "env=MODE=a=b",
        "secret=token",
    ]);
    assert_eq!(
        grants.lines(),
        [
            "fs=/srv/data::/data,rw",
            "fs=.::/",
            "tcp=db.example.com:5432",
            "tcp=[::1]:80",
            "udp=*:53",
            "http=api.example.com",
            "http=*.example.org:8080,private",
            "listen=127.0.0.1:*",
            "env=LANG",
            "env=MODE",
            "secret=token",
        ]
    );
    assert_eq!(grants.fs[0].access, Access::ReadWrite);
    assert_eq!(grants.env["MODE"].as_deref(), Some("a=b"));
    assert_eq!(grants.env["LANG"], None);
    // For files of the operator's own, a set is written so that it is read back whole.
    let complete = grants.complete_lines();
    assert!(complete.contains(&"env=MODE=a=b".to_owned()), "{complete:?}");
    assert_eq!(
        GrantSet::parse(complete.iter().map(String::as_str)).unwrap(),
        grants
    );
}

#[test]
fn what_is_no_grant_says_what_was_expected() {
    for (text, found) in [
        ("frob=1", "frob"),
        ("secret", "secret"),
        ("tcp=example.com", "example.com"),
        ("tcp=example.com:99999", "99999"),
        ("tcp=example.com:+1", "+1"),
        ("http=example.com:80,public", "public"),
        ("http=http://example.com", "//example.com"),
        ("http=127.1", "127.1"),
        ("http=0x7f000001", "0x7f000001"),
        ("http=2130706433", "2130706433"),
        ("tcp=::1:80", "::1"),
        ("tcp=[::1:80", "[::1"),
        ("tcp=[fe80::1%eth0]:80", "[fe80::1%eth0]"),
        ("http=a*.example.com", "a*.example.com"),
        ("http=", ""),
        ("fs=/data::../up", "../up"),
        ("fs=../up", "../up"),
        ("fs=", ""),
        ("env=", ""),
        ("secret=a/b", "a/b"),
        ("call=", ""),
        ("call=Calc", "Calc"),
        ("call=calc/", ""),
        ("call=calc/add/two", "add/two"),
        ("listen=example.com:80", "example.com"),
        ("listen=*:80,private", "private"),
    ] {
        let error = text.parse::<Grant>().expect_err(text);
        assert_eq!(error.found, found, "{error}");
    }
}

// Passes by `GrantSet::add`.
#[test]
fn sets_are_bounded_and_without_contradiction() {
    let ports = |most: usize| {
        (1..=most)
            .map(|port| format!("tcp=a.example:{port}"))
            .collect::<Vec<_>>()
    };
    let parse = |texts: &[String]| GrantSet::parse(texts.iter().map(String::as_str));
    assert!(parse(&ports(GrantSet::MAX_PER_KIND)).is_ok());
    assert!(parse(&ports(GrantSet::MAX_PER_KIND + 1)).is_err());
    assert!(GrantSet::parse(["fs=/a::/x", "fs=/b::x/"]).is_err());
    assert!(GrantSet::parse(["env=A=1", "env=A=2"]).is_err());
}

#[test]
fn files_say_the_same_as_tables_texts_or_a_list() {
    let tables = r#"
        secret = ["token"]
        call = ["calc", "other/math.add"]
        tcp = "db.example.com:5432"
        [env]
        MODE = "fast"
        LANG = true
        [[fs]]
        host = "/srv/data"
        guest = "/data"
        access = "read-write"
        [[http]]
        host = "api.example.com"
        port = 443
        private = true
        [[http]]
        host = "*"
    "#;
    let grants: GrantSet = toml::from_str(tables).unwrap();
    let same = set(&[
        "fs=/srv/data::/data,rw",
        "tcp=db.example.com:5432",
        "http=api.example.com:443,private",
        "http=*",
        "env=MODE=fast",
        "env=LANG",
        "secret=token",
        "call=calc",
        "call=other/math.add",
    ]);
    assert_eq!(grants, same);
    for wrong in [
        "frob = 1",
        "call = \"Calc\"",
        "[[fs]]\nhost = \"/a\"\nguest = \"/b::c\"",
        "[[http]]\nport = 80",
        "[[http]]\nhost = \"a\"\nhots = 1",
        "[[tcp]]\nhost = \"a\"",
        "fs = [{}]",
    ] {
        assert!(toml::from_str::<GrantSet>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn secrets_are_asked_by_name() {
    let grants = set(&["secret=token"]);
    assert!(grants.secret("token").is_ok());
    assert!(grants.secret("tok").is_err());
}

/// Enforced by `call::intersect` and `GrantSet::call`.
#[test]
fn calls_are_granted_by_plugin_or_by_method() {
    let meet = |asked: &[&str], allowed: &[&str]| GrantSet::intersect(&set(asked), &set(allowed)).lines();
    assert_eq!(meet(&["call=a", "call=b"], &["call=a/add"]), ["call=a/add"]);
    assert_eq!(meet(&["call=a/add"], &["call=a"]), ["call=a/add"]);
    assert_eq!(meet(&["call=a"], &["call=a"]), ["call=a"]);
    assert_eq!(meet(&["call=a/add"], &["call=a/sub"]), [""; 0]);
    let granted = set(&["call=a", "call=b/add"]);
    let name = |text: &str| text.parse().expect("a plugin's name");
    let member = |text: &str| text.parse::<odeon_protocol::MemberPath>().expect("a method");
    let may = |plugin: &str, method: &str| {
        let (plugin, method) = (name(plugin), member(method));
        granted.calls_of(&plugin, &method).is_ok()
            && granted
                .call(&plugin, &method, |granted| *granted == method)
                .is_ok()
    };
    assert!(may("a", "anything") && may("b", "add"));
    assert!(!may("b", "sub") && !may("c", "add"));
    // Before anybody looks what methods it has, or whether it is loaded.
    let none = granted.calls_of(&name("c"), &member("add"));
    assert_eq!(none.expect_err("a refusal").wanted, "call=c/add");
    let denied = granted
        .call(&name("b"), &member("math.sub"), |_| false)
        .expect_err("a refusal");
    assert_eq!(denied.wanted, "call=b/math.sub");
}

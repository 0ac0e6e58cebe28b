//! What grants say, how two sets meet, and what is reachable over the network.

use std::net::{IpAddr, SocketAddr};

use odeon_authority::{Access, AddressClass, EgressReason, Grant, GrantSet, Protocol};
use proptest::prelude::*;

fn set(texts: &[&str]) -> GrantSet {
    GrantSet::parse(texts.iter().copied()).unwrap()
}

fn reaches(grants: &[&str], protocol: Protocol, address: &str, name: Option<&str>) -> bool {
    set(grants)
        .egress()
        .check(protocol, address.parse().unwrap(), name)
        .is_ok()
}

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

// Passes by `egress::EgressPolicy::check` (no rule, no way out).
#[test]
fn nothing_is_reachable_without_a_rule() {
    let nothing = GrantSet::default().egress();
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Http, Protocol::Listen] {
        let denied = nothing.check(protocol, "93.184.216.34:80".parse().unwrap(), None);
        assert_eq!(denied.unwrap_err().reason, EgressReason::NotNamed);
    }
    // A rule of one protocol opens no other.
    assert!(!reaches(&["http=*"], Protocol::Tcp, "93.184.216.34:80", None));
    assert!(!reaches(&["tcp=*:*"], Protocol::Udp, "93.184.216.34:53", None));
    assert!(!reaches(&["tcp=*:*"], Protocol::Listen, "127.0.0.1:8080", None));
    assert!(!reaches(&["tcp=*:*"], Protocol::Http, "93.184.216.34:80", None));
}

// Passes by `Endpoint::concerns`.
#[test]
fn hosts_and_ports_are_matched_exactly() {
    let public = "93.184.216.34:443";
    assert!(reaches(
        &["http=api.example.com"],
        Protocol::Http,
        public,
        Some("API.example.com.")
    ));
    assert!(!reaches(
        &["http=api.example.com"],
        Protocol::Http,
        "93.184.216.34:8443",
        Some("api.example.com")
    ));
    assert!(reaches(&["tcp=93.184.216.34:443"], Protocol::Tcp, public, None));
    assert!(!reaches(
        &["tcp=93.184.216.34:443"],
        Protocol::Tcp,
        "93.184.216.34:444",
        None
    ));
    assert!(!reaches(
        &["http=api.example.com"],
        Protocol::Http,
        public,
        Some("evil-api.example.com")
    ));
    assert!(!reaches(&["http=api.example.com"], Protocol::Http, public, None));
    assert!(reaches(
        &["http=*.example.com"],
        Protocol::Http,
        public,
        Some("a.b.example.com")
    ));
    assert!(!reaches(
        &["http=*.example.com"],
        Protocol::Http,
        public,
        Some("example.com")
    ));
    assert!(!reaches(
        &["http=*.example.com"],
        Protocol::Http,
        public,
        Some(".example.com")
    ));
    assert!(!reaches(
        &["http=*.example.com"],
        Protocol::Http,
        public,
        Some("notexample.com")
    ));
}

// Passes by `Endpoint::opens` (the class of the address).
#[test]
fn a_name_that_resolves_inwards_is_denied_unless_private() {
    for inside in [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "[::1]",
        "[fd12::1]",
        "[::ffff:127.0.0.1]",
    ] {
        let address = format!("{inside}:80");
        assert!(
            !reaches(
                &["http=api.example.com"],
                Protocol::Http,
                &address,
                Some("api.example.com")
            ),
            "{inside}"
        );
        assert!(
            !reaches(&["http=*"], Protocol::Http, &address, Some("api.example.com")),
            "{inside}"
        );
        assert!(
            reaches(
                &["http=api.example.com,private"],
                Protocol::Http,
                &address,
                Some("api.example.com")
            ),
            "{inside}"
        );
    }
    // What only a name of its own opens.
    for inside in [
        "169.254.169.254",
        "169.254.1.1",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "0.0.0.0",
        "[::]",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
    ] {
        let address = format!("{inside}:80");
        assert!(
            !reaches(
                &["http=*,private"],
                Protocol::Http,
                &address,
                Some("api.example.com")
            ),
            "{inside}"
        );
        assert!(
            reaches(&[&format!("http={inside}")], Protocol::Http, &address, None),
            "{inside}"
        );
    }
    let denied = set(&["http=api.example.com"]).egress();
    let denied = denied
        .check(
            Protocol::Http,
            "127.0.0.1:80".parse().unwrap(),
            Some("api.example.com"),
        )
        .unwrap_err();
    assert_eq!(denied.reason, EgressReason::Class(AddressClass::Loopback));
    assert_eq!(denied.rule.as_deref(), Some("http=api.example.com"));
}

// Passes by `Endpoint::concerns` (an address rule is about that address).
#[test]
fn a_named_address_is_reachable_whatever_its_class() {
    assert!(reaches(
        &["tcp=127.0.0.1:5432"],
        Protocol::Tcp,
        "127.0.0.1:5432",
        None
    ));
    assert!(reaches(
        &["tcp=127.0.0.1:5432"],
        Protocol::Tcp,
        "[::ffff:127.0.0.1]:5432",
        None
    ));
    assert!(!reaches(
        &["tcp=127.0.0.1:5432"],
        Protocol::Tcp,
        "127.0.0.2:5432",
        None
    ));
    assert!(!reaches(
        &["tcp=127.0.0.1:5432"],
        Protocol::Tcp,
        "127.0.0.1:22",
        None
    ));
    assert!(reaches(
        &["udp=192.168.1.1:53"],
        Protocol::Udp,
        "192.168.1.1:53",
        None
    ));
    assert!(reaches(
        &["listen=*:8080"],
        Protocol::Listen,
        "0.0.0.0:8080",
        None
    ));
    assert!(!reaches(
        &["listen=127.0.0.1:8080"],
        Protocol::Listen,
        "0.0.0.0:8080",
        None
    ));
}

// Passes by `EgressPolicy::check_request` and `EgressPolicy::check_lookup`.
#[test]
fn requests_and_lookups_are_asked_before_a_query_leaves() {
    let policy = set(&["http=*.example.com", "tcp=db.example.org:5432"]).egress();
    assert!(policy.check_request("a.example.com", 443).is_ok());
    assert!(policy.check_request("a.example.com", 8443).is_err());
    assert!(policy.check_request("secret-data.evil.net", 443).is_err());
    assert!(policy.check_request("127.0.0.1", 80).is_err());
    assert!(policy.check_request("[::1]", 80).is_err());
    assert!(policy.check_request("::ffff:169.254.169.254", 80).is_err());
    assert!(policy.check_lookup(Some(Protocol::Http), "a.example.com").is_ok());
    assert!(policy.check_lookup(None, "a.example.com").is_err());
    assert!(policy.check_lookup(None, "DB.example.org").is_ok());
    assert!(policy.check_lookup(None, "secret-data.evil.net").is_err());
    assert!(
        GrantSet::default()
            .egress()
            .check_lookup(None, "example.com")
            .is_err()
    );
    assert!(!policy.any(Protocol::Udp) && policy.any(Protocol::Tcp));
}

// Passes by `address::of_v4` and `address::of_v6`.
#[test]
fn every_special_range_is_known_by_its_edges() {
    use AddressClass as C;
    for (address, class) in [
        ("0.0.0.0", C::Unspecified),
        ("0.1.2.3", C::Reserved),
        ("9.255.255.255", C::Global),
        ("10.0.0.0", C::Private),
        ("10.255.255.255", C::Private),
        ("11.0.0.0", C::Global),
        ("100.63.255.255", C::Global),
        ("100.64.0.0", C::Shared),
        ("100.127.255.255", C::Shared),
        ("100.128.0.0", C::Global),
        ("100.100.100.200", C::Metadata),
        ("126.255.255.255", C::Global),
        ("127.0.0.0", C::Loopback),
        ("127.255.255.255", C::Loopback),
        ("128.0.0.0", C::Global),
        ("169.253.255.255", C::Global),
        ("169.254.0.0", C::LinkLocal),
        ("169.254.169.254", C::Metadata),
        ("169.254.170.2", C::Metadata),
        ("169.255.0.0", C::Global),
        ("172.15.255.255", C::Global),
        ("172.16.0.0", C::Private),
        ("172.31.255.255", C::Private),
        ("172.32.0.0", C::Global),
        ("192.0.0.1", C::Reserved),
        ("192.0.2.1", C::Documentation),
        ("192.88.99.1", C::Reserved),
        ("192.167.255.255", C::Global),
        ("192.168.0.0", C::Private),
        ("192.169.0.0", C::Global),
        ("198.17.255.255", C::Global),
        ("198.18.0.0", C::Benchmarking),
        ("198.19.255.255", C::Benchmarking),
        ("198.51.100.1", C::Documentation),
        ("203.0.113.1", C::Documentation),
        ("223.255.255.255", C::Global),
        ("224.0.0.0", C::Multicast),
        ("239.255.255.255", C::Multicast),
        ("240.0.0.0", C::Reserved),
        ("255.255.255.255", C::Broadcast),
        ("::", C::Unspecified),
        ("::1", C::Loopback),
        ("::2", C::Reserved),
        ("::ffff:10.0.0.1", C::Private),
        ("::ffff:93.184.216.34", C::Global),
        ("::ffff:0:127.0.0.1", C::Loopback),
        ("::127.0.0.1", C::Loopback),
        ("64:ff9b::169.254.169.254", C::Metadata),
        ("64:ff9b::8.8.8.8", C::Global),
        ("64:ff9b:1::8.8.8.8", C::Private),
        ("2002:7f00:1::", C::Loopback),
        ("2002:808:808::1", C::Global),
        ("fc00::", C::Private),
        ("fdff::1", C::Private),
        ("fd00:ec2::254", C::Metadata),
        ("fe80::1", C::LinkLocal),
        ("febf::1", C::LinkLocal),
        ("fec0::1", C::Private),
        ("ff02::1", C::Multicast),
        ("2001:db8::1", C::Documentation),
        ("3fff::1", C::Documentation),
        ("2001:2::1", C::Benchmarking),
        ("2001::1", C::Reserved),
        ("100::1", C::Reserved),
        ("2606:4700::1111", C::Global),
        ("2a00:1450::1", C::Global),
        ("4000::1", C::Reserved),
    ] {
        assert_eq!(AddressClass::of(address.parse().unwrap()), class, "{address}");
    }
}

#[test]
fn secrets_are_asked_by_name() {
    let grants = set(&["secret=token"]);
    assert!(grants.secret("token").is_ok());
    assert!(grants.secret("tok").is_err());
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*"),
        Just("a.example"),
        Just("b.a.example"),
        Just("*.example"),
        Just("*.a.example"),
        Just("c.test"),
        Just("127.0.0.1"),
        Just("10.0.0.1"),
        Just("[::1]"),
        Just("93.184.216.34"),
        Just("169.254.169.254"),
    ]
    .prop_map(str::to_owned)
}

fn grant() -> impl Strategy<Value = String> {
    let port = prop_oneof![Just(""), Just(":*"), Just(":80"), Just(":443"), Just(":8080")];
    let network = (
        prop_oneof![Just("tcp"), Just("udp"), Just("http")],
        host(),
        port,
        any::<bool>(),
    )
        .prop_map(|(kind, host, port, private)| {
            let port = if port.is_empty() && kind != "http" {
                ":80"
            } else {
                port
            };
            format!("{kind}={host}{port}{}", if private { ",private" } else { "" })
        });
    let listen = (
        prop_oneof![Just("*"), Just("127.0.0.1"), Just("0.0.0.0")],
        prop_oneof![Just("*"), Just("80")],
    )
        .prop_map(|(host, port)| format!("listen={host}:{port}"));
    let fs = (
        prop_oneof![Just(""), Just("/x"), Just("/y")],
        prop_oneof![Just("/a"), Just("/b")],
        any::<bool>(),
    )
        .prop_map(|(host, guest, rw)| format!("fs={host}::{guest}{}", if rw { ",rw" } else { "" }));
    let rest = prop_oneof![
        Just("env=A"),
        Just("env=A=1"),
        Just("env=A=2"),
        Just("env=B"),
        Just("secret=s"),
        Just("secret=t"),
    ]
    .prop_map(str::to_owned);
    prop_oneof![4 => network, 1 => listen, 2 => fs, 2 => rest]
}

fn grants() -> impl Strategy<Value = GrantSet> {
    proptest::collection::vec(grant(), 0..8).prop_map(|texts| {
        let mut set = GrantSet::default();
        // Contradictions are refused; the rest is a set.
        texts.iter().for_each(|text| drop(set.add(text.parse().unwrap())));
        set
    })
}

/// Whether everything that `inner` reaches, `outer` reaches too.
fn assert_within(inner: &GrantSet, outer: &GrantSet) {
    let addresses = [
        "127.0.0.1",
        "10.0.0.1",
        "::1",
        "93.184.216.34",
        "169.254.169.254",
        "0.0.0.0",
        "::ffff:10.0.0.1",
    ];
    let names = [
        None,
        Some("a.example"),
        Some("b.a.example"),
        Some("x.b.a.example"),
        Some("c.test"),
        Some("example"),
    ];
    let (inner_egress, outer_egress) = (inner.egress(), outer.egress());
    for address in addresses {
        for port in [80, 443, 8080, 22] {
            let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
            for name in names {
                for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Http, Protocol::Listen] {
                    if inner_egress.check(protocol, address, name).is_ok() {
                        assert!(
                            outer_egress.check(protocol, address, name).is_ok(),
                            "{protocol} {address} {name:?}"
                        );
                    }
                }
            }
        }
    }
    for name in names.into_iter().flatten() {
        for protocol in [None, Some(Protocol::Http)] {
            if inner_egress.check_lookup(protocol, name).is_ok() {
                assert!(outer_egress.check_lookup(protocol, name).is_ok(), "{name}");
            }
        }
        if inner_egress.check_request(name, 80).is_ok() {
            assert!(outer_egress.check_request(name, 80).is_ok(), "{name}");
        }
    }
    for grant in &inner.fs {
        let wide = outer
            .fs
            .iter()
            .find(|other| other.guest == grant.guest)
            .expect("the same guest path");
        assert!(grant.access <= wide.access);
        assert!(wide.host.is_none() || wide.host == grant.host);
    }
    for (name, value) in &inner.env {
        let wide = outer.env.get(name).expect("the same variable");
        assert!(wide.is_none() || wide == value);
    }
    assert!(inner.secrets.is_subset(&outer.secrets));
}

proptest! {
    // Passes by `GrantSet::intersect` and `Endpoint::meet`.
    #[test]
    fn an_intersection_is_never_wider_than_either_side(asked in grants(), allowed in grants()) {
        let met = GrantSet::intersect(&asked, &allowed);
        assert_within(&met, &asked);
        assert_within(&met, &allowed);
    }

    #[test]
    fn a_set_meets_itself_unchanged(set in grants()) {
        let met = GrantSet::intersect(&set, &set);
        assert_within(&set, &met);
    }

    #[test]
    fn what_is_printed_is_read_back(grant in grant()) {
        let mut set = GrantSet::default();
        set.add(grant.parse().unwrap()).unwrap();
        let line = set.lines().remove(0);
        let again = GrantSet::parse([line.as_str()]).unwrap();
        prop_assert!(again == set || grant.starts_with("env="));
    }
}

/// Enforced by `call::intersect` and `GrantSet::call`.
#[test]
fn calls_are_granted_by_plugin_or_by_method() {
    let set = |texts: &[&str]| GrantSet::parse(texts.iter().copied()).expect("grants");
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
    let denied = granted
        .call(&name("b"), &member("math.sub"), |_| false)
        .expect_err("a refusal");
    assert_eq!(denied.wanted, "call=b/math.sub");
}

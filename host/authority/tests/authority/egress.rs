//! What is reachable over the network.

use odeon_authority::{AddressClass, EgressReason, GrantSet, Protocol};

use crate::fixture::set;

fn reaches(grants: &[&str], protocol: Protocol, address: &str, name: Option<&str>) -> bool {
    set(grants)
        .egress()
        .check(protocol, address.parse().unwrap(), name)
        .is_ok()
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

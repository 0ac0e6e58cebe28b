//! How two sets of grants meet, whatever they say.

use std::net::{IpAddr, SocketAddr};

use odeon_authority::{GrantSet, Protocol};
use proptest::prelude::*;

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

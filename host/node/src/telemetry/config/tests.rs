//! The addresses that a collector can have, and the shares there are.

use odeon_protocol::TraceId;

use super::{OtlpAddress, SampleShare};

/// Enforced by `OtlpAddress::from_str`.
#[test]
fn a_collector_is_on_this_machine_and_nowhere_else() {
    for good in [
        "http://127.0.0.1:4318",
        "http://127.0.0.1:4318/",
        "http://[::1]:4318",
    ] {
        let address: OtlpAddress = good.parse().unwrap();
        assert_eq!(address.to_string(), good.trim_end_matches('/'));
    }
    for (wrong, why) in [
        ("https://127.0.0.1:4318", "TLS is not spoken here"),
        ("127.0.0.1:4318", "over HTTP"),
        ("grpc://127.0.0.1:4317", "over HTTP"),
        (
            "http://127.0.0.1:4318/v1/traces",
            "/v1/traces and /v1/logs are added",
        ),
        ("http://127.0.0.1", "a port has to be said"),
        ("http://localhost:4318", "names are not looked up"),
        ("http://192.0.2.1:4318", "sent in the clear"),
        ("http://0.0.0.0:4318", "sent in the clear"),
        ("http://[::ffff:127.0.0.1]:4318", "sent in the clear"),
    ] {
        let error = wrong.parse::<OtlpAddress>().unwrap_err().to_string();
        assert!(error.contains(why), "{wrong}: {error}");
        assert!(
            error.starts_with("telemetry.otlp: expected http://"),
            "{wrong}: {error}"
        );
    }
}

/// Enforced by `SampleShare::try_from`.
#[test]
fn a_share_is_from_nought_to_one() {
    for good in [0.0, 0.5, 1.0] {
        assert!(SampleShare::try_from(good).is_ok(), "{good}");
    }
    for wrong in [-0.001, 1.001, f64::NAN, f64::INFINITY] {
        assert!(SampleShare::try_from(wrong).is_err(), "{wrong}");
    }
}

/// Enforced by `SampleShare::takes`.
#[test]
fn a_share_takes_as_many_as_it_says() {
    let taken = |share: f64| {
        let share = SampleShare::try_from(share).unwrap();
        (0..2000).filter(|_| share.takes(TraceId::random())).count()
    };
    assert_eq!((taken(0.0), taken(1.0)), (0, 2000));
    // 300 is nine deviations from the middle.
    let tenth = taken(0.1);
    assert!((75..=325).contains(&tenth), "{tenth}");
}

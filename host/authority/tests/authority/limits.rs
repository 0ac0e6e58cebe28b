//! The table of limits, and who may set what.

use odeon_authority::{ByteSize, HostLimits, Limits, LimitsPatch, TimeSpan};

#[test]
fn the_documented_values_are_the_real_ones() {
    fn check(fields: &[odeon_authority::LimitField], default: toml::Table, ceiling: toml::Table) {
        assert_eq!(fields.len(), default.len());
        for field in fields {
            for (text, real) in [
                (field.default, &default[field.name]),
                (field.ceiling, &ceiling[field.name]),
            ] {
                let real = real.as_str().map_or_else(|| real.to_string(), str::to_owned);
                let same = text == real
                    || text
                        .parse::<TimeSpan>()
                        .is_ok_and(|time| real.parse() == Ok(time))
                    || text
                        .parse::<ByteSize>()
                        .is_ok_and(|size| real.parse() == Ok(size));
                assert!(same, "{}: {text} is not {real}", field.name);
            }
        }
    }
    let table = |limits: &Limits| toml::Table::try_from(limits).unwrap();
    check(
        Limits::FIELDS,
        table(&Limits::default()),
        table(&Limits::ceiling()),
    );
    let table = |limits: &HostLimits| toml::Table::try_from(limits).unwrap();
    check(
        HostLimits::FIELDS,
        table(&HostLimits::default()),
        table(&HostLimits::ceiling()),
    );
    Limits::default().check().unwrap();
    HostLimits::default().check().unwrap();
}

// Passes by `Limits::lowered_by`.
#[test]
fn a_manifest_only_lowers_and_an_operator_sets() {
    let patch = |text: &str| toml::from_str::<LimitsPatch>(text).unwrap();
    let host = Limits::default();
    let greedy = patch("memory = \"2GiB\"\ndeadline = \"5s\"\nqueue = 7");
    let limits = Limits::for_plugin(&host, None, Some(&greedy)).unwrap();
    assert_eq!(limits.memory, ByteSize::mib(64));
    assert_eq!(limits.deadline, TimeSpan::secs(5));
    assert_eq!(limits.queue, 7);
    let generous = patch("memory = \"1GiB\"\ndeadline = \"2m\"");
    let limits = Limits::for_plugin(&host, Some(&generous), Some(&greedy)).unwrap();
    assert_eq!(limits.memory, ByteSize::gib(1));
    assert_eq!(limits.deadline, TimeSpan::secs(5));
    assert_eq!(limits.cpu, host.cpu);
}

// Passes by `Limits::check`.
#[test]
fn a_limit_that_cannot_be_enforced_is_refused() {
    let with = |depth| LimitsPatch {
        value_depth: Some(depth),
        ..LimitsPatch::default()
    };
    assert!(Limits::for_plugin(&Limits::default(), Some(&with(100)), None).is_ok());
    let error = Limits::for_plugin(&Limits::default(), Some(&with(101)), None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the limit value-depth expected at most 100, found 101; lower it"
    );
}

#[test]
fn sizes_and_times_are_read_as_people_write_them() {
    for (text, bytes) in [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("8KiB", 8192),
        ("64 MiB", 64 << 20),
        ("4GiB", 4 << 30),
    ] {
        assert_eq!(text.parse(), Ok(ByteSize::new(bytes)));
    }
    for wrong in [
        "",
        "MiB",
        "64MB",
        "64M",
        "-1",
        "+1",
        "1.5GiB",
        "99999999999GiB",
        "1e3",
    ] {
        assert!(wrong.parse::<ByteSize>().is_err(), "{wrong}");
    }
    assert_eq!("500ms".parse(), Ok(TimeSpan::millis(500)));
    assert_eq!("1m 30s".parse(), Ok(TimeSpan::secs(90)));
    for wrong in ["", "30", "0s", "-1s", "10 fortnights", "400d", "9999999h"] {
        assert!(wrong.parse::<TimeSpan>().is_err(), "{wrong}");
    }
    for size in [0, 1, 1023, 1024, 1 << 20, 3 << 30, u64::MAX] {
        assert_eq!(ByteSize::new(size).to_string().parse(), Ok(ByteSize::new(size)));
    }
    assert!(toml::from_str::<LimitsPatch>("memroy = \"1MiB\"").is_err());
    assert!(toml::from_str::<LimitsPatch>("memory = -1").is_err());
    assert_eq!(
        toml::from_str::<LimitsPatch>("memory = 1024").unwrap().memory,
        Some(ByteSize::kib(1))
    );
}

//! Numbers as people read them. Only for output that no program reads.

/// Bytes with a binary unit: `512 B`, `1.5 KiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[allow(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS.iter();
    let mut name = unit.next().unwrap_or(&"KiB");
    while value >= 1024.0
        && let Some(next) = unit.next()
    {
        value /= 1024.0;
        name = next;
    }
    format!("{value:.1} {name}")
}

/// Milliseconds in the two largest units: `1.2 s`, `3 min 4 s`, `2 d 1 h`.
pub(crate) fn span(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if milliseconds < 1000 => format!("{milliseconds} ms"),
        () if seconds < 60 => format!("{}.{} s", seconds, milliseconds % 1000 / 100),
        () if minutes < 60 => format!("{minutes} min {} s", seconds % 60),
        () if hours < 24 => format!("{hours} h {} min", minutes % 60),
        () => format!("{days} d {} h", hours % 24),
    }
}

/// Microseconds in the unit that needs fewest digits: `7 us`, `1.2 ms`, `3.4 s`.
pub(crate) fn micros(microseconds: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", microseconds / unit, microseconds % unit / (unit / 10));
    match microseconds {
        0..1_000 => format!("{microseconds} us"),
        1_000..1_000_000 => format!("{} ms", tenths(1_000)),
        _ => format!("{} s", tenths(1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_calls_are_short() {
        let rows = [(7, "7 us"), (1_250, "1.2 ms"), (60_000_000, "60.0 s")];
        for (microseconds, text) in rows {
            assert_eq!(micros(microseconds), text);
        }
    }

    #[test]
    fn sizes_take_the_largest_unit_that_fits() {
        let rows = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (64 << 20, "64.0 MiB"),
            (3 << 40, "3.0 TiB"),
        ];
        for (bytes, text) in rows {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(size(u64::MAX), "16777216.0 TiB");
    }

    #[test]
    fn spans_take_the_two_largest_units() {
        let rows = [
            (7, "7 ms"),
            (1250, "1.2 s"),
            (184_000, "3 min 4 s"),
            (7_260_000, "2 h 1 min"),
            (176_400_000, "2 d 1 h"),
        ];
        for (milliseconds, text) in rows {
            assert_eq!(span(milliseconds), text);
        }
    }
}

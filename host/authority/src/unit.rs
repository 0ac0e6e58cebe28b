//! Sizes and times as people write them: `64MiB`, `30s`.
//!
//! Owns the text forms of limits and of waiting times. Sizes know binary units only, so that
//! nobody has to guess what a megabyte is; times are read by `jiff`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text that is no size or time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct InvalidUnit {
    /// What it must look like.
    pub expected: &'static str,
    /// What was there, cut to a readable length.
    pub found: String,
}

impl InvalidUnit {
    fn new(expected: &'static str, found: &str) -> Self {
        InvalidUnit {
            expected,
            found: found.chars().take(40).collect(),
        }
    }
}

/// A number of bytes, written with an optional binary unit: `512`, `8KiB`,
/// `64MiB`, `2GiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    const UNITS: [(&'static str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

    /// This many bytes.
    pub const fn new(bytes: u64) -> Self {
        ByteSize(bytes)
    }

    /// This many KiB.
    pub const fn kib(number: u64) -> Self {
        ByteSize(number << 10)
    }

    /// This many MiB.
    pub const fn mib(number: u64) -> Self {
        ByteSize(number << 20)
    }

    /// This many GiB.
    pub const fn gib(number: u64) -> Self {
        ByteSize(number << 30)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let wrong = || InvalidUnit::new("a size like 512, 8KiB, 64MiB or 2GiB", text);
        let trimmed = text.trim();
        let (digits, factor) = Self::UNITS
            .iter()
            .find_map(|(unit, factor)| trimmed.strip_suffix(unit).map(|rest| (rest.trim_end(), *factor)))
            .unwrap_or((trimmed, 1));
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        number.checked_mul(factor).map(ByteSize).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in Self::UNITS {
            if factor > 1 && self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// A time that a limit lasts: more than nothing, at most a year. Written `30s`,
/// `500ms`, `1m 30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(Duration);

impl TimeSpan {
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

    /// This many milliseconds, at least one.
    pub const fn millis(number: u64) -> Self {
        TimeSpan(Duration::from_millis(if number == 0 { 1 } else { number }))
    }

    /// This many seconds, at least one.
    pub const fn secs(number: u64) -> Self {
        TimeSpan(Duration::from_secs(if number == 0 { 1 } else { number }))
    }

    /// The time.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for TimeSpan {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let wrong = || InvalidUnit::new("a time above zero like 500ms, 30s or 5m", text);
        let signed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
        let time = Duration::try_from(signed).map_err(|_| wrong())?;
        if time.is_zero() || time > Self::LONGEST {
            return Err(wrong());
        }
        Ok(TimeSpan(time))
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::SignedDuration::try_from(self.0) {
            Ok(time) => write!(f, "{time:#}"),
            Err(_) => write!(f, "{}s", self.0.as_secs()),
        }
    }
}

/// A time that something may be waited for, which may be none at all: at most a
/// day. Written `0s`, `500ms`, `1m 30s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Patience(Duration);

impl Patience {
    /// The longest there is.
    pub const MOST: Duration = Duration::from_secs(24 * 3600);

    /// The time.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Patience {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let wrong = || InvalidUnit::new("a time of at most 24h like 0s, 500ms, 30s or 5m", text);
        let signed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
        let time = Duration::try_from(signed).map_err(|_| wrong())?;
        if time > Self::MOST {
            return Err(wrong());
        }
        Ok(Patience(time))
    }
}

/// Sizes may be plain numbers in a file; times always name their unit.
impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size like 512, \"8KiB\", \"64MiB\" or \"2GiB\"")
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<ByteSize, E> {
                u64::try_from(number)
                    .map(ByteSize)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(number), &self))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(number))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Patience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

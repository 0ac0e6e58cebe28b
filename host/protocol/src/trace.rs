//! Traces: which one something belongs to, and where in it.
//!
//! Owns the ids and the text form of W3C Trace Context (`traceparent`). What is
//! malformed is no trace at all: whoever gets one begins a trace of his own.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::InvalidId;

/// The number of one trace: 16 bytes that are not all nought.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// The number of one span in a trace: 8 bytes that are not all nought.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// A new one, by chance.
    pub fn random() -> Self {
        TraceId(*Uuid::new_v4().as_bytes())
    }

    /// Seven bytes of it that are chance alone, as a number: whoever wants a
    /// share of all traces wants those in which it is low. Of one trace everybody
    /// has the same.
    pub fn chance(&self) -> u64 {
        let [_, _, _, _, _, _, _, _, _, a, b, c, d, e, f, g] = self.0;
        u64::from_be_bytes([0, a, b, c, d, e, f, g])
    }
}

impl SpanId {
    /// A new one, by chance.
    pub fn random() -> Self {
        let [_, _, _, _, _, _, _, _, a, b, c, d, e, f, g, h] = *Uuid::new_v4().as_bytes();
        // Two bits of the first are fixed, and one of them is not nought.
        SpanId([a, b, c, d, e, f, g, h])
    }
}

/// One span of one trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanRef {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
}

/// What whoever calls says of the trace that his call is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// The span that the call is made in.
    pub parent: SpanRef,
    /// Whether he records it.
    pub sampled: bool,
}

/// The length of the text of version 00; a later version may go on behind it.
const LENGTH: usize = 55;

impl FromStr for TraceParent {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse(text.as_bytes()).ok_or_else(|| {
            InvalidId::new(
                "traceparent",
                "00, 32, 16 and 2 lower-case hexadecimal digits with - between, and neither id all nought",
                text,
            )
        })
    }
}

fn parse(text: &[u8]) -> Option<TraceParent> {
    let (known, more) = text.split_at_checked(LENGTH)?;
    let mut parts = known.split(|byte| *byte == b'-');
    let [version] = hex(parts.next()?)?;
    let trace: [u8; 16] = hex(parts.next()?)?;
    let span: [u8; 8] = hex(parts.next()?)?;
    let [flags] = hex(parts.next()?)?;
    let follows = match version {
        0 => more.is_empty(),
        0xff => false,
        _ => more.is_empty() || more.starts_with(b"-"),
    };
    let made = follows && parts.next().is_none() && trace != [0; 16] && span != [0; 8];
    made.then_some(TraceParent {
        parent: SpanRef {
            trace: TraceId(trace),
            span: SpanId(span),
        },
        sampled: flags & 1 == 1,
    })
}

fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = nibble(high)? << 4 | nibble(low)?;
    }
    Some(bytes)
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SpanRef { trace, span } = self.parent;
        write!(f, "00-{trace}-{span}-{:02x}", u8::from(self.sampled))
    }
}

macro_rules! shown_in_hex {
    ($($name:ident)+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )+};
}
shown_in_hex! { TraceId SpanId }

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_and_written() {
        let read: TraceParent = GOOD.parse().unwrap();
        assert!(read.sampled);
        assert_eq!(read.to_string(), GOOD);
        let unsampled = GOOD.replace("-01", "-00");
        assert!(!unsampled.parse::<TraceParent>().unwrap().sampled);
        // Of the flags only one is ours to know.
        let flags: TraceParent = GOOD.replace("-01", "-fe").parse().unwrap();
        assert!(!flags.sampled);
        assert_eq!(flags.to_string(), unsampled);
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = GOOD.replacen("00", "cc", 1);
        for text in [later.clone(), format!("{later}-more")] {
            assert_eq!(text.parse::<TraceParent>().unwrap().to_string(), GOOD);
        }
        assert!(format!("{later}.more").parse::<TraceParent>().is_err());
    }

    #[test]
    fn what_is_malformed_is_no_trace() {
        let nought = |digits: &str| GOOD.replace(digits, &"0".repeat(digits.len()));
        for text in [
            String::new(),
            GOOD[..54].to_owned(),
            format!("{GOOD}-01"),
            format!("{GOOD} "),
            GOOD.to_uppercase(),
            GOOD.replacen("00", "ff", 1),
            GOOD.replace('-', "_"),
            GOOD.replacen("0a", "-a", 1),
            GOOD.replacen("0a", "+a", 1),
            GOOD.replacen("0a", "é", 1),
            nought("0af7651916cd43dd8448eb211c80319c"),
            nought("b7ad6b7169203331"),
        ] {
            assert!(text.parse::<TraceParent>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn ids_differ_and_chance_is_spread() {
        let (one, other) = (TraceId::random(), TraceId::random());
        assert_ne!(one, other);
        assert_ne!(SpanId::random(), SpanId::random());
        let low = (0..1000).filter(|_| TraceId::random().chance() < 1 << 55).count();
        // Half of them, and never so far off: 350 is nine and a half deviations.
        assert!((350..=650).contains(&low), "{low}");
    }
}

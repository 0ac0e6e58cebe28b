//! The header fields that a collector knows us by.
//!
//! Owns the form of their file. It is read each time something is sent, so that
//! new ones need no new start; an error says the line, and never what is in it.

use std::path::Path;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::secrets;

/// The most fields.
const MOST: usize = 16;

/// Those that say how a message is sent, which is ours to say.
const OURS: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The fields in this file, which only its owner can read. Blocks on the disk.
pub(super) fn read(path: &Path) -> Result<HeaderMap, String> {
    let bytes = secrets::read(path)?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<HeaderMap, String> {
    let mut fields = HeaderMap::new();
    for (number, line) in (1_usize..).zip(bytes.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let (name, value) = field(line).map_err(|why| format!("line {number}: {why}"))?;
        if fields.contains_key(&name) {
            return Err(format!("line {number}: expected each name once"));
        }
        if fields.len() >= MOST {
            return Err(format!("line {number}: expected at most {MOST} fields"));
        }
        fields.insert(name, value);
    }
    Ok(fields)
}

fn field(line: &[u8]) -> Result<(HeaderName, HeaderValue), &'static str> {
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, value) = colon
        .and_then(|at| line.split_at_checked(at))
        .ok_or("expected a field as in `authorization: Bearer …`")?;
    let name =
        HeaderName::from_bytes(name).map_err(|_| "expected the name of a header field before the colon")?;
    if OURS.contains(&name.as_str()) {
        return Err("expected a field that says who sends; how it is sent is not for this file to say");
    }
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    let mut value = HeaderValue::from_bytes(value)
        .map_err(|_| "expected the value of a header field behind the colon")?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_line_by_line() {
        let fields = parse(b"# for the collector\n\nauthorization: Bearer a:b\r\nX-Tenant:one\n").unwrap();
        assert_eq!(fields.len(), 2);
        assert_eq!(fields["authorization"], "Bearer a:b");
        assert_eq!(fields["x-tenant"], "one");
        assert!(fields["authorization"].is_sensitive());
    }

    /// Enforced by `field` and `parse`.
    #[test]
    fn what_is_wrong_is_said_by_its_line_and_never_shown() {
        let many: String = (0..=MOST).map(|number| format!("x-{number}: 1\n")).collect();
        for (text, line, why) in [
            ("secretword", 1, "expected a field as in"),
            ("\nsecret word: x", 2, "the name of a header field"),
            ("a: secret\u{1}word", 1, "the value of a header field"),
            ("Host: secretword", 1, "how it is sent"),
            ("content-type: secretword", 1, "how it is sent"),
            ("a: 1\nA: secretword", 2, "each name once"),
            (many.as_str(), MOST + 1, "at most 16 fields"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.starts_with(&format!("line {line}: ")), "{error}");
            assert!(error.contains(why) && !error.contains("secretword"), "{error}");
        }
    }
}

//! Where in a JSON text the value stands that an error's path leads to.
//!
//! Only for messages: it runs after something was found wrong, over text that
//! was read as JSON before.

use std::ops::Range;

/// The bytes of the value at this path ([`JsonError::path`](super::JsonError)),
/// or of the last value on the way that is there. The text must be JSON.
pub fn locate(text: &str, path: &str) -> Range<usize> {
    let start = after_space(text, 0);
    let mut place = start..end_of_value(text, start);
    let mut path = path;
    while !path.is_empty() {
        let Some((found, rest)) = step(text, &place, path) else {
            break;
        };
        place = found;
        path = rest;
    }
    place
}

/// One step into a value, and what is left of the path.
fn step<'p>(text: &str, place: &Range<usize>, path: &'p str) -> Option<(Range<usize>, &'p str)> {
    let parts = parts(text, place);
    let nth = |index: usize| parts.get(index).map(|part| part.value.clone());
    if let Some(rest) = path.strip_prefix("argument ") {
        let (number, rest) = rest.split_once(" (`")?;
        let (name, rest) = rest.split_once("`)")?;
        let rest = rest.strip_prefix(" → ").unwrap_or(rest);
        let named = parts.iter().find(|part| part.name.as_deref() == Some(name));
        let found = match named {
            Some(part) => part.value.clone(),
            None => nth(number.parse::<usize>().ok()?.checked_sub(1)?)?,
        };
        return Some((found, rest));
    }
    if let Some(rest) = path.strip_prefix('[') {
        let (index, rest) = rest.split_once(']')?;
        return Some((nth(index.parse().ok()?)?, rest));
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    let ends = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
    // A map's key may hold dots: the longest name that fits is meant.
    let named = parts
        .iter()
        .filter_map(|part| {
            let name = part.name.as_deref()?;
            let rest = path.strip_prefix(name).filter(|rest| ends(rest))?;
            Some((part.value.clone(), rest))
        })
        .min_by_key(|(_, rest)| rest.len());
    // The pairs of a map are arrays.
    named.or_else(|| {
        let (index, rest) = match path.strip_prefix("key") {
            Some(rest) => (0, rest),
            None => (1, path.strip_prefix("value")?),
        };
        Some((nth(index)?, rest))
    })
}

/// A member of an object, or an item of an array.
struct Part {
    name: Option<String>,
    value: Range<usize>,
}

fn parts(text: &str, place: &Range<usize>) -> Vec<Part> {
    let mut parts = Vec::new();
    let is_object = match byte(text, place.start) {
        Some(b'{') => true,
        Some(b'[') => false,
        _ => return parts,
    };
    let mut at = after_space(text, place.start.saturating_add(1));
    while at < place.end.saturating_sub(1) {
        let mut name = None;
        if is_object {
            let end = end_of_value(text, at);
            name = text.get(at..end).and_then(|key| serde_json::from_str(key).ok());
            // The colon, and the space on either side of it.
            at = after_space(text, after_space(text, end).saturating_add(1));
        }
        let end = end_of_value(text, at);
        parts.push(Part { name, value: at..end });
        // The comma or the end.
        at = after_space(text, after_space(text, end).saturating_add(1));
    }
    parts
}

/// Where the value ends that starts here.
fn end_of_value(text: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(found) = byte(text, at) {
        match found {
            b'"' => at = end_of_string(text, at),
            b'{' | b'[' => {
                depth = depth.saturating_add(1);
                at = at.saturating_add(1);
            }
            b'}' | b']' if depth > 0 => {
                depth = depth.saturating_sub(1);
                at = at.saturating_add(1);
            }
            b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r' | b':' if depth == 0 => return at,
            _ => {
                at = at.saturating_add(1);
                if depth > 0 || byte(text, at).is_some_and(|next| !b",}] \t\n\r:".contains(&next)) {
                    continue;
                }
            }
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn end_of_string(text: &str, start: usize) -> usize {
    let mut at = start.saturating_add(1);
    while let Some(found) = byte(text, at) {
        match found {
            b'\\' => at = at.saturating_add(2),
            b'"' => return at.saturating_add(1),
            _ => at = at.saturating_add(1),
        }
    }
    text.len()
}

fn after_space(text: &str, from: usize) -> usize {
    let mut at = from;
    while byte(text, at).is_some_and(|found| b" \t\n\r".contains(&found)) {
        at = at.saturating_add(1);
    }
    at
}

fn byte(text: &str, at: usize) -> Option<u8> {
    text.as_bytes().get(at).copied()
}

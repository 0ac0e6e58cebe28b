//! The grammar of the names that a component's exports carry.
//!
//! Owns what counts as a function's or an interface's name. It follows the
//! component model's rules for labels, so that every export of a valid
//! component has a path, and decides nothing about which exports exist.

/// A plain function (`add`) or one of a resource (`[method]counter.next`).
pub(super) fn is_function(text: &str) -> bool {
    let Some(bracketed) = text.strip_prefix('[') else {
        return is_label(text);
    };
    match bracketed.split_once(']') {
        Some(("constructor", resource)) => is_label(resource),
        Some(("method" | "static", name)) => name
            .split_once('.')
            .is_some_and(|(resource, function)| is_label(resource) && is_label(function)),
        _ => false,
    }
}

/// A short name (`math`), or a full one (`acme:calc/math`), either of them
/// with or without a version.
pub(super) fn is_interface(text: &str) -> bool {
    let (name, version) = split_version(text);
    version.is_none_or(is_version) && {
        match name.split_once(':') {
            None => is_label(name),
            Some((namespace, rest)) => {
                is_label(namespace) && rest.contains('/') && rest.split(['/', ':']).all(is_label)
            }
        }
    }
}

/// The name and the version behind its `@`.
pub(super) fn split_version(interface: &str) -> (&str, Option<&str>) {
    match interface.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (interface, None),
    }
}

/// The last part of an interface's name, without package and version.
pub(super) fn short(interface: &str) -> &str {
    let (name, _) = split_version(interface);
    name.rsplit_once('/').map_or(name, |(_, short)| short)
}

/// Words of letters and digits joined by `-`, each word in one case, the
/// first starting with a letter.
fn is_label(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.split('-').all(|word| {
            let lower = word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            let upper = word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
            !word.is_empty() && (lower || upper)
        })
}

/// Three numbers, then what semantic versioning allows behind them.
fn is_version(text: &str) -> bool {
    let (version, build) = match text.split_once('+') {
        Some((version, build)) => (version, Some(build)),
        None => (text, None),
    };
    let (core, pre) = match version.split_once('-') {
        Some((core, pre)) => (core, Some(pre)),
        None => (version, None),
    };
    let mut numbers = 0;
    let numeric = core.split('.').all(|part| {
        numbers += 1;
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())
    });
    let dotted = |text: &str| {
        text.split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    };
    numeric && numbers == 3 && pre.is_none_or(dotted) && build.is_none_or(dotted)
}

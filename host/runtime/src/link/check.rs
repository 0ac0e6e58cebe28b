//! Which imports of a component the host cannot satisfy, and what to do.
//!
//! Owns the comparison of a description with the host's own interfaces. It
//! goes by the engine's rules and decides nothing: the engine links, and this
//! explains why it did not, all failures at once.

use odeon_protocol::{Field, FunctionType, type_diff};

use super::provided::{self, Provided, is_same_interface};
use super::report::{LinkReport, Mismatch, Problem};
use super::surface::{self, Interface};
use crate::describe::{Description, Import, ImportedFunction};

/// The longest name that is shown or compared, in characters.
const NAME: usize = 128;

/// Compares a component's imports with what this host has, without loading it.
/// A component whose report is empty links, unless the engine's type check
/// finds something that a description does not hold (which resource a handle
/// is of).
pub fn check_imports(description: &Description) -> LinkReport {
    check_provided(description, &[])
}

/// The same for a component of whose imports other plugins are to serve some.
pub(crate) fn check_provided(description: &Description, provided: &[Provided<'_>]) -> LinkReport {
    let mut report = LinkReport::default();
    match surface::read() {
        Ok(host) => description.imports.iter().for_each(|import| {
            let serves = |provided: &&Provided<'_>| is_same_interface(provided.interface, &import.name);
            match provided.iter().find(serves) {
                Some(provided) => provided::check(provided, import, &mut report),
                None => check(&host, import, &mut report),
            }
        }),
        Err(error) => report.engine = Some(format!("the host's own interfaces cannot be read: {error}")),
    }
    report
}

/// The report on a component that the engine refused with this error, where
/// `report` has nothing to say about it.
pub(crate) fn explain(mut report: LinkReport, error: &wasmtime::Error) -> LinkReport {
    if report.mismatches.is_empty() {
        report.engine = Some(format!("{error:#}").chars().take(4 * NAME).collect());
    }
    report
}

fn check(host: &[Interface], import: &Import, report: &mut LinkReport) {
    // An interface of which only types are used needs nothing at run time.
    let Some(first) = import.functions.first() else {
        return;
    };
    if import.functions.len() == 1 && first.name == import.name {
        return report.push(|| world_function(host, first));
    }
    let interface = match find(host, &import.name) {
        Found::Interface(interface) => interface,
        Found::OtherVersions(ids) => return report.push(|| other_version(&import.name, &ids)),
        Found::Nothing => return report.push(|| unknown_interface(host, &import.name)),
    };
    let Some(functions) = &interface.functions else {
        return;
    };
    for function in &import.functions {
        match functions.get(&*function.name) {
            Some(expected) => {
                if let Some(difference) = difference(expected, &function.ty) {
                    report.push(|| other_type(&import.name, interface, &function.name, difference));
                }
            }
            None => {
                let names = functions.keys().map(String::as_str);
                report.push(|| unknown_function(&import.name, interface, &function.name, names));
            }
        }
    }
}

enum Found<'h> {
    Interface(&'h Interface),
    OtherVersions(Vec<&'h str>),
    Nothing,
}

fn find<'h>(host: &'h [Interface], wanted: &str) -> Found<'h> {
    if let Some(interface) = host.iter().find(|interface| interface.id == wanted) {
        return Found::Interface(interface);
    }
    let (name, version) = split(wanted);
    let same_name: Vec<&Interface> = host
        .iter()
        .filter(|interface| split(&interface.id).0 == name)
        .collect();
    let track = version.and_then(track);
    let compatible =
        |interface: &&&Interface| track.is_some() && split(&interface.id).1.and_then(self::track) == track;
    match same_name.iter().find(compatible) {
        Some(interface) => Found::Interface(interface),
        None if same_name.is_empty() => Found::Nothing,
        None => Found::OtherVersions(same_name.iter().map(|interface| interface.id.as_str()).collect()),
    }
}

pub(super) fn split(id: &str) -> (&str, Option<&str>) {
    match id.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (id, None),
    }
}

/// The versions that the engine takes for one another: the same major, or the
/// same minor below 1.0. Pre-releases and 0.0.x are like no other.
pub(super) fn track(version: &str) -> Option<(u64, u64)> {
    if version.contains(['-', '+']) {
        return None;
    }
    let mut numbers = version.split('.').map(|number| number.parse::<u64>().ok());
    match (
        numbers.next()??,
        numbers.next()??,
        numbers.next()??,
        numbers.next(),
    ) {
        (0, 0, _, None) => None,
        (0, minor, _, None) => Some((0, minor)),
        (major, _, _, None) => Some((major, 0)),
        _ => None,
    }
}

/// The engine does not look at the names of parameters, only at their types.
pub(super) fn difference(expected: &FunctionType, found: &FunctionType) -> Option<String> {
    if expected.params.len() != found.params.len() {
        return type_diff(expected, found);
    }
    let renamed = |(expected, found): (&Field, &Field)| Field {
        name: expected.name.clone(),
        ty: found.ty.clone(),
    };
    let params = expected
        .params
        .iter()
        .zip(found.params.iter())
        .map(renamed)
        .collect();
    type_diff(
        expected,
        &FunctionType {
            params,
            result: found.result.clone(),
            is_async: found.is_async,
        },
    )
}

fn unknown_interface(host: &[Interface], wanted: &str) -> Mismatch {
    let nearest = nearest(
        split(wanted).0,
        host.iter().map(|interface| split(&interface.id).0),
    );
    let nearest = nearest.and_then(|name| host.iter().find(|interface| split(&interface.id).0 == name));
    let fix = match nearest {
        Some(interface) => format!("if {} is meant, build the component against it", interface.id),
        None => format!(
            "a component can import WASI, wasi:logging, wasi:config and odeon:plugin; if a plugin exports this interface, \
             load it with `odeon load --link {}=PLUGIN`, or [links] in its descriptor",
            shown(split(wanted).0)
        ),
    };
    Mismatch {
        interface: shown(wanted),
        function: None,
        problem: Problem::UnknownInterface,
        expected: "an interface of this host".to_owned(),
        found: shown(wanted),
        nearest: nearest.map(|interface| interface.id.clone()),
        fix,
    }
}

fn other_version(wanted: &str, ids: &[&str]) -> Mismatch {
    let versions: Vec<&str> = ids.iter().filter_map(|id| split(id).1).collect();
    let exact = versions.iter().all(|version| track(version).is_none());
    let rule = match exact {
        true => "exactly this version links",
        false => "versions with the same major number link, below 1.0 with the same minor number",
    };
    Mismatch {
        interface: shown(wanted),
        function: None,
        problem: Problem::Version,
        expected: format!("version {}", versions.join(" or ")),
        found: match split(wanted).1 {
            Some(version) => format!("version {}", shown(version)),
            None => "no version".to_owned(),
        },
        nearest: ids.last().map(|id| (*id).to_owned()),
        fix: format!("build the component against {}; {rule}", ids.join(" or ")),
    }
}

fn unknown_function<'n>(
    wanted: &str,
    interface: &Interface,
    function: &str,
    names: impl Iterator<Item = &'n str>,
) -> Mismatch {
    Mismatch {
        interface: shown(wanted),
        function: Some(shown(function)),
        problem: Problem::UnknownFunction,
        expected: format!("a function of {}", interface.id),
        found: shown(function),
        nearest: nearest(function, names).map(str::to_owned),
        fix: format!(
            "build the component against {}, which is what this host has",
            interface.id
        ),
    }
}

fn other_type(wanted: &str, interface: &Interface, function: &str, difference: String) -> Mismatch {
    Mismatch {
        interface: shown(wanted),
        function: Some(shown(function)),
        problem: Problem::FunctionType,
        expected: format!("the type it has in {}", interface.id),
        found: format!("another: {}", cut(&difference, 2 * NAME)),
        nearest: None,
        fix: format!(
            "build the component against {}, which is what this host has",
            interface.id
        ),
    }
}

fn world_function(host: &[Interface], function: &ImportedFunction) -> Mismatch {
    let mut functions = host.iter().filter_map(|interface| {
        interface
            .functions
            .as_ref()?
            .get_key_value(&*function.name)
            .map(|(name, _)| (name, &interface.id))
    });
    Mismatch {
        interface: shown(&function.name),
        function: None,
        problem: Problem::WorldFunction,
        expected: "functions of interfaces only".to_owned(),
        found: format!("the function {} imported by the world itself", shown(&function.name)),
        nearest: functions.next().map(|(name, id)| format!("{name} of {id}")),
        fix: "import the interface that has the function instead; the host offers no functions outside of interfaces"
            .to_owned(),
    }
}

/// The candidate that takes the fewest edits, if it takes few enough to be
/// taken for a slip, or one name is a part of the other.
pub(super) fn nearest<'c>(wanted: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let characters: Vec<char> = wanted.chars().take(NAME).collect();
    let most = (characters.len() / 3).max(1);
    candidates
        .map(|candidate| (edits(&characters, candidate), candidate))
        .filter(|(edits, candidate)| {
            *edits <= most || wanted.contains(candidate) || candidate.contains(wanted)
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Insertions, removals and replacements between the two.
fn edits(from: &[char], to: &str) -> usize {
    let mut row: Vec<usize> = (0..=from.len()).collect();
    for (line, to) in to.chars().enumerate() {
        let mut left = line + 1;
        let mut diagonal = line;
        for (above, from) in row.iter_mut().skip(1).zip(from) {
            let replaced = diagonal + usize::from(*from != to);
            diagonal = *above;
            left = replaced.min(left + 1).min(*above + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

pub(super) fn shown(name: &str) -> String {
    cut(name, NAME)
}

pub(super) fn cut(text: &str, most: usize) -> String {
    let mut cut = String::new();
    for character in text.chars().take(most) {
        match character.is_control() {
            true => cut.extend(character.escape_default()),
            false => cut.push(character),
        }
    }
    if text.chars().nth(most).is_some() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests;

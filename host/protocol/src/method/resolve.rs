//! From a short form to the one export it stands for.
//!
//! Owns the order in which forms are tried: the exact interface, the
//! interface without its version, its last part, and no interface at all. A
//! form that fits more than one export is refused, never guessed.

use super::{MemberPath, name};
use crate::{code::Code, fault::Fault};

/// The most candidates an error lists.
pub const MAX_CANDIDATES: usize = 8;

/// The longest text whose edit distance is measured: the work per export is
/// the square of this at worst.
const MAX_COMPARED: usize = 96;

/// Why a path stands for no single export. Both lists are cut to
/// [`MAX_CANDIDATES`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No export fits.
    #[error("no function {wanted}{}", listed("did you mean", nearest))]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// The exports whose names are nearest, best first.
        nearest: Vec<String>,
    },
    /// More than one export fits.
    #[error("{wanted} fits more than one function{}", listed("name one of", candidates))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// The exports it fits, in the order of the component.
        candidates: Vec<String>,
    },
}

fn listed(lead: &str, names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!("; {lead} {}", names.join(", "))
    }
}

impl From<ResolveError> for Fault {
    fn from(error: ResolveError) -> Self {
        let message = error.to_string();
        match error {
            ResolveError::NotFound { wanted, nearest } => Fault::new(Code::MethodNotFound, message)
                .with_details(serde_json::json!({ "method": wanted, "nearest": nearest })),
            ResolveError::Ambiguous { wanted, candidates } => Fault::new(Code::MethodAmbiguous, message)
                .with_details(serde_json::json!({ "method": wanted, "candidates": candidates })),
        }
    }
}

/// An export: its interface, absent for a function of the world, and its
/// function's name.
type Export<'a> = (Option<&'a str>, &'a str);

/// The index of the export that `path` stands for.
///
/// The first of these that fits anything decides: the interface as written;
/// an interface of that name in any version, if the path names no version;
/// an interface whose last part (with the version, if the path names one) is
/// the path's; and for a path without interface the world's own function,
/// then a function that only one interface has.
///
/// # Errors
///
/// [`ResolveError::NotFound`] when nothing fits, [`ResolveError::Ambiguous`]
/// when the form that decides fits more than one.
pub fn resolve_member(exports: &[Export<'_>], path: &MemberPath) -> Result<usize, ResolveError> {
    let fitting = fitting(exports, path);
    match fitting.as_slice() {
        [] => Err(ResolveError::NotFound {
            wanted: path.to_string(),
            nearest: nearest(exports, path),
        }),
        [only] => Ok(*only),
        several => Err(ResolveError::Ambiguous {
            wanted: path.to_string(),
            candidates: several
                .iter()
                .take(MAX_CANDIDATES)
                .filter_map(|index| written(exports, *index))
                .collect(),
        }),
    }
}

/// The exports that the first form fits which fits any.
fn fitting(exports: &[Export<'_>], path: &MemberPath) -> Vec<usize> {
    let of_form = |form: Form| -> Vec<usize> {
        exports
            .iter()
            .enumerate()
            .filter(|(_, (interface, function))| *function == path.function() && form.fits(*interface, path))
            .map(|(index, _)| index)
            .collect()
    };
    [Form::Exact, Form::AnyVersion, Form::Short]
        .into_iter()
        .map(of_form)
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

/// The shortest text that [`resolve_member`] takes for this export.
///
/// `None` when there is no export of this index, or none of its forms stands
/// for it alone (a component cannot have two exports of one name).
pub fn shortest_member(exports: &[Export<'_>], index: usize) -> Option<String> {
    let (interface, function) = *exports.get(index)?;
    let own = interface.unwrap_or_default();
    let unversioned = name::split_version(own).0;
    let forms = [None, Some(name::short(own)), Some(unversioned), Some(own)];
    forms.into_iter().find_map(|form| {
        let form = form.filter(|text| !text.is_empty());
        let path = MemberPath::new(form, function).ok()?;
        (fitting(exports, &path) == [index]).then(|| path.to_string())
    })
}

#[derive(Clone, Copy)]
enum Form {
    Exact,
    AnyVersion,
    Short,
}

impl Form {
    fn fits(self, interface: Option<&str>, path: &MemberPath) -> bool {
        match (self, interface, path.interface()) {
            (Form::Exact, own, wanted) => own == wanted,
            (Form::AnyVersion, Some(own), Some(wanted)) => name::split_version(own).0 == wanted,
            (Form::Short, Some(own), Some(wanted)) => {
                let (wanted, version) = name::split_version(wanted);
                name::short(own) == wanted && (version.is_none() || version == name::split_version(own).1)
            }
            (Form::Short, Some(_), None) => true,
            _ => false,
        }
    }
}

/// What somebody would type for this export: no longer than it must be.
fn written(exports: &[Export<'_>], index: usize) -> Option<String> {
    let in_full = || {
        exports.get(index).map(|(interface, function)| match interface {
            Some(interface) => format!("{interface}.{function}"),
            None => (*function).to_owned(),
        })
    };
    shortest_member(exports, index).or_else(in_full)
}

/// The exports whose names differ least from what was asked for. The same
/// function in another interface counts as near.
fn nearest(exports: &[Export<'_>], path: &MemberPath) -> Vec<String> {
    let wanted_short = path.interface().map(name::short);
    let mut found: Vec<(usize, usize)> = exports
        .iter()
        .enumerate()
        .filter_map(|(index, (interface, function))| {
            let functions = distance(function, path.function());
            if functions > path.function().len().div_ceil(3).max(1) {
                return None;
            }
            let interfaces = match (interface.map(name::short), wanted_short) {
                (_, None) => 0,
                (None, Some(_)) => 1,
                (Some(own), Some(wanted)) => distance(own, wanted),
            };
            Some((functions.saturating_add(interfaces), index))
        })
        .collect();
    found.sort_unstable();
    found
        .into_iter()
        .take(MAX_CANDIDATES)
        .filter_map(|(_, index)| written(exports, index))
        .collect()
}

/// Levenshtein's distance of the first [`MAX_COMPARED`] bytes.
fn distance(left: &str, right: &str) -> usize {
    let left = left.as_bytes().iter().take(MAX_COMPARED);
    let right = right.as_bytes().get(..MAX_COMPARED).unwrap_or(right.as_bytes());
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, a) in left.enumerate() {
        let mut diagonal = line;
        let mut before = line.saturating_add(1);
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = before;
        }
        for (cell, b) in cells.zip(right) {
            let best = diagonal
                .saturating_add(usize::from(a != b))
                .min(before.saturating_add(1))
                .min(cell.saturating_add(1));
            diagonal = *cell;
            *cell = best;
            before = best;
        }
    }
    row.last().copied().unwrap_or_default()
}

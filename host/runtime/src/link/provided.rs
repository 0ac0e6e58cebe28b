//! Which imports of a component the plugins do not satisfy that were named as
//! their providers, and what to do.
//!
//! Owns the comparison of an import with a provider's exports, and what can go
//! from one plugin to another at all: values. It decides nothing about who may
//! provide what.

use odeon_protocol::{FunctionType, PluginName, Type};

use super::check::{cut, difference, nearest, shown, split, track};
use super::report::{LinkReport, Mismatch, Problem};
use crate::describe::{Export, Import};

/// What a plugin exports that was named as a provider.
pub(crate) struct Provided<'p> {
    /// The interface, as the operator named it.
    pub(crate) interface: &'p str,
    pub(crate) provider: &'p PluginName,
    pub(crate) exports: &'p [Export],
}

/// Whether an operator who writes this means that import: with its version, or
/// without one.
pub(crate) fn is_same_interface(written: &str, import: &str) -> bool {
    match split(written) {
        (name, None) => split(import).0 == name,
        (_, Some(_)) => written == import,
    }
}

/// The number, among a provider's exports, of the function that serves this
/// import; else why there is none.
pub(crate) fn find_provided(
    exports: &[Export],
    interface: &str,
    function: &str,
    ty: &FunctionType,
) -> Result<usize, String> {
    let id = provided_as(exports, interface).ok_or_else(|| format!("the interface {}", shown(interface)))?;
    let mut all = exports.iter().enumerate();
    let same = |export: &Export| export.interface.as_deref() == Some(id) && &*export.function == function;
    let found = all.find(|(_, export)| same(export));
    let (number, export) = found.ok_or_else(|| format!("the function {} of {id}", shown(function)))?;
    match difference(&export.ty, ty) {
        None => Ok(number),
        Some(difference) => Err(format!(
            "{} of {id} has another type ({})",
            shown(function),
            cut(&difference, 256)
        )),
    }
}

/// The provider's own name for an interface that links to this import.
fn provided_as<'e>(exports: &'e [Export], wanted: &str) -> Option<&'e str> {
    let mut ids = interfaces(exports);
    if let Some(exact) = ids.clone().find(|id| *id == wanted) {
        return Some(exact);
    }
    let (name, version) = split(wanted);
    let wanted_track = version.and_then(track)?;
    ids.find(|id| {
        let (found, version) = split(id);
        found == name && version.and_then(track) == Some(wanted_track)
    })
}

fn interfaces(exports: &[Export]) -> impl Iterator<Item = &str> + Clone {
    exports.iter().filter_map(|export| export.interface.as_deref())
}

pub(super) fn check(provided: &Provided<'_>, import: &Import, report: &mut LinkReport) {
    for function in &import.functions {
        if let Some(handle) = handle_of(&function.ty) {
            report.push(|| not_proxied(&import.name, &function.name, handle));
        } else if function.ty.is_async {
            report.push(|| asynchronous(&import.name, &function.name));
        }
    }
    let exports = provided.exports;
    let Some(id) = provided_as(exports, &import.name) else {
        return report.push(|| no_interface(provided, &import.name));
    };
    for function in &import.functions {
        let of_interface = || {
            exports
                .iter()
                .filter(|export| export.interface.as_deref() == Some(id))
        };
        match of_interface().find(|export| export.function == function.name) {
            Some(export) => {
                if let Some(difference) = difference(&export.ty, &function.ty) {
                    report.push(|| other_type(provided, &import.name, id, &function.name, &difference));
                }
            }
            None => {
                let names = of_interface().map(|export| &*export.function);
                report.push(|| Mismatch {
                    interface: shown(&import.name),
                    function: Some(shown(&function.name)),
                    problem: Problem::UnknownFunction,
                    expected: format!("a function of {id}, which {} exports", provided.provider),
                    found: shown(&function.name),
                    nearest: nearest(&function.name, names).map(str::to_owned),
                    fix: fix(provided, id),
                });
            }
        }
    }
}

fn fix(provided: &Provided<'_>, id: &str) -> String {
    format!(
        "build the component against {id} as {} exports it, or name another provider",
        provided.provider
    )
}

fn no_interface(provided: &Provided<'_>, wanted: &str) -> Mismatch {
    let (name, version) = split(wanted);
    let provider = provided.provider;
    let other = interfaces(provided.exports).find(|id| split(id).0 == name);
    let nearest = other.or_else(|| nearest(wanted, interfaces(provided.exports)));
    let (problem, expected, found) = match other {
        Some(id) => (
            Problem::Version,
            format!("version {}", split(id).1.unwrap_or("none")),
            match version {
                Some(version) => format!("version {}", shown(version)),
                None => "no version".to_owned(),
            },
        ),
        None => (
            Problem::UnknownInterface,
            format!("an interface that {provider} exports"),
            shown(wanted),
        ),
    };
    Mismatch {
        interface: shown(wanted),
        function: None,
        problem,
        expected,
        found,
        nearest: nearest.map(str::to_owned),
        fix: match other {
            Some(id) => format!(
                "{}; versions with the same major number link, below 1.0 with the same minor number",
                fix(provided, id)
            ),
            None => format!("name a plugin that exports it as the provider, in place of {provider}"),
        },
    }
}

fn other_type(provided: &Provided<'_>, wanted: &str, id: &str, function: &str, difference: &str) -> Mismatch {
    Mismatch {
        interface: shown(wanted),
        function: Some(shown(function)),
        problem: Problem::FunctionType,
        expected: format!("the type it has in {id} of {}", provided.provider),
        found: format!("another: {}", cut(difference, 256)),
        nearest: None,
        fix: fix(provided, id),
    }
}

fn not_proxied(wanted: &str, function: &str, handle: &str) -> Mismatch {
    Mismatch {
        interface: shown(wanted),
        function: Some(shown(function)),
        problem: Problem::NotProxied,
        expected: "values only".to_owned(),
        found: shown(handle),
        nearest: None,
        fix: "a resource, a stream or a future belongs to one plugin and cannot go to another; let the interface have \
              functions with plain types, such as a number or a text that stands for the resource"
            .to_owned(),
    }
}

/// A call that is begun in one store and waited for later would have to go on in
/// another while the first one does something else, or nothing.
fn asynchronous(wanted: &str, function: &str) -> Mismatch {
    Mismatch {
        interface: shown(wanted),
        function: Some(shown(function)),
        problem: Problem::NotProxied,
        expected: "a function that its caller waits for".to_owned(),
        found: "an async func".to_owned(),
        nearest: None,
        fix: "let the interface have it as a func; the provider may wait in it all the same".to_owned(),
    }
}

/// The first part of a function's type that belongs to one store.
fn handle_of(ty: &FunctionType) -> Option<&str> {
    let params = ty.params.iter().map(|param| &param.ty);
    params.chain(&ty.result).find_map(Type::handle)
}

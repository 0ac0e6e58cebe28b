//! `odeon check`: whether a component can be loaded, without loading it; and
//! whether it can take the place of another.
//!
//! Nothing of the component runs, and nothing is decided: what may be loaded
//! is for the trust policy of a host to say.

use std::path::{Path, PathBuf};

use odeon::{CheckLink, CheckReport, CompileChild, Compiler, Host, PoolSize};
use odeon_protocol::{Fault, MethodRow, type_diff};
use serde::Serialize;

use super::{Context, wait};
use crate::{
    component::Signed,
    exit::Exit,
    failure::Failure,
    human,
    invocation::{line, short},
    output::{Done, clean},
    tokens::{LinkFile, Pair, link_files},
};

/// Instances that the pool of a host for one component has room for.
pub(super) const INSTANCES: u32 = 8;

/// Flags of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The component
    file: PathBuf,
    /// A component whose callers are to be served by this one
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// The file of a component that is to serve an interface which it imports, as a plugin that it is linked to
    #[arg(long = "link", value_name = "INTERFACE=FILE")]
    links: Vec<Pair>,
    /// Print its WIT
    #[arg(long)]
    wit: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    component: Row<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compatible: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    breaking: Option<&'a [Breaking]>,
}

#[derive(Serialize)]
struct Row<'a> {
    path: &'a Path,
    digest: String,
    size_bytes: usize,
    name: Option<&'a str>,
    version: Option<String>,
    class: &'a str,
    memory_bytes: u64,
    methods: &'a [MethodRow],
    imports: &'a [String],
    asks: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    wit: Option<&'a str>,
}

/// A method that callers of the other component would lose.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Breaking {
    method: String,
    change: String,
}

pub(crate) fn run(args: &Args, context: &Context, child: CompileChild) -> Done<Exit> {
    let file = Signed::read(&args.file)?;
    let bytes = &file.bytes;
    let other = args.against.as_deref().map(Signed::read).transpose()?;
    let links = linked(&args.links)?;
    let (report, against) = wait(async {
        let host = unkept(child)?;
        let report = inspect(&host, &file, &links, context).await?;
        let against = match &other {
            Some(other) => Some(inspect(&host, other, &links, context).await?),
            None => None,
        };
        host.shutdown(std::time::Duration::ZERO).await;
        Ok((report, against))
    })?;
    for interface in &report.unused_links {
        let interface = clean(interface);
        context.out.say(&format!(
            "note: --link {interface} has no effect: the component does not import that interface"
        ));
    }
    let breaking = against.map(|against| breaking(&against.methods, &report.methods));
    if args.wit && !context.out.is_json() {
        let wit = report.wit.as_deref().ok_or_else(|| {
            Failure::new(
                odeon_protocol::Code::NotCarriable,
                "the component cannot be written as WIT",
            )
        })?;
        context.out.line(clean(wit).trim_end())?;
    } else {
        let document = document(args, &report, bytes.len(), breaking.as_deref());
        context.out.either(&document, || {
            text(args, &report, bytes.len(), breaking.as_deref())
        })?;
    }
    let is_compatible = breaking.is_none_or(|breaking| breaking.is_empty());
    Ok(if is_compatible { Exit::Done } else { Exit::Unusable })
}

/// A host without a state directory: nothing is cached, and nothing written
/// down. Nothing runs in it, so that it has room for little.
pub(super) fn unkept(child: CompileChild) -> Done<Host> {
    let pool = PoolSize {
        instances: INSTANCES,
        ..PoolSize::default()
    };
    let builder = Host::builder(Compiler::ThisProgram(child)).workers(1).pool(pool);
    Ok(builder.start().map_err(Fault::from)?)
}

/// A file that is to serve an interface, read.
pub(super) struct Linked {
    of: LinkFile,
    file: Signed,
}

/// Reads the files that are to serve interfaces.
pub(super) fn linked(pairs: &[Pair]) -> Done<Vec<Linked>> {
    let files = link_files(pairs)?.into_iter().map(|of| {
        let file = Signed::read(&of.path)?;
        Ok(Linked { of, file })
    });
    files.collect()
}

/// What a component is, without running any of it, given what is to serve some of
/// its imports.
pub(super) async fn inspect(
    host: &Host,
    file: &Signed,
    links: &[Linked],
    context: &Context,
) -> Done<CheckReport> {
    let links: Vec<CheckLink<'_>> = links
        .iter()
        .map(|link| CheckLink {
            interface: &link.of.interface,
            provider: link.of.provider.clone(),
            component: &link.file.bytes,
        })
        .collect();
    let _waiting = context
        .out
        .waiting(|| format!("compiling {}", file.path.display()));
    host.check_linked(&file.bytes, file.detached.as_deref(), &links)
        .await
        .map_err(|fault| named(fault, &file.path))
}

/// A fault that says which of the files it is about.
fn named(fault: Fault, path: &Path) -> Box<Failure> {
    let message = format!("{}: {}", path.display(), fault.message);
    Fault { message, ..fault }.into()
}

fn document<'a>(
    args: &'a Args,
    report: &'a CheckReport,
    size_bytes: usize,
    breaking: Option<&'a [Breaking]>,
) -> Document<'a> {
    Document {
        component: Row {
            path: &args.file,
            digest: report.digest.to_string(),
            size_bytes,
            name: report.name.as_ref().map(|name| name.as_str()),
            version: report.version.as_ref().map(ToString::to_string),
            class: &report.class,
            memory_bytes: report.memory_bytes,
            methods: &report.methods,
            imports: &report.imports,
            asks: &report.asks,
            wit: report.wit.as_deref().filter(|_| args.wit),
        },
        compatible: breaking.map(<[_]>::is_empty),
        breaking,
    }
}

fn text(args: &Args, report: &CheckReport, size: usize, breaking: Option<&[Breaking]>) -> String {
    let mut text = format!(
        "{}: can be loaded\ndigest   {}",
        args.file.display(),
        report.digest
    );
    let mut put = |name: &str, value: String| text.push_str(&format!("\n{name:<9}{value}"));
    if let (Some(name), Some(version)) = (&report.name, &report.version) {
        put("name", format!("{name} {version}"));
    }
    put("size", human::size(size as u64));
    put(
        "memory",
        format!(
            "{} at the start, engine class {}",
            human::size(report.memory_bytes),
            report.class
        ),
    );
    for import in &report.imports {
        put("imports", clean(import));
    }
    for Pair { name, value } in &args.links {
        put("linked", format!("{} to {}", clean(name), clean(value)));
    }
    for grant in &report.asks {
        // The place is for the operator to name.
        put("asks", clean(grant).replacen("fs=::", "fs=HOSTDIR::", 1));
    }
    for row in &report.methods {
        put("method", line(row, &report.methods));
    }
    match (breaking, &args.against) {
        (Some([]), Some(path)) => put("serves", format!("every caller of {}", path.display())),
        (Some(breaking), Some(path)) => {
            put("breaks", format!("callers of {}", path.display()));
            for Breaking { method, change } in breaking {
                put("", format!("{method}: {}", clean(change)));
            }
        }
        _ => {}
    }
    text
}

/// What callers of the old methods would lose with the new ones.
fn breaking(old: &[MethodRow], new: &[MethodRow]) -> Vec<Breaking> {
    old.iter()
        .filter_map(|row| {
            let change = match counterpart(row, new) {
                None => "is gone".to_owned(),
                Some(other) => type_diff(&row.ty, &other.ty)?,
            };
            Some(Breaking {
                method: short(row, old),
                change,
            })
        })
        .collect()
}

/// The new method that a caller of the old one would reach: of the same
/// interface, else of the same in another version.
fn counterpart<'a>(row: &MethodRow, new: &'a [MethodRow]) -> Option<&'a MethodRow> {
    let unversioned = |row: &MethodRow| {
        row.interface
            .as_deref()
            .and_then(|name| name.split('@').next().map(str::to_owned))
    };
    let same = |other: &&MethodRow| other.function == row.function && other.interface == row.interface;
    let near = |other: &&MethodRow| other.function == row.function && unversioned(other) == unversioned(row);
    new.iter().find(same).or_else(|| new.iter().find(near))
}

#[cfg(test)]
mod tests {
    use odeon_protocol::{Field, Fingerprint, FunctionType, Type};

    use super::*;

    fn method(interface: &str, function: &str, ty: Type) -> MethodRow {
        let params = vec![Field { name: "a".into(), ty }].into();
        let ty = FunctionType {
            params,
            result: None,
            is_async: false,
        };
        MethodRow {
            interface: Some(interface.into()),
            function: function.into(),
            path: function.into(),
            fingerprint: Fingerprint::of(&ty),
            ty,
        }
    }

    #[test]
    fn a_method_that_is_gone_or_of_another_type_breaks_and_a_new_version_alone_does_not() {
        let old = [
            method("a:b/c@1.0.0", "same", Type::U32),
            method("a:b/c@1.0.0", "other", Type::U32),
            method("a:b/c@1.0.0", "gone", Type::U32),
        ];
        let new = [
            method("a:b/c@1.1.0", "same", Type::U32),
            method("a:b/c@1.1.0", "other", Type::U64),
            method("a:b/c@1.1.0", "added", Type::U64),
        ];
        let found = breaking(&old, &new);
        assert_eq!(
            found.iter().map(|row| row.method.as_str()).collect::<Vec<_>>(),
            ["other", "gone"]
        );
    }
}

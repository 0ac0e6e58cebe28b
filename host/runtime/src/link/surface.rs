//! What the host offers to link against, read from its own WIT.
//!
//! Owns the list of host interfaces with the type of every function, in the
//! terms in which a component is described. Made anew each time: it is needed
//! only when a component does not link, or when somebody asks whether one
//! would.

use std::collections::BTreeMap;
use std::sync::Arc;

use odeon_protocol::{Case, Field, FunctionType, Type};
use wit_parser::{FunctionKind, Handle, Resolve, TypeDefKind, WorldItem};

/// One interface of the host.
pub(super) struct Interface {
    /// Name and version.
    pub(super) id: String,
    /// None where only the interface's presence is known: then the engine
    /// alone compares functions.
    pub(super) functions: Option<BTreeMap<String, FunctionType>>,
}

/// The packages in the order in which they use each other.
const PACKAGES: &[(&str, &str)] = &[
    ("io", include_str!("../../../../wit/deps/io/package.wit")),
    ("clocks", include_str!("../../../../wit/deps/clocks/package.wit")),
    ("random", include_str!("../../../../wit/deps/random/package.wit")),
    (
        "filesystem",
        include_str!("../../../../wit/deps/filesystem/package.wit"),
    ),
    (
        "sockets",
        include_str!("../../../../wit/deps/sockets/package.wit"),
    ),
    ("cli", include_str!("../../../../wit/deps/cli/package.wit")),
    ("http", include_str!("../../../../wit/deps/http/package.wit")),
    (
        "logging",
        include_str!("../../../../wit/deps/logging/package.wit"),
    ),
    ("config", include_str!("../../../../wit/deps/config/package.wit")),
    ("plugin", include_str!("../../../../wit/odeon-plugin/package.wit")),
];

/// Everything a component may import from this host.
const WORLD: &str = "
    package odeon:link@0.1.0;
    world host {
        include wasi:cli/imports@0.2.12;
        import wasi:http/types@0.2.12;
        import wasi:http/outgoing-handler@0.2.12;
        import wasi:logging/logging@0.1.0-draft;
        import wasi:config/store@0.2.0-rc.1;
        include odeon:plugin/imports@0.1.0;
    }
";

/// The interfaces of WASI 0.3, which the engine brings along.
const WASI_0_3: &[&str] = &[
    "wasi:cli/environment@0.3.0",
    "wasi:cli/exit@0.3.0",
    "wasi:cli/types@0.3.0",
    "wasi:cli/stdin@0.3.0",
    "wasi:cli/stdout@0.3.0",
    "wasi:cli/stderr@0.3.0",
    "wasi:cli/terminal-input@0.3.0",
    "wasi:cli/terminal-output@0.3.0",
    "wasi:cli/terminal-stdin@0.3.0",
    "wasi:cli/terminal-stdout@0.3.0",
    "wasi:cli/terminal-stderr@0.3.0",
    "wasi:clocks/types@0.3.0",
    "wasi:clocks/monotonic-clock@0.3.0",
    "wasi:clocks/system-clock@0.3.0",
    "wasi:filesystem/types@0.3.0",
    "wasi:filesystem/preopens@0.3.0",
    "wasi:http/client@0.3.0",
    "wasi:http/types@0.3.0",
    "wasi:random/random@0.3.0",
    "wasi:random/insecure@0.3.0",
    "wasi:random/insecure-seed@0.3.0",
    "wasi:sockets/types@0.3.0",
    "wasi:sockets/ip-name-lookup@0.3.0",
];

/// The host's interfaces, in no particular order.
pub(super) fn read() -> Result<Vec<Interface>, String> {
    let mut resolve = Resolve::default();
    for (name, text) in PACKAGES {
        resolve
            .push_source(name, text)
            .map_err(|error| format!("{error:#}"))?;
    }
    let package = resolve
        .push_source("link", WORLD)
        .map_err(|error| format!("{error:#}"))?;
    let world = resolve
        .select_world(&[package], Some("host"))
        .map_err(|error| format!("{error:#}"))?;
    let imports = resolve.worlds.get(world).map(|world| &world.imports);
    let mut interfaces = Vec::new();
    for item in imports.into_iter().flat_map(|imports| imports.values()) {
        let WorldItem::Interface { id, .. } = item else {
            continue;
        };
        let (Some(interface), Some(id)) = (resolve.interfaces.get(*id), resolve.id_of(*id)) else {
            continue;
        };
        let functions = interface
            .functions
            .iter()
            .map(|(name, function)| (name.clone(), function_type(&resolve, function)))
            .collect();
        interfaces.push(Interface {
            id,
            functions: Some(functions),
        });
    }
    interfaces.extend(WASI_0_3.iter().map(|id| Interface {
        id: (*id).to_owned(),
        functions: None,
    }));
    Ok(interfaces)
}

fn function_type(resolve: &Resolve, function: &wit_parser::Function) -> FunctionType {
    let field = |param: &wit_parser::Param| Field {
        name: param.name.as_str().into(),
        ty: ty(resolve, &param.ty),
    };
    FunctionType {
        params: function.params.iter().map(field).collect(),
        result: function.result.as_ref().map(|result| ty(resolve, result)),
        is_async: matches!(
            function.kind,
            FunctionKind::AsyncFreestanding | FunctionKind::AsyncMethod(_) | FunctionKind::AsyncStatic(_)
        ),
    }
}

/// Recursion is as deep as the host's own WIT.
fn ty(resolve: &Resolve, written: &wit_parser::Type) -> Type {
    use wit_parser::Type as W;
    match written {
        W::Bool => Type::Bool,
        W::U8 => Type::U8,
        W::U16 => Type::U16,
        W::U32 => Type::U32,
        W::U64 => Type::U64,
        W::S8 => Type::S8,
        W::S16 => Type::S16,
        W::S32 => Type::S32,
        W::S64 => Type::S64,
        W::F32 => Type::F32,
        W::F64 => Type::F64,
        W::Char => Type::Char,
        W::String => Type::String,
        W::ErrorContext => Type::Handle("error-context".into()),
        W::Id(id) => match resolve.types.get(*id) {
            Some(definition) => defined(resolve, &definition.kind),
            None => Type::Handle("unknown".into()),
        },
    }
}

fn defined(resolve: &Resolve, kind: &TypeDefKind) -> Type {
    let inner = |written: &wit_parser::Type| ty(resolve, written);
    let shared = |written: &wit_parser::Type| Arc::new(ty(resolve, written));
    match kind {
        TypeDefKind::Record(record) => Type::Record(
            record
                .fields
                .iter()
                .map(|f| Field {
                    name: f.name.as_str().into(),
                    ty: inner(&f.ty),
                })
                .collect(),
        ),
        TypeDefKind::Flags(flags) => {
            Type::Flags(flags.flags.iter().map(|flag| flag.name.as_str().into()).collect())
        }
        TypeDefKind::Tuple(tuple) => Type::Tuple(tuple.types.iter().map(inner).collect()),
        TypeDefKind::Variant(variant) => Type::Variant(
            variant
                .cases
                .iter()
                .map(|case| Case {
                    name: case.name.as_str().into(),
                    ty: case.ty.as_ref().map(inner),
                })
                .collect(),
        ),
        TypeDefKind::Enum(names) => {
            Type::Enum(names.cases.iter().map(|case| case.name.as_str().into()).collect())
        }
        TypeDefKind::Option(some) => Type::Option(shared(some)),
        TypeDefKind::Result(result) => {
            Type::Result(result.ok.as_ref().map(shared), result.err.as_ref().map(shared))
        }
        TypeDefKind::List(element) => Type::List(shared(element)),
        TypeDefKind::FixedLengthList(element, count) => Type::FixedList(shared(element), *count),
        TypeDefKind::Map(key, value) => Type::Map(shared(key), shared(value)),
        TypeDefKind::Type(alias) => inner(alias),
        // Which resource a handle is of is not part of a description; the
        // names here are those that the description of a component uses.
        TypeDefKind::Handle(Handle::Own(_)) | TypeDefKind::Resource => Type::Handle("own<resource>".into()),
        TypeDefKind::Handle(Handle::Borrow(_)) => Type::Handle("borrow<resource>".into()),
        TypeDefKind::Future(_) => Type::Handle("future".into()),
        TypeDefKind::Stream(_) => Type::Handle("stream".into()),
        TypeDefKind::Unknown => Type::Handle("unknown".into()),
    }
}

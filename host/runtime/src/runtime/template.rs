//! A component that is ready to be instantiated on one worker.
//!
//! Owns the making of it: native code made executable by the worker's engine,
//! linked to the host's functions and to other plugins, its exports found.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::instance::Template;
use crate::link;
use crate::links;
use crate::plugin::Source;
use crate::shard::Shard;
use crate::unit::PluginSpec;

use super::fit::pool_refused;
use super::{Inner, LoadError};

impl Inner {
    /// Makes the component ready on one shard, whose engine makes it executable.
    pub(crate) fn template(
        &self,
        shard: &Shard,
        component: impl FnOnce(&Engine) -> wasmtime::Result<Component>,
        source: &Source,
        spec: &PluginSpec,
    ) -> Result<Template, LoadError> {
        let engine_failed = |error: wasmtime::Error| LoadError::Engine(format!("{error:#}"));
        let class = source.description.class;
        let engine = shard.engine(class).map_err(engine_failed)?;
        let component = component(engine).map_err(|error| pool_refused(&error))?;
        let linker = shard.linker(class, source.flavour).map_err(engine_failed)?;
        let pre = match source.links.is_empty() {
            true => linker.instantiate_pre(&component),
            false => {
                let mut linker = linker.clone();
                links::define(&mut linker, &source.links).map_err(engine_failed)?;
                linker.instantiate_pre(&component)
            }
        };
        let pre = pre.map_err(|error| {
            let report = links::check(spec, &source.description);
            LoadError::Link(Box::new(link::explain(report, &error)))
        })?;
        let index = |interface: Option<&str>, function: &str| {
            let interface = match interface {
                Some(name) => Some(component.get_export_index(None, name)?),
                None => None,
            };
            component.get_export_index(interface.as_ref(), function)
        };
        let methods = source
            .description
            .exports
            .iter()
            .map(|export| {
                index(export.interface.as_deref(), &export.function)
                    .ok_or_else(|| LoadError::Engine(format!("the export {} is gone", export.function)))
            })
            .collect::<Result<_, _>>()?;
        Ok(Template {
            pre,
            methods,
            capture: shard.capture(),
        })
    }
}

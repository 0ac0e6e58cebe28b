//! Plugins that are linked to plugins.
//!
//! Owns how one finds the other in this host, and that what replaces a provider
//! fits those that use it.
//!
//! **Invariant:** a plugin holds on to no other: it is looked up at each call,
//! and what is unloaded is gone.

use std::sync::{Arc, Weak};

use odeon_authority::check_links;
use odeon_protocol::{Code, Fault, PluginName};
use odeon_runtime::{LinkSpec, Neighbours, Plugin};

use crate::audit::Recorder;
use crate::call::stopped_by_limit;
use crate::host::Host;
use crate::load::LoadRequest;
use crate::registry::Registry;

/// What is loaded in a host, for its plugins.
struct Near {
    /// Not the registry itself, which holds all of them.
    registry: Weak<Registry>,
    recorder: Recorder,
}

impl Neighbours for Near {
    fn plugin(&self, name: &PluginName) -> Option<Plugin> {
        let registry = self.registry.upgrade()?;
        let names = registry.names();
        Some(names.get(name.as_str())?.plugin.clone())
    }

    fn ended(&self, plugin: &PluginName, method: &str, fault: &Fault) {
        if stopped_by_limit(fault) {
            self.recorder.stopped(plugin, fault.code, method);
        }
    }
}

impl Host {
    /// The plugins of this host, for one of them.
    pub(crate) fn neighbours(&self) -> Arc<dyn Neighbours> {
        Arc::new(Near {
            registry: Arc::downgrade(&self.inner.registry),
            recorder: self.inner.recorder.clone(),
        })
    }

    /// Refuses what does not link to its providers any more.
    pub(crate) fn link_again(&self, plugin: &Plugin) -> Result<(), Fault> {
        Ok(plugin.check_links()?)
    }

    /// Refuses to put this in the place of a plugin whose dependants would not
    /// link to it.
    pub(crate) fn fits_dependants(&self, provider: &Plugin) -> Result<(), Fault> {
        let name = &provider.spec().name;
        let all = self.inner.registry.all();
        let broken: Vec<_> = all
            .iter()
            .filter(|dependant| dependant.name != *name)
            .filter_map(|dependant| {
                let report = dependant.plugin.check_link(provider);
                (!report.is_empty()).then(|| (dependant.name.clone(), report))
            })
            .collect();
        if broken.is_empty() {
            return Ok(());
        }
        let words: Vec<String> = broken
            .iter()
            .map(|(name, report)| format!("{name}: {report}"))
            .collect();
        let details: serde_json::Map<String, serde_json::Value> = broken
            .iter()
            .filter_map(|(name, report)| Some((name.to_string(), serde_json::to_value(report).ok()?)))
            .collect();
        Err(Fault::new(
            Code::DependantsBroken,
            format!(
                "plugins that are linked to {name} would not link to this version of it; unload them first, or say \
                 --break-links and replace them then:\n{}",
                words.join("\n")
            ),
        )
        .with_details(serde_json::json!({ "dependants": details })))
    }
}

/// The links of a load, as the runtime takes them.
pub(crate) fn settle(request: &LoadRequest, name: &PluginName) -> Result<Vec<LinkSpec>, Fault> {
    let invalid = |error: String| Fault::new(Code::DescriptorInvalid, error);
    check_links(&request.links).map_err(|error| invalid(error.to_string()))?;
    let links = request.links.iter().map(|(interface, provider)| {
        if provider == name {
            return Err(invalid(format!(
                "links: {interface} is to be served by {name} for itself; name another plugin"
            )));
        }
        Ok(LinkSpec {
            interface: interface.clone(),
            provider: provider.clone(),
        })
    });
    links.collect()
}

/// What to say about links that mean nothing to the component.
pub(crate) fn unused(plugin: &Plugin) -> Vec<String> {
    let unused = plugin.unused_links().into_iter();
    unused
        .map(|link| {
            format!(
                "the link {}={} has no effect: the component does not import that interface",
                link.interface, link.provider
            )
        })
        .collect()
}

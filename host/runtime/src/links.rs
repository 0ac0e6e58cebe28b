//! Plugins that use plugins: imports that another plugin's exports serve.
//!
//! Owns which import is served by whom, and the way of such a call from one
//! store to the other. What crosses is bytes in the wire form and nothing else:
//! the two have no memory, no handle and no engine in common.
//!
//! **Invariant:** a provider is named by an operator and by nobody else, and is
//! looked up anew at every call, so that a replace of it is followed and a
//! generation of it is kept by nobody.
//!
//! **Invariant:** a call comes in at a provider as from any other caller: by its
//! gate, within its limits, checked against its type.

mod call;
mod chain;
mod define;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use odeon_protocol::wire::Validator;
use odeon_protocol::{Code, Fault, FunctionType, PluginName};

pub(crate) use self::call::{Outgoing, PassedOn, Target, too_large};
pub use self::chain::Hop;
pub(crate) use self::chain::text as method_text;
pub(crate) use self::define::define;
use crate::describe::{Description, Export};
use crate::link::{Flavour, LinkReport, Provided, check_provided, is_same_interface};
use crate::plugin::{MethodId, Plugin};
use crate::runtime::LoadError;
use crate::unit::PluginSpec;

/// Which plugin serves an interface that this one imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkSpec {
    /// The interface, with its version or without.
    pub interface: String,
    /// The plugin that exports it.
    pub provider: PluginName,
}

/// The other plugins of a host, as one of them can reach them.
pub trait Neighbours: Send + Sync {
    /// The generation that serves this name now.
    fn plugin(&self, name: &PluginName) -> Option<Plugin>;

    /// A call that one plugin made of another ended with this fault there. It
    /// must return at once: it is called on the guest's own thread.
    fn ended(&self, plugin: &PluginName, method: &str, fault: &Fault);
}

/// A host of one plugin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Neighbours for Alone {
    fn plugin(&self, _: &PluginName) -> Option<Plugin> {
        None
    }

    fn ended(&self, _: &PluginName, _: &str, _: &Fault) {}
}

/// The imports of one plugin that others serve.
pub(crate) struct Links {
    interfaces: Vec<LinkedInterface>,
    /// Whether it can call plugins by name too.
    by_name: bool,
}

/// The interface for calls by name, in any version.
const BY_NAME: &str = "odeon:plugin/rmi";

pub(crate) struct LinkedInterface {
    /// As the component names it.
    import: Arc<str>,
    provider: PluginName,
    functions: Vec<Arc<LinkedFunction>>,
}

/// One function that another plugin serves.
pub(crate) struct LinkedFunction {
    interface: Arc<str>,
    provider: PluginName,
    name: Arc<str>,
    ty: Arc<FunctionType>,
    validator: Validator,
    /// The generation of the provider in which it was found last, and its
    /// number there, in one word.
    found: AtomicU64,
}

/// The low bits of [`LinkedFunction::found`] that hold the method's number: more
/// than the host describes of any component.
const NUMBER_BITS: u32 = 24;

impl Links {
    /// Those of this component.
    pub(crate) fn of(spec: &PluginSpec, description: &Description) -> Self {
        let linked = description.imports.iter().filter_map(|import| {
            let link = spec
                .links
                .iter()
                .find(|link| is_same_interface(&link.interface, &import.name))?;
            let functions = import.functions.iter().map(|function| {
                Arc::new(LinkedFunction {
                    interface: import.name.clone(),
                    provider: link.provider.clone(),
                    name: function.name.clone(),
                    ty: Arc::new(function.ty.clone()),
                    validator: Validator::new(&function.ty),
                    found: AtomicU64::new(0),
                })
            });
            Some(LinkedInterface {
                import: import.name.clone(),
                provider: link.provider.clone(),
                functions: functions.collect(),
            })
        });
        Links {
            interfaces: linked.collect(),
            by_name: description
                .imports
                .iter()
                .any(|import| is_same_interface(BY_NAME, &import.name)),
        }
    }

    /// Whether a call can go on to another plugin from here.
    pub(crate) fn lead_on(&self) -> bool {
        self.by_name || !self.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.interfaces.is_empty()
    }

    /// The interfaces by their names in the component, and who serves them.
    pub(crate) fn providers(&self) -> impl Iterator<Item = (&Arc<str>, &PluginName)> {
        self.interfaces
            .iter()
            .map(|interface| (&interface.import, &interface.provider))
    }
}

/// The providers of a plugin that are not there.
pub(crate) fn missing(spec: &PluginSpec) -> Option<String> {
    let absent = |link: &&LinkSpec| spec.neighbours.plugin(&link.provider).is_none();
    let missing: Vec<String> = spec
        .links
        .iter()
        .filter(absent)
        .map(|link| format!("{} (for {})", link.provider, link.interface))
        .collect();
    if missing.is_empty() {
        return None;
    }
    Some(format!(
        "{} is linked to plugins that are not loaded: {}; load them first",
        spec.name,
        missing.join(", ")
    ))
}

/// What of a component does not link to the providers that were named for it,
/// or to the host.
pub(crate) fn check(spec: &PluginSpec, description: &Description) -> LinkReport {
    let plugins: Vec<(&LinkSpec, Plugin)> = spec
        .links
        .iter()
        .filter_map(|link| Some((link, spec.neighbours.plugin(&link.provider)?)))
        .collect();
    let provided: Vec<Provided<'_>> = plugins
        .iter()
        .map(|(link, plugin)| Provided {
            interface: &link.interface,
            provider: &link.provider,
            exports: &plugin.description().exports,
        })
        .collect();
    check_provided(description, &provided)
}

/// What is to serve an interface for a component that is checked, and is not
/// loaded.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// The interface, with its version or without.
    pub interface: &'a str,
    /// What it is called in a report.
    pub provider: &'a PluginName,
    /// What it exports.
    pub exports: &'a [Export],
}

impl Beside<'_> {
    /// Whether a component with this import would be served.
    pub fn serves(&self, import: &str) -> bool {
        is_same_interface(self.interface, import)
    }
}

/// What of a component would not link to these, or to the host.
pub(crate) fn check_beside(beside: &[Beside<'_>], description: &Description) -> LinkReport {
    let provided = beside.iter().map(|one| Provided {
        interface: one.interface,
        provider: one.provider,
        exports: one.exports,
    });
    let provided: Vec<Provided<'_>> = provided.collect();
    check_provided(description, &provided)
}

impl Plugin {
    /// The interfaces that other plugins serve for this one, and which do.
    pub fn links(&self) -> impl Iterator<Item = (&str, &PluginName)> {
        let links = self.shared.source.links.providers();
        links.map(|(import, provider)| (&**import, provider))
    }

    /// Whether it links to the providers that are loaded now.
    ///
    /// # Errors
    ///
    /// When one is not loaded, or does not export what is imported.
    pub fn check_links(&self) -> Result<(), LoadError> {
        if self.spec().links.is_empty() {
            return Ok(());
        }
        if let Some(missing) = missing(self.spec()) {
            return Err(LoadError::ProviderMissing(missing));
        }
        let report = check(self.spec(), self.description());
        match report.is_empty() {
            true => Ok(()),
            false => Err(LoadError::Link(Box::new(report))),
        }
    }

    /// Whether it waits for nothing and calls no other plugin.
    pub(crate) fn calls_nobody(&self) -> bool {
        self.shared.source.flavour == Flavour::Direct
    }

    /// Its links that mean nothing to the component.
    pub fn unused_links(&self) -> Vec<&LinkSpec> {
        let imports = &self.description().imports;
        let unused = |link: &&LinkSpec| {
            let mut imports = imports.iter();
            !imports.any(|import| is_same_interface(&link.interface, &import.name))
        };
        self.spec().links.iter().filter(unused).collect()
    }

    /// What of this plugin would not link to `provider` if that came in the place
    /// of its provider of the same name.
    pub fn check_link(&self, provider: &Plugin) -> LinkReport {
        let name = &provider.spec().name;
        let of_it = |link: &&LinkSpec| link.provider == *name;
        let provided = self.spec().links.iter().filter(of_it).map(|link| Provided {
            interface: &link.interface,
            provider: &link.provider,
            exports: &provider.description().exports,
        });
        let provided: Vec<Provided<'_>> = provided.collect();
        if provided.is_empty() {
            return LinkReport::default();
        }
        let mut report = check_provided(self.description(), &provided);
        // The others are served by others, as before.
        report.retain(|interface| {
            provided
                .iter()
                .any(|provided| is_same_interface(provided.interface, interface))
        });
        report
    }
}

impl LinkedFunction {
    /// Its number in this generation of the provider.
    fn find(&self, plugin: &Plugin) -> Result<MethodId, Fault> {
        let generation = plugin.shared.unit.generation().0;
        let found = self.found.load(Ordering::Relaxed);
        let number = found & ((1 << NUMBER_BITS) - 1);
        if found == (generation << NUMBER_BITS | number)
            && let Some(id) = usize::try_from(number).ok().map(MethodId::of)
        {
            return Ok(id);
        }
        self.search(plugin, generation)
    }

    #[cold]
    fn search(&self, plugin: &Plugin, generation: u64) -> Result<MethodId, Fault> {
        let id = crate::link::find_provided(&plugin.description().exports, &self.interface, &self.name, &self.ty)
            .map_err(|difference| {
                Fault::new(
                    Code::VersionMismatch,
                    format!(
                        "{} was replaced, and does not export what this plugin was linked to: {difference}; nothing of \
                         it was executed; replace it by a version that does, or this plugin by one that fits",
                        self.provider
                    ),
                )
            })?;
        let number = id as u64 & ((1 << NUMBER_BITS) - 1);
        self.found
            .store(generation << NUMBER_BITS | number, Ordering::Relaxed);
        Ok(MethodId::of(id))
    }
}

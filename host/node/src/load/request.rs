//! What is to be loaded, and on which terms.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odeon_authority::{Bound, Descriptor, GrantSet, LimitsPatch, Links, Placing, Principal, Route, SignedAs};
use odeon_protocol::PluginName;

use crate::observe::Observation;

/// Where a component comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A component file, with its detached signature beside it if there is a
    /// file of that name with `.sig` behind.
    Component(PathBuf),
    /// A descriptor, which names the component.
    Descriptor(PathBuf),
    /// The component itself.
    Bytes(Vec<u8>),
}

/// What is to be loaded, and on which terms. Made with
/// [`LoadRequest::component`], [`LoadRequest::descriptor`],
/// [`LoadRequest::path`] or [`LoadRequest::bytes`].
#[derive(Clone, Debug, PartialEq)]
pub struct LoadRequest {
    /// Where the component comes from.
    pub source: Source,
    /// The name to load it under; absent: as its signature or manifest says.
    pub name: Option<PluginName>,
    /// The name to load it under if neither a signature nor a manifest names it.
    pub name_if_nameless: Option<PluginName>,
    /// Lets it in although nothing vouches for it. Such a load is transient.
    pub allow_unsigned: bool,
    /// Lets in a lower version than was accepted before.
    pub allow_downgrade: bool,
    /// Not to be loaded again at the next start.
    pub transient: bool,
    /// What is allowed; absent: what the rule allows that lets it in.
    pub grants: Option<GrantSet>,
    /// The operator's limits for this plugin.
    pub limits: LimitsPatch,
    /// Values of its configuration.
    pub config: BTreeMap<String, String>,
    /// How to run it, where that is not the author's choice.
    pub placing: Placing,
    /// Files of its secrets.
    pub secrets: BTreeMap<String, PathBuf>,
    /// The plugins that serve interfaces which the component imports.
    pub links: Links,
    /// Where it is served over HTTP.
    pub http: Option<Route>,
    /// Who asks; absent: the host's own principal.
    pub principal: Option<Principal>,
    /// What is observed of it from its first instance on, its own `load`
    /// included. Of this load alone: what it is done again by has none.
    pub observe: Option<Observation>,
    /// Kept in the list of loads that are repeated at the next start, unless
    /// transient. Descriptors are not: they are read at every start anyway.
    pub(crate) remember: bool,
    /// Whom it must be signed for, where a load that is done again says so.
    pub(crate) signed_as: Option<SignedAs>,
    /// What it must be, where a load that is done again says so.
    pub(crate) bound_to: Option<Bound>,
    /// Whether the descriptor is one of a folder, in which it may be a link.
    pub(crate) in_folder: bool,
    /// What the descriptor said when it was read.
    pub(crate) described: Option<Arc<Descriptor>>,
}

impl LoadRequest {
    /// A component file.
    pub fn component(path: impl Into<PathBuf>) -> Self {
        Self::new(Source::Component(path.into()), true)
    }

    /// What a descriptor names.
    pub fn descriptor(path: impl Into<PathBuf>) -> Self {
        Self::new(Source::Descriptor(path.into()), true)
    }

    /// What a descriptor of the host's folder names: the host loads it by
    /// itself, and it is read at every start anyway.
    pub(crate) fn of_folder(path: PathBuf) -> Self {
        LoadRequest {
            principal: Some(Principal::Host),
            in_folder: true,
            ..Self::new(Source::Descriptor(path), false)
        }
    }

    /// A descriptor if the path ends in `.toml`, else a component file.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        match path.extension().is_some_and(|extension| extension == "toml") {
            true => Self::descriptor(path),
            false => Self::component(path),
        }
    }

    /// A component that is in memory already. It cannot be loaded again at the
    /// next start.
    pub fn bytes(component: Vec<u8>) -> Self {
        Self::new(Source::Bytes(component), false)
    }

    fn new(source: Source, remember: bool) -> Self {
        LoadRequest {
            source,
            name: None,
            name_if_nameless: None,
            allow_unsigned: false,
            allow_downgrade: false,
            transient: false,
            grants: None,
            limits: LimitsPatch::default(),
            config: BTreeMap::new(),
            placing: Placing::default(),
            secrets: BTreeMap::new(),
            links: Links::new(),
            http: None,
            principal: None,
            observe: None,
            remember,
            signed_as: None,
            bound_to: None,
            in_folder: false,
            described: None,
        }
    }

    /// Loads it under this name.
    #[must_use]
    pub fn named(mut self, name: PluginName) -> Self {
        self.name = Some(name);
        self
    }

    /// Lets it in although nothing vouches for it.
    #[must_use]
    pub fn allow_unsigned(mut self) -> Self {
        self.allow_unsigned = true;
        self
    }

    /// Allows this and nothing more.
    #[must_use]
    pub fn with_grants(mut self, grants: GrantSet) -> Self {
        self.grants = Some(grants);
        self
    }

    /// Sets limits for this plugin.
    #[must_use]
    pub fn with_limits(mut self, limits: LimitsPatch) -> Self {
        self.limits = limits;
        self
    }

    /// Has this interface served by that plugin.
    #[must_use]
    pub fn linked(mut self, interface: impl Into<String>, provider: PluginName) -> Self {
        self.links.insert(interface.into(), provider);
        self
    }

    /// Serves it over HTTP.
    #[must_use]
    pub fn served_at(mut self, route: Route) -> Self {
        self.http = Some(route);
        self
    }

    /// The file that was named.
    pub(crate) fn file(&self) -> Option<&PathBuf> {
        match &self.source {
            Source::Component(path) | Source::Descriptor(path) => Some(path),
            Source::Bytes(_) => None,
        }
    }

    /// The name that a file's own name gives to a component which nothing else
    /// names: in lower case, `-` for `_`; `None` where that is no plugin's name.
    pub fn file_name(path: &Path) -> Option<PluginName> {
        let stem = path.file_stem()?.to_str()?.to_ascii_lowercase().replace('_', "-");
        stem.parse().ok()
    }
}

//! HTTP in: listeners, and what plugins answer there.
//!
//! Owns the host's listeners and which plugin may be served where. A request
//! that comes in is a call like any other: through the same gate, under the
//! same limits, on the same books. Who sends it is nobody's word: its principal
//! is the listener.
//!
//! **Invariant:** nothing that has not been looked at whole reaches a guest: of
//! a request its head, and of its body each piece.

mod body;
mod config;
mod connection;
mod counts;
mod exchange;
mod head;
mod listener;
mod pace;
mod peers;
mod refusal;
mod response;
mod tls;
mod work;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use odeon_authority::Route;
use odeon_protocol::{Code, Fault, PluginName};
use odeon_runtime::Plugin;
use parking_lot::Mutex;

pub use self::config::{ClientTrace, InvalidListener, ListenerConfig};
pub(crate) use self::counts::{Counts, write as write_metrics};
pub(crate) use self::listener::BoundListener;
pub use self::listener::WebListener;
pub use self::tls::TlsFiles;
use crate::host::Host;
use crate::load::LoadRequest;
use crate::registry::ServedAt;

/// The listeners of a host.
#[derive(Default)]
pub(crate) struct Web {
    listeners: Mutex<BTreeMap<Arc<str>, Arc<Known>>>,
}

/// What is known of one listener.
pub(crate) struct Known {
    pub(crate) name: Arc<str>,
    pub(crate) address: SocketAddr,
    pub(crate) tls: bool,
    /// What the `traceparent` of a client counts for.
    pub(crate) trace: ClientTrace,
    /// Its answers say which generation gave them.
    pub(crate) generation: bool,
    pub(crate) counts: Counts,
}

impl Web {
    /// Every listener, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Known>> {
        self.listeners.lock().values().cloned().collect()
    }

    fn add(&self, known: &Arc<Known>) -> Result<(), Fault> {
        let mut listeners = self.listeners.lock();
        if listeners.contains_key(&known.name) {
            return Err(Fault::new(
                Code::ConfigInvalid,
                format!(
                    "listener: expected names that differ, found {:?} twice",
                    known.name
                ),
            ));
        }
        listeners.insert(known.name.clone(), known.clone());
        Ok(())
    }

    fn remove(&self, known: &Known) {
        self.listeners.lock().remove(&known.name);
    }

    /// The listener that a route names.
    fn resolve(&self, route: &Route) -> Result<Arc<str>, Fault> {
        let listeners = self.listeners.lock();
        let known = || {
            let names: Vec<&str> = listeners.keys().map(|name| &**name).collect();
            match names.is_empty() {
                true => "none; it needs a [[listener]]".to_owned(),
                false => names.join(", "),
            }
        };
        let refused = |expected: &str| {
            Err(Fault::new(
                Code::DescriptorInvalid,
                format!(
                    "http: expected {expected} of the host's configuration, found {route}; listeners here: {}",
                    known()
                ),
            ))
        };
        match (&route.listener, listeners.len()) {
            (Some(name), _) => match listeners.get_key_value(name.as_str()) {
                Some((name, _)) => Ok(name.clone()),
                None => refused("a listener"),
            },
            (None, 1) => Ok(listeners.keys().next().cloned().unwrap_or_default()),
            (None, _) => refused("the name of a listener"),
        }
    }
}

impl Host {
    /// Where what is being loaded is to be served, if it is. A host for one call
    /// serves nothing.
    pub(crate) fn settle_route(
        &self,
        name: &PluginName,
        request: &LoadRequest,
    ) -> Result<Option<ServedAt>, Fault> {
        let Some(route) = request.http.as_ref().filter(|_| !self.inner.one_shot) else {
            return Ok(None);
        };
        let at = ServedAt {
            listener: self.inner.web.resolve(route)?,
            path: route.path.as_str().into(),
        };
        self.check_route(name, Some(&at))?;
        Ok(Some(at))
    }

    /// Refuses a path that another plugin has.
    pub(crate) fn check_route(&self, name: &PluginName, at: Option<&ServedAt>) -> Result<(), Fault> {
        let Some(at) = at else { return Ok(()) };
        let routes = self.inner.registry.routes();
        let other = routes.at(at).filter(|other| other.name != *name);
        other.map_or(Ok(()), |other| {
            Err(Fault::new(
                Code::RouteTaken,
                format!(
                    "http: expected a path that is free, found {}{}, where {} is served; choose another path, or unload \
                     that plugin",
                    at.listener, at.path, other.name
                ),
            ))
        })
    }
}

/// Refuses to serve what answers no HTTP.
pub(crate) fn check_handler(plugin: &Plugin, at: &ServedAt) -> Result<(), Fault> {
    if plugin.web_handler().is_some() {
        return Ok(());
    }
    Err(Fault::new(
        Code::DescriptorInvalid,
        format!(
            "http: expected a component that exports wasi:http/incoming-handler of WASI 0.2 or wasi:http/handler of WASI \
             0.3, to serve it at {}{}; found one that exports neither",
            at.listener, at.path
        ),
    ))
}

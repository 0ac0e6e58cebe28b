//! Which plugin is served under which path.
//!
//! Owns the search for the longest path that fits. **Invariant:** made of what
//! serves, whenever that changes, and changed in no other way: a plugin has its
//! path exactly while it is loaded.

use std::sync::Arc;

use hashbrown::HashMap;
use odeon_authority::RoutePath;

use super::{Loaded, Names};

/// Where one plugin is served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServedAt {
    pub(crate) listener: Arc<str>,
    pub(crate) path: Arc<str>,
}

/// The paths of every listener.
#[derive(Default)]
pub(crate) struct Routes(HashMap<Arc<str>, HashMap<Arc<str>, Arc<Loaded>>>);

impl Routes {
    /// Of these. Two that want one path can come about when a generation comes
    /// back whose successor had given it up: then it stays with the one whose
    /// name is first.
    pub(super) fn of(names: &Names) -> Self {
        let mut routes = Routes::default();
        for loaded in names.values() {
            let Some(at) = &loaded.route else { continue };
            let of_listener = routes.0.entry(at.listener.clone()).or_default();
            match of_listener.get(&at.path) {
                Some(other) if other.name <= loaded.name => {
                    tracing::warn!(
                        plugin = loaded.name.as_str(),
                        path = &*at.path,
                        "its path is another plugin's"
                    );
                }
                _ => {
                    of_listener.insert(at.path.clone(), loaded.clone());
                }
            }
        }
        routes
    }

    /// What is served under exactly this path.
    pub(crate) fn at(&self, at: &ServedAt) -> Option<&Arc<Loaded>> {
        self.0.get(&at.listener)?.get(&at.path)
    }

    /// What answers a request for this path: whoever has the most of its
    /// segments.
    pub(crate) fn find(&self, listener: &str, path: &str) -> Option<&Arc<Loaded>> {
        let of_listener = self.0.get(listener)?;
        let mut rest = path;
        loop {
            // What is longer than a route can be is not looked for.
            if rest.len() <= RoutePath::MAX
                && let Some(found) = of_listener.get(rest)
            {
                return Some(found);
            }
            let slash = rest.rfind('/')?;
            rest = rest.get(..slash)?;
            if rest.is_empty() {
                return of_listener.get("/");
            }
        }
    }
}

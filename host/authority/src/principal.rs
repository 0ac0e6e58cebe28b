//! Who asks.
//!
//! Owns the identities that decisions and the audit speak of. A principal
//! comes from the session or the store, never from bytes a guest or a peer
//! wrote: nothing here parses one.

use std::fmt;
use std::sync::Arc;

use odeon_protocol::PluginName;

/// Who asks for something. Its text (`user:0`, `host`, `plugin:calc`) is stable: the
/// audit and scripts rely on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// A user of this machine, as the operating system vouches for him.
    LocalUser {
        /// The numeric user id.
        uid: u32,
    },
    /// The program that embeds the host.
    Embedder,
    /// The host itself: descriptors at start, a watched folder.
    Host,
    /// A plugin that calls another one.
    Plugin(PluginName),
    /// Whoever sends HTTP requests to a listener. Nobody asks who that is.
    Web {
        /// The listener's name.
        listener: Arc<str>,
    },
}

impl Principal {
    /// What sort of one it is, as its text begins.
    pub fn kind(&self) -> &'static str {
        match self {
            Principal::LocalUser { .. } => "user",
            Principal::Embedder => "embedder",
            Principal::Host => "host",
            Principal::Plugin(_) => "plugin",
            Principal::Web { .. } => "web",
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Principal::LocalUser { uid } => write!(f, "user:{uid}"),
            Principal::Embedder => f.write_str("embedder"),
            Principal::Host => f.write_str("host"),
            Principal::Plugin(name) => write!(f, "plugin:{name}"),
            Principal::Web { listener } => write!(f, "web:{listener}"),
        }
    }
}

impl serde::Serialize for Principal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

//! Paths of methods: how a person or a peer names what is called.
//!
//! Owns the grammar `<plugin>/<interface>.<function>` and the rule by which a
//! short form stands for one of a component's exports. Knows nothing of what
//! is loaded: the resolver is given the exports and decides from them alone.
//!
//! **Invariant:** a path's text form parses back to the same path.

mod name;
mod resolve;

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use resolve::{MAX_CANDIDATES, ResolveError, resolve_member, shortest_member};

use crate::{
    code::Code,
    fault::Fault,
    id::{InvalidId, PluginName},
};

/// The longest path of a method there is, in bytes.
pub const MAX_METHOD_PATH: usize = 1024;

/// Text that names no method.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MethodPathError {
    /// Longer than [`MAX_METHOD_PATH`].
    #[error("a method's path has at most {MAX_METHOD_PATH} bytes, this one has {length}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// There is no `/` between plugin and function.
    #[error("expected <plugin>/<function> or <plugin>/<interface>.<function>, found no '/' in {found:?}")]
    NoPlugin {
        /// What was there, cut to a readable length.
        found: String,
    },
    /// What stands before the first `/` is no plugin's name.
    #[error(transparent)]
    Plugin(#[from] InvalidId),
    /// What should be the function's name is none.
    #[error(
        "expected a function name in kebab-case, or [method]resource.name, [static]resource.name or \
         [constructor]resource, found {found:?}"
    )]
    Function {
        /// What was there, cut to a readable length.
        found: String,
    },
    /// What should be the interface's name is none.
    #[error("expected an interface as name or namespace:package/name@1.2.3, found {found:?}")]
    Interface {
        /// What was there, cut to a readable length.
        found: String,
    },
}

impl From<MethodPathError> for Fault {
    fn from(error: MethodPathError) -> Self {
        Fault::new(Code::InvalidArguments, error.to_string())
    }
}

/// A function inside a component, as exported or in a short form.
///
/// The interface is absent for a function of the world itself, and may be
/// absent for a function whose name is unique in its component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberPath {
    interface: Option<Arc<str>>,
    function: Arc<str>,
}

impl MemberPath {
    /// A path of these parts.
    ///
    /// # Errors
    ///
    /// When a part is not what its grammar allows, or both together are
    /// longer than [`MAX_METHOD_PATH`].
    pub fn new(interface: Option<&str>, function: &str) -> Result<Self, MethodPathError> {
        let length = interface
            .map_or(0, |i| i.len().saturating_add(1))
            .saturating_add(function.len());
        if length > MAX_METHOD_PATH {
            return Err(MethodPathError::TooLong { length });
        }
        if !name::is_function(function) {
            return Err(MethodPathError::Function { found: cut(function) });
        }
        if let Some(interface) = interface
            && !name::is_interface(interface)
        {
            return Err(MethodPathError::Interface {
                found: cut(interface),
            });
        }
        Ok(MemberPath {
            interface: interface.map(Arc::from),
            function: function.into(),
        })
    }

    /// The interface, short (`math`) or full (`acme:calc/math@0.1.0`).
    pub fn interface(&self) -> Option<&str> {
        self.interface.as_deref()
    }

    /// The function's name.
    pub fn function(&self) -> &str {
        &self.function
    }
}

impl FromStr for MemberPath {
    type Err = MethodPathError;

    fn from_str(text: &str) -> Result<Self, MethodPathError> {
        if text.len() > MAX_METHOD_PATH {
            return Err(MethodPathError::TooLong { length: text.len() });
        }
        // A resource's function holds dots of its own, behind its bracket; a
        // version holds dots before the one that ends the interface.
        let (interface, function) = match text.split_once('[') {
            Some(("", _)) => (None, text),
            Some((before, _)) => match before.strip_suffix('.') {
                Some(interface) => (Some(interface), text.get(before.len()..).unwrap_or_default()),
                None => return Err(MethodPathError::Interface { found: cut(before) }),
            },
            None => match text.rsplit_once('.') {
                Some((interface, function)) => (Some(interface), function),
                None => (None, text),
            },
        };
        MemberPath::new(interface, function)
    }
}

impl fmt::Display for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(interface) = &self.interface {
            write!(f, "{interface}.")?;
        }
        f.write_str(&self.function)
    }
}

/// A method: a plugin and a function of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MethodPath {
    plugin: PluginName,
    member: MemberPath,
}

impl MethodPath {
    /// The path of this plugin's member.
    pub fn new(plugin: PluginName, member: MemberPath) -> Self {
        MethodPath { plugin, member }
    }

    /// The plugin.
    pub fn plugin(&self) -> &PluginName {
        &self.plugin
    }

    /// The function inside the plugin.
    pub fn member(&self) -> &MemberPath {
        &self.member
    }

    /// The interface, if one is named.
    pub fn interface(&self) -> Option<&str> {
        self.member.interface()
    }

    /// The function's name.
    pub fn function(&self) -> &str {
        self.member.function()
    }
}

impl FromStr for MethodPath {
    type Err = MethodPathError;

    fn from_str(text: &str) -> Result<Self, MethodPathError> {
        if text.len() > MAX_METHOD_PATH {
            return Err(MethodPathError::TooLong { length: text.len() });
        }
        // A plugin's name holds no '/', a full interface does.
        let (plugin, member) = text
            .split_once('/')
            .ok_or_else(|| MethodPathError::NoPlugin { found: cut(text) })?;
        Ok(MethodPath {
            plugin: plugin.parse()?,
            member: member.parse()?,
        })
    }
}

impl fmt::Display for MethodPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.plugin, self.member)
    }
}

macro_rules! text_form {
    ($($name:ident;)+) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
text_form! { MemberPath; MethodPath; }

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

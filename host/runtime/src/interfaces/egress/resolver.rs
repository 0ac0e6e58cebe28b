//! From names to addresses.
//!
//! Owns how the host asks. Whether a name may be asked for, and which of the
//! answers may be used, is decided elsewhere, before and after.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::Slot;

/// A lookup under way.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, LookupError>> + Send + 'a>>;

/// Why a name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// There is no such name, or it has no address.
    #[error("the name has no address")]
    NotFound,
    /// There is no answer now; there may be one later.
    #[error("the resolver does not answer")]
    Unavailable,
}

/// The place that one lookup takes among those of its plugin and of the host.
/// It is given back when this is dropped.
pub struct LookupPlace {
    _slot: Arc<Slot>,
    _permit: OwnedSemaphorePermit,
}

impl LookupPlace {
    pub(super) fn new(slot: Arc<Slot>, permit: OwnedSemaphorePermit) -> Self {
        LookupPlace {
            _slot: slot,
            _permit: permit,
        }
    }
}

impl fmt::Debug for LookupPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookupPlace").finish_non_exhaustive()
    }
}

/// Resolves names for guests.
///
/// Every lookup asks anew: an answer is used for the connection it was asked
/// for, or remembered as what this guest was told. Dropping the future gives
/// up waiting. What is at work for longer than that, such as a thread that
/// blocks, has to hold the place until it is done.
pub trait Resolver: fmt::Debug + Send + Sync {
    /// The addresses of `name`, an ASCII host name, best first.
    fn lookup<'a>(&'a self, name: &'a str, place: LookupPlace) -> Lookup<'a>;
}

/// The operating system's resolver, with its own configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn lookup<'a>(&'a self, name: &'a str, place: LookupPlace) -> Lookup<'a> {
        let name = name.to_owned();
        Box::pin(async move {
            let asked = tokio::task::spawn_blocking(move || {
                // Nothing ends this call but its answer.
                let _held = place;
                let answers = (name.as_str(), 0).to_socket_addrs()?;
                Ok::<_, std::io::Error>(answers.map(|answer| answer.ip()).collect())
            });
            match asked.await {
                Ok(Ok(answers)) => Ok(answers),
                Ok(Err(_)) => Err(LookupError::NotFound),
                Err(_) => Err(LookupError::Unavailable),
            }
        })
    }
}

/// A fixed table, for names whose addresses the operator decides.
#[derive(Clone, Debug, Default)]
pub struct StaticResolver {
    table: BTreeMap<String, Vec<IpAddr>>,
    otherwise: Option<Arc<dyn Resolver>>,
}

impl StaticResolver {
    /// Knows these names, in any case, with or without a final dot. Other
    /// names have no address.
    pub fn new(table: impl IntoIterator<Item = (String, Vec<IpAddr>)>) -> Self {
        let table = table
            .into_iter()
            .map(|(name, addresses)| (normal(&name), addresses))
            .collect();
        StaticResolver {
            table,
            otherwise: None,
        }
    }

    /// Asks `resolver` for names that are not in the table.
    #[must_use]
    pub fn otherwise(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.otherwise = Some(resolver);
        self
    }
}

impl Resolver for StaticResolver {
    fn lookup<'a>(&'a self, name: &'a str, place: LookupPlace) -> Lookup<'a> {
        match (self.table.get(&normal(name)), &self.otherwise) {
            (Some(addresses), _) => Box::pin(std::future::ready(Ok(addresses.clone()))),
            (None, Some(resolver)) => resolver.lookup(name, place),
            (None, None) => Box::pin(std::future::ready(Err(LookupError::NotFound))),
        }
    }
}

fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

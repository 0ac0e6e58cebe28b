//! What guests may import from the host: one file per interface.
//!
//! Owns the meaning of every import. **Invariant:** the identity, the limits
//! and the grants that a function goes by come from the store it is called
//! from, never from its arguments; a use without a grant is a typed error for
//! the guest and a line in the audit, never a trap.

pub(crate) mod config;
pub(crate) mod egress;
pub(crate) mod environment;
pub(crate) mod filesystem;
pub(crate) mod http;
pub(crate) mod logging;
pub(crate) mod request;
pub(crate) mod rmi;
pub(crate) mod secrets;
pub(crate) mod sockets;
pub(crate) mod wasi;

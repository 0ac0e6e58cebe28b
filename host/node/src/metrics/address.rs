//! Where metrics are served.
//!
//! **Invariant:** an address of this machine itself, and no other: whoever may
//! read them is not asked who he is.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::Deserialize;

/// An address and port that only programs of this machine can connect to. Port
/// 0 is whichever is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct MetricsAddress(SocketAddr);

/// Not an address at which metrics are served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "telemetry.metrics: expected an address of this machine itself with a port, as in 127.0.0.1:9464 or [::1]:9464, \
     found {found:?}; whoever is to read metrics from elsewhere needs a proxy that asks who he is"
)]
pub struct InvalidMetricsAddress {
    found: String,
}

impl MetricsAddress {
    /// The address.
    pub fn get(&self) -> SocketAddr {
        self.0
    }
}

impl TryFrom<SocketAddr> for MetricsAddress {
    type Error = InvalidMetricsAddress;

    fn try_from(address: SocketAddr) -> Result<Self, InvalidMetricsAddress> {
        if !address.ip().is_loopback() {
            return Err(InvalidMetricsAddress {
                found: address.to_string(),
            });
        }
        Ok(MetricsAddress(address))
    }
}

impl FromStr for MetricsAddress {
    type Err = InvalidMetricsAddress;

    fn from_str(text: &str) -> Result<Self, InvalidMetricsAddress> {
        let address: SocketAddr = text.parse().map_err(|_| InvalidMetricsAddress {
            found: text.chars().take(80).collect(),
        })?;
        address.try_into()
    }
}

impl TryFrom<String> for MetricsAddress {
    type Error = InvalidMetricsAddress;

    fn try_from(text: String) -> Result<Self, InvalidMetricsAddress> {
        text.parse()
    }
}

impl fmt::Display for MetricsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

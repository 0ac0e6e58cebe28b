//! Where traces and logs go, and how many requests are traced.
//!
//! **Invariant:** an address of this machine itself, and no other: what is sent
//! is sent in the clear, with the headers that a collector knows us by.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use odeon_protocol::TraceId;
use serde::Deserialize;

/// Where a host tells its traces and logs.
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpConfig {
    /// The collector.
    pub address: OtlpAddress,
    /// Of the requests that come without a trace, how many begin one.
    pub sample: SampleShare,
    /// A file with header fields for the collector, one `name: value` in a line,
    /// that only its owner can read.
    pub headers: Option<PathBuf>,
}

impl OtlpConfig {
    /// For this collector, with the usual share and without headers.
    pub fn new(address: OtlpAddress) -> Self {
        OtlpConfig {
            address,
            sample: SampleShare::default(),
            headers: None,
        }
    }
}

/// A collector on this machine: `http://127.0.0.1:4318`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct OtlpAddress(SocketAddr);

/// Not the address of a collector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("telemetry.otlp: expected {expected}, found {found:?}; {fix}")]
pub struct InvalidOtlpAddress {
    expected: &'static str,
    found: String,
    fix: &'static str,
}

/// What it has to look like.
const EXPECTED: &str =
    "http:// and an address of this machine itself with a port, as in http://127.0.0.1:4318";

impl OtlpAddress {
    /// The address.
    pub fn get(&self) -> SocketAddr {
        self.0
    }
}

impl FromStr for OtlpAddress {
    type Err = InvalidOtlpAddress;

    fn from_str(text: &str) -> Result<Self, InvalidOtlpAddress> {
        let wrong = |fix| InvalidOtlpAddress {
            expected: EXPECTED,
            found: text.chars().take(80).collect(),
            fix,
        };
        if text.starts_with("https://") {
            return Err(wrong(
                "TLS is not spoken here: have a collector on this machine take it, and send it on over https",
            ));
        }
        let rest = text
            .strip_prefix("http://")
            .ok_or_else(|| wrong("OTLP is spoken over HTTP, with JSON"))?;
        let address = rest.strip_suffix('/').unwrap_or(rest);
        if address.contains('/') {
            return Err(wrong("/v1/traces and /v1/logs are added to it, and nothing else"));
        }
        let address: SocketAddr = address
            .parse()
            .map_err(|_| wrong("names are not looked up, and a port has to be said"))?;
        if !address.ip().is_loopback() {
            return Err(wrong(
                "it would be sent in the clear: have a collector on this machine take it, and send it on",
            ));
        }
        Ok(OtlpAddress(address))
    }
}

impl TryFrom<String> for OtlpAddress {
    type Error = InvalidOtlpAddress;

    fn try_from(text: String) -> Result<Self, InvalidOtlpAddress> {
        text.parse()
    }
}

impl fmt::Display for OtlpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

/// A share of all traces, from 0 (none) to 1 (all). By default one in a hundred.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct SampleShare(f64);

/// Not a share.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("telemetry.sample: expected a share from 0 (no request) to 1 (every request), found {found}")]
pub struct InvalidSampleShare {
    found: f64,
}

/// What there is of chance in the number of a trace, in bits.
const CHANCE_BITS: i32 = 56;

impl SampleShare {
    /// Whether it is nothing at all.
    pub(super) fn is_none(self) -> bool {
        self.0 <= 0.0
    }

    /// Whether this trace is in it.
    #[allow(
        clippy::cast_precision_loss,
        reason = "a share of 2^56 traces, to sixteen digits"
    )]
    pub(super) fn takes(self, trace: TraceId) -> bool {
        (trace.chance() as f64) < self.0 * 2_f64.powi(CHANCE_BITS)
    }
}

impl Default for SampleShare {
    fn default() -> Self {
        SampleShare(0.01)
    }
}

impl TryFrom<f64> for SampleShare {
    type Error = InvalidSampleShare;

    fn try_from(share: f64) -> Result<Self, InvalidSampleShare> {
        match (0.0..=1.0).contains(&share) {
            true => Ok(SampleShare(share)),
            false => Err(InvalidSampleShare { found: share }),
        }
    }
}

#[cfg(test)]
mod tests;

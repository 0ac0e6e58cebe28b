//! TLS of a listener.
//!
//! Owns its files: read once, when the listener takes its address. **Invariant:**
//! the key is read from a file that only its owner can read, and never printed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use odeon_authority::{ListenerName, read_operators_text};
use odeon_protocol::{Code, Fault};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;

use crate::secrets;

/// The longest chain of certificates, in bytes.
const MAX_CHAIN: u64 = 256 * 1024;

/// The files of a listener's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate and those that vouch for it, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Reads both.
    ///
    /// # Errors
    ///
    /// `ODN-3016` with the file and what is wrong with it.
    pub(super) fn read(&self, name: &ListenerName) -> Result<Arc<ServerConfig>, Fault> {
        let wrong = |field: &str, path: &Path, problem: &str| {
            Fault::new(
                Code::ConfigInvalid,
                format!("listener {name}: tls.{field}: {}: {problem}", path.display()),
            )
        };
        let chain = read_operators_text(&self.cert, MAX_CHAIN).map_err(|error| {
            Fault::new(Code::ConfigInvalid, format!("listener {name}: tls.cert: {error}"))
        })?;
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
        let chain = match chain {
            Ok(chain) if !chain.is_empty() => chain,
            _ => {
                return Err(wrong(
                    "cert",
                    &self.cert,
                    "expected certificates in PEM, found none",
                ));
            }
        };
        let text = secrets::read(&self.key).map_err(|problem| wrong("key", &self.key, problem))?;
        let key = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|_| wrong("key", &self.key, "expected a private key in PEM, found none"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_no_client_auth())
            .and_then(|builder| builder.with_single_cert(chain, key));
        let mut config = config.map_err(|error| {
            let problem = format!(
                "expected the key of the certificate in {}: {error}",
                self.cert.display()
            );
            wrong("key", &self.key, &problem)
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

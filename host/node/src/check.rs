//! Whether a component could be loaded, without loading it.
//!
//! Owns the dry run of the way in: it compiles and links, runs no code of the
//! component, decides nothing and writes nothing down.

use std::collections::BTreeMap;
use std::sync::Arc;

use odeon_authority::{GrantSet, Offer};
use odeon_protocol::{Digest, Fault, Generation, MethodRow, PluginName};
use odeon_runtime::{AuditSink, Denial, InstanceModel, LogLine, LogSink, PluginSpec};

use crate::host::Host;
use crate::registry::{Loaded, Origin};
use crate::secrets::SecretFiles;
use crate::status::method_row;

/// What a component is, as far as its bytes say.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReport {
    /// Its digest.
    pub digest: Digest,
    /// The name in its signature or manifest.
    pub name: Option<PluginName>,
    /// The version there.
    pub version: Option<semver::Version>,
    /// The engine class it would run in.
    pub class: String,
    /// The memory one instance starts with, in bytes.
    pub memory_bytes: u64,
    /// Its methods.
    pub methods: Vec<MethodRow>,
    /// The interfaces it imports.
    pub imports: Vec<String>,
    /// The grants its manifest asks for.
    pub asks: Vec<String>,
    /// Its world as WIT, where it can be written so.
    pub wit: Option<String>,
}

/// What never runs says nothing and is denied nothing.
struct Nowhere;

impl LogSink for Nowhere {
    fn line(&self, _: LogLine<'_>) {}
}

impl AuditSink for Nowhere {
    fn denied(&self, _: Denial<'_>) {}

    fn revealed(&self, _: &PluginName, _: Generation, _: &str) -> bool {
        false
    }
}

impl Host {
    /// Compiles and links a component under this host's limits and says what
    /// it is. No code of it runs. `detached` is the signature that is not in
    /// the file.
    ///
    /// # Errors
    ///
    /// When it could not be loaded whatever the trust policy says, and why.
    pub async fn check(&self, component: &[u8], detached: Option<&[u8]>) -> Result<CheckReport, Fault> {
        let inner = &self.inner;
        let most = inner.host_limits.component_size;
        if component.len() as u64 > most.bytes() {
            return Err(Fault::new(
                odeon_protocol::Code::ComponentTooLarge,
                format!(
                    "expected at most {most} (host-limits.component-size), found {} bytes",
                    component.len()
                ),
            ));
        }
        let offer =
            Offer::read(component, detached).map_err(|error| Fault::new(error.code(), error.to_string()))?;
        let manifest = offer
            .manifest
            .map_err(|error| Fault::new(error.code(), error.to_string()))?;
        let signed = offer
            .signed
            .map_err(|error| Fault::new(error.code(), error.to_string()))?;
        let own = signed.claim.map(|claim| (claim.name, claim.version)).or_else(|| {
            manifest
                .as_ref()
                .map(|manifest| (manifest.name.clone(), manifest.version.clone()))
        });
        let (name, version) = own.map_or((None, None), |(name, version)| (Some(name), Some(version)));
        let shown_as = match &name {
            Some(name) => name.clone(),
            None => "component".parse().map_err(|error: odeon_protocol::InvalidId| {
                Fault::new(odeon_protocol::Code::Internal, error.to_string())
            })?,
        };
        let spec = PluginSpec {
            name: shown_as,
            generation: Generation(0),
            limits: inner.limits.clone(),
            grants: GrantSet::default(),
            config: BTreeMap::new(),
            env: BTreeMap::new(),
            instances: InstanceModel::Fresh,
            class: manifest
                .as_ref()
                .and_then(|manifest| manifest.placing.class)
                .map(crate::load::engine_class),
            logs: Arc::new(Nowhere),
            audit: Arc::new(Nowhere),
            secrets: Arc::new(SecretFiles::new(BTreeMap::new(), Arc::default())),
        };
        let plugin = inner.runtime.prepare(component, spec).await?;
        let loaded = Loaded::new(plugin, Origin::unloaded(offer.digest, component.len()));
        let description = loaded.plugin.description();
        let prefix = loaded.name.as_str().len().saturating_add(1);
        Ok(CheckReport {
            digest: offer.digest,
            name,
            version,
            class: description.class.to_string(),
            memory_bytes: description.needs.memory,
            methods: loaded
                .methods()
                .iter()
                .map(|method| {
                    let row = method_row(method);
                    // There is no plugin yet whose name could stand before it.
                    MethodRow {
                        path: row.path.get(prefix..).unwrap_or_default().to_owned(),
                        ..row
                    }
                })
                .collect(),
            imports: description
                .imports
                .iter()
                .map(|import| import.name.to_string())
                .collect(),
            asks: manifest.map(|manifest| manifest.asks.lines()).unwrap_or_default(),
            wit: description.wit.clone(),
        })
    }
}

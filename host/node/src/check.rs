//! Whether a component could be loaded, without loading it.
//!
//! Owns the dry run of the way in: it compiles and compares, decides nothing and
//! writes nothing down.
//!
//! **Invariant:** nobody decided about these bytes, so that no code of theirs
//! becomes executable in this process and none is kept in the cache.

use std::collections::BTreeMap;
use std::sync::Arc;

use odeon_authority::{GrantSet, Manifest, Offer};
use odeon_protocol::{Digest, Fault, Fingerprint, Generation, MethodRow, PluginName, shortest_member};
use odeon_runtime::{
    AuditSink, Beside, Denial, Description, Export, InstanceModel, LogLine, LogSink, PluginSpec,
};

use crate::host::Host;
use crate::secrets::SecretFiles;

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
    /// The interfaces that others were to serve and that it does not import.
    pub unused_links: Vec<String>,
}

/// A component that is to serve an interface for the one that is checked.
#[derive(Clone, Debug)]
pub struct CheckLink<'a> {
    /// The interface, with its version or without.
    pub interface: &'a str,
    /// What it is called in a report.
    pub provider: PluginName,
    /// Its bytes.
    pub component: &'a [u8],
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
    /// Compiles a component, compares what it imports and needs with this host
    /// and its limits, and says what it is. No code of it runs. `detached` is the
    /// signature that is not in the file.
    ///
    /// # Errors
    ///
    /// When it could not be loaded whatever the trust policy says, and why.
    pub async fn check(&self, component: &[u8], detached: Option<&[u8]>) -> Result<CheckReport, Fault> {
        self.check_linked(component, detached, &[]).await
    }

    /// The same where others are to serve some of what it imports. Those are
    /// compiled as well, and asked for nothing but what they export.
    ///
    /// # Errors
    ///
    /// As for [`Host::check`]; a fault that is about one of the others names it.
    pub async fn check_linked(
        &self,
        component: &[u8],
        detached: Option<&[u8]>,
        links: &[CheckLink<'_>],
    ) -> Result<CheckReport, Fault> {
        let inner = &self.inner;
        let offer = self.offered_for_check(component, detached)?;
        let mut exports = Vec::with_capacity(links.len());
        for link in links {
            let named = |fault: Fault| Fault {
                message: format!(
                    "{}, which is to serve {}: {}",
                    link.provider, link.interface, fault.message
                ),
                ..fault
            };
            self.offered_for_check(link.component, None).map_err(named)?;
            let compiled = inner.runtime.exports(link.component).await;
            let compiled = compiled.map_err(|error| named(odeon_runtime::LoadError::from(error).into()));
            exports.push(compiled?);
        }
        let beside: Vec<Beside<'_>> = links
            .iter()
            .zip(&exports)
            .map(|(link, exports)| Beside {
                interface: link.interface,
                provider: &link.provider,
                exports,
            })
            .collect();
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
            totals: Arc::default(),
            links: Vec::new(),
            neighbours: Arc::new(odeon_runtime::Alone),
        };
        let description = inner.runtime.check(component, &spec, &beside).await?;
        Ok(CheckReport {
            digest: offer.digest,
            name,
            version,
            class: description.class.to_string(),
            memory_bytes: description.needs.memory,
            methods: methods(&description),
            imports: description
                .imports
                .iter()
                .map(|import| import.name.to_string())
                .collect(),
            asks: manifest.as_ref().map(asked).unwrap_or_default(),
            wit: description.wit.clone(),
            unused_links: beside
                .iter()
                .filter(|one| !description.imports.iter().any(|import| one.serves(&import.name)))
                .map(|one| one.interface.to_owned())
                .collect(),
        })
    }

    /// The bytes as somebody would offer them, if they are not too many.
    fn offered_for_check(&self, component: &[u8], detached: Option<&[u8]>) -> Result<Offer, Fault> {
        let most = self.inner.host_limits.component_size;
        if component.len() as u64 > most.bytes() {
            return Err(Fault::new(
                odeon_protocol::Code::ComponentTooLarge,
                format!(
                    "expected at most {most} (host-limits.component-size), found {} bytes",
                    component.len()
                ),
            ));
        }
        Offer::read(component, detached).map_err(|error| Fault::new(error.code(), error.to_string()))
    }
}

/// The grants that a manifest asks for. Whether private addresses are meant it
/// leaves to the operator, so that the word says nothing here.
pub(crate) fn asked(manifest: &Manifest) -> Vec<String> {
    let lines = manifest.asks.lines().into_iter();
    lines
        .map(|line| match line.strip_suffix(",private") {
            // Of a directory it is the end of its name.
            Some(plain) if !line.starts_with("fs=") => plain.to_owned(),
            _ => line,
        })
        .collect()
}

/// The methods, by the shortest texts that name them in a call. There is no
/// plugin yet whose name could stand before those.
fn methods(description: &Description) -> Vec<MethodRow> {
    let callable: Vec<_> = description
        .exports
        .iter()
        .filter(|export| !export.is_hook())
        .collect();
    let names: Vec<(Option<&str>, &str)> = callable
        .iter()
        .map(|export| (export.interface.as_deref(), &*export.function))
        .collect();
    let row = |(index, export): (usize, &&Export)| MethodRow {
        interface: export.interface.as_deref().map(str::to_owned),
        function: export.function.to_string(),
        path: shortest_member(&names, index).unwrap_or_else(|| export.function.to_string()),
        ty: export.ty.clone(),
        fingerprint: Fingerprint::of(&export.ty),
    };
    callable.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The word is about the network; a directory may end like it.
    #[test]
    fn only_rules_of_the_network_lose_their_private() {
        let text = "[plugin]\nname = \"asks\"\nversion = \"1.0.0\"\n\
                    [grants]\nhttp = [\"a.test\"]\n[[grants.fs]]\nguest = \"/data,private\"\n";
        let asked = asked(&Manifest::parse(text.as_bytes()).unwrap());
        assert!(asked.iter().any(|line| line == "http=a.test"), "{asked:?}");
        assert!(
            asked
                .iter()
                .any(|line| line.starts_with("fs=") && line.ends_with("/data,private")),
            "{asked:?}"
        );
    }
}

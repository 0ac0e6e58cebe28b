//! What a plugin gets: the operator's word, the author's wishes, the host's
//! defaults.

use std::collections::BTreeMap;
use std::sync::Arc;

use odeon_authority::{Admission, ClassWish, GrantSet, InstanceMode, Limits, Manifest, Placing};
use odeon_protocol::{Code, Fault};
use odeon_runtime::{EngineClass, InstanceModel, PluginSpec};

use super::request::LoadRequest;
use crate::check::asked;
use crate::host::Host;
use crate::registry::Reservation;
use crate::secrets::SecretFiles;

impl Host {
    pub(super) fn settle(
        &self,
        reservation: &Reservation,
        admission: &Admission,
        manifest: Option<&Manifest>,
        request: &LoadRequest,
        warnings: &mut Vec<String>,
    ) -> Result<PluginSpec, Fault> {
        let inner = &self.inner;
        let asked = manifest.map(|manifest| &manifest.limits);
        let limits = Limits::for_plugin(&inner.limits, Some(&request.limits), asked)
            .map_err(|error| Fault::new(Code::LimitUnsupported, error.to_string()))?;
        warnings.extend(unused(manifest, admission, request));
        let config = match manifest {
            Some(manifest) => manifest
                .settle_config(&request.config)
                .map_err(|error| Fault::new(Code::DescriptorInvalid, error.to_string()))?,
            None => request.config.clone(),
        };
        let wished = manifest
            .map(|manifest| manifest.placing.clone())
            .unwrap_or_default();
        let placement = Placing::settle(&request.placing, &wished)
            .map_err(|error| Fault::new(Code::DescriptorInvalid, error.to_string()))?;
        let mut env = BTreeMap::new();
        for (name, value) in &admission.grants().env {
            match value.as_ref().or_else(|| inner.environment.get(name)) {
                Some(value) => {
                    env.insert(name.clone(), value.clone());
                }
                None => warnings.push(format!(
                    "the granted variable {name} has no value here; it is not set"
                )),
            }
        }
        Ok(PluginSpec {
            name: admission.name().clone(),
            generation: reservation.generation(),
            limits,
            grants: admission.grants().clone(),
            config,
            env,
            instances: match placement.instance {
                InstanceMode::Fresh => InstanceModel::Fresh,
                InstanceMode::Resident => InstanceModel::Resident {
                    workers: usize::try_from(placement.workers).unwrap_or(1),
                },
            },
            class: placement.class.map(engine_class),
            logs: Arc::new(inner.logs.clone()),
            audit: Arc::new(inner.recorder.clone()),
            secrets: Arc::new(SecretFiles::new(request.secrets.clone(), inner.secrets.clone())),
        })
    }
}

/// What the operator allows with this load and the plugin does not get. It
/// would look as if the word had not been heard.
fn unused(manifest: Option<&Manifest>, admission: &Admission, request: &LoadRequest) -> Vec<String> {
    let mut unused = Vec::new();
    for line in request.grants.iter().flat_map(GrantSet::complete_lines) {
        let Ok(grant) = GrantSet::parse([line.as_str()]) else {
            continue;
        };
        let shown = grant.lines().join(" ");
        let is_in = |set: &GrantSet| !GrantSet::intersect(set, &grant).is_empty();
        match manifest {
            _ if is_in(admission.grants()) => {
                let missing = grant.fs.iter().filter_map(|grant| grant.host.as_deref());
                let missing = missing.filter(|folder| !folder.is_dir());
                unused.extend(missing.map(|folder| {
                    let folder = folder.display();
                    format!("the grant {shown} opens nothing now: there is no directory {folder}")
                }));
            }
            Some(manifest) if !is_in(&manifest.asks) => unused.push(format!(
                "the grant {shown} has no effect: the component's manifest asks for {}",
                match asked(manifest) {
                    asks if asks.is_empty() => "nothing".to_owned(),
                    // The place is for the operator to name.
                    asks => asks.join(" ").replace("fs=::", "fs=HOSTDIR::"),
                }
            )),
            _ => unused.push(format!(
                "the grant {shown} has no effect: the trust policy allows less"
            )),
        }
    }
    let lowered = manifest.map(|manifest| request.limits.above(&manifest.limits));
    unused.extend(lowered.into_iter().flatten().map(|limit| {
        format!(
            "the limit {} stays at {}, not {}: the component's manifest says so, and can only be lowered",
            limit.name, limit.kept, limit.allowed
        )
    }));
    unused
}

/// The engine class that somebody asked for.
pub(crate) fn engine_class(wish: ClassWish) -> EngineClass {
    match wish {
        ClassWish::Fast => EngineClass::Fast,
        ClassWish::Async => EngineClass::Async,
        ClassWish::Heavy => EngineClass::Heavy,
    }
}

//! What a plugin gets: the operator's word, the author's wishes, the host's
//! defaults.

use std::collections::BTreeMap;
use std::sync::Arc;

use odeon_authority::{Admission, ClassWish, InstanceMode, Limits, Manifest, Placing};
use odeon_protocol::{Code, Fault};
use odeon_runtime::{EngineClass, InstanceModel, PluginSpec};

use super::request::LoadRequest;
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

/// The engine class that somebody asked for.
pub(crate) fn engine_class(wish: ClassWish) -> EngineClass {
    match wish {
        ClassWish::Fast => EngineClass::Fast,
        ClassWish::Async => EngineClass::Async,
        ClassWish::Heavy => EngineClass::Heavy,
    }
}

//! What a plugin gets: the operator's word, the author's wishes, the host's
//! defaults.

use std::collections::BTreeMap;
use std::sync::Arc;

use odeon_authority::{Admission, ClassWish, FsGrant, GrantSet, InstanceMode, Limits, Manifest, Placing};
use odeon_protocol::{Code, Fault};
use odeon_runtime::{EngineClass, InstanceModel, PluginSpec};

use super::request::LoadRequest;
use crate::check::asked;
use crate::host::Host;
use crate::links;
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
        warnings.extend(unused(manifest, admission.grants(), request.grants.as_ref()));
        warnings.extend(limits_kept(manifest, request));
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
        let env = self.variables(admission.grants());
        let unset = admission
            .grants()
            .env
            .keys()
            .filter(|name| !env.contains_key(*name));
        warnings.extend(
            unset.map(|name| format!("the granted variable {name} has no value here; it is not set")),
        );
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
            totals: reservation.totals(),
            links: links::settle(request, admission.name())?,
            neighbours: self.neighbours(),
        })
    }
}

impl Host {
    /// The values of granted variables, as far as they have one here.
    pub(crate) fn variables(&self, grants: &GrantSet) -> BTreeMap<String, String> {
        let environment = &self.inner.environment;
        let value = |(name, value): (&String, &Option<String>)| {
            let value = value.as_ref().or_else(|| environment.get(name))?;
            Some((name.clone(), value.clone()))
        };
        grants.env.iter().filter_map(value).collect()
    }
}

/// What the operator allows and the plugin, to which this much was granted, does
/// not get, whole or in part. It would look as if the word had not been heard.
pub(crate) fn unused(
    manifest: Option<&Manifest>,
    granted: &GrantSet,
    allowed: Option<&GrantSet>,
) -> Vec<String> {
    let mut unused = Vec::new();
    for line in allowed.into_iter().flat_map(GrantSet::complete_lines) {
        let Ok(grant) = GrantSet::parse([line.as_str()]) else {
            continue;
        };
        let kept = GrantSet::intersect(granted, &grant);
        if is_whole(&kept, &grant) {
            continue;
        }
        let shown = grant.lines().join(" ");
        let lost = if kept.is_empty() {
            format!("the grant {shown} has no effect")
        } else {
            format!("of the grant {shown} the plugin gets {}", kept.lines().join(" "))
        };
        let asks_less =
            |manifest: &&Manifest| !is_whole(&GrantSet::intersect(&manifest.asks, &grant), &grant);
        unused.push(match manifest.filter(asks_less) {
            Some(manifest) => format!(
                "{lost}: the component's manifest asks for {}",
                match asked(manifest) {
                    asks if asks.is_empty() => "nothing".to_owned(),
                    // The place is for the operator to name.
                    asks => asks.join(" ").replace("fs=::", "fs=HOSTDIR::"),
                }
            ),
            None => format!("{lost}: the trust policy allows less"),
        });
    }
    unused
}

/// The limits that the operator allows more of with this load than the author.
fn limits_kept(manifest: Option<&Manifest>, request: &LoadRequest) -> Vec<String> {
    let lowered = manifest.map(|manifest| request.limits.above(&manifest.limits));
    let kept = lowered.into_iter().flatten().map(|limit| {
        format!(
            "the limit {} stays at {}, not {}: the component's manifest says so, and can only be lowered",
            limit.name, limit.kept, limit.allowed
        )
    });
    kept.collect()
}

/// Whether all of one grant is in what is left of it.
fn is_whole(kept: &GrantSet, grant: &GrantSet) -> bool {
    // Where the grant leaves a directory's place or a variable's value open,
    // somebody else may say it: that takes nothing away.
    let has_folders = grant.fs.iter().all(|one| {
        let same = |left: &FsGrant| left.guest == one.guest && left.access == one.access;
        kept.fs.iter().any(same)
    });
    let has_endpoints = [
        (&grant.tcp, &kept.tcp),
        (&grant.udp, &kept.udp),
        (&grant.http, &kept.http),
        (&grant.listen, &kept.listen),
    ]
    .iter()
    .all(|(all, left)| all.iter().all(|one| left.contains(one)));
    let has_variables = grant.env.keys().all(|name| kept.env.contains_key(name));
    has_folders
        && has_endpoints
        && has_variables
        && grant.secrets.is_subset(&kept.secrets)
        && grant.calls.is_subset(&kept.calls)
}

/// The directories that the operator allows with this load and the plugin gets.
pub(super) fn folders(admission: &Admission, request: &LoadRequest) -> Vec<FsGrant> {
    let granted = request.grants.iter().flat_map(|_| &admission.grants().fs);
    granted.cloned().collect()
}

/// What to say about directories that are not there. Blocks on the disk.
pub(crate) fn absent(folders: &[FsGrant]) -> Vec<String> {
    let shown = |grant: &FsGrant| {
        let folder = grant.host.as_deref().filter(|folder| !folder.is_dir())?;
        let folder = folder.display();
        Some(format!(
            "the grant fs={grant} opens nothing now: there is no directory {folder}"
        ))
    };
    folders.iter().filter_map(shown).collect()
}

/// The engine class that somebody asked for.
pub(crate) fn engine_class(wish: ClassWish) -> EngineClass {
    match wish {
        ClassWish::Fast => EngineClass::Fast,
        ClassWish::Async => EngineClass::Async,
        ClassWish::Heavy => EngineClass::Heavy,
    }
}

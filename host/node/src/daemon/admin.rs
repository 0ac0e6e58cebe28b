//! What operators ask of a daemon.
//!
//! Owns the translation of each request into a call of the host, and of what
//! came of it into the answer's JSON. Logs are not here: they answer more than
//! once.

use std::sync::Arc;

use odeon_authority::{Grant, GrantSet, InvalidRoute, LimitsPatch, Principal};
use odeon_protocol::{
    AdminReply, AdminRequest, CancelReply, Code, DumpAsk, DumpReply, Fault, GrantReply, Load, LoadReply,
    LogLevelReply, MetricsReply, PluginName, ProfileReply, Replace, ReplaceReply, UnloadReply,
};
use odeon_rmi::{CancelOutcome, CancelReason};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::desk::refusal;
use crate::load::{LoadRequest, blocking};
use crate::observe::{DumpRequest, KeepIn};
use crate::replace::ReplaceRequest;
use crate::unload::UnloadMode;

/// The body of the answer to one request. What is of no use to anybody else ends
/// when whoever asked is `gone`.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    request: AdminRequest,
    principal: Principal,
    gone: CancellationToken,
) -> Vec<u8> {
    let host = &shared.host;
    match request {
        AdminRequest::Load(load) => body(self::load(shared, load, principal).await),
        AdminRequest::Replace(replace) => body(self::replace(shared, replace, principal).await),
        AdminRequest::Grant { name, add, revoke } => {
            body(self::grant(shared, &name, &add, &revoke, &principal).await)
        }
        AdminRequest::Unload { name, now, drain_ms } => {
            let mode = match (now, drain_ms) {
                (true, _) => UnloadMode::Now,
                (false, Some(drain)) => UnloadMode::Drain(std::time::Duration::from_millis(drain)),
                (false, None) => UnloadMode::Drain(shared.config.drain),
            };
            body(
                host.unload(&name, mode, &principal)
                    .await
                    .map(|report| UnloadReply {
                        name: report.name,
                        generation: report.generation,
                        interrupted: report.interrupted as u64,
                    }),
            )
        }
        AdminRequest::List {} => body(Ok(host.list())),
        AdminRequest::Describe { name, wit } => body(host.describe(&name).map(|mut described| {
            described.wit = described.wit.filter(|_| wit);
            described
        })),
        AdminRequest::Methods { name } => body(host.methods(&name)),
        AdminRequest::Status {} => {
            let mut status = host.status();
            status.socket = shared.socket.display().to_string();
            status.walls.splice(..0, shared.config.walls.iter().cloned());
            body(Ok(status))
        }
        AdminRequest::Metrics {} => {
            let shared = shared.clone();
            body(
                blocking(move || MetricsReply {
                    text: shared.metrics(),
                })
                .await,
            )
        }
        AdminRequest::Stop { drain_ms } => {
            tracing::info!(%principal, "asked to stop");
            shared.stop(drain_ms.map(std::time::Duration::from_millis));
            body(Ok(()))
        }
        AdminRequest::Cancel { serial } => body(
            host.cancel_by(&serial, CancelReason::Operator, &principal)
                .map(|outcome| match outcome {
                    CancelOutcome::Withdrawn => CancelReply::Withdrawn,
                    CancelOutcome::Signalled => CancelReply::Signalled,
                    CancelOutcome::AlreadySignalled => CancelReply::AlreadySignalled,
                }),
        ),
        AdminRequest::Dump { name, what } => body(self::dump(shared, &name, what, &principal).await),
        AdminRequest::Profile { name, for_ms } => {
            let made = gone.run_until_cancelled(self::profile(shared, &name, for_ms, &principal));
            let nobody = || {
                Err(Fault::new(
                    Code::Cancelled,
                    "whoever asked for the profile is gone",
                ))
            };
            body(made.await.unwrap_or_else(nobody))
        }
        AdminRequest::EndProfile { name } => body(host.end_profile(&name, &principal).await),
        AdminRequest::LogLevel { directive } => body(log_level(shared, directive.as_deref())),
        AdminRequest::Logs { .. } => refusal(Fault::new(
            Code::Internal,
            "a request for logs came where none is answered",
        )),
    }
}

async fn load(shared: &Shared, load: Load, principal: Principal) -> Result<LoadReply, Fault> {
    let invalid = |error: String| Fault::new(Code::InvalidArguments, error);
    let mut request = LoadRequest::path(load.path);
    request.name = load.name;
    request.allow_unsigned = load.allow_unsigned;
    request.allow_downgrade = load.allow_downgrade;
    request.transient = load.transient;
    request.principal = Some(principal);
    request.links = load.links;
    if !load.grants.is_empty() {
        let grants = GrantSet::parse(load.grants.iter().map(String::as_str));
        request.grants = Some(grants.map_err(|error| invalid(error.to_string()))?);
    }
    let limits = load
        .limits
        .iter()
        .map(|(name, word)| (name.as_str(), word.as_str()));
    request.limits = LimitsPatch::from_words(limits).map_err(|error| invalid(error.to_string()))?;
    request.http = match &load.http {
        Some(route) => Some(
            route
                .parse()
                .map_err(|error: InvalidRoute| invalid(error.to_string()))?,
        ),
        None => None,
    };
    let report = shared.host.load(request).await?;
    Ok(LoadReply {
        plugin: shared.host.row(&report.name)?,
        from_cache: report.from_cache,
        elapsed_us: u64::try_from(report.elapsed.as_micros()).unwrap_or(u64::MAX),
        warnings: report.warnings,
    })
}

async fn replace(shared: &Shared, replace: Replace, principal: Principal) -> Result<ReplaceReply, Fault> {
    let millis = std::time::Duration::from_millis;
    let source = replace.path.map(|path| LoadRequest::path(path).source);
    let report = shared
        .host
        .replace(ReplaceRequest {
            source,
            allow_unsigned: replace.allow_unsigned,
            allow_downgrade: replace.allow_downgrade,
            drain: replace.drain_ms.map_or(shared.config.drain, millis),
            health_window: replace.health_ms.map_or(ReplaceRequest::HEALTH_WINDOW, millis),
            break_links: replace.break_links,
            principal: Some(principal),
            ..ReplaceRequest::reload(replace.name)
        })
        .await?;
    let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Ok(ReplaceReply {
        plugin: shared.host.row(&report.loaded.name)?,
        from: report.from,
        from_cache: report.loaded.from_cache,
        elapsed_us: micros(report.loaded.elapsed),
        switch_us: micros(report.switched_in),
        state_handed_over: report.state_handed_over,
        warnings: report.loaded.warnings,
    })
}

async fn grant(
    shared: &Shared,
    name: &PluginName,
    add: &[String],
    revoke: &[String],
    principal: &Principal,
) -> Result<GrantReply, Fault> {
    let parsed = |texts: &[String]| -> Result<Vec<Grant>, Fault> {
        let grants = texts.iter().map(|text| text.parse::<Grant>());
        let grants = grants.collect::<Result<_, _>>();
        grants.map_err(|error| Fault::new(Code::InvalidArguments, error.to_string()))
    };
    let (add, revoke) = (parsed(add)?, parsed(revoke)?);
    let report = shared.host.grant(name, add, revoke, principal).await?;
    Ok(GrantReply {
        plugin: shared.host.row(&report.name)?,
        grants: report.grants.lines(),
        added: report.added,
        removed: report.removed,
        warnings: report.warnings,
    })
}

async fn dump(
    shared: &Shared,
    name: &PluginName,
    what: DumpAsk,
    principal: &Principal,
) -> Result<DumpReply, Fault> {
    let host = &shared.host;
    match what {
        DumpAsk::Order { traps, for_ms } => {
            let request = DumpRequest {
                traps,
                time: std::time::Duration::from_millis(for_ms),
                to: KeepIn::StateDir,
            };
            host.order_dumps(name, request, principal).await
        }
        DumpAsk::Off => host.end_dumps(name, principal).await,
        DumpAsk::Show => host.dumps(name),
    }
}

async fn profile(
    shared: &Shared,
    name: &PluginName,
    for_ms: u64,
    principal: &Principal,
) -> Result<ProfileReply, Fault> {
    let time = std::time::Duration::from_millis(for_ms);
    let report = shared.host.profile(name, time, principal).await?;
    Ok(ProfileReply {
        name: report.name,
        generation: report.generation,
        file: report.file.display().to_string(),
        samples: report.samples,
        left_out: report.left_out,
        warnings: report.warnings,
    })
}

fn log_level(shared: &Shared, directive: Option<&str>) -> Result<LogLevelReply, Fault> {
    let control = shared.config.log_level.as_ref().ok_or_else(|| {
        Fault::new(
            Code::WrongState,
            "the log's level cannot be changed in this process",
        )
    })?;
    control(directive)
        .map(|directive| LogLevelReply { directive })
        .map_err(|error| Fault::new(Code::InvalidArguments, error))
}

fn body<T: Serialize>(result: Result<T, Fault>) -> Vec<u8> {
    AdminReply::from(result).to_json().unwrap_or_else(refusal)
}

//! The way from one generation to the next, without a gap.
//!
//! Owns the order: the new generation is let in, compiled and made ready beside
//! the old one, which serves all the while; then it takes the old one's place,
//! for every caller at once; what runs on the old one goes on until the drain
//! time is over. Whatever fails before the switch leaves the old one where it
//! is.
//!
//! **Invariant:** no call is lost. Every call is admitted by one generation,
//! and none by the old one after the first by the new one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use odeon_authority::{Event, Principal};
use odeon_protocol::{Code, Fault, Generation, PluginName};
use odeon_runtime::Reason;

use crate::handover::Held;
use crate::health::Health;
use crate::host::{Host, no_more_plugins};
use crate::load::{About, LoadReport, LoadRequest, Source, Way, blocking};
use crate::registry::{Claim, Loaded, Registry, ServedAt, Taken};
use crate::unload::LET_GO;

/// How many generations of one name may have calls left at a time. A further
/// replace waits for one of them.
pub(crate) const MOST_LEAVING: usize = 4;

/// For how long a replace waits for one of them.
const ROOM: Duration = Duration::from_secs(30);

/// How long a rollback that could not be written down waits before it is tried
/// again.
const AGAIN: Duration = Duration::from_secs(1);

/// What is to take the place of a loaded plugin, and on which terms. Whatever
/// is not named here stays as the plugin was loaded: grants, limits,
/// configuration, secrets, placing.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplaceRequest {
    /// The plugin that is replaced.
    pub name: PluginName,
    /// The new component or descriptor; none: what it was loaded from, read
    /// again.
    pub source: Option<Source>,
    /// Lets it in although nothing vouches for it. Such a load is transient.
    pub allow_unsigned: bool,
    /// Lets in a lower version than was accepted before.
    pub allow_downgrade: bool,
    /// How long calls of the old generation may go on.
    pub drain: Duration,
    /// How long the new generation is watched: if it traps too often within
    /// that time, the old one comes back. Zero: it is not watched.
    pub health_window: Duration,
    /// Replaces it although plugins that are linked to it would not link to what
    /// comes in its place.
    pub break_links: bool,
    /// Who asks; absent: the host's own principal.
    pub principal: Option<Principal>,
}

impl ReplaceRequest {
    /// How long a new generation is watched unless somebody says so.
    pub const HEALTH_WINDOW: Duration = Duration::from_secs(10);

    /// A new component or descriptor for this plugin.
    pub fn new(name: PluginName, source: Source) -> Self {
        ReplaceRequest {
            source: Some(source),
            ..Self::reload(name)
        }
    }

    /// What it was loaded from, read again.
    pub fn reload(name: PluginName) -> Self {
        ReplaceRequest {
            name,
            source: None,
            allow_unsigned: false,
            allow_downgrade: false,
            drain: Duration::from_secs(30),
            health_window: Self::HEALTH_WINDOW,
            break_links: false,
            principal: None,
        }
    }

    /// The load that this comes to.
    fn load(&self, before: &Loaded) -> Result<LoadRequest, Fault> {
        let mut load = match (&self.source, &before.origin.asked.source) {
            // A descriptor says all there is to say.
            (Some(source @ Source::Descriptor(path)), _) => LoadRequest {
                source: source.clone(),
                name: Some(self.name.clone()),
                transient: before.origin.asked.transient,
                remember: before.origin.asked.remember,
                ..LoadRequest::descriptor(path)
            },
            // The operator names file and plugin in one breath.
            (Some(source), _) => LoadRequest {
                source: source.clone(),
                name: Some(self.name.clone()),
                signed_as: None,
                ..before.complete()
            },
            // As it was asked: it has to be for that name by itself if it was.
            (None, Source::Component(_) | Source::Descriptor(_)) => before.asked(),
            (None, Source::Bytes(_)) => {
                return Err(Fault::new(
                    Code::InvalidArguments,
                    format!(
                        "{} was loaded from memory, and there is no file to read again; replace it by one",
                        self.name
                    ),
                ));
            }
        };
        // Neither is ever inherited: each is said for one file.
        load.allow_unsigned = self.allow_unsigned;
        load.allow_downgrade = self.allow_downgrade;
        // Other bytes, and maybe another author's, are what a replace is for;
        // the policy says who may have the name.
        load.bound_to = None;
        load.principal = self.principal.clone();
        Ok(load)
    }
}

/// What became of a replace.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplaceReport {
    /// The generation that was replaced.
    pub from: Generation,
    /// The one that serves now.
    pub loaded: LoadReport,
    /// From the moment at which the old generation took no more calls until the
    /// new one did. Callers waited for so long.
    pub switched_in: Duration,
    /// Whether the new generation goes on from the state of the old one.
    pub state_handed_over: bool,
}

impl Host {
    /// Puts another generation in the place of a loaded plugin. Calls that run
    /// go on; calls that wait, and all that come, are the new one's.
    ///
    /// Where both generations export `odeon:plugin/state` and answer all calls
    /// with one instance, the state goes over to the new one: after the last
    /// call of the old one, for whose end callers wait.
    ///
    /// Dropping the future before the switch leaves the old generation where
    /// it is.
    ///
    /// # Errors
    ///
    /// As for [`Host::load`]; and `ODN-1001` when no such plugin is loaded, or
    /// `ODN-1011` when something else is being done with it, or the calls of its
    /// last generations do not end; or `ODN-3018` when the state could not be
    /// handed over, or `ODN-3020` when plugins that are linked to it would not
    /// link any more. The old generation serves on.
    pub async fn replace(&self, request: ReplaceRequest) -> Result<ReplaceReport, Fault> {
        self.inner.gatekeeper.count_load(Instant::now())?;
        let terms = Terms {
            drain: request.drain,
            window: request.health_window,
            break_links: request.break_links,
        };
        self.replace_by(&request.name, terms, |before| request.load(before))
            .await
    }

    /// The same, and what comes in its place is said when the name is held.
    pub(crate) async fn replace_by(
        &self,
        name: &PluginName,
        terms: Terms,
        load: impl FnOnce(&Loaded) -> Result<LoadRequest, Fault>,
    ) -> Result<ReplaceReport, Fault> {
        let inner = &self.inner;
        if inner.stopping.load(Ordering::SeqCst) {
            return Err(no_more_plugins());
        }
        let room = inner.registry.fewer_replaced(name, MOST_LEAVING);
        tokio::time::timeout(ROOM, room)
            .await
            .map_err(|_| still_leaving(name))?;
        let (reservation, before) = inner.registry.claim_to_replace(name)?;
        // Cancelled too when nobody waits for the answer any more.
        let given_up = reservation.is_unwanted().child_token();
        let _given_up = given_up.clone().drop_guard();
        let load = load(&before)?;
        let way = Way::Replace {
            reservation,
            before: before.clone(),
        };
        let making = async { self.make_ready(self.let_in(load, way).await?).await };
        let making = given_up.run_until_cancelled(making).await;
        let ready = making.unwrap_or_else(|| Err(unwanted(name)))?;
        if !terms.break_links {
            // Before anything is asked of the old one.
            self.fits_dependants(ready.plugin())?;
        }
        // A task of the host's: a `save` that has begun comes to its end, and the
        // name is kept until then.
        let (held, ready) = inner
            .tasks
            .spawn(
                self.clone()
                    .hand_over(before.clone(), ready, terms.drain, given_up),
            )
            .await
            .map_err(|_| Fault::new(Code::Internal, "the replace broke off in the host; see its log"))??;
        let state_handed_over = held.is_some();
        let (host, from) = (self.clone(), before.generation);
        let (loaded, switched_in) = blocking(move || {
            let about = About::of(&ready);
            let (report, after, switched_in) = match host.switch(ready, &before, terms.break_links) {
                Ok(switched) => switched,
                Err(failed) => {
                    // Before the disk is waited for: callers wait as well.
                    drop(held);
                    return Err(host.note_failed_now(about, failed));
                }
            };
            let switched_in = held.map_or(switched_in, Held::replaced);
            // Here, so that it happens whoever still waits for the answer.
            let tasks = &host.inner.tasks;
            tasks.spawn(host.clone().see_off(Leaving::new(&host, before), after, terms));
            Ok::<_, Fault>((report, switched_in))
        })
        .await??;
        Ok(ReplaceReport {
            from,
            loaded,
            switched_in,
            state_handed_over,
        })
    }

    /// Waits until the old generation is not needed any more: its calls have
    /// ended, and the new one has proved itself. Brings it back if that does
    /// not.
    async fn see_off(self, leaving: Leaving, after: Arc<Loaded>, terms: Terms) {
        let before = &leaving.loaded;
        let health = Health::new(before, &after, terms.window);
        let watch = self.inner.tasks.unless_stopping(health.watch());
        let drain = self.drain_replaced(before, terms.drain);
        tokio::pin!(watch, drain);
        let mut drained = false;
        let well = loop {
            tokio::select! {
                biased;
                well = &mut watch => break well,
                () = &mut drain, if !drained => drained = true,
            }
        };
        if let Ok(Err(reason)) = well {
            let bringing_back = self.bring_back(before, &after, &reason, terms);
            tokio::pin!(bringing_back);
            let back = loop {
                tokio::select! {
                    biased;
                    back = &mut bringing_back => break back,
                    () = &mut drain, if !drained => drained = true,
                }
            };
            if back {
                return;
            }
        }
        if !drained {
            drain.await;
        }
        self.end(before).await;
    }

    /// Runs the `unload` of a generation that was replaced, unless no code of it
    /// may run any more.
    async fn end(&self, replaced: &Loaded) {
        if replaced.is_condemned() {
            return;
        }
        if let Err(fault) = replaced.plugin.unload().await {
            tracing::warn!(plugin = replaced.name.as_str(), %fault, "the replaced generation's unload failed");
        }
    }

    /// Lets the calls of a generation that was replaced come to their end, for
    /// as long as they may.
    async fn drain_replaced(&self, before: &Loaded, drain: Duration) {
        let plugin = &before.plugin;
        if tokio::time::timeout(drain, plugin.drained()).await.is_ok() {
            return;
        }
        plugin.interrupt(Reason::Replaced);
        if tokio::time::timeout(LET_GO, plugin.drained()).await.is_err() {
            tracing::warn!(plugin = before.name.as_str(), "calls did not let go in time");
        }
    }

    /// Puts the old generation back in the place of one that went bad, and tries
    /// that again while the disk is what keeps it from doing so. Says whether it
    /// serves.
    async fn bring_back(&self, before: &Arc<Loaded>, bad: &Arc<Loaded>, reason: &str, terms: Terms) -> bool {
        let mut told = None;
        loop {
            let fault = match self.roll_back(before, bad, reason, terms).await {
                Ok(serves) => return serves,
                Err(fault) => fault,
            };
            // Once per reason, not once per second.
            if told.as_ref() != Some(&fault.message) {
                tracing::error!(
                    plugin = before.name.as_str(), %fault, reason,
                    "a bad generation could not be rolled back"
                );
            }
            let is_passing = matches!(
                fault.code,
                Code::AuditUnwritable | Code::StateUnwritable | Code::PolicyUnreadable
            );
            let pause = self.inner.tasks.unless_stopping(tokio::time::sleep(AGAIN));
            if !is_passing || pause.await.is_err() {
                return false;
            }
            told = Some(fault.message);
        }
    }

    /// Puts the old generation back in the place of one that went bad, under a
    /// number of its own. Says whether it serves; not if something else does by
    /// now. The calls of the bad one may end as those of any that is replaced.
    async fn roll_back(
        &self,
        before: &Arc<Loaded>,
        bad: &Arc<Loaded>,
        reason: &str,
        terms: Terms,
    ) -> Result<bool, Fault> {
        let registry = &self.inner.registry;
        let reservation = loop {
            match registry.claim_to_replace(&before.name) {
                Ok((_, current)) if !Arc::ptr_eq(&current, bad) => return Ok(false),
                Ok((reservation, _)) => break reservation,
                // What comes in its place may be as bad as not to come.
                Err(Taken {
                    by: Some(Claim::Replace),
                    ..
                }) => registry.replace_over(&before.name).await,
                Err(_) => return Ok(false),
            }
        };
        let (host, old, worse, why) = (self.clone(), before.clone(), bad.clone(), reason.to_owned());
        blocking(move || {
            // Until it serves, so that what was revoked never comes back.
            let _turn = host.inner.gatekeeper.turn();
            if host.inner.stopping.load(Ordering::SeqCst) {
                return Err(no_more_plugins());
            }
            if old.is_condemned() {
                return Err(denied(&old.name));
            }
            host.decide_again(&old)?;
            let number = reservation.generation();
            let is_lowered = host.lower_version(&old)?;
            let noted = host.note(Event::Rollback {
                name: old.name.clone(),
                from: worse.generation,
                to: number,
                digest: old.origin.digest,
                reason: why.into(),
            });
            if let Err(fault) = noted {
                if is_lowered && let Err(fault) = host.accept_version(&worse) {
                    tracing::warn!(plugin = worse.name.as_str(), %fault, "its version is not on record any more");
                }
                return Err(fault);
            }
            let revived = Arc::new(Loaded::revived(&old, number, host.route_of_old(&old)));
            host.keep_again(&revived);
            reservation.switch(revived, &worse);
            let tasks = &host.inner.tasks;
            tasks.spawn(host.clone().see_off_bad(Leaving::new(&host, worse), terms));
            Ok::<_, Fault>(())
        })
        .await??;
        tracing::warn!(
            plugin = before.name.as_str(),
            from = bad.generation.0,
            reason,
            "rolled back to the generation before"
        );
        Ok(true)
    }

    /// Where a generation that comes back is served: its path, unless the one in
    /// between had given that up, and another plugin has it by now.
    fn route_of_old(&self, old: &Loaded) -> Option<ServedAt> {
        let at = old.route.clone()?;
        let routes = self.inner.registry.routes();
        let owner = routes.at(&at).map(|owner| owner.name.clone());
        let owner = owner.filter(|owner| *owner != old.name);
        if let Some(owner) = &owner {
            let (plugin, path) = (old.name.as_str(), &*at.path);
            tracing::warn!(
                plugin,
                path,
                owner = owner.as_str(),
                "it comes back without its path"
            );
        }
        owner.is_none().then_some(at)
    }

    async fn see_off_bad(self, bad: Leaving, terms: Terms) {
        self.drain_replaced(&bad.loaded, terms.drain).await;
        self.end(&bad.loaded).await;
    }
}

/// How long whoever is replaced may take, and whoever replaces is watched.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) drain: Duration,
    pub(crate) window: Duration,
    pub(crate) break_links: bool,
}

/// A generation that was replaced and is not gone yet. Dropping it lets it go.
struct Leaving {
    registry: Arc<Registry>,
    loaded: Arc<Loaded>,
}

impl Leaving {
    fn new(host: &Host, loaded: Arc<Loaded>) -> Self {
        Leaving {
            registry: host.inner.registry.clone(),
            loaded,
        }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.registry.let_go(&self.loaded);
    }
}

/// A policy of meanwhile said that no code of it runs again.
#[cold]
fn denied(name: &PluginName) -> Fault {
    Fault::new(
        Code::PolicyDenied,
        format!("the generation of {name} before was denied by the trust policy while it was being replaced"),
    )
}

/// Somebody unloads it.
#[cold]
pub(crate) fn unwanted(name: &PluginName) -> Fault {
    Fault::new(
        Code::Draining,
        format!("{name} is being unloaded; the replace was given up"),
    )
}

#[cold]
fn still_leaving(name: &PluginName) -> Fault {
    Fault::new(
        Code::Draining,
        format!(
            "{MOST_LEAVING} generations of {name} that were replaced still have calls or are kept for their health \
             window; try again when they are gone, or use a shorter drain"
        ),
    )
}

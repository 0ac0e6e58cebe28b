//! Calls: by name, on the caller's own thread or from a task.
//!
//! Owns finding the method and bringing arguments into the wire form, checked
//! against the method's type before the runtime sees them. A call here has no
//! life of its own beyond its future; see `request` for one that has.

mod args;
mod handle;
mod reply;

use std::sync::Arc;
use std::time::{Duration, Instant};

use odeon_authority::Principal;
use odeon_protocol::{Code, Fault, Fingerprint, Generation, MethodPath, PluginName, Serial, TraceParent};
use odeon_runtime::{Attempt, Behalf, CallContext, Interrupt, NotEntered, ProgressSink, Reply};

pub use self::args::Args;
pub use self::handle::{MethodHandle, TypedHandle};
pub use self::reply::CallReply;
pub(crate) use self::reply::{guest_error, is_err};
use crate::entry::Found;
use crate::host::{Host, Inner};
use crate::registry::{Loaded, MethodEntry, Names, not_loaded};
use crate::telemetry::Entry;

/// What goes along with a call besides its arguments.
#[derive(Clone, Default)]
pub struct CallOptions {
    /// How long the caller waits for the end; the call is stopped then. The
    /// plugin's own deadline holds besides.
    pub wait: Option<Duration>,
    /// Within which time the call must be started; else it ends without the
    /// guest having run.
    pub ttl: Option<Duration>,
    /// JSON text that the method can read and every status repeats.
    pub user_data: Option<Arc<str>>,
    /// Who asks; absent: the host's own principal.
    pub principal: Option<Principal>,
    /// The loaded plugins for which the call is made, outermost first: the called
    /// one may use what all of them may, unless the trust policy has it act for
    /// them.
    pub on_behalf_of: Vec<PluginName>,
    /// Where progress goes. It must return at once: it is called on the
    /// guest's own thread.
    pub progress: Option<ProgressSink>,
    /// Ends the call from outside.
    pub interrupt: Interrupt,
    /// The trace that the call is part of. Whether it is recorded is said there;
    /// absent: the host decides by its share.
    pub traceparent: Option<TraceParent>,
}

impl Host {
    /// Calls a method by name with encoded arguments, on this thread.
    ///
    /// A method's own error is a reply like any other; its first byte is 1.
    /// Must not be used inside an asynchronous task for a plugin that can
    /// wait; [`Host::call`] is for that.
    ///
    /// # Errors
    ///
    /// The fault that ended the call, or kept it from starting.
    pub fn call_encoded(&self, path: &str, args: &[u8]) -> Result<Reply, Fault> {
        let mut moved = None;
        let mut known = None;
        let mut entry = None;
        loop {
            match self.inner.call_named(path, args, moved, &mut known, &mut entry) {
                Err(NotEntered::Moved(next)) => moved = Some(next),
                Ok(reply) => return Ok(reply),
                Err(NotEntered::Fault(fault)) => return Err(no_further(entry, fault)),
            }
        }
    }

    /// Calls a method by name and waits for its result. Dropping the future
    /// ends the call.
    ///
    /// A method's own error is a reply too: see [`CallReply::is_err`].
    ///
    /// # Errors
    ///
    /// The fault that ended the call, or kept it from starting.
    pub async fn call(&self, path: &str, args: Args<'_>, options: CallOptions) -> Result<CallReply, Fault> {
        // Whoever asks again and again for what is not there lets others run too.
        tokio::task::coop::consume_budget().await;
        let (loaded, index) = self.inner.find(path)?;
        self.inner.call(loaded, index, args, options).await
    }
}

impl Inner {
    /// The method of this name, now.
    pub(crate) fn find(&self, path: &str) -> Result<(Arc<Loaded>, usize), Fault> {
        let names = self.registry.names();
        let (plugin, member) = split(path)?;
        let loaded = names.get(plugin).ok_or_else(|| absent(plugin))?;
        Ok((loaded.clone(), loaded.find(member)?))
    }

    /// Calls a method by name on this thread, at the generation that serves now.
    /// `known` is the type that the arguments were found to fit.
    #[inline]
    fn call_named(
        &self,
        path: &str,
        args: &[u8],
        moved: Option<Attempt>,
        known: &mut Option<Fingerprint>,
        entry: &mut Option<Box<Entry>>,
    ) -> Result<Reply, NotEntered> {
        let names = self.registry.names();
        let (loaded, method) = look_up(&names, path)?;
        if moved.is_some() && *known != Some(method.fingerprint) {
            return Err(handle::changed(&method.path, &method.ty).into());
        }
        *known = Some(method.fingerprint);
        method.check(args, &loaded.limits)?;
        self.call_on(loaded, method, args, moved, entry)
    }

    /// Calls a method on this thread, at this generation. `entry` is the span of
    /// the request, which goes on to the next one with it.
    #[inline]
    pub(crate) fn call_on(
        &self,
        loaded: &Loaded,
        method: &MethodEntry,
        args: &[u8],
        moved: Option<Attempt>,
        entry: &mut Option<Box<Entry>>,
    ) -> Result<Reply, NotEntered> {
        if moved.is_none() {
            *entry = self.entry_here(loaded, method);
        }
        let called = match (&*entry, moved) {
            (None, None) => loaded.plugin.call_direct(method.id, args),
            (entry, moved) => {
                let context = CallContext {
                    trace: entry.as_ref().and_then(|entry| entry.trace()),
                    ..CallContext::default()
                };
                let attempt = moved.unwrap_or_else(Attempt::first);
                loaded.plugin.call_on_thread(method.id, args, context, attempt)
            }
        };
        if let Err(NotEntered::Fault(fault)) = &called {
            self.note_end(loaded, method, fault);
        }
        if entry.is_some() {
            end_here(entry, loaded, method, &called);
        }
        called
    }

    /// The span of a call by the embedding program itself, if it is traced.
    #[inline]
    pub(crate) fn entry_here(&self, loaded: &Loaded, method: &MethodEntry) -> Option<Box<Entry>> {
        let telemetry = self.telemetry.as_ref()?;
        telemetry.request(None, None, &self.principal, loaded, Some(method))
    }

    async fn call(
        &self,
        loaded: Arc<Loaded>,
        index: usize,
        args: Args<'_>,
        options: CallOptions,
    ) -> Result<CallReply, Fault> {
        let method = loaded.method(index)?;
        let args = prepared(&loaded, method, args, options.user_data.as_deref())?;
        let (callers, behalf) = self.chain(options.principal, &options.on_behalf_of)?;
        let started = Instant::now();
        let serial = Serial::new();
        let context = CallContext {
            serial: Some(serial),
            callers,
            behalf,
            user_data: options.user_data,
            wait_until: options.wait.and_then(|wait| started.checked_add(wait)),
            // A time that is longer than time itself is none.
            start_by: options.ttl.and_then(|ttl| started.checked_add(ttl)),
            interrupt: options.interrupt,
            progress: options.progress,
            ..CallContext::default()
        };
        let said = options.traceparent;
        let (found, called) = self.execute(Found::new(loaded, index), args, context, said).await;
        let method = found.method()?;
        let (reply, generation) = called?;
        Ok(CallReply {
            bytes: reply.bytes,
            ty: method.ty.clone(),
            generation,
            elapsed: started.elapsed(),
            serial,
            limits: found.loaded.limits,
        })
    }

    /// Comes in and calls. `said` is what the caller says of the trace that the
    /// call is part of. Gives the method that was called in the end, and the
    /// number of the generation that answered.
    pub(crate) async fn execute(
        &self,
        mut found: Found,
        args: Vec<u8>,
        mut context: CallContext,
        said: Option<TraceParent>,
    ) -> (Found, Result<(Reply, Generation), Fault>) {
        let entry = self.telemetry.as_ref().and_then(|telemetry| {
            let caller = context.callers.first().unwrap_or(&self.principal);
            let (loaded, method) = (&found.loaded, found.method().ok());
            telemetry.request(said, context.serial, caller, loaded, method)
        });
        context.trace = entry.as_ref().and_then(|entry| entry.trace());
        let called = async {
            let entered = self.enter(&mut found, &args, &context).await?;
            let generation = entered.generation();
            let reply = entered.call(found.method()?.id, args, context).await?;
            Ok((reply, generation))
        }
        .await;
        if let Err(fault) = &called
            && let Ok(method) = found.method()
        {
            self.note_end(&found.loaded, method, fault);
        }
        if let Some(entry) = entry {
            end(*entry, &found, &called);
        }
        (found, called)
    }

    /// The chain of callers that the guest sees, and the plugins in it.
    fn chain(
        &self,
        principal: Option<Principal>,
        on_behalf_of: &[PluginName],
    ) -> Result<(Arc<[Principal]>, Behalf), Fault> {
        let callers = self.callers(principal);
        if on_behalf_of.is_empty() {
            return Ok((callers, Behalf::nobody()));
        }
        let mut behalf = Behalf::nobody();
        for name in on_behalf_of {
            behalf = behalf.then(&self.registry.get(name)?.plugin);
        }
        let plugins = on_behalf_of.iter().cloned().map(Principal::Plugin);
        Ok((callers.iter().cloned().chain(plugins).collect(), behalf))
    }

    /// The chain of callers that the guest sees.
    pub(crate) fn callers(&self, principal: Option<Principal>) -> Arc<[Principal]> {
        principal.map_or_else(|| self.caller.chain().clone(), |principal| Arc::from([principal]))
    }

    /// Writes down that a limit stopped a plugin.
    #[cold]
    pub(crate) fn note_end(&self, loaded: &Loaded, method: &MethodEntry, fault: &Fault) {
        // What another plugin was stopped by is on record as its own.
        if stopped_by_limit(fault) && !fault.is_passed_on() {
            self.recorder.stopped(&loaded.name, fault.code, &method.path);
        }
    }
}

/// Ends the span of a request. A method's own error is one of the request.
#[cold]
fn end(entry: Entry, found: &Found, called: &Result<(Reply, Generation), Fault>) {
    let method = found.method().ok();
    let (generation, code) = match called {
        Ok((reply, generation)) => {
            let own = method.is_some_and(|method| is_err(&method.ty, &reply.bytes));
            (*generation, own.then_some(Code::GuestError))
        }
        Err(fault) => (found.loaded.generation, Some(fault.code)),
    };
    entry.end(&found.loaded, generation, code);
}

/// The same on the caller's own thread, unless the call goes on to another
/// generation: it is one request wherever it waits.
#[cold]
fn end_here(
    entry: &mut Option<Box<Entry>>,
    loaded: &Loaded,
    method: &MethodEntry,
    called: &Result<Reply, NotEntered>,
) {
    let code = match called {
        Ok(reply) => is_err(&method.ty, &reply.bytes).then_some(Code::GuestError),
        Err(NotEntered::Fault(fault)) => Some(fault.code),
        Err(NotEntered::Moved(_)) => return,
    };
    if let Some(entry) = entry.take() {
        entry.end(loaded, loaded.plugin.generation(), code);
    }
}

/// A call that has come to no other generation ends with this, and so does its
/// span if it still has one.
#[cold]
fn no_further(entry: Option<Box<Entry>>, fault: Fault) -> Fault {
    if let Some(entry) = entry {
        entry.refused(fault.code);
    }
    fault
}

/// Whether a limit stopped the plugin.
pub(crate) fn stopped_by_limit(fault: &Fault) -> bool {
    matches!(
        fault.code,
        Code::MemoryLimit
            | Code::StackLimit
            | Code::DeadlineLimit
            | Code::CpuLimit
            | Code::HostCallBytesLimit
            | Code::TableLimit
            | Code::HandleLimit
            | Code::InstanceLimit
            | Code::ResultTooLarge
    )
}

/// What a caller gave along, in the wire form and within the plugin's limits. A
/// limit that says no is counted.
pub(crate) fn prepared(
    loaded: &Loaded,
    method: &MethodEntry,
    args: Args<'_>,
    user_data: Option<&str>,
) -> Result<Vec<u8>, Fault> {
    args.encode(&method.ty, &loaded.limits)
        .and_then(|args| method.check(&args, &loaded.limits).map(|()| args))
        .and_then(|args| fits_user_data(loaded, user_data).map(|()| args))
        .inspect_err(|fault| loaded.plugin.refused(fault))
}

/// User data within the plugin's limit, and JSON.
pub(crate) fn fits_user_data(loaded: &Loaded, data: Option<&str>) -> Result<(), Fault> {
    let Some(data) = data else { return Ok(()) };
    let most = loaded.plugin.spec().limits.user_data;
    if data.len() as u64 > most.bytes() {
        return Err(Fault::new(
            Code::MessageTooLarge,
            format!(
                "user data expected at most {most} (limits.user-data), found {} bytes",
                data.len()
            ),
        )
        .with_details(serde_json::json!({ "limit": "user-data" })));
    }
    serde_json::from_str::<serde::de::IgnoredAny>(data)
        .map(|_| ())
        .map_err(|error| {
            Fault::new(
                Code::InvalidArguments,
                format!("user data expected JSON text: {error}"),
            )
        })
}

#[inline]
fn look_up<'n>(names: &'n Names, path: &str) -> Result<(&'n Loaded, &'n MethodEntry), Fault> {
    let (plugin, member) = split(path)?;
    let loaded = names.get(plugin).ok_or_else(|| absent(plugin))?;
    let index = loaded.find(member)?;
    Ok((loaded, loaded.method(index)?))
}

#[inline]
fn split(path: &str) -> Result<(&str, &str), Fault> {
    path.split_once('/').ok_or_else(|| malformed(path))
}

#[cold]
fn malformed(path: &str) -> Fault {
    match path.parse::<MethodPath>() {
        Err(error) => error.into(),
        Ok(_) => Fault::new(
            Code::MethodNotFound,
            "expected <plugin>/<function> or <plugin>/<interface>.<function>",
        ),
    }
}

/// No plugin of this name, or no name at all.
#[cold]
fn absent(plugin: &str) -> Fault {
    match plugin.parse::<odeon_protocol::PluginName>() {
        Ok(_) => not_loaded(plugin),
        Err(error) => Fault::new(Code::PluginNotFound, error.to_string()),
    }
}

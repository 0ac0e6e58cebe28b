//! A runtime without a host around it, plugins in it, and calls as people
//! type them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use odeon_authority::{ByteSize, GrantSet, Limits, TimeSpan};
use odeon_protocol::{Code, Fault, FunctionType, Generation, ValueLimits, wave, wire};
use odeon_runtime::{
    Alone, AuditSink, CallContext, Compiler, EngineClass, InstanceModel, LinkSpec, LoadError, MethodId,
    Neighbours, Plugin, PluginSpec, PoolSize, Runtime, RuntimeConfig, SecretSource,
};

use crate::clock::process_cpu;
use crate::guests;
use crate::records::Records;
use crate::stall::{Stalls, Took};

/// A runtime of two workers that compiles in this process and caches nothing.
pub fn runtime() -> Runtime {
    Runtime::new(config()).expect("a runtime starts")
}

/// How [`runtime`] is set up.
pub fn config() -> RuntimeConfig {
    let pool = PoolSize {
        instances: 64,
        ..PoolSize::default()
    };
    RuntimeConfig {
        workers: 2,
        pool,
        ..RuntimeConfig::new(Compiler::InProcess)
    }
}

/// What is decided about a plugin, from defaults.
#[derive(Clone)]
pub struct Spec {
    spec: PluginSpec,
    records: Arc<Records>,
}

/// A plugin without grants that answers every call from a fresh instance.
pub fn spec() -> Spec {
    let records = Arc::new(Records::default());
    let spec = PluginSpec {
        name: "tested".parse().expect("a plugin's name"),
        generation: Generation(1),
        limits: Limits::default(),
        grants: GrantSet::default(),
        config: Default::default(),
        env: Default::default(),
        instances: InstanceModel::Fresh,
        class: None,
        logs: records.clone(),
        audit: records.clone(),
        secrets: records.clone(),
        totals: Arc::default(),
        links: Vec::new(),
        neighbours: Arc::new(Alone),
    };
    Spec { spec, records }
}

impl Spec {
    /// Under this name.
    pub fn name(mut self, name: &str) -> Self {
        self.spec.name = name.parse().expect("a plugin's name");
        self
    }

    /// Every call is served by the same instance.
    pub fn resident(self) -> Self {
        self.resident_workers(1)
    }

    /// Calls are served by this many instances that are kept.
    pub fn resident_workers(mut self, workers: usize) -> Self {
        self.spec.instances = InstanceModel::Resident { workers };
        self
    }

    /// On an engine of this class.
    pub fn class(mut self, class: EngineClass) -> Self {
        self.spec.class = Some(class);
        self
    }

    /// With other limits.
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.spec.limits);
        self
    }

    /// With this deadline per call.
    pub fn deadline(self, time: Duration) -> Self {
        self.limits(|limits| limits.deadline = span(time))
    }

    /// With this processor time per call.
    pub fn cpu(self, time: Duration) -> Self {
        self.limits(|limits| limits.cpu = span(time))
    }

    /// With this much linear memory.
    pub fn memory(self, mib: u64) -> Self {
        self.limits(|limits| limits.memory = ByteSize::mib(mib))
    }

    /// With this grant, as on a command line.
    pub fn grant(mut self, grant: &str) -> Self {
        self.spec
            .grants
            .add(grant.parse().expect("a grant"))
            .expect("a grant that can be added");
        self
    }

    /// With this key in its configuration.
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.spec.config.insert(key.into(), value.into());
        self
    }

    /// With this variable in its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.spec.env.insert(name.into(), value.into());
        self
    }

    /// With secrets from there.
    pub fn secrets(mut self, secrets: Arc<dyn SecretSource>) -> Self {
        self.spec.secrets = secrets;
        self
    }

    /// With another record of denials.
    pub fn audit(mut self, audit: Arc<dyn AuditSink>) -> Self {
        self.spec.audit = audit;
        self
    }

    /// Among these other plugins.
    pub fn near(mut self, neighbours: Arc<dyn Neighbours>) -> Self {
        self.spec.neighbours = neighbours;
        self
    }

    /// With this interface served by that plugin.
    pub fn link(mut self, interface: &str, provider: &str) -> Self {
        self.spec.links.push(LinkSpec {
            interface: interface.into(),
            provider: provider.parse().expect("a plugin's name"),
        });
        self
    }

    /// Where its words, denials and secrets go and come from.
    pub fn records(&self) -> Arc<Records> {
        self.records.clone()
    }

    /// Makes the component of this name a plugin.
    pub async fn load(&self, runtime: &Runtime, guest: &str) -> Plugin {
        match self.prepare(runtime, &guests::bytes(guest)).await {
            Ok(plugin) => plugin,
            Err(error) => panic!("{guest} is not loaded: {error}"),
        }
    }

    /// Makes these bytes a plugin.
    ///
    /// # Errors
    ///
    /// Whatever the runtime says.
    pub async fn prepare(&self, runtime: &Runtime, bytes: &[u8]) -> Result<Plugin, LoadError> {
        runtime.prepare(bytes, self.spec.clone()).await
    }

    /// What the runtime is given.
    pub fn build(&self) -> PluginSpec {
        self.spec.clone()
    }
}

/// A time as a limit.
pub fn span(time: Duration) -> TimeSpan {
    TimeSpan::millis(u64::try_from(time.as_millis()).expect("a time that is a limit"))
}

/// The method of this name: `interface.function`, or the function alone where
/// that is unambiguous; the interface without package and version.
///
/// # Panics
///
/// When there is none, or more than one.
#[track_caller]
pub fn method(plugin: &Plugin, name: &str) -> (MethodId, Arc<FunctionType>) {
    let (wanted, function) = match name.split_once('.') {
        Some((interface, function)) => (Some(interface), function),
        None => (None, name),
    };
    let mut found = plugin.methods().iter().filter(|method| {
        let interface = method.interface.as_deref().map(|interface| {
            let name = interface.split('@').next().unwrap_or_default();
            name.rsplit('/').next().unwrap_or_default()
        });
        &*method.function == function && (wanted.is_none() || wanted == interface)
    });
    match (found.next(), found.next()) {
        (Some(method), None) => (method.id, method.ty.clone()),
        (None, _) => panic!("the plugin has no method {name}"),
        (Some(_), Some(_)) => panic!("the plugin has more than one method {name}"),
    }
}

/// A call as people type it, ready to be sent: `add(1, 2)`.
///
/// # Panics
///
/// When it does not fit the method's type.
#[track_caller]
pub fn encode(plugin: &Plugin, call: &str) -> (MethodId, Vec<u8>, Arc<FunctionType>) {
    let limits = wide();
    let call = wave::parse_invocation(call).expect("an invocation");
    let (id, ty) = method(plugin, call.name);
    let values = match call.parse_args(&ty, &limits) {
        Ok(values) => values,
        Err(error) => panic!("{}: {error}", call.name),
    };
    let args = wire::encode_args(&ty, &values, &limits).expect("values that fit their types");
    wire::validate_args(&ty, &args, &limits).expect("what was encoded is valid");
    (id, args, ty)
}

/// What a call gave back, as people read it; `()` for no result.
///
/// # Panics
///
/// When the bytes are no value of the method's result.
#[track_caller]
pub fn decode(ty: &FunctionType, bytes: &[u8]) -> String {
    let limits = wide();
    let value = wire::decode_result(ty, bytes, &limits).expect("a reply is a value of the result's type");
    wave::print_result(ty, value.as_ref(), &limits).expect("a decoded value can be written")
}

/// Limits on values that are never the reason for anything here.
pub fn wide() -> ValueLimits {
    ValueLimits {
        max_bytes: 1 << 30,
        max_nodes: 1 << 28,
        max_text: 1 << 30,
        ..ValueLimits::default()
    }
}

/// Calls from an asynchronous task.
///
/// # Errors
///
/// The fault the call ended with.
pub async fn call(plugin: &Plugin, invocation: &str) -> Result<String, Fault> {
    call_with(plugin, invocation, CallContext::default()).await
}

/// Calls from an asynchronous task, with a context.
///
/// # Errors
///
/// The fault the call ended with.
pub async fn call_with(plugin: &Plugin, invocation: &str, context: CallContext) -> Result<String, Fault> {
    let (id, args, ty) = encode(plugin, invocation);
    let reply = plugin.call(id, args, context).await?;
    Ok(decode(&ty, &reply.bytes))
}

/// Calls on this thread, which must not be one of an asynchronous runtime.
///
/// # Errors
///
/// The fault the call ended with.
pub fn call_blocking(plugin: &Plugin, invocation: &str, context: CallContext) -> Result<String, Fault> {
    let (id, args, ty) = encode(plugin, invocation);
    let reply = plugin.call_blocking(id, &args, context)?;
    Ok(decode(&ty, &reply.bytes))
}

/// How often this limit of the plugin's said no.
pub fn hits(plugin: &Plugin, limit: &str) -> u64 {
    plugin.stats().limits_hit.get(limit).copied().unwrap_or_default()
}

/// How a call ended that had to fail.
#[derive(Debug)]
pub struct Stopped {
    /// Why.
    pub fault: Fault,
    /// When, from the moment it was sent.
    pub after: Took,
    /// What this process used of its processors meanwhile.
    pub cpu: Duration,
    /// How late the clock that deadlines go by can have been when it was sent: it
    /// may have had as much less.
    pub late: Duration,
}

impl Stopped {
    /// What is measured by the limit that this code stands for: a limit on
    /// processor time says nothing about how long others had the processor.
    pub fn counted(&self) -> Duration {
        match self.fault.code {
            Code::CpuLimit => self.cpu,
            _ => self.after.wall,
        }
    }

    /// Whether it was over no later than this, but for what the cores stood still
    /// meanwhile. On the processor too: where the core of the ticker stands still, a
    /// guest on the other one goes on.
    pub fn was_within(&self, most: Duration) -> bool {
        self.counted() <= most + self.after.lost
    }

    /// Whether it had so much.
    pub fn had(&self, least: Duration) -> bool {
        self.counted() + self.late >= least
    }
}

/// Calls from an asynchronous task and from a thread of its own, one after the
/// other; both must fail with this code, and leave no instance behind. Gives
/// both ends.
///
/// # Panics
///
/// When one does not fail, fails otherwise, or leaves something behind.
pub async fn stopped_both_ways(plugin: &Plugin, invocation: &str, code: Code) -> [Stopped; 2] {
    let tasked = stopped(plugin, invocation, code).await;
    let (id, args, _) = encode(plugin, invocation);
    let own = plugin.clone();
    let blocked = tokio::task::spawn_blocking(move || {
        // Outside the runtime's context, as an embedder's thread would be.
        std::thread::spawn(move || {
            let stalls = Stalls::watch();
            let (began, cpu) = (Instant::now(), process_cpu());
            let outcome = own.call_blocking(id, &args, CallContext::default());
            let (ended, cpu) = (Instant::now(), process_cpu() - cpu);
            let left = own.stats().instances;
            let (after, late) = (stalls.between(began, ended), stalls.late_at(began));
            (outcome, after, cpu, late, left)
        })
        .join()
        .expect("the calling thread ends")
    });
    let (outcome, after, cpu, late, left) = blocked.await.expect("the calling thread ends");
    let blocked = Stopped {
        fault: expect_fault(invocation, outcome.map(|_| String::new()), code),
        after,
        cpu,
        late,
    };
    assert_eq!(left, 0, "a stopped instance is left behind by {invocation}");
    [tasked, blocked]
}

/// Calls from an asynchronous task; it must fail with this code, and leave no
/// instance behind.
///
/// # Panics
///
/// When it does not fail, fails otherwise, or leaves something behind.
pub async fn stopped(plugin: &Plugin, invocation: &str, code: Code) -> Stopped {
    let (id, args, ty) = encode(plugin, invocation);
    let stalls = Stalls::watch();
    let (began, cpu) = (Instant::now(), process_cpu());
    let outcome = plugin.call(id, args, CallContext::default()).await;
    let (ended, cpu) = (Instant::now(), process_cpu() - cpu);
    let left = plugin.stats().instances;
    let after = stalls.between(began, ended);
    let fault = expect_fault(invocation, outcome.map(|reply| decode(&ty, &reply.bytes)), code);
    assert_eq!(left, 0, "a stopped instance is left behind by {invocation}");
    Stopped {
        fault,
        after,
        cpu,
        late: stalls.late_at(began),
    }
}

#[track_caller]
fn expect_fault(invocation: &str, outcome: Result<String, Fault>, code: Code) -> Fault {
    match outcome {
        Err(fault) if fault.code == code => fault,
        Err(fault) => panic!("{invocation}: expected {code}, found {fault}"),
        Ok(result) => panic!("{invocation}: expected {code}, found the result {result:.200}"),
    }
}

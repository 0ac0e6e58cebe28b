//! A host and the collector that it tells.

use std::time::{Duration, Instant};

use odeon::{
    Args, CallOptions, Compiler, Fault, GrantSet, Host, HostBuilder, LoadRequest, OtlpConfig, TraceParent,
};
use odeon_tests::guests;

use crate::collector::{Collector, Manner, Span};

/// What `guest-caller` imports and both export.
pub(crate) const STEPS: &str = "odeon-tests:links/steps";

/// Somebody's trace that is recorded.
pub(crate) const SAID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

pub(crate) struct Stage {
    pub(crate) host: Host,
    pub(crate) collector: Collector,
}

pub(crate) fn builder() -> HostBuilder {
    Host::builder(Compiler::InProcess).workers(1)
}

/// What a host is told of this collector.
pub(crate) fn otlp(collector: &Collector, sample: f64) -> OtlpConfig {
    OtlpConfig {
        sample: sample.try_into().unwrap(),
        ..OtlpConfig::new(format!("http://{}", collector.address()).parse().unwrap())
    }
}

impl Stage {
    /// A host that begins a trace for this share of its requests.
    pub(crate) async fn new(sample: f64) -> Self {
        Stage::before(Manner::Takes, sample).await
    }

    /// The same before a collector of this manner.
    pub(crate) async fn before(manner: Manner, sample: f64) -> Self {
        let collector = Collector::new(manner).await;
        let host = builder().otlp(otlp(&collector, sample)).start();
        Stage {
            host: host.expect("a host starts"),
            collector,
        }
    }

    pub(crate) async fn load(&self, guest: &str, name: &str) {
        self.host.load(load(guest, name)).await.expect("the guest loads");
    }

    /// A `caller` that is linked to a `provider`, and may call `other` and
    /// `absent` by name.
    pub(crate) async fn pair(&self) {
        self.load("guest-provider", "provider").await;
        self.load("guest-provider", "other").await;
        let caller = load("guest-caller", "caller")
            .linked(STEPS, "provider".parse().unwrap())
            .with_grants(GrantSet::parse(["call=other", "call=absent"]).unwrap());
        self.host.load(caller).await.expect("the guest loads");
    }

    /// Calls with arguments as people write them.
    pub(crate) async fn ask(&self, path: &str, args: &str) -> Result<String, Fault> {
        let options = CallOptions::default();
        self.host.call(path, Args::Wave(args), options).await?.wave()
    }

    /// The same as part of somebody's trace.
    pub(crate) async fn ask_in(&self, said: &str, path: &str, args: &str) -> Result<String, Fault> {
        let options = CallOptions {
            traceparent: Some(said.parse::<TraceParent>().unwrap()),
            ..CallOptions::default()
        };
        self.host.call(path, Args::Wave(args), options).await?.wave()
    }

    /// Ends the host, and gives all spans that the collector has by then.
    pub(crate) async fn spans(&self) -> Vec<Span> {
        self.host.shutdown(Duration::from_secs(5)).await;
        self.collector.spans()
    }

    /// What one of the exporter's metrics says.
    pub(crate) fn counted(&self, row: &str) -> u64 {
        counted(&self.host, row)
    }
}

/// What a metric of this host says.
pub(crate) fn counted(host: &Host, row: &str) -> u64 {
    let text = host.metrics();
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(row)?.strip_prefix(' '));
    found
        .unwrap_or_else(|| panic!("no {row} in {text}"))
        .parse()
        .expect("a number")
}

pub(crate) fn load(guest: &str, name: &str) -> LoadRequest {
    LoadRequest::component(guests::component(guest))
        .named(name.parse().unwrap())
        .allow_unsigned()
}

/// `perform` of these steps.
pub(crate) fn steps(steps: &[&str]) -> String {
    let steps: Vec<String> = steps.iter().map(|step| format!("{step:?}")).collect();
    format!("[{}]", steps.join(", "))
}

/// The one span of this hop of this plugin.
#[track_caller]
pub(crate) fn one<'s>(spans: &'s [Span], hop: &str, plugin: &str) -> &'s Span {
    let mut found = spans
        .iter()
        .filter(|span| span.get("odeon.hop") == hop && span.get("odeon.plugin") == plugin);
    match (found.next(), found.next()) {
        (Some(span), None) => span,
        _ => panic!("expected one {hop} of {plugin} in {spans:#?}"),
    }
}

/// Waits until something holds, which must happen soon.
pub(crate) async fn soon(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < until, "expected soon: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

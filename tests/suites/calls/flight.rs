//! A call that is under way while the test does something else.

use std::time::{Duration, Instant};

use odeon_protocol::Fault;
use odeon_runtime::{CallContext, Interrupt, Plugin};
use odeon_tests::runtime::call_with;
use tokio::task::JoinSet;

/// How long anything may take that nobody times.
const PATIENCE: Duration = Duration::from_secs(20);

/// One call in a task of its own.
pub(crate) struct Flight {
    task: JoinSet<Result<String, Fault>>,
    pub(crate) interrupt: Interrupt,
}

impl Flight {
    /// Sends the call, and returns when it is inside the plugin.
    pub(crate) async fn take_off(plugin: &Plugin, invocation: &'static str) -> Flight {
        let inside = plugin.stats().in_flight;
        let flight = Flight::queue(plugin, invocation, CallContext::default());
        eventually("the call runs", || {
            let stats = plugin.stats();
            stats.in_flight > inside && stats.instances > inside
        })
        .await;
        flight
    }

    /// Sends the call and does not wait for anything.
    pub(crate) fn queue(plugin: &Plugin, invocation: &'static str, context: CallContext) -> Flight {
        let mut task = JoinSet::new();
        let interrupt = Interrupt::new();
        let context = CallContext {
            interrupt: interrupt.clone(),
            ..context
        };
        let plugin = plugin.clone();
        task.spawn(async move { call_with(&plugin, invocation, context).await });
        Flight { task, interrupt }
    }

    /// Its result.
    pub(crate) async fn land(&mut self) -> Result<String, Fault> {
        let landed = tokio::time::timeout(PATIENCE, self.task.join_next()).await;
        landed
            .expect("the call ends")
            .expect("there is a call")
            .expect("the call's task does not panic")
    }

    /// Drops the call's future, wherever it is.
    pub(crate) async fn vanish(mut self) {
        self.task.shutdown().await;
    }
}

/// Waits until it is true.
pub(crate) async fn eventually(what: &str, done: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "it never came true: {what}");
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    began.elapsed()
}

//! The two ways to call a plugin: from an asynchronous task, and on a thread of
//! the caller's own, where what it is linked to may run on its stack.
//!
//! Owns that a test says the same of both. To be used within a tokio runtime.
#![allow(
    clippy::disallowed_methods,
    reason = "a task of a test is waited for by the test"
)]

use odeon::{Args, CallOptions, Host};
use odeon_protocol::{Fault, FunctionType, wave, wire};
use odeon_runtime::{CallContext, Plugin};
use tokio::task::JoinHandle;

use crate::runtime::{call_blocking, call_with, decode, wide};

/// A way to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From an asynchronous task.
    Task,
    /// On a thread that is no task's.
    Thread,
}

/// A call that was begun.
pub struct Begun(JoinHandle<Result<String, Fault>>);

impl Begun {
    /// How it ends, which it does.
    ///
    /// # Errors
    ///
    /// The fault it ended with.
    ///
    /// # Panics
    ///
    /// When whoever called did.
    pub async fn ended(self) -> Result<String, Fault> {
        self.0.await.expect("whoever calls comes to an end")
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.0.is_finished()
    }
}

impl Way {
    /// Both of them.
    pub const BOTH: [Way; 2] = [Way::Task, Way::Thread];

    /// Begins a call as people type it: `add(1, 2)`.
    pub fn begin(self, plugin: &Plugin, invocation: &str, context: CallContext) -> Begun {
        let (plugin, invocation) = (plugin.clone(), invocation.to_owned());
        match self {
            Way::Task => Begun(tokio::spawn(async move {
                call_with(&plugin, &invocation, context).await
            })),
            Way::Thread => on_thread(move || call_blocking(&plugin, &invocation, context)),
        }
    }

    /// Calls, to the end.
    ///
    /// # Errors
    ///
    /// The fault the call ended with.
    pub async fn call(self, plugin: &Plugin, invocation: &str) -> Result<String, Fault> {
        self.begin(plugin, invocation, CallContext::default())
            .ended()
            .await
    }

    /// Begins a call of a host's plugin by its name, with arguments as people type
    /// them: `1, 2`.
    pub fn begin_at(self, host: &Host, path: &str, args: &str) -> Begun {
        let (host, path, args) = (host.clone(), path.to_owned(), args.to_owned());
        match self {
            Way::Task => Begun(tokio::spawn(async move {
                let options = CallOptions::default();
                host.call(&path, Args::Wave(&args), options).await?.wave()
            })),
            Way::Thread => on_thread(move || {
                let method = host.method(&path)?;
                let args = encoded(method.ty(), &args);
                let reply = host.call_encoded(&path, &args)?;
                Ok(decode(method.ty(), &reply.bytes))
            }),
        }
    }

    /// The same, to the end.
    ///
    /// # Errors
    ///
    /// The fault the call ended with.
    pub async fn ask(self, host: &Host, path: &str, args: &str) -> Result<String, Fault> {
        self.begin_at(host, path, args).ended().await
    }
}

fn on_thread(work: impl FnOnce() -> Result<String, Fault> + Send + 'static) -> Begun {
    // Outside the runtime's context, as an embedder's thread would be.
    let waits = move || std::thread::spawn(work).join().expect("the thread ends");
    Begun(tokio::task::spawn_blocking(waits))
}

/// Arguments as people type them, in the wire form.
///
/// # Panics
///
/// When they do not fit the method's type.
#[track_caller]
pub fn encoded(ty: &FunctionType, args: &str) -> Vec<u8> {
    let limits = wide();
    let values = wave::parse_args(ty, args, &limits).expect("arguments of the method's type");
    wire::encode_args(ty, &values, &limits).expect("values that fit their types")
}

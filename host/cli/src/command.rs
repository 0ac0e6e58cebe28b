//! The verbs: one file each.
//!
//! Owns what they have in common: which of them need a host, and the one
//! thread on which all waiting is done.

pub(crate) mod audit;
pub(crate) mod call;
pub(crate) mod cancel;
pub(crate) mod check;
pub(crate) mod describe;
pub(crate) mod dump;
pub(crate) mod grant;
pub(crate) mod keygen;
pub(crate) mod list;
pub(crate) mod load;
pub(crate) mod log_level;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod pack;
pub(crate) mod profile;
pub(crate) mod reload;
pub(crate) mod replace;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod serve;
pub(crate) mod sign;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod top;
pub(crate) mod trust;
pub(crate) mod unload;
pub(crate) mod verify;
pub(crate) mod why;

use std::future::Future;

use odeon::CompileChild;
use odeon_protocol::AdminRequest;
use serde::de::DeserializeOwned;

use crate::{
    args::{Cli, Command},
    client::Client,
    exit::Exit,
    failure::Failure,
    generate,
    output::{Done, Output},
    whereabouts::Whereabouts,
};

/// What every verb is given.
pub(crate) struct Context {
    pub(crate) out: Output,
    pub(crate) whereabouts: Whereabouts,
}

/// Does what the command line says, and says how to exit.
pub(crate) fn run(cli: Cli, child: CompileChild) -> Done<Exit> {
    let context = Context {
        out: Output::new(cli.json),
        whereabouts: cli.whereabouts,
    };
    let done = match cli.command {
        Command::Check(args) => return check::run(&args, &context, child),
        Command::Run(args) => run::run(&args, &context, child),
        Command::Serve(args) => serve::run(&args, &context, child),
        Command::Stop(args) => stop::run(&args, &context),
        Command::Status => status::run(&context),
        Command::Top => top::run(&context),
        Command::Metrics => metrics::run(&context),
        Command::Load(args) => load::run(&args, &context),
        Command::Replace(args) => replace::run(&args, &context),
        Command::Reload(args) => reload::run(args, &context),
        Command::Grant(args) => grant::run(args, &context),
        Command::Unload(args) => unload::run(args, &context),
        Command::List => list::run(&context),
        Command::Describe(args) => describe::run(args, &context),
        Command::Call(args) => call::run(&args, &context),
        Command::Cancel(args) => cancel::run(&args, &context),
        Command::Logs(args) => logs::run(args, &context),
        Command::LogLevel(args) => log_level::run(args, &context),
        Command::Dump(args) => dump::run(args, &context),
        Command::Profile(args) => profile::run(args, &context),
        Command::Keygen(args) => keygen::run(&args, &context),
        Command::Pack(args) => pack::run(&args, &context),
        Command::Sign(args) => sign::run(&args, &context),
        Command::Verify(args) => verify::run(&args, &context),
        Command::Trust(args) => trust::run(&args, &context),
        Command::Audit(args) => audit::run(&args, &context),
        Command::Why(args) => why::run(&args, &context),
        Command::Schema(args) => schema::run(&args, &context),
        Command::Completions(args) => generate::completions(&args, context.out),
        Command::Man(args) => generate::man(&args, context.out),
    };
    done.map(|()| Exit::Done)
}

impl Context {
    /// Connects to the host.
    pub(crate) async fn connect(&self) -> Done<Client> {
        Client::connect(&self.whereabouts.socket()?).await
    }

    /// Asks the host one thing as an operator.
    pub(crate) fn ask<T: DeserializeOwned>(&self, request: &AdminRequest) -> Done<T> {
        wait(async { self.connect().await?.admin(request).await })
    }

    /// Asks the host something that may take a while, and says what.
    pub(crate) fn ask_waiting<T: DeserializeOwned>(
        &self,
        request: &AdminRequest,
        what: impl FnOnce() -> String,
    ) -> Done<T> {
        let _waiting = self.out.waiting(what);
        self.ask(request)
    }
}

/// Runs a future to its end on this thread.
pub(crate) fn wait<T>(future: impl Future<Output = Done<T>>) -> Done<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system("this program cannot wait for anything", &error))?;
    let ended = runtime.block_on(future);
    // A step that hangs on the disk is left where it is: the answer is known.
    runtime.shutdown_background();
    ended
}

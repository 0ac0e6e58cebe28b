//! `odeon run`: one method of a component file, without a host.
//!
//! The way in is the same as a host's: the file is decided upon, compiled and
//! linked, and only then called. Nothing but the result goes to standard
//! output. There is no lock and no socket; the audit is appended to.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use odeon::{
    Args as CallArgs, CallOptions, CompileChild, Compiler, Host, Interrupt, LoadRequest, PoolSize, Reason,
};
use odeon_authority::{Principal, TimeSpan};
use odeon_protocol::{Code, Fault, Kind, MethodRow, PluginName, wave};

use super::{Context, wait};
use crate::{
    answer::Answer,
    component,
    failure::Failure,
    guest_lines::GuestLines,
    invocation::{Given, choose, encode, line},
    output::Done,
    signals::Interrupts,
    tokens::{Pair, by_name, grant_set, limits, name_from_file},
    whereabouts::{VERSIONS, Whereabouts, make_private, policy_of},
};

/// How long a call that was interrupted may take to say so.
const LET_GO: Duration = Duration::from_secs(1);
/// Instances that a one-shot may need at once: the one it calls, and those of
/// its `load` and `unload`.
const INSTANCES: u32 = 8;

/// Flags of `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The component
    file: PathBuf,
    /// The call, in WAVE: 'add(1, 2)'; without it the methods are listed
    invoke: Option<String>,
    /// Run it although nothing vouches for it
    #[arg(long)]
    allow_unsigned: bool,
    /// How long all of it may take; the call is cancelled at the end
    #[arg(long, value_name = "TIME", default_value = "90s")]
    wait: TimeSpan,
    /// What it may touch: fs=HOSTDIR[::GUESTDIR][,rw] tcp=HOST:PORT http=HOST[:PORT] env=NAME[=VALUE] secret=NAME
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<String>,
    /// A limit in place of the default: memory=16MiB
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<Pair>,
    /// A value of its configuration
    #[arg(long = "config", value_name = "KEY=VALUE")]
    config: Vec<Pair>,
}

pub(crate) fn run(args: &Args, context: &Context, child: CompileChild) -> Done {
    let request = request(args)?;
    if let Some(text) = &args.invoke {
        // What is no call at all needs no component to be found out.
        wave::parse_invocation(text).map_err(|error| Failure::wave(&error, text))?;
    }
    wait(async {
        let until = Instant::now() + args.wait.duration();
        let mut interrupts = Interrupts::listen()?;
        let host = start(&context.whereabouts, child, context)?;
        let interrupt = Interrupt::new();
        let work = work(&host, request, args, context, until, &interrupt);
        tokio::pin!(work);
        let ended = tokio::select! {
            biased;
            ended = &mut work => ended,
            () = interrupts.next() => {
                interrupt.raise(Reason::Cancelled);
                match tokio::time::timeout(LET_GO, work).await {
                    Ok(ended) => ended,
                    Err(_) => Err(Failure::new(Code::Cancelled, "the call was cancelled")),
                }
            }
        };
        host.shutdown(Duration::ZERO).await;
        ended
    })
}

/// Loads, then calls or lists.
async fn work(
    host: &Host,
    request: LoadRequest,
    args: &Args,
    context: &Context,
    until: Instant,
    interrupt: &Interrupt,
) -> Done {
    let loading = tokio::time::timeout_at(until.into(), host.load(request));
    let loaded = tokio::select! {
        biased;
        _ = interrupt.raised() => {
            return Err(Failure::new(Code::Cancelled, "cancelled while the component was loaded"));
        }
        loaded = loading => loaded,
    };
    let loaded = match loaded {
        Ok(loaded) => loaded.map_err(|fault| explained(fault, args))?,
        Err(_) => {
            let message = format!("the component was not ready within {}", args.wait);
            return Err(Failure::new(Code::WaitEnded, message).helped("give it longer with --wait"));
        }
    };
    let methods = host.methods(&loaded.name)?;
    let Some(text) = &args.invoke else {
        return list(&methods, context);
    };
    let invocation = wave::parse_invocation(text).map_err(|error| Failure::wave(&error, text))?;
    let row = choose(&methods, &invocation.name.parse()?)?;
    let body = encode(row, Given::Call(text))?;
    let options = CallOptions {
        wait: Some(until.saturating_duration_since(Instant::now())),
        interrupt: interrupt.clone(),
        ..CallOptions::default()
    };
    let called = host
        .call(&target(&loaded.name, row), CallArgs::Encoded(body), options)
        .await;
    match called {
        Ok(reply) => {
            let is_err = reply.is_err();
            let answer = Answer {
                ty: &row.ty,
                body: &reply.bytes,
                serial: Some(reply.serial),
                generation: Some(reply.generation),
                elapsed_us: u64::try_from(reply.elapsed.as_micros()).ok(),
            };
            if is_err {
                return Err(
                    answer.own_error(Fault::new(Code::GuestError, "the method returned its own error"))
                );
            }
            answer.write(context.out)
        }
        Err(fault) => Err(fault.into()),
    }
}

fn request(args: &Args) -> Done<LoadRequest> {
    let mut request = LoadRequest::component(&args.file);
    request.allow_unsigned = args.allow_unsigned;
    // Nothing of a one-shot stays, so that no version of it counts either.
    request.transient = true;
    request.grants = grant_set(&args.grants)?;
    request.limits = limits(&args.limits)?;
    request.config = by_name(&args.config, "--config")?;
    if is_nameless(&args.file) {
        request.name = name_from_file(&args.file).or_else(|| "component".parse().ok());
    }
    Ok(request)
}

/// Whether the component does not say its own name, so that its file's does.
/// A file that cannot be read is for the way in to complain about.
fn is_nameless(path: &Path) -> bool {
    let Ok(bytes) = component::read(path) else {
        return false;
    };
    if !matches!(odeon_authority::manifest_of(&bytes), Ok(None)) {
        return false;
    }
    odeon_authority::inspect(&bytes, None).is_ok_and(|signed| signed.claim.is_none())
}

fn start(whereabouts: &Whereabouts, child: CompileChild, context: &Context) -> Done<Host> {
    let me = Principal::LocalUser {
        uid: rustix::process::getuid().as_raw(),
    };
    let builder = Host::builder(Compiler::ThisProgram(child))
        .workers(1)
        .pool(PoolSize {
            instances: INSTANCES,
            ..PoolSize::default()
        })
        .principal(me)
        .environment(environment())
        .log_sink(Arc::new(GuestLines));
    let builder = match usable_state(whereabouts)? {
        State::Usable(folder) => builder.state_dir(folder),
        State::ReadOnly(folder) => {
            let text = format!(
                "note: {} cannot be written, so nothing is cached or audited there",
                folder.display()
            );
            context.out.say(&text);
            builder
                .trust_policy(policy_of(&folder)?)
                .known_versions(folder.join(VERSIONS))
        }
        State::None => builder,
    };
    Ok(builder.start().map_err(Fault::from)?)
}

enum State {
    Usable(PathBuf),
    ReadOnly(PathBuf),
    None,
}

/// The state directory as far as it can be used. One that was named has to be
/// usable; the default one may be read-only, or nowhere.
fn usable_state(whereabouts: &Whereabouts) -> Done<State> {
    if whereabouts.state.is_some() {
        return Ok(State::Usable(whereabouts.made_state_dir()?));
    }
    let Some(folder) = whereabouts.state_dir() else {
        return Ok(State::None);
    };
    if !folder.is_dir() {
        return Ok(if make_private(&folder).is_ok() {
            State::Usable(folder)
        } else {
            State::None
        });
    }
    if is_writable(&folder) {
        make_private(&folder)?;
        return Ok(State::Usable(folder));
    }
    Ok(State::ReadOnly(folder))
}

fn is_writable(folder: &Path) -> bool {
    use rustix::fs::Access;
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// The variables of this program, for grants that name one without a value.
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn list(methods: &[MethodRow], context: &Context) -> Done {
    context
        .out
        .either(&serde_json::json!({ "methods": methods }), || {
            methods
                .iter()
                .map(|row| line(row, methods))
                .collect::<Vec<_>>()
                .join("\n")
        })
}

/// The one path that is never ambiguous.
fn target(name: &PluginName, row: &MethodRow) -> String {
    match &row.interface {
        Some(interface) => format!("{name}/{interface}.{}", row.function),
        None => format!("{name}/{}", row.function),
    }
}

/// A refusal, with the commands that would let the component in.
fn explained(fault: Fault, args: &Args) -> Box<Failure> {
    let file = args.file.display();
    let digest = component::read(&args.file)
        .ok()
        .and_then(|bytes| odeon_authority::digest_of(&bytes).ok());
    let (kind, code) = (fault.kind(), fault.code);
    let failure: Box<Failure> = fault.into();
    match (kind, code) {
        (Kind::Denied, Code::Unsigned | Code::KeyUnknown) => {
            let failure = failure.helped(format!("for this once: odeon run {file} --allow-unsigned"));
            match digest {
                Some(digest) => failure.helped(format!("from now on:   odeon trust add --digest {digest}")),
                None => failure,
            }
        }
        (_, Code::CoreModule) => failure.helped(format!(
            "if it was built with its WIT inside: odeon pack {file} -o component.wasm"
        )),
        _ => failure,
    }
}

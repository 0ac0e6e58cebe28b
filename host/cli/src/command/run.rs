//! `odeon run`: one method of a component file, without a host.
//!
//! The way in is the same as a host's: the file is decided upon, compiled and
//! linked, and only then called. Nothing but the result goes to standard
//! output. There is no lock and no socket; the audit is appended to.

mod beside;
mod observed;
mod started;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use odeon::{
    Args as CallArgs, CallOptions, CallReply, CompileChild, Host, Interrupt, LoadReport, LoadRequest, Reason,
};
use odeon_authority::TimeSpan;
use odeon_protocol::{Code, Fault, Kind, MemberPath, MethodRow, PluginName};

use self::beside::Beside;
use self::observed::{Ended, Observed};
use self::started::{Started, started};
use super::{
    Context,
    check::{inspect, linked, unkept},
    wait,
};
use crate::{
    answer::Answer,
    component::{self, Signed},
    failure::Failure,
    invocation::{Given, Written, choose, encode, line, path_of, target},
    output::Done,
    signals::Interrupts,
    tokens::{Pair, by_name, grant_set, limits, link_files},
};

/// How long a call that was interrupted may take to say so.
const LET_GO: Duration = Duration::from_secs(1);
/// Flags of `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The component
    file: PathBuf,
    /// The call, in WAVE: 'add(1, 2)'; without it the methods are listed, and nothing runs
    invoke: Option<String>,
    /// Run it although nothing vouches for it
    #[arg(long)]
    allow_unsigned: bool,
    /// Run it although a higher version was accepted under its name before
    #[arg(long)]
    allow_downgrade: bool,
    /// How long all of it may take; the call is cancelled at the end
    #[arg(long, value_name = "TIME", default_value = "90s")]
    wait: TimeSpan,
    /// What it may touch: fs=HOSTDIR[::GUESTDIR][,rw] tcp=HOST:PORT http=HOST[:PORT] env=NAME[=VALUE] secret=NAME
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<String>,
    /// A limit in place of the default: memory=16MiB
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<Pair>,
    /// The file of a component that serves an interface which it, or another one of these, imports; it is loaded beside
    /// it, and granted nothing
    #[arg(long = "link", value_name = "INTERFACE=FILE")]
    links: Vec<Pair>,
    /// Where its core dump goes if the call traps
    #[arg(long, value_name = "FILE")]
    core_dump: Option<PathBuf>,
    /// Where a profile of the call goes, for the Firefox Profiler
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// A value of its configuration
    #[arg(long = "config", value_name = "KEY=VALUE")]
    config: Vec<Pair>,
}

pub(crate) fn run(args: &Args, context: &Context, child: CompileChild) -> Done {
    let mut request = request(args)?;
    let beside = Beside::of(&args.file, link_files(&args.links)?)?;
    let observed = Observed::of(args)?;
    request.observe = observed.as_ref().map(Observed::observation);
    let Some(invoke) = &args.invoke else {
        return list(args, context, child);
    };
    // What is no call at all needs no component to be found out.
    let method =
        path_of(invoke, "FUNCTION or INTERFACE.FUNCTION").map_err(|failure| unplugged(failure, invoke))?;
    wait(async {
        let until = Instant::now() + args.wait.duration();
        let mut interrupts = Interrupts::listen()?;
        let interrupt = Interrupt::new();
        let Started { host, keeps, note } = tokio::select! {
            biased;
            () = interrupts.next() => return Err(Failure::new(Code::Cancelled, "cancelled before anything began")),
            started = started(context, child, until) => started?,
        };
        let called = Called {
            method: &method,
            text: invoke,
            until,
            interrupt: &interrupt,
        };
        let mut warnings = Vec::from_iter(note);
        let ended = {
            let asked = Asked {
                request,
                beside: &beside,
                observed: observed.as_ref(),
            };
            let work = work(&host, asked, args, context, &called, &mut warnings);
            tokio::pin!(work);
            tokio::select! {
                biased;
                ended = &mut work => ended,
                () = interrupts.next() => {
                    interrupt.raise(Reason::Cancelled);
                    match tokio::time::timeout(LET_GO, work).await {
                        Ok(ended) => ended,
                        Err(_) => Err(Failure::new(Code::Cancelled, "the call was cancelled")),
                    }
                }
            }
        };
        // What still hangs on the disk or in the guest ends with the process.
        drop(tokio::time::timeout(LET_GO, host.shutdown(Duration::ZERO)).await);
        if keeps {
            // The process ends now: taking the pools apart first would only
            // take time. A host that keeps nothing has a folder to remove.
            std::mem::forget(host.clone());
        }
        ended.map_err(|mut failure| {
            failure.warnings = warnings;
            failure
        })
    })
}

/// A call on the command line, and how long it may take.
struct Called<'a> {
    method: &'a Written<'a, MemberPath>,
    text: &'a str,
    until: Instant,
    interrupt: &'a Interrupt,
}

/// What is to be loaded, what beside it, and what is observed of it.
struct Asked<'a> {
    request: LoadRequest,
    beside: &'a Beside,
    observed: Option<&'a Observed>,
}

/// Lists the methods. Nothing of the component runs, so that nothing has to
/// let it in.
fn list(args: &Args, context: &Context, child: CompileChild) -> Done {
    let file = Signed::read(&args.file)?;
    let links = linked(&args.links)?;
    let report = wait(async {
        let host = unkept(child)?;
        let inspecting = inspect(&host, &file, &links, context);
        let report = tokio::time::timeout(args.wait.duration(), inspecting).await;
        host.shutdown(Duration::ZERO).await;
        report.unwrap_or_else(|_| Err(not_ready(args)))
    });
    let methods = report.map_err(|failure| explained(failure, args))?.methods;
    context
        .out
        .either(&serde_json::json!({ "methods": methods }), || {
            methods
                .iter()
                .map(|row| line(row, &methods))
                .collect::<Vec<_>>()
                .join("\n")
        })
}

fn not_ready(args: &Args) -> Box<Failure> {
    let message = format!("the component was not ready within {}", args.wait);
    Failure::new(Code::WaitEnded, message).helped("give it longer with --wait")
}

/// Loads and calls, and says what came of it.
async fn work(
    host: &Host,
    asked: Asked<'_>,
    args: &Args,
    context: &Context,
    called: &Called<'_>,
    warnings: &mut Vec<String>,
) -> Done {
    let observed = asked.observed;
    let called = call(host, asked, args, context, called, warnings).await;
    if let Some(observed) = observed {
        let ended = match &called {
            Ok((_, Ok(_))) => Ended::Returned,
            Ok((_, Err(fault))) => Ended::Faulted(fault),
            Err(failure) => Ended::NotCalled(&failure.fault),
        };
        observed.end(host, context, warnings, ended).await;
    }
    let (row, called) = called?;
    let reply = called?;
    let is_err = reply.is_err();
    let answer = Answer {
        ty: &row.ty,
        body: &reply.bytes,
        serial: Some(reply.serial),
        generation: Some(reply.generation),
        elapsed_us: u64::try_from(reply.elapsed.as_micros()).ok(),
        data: None,
        warnings,
    };
    if is_err {
        return Err(answer.own_error(Fault::new(Code::GuestError, "the method returned its own error")));
    }
    answer.write(context.out)
}

/// Loads and calls. An error is one of before the call.
async fn call(
    host: &Host,
    Asked { request, beside, .. }: Asked<'_>,
    args: &Args,
    context: &Context,
    called: &Called<'_>,
    warnings: &mut Vec<String>,
) -> Done<(MethodRow, Result<CallReply, Fault>)> {
    let Called {
        method,
        text,
        until,
        interrupt,
    } = *called;
    let waiting = context.out.waiting(|| format!("loading {}", args.file.display()));
    let loading = tokio::time::timeout_at(until.into(), load(host, request, beside, args));
    let loaded = tokio::select! {
        biased;
        _ = interrupt.raised() => {
            return Err(Failure::new(Code::Cancelled, "cancelled while the component was loaded"));
        }
        loaded = loading => loaded,
    };
    drop(waiting);
    let loaded = match loaded {
        Ok(loaded) => loaded?,
        Err(_) => return Err(not_ready(args)),
    };
    for warning in &loaded.warnings {
        context.out.say(&format!("note: {warning}"));
    }
    warnings.extend(loaded.warnings);
    let methods = host.methods(&loaded.name)?;
    let row = choose(&methods, &method.path, (text, method.span.clone()))?;
    let body = encode(row, Given::Call(text))?;
    let options = CallOptions {
        wait: Some(until.saturating_duration_since(Instant::now())),
        interrupt: interrupt.clone(),
        ..CallOptions::default()
    };
    let called = host
        .call(&target(&loaded.name, row), CallArgs::Encoded(body), options)
        .await;
    Ok((row.clone(), called))
}

/// Loads what serves its imports, then the component itself.
async fn load(host: &Host, mut request: LoadRequest, beside: &Beside, args: &Args) -> Done<LoadReport> {
    let notes = beside.load(host, &mut request, args).await?;
    let loaded = host.load(request).await;
    let mut loaded = loaded.map_err(|fault| explained(fault.into(), args))?;
    loaded.warnings.splice(..0, notes);
    Ok(loaded)
}

fn request(args: &Args) -> Done<LoadRequest> {
    let mut request = LoadRequest::component(&args.file);
    request.allow_unsigned = args.allow_unsigned;
    // Nothing of a one-shot stays, so that no version of it counts either.
    request.transient = true;
    request.grants = grant_set(&args.grants)?;
    request.limits = limits(&args.limits)?;
    request.config = by_name(&args.config, "--config")?;
    request.allow_downgrade = args.allow_downgrade;
    request.name_if_nameless = LoadRequest::file_name(&args.file).or_else(|| "component".parse().ok());
    Ok(request)
}

/// The variables of this program, for grants that name one without a value.
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The path of a loaded plugin's method, as `call` and `describe` have it, names
/// the plugin first; a file has none.
fn unplugged(failure: Box<Failure>, invoke: &str) -> Box<Failure> {
    match invoke.split_once('/') {
        Some((plugin, rest)) if plugin.parse::<PluginName>().is_ok() => {
            failure.helped(format!("a file is called without a plugin's name: '{rest}'"))
        }
        _ => failure,
    }
}

/// A refusal, with the commands that would let the component in.
fn explained(failure: Box<Failure>, args: &Args) -> Box<Failure> {
    let file = args.file.display();
    match (failure.fault.kind(), failure.fault.code) {
        (Kind::Denied, Code::Unsigned | Code::KeyUnknown) => {
            let bytes = component::read(&args.file).ok();
            let digest = bytes.and_then(|bytes| odeon_authority::digest_of(&bytes).ok());
            let invoke = match &args.invoke {
                Some(invoke) => format!(" '{}'", invoke.replace('\'', "'\\''")),
                None => String::new(),
            };
            let failure = failure.helped(format!(
                "for this once: odeon run {file}{invoke} --allow-unsigned"
            ));
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

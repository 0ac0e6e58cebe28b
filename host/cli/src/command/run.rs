//! `odeon run`: one method of a component file, without a host.
//!
//! The way in is the same as a host's: the file is decided upon, compiled and
//! linked, and only then called. Nothing but the result goes to standard
//! output. There is no lock and no socket; the audit is appended to.

mod observed;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use odeon::{
    Args as CallArgs, CallOptions, CompileChild, Compiler, GrantSet, Host, Interrupt, LoadReport,
    LoadRequest, PoolSize, Reason,
};
use odeon_authority::{Principal, TimeSpan};
use odeon_protocol::{Code, Fault, Kind, MemberPath, PluginName};

use self::observed::Observed;
use super::{
    Context,
    check::{INSTANCES, inspect, linked, unkept},
    wait,
};
use crate::{
    answer::Answer,
    component::{self, Signed},
    failure::Failure,
    guest_lines::GuestLines,
    invocation::{Given, Written, choose, encode, line, path_of, target},
    output::Done,
    signals::Interrupts,
    tokens::{LinkFile, Pair, by_name, grant_set, limits, link_files},
    whereabouts::{VERSIONS, Whereabouts, make_private, policy_of},
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
    /// The file of a component that serves an interface which it imports; it is loaded beside it, and granted nothing
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
    let request = request(args)?;
    let links = link_files(&args.links)?;
    observed::check(args)?;
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
            let work = work(&host, (request, &links), args, context, &called, &mut warnings);
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

/// A host for one call.
struct Started {
    host: Host,
    /// It keeps something in a state directory.
    keeps: bool,
    /// Why nothing is written down, if it is not.
    note: Option<String>,
}

/// A host. Another process may hold a lock in the state directory, so that it is
/// waited for like everything else.
async fn started(context: &Context, child: CompileChild, until: Instant) -> Done<Started> {
    let whereabouts = context.whereabouts.clone();
    let starting = tokio::task::spawn_blocking(move || start(&whereabouts, child));
    match tokio::time::timeout_at(until.into(), starting).await {
        Ok(Ok(started)) => {
            if let Ok(Started { note: Some(note), .. }) = &started {
                context.out.say(&format!("note: {note}"));
            }
            started
        }
        Ok(Err(_)) => Err(Failure::new(Code::Internal, "the host broke off at its start")),
        Err(_) => Err(Failure::new(
            Code::WaitEnded,
            "the state directory was not free in time: another process holds a lock there",
        )
        .helped("`fuser -v` on the *.lock files of the state directory names it")),
    }
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

/// Loads and calls.
async fn work(
    host: &Host,
    (request, links): (LoadRequest, &[LinkFile]),
    args: &Args,
    context: &Context,
    called: &Called<'_>,
    warnings: &mut Vec<String>,
) -> Done {
    let Called {
        method,
        text,
        until,
        interrupt,
    } = *called;
    let waiting = context.out.waiting(|| format!("loading {}", args.file.display()));
    let loading = tokio::time::timeout_at(until.into(), load(host, request, links, args));
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
    let mut observed = Observed::begin(host, &loaded.name, args).await?;
    let called = host
        .call(&target(&loaded.name, row), CallArgs::Encoded(body), options)
        .await;
    observed.end(context, warnings).await;
    match called {
        Ok(reply) => {
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
                return Err(
                    answer.own_error(Fault::new(Code::GuestError, "the method returned its own error"))
                );
            }
            answer.write(context.out)
        }
        Err(fault) => Err(fault.into()),
    }
}

/// Loads what serves its imports, then the component itself.
async fn load(host: &Host, mut request: LoadRequest, links: &[LinkFile], args: &Args) -> Done<LoadReport> {
    let mut notes = Vec::new();
    let mut served_by: BTreeMap<&Path, PluginName> = BTreeMap::new();
    for link in links {
        let name = match served_by.get(&*link.path) {
            Some(name) => name.clone(),
            None => {
                let mut beside = LoadRequest::component(&link.path).with_grants(GrantSet::default());
                beside.allow_unsigned = args.allow_unsigned;
                beside.transient = true;
                beside.name_if_nameless = Some(link.provider.clone());
                let loaded = host.load(beside).await.map_err(|fault| {
                    let message = format!("--link {}: {}", link.interface, fault.message);
                    Box::<Failure>::from(Fault { message, ..fault })
                })?;
                let told = |warning| format!("{}: {warning}", loaded.name);
                notes.extend(loaded.warnings.iter().map(told));
                served_by.insert(&link.path, loaded.name.clone());
                loaded.name
            }
        };
        request.links.insert(link.interface.clone(), name);
    }
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

fn start(whereabouts: &Whereabouts, child: CompileChild) -> Done<Started> {
    let me = Principal::LocalUser {
        uid: rustix::process::getuid().as_raw(),
    };
    let builder = Host::builder(Compiler::ThisProgram(child))
        .one_shot()
        .workers(1)
        .pool(PoolSize {
            instances: INSTANCES,
            ..PoolSize::default()
        })
        .principal(me)
        .environment(environment())
        .log_sink(Arc::new(GuestLines));
    let (builder, note) = match usable_state(whereabouts)? {
        State::Usable(folder) => (builder.state_dir(folder), None),
        State::ReadOnly(folder) => {
            let why = format!("{} cannot be written", folder.display());
            let builder = builder
                .trust_policy(policy_of(&folder)?)
                .known_versions(folder.join(VERSIONS));
            (builder, Some(why))
        }
        State::None(why) => (builder, Some(why)),
    };
    Ok(Started {
        host: builder.start().map_err(Fault::from)?,
        keeps: note.is_none(),
        note: note.map(|why| {
            format!("{why}, so this run is in no audit, and nothing of it is cached; see --state")
        }),
    })
}

enum State {
    Usable(PathBuf),
    ReadOnly(PathBuf),
    /// There is none, and why.
    None(String),
}

/// The state directory as far as it can be used. One that was named has to be
/// usable; the default one may be read-only, or nowhere.
fn usable_state(whereabouts: &Whereabouts) -> Done<State> {
    if whereabouts.named_state().is_some() {
        return Ok(State::Usable(whereabouts.made_state_dir()?));
    }
    let Some(folder) = whereabouts.state_dir() else {
        let why = "there is no HOME and no XDG_STATE_HOME to keep a state directory in";
        return Ok(State::None(why.to_owned()));
    };
    if !folder.is_dir() {
        return Ok(match make_private(&folder) {
            Ok(()) => State::Usable(folder),
            Err(failure) => State::None(failure.fault.message),
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

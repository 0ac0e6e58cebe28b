//! `odeon call`: a method of a loaded plugin.
//!
//! The type comes from the host, the arguments are checked here, and the call
//! carries the fingerprint of the type they were made for. When the plugin was
//! replaced between the two, the type is asked for once more.

use std::{
    io::Read as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use odeon_authority::TimeSpan;
use odeon_protocol::{
    AdminRequest, Code, Envelope, Fault, Kind, MAX_BODY, MessageKind, MethodPath, MethodRow, PluginName,
    Serial, json,
};

use super::{Context, wait};
use crate::{
    answer::Answer,
    client::{Client, Message, unexpected},
    failure::Failure,
    invocation::{Given, Written, choose, encode, not_json, path_of, target},
    output::Done,
    progress::Watch,
    signals::Interrupts,
    tokens::milliseconds,
};

/// How much longer than the caller's own patience the host may take to say
/// that it has ended.
const GRACE: Duration = Duration::from_secs(5);

/// Flags of `call`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The method: PLUGIN/FUNCTION, PLUGIN/INTERFACE.FUNCTION, or all of a call: 'calc/add(1, 2)'
    method: String,
    /// The arguments, one WAVE value each: 1 '"text"' '[1, 2]' '{name: "x"}'; one that begins with a dash and is no
    /// number comes behind two dashes: -- -inf
    #[arg(allow_negative_numbers = true, conflicts_with = "args")]
    arguments: Vec<String>,
    /// How long to wait for the result; the call is cancelled at the end
    #[arg(long, value_name = "TIME")]
    wait: Option<TimeSpan>,
    /// How long the request may wait for its start
    #[arg(long, value_name = "TIME")]
    ttl: Option<TimeSpan>,
    /// The arguments as JSON, an array or an object by name; - reads standard input
    #[arg(long, value_name = "JSON|-")]
    args: Option<String>,
    /// Your own JSON to go along: the method can read it, and every status repeats it
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// Show how far the call is
    #[arg(long)]
    progress: bool,
    /// Print the request's serial and leave it running
    #[arg(long = "async", conflicts_with = "progress")]
    detached: bool,
}

/// What is called, and with what.
struct Asked<'a> {
    method: Written<'a, MethodPath>,
    given: Given<'a>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    if let Some(data) = &args.data {
        json::parse(data).map_err(|error| not_json("--data", "user data as JSON", &error, data))?;
    }
    let json = args.args.as_deref().map(read_args).transpose()?;
    let asked = Asked::parse(args, json.as_deref())?;
    wait(call(args, &asked, context))
}

async fn call(args: &Args, asked: &Asked<'_>, context: &Context) -> Done {
    let mut client = context.connect().await?;
    let mut interrupts = Interrupts::listen()?;
    let watch = Watch::new(args.progress, context.out);
    let mut again = true;
    loop {
        let Written { path, text, span } = &asked.method;
        let methods = methods(&mut client, path.plugin()).await?;
        let row = choose(&methods, path.member(), (*text, span.clone()))?;
        let body = encode(row, asked.given)?;
        let serial = Serial::new();
        let target = target(path.plugin(), row);
        let mut envelope = Envelope::new(MessageKind::Call, serial);
        envelope.target = Some(&target);
        envelope.fingerprint = Some(row.fingerprint);
        envelope.deadline = args.wait.map(deadline).transpose()?;
        envelope.ttl_ms = args.ttl.map(|ttl| milliseconds(ttl.duration()));
        envelope.user_data = args.data.as_deref();
        envelope.detached = args.detached;
        envelope.statuses = args.progress || args.detached;
        envelope.body = &body;
        client.send(&envelope).await?;
        let patience = args.wait.map(|wait| wait.duration().saturating_add(GRACE));
        let ended = finish(
            &mut client,
            serial,
            args.detached,
            patience,
            &mut interrupts,
            &watch,
            context,
        )
        .await;
        watch.end();
        let message = match ended? {
            Some(message) => message,
            None => return accepted(serial, args.data.as_deref(), context),
        };
        match &message.fault {
            Some(fault) if fault.kind() == Kind::VersionMismatch && again => again = false,
            _ => return settle(message, serial, row, context),
        }
    }
}

/// Waits for the final status; nothing when being accepted was enough.
async fn finish(
    client: &mut Client,
    serial: Serial,
    detached: bool,
    patience: Option<Duration>,
    interrupts: &mut Interrupts,
    watch: &Watch,
    context: &Context,
) -> Done<Option<Message>> {
    let give_up = async {
        match patience {
            Some(patience) => tokio::time::sleep(patience).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(give_up);
    let mut cancelled = false;
    loop {
        let message = tokio::select! {
            biased;
            message = client.receive_about(serial) => message?,
            () = interrupts.next() => {
                if cancelled {
                    return Err(Failure::new(Code::Cancelled, "left before the request's final status").about(serial));
                }
                cancelled = true;
                context.out.say("cancelling; press ctrl-c again to leave without waiting");
                client.cancel(serial).await?;
                continue;
            }
            () = &mut give_up => {
                let message = "the waiting time has ended, and the host did not say what became of the call";
                return Err(Failure::new(Code::WaitEnded, message).about(serial));
            }
        };
        match (message.kind, &message.progress) {
            (MessageKind::Accepted, _) if detached => return Ok(None),
            (MessageKind::Accepted | MessageKind::Started, _) => {}
            (MessageKind::Progress, Some(progress)) => watch.show(serial, progress)?,
            (MessageKind::Reply, _) => return Ok(Some(message)),
            (kind, _) => {
                return Err(match message.fault {
                    Some(fault) => fault.into(),
                    None => unexpected(kind),
                });
            }
        }
    }
}

fn accepted(serial: Serial, data: Option<&str>, context: &Context) -> Done {
    let mut document = serde_json::json!({ "ok": true, "serial": serial });
    if let (Some(data), Some(members)) = (data, document.as_object_mut()) {
        members.insert("data".into(), json::parse(data).unwrap_or_default());
    }
    context.out.either(&document, || serial.to_string())
}

fn settle(message: Message, serial: Serial, row: &MethodRow, context: &Context) -> Done {
    let Message {
        body,
        fault,
        generation,
        elapsed_us,
        data,
        ..
    } = message;
    let answer = Answer {
        ty: &row.ty,
        body: &body,
        serial: Some(serial),
        generation,
        elapsed_us,
        data: data.as_ref(),
        warnings: &[],
    };
    match fault {
        None => answer.write(context.out),
        Some(fault) if fault.kind() == Kind::GuestError && !body.is_empty() => Err(answer.own_error(fault)),
        Some(fault) => {
            let mut failure = explained(fault, row).about(serial);
            failure.data = data;
            Err(failure)
        }
    }
}

/// A fault, with what this program knows that the host did not say.
fn explained(fault: Fault, row: &MethodRow) -> Box<Failure> {
    let signature = odeon_protocol::signature(&row.function, &row.ty);
    let is_about_arguments = fault.kind() == Kind::InvalidArgument;
    let failure: Box<Failure> = fault.into();
    if is_about_arguments {
        failure.helped(signature)
    } else {
        failure
    }
}

/// How a method of a loaded plugin is named.
const FORM: &str = "PLUGIN/FUNCTION";

impl<'a> Asked<'a> {
    fn parse(args: &'a Args, json: Option<&'a str>) -> Done<Self> {
        let text = args.method.as_str();
        let hint = |failure: Box<Failure>| {
            failure.helped("`odeon list` shows the plugins, `odeon describe PLUGIN` their methods")
        };
        if !text.contains('(') {
            return Ok(Asked {
                method: Written::read(text, 0..text.len(), FORM).map_err(hint)?,
                given: json.map_or(Given::Words(&args.arguments), Given::Json),
            });
        }
        if json.is_some() || !args.arguments.is_empty() {
            let message = format!("{text} has its arguments already; expected no others behind it");
            return Err(Failure::usage(message)
                .helped("write odeon call 'plugin/function(1, 2)', or odeon call plugin/function 1 2"));
        }
        Ok(Asked {
            method: path_of(text, FORM).map_err(hint)?,
            given: Given::Call(text),
        })
    }
}

async fn methods(client: &mut Client, name: &PluginName) -> Done<Vec<MethodRow>> {
    client.admin(&AdminRequest::Methods { name: name.clone() }).await
}

fn deadline(wait: TimeSpan) -> Done<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| {
        Failure::new(
            Code::Internal,
            format!("the system's clock stands before 1970: {error}"),
        )
    })?;
    Ok(milliseconds(now.saturating_add(wait.duration())))
}

/// The text of `--args`, from standard input if it says so.
fn read_args(given: &str) -> Done<String> {
    if given != "-" {
        return Ok(given.to_owned());
    }
    let mut text = String::new();
    let wrong =
        |error: std::io::Error| Failure::usage(format!("--args -: standard input cannot be read: {error}"));
    std::io::stdin()
        .take(MAX_BODY as u64 + 1)
        .read_to_string(&mut text)
        .map_err(wrong)?;
    if text.len() > MAX_BODY {
        let message = format!(
            "--args -: expected at most {} MiB of JSON, found more",
            MAX_BODY >> 20
        );
        return Err(Failure::new(Code::MessageTooLarge, message));
    }
    Ok(text)
}

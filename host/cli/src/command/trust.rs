//! `odeon trust`: what may be loaded. Edits the trust policy that the
//! host of the state directory reads, wherever that is; a running host reads it at every load. Each change is in the
//! audit before it takes effect.

mod deputy;

use std::path::Path;

use odeon_authority::{
    Audit, AuditError, Event, Ledger, NamePattern, Policy, PolicyEdit, Principal, PublicKey, Selector,
    SigningKey, Trust, TrustRow,
};
use odeon_protocol::{Code, Digest, PluginName};

use super::{Context, audit::HOST_KEY};
use crate::{
    failure::Failure,
    output::{Done, clean, lines, table},
    tokens::grant_set,
    whereabouts::{VERSIONS, policy_of},
};

/// Flags of `trust`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Let in what a key signed, or these very bytes
    Add(Add),
    /// List the rows
    List,
    /// Keep something out, or take a grant away, from now on
    Revoke(Revoke),
    /// Say who may use his own grants while he works for other plugins
    #[command(subcommand)]
    Deputy(deputy::Verb),
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("subject").required(true).args(["key", "digest"])))]
struct Add {
    /// A public key: its .pub file, or its text (ed25519:…)
    #[arg(long, value_name = "KEY.pub")]
    key: Option<String>,
    /// A component's digest, as `verify` and `list` show it
    #[arg(long)]
    digest: Option<Digest>,
    /// A name it may be loaded under, or a beginning with * [default: any]
    #[arg(long = "name", value_name = "PATTERN")]
    names: Vec<NamePattern>,
    /// The most it may be granted, as for load [default: what the operator grants]
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<String>,
    /// Nothing but this key may use the names, which must be whole names then
    #[arg(long, requires = "key", requires = "names")]
    pin: bool,
    /// A note for the list
    #[arg(long)]
    comment: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("subject").required(true).multiple(true).args(["what", "key", "digest", "name", "grants"])))]
struct Revoke {
    /// What the policy has: a key (its .pub file, its text, or its id), a digest, or a name
    #[arg(conflicts_with_all = ["key", "digest"])]
    what: Option<String>,
    /// A key, known or not: its .pub file or its text; or the id of a known one
    #[arg(long, conflicts_with = "digest")]
    key: Option<String>,
    /// A component's digest, known or not
    #[arg(long)]
    digest: Option<Digest>,
    /// A name, or a beginning with *, known or not
    #[arg(long, value_name = "PATTERN", conflicts_with_all = ["what", "key", "digest"])]
    name: Option<NamePattern>,
    /// Not the plugin: only this, from plugins of that name [default: from all], whatever else allows it
    #[arg(long = "grant", value_name = "GRANT", conflicts_with_all = ["what", "key", "digest"])]
    grants: Vec<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    match &args.verb {
        Verb::Add(args) => add(args, context),
        Verb::List => list(context),
        Verb::Revoke(args) => revoke(args, context),
        Verb::Deputy(verb) => deputy::run(verb, context),
    }
}

fn add(args: &Add, context: &Context) -> Done {
    let grants = grant_set(&args.grants)?;
    let comment = args.comment.as_deref();
    let key = args.key.as_deref().map(read_key).transpose()?;
    let pins = if args.pin {
        args.names.iter().map(whole_name).collect::<Done<Vec<_>>>()?
    } else {
        Vec::new()
    };
    let state = context.whereabouts.made_state_dir()?;
    let mut edit = PolicyEdit::open(&policy_of(&state)?)?;
    let subject = match (&key, &args.digest) {
        (Some(key), _) => {
            edit.allow_key(key, &args.names, grants.as_ref(), comment)?;
            for name in &pins {
                edit.pin(name, key)?;
            }
            key.to_string()
        }
        (None, Some(digest)) => {
            edit.allow_digest(digest, &args.names, grants.as_ref(), comment)?;
            digest.to_string()
        }
        (None, None) => return Err(Failure::usage("expected --key or --digest")),
    };
    record(&state, &format!("add {subject}{}", told(args)))?;
    let policy = edit.save()?;
    let rows: Vec<TrustRow> = policy
        .rows()
        .into_iter()
        .filter(|row| row.subject == subject)
        .collect();
    context
        .out
        .either(&serde_json::json!({ "trust": rows }), || text(&rows))
}

fn list(context: &Context) -> Done {
    let rows = match context.whereabouts.state_dir() {
        Some(state) => Policy::load(&policy_of(&state)?)?.rows(),
        None => Vec::new(),
    };
    if rows.is_empty() && !context.out.is_json() {
        context
            .out
            .say("nothing is trusted, so nothing may be loaded; see `odeon trust add --help`");
        return Ok(());
    }
    context
        .out
        .either(&serde_json::json!({ "trust": rows }), || text(&rows))
}

/// Takes grants away, and leaves the plugins.
fn take_away(args: &Revoke, context: &Context) -> Done {
    let Some(denied) = grant_set(&args.grants)? else {
        return Err(Failure::usage("expected --grant"));
    };
    let names = match &args.name {
        Some(names) => names.clone(),
        None => "*"
            .parse::<NamePattern>()
            .map_err(|error| Failure::usage(error.to_string()))?,
    };
    let state = context.whereabouts.made_state_dir()?;
    let mut edit = PolicyEdit::open(&policy_of(&state)?)?;
    edit.take_away(&names, &denied)?;
    let lines = denied.lines();
    let change = format!("revoke --grant {} --name {names}", lines.join(" --grant "));
    // Nor does taking away.
    if let Err(failure) = record(&state, &change) {
        context
            .out
            .say(&format!("note: revoked all the same: {}", failure.fault.message));
    }
    edit.save()?;
    let document =
        serde_json::json!({ "revoked": lines.join(" "), "kind": "grant", "name": names.to_string() });
    context
        .out
        .either(&document, || format!("revoked {} from {names}", lines.join(" ")))
}

fn revoke(args: &Revoke, context: &Context) -> Done {
    if !args.grants.is_empty() {
        return take_away(args, context);
    }
    // First what is wrong with the words: a policy is not needed to see that.
    let named = match args {
        Revoke {
            digest: Some(digest), ..
        } => Some(Selector::Digest(*digest)),
        Revoke { name: Some(name), .. } => Some(Selector::Name(name.clone())),
        Revoke { key: Some(key), .. } => Some(match key.parse() {
            Ok(id) => Selector::KeyId(id),
            Err(_) => Selector::Key(read_key(key)?),
        }),
        _ => None,
    };
    let state = context.whereabouts.present_state_dir()?;
    let mut edit = PolicyEdit::open(&policy_of(&state)?)?;
    let selector = match (named, &args.what) {
        (Some(selector), _) => selector,
        (None, Some(what)) => known(what, &edit.policy().rows(), &state)?,
        (None, None) => return Err(Failure::usage("expected what to revoke")),
    };
    let kind = match &selector {
        Selector::Key(_) | Selector::KeyId(_) => "key",
        Selector::Digest(_) => "digest",
        Selector::Name(_) => "name",
    };
    let subject = edit.revoke(&selector)?;
    // Keeping something out does not wait for a record that is damaged.
    if let Err(failure) = record(&state, &format!("revoke {kind} {subject}")) {
        context
            .out
            .say(&format!("note: revoked all the same: {}", failure.fault.message));
    }
    edit.save()?;
    context
        .out
        .either(&serde_json::json!({ "revoked": subject, "kind": kind }), || {
            format!("revoked {kind} {subject}")
        })
}

/// What a bare word stands for. It has to be something that the policy, or
/// what was loaded, knows: a denial of a misspelt word would look like one of
/// the thing that was meant.
fn known(text: &str, rows: &[TrustRow], state: &Path) -> Done<Selector> {
    let absent = |what: &str| {
        let message = format!("{what} is no row of the trust policy, so there is nothing to revoke");
        Failure::new(Code::FileUnreadable, message).helped("`odeon trust list` shows the rows")
    };
    let has = |kinds: &[&str], subject: &str| {
        rows.iter()
            .any(|row| kinds.contains(&row.kind) && row.subject == subject)
    };
    let key = match Path::new(text).is_file() {
        true => Some(PublicKey::load(Path::new(text))?),
        false => text.parse::<PublicKey>().ok(),
    };
    if let Some(key) = key {
        let known = rows.iter().any(|row| row.key_id == Some(key.id()));
        return match known {
            true => Ok(Selector::Key(key)),
            false => Err(absent(&format!("the key {key}")).helped(format!(
                "to keep it out from now on: odeon trust revoke --key {key}"
            ))),
        };
    }
    if let Ok(digest) = text.parse::<Digest>() {
        return match has(&["digest"], &digest.to_string()) {
            true => Ok(Selector::Digest(digest)),
            false => Err(absent(&digest.to_string()).helped(format!(
                "to keep these bytes out from now on: odeon trust revoke --digest {digest}"
            ))),
        };
    }
    if let Ok(id) = text.parse() {
        // Whether the policy has it, its own edit says.
        return Ok(Selector::KeyId(id));
    }
    let pattern: Option<NamePattern> = text.parse().ok();
    let is_file_name = text.contains('/') || Path::new(text).extension().is_some_and(|end| end == "pub");
    match pattern {
        Some(pattern) if !is_file_name && is_known(&pattern, rows, state) => Ok(Selector::Name(pattern)),
        _ => {
            let message = format!(
                "{}: expected a key file, a key, its id, a digest or a name of the trust policy; found no such file \
                 and no such row",
                clean(text)
            );
            Err(Failure::new(Code::FileUnreadable, message)
                .helped("`odeon trust list` shows the rows; a name is denied with --name PATTERN"))
        }
    }
}

/// Whether the policy names this, or something was accepted under this name.
fn is_known(pattern: &NamePattern, rows: &[TrustRow], state: &Path) -> bool {
    let text = pattern.to_string();
    let name: Option<PluginName> = text.parse().ok();
    let fits = |other: &str| {
        let matches = |name| {
            other
                .parse::<NamePattern>()
                .is_ok_and(|other| other.matches(name))
        };
        other == text || name.as_ref().is_some_and(matches)
    };
    let in_policy = rows.iter().any(|row| {
        let is_name = row.kind == "name" || row.kind == "pin";
        (is_name && fits(&row.subject)) || row.names.iter().any(|other| fits(other))
    });
    let was_accepted = || {
        let ledger = Ledger::open(&state.join(VERSIONS)).ok();
        ledger.is_some_and(|ledger| name.as_ref().is_some_and(|name| ledger.accepted(name).is_some()))
    };
    in_policy || was_accepted()
}

/// Writes a change down before it takes effect.
fn record(state: &Path, change: &str) -> Done {
    let failed = |error: AuditError| Failure::new(error.code(), error.to_string());
    let key = SigningKey::load_or_create(&state.join(HOST_KEY))
        .map_err(|error| Failure::new(Code::AuditUnwritable, error.to_string()))?;
    let principal = Principal::LocalUser {
        uid: rustix::process::getuid().as_raw(),
    };
    let event = Event::TrustChange {
        change: change.into(),
        principal: principal.to_string().into(),
    };
    let audit = Audit::open(state, key).map_err(failed)?;
    audit.append(event).map_err(failed)?;
    Ok(())
}

/// The rest of an `add`, for the audit.
fn told(args: &Add) -> String {
    let mut text = String::new();
    for name in &args.names {
        text.push_str(&format!(" --name {name}"));
    }
    for grant in &args.grants {
        // A value in a grant may be a secret.
        let shown = match grant.strip_prefix("env=").and_then(|env| env.split_once('=')) {
            Some((name, _)) => format!("env={name}=…"),
            None => grant.clone(),
        };
        text.push_str(&format!(" --grant {shown}"));
    }
    if args.pin {
        text.push_str(" --pin");
    }
    text
}

/// A public key, or the file that has one.
pub(super) fn read_key(text: &str) -> Done<PublicKey> {
    if text.starts_with("ed25519:") {
        return Ok(text.parse()?);
    }
    Ok(PublicKey::load(Path::new(text))?)
}

fn whole_name(pattern: &NamePattern) -> Done<PluginName> {
    pattern
        .to_string()
        .parse()
        .map_err(|_| Failure::usage(format!("--pin: expected a whole name, found {pattern}")))
}

fn text(rows: &[TrustRow]) -> String {
    let mut table = table(&["decision", "kind", "subject", "id", "names", "grants", "note"]);
    for row in rows {
        let mut grants = match &row.grants {
            None => "no ceiling".to_owned(),
            Some(grants) if grants.is_empty() => "none".to_owned(),
            Some(grants) => grants.join(" "),
        };
        if let Some(without) = &row.without {
            grants.push_str(&format!(" without {}", without.join(" ")));
        }
        table.add_row([
            match row.decision {
                Trust::Allow => "allow",
                Trust::Deny => "deny",
            }
            .to_owned(),
            row.kind.to_owned(),
            row.subject.clone(),
            row.key_id.map_or("-".to_owned(), |id| id.to_string()),
            if row.kind == "deputy" {
                format!("for {}", row.names.join(" "))
            } else if row.names.is_empty() {
                "any".to_owned()
            } else {
                row.names.join(" ")
            },
            grants,
            clean(row.comment.as_deref().unwrap_or("-")),
        ]);
    }
    lines(&table)
}

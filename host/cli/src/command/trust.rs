//! `odeon trust`: what may be loaded. Edits the trust policy that the host of
//! the state directory reads, wherever that is; a running host reads it at every
//! load.

use std::path::Path;

use odeon_authority::{NamePattern, Policy, PolicyEdit, PublicKey, Selector, Trust, TrustRow};
use odeon_protocol::{Digest, PluginName};

use super::Context;
use crate::{
    failure::Failure,
    output::{Done, clean, lines, table},
    tokens::grant_set,
    whereabouts::policy_of,
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
    /// Keep something out from now on
    Revoke(Revoke),
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
#[command(group(clap::ArgGroup::new("subject").required(true).args(["what", "key", "digest", "name"])))]
struct Revoke {
    /// A key (its .pub file, its text, or its id), a digest, or a name pattern
    what: Option<String>,
    /// A key: its .pub file, its text, or its id
    #[arg(long)]
    key: Option<String>,
    /// A component's digest
    #[arg(long)]
    digest: Option<Digest>,
    /// A name, or a beginning with *
    #[arg(long, value_name = "PATTERN")]
    name: Option<NamePattern>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    match &args.verb {
        Verb::Add(args) => add(args, context),
        Verb::List => list(context),
        Verb::Revoke(args) => revoke(args, context),
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
    let mut edit = PolicyEdit::open(&policy_of(&context.whereabouts.made_state_dir()?)?)?;
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

fn revoke(args: &Revoke, context: &Context) -> Done {
    let selector = match args {
        Revoke {
            digest: Some(digest), ..
        } => Selector::Digest(*digest),
        Revoke { name: Some(name), .. } => Selector::Name(name.clone()),
        Revoke { key: Some(key), .. } => match key.parse() {
            Ok(id) => Selector::KeyId(id),
            Err(_) => Selector::Key(read_key(key)?),
        },
        Revoke { what: Some(what), .. } => selector(what)?,
        _ => return Err(Failure::usage("expected what to revoke")),
    };
    let mut edit = PolicyEdit::open(&policy_of(&context.whereabouts.made_state_dir()?)?)?;
    let subject = edit.revoke(&selector)?;
    edit.save()?;
    context
        .out
        .either(&serde_json::json!({ "revoked": subject }), || {
            format!("revoked {subject}")
        })
}

fn selector(text: &str) -> Done<Selector> {
    if Path::new(text).is_file() {
        return Ok(Selector::Key(PublicKey::load(Path::new(text))?));
    }
    text.parse().map_err(|_| {
        let message = format!(
            "expected a key, a digest or a name pattern, found {:?}",
            clean(text)
        );
        Failure::usage(message).helped("a key is a .pub file, ed25519:… or the 16 digits of its id")
    })
}

fn read_key(text: &str) -> Done<PublicKey> {
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
        let grants = match &row.grants {
            None => "no ceiling".to_owned(),
            Some(grants) if grants.is_empty() => "none".to_owned(),
            Some(grants) => grants.join(" "),
        };
        table.add_row([
            match row.decision {
                Trust::Allow => "allow",
                Trust::Deny => "deny",
            }
            .to_owned(),
            row.kind.to_owned(),
            row.subject.clone(),
            row.key_id.map_or("-".to_owned(), |id| id.to_string()),
            if row.names.is_empty() {
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

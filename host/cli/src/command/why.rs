//! `odeon why`: why a plugin is not loaded, was denied something or was stopped,
//! from the audit itself. Needs no daemon.

use odeon_authority::{Moment, Records, Why, why};
use odeon_protocol::{Code, PluginName};
use serde::Serialize;

use super::{Context, audit::unaudited};
use crate::{
    failure::Failure,
    output::{Done, clean, lines, table},
};

/// Flags of `why`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plugin
    name: PluginName,
}

#[derive(Serialize)]
struct Document {
    why: Why,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let state = context.whereabouts.present_state_dir()?;
    let records = Records::open(&state).map_err(unaudited)?;
    let why = why(records, &args.name).ok_or_else(|| {
        let message = format!("the audit says nothing about a plugin {}", args.name);
        Failure::new(Code::PluginNotFound, message).helped(
            "`odeon audit --tail 100` shows what was asked for; a load that named no plugin is there as well",
        )
    })?;
    let document = Document { why };
    context.out.either(&document, || text(&document.why))
}

fn text(why: &Why) -> String {
    let generation = why.generation.unwrap_or(0);
    let stands = match (why.serving, why.generation) {
        (true, _) => format!("{}: generation {generation} serves, by the record", why.name),
        (false, Some(_)) => format!("{}: not loaded; generation {generation} was the last", why.name),
        (false, None) => format!("{}: not loaded, and never was", why.name),
    };
    let mut text = vec![stands];
    match &why.because {
        Some(because) => text.extend(explained(because)),
        None => text.push("nothing was denied, stopped or refused since".to_owned()),
    }
    let mut rows = table(&["seq", "time", "event", "code", "what"]);
    for moment in &why.history {
        let code = moment.code.map_or("", Code::as_str);
        let counted = match moment.count {
            Some(count) if count > 1 => format!(" ({count} times)"),
            _ => String::new(),
        };
        rows.add_row([
            &moment.seq.to_string(),
            seconds(moment),
            &event(moment),
            code,
            &clean(&format!("{}{counted}", moment.message)),
        ]);
    }
    text.push(String::new());
    text.push(lines(&rows));
    text.join("\n")
}

/// The one line that explains how it stands, field by field.
fn explained(moment: &Moment) -> Vec<String> {
    let field = |name: &str, text: &str| format!("  {name:<8} {}", clean(text));
    let mut text = vec![field(
        "what",
        &match moment.code {
            Some(code) => format!("{} {code}: {}", event(moment), moment.message),
            None => format!("{}: {}", event(moment), moment.message),
        },
    )];
    text.push(field(
        "when",
        &format!("{} (record {})", seconds(moment), moment.seq),
    ));
    text.extend(moment.rule.as_ref().map(|rule| field("rule", rule)));
    text.extend(
        moment
            .count
            .filter(|count| *count > 1)
            .map(|count| field("times", &count.to_string())),
    );
    text.extend(
        moment
            .mismatches
            .iter()
            .map(|mismatch| field("mismatch", mismatch)),
    );
    text.extend(moment.fix.as_ref().map(|fix| field("do", fix)));
    text
}

fn seconds(moment: &Moment) -> &str {
    moment.time.split('.').next().unwrap_or_default()
}

/// The word for what happened, as it is in JSON.
fn event(moment: &Moment) -> String {
    match serde_json::to_value(moment.event) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

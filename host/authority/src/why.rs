//! Why a plugin is not loaded, was denied something, or was stopped: from the
//! record alone.
//!
//! Owns which lines of the audit are about a plugin, what they say in words, and
//! what to do. Reads lines and decides nothing; works without a host.
//!
//! However long the log is, what is kept of it is bounded: the newest lines of
//! each kind.

mod advice;

use std::collections::{BTreeMap, VecDeque};

use odeon_protocol::{Code, PluginName};
use serde::Serialize;
use serde_json::Value;

use crate::audit::Record;

/// What the record says about a plugin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Why {
    /// The plugin.
    pub name: PluginName,
    /// Whether it serves, by the record.
    pub serving: bool,
    /// The generation that serves, or served last.
    pub generation: Option<u64>,
    /// What explains how it stands: why it does not serve, or what was last
    /// denied, stopped or brought back while it does. Nothing if all went well.
    pub because: Option<Moment>,
    /// The newest lines of each kind, the oldest first.
    pub history: Vec<Moment>,
}

/// A line of the audit that is about a plugin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// The number of the line.
    pub seq: u64,
    /// When it was written.
    pub time: String,
    /// What happened.
    pub event: Kind,
    /// The stable code, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What happened, in words.
    pub message: String,
    /// Everything that does not fit, where more than one thing may not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mismatches: Vec<String>,
    /// How often, for what is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// What happened to a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A component was let in under its name.
    Allowed,
    /// One was not, or is not any more.
    Refused,
    /// One that was let in did not get into service.
    LoadFailed,
    /// It was put into service.
    Loaded,
    /// It took another generation's place.
    Replaced,
    /// The generation before came back.
    RolledBack,
    /// It was taken out of service.
    Unloaded,
    /// It was taken out because nothing lets it in any more.
    Revoked,
    /// What it may use was changed while it was loaded.
    Regranted,
    /// It used what it has no grant for.
    Denied,
    /// A limit stopped it.
    Stopped,
    /// A call of it that trapped left a core dump, or none although one was wanted.
    Dumped,
    /// The host began or ended to serve, and nothing is loaded by that.
    Restarted,
}

/// How many lines of one kind are kept.
const OF_A_KIND: usize = 10;

/// What the records say about a plugin of this name; nothing if there is none.
pub fn why(records: impl IntoIterator<Item = Record>, name: &PluginName) -> Option<Why> {
    let mut kept: BTreeMap<Kind, VecDeque<Moment>> = BTreeMap::new();
    let (mut serving, mut generation, mut since) = (false, None, 0);
    for record in records {
        let Some(moment) = moment(&record, name, serving) else {
            continue;
        };
        match moment.event {
            Kind::Loaded | Kind::Replaced | Kind::RolledBack => {
                (serving, since) = (true, record.seq);
                generation = number(&record.event, "to").or(number(&record.event, "generation"));
            }
            Kind::Unloaded | Kind::Revoked | Kind::Restarted => serving = false,
            // Its line that it went into service was written before it could not.
            Kind::LoadFailed if record.event.get("step").and_then(Value::as_str) == Some("publish") => {
                let before = number(&record.event, "serving");
                (serving, generation) = (before.is_some(), before.or(generation));
            }
            _ => {}
        }
        let of_kind = kept.entry(moment.event).or_default();
        if of_kind.len() >= OF_A_KIND {
            of_kind.pop_front();
        }
        of_kind.push_back(moment);
    }
    if kept.keys().all(|kind| *kind == Kind::Restarted) {
        return None;
    }
    let mut history: Vec<Moment> = kept.into_values().flatten().collect();
    history.sort_by_key(|moment| moment.seq);
    let explains = |moment: &&Moment| match moment.event {
        // What went wrong before it came to serve is over.
        Kind::Refused | Kind::LoadFailed | Kind::Denied | Kind::Stopped | Kind::RolledBack if serving => {
            moment.seq >= since
        }
        Kind::Refused | Kind::LoadFailed | Kind::Unloaded | Kind::Revoked | Kind::Restarted => !serving,
        _ => false,
    };
    let newest = history.iter().rev().find(explains);
    Some(Why {
        name: name.clone(),
        serving,
        generation,
        because: newest.map(|newest| cause(newest, &history)).cloned(),
        history,
    })
}

/// The decision that a plugin was taken out by says more than that it was.
fn cause<'a>(newest: &'a Moment, history: &'a [Moment]) -> &'a Moment {
    let before = |moment: &&Moment| moment.event == Kind::Refused && moment.seq < newest.seq;
    match newest.event {
        Kind::Revoked => history.iter().rev().find(before).unwrap_or(newest),
        _ => newest,
    }
}

/// What a line says about the plugin, if it is about it.
fn moment(record: &Record, name: &PluginName, serving: bool) -> Option<Moment> {
    let event = &record.event;
    let text = |field: &str| event.get(field).and_then(Value::as_str).unwrap_or_default();
    let kind = text("kind");
    let is_host = matches!(kind, "start" | "stop");
    let about = [text("name"), text("plugin")];
    if is_host && !serving || !is_host && !about.contains(&name.as_str()) {
        return None;
    }
    let generation = |field: &str| number(event, field).unwrap_or(0);
    let by = || format!("by {}", text("principal"));
    let digest = text("digest");
    let (event_kind, message) = match kind {
        "decision" if event.get("allowed") == Some(&Value::Bool(true)) => {
            (Kind::Allowed, format!("{digest} was let in, asked for {}", by()))
        }
        "decision" => (Kind::Refused, text("reason").to_owned()),
        "load-failed" => {
            let goes_on = number(event, "serving")
                .map(|serving| format!("; generation {serving} serves on"))
                .unwrap_or_default();
            let message = format!("{} failed: {}{goes_on}", step(text("step")), text("reason"));
            (Kind::LoadFailed, message)
        }
        "load" => (
            Kind::Loaded,
            format!(
                "generation {} went into service {}",
                generation("generation"),
                by()
            ),
        ),
        "replace" => (
            Kind::Replaced,
            format!(
                "generation {} took the place of generation {} {}",
                generation("to"),
                generation("from"),
                by()
            ),
        ),
        "rollback" => (
            Kind::RolledBack,
            format!(
                "generation {} was bad and the one before it came back as generation {}: {}",
                generation("from"),
                generation("to"),
                text("reason")
            ),
        ),
        "unload" => {
            let message = format!(
                "generation {} was taken out of service {}: {}",
                generation("generation"),
                by(),
                text("reason")
            );
            let event_kind = match text("reason") {
                "revoked" | "not let in any more" => Kind::Revoked,
                _ => Kind::Unloaded,
            };
            (event_kind, message)
        }
        "grant-change" => (Kind::Regranted, regranted(event, &by())),
        "denial" => {
            let chain = texts(event, "chain").join(" -> ");
            let for_others = match chain.as_str() {
                "" => String::new(),
                chain => format!(" while it worked for others ({chain})"),
            };
            let message = format!(
                "it was denied {} {}{for_others}: {}",
                text("grant"),
                text("target"),
                text("reason")
            );
            (Kind::Denied, message)
        }
        "core-dump" => {
            let left = match text("left_out") {
                "" => format!("a core dump: {}", text("file")),
                why => format!("no core dump: {why}"),
            };
            (Kind::Dumped, format!("a call that trapped left {left}"))
        }
        "limit-stop" => {
            let words = code(event).map_or("a limit stopped it", Code::summary);
            (Kind::Stopped, format!("in {}: {words}", text("method")))
        }
        "start" => (
            Kind::Restarted,
            "the host began to serve without having ended: it was killed".to_owned(),
        ),
        "stop" => (Kind::Restarted, format!("the host ended: {}", text("reason"))),
        _ => return None,
    };
    let code = code(event);
    let rule = match kind {
        "decision" | "grant-change" => Some(text("rule")),
        "limit-stop" => code.and_then(advice::limit),
        // Where nobody's word is known, the nearest thing to one is the reason.
        "denial" => [text("rule"), text("reason")]
            .into_iter()
            .find(|rule| !rule.is_empty()),
        _ => None,
    };
    let rule = rule.filter(|rule| !rule.is_empty());
    let chain = texts(event, "chain");
    Some(Moment {
        seq: record.seq,
        time: record.time.clone(),
        event: event_kind,
        code,
        rule: rule.map(str::to_owned),
        message,
        mismatches: texts(event, "mismatches")
            .into_iter()
            .map(str::to_owned)
            .collect(),
        count: number(event, "count"),
        fix: advice::of(event_kind, code, text("grant"), !chain.is_empty()),
    })
}

/// What was given and taken.
fn regranted(event: &Value, by: &str) -> String {
    let some = |field: &str, word: &str| match texts(event, field) {
        texts if texts.is_empty() => None,
        texts => Some(format!("{word} {}", texts.join(" "))),
    };
    let changes: Vec<String> = [some("added", "was granted"), some("removed", "lost")]
        .into_iter()
        .flatten()
        .collect();
    format!("it {} {by}", changes.join(" and "))
}

fn texts<'a>(event: &'a Value, field: &str) -> Vec<&'a str> {
    let list = event.get(field).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A step of a load, as people say it.
fn step(name: &str) -> &'static str {
    match name {
        "settle" => "settling its limits and configuration",
        "compile" => "compiling it",
        "link" => "linking its imports",
        "fit" => "fitting it into its limits",
        "hook" => "its own load",
        _ => "putting it into service",
    }
}

fn number(event: &Value, field: &str) -> Option<u64> {
    event.get(field).and_then(Value::as_u64)
}

fn code(event: &Value) -> Option<Code> {
    event.get("code").and_then(Value::as_str).and_then(Code::parse)
}

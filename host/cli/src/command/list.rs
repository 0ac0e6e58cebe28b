//! `odeon list`: what is loaded, and which descriptors are not. Owns the table
//! of plugins.

use odeon_protocol::{AdminRequest, PluginRow, PluginState, StatusReport};

use super::{Context, status};
use crate::{
    human,
    output::{Done, clean, lines, table},
};

pub(crate) fn run(context: &Context) -> Done {
    let StatusReport {
        plugins, descriptors, ..
    } = context.ask(&AdminRequest::Status {})?;
    for line in status::not_applied(&descriptors) {
        context.out.say(&line);
    }
    if plugins.is_empty() {
        context
            .out
            .say("nothing is loaded; `odeon load FILE` loads a component");
        if !context.out.is_json() {
            return Ok(());
        }
    }
    context.out.either(
        &serde_json::json!({ "plugins": plugins, "descriptors": descriptors }),
        || text(&plugins),
    )
}

/// The plugins as a table.
pub(crate) fn text(plugins: &[PluginRow]) -> String {
    let mut table = table(&[
        "name",
        "gen",
        "version",
        "state",
        "instance",
        "calls",
        "faults",
        "running",
        "memory",
        "signed by",
    ]);
    for plugin in plugins {
        table.add_row([
            plugin.name.to_string(),
            plugin.generation.to_string(),
            clean(plugin.version.as_deref().unwrap_or("-")),
            state(plugin.state).to_owned(),
            format!("{} {}", plugin.instance, plugin.class),
            plugin.calls.to_string(),
            plugin.faults.to_string(),
            plugin.in_flight.to_string(),
            human::size(plugin.memory_bytes),
            signers(plugin),
        ]);
    }
    lines(&table)
}

/// The word for a plugin's state.
pub(crate) fn state(state: PluginState) -> &'static str {
    match state {
        PluginState::Ready => "ready",
        PluginState::Draining => "draining",
        PluginState::Unknown => "unknown",
    }
}

fn signers(plugin: &PluginRow) -> String {
    let signers = plugin.signed_by.join(", ");
    match (signers.is_empty(), plugin.transient) {
        (true, true) => "- (transient)".into(),
        (true, false) => "-".into(),
        (false, true) => format!("{signers} (transient)"),
        (false, false) => signers,
    }
}

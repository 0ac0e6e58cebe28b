//! `odeon trust deputy`: who may use his own grants while he works for others.

use odeon_authority::{NamePattern, Policy, PolicyEdit, TrustRow};
use odeon_protocol::PluginName;

use super::{record, text};
use crate::{command::Context, output::Done, whereabouts::policy_of};

/// Flags of `trust deputy`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Let a plugin use its own grants while it works for these
    Add {
        /// The plugin that acts
        plugin: PluginName,
        /// A plugin that it acts for, or a beginning of names with *
        #[arg(long = "for", value_name = "PATTERN", required = true)]
        acts_for: Vec<NamePattern>,
    },
    /// End that
    Remove {
        /// The plugin that acts
        plugin: PluginName,
        /// For whom, as it is listed [default: for all]
        #[arg(long = "for", value_name = "PATTERN")]
        acts_for: Vec<NamePattern>,
    },
    /// List who may
    List,
}

pub(super) fn run(verb: &Verb, context: &Context) -> Done {
    let told = |what: &str, plugin: &PluginName, acts_for: &[NamePattern]| {
        let others = acts_for.iter().map(|other| format!(" --for {other}"));
        format!("deputy {what} {plugin}{}", others.collect::<String>())
    };
    let policy = match verb {
        Verb::List => match context.whereabouts.state_dir() {
            Some(state) => Policy::load(&policy_of(&state)?)?,
            None => Policy::default(),
        },
        Verb::Add { plugin, acts_for } => {
            let state = context.whereabouts.made_state_dir()?;
            let mut edit = PolicyEdit::open(&policy_of(&state)?)?;
            edit.add_deputy(plugin, acts_for)?;
            record(&state, &told("add", plugin, acts_for))?;
            edit.save()?
        }
        Verb::Remove { plugin, acts_for } => {
            let state = context.whereabouts.present_state_dir()?;
            let mut edit = PolicyEdit::open(&policy_of(&state)?)?;
            edit.remove_deputy(plugin, acts_for)?;
            // Taking away does not wait for a record that is damaged.
            if let Err(failure) = record(&state, &told("remove", plugin, acts_for)) {
                let message = &failure.fault.message;
                context.out.say(&format!("note: removed all the same: {message}"));
            }
            edit.save()?
        }
    };
    let rows: Vec<TrustRow> = policy
        .rows()
        .into_iter()
        .filter(|row| row.kind == "deputy")
        .collect();
    if rows.is_empty() && !context.out.is_json() {
        context
            .out
            .say("no plugin acts for another: each may use what those it works for may use as well");
        return Ok(());
    }
    context
        .out
        .either(&serde_json::json!({ "trust": rows }), || text(&rows))
}

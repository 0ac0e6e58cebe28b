//! Changes of what plugins may use: grants that are taken away, and deputies.

use odeon_protocol::PluginName;
use toml_edit::{Array, Item, Table, value};

use super::{NamePattern, PolicyEdit, PolicyEditError, Trust, holds};
use crate::grant::GrantSet;

impl PolicyEdit {
    /// Takes these grants away from plugins of these names, from now on and
    /// whatever else allows them.
    pub fn take_away(&mut self, names: &NamePattern, denied: &GrantSet) -> Result<(), PolicyEditError> {
        let subject = names.to_string();
        let rows = self.policy.names.iter();
        if rows
            .filter(|row| row.decision == Trust::Deny)
            .any(|row| row.name == *names)
        {
            // Nothing of that name is let in.
            return Ok(());
        }
        let rows = self.tables("name")?;
        if !rows.iter().any(|row| holds(row, "name", &subject)) {
            let mut row = Table::new();
            row.insert("name", value(subject.as_str()));
            rows.push(row);
        }
        let row = rows.iter_mut().find(|row| holds(row, "name", &subject));
        let list = row.map(|row| row.entry("without").or_insert_with(|| value(Array::new())));
        // A table of grants is an operator's own way of writing them.
        let list = list.and_then(Item::as_array_mut);
        let list = list.ok_or(PolicyEditError::Form("name.without"))?;
        add(list, denied.complete_lines());
        self.reread()
    }

    /// Lets a plugin use its own grants while it works for these.
    pub fn add_deputy(
        &mut self,
        plugin: &PluginName,
        acts_for: &[NamePattern],
    ) -> Result<(), PolicyEditError> {
        let rows = self.tables("deputy")?;
        if !rows.iter().any(|row| holds(row, "plugin", plugin.as_str())) {
            let mut row = Table::new();
            row.insert("plugin", value(plugin.as_str()));
            row.insert("for", value(Array::new()));
            rows.push(row);
        }
        let row = rows.iter_mut().find(|row| holds(row, "plugin", plugin.as_str()));
        let list = row
            .and_then(|row| row.get_mut("for"))
            .and_then(Item::as_array_mut);
        let list = list.ok_or(PolicyEditError::Form("deputy.for"))?;
        add(list, acts_for.iter().map(NamePattern::to_string));
        self.reread()
    }

    /// Ends that, for these as they are written, or for all.
    pub fn remove_deputy(
        &mut self,
        plugin: &PluginName,
        acts_for: &[NamePattern],
    ) -> Result<(), PolicyEditError> {
        let known = self.policy.acts_for(plugin);
        let unknown = acts_for.iter().find(|other| !known.contains(other));
        if known.is_empty() || unknown.is_some() {
            return Err(PolicyEditError::NoDeputy {
                plugin: plugin.clone(),
                other: unknown.map_or_else(|| "anybody".to_owned(), NamePattern::to_string),
            });
        }
        let gone: Vec<String> = acts_for.iter().map(NamePattern::to_string).collect();
        let rows = self.tables("deputy")?;
        for row in rows
            .iter_mut()
            .filter(|row| holds(row, "plugin", plugin.as_str()))
        {
            if let Some(list) = row.get_mut("for").and_then(Item::as_array_mut) {
                list.retain(|other| {
                    !gone.is_empty()
                        && other
                            .as_str()
                            .is_none_or(|other| !gone.iter().any(|gone| gone == other))
                });
            }
        }
        let is_empty = |row: &Table| {
            row.get("for")
                .and_then(Item::as_array)
                .is_some_and(Array::is_empty)
        };
        rows.retain(|row| !(holds(row, "plugin", plugin.as_str()) && is_empty(row)));
        self.reread()
    }
}

/// Adds what is not there yet.
fn add(list: &mut Array, texts: impl IntoIterator<Item = String>) {
    for text in texts {
        if !list.iter().any(|there| there.as_str() == Some(text.as_str())) {
            list.push(text);
        }
    }
}

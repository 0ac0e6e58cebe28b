//! How the descriptors are, for operators.
//!
//! Owns the rows of `odeon status`, and the log's line whenever one of them
//! comes to be another.

use std::collections::BTreeMap;

use odeon_protocol::{DescriptorRow, DescriptorState};

use super::applied::FileName;
use super::plan::Row;

/// The longest message in a row, in characters.
const WORDS: usize = 1024;

/// The rows of a plan.
pub(crate) fn rows(rows: &BTreeMap<FileName, Row>) -> Vec<DescriptorRow> {
    let row = |(file, row): (&FileName, &Row)| DescriptorRow {
        file: file.to_string_lossy().into_owned(),
        plugin: row.plugin.clone(),
        generation: row.generation,
        state: row.state,
        code: row.problem.as_ref().map(|problem| problem.code),
        message: row.words().map(cut),
    };
    rows.iter().map(row).collect()
}

/// Says in the log what has changed from one plan to the next.
pub(crate) fn tell(before: &BTreeMap<FileName, Row>, after: &BTreeMap<FileName, Row>) {
    for (file, row) in after {
        // Where it waits, what comes of that is said.
        let was = before.get(file);
        let is_news = was.is_none_or(|was| was.state != row.state || was.problem != row.problem);
        if !is_news || row.state == DescriptorState::Waiting {
            continue;
        }
        let file = file.to_string_lossy();
        let plugin = row.plugin.as_ref().map(tracing::field::display);
        let why = row.words().map(cut);
        match &row.problem {
            Some(problem) => {
                tracing::error!(%file, plugin, code = %problem.code, why, "the descriptor is not applied");
            }
            None if why.is_some() => tracing::warn!(%file, plugin, why, "the descriptor is not applied"),
            None => tracing::info!(%file, plugin, "the descriptor is applied"),
        }
    }
    for file in before.keys().filter(|file| !after.contains_key(*file)) {
        tracing::info!(file = %file.to_string_lossy(), "the descriptor is gone");
    }
}

impl Row {
    fn words(&self) -> Option<&str> {
        let problem = self.problem.as_ref().map(|problem| problem.message.as_str());
        problem.or(self.note.as_deref())
    }
}

fn cut(message: &str) -> String {
    match message.char_indices().nth(WORDS) {
        Some((end, _)) => format!("{}…", message.get(..end).unwrap_or_default()),
        None => message.to_owned(),
    }
}

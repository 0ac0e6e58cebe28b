//! How far a call is, for whoever watches.
//!
//! Owns the three ways to show it: a bar on a terminal, lines on anything else
//! that people read, JSON lines for programs.

use indicatif::{ProgressBar, ProgressStyle};
use odeon_protocol::Serial;
use serde::Serialize;

use crate::{
    client::Progress,
    output::{Done, Output, clean, is_lively, note},
};

/// Where progress is shown.
pub(crate) enum Watch {
    /// Nowhere.
    Off,
    /// A bar on standard error.
    Bar(ProgressBar),
    /// A line each on standard error.
    Lines,
    /// A document each on standard output.
    Documents(Output),
}

#[derive(Serialize)]
struct Document<'a> {
    serial: Serial,
    progress: &'a Progress,
}

impl Watch {
    pub(crate) fn new(wanted: bool, out: Output) -> Self {
        match (wanted, out.is_json()) {
            (false, _) => Watch::Off,
            (true, true) => Watch::Documents(out),
            (true, false) if is_lively() => Watch::Bar(bar()),
            (true, false) => Watch::Lines,
        }
    }

    pub(crate) fn show(&self, serial: Serial, progress: &Progress) -> Done {
        match self {
            Watch::Off => {}
            Watch::Bar(bar) => {
                match progress.total {
                    Some(total) => bar.set_length(total),
                    None => bar.unset_length(),
                }
                bar.set_position(progress.completed);
                bar.set_message(clean(&progress.details));
            }
            Watch::Lines => note(&line(progress)),
            Watch::Documents(out) => return out.document(&Document { serial, progress }),
        }
        Ok(())
    }

    /// Takes the bar away, so that the result stands alone.
    pub(crate) fn end(&self) {
        if let Watch::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} [{bar:30}] {human_pos}/{human_len} {elapsed} {wide_msg}")
    {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar
}

fn line(progress: &Progress) -> String {
    let total = progress
        .total
        .map(|total| format!("/{total}"))
        .unwrap_or_default();
    let space = if progress.details.is_empty() { "" } else { " " };
    format!(
        "progress {}{total}{space}{}",
        progress.completed, progress.details
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_as_much_as_is_known() {
        let mut progress = Progress {
            completed: 3,
            total: Some(10),
            details: "a.txt".into(),
        };
        assert_eq!(line(&progress), "progress 3/10 a.txt");
        progress = Progress {
            completed: 3,
            total: None,
            details: String::new(),
        };
        assert_eq!(line(&progress), "progress 3");
    }
}

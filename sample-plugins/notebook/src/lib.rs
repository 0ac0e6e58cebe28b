//! Makes numbered pages of notes. The text is rendered by one plugin and counted by another; both are imports like any
//! other, which the operator links to plugins that export them.

odeon_sdk::plugin!();
odeon_sdk::panic_to_log!();

use exports::odeon_samples::notebook::notes::{Guest, Page};
use odeon_samples::counter::counting;
use odeon_samples::markdown::renderer;

struct Notebook;

impl Guest for Notebook {
    fn compose(markdown: String) -> Result<Page, String> {
        // Before a number is used up: if the renderer fails, this call ends here.
        let html = renderer::render(&markdown);
        let contents = renderer::outline(&markdown)
            .into_iter()
            .map(|heading| format!("{}{}", "  ".repeat(usize::from(heading.level) - 1), heading.text))
            .collect();
        let number =
            counting::increment(1).map_err(|full| format!("there is no number after {}", full.value))?;
        Ok(Page {
            number,
            contents,
            html,
        })
    }
}

export!(Notebook);

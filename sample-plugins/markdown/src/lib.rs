//! Renders Markdown. It imports nothing, so whatever a document does to it stays inside the call.

odeon_sdk::plugin!();

use exports::odeon_samples::markdown::renderer::{Guest, Heading};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

struct Markdown;

impl Guest for Markdown {
    fn render(markdown: String) -> String {
        // Rendered HTML is usually about half as long again.
        let mut page = String::with_capacity(markdown.len() + markdown.len() / 2);
        html::push_html(&mut page, parser(&markdown).map(as_text));
        page
    }

    fn outline(markdown: String) -> Vec<Heading> {
        let mut headings = Vec::new();
        let mut open: Option<Heading> = None;
        for event in parser(&markdown) {
            match event {
                Event::Start(Tag::Heading { level, .. }) => {
                    open = Some(Heading {
                        level: level as u8,
                        text: String::new(),
                    });
                }
                Event::End(TagEnd::Heading(_)) => headings.extend(open.take()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut open {
                        heading.text.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        headings
    }
}

fn parser(markdown: &str) -> Parser<'_> {
    Parser::new_ext(
        markdown,
        Options::ENABLE_TABLES
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS,
    )
}

/// Raw HTML becomes text: the page is shown to somebody who does not trust the document.
fn as_text(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
        event => event,
    }
}

export!(Markdown);

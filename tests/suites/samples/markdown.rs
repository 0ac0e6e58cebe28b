//! The renderer: a real crate over documents nobody vouches for.

use serde_json::json;

use crate::host::Sample;

/// Some of everything; repeated, a document of more than a MiB.
const PIECE: &str = "# Heading\n\nSome *text* with `code` and a [link](https://example.org).\n\n\
                     | a | b |\n|---|---|\n| 1 | 2 |\n\n<script>x</script>\n\n- [ ] item\n\n";

#[tokio::test]
async fn a_document_becomes_a_page() {
    let sample = Sample::load("markdown").await;
    for (document, page) in [
        ("# A *b*", "<h1>A <em>b</em></h1>\n"),
        (
            "| a | b |\n|---|:-:|\n| 1 | ~~2~~ |",
            "<table><thead><tr><th>a</th><th style=\"text-align: center\">b</th></tr></thead><tbody>\n\
             <tr><td>1</td><td style=\"text-align: center\"><del>2</del></td></tr>\n</tbody></table>\n",
        ),
        (
            "- [x] done\n- [ ] open",
            "<ul>\n<li><input disabled=\"\" type=\"checkbox\" checked=\"\"/>\ndone</li>\n\
             <li><input disabled=\"\" type=\"checkbox\"/>\nopen</li>\n</ul>\n",
        ),
        (
            "note[^1]\n\n[^1]: below",
            "<p>note<sup class=\"footnote-reference\"><a href=\"#1\">1</a></sup></p>\n\
             <div class=\"footnote-definition\" id=\"1\"><sup class=\"footnote-definition-label\">1</sup>\n\
             <p>below</p>\n</div>\n",
        ),
    ] {
        assert_eq!(
            sample.ask_json("render", &json!([document])).await,
            page,
            "{document}"
        );
    }
}

#[tokio::test]
async fn raw_html_is_shown_as_text() {
    let sample = Sample::load("markdown").await;
    for document in [
        "<script>alert(1)</script>",
        "text <script src=x></script> text",
        "<div>\n<script>\n</div>",
        "<!-- <script> -->",
        "# <script>",
        "| <script> |\n|---|\n| <script> |",
        "a[^1]\n\n[^1]: <script>",
    ] {
        let page = sample.ask_json("render", &json!([document])).await;
        let page = page.as_str().unwrap();
        assert!(page.contains("&lt;script"), "{document}: {page}");
        assert!(!page.contains("<script"), "{document}: {page}");
    }
}

/// Within the memory and the time that its own manifest sets.
#[tokio::test]
async fn a_document_of_a_mebibyte_is_rendered() {
    let sample = Sample::load("markdown").await;
    let pieces = (1 << 20) / PIECE.len() + 1;
    let document = json!([PIECE.repeat(pieces)]);
    let page = sample.ask_json("render", &document).await;
    let page = page.as_str().unwrap();
    for part in [
        "<h1>",
        "<table>",
        "&lt;script&gt;x&lt;/script&gt;",
        "type=\"checkbox\"",
    ] {
        assert_eq!(page.matches(part).count(), pieces, "{part}");
    }
    let headings = sample.ask_json("outline", &document).await;
    let headings = headings.as_array().unwrap();
    assert_eq!(headings.len(), pieces);
    assert_eq!(headings[pieces - 1], json!({"level": 1, "text": "Heading"}));
}

#[tokio::test]
async fn an_outline_has_the_text_of_each_heading_and_its_level() {
    let sample = Sample::load("markdown").await;
    let document = "# One `code`\n\ntext\n\nTwo *em*\n---\n\n###### Six\n\n    # no heading\n";
    assert_eq!(
        sample.ask_json("outline", &json!([document])).await,
        json!([
            {"level": 1, "text": "One code"},
            {"level": 2, "text": "Two em"},
            {"level": 6, "text": "Six"},
        ])
    );
    assert_eq!(sample.ask_json("outline", &json!([""])).await, json!([]));
}

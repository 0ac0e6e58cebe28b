//! A well-behaved plugin in a granted directory.

use std::fs;

use crate::ground::Ground;

#[tokio::test]
async fn the_indexer_indexes_what_is_granted() {
    let ground = Ground::new("sample-file-indexer", "", |spec, dir| {
        fs::write(dir.join("granted/sub/deep/notes.txt"), "one two\nthree\n").unwrap();
        spec
    })
    .await;
    let summary = ground.ask("index()").await;
    assert!(summary.starts_with("ok({files: 2, bytes: 19, "), "{summary}");
    assert!(
        summary.contains("{path: \"sub/deep/notes.txt\", bytes: 14, lines: 2, words: 3}"),
        "{summary}"
    );
    let hits = ground.ask("search(\"three\")").await;
    assert_eq!(
        hits,
        "ok([{path: \"sub/deep/notes.txt\", line: 2, text: \"three\"}])"
    );
    assert!(ground.reasons().is_empty(), "{:?}", ground.reasons());
    ground.assert_untouched("indexing");
}

#[tokio::test]
async fn the_indexer_says_that_nothing_is_granted() {
    use odeon_tests::runtime::{call, runtime, spec};
    let plugin = spec().load(&runtime(), "sample-file-indexer").await;
    assert_eq!(call(&plugin, "index()").await.unwrap(), "err(not-granted)");
}

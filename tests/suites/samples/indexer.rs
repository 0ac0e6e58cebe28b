//! The file indexer: progress that rises, a cancel that is heard, and what it
//! leaves out.

use std::fs;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use odeon::{Args, CallOptions, Interrupt, Progress, ProgressSink, Reason};
use odeon_runtime::CANCEL_GRACE;
use tempfile::TempDir;

use crate::host::Sample;

/// Files of the folder that is large.
const FILES: u64 = 5000;

/// The sample with this folder at `/data`.
async fn over(folder: &TempDir) -> Sample {
    Sample::granted(
        "file-indexer",
        &[&format!("fs={}::/data", folder.path().display())],
    )
    .await
}

fn many_files() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for sub in 0..50 {
        let sub = folder.path().join(format!("sub-{sub:02}"));
        fs::create_dir(&sub).unwrap();
        for file in 0..FILES / 50 {
            fs::write(sub.join(format!("{file:03}.txt")), "one two\nthree\n").unwrap();
        }
    }
    folder
}

/// What is done with each report.
fn watched(watch: impl Fn(&Progress) + Send + Sync + 'static) -> (Arc<Mutex<Vec<Progress>>>, ProgressSink) {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let kept = reports.clone();
    let sink: ProgressSink = Arc::new(move |report| {
        watch(&report);
        kept.lock().unwrap().push(report);
    });
    (reports, sink)
}

#[tokio::test]
async fn progress_rises_to_the_number_of_files() {
    let folder = many_files();
    let sample = over(&folder).await;
    let (reports, sink) = watched(|_| {});
    let options = CallOptions {
        progress: Some(sink),
        ..CallOptions::default()
    };
    let reply = sample
        .call("index", Args::Wave(""), options)
        .await
        .expect("an index");
    let summary = reply.wave().unwrap();
    assert!(
        summary.starts_with(&format!("ok({{files: {FILES}, bytes: {}, ", FILES * 14)),
        "{summary:.200}"
    );
    let reports = reports.lock().unwrap();
    assert!(reports.iter().all(|report| report.total == Some(FILES)));
    assert!(reports.is_sorted_by(|one, next| one.completed < next.completed));
    assert_eq!(reports[0].completed, 0);
    assert_eq!(reports.last().unwrap().completed, FILES);
    assert!(reports.len() > 300, "only {} reports", reports.len());
    assert!(reports[1].details.starts_with("sub-00/"), "{:?}", reports[1]);
}

/// The cancel comes while the guest is in the call that reports; the next file
/// is not begun. It is timed because what does not return within the grace is
/// stopped instead: one that has had its grace, because it stood still, is asked
/// again.
#[tokio::test]
async fn timed_a_cancel_ends_it_with_the_files_that_are_done() {
    let folder = many_files();
    let sample = over(&folder).await;
    let (reply, reports) = loop {
        let interrupt = Interrupt::new();
        let (raised, at) = (interrupt.clone(), Arc::new(OnceLock::new()));
        let when = at.clone();
        let (reports, sink) = watched(move |report| {
            if report.completed == 1600 {
                when.get_or_init(Instant::now);
                raised.raise(Reason::Cancelled);
            }
        });
        let options = CallOptions {
            progress: Some(sink),
            interrupt,
            ..CallOptions::default()
        };
        match sample.call("index", Args::Wave(""), options).await {
            Ok(reply) => break (reply, reports),
            Err(fault) => {
                let had = at.get().expect("it came so far").elapsed();
                assert!(had >= CANCEL_GRACE, "{fault} after {had:?}");
            }
        }
    };
    assert!(reply.is_err());
    assert_eq!(reply.wave().unwrap(), "err(cancelled(1601))");
    assert_eq!(reports.lock().unwrap().last().unwrap().completed, 1600);
}

#[tokio::test]
async fn what_is_no_text_is_skipped_and_links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.txt"), "secret").unwrap();
    fs::write(folder.path().join("text.md"), "# a\nsecret garden\n").unwrap();
    fs::write(folder.path().join("image.png"), [0x89, b'P', 0xff, 0xfe]).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret.txt"), folder.path().join("link.txt")).unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("folder")).unwrap();
    let sample = over(&folder).await;
    assert_eq!(
        sample.ask("index()").await,
        "ok({files: 1, bytes: 18, kinds: [{extension: \"md\", bytes: 18, files: [{path: \"text.md\", bytes: 18, \
         lines: 2, words: 4}]}], skipped: [\"image.png\"]})"
    );
    assert_eq!(
        sample.ask("search(\"secret\")").await,
        "ok([{path: \"text.md\", line: 2, text: \"secret garden\"}])"
    );
}

#[tokio::test]
async fn a_search_ends_at_a_thousand_hits() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["a.txt", "b.txt"] {
        fs::write(folder.path().join(file), "hit\n".repeat(700)).unwrap();
    }
    let sample = over(&folder).await;
    let hits = sample.ask_json("search", &serde_json::json!(["hit"])).await;
    let hits = hits["ok"].as_array().unwrap_or_else(|| panic!("{hits}"));
    assert_eq!(hits.len(), 1000);
    assert_eq!(
        (&hits[999]["path"], &hits[999]["line"]),
        (&"b.txt".into(), &300.into())
    );
}

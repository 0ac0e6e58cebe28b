//! Every way out that a guest can try, by calls of WASI that no library of a
//! language stands before: each is denied, is in the audit of the host under
//! its plugin's name, has touched nothing outside, and has reached nobody.

mod files;
mod network;

use std::path::Path;
use std::time::Duration;

use odeon::{Args, CallOptions, Host};

use crate::host::audit;

/// A call, the error it has to be told, and the denial it has to leave behind.
struct Row {
    call: String,
    error: &'static str,
    grant: &'static str,
    target: String,
}

fn row(call: impl Into<String>, error: &'static str, grant: &'static str, target: impl Into<String>) -> Row {
    Row {
        call: call.into(),
        error,
        grant,
        target: target.into(),
    }
}

/// Makes each call on a plugin of its own name, and compares what the guest was
/// told and what the audit has.
async fn all_denied(folder: &Path, host: &Host, plugin: &str, rows: &[Row]) {
    for Row { call, error, .. } in rows {
        let (method, args) = call.split_once('(').unwrap();
        let args = args.strip_suffix(')').unwrap();
        let reply = host
            .call(
                &format!("{plugin}/{method}"),
                Args::Wave(args),
                CallOptions::default(),
            )
            .await
            .unwrap_or_else(|fault| panic!("{call}: a denial is an answer, found {fault}"));
        assert_eq!(
            reply.json().unwrap(),
            serde_json::json!({ "err": error }),
            "{call}"
        );
    }
    host.shutdown(Duration::ZERO).await;
    let denials: Vec<(String, String, u64)> = audit(folder)
        .into_iter()
        .map(|line| line["event"].clone())
        .filter(|event| event["kind"] == "denial" && event["plugin"] == plugin)
        .map(|event| {
            let text = |field: &str| event[field].as_str().unwrap().to_owned();
            (text("grant"), text("target"), event["count"].as_u64().unwrap())
        })
        .collect();
    for Row {
        call, grant, target, ..
    } in rows
    {
        // What is denied again is counted on one line: there have to be as many
        // as there are rows about the same.
        let of_the_same = rows
            .iter()
            .filter(|row| row.grant == *grant && row.target == *target);
        let written: u64 = denials
            .iter()
            .filter(|(kind, at, _)| kind == grant && at.contains(target))
            .map(|(_, _, count)| count)
            .sum();
        assert!(
            written >= of_the_same.count() as u64,
            "{call}: expected {grant} {target} in the audit for each row, found {denials:#?}"
        );
    }
}

//! The compiling process: what becomes of it, and what a strange one may say.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use odeon_protocol::Code;
use odeon_runtime::{Compiler, Confined, Runtime, RuntimeConfig, Standing};
use odeon_tests::guests;
use odeon_tests::runtime::{call, config, spec};

use crate::bombs::{refused, runtime};

/// The processes that this one started and that still exist.
pub(crate) fn children() -> Vec<u32> {
    let own = std::process::id().to_string();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            // The parent is the second field after the name in parentheses.
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
                return false;
            };
            let after = stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .nth(1);
            after == Some(own.as_str())
        })
        .collect()
}

#[tokio::test]
async fn what_the_child_compiles_runs_here() {
    let runtime = runtime(|_| {});
    let plugin = spec().load(&runtime, "sample-calculator").await;
    assert!(!plugin.methods().is_empty());
    let counter = spec().load(&runtime, "sample-counter").await;
    assert_eq!(call(&counter, "increment(2)").await.unwrap(), "ok(2)");
    assert!(children().is_empty(), "it ends with its work");
}

/// Both ways of compiling describe a component alike.
#[tokio::test]
async fn a_child_tells_what_this_process_would_have_found() {
    let child = runtime(|_| {});
    let here = odeon_tests::runtime::runtime();
    for guest in [
        "guest-echo",
        "guest-spin",
        "sample-http-fetcher",
        "wat-world-types",
    ] {
        let bytes = guests::bytes(guest);
        assert_eq!(
            child.describe(&bytes, None).await,
            here.describe(&bytes, None).await,
            "{guest}"
        );
    }
}

/// Enforced by `kill_on_drop`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_is_given_up_takes_its_child_along() {
    let runtime = runtime(|_| {});
    let bomb = {
        let mut text = String::from("(component (core module ");
        (0..40_000).for_each(|n| {
            text.push_str(&format!(
                "(func (param i32) (result i32) (i32.mul (local.get 0) (i32.const {n})))"
            ));
        });
        guests::assemble(&(text + "))"))
    };
    let loading = spec();
    tokio::select! {
        _ = loading.prepare(&runtime, &bomb) => panic!("it is not that fast"),
        () = async {
            while children().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        } => {}
    }
    // Waited for without holding the thread: whoever was killed is taken off
    // the process table by the runtime.
    let gone = async {
        while !children().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone)
        .await
        .expect("the child is gone");
}

/// What is no component is refused by the child, with its words.
#[tokio::test]
async fn invalid_bytes_are_refused_with_a_reason() {
    let runtime = runtime(|_| {});
    for (name, bytes) in [
        ("a core module", guests::bytes("wat-core-module")),
        ("wrong types", guests::bytes("wat-type-mismatch")),
        ("nothing", Vec::new()),
        ("text", b"this is no component".to_vec()),
        ("half of one", guests::bytes("guest-echo")[..40_000].to_vec()),
    ] {
        let (error, _) = refused(&runtime, &bytes).await;
        assert_eq!(error.code(), Code::CompileFailed, "{name}: {error}");
        assert!(
            !error.to_string().contains("/root") && error.to_string().len() < 5000,
            "{name}: {error}"
        );
    }
}

pub(crate) fn script(folder: &Path, text: &str) -> Compiler {
    let path = folder.join("compiler");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    Compiler::Program(path)
}

/// Enforced by `child::parse`: an answer that makes no sense is none.
#[tokio::test]
async fn a_program_that_is_no_compiler_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = guests::bytes("sample-calculator");
    for text in [
        "exit 0",
        "exit 3",
        "echo something else",
        // Walls that there are not.
        "printf '\\003\\000\\004\\000\\000\\000null'",
        // A length beyond the answer; a head that is no description; success without an answer.
        "printf '\\000\\000\\377\\377\\377\\377'",
        "printf '\\000\\000\\002\\000\\000\\000{}'",
        "cat > /dev/null; printf '\\000\\000\\004\\000\\000\\000null'",
    ] {
        let config = RuntimeConfig {
            compiler: script(folder.path(), text),
            ..config()
        };
        let (error, _) = refused(&Runtime::new(config).unwrap(), &bytes).await;
        assert_eq!(error.code(), Code::Internal, "{text}: {error}");
    }
    let missing = Compiler::Program(folder.path().join("nothing"));
    let (error, _) = refused(
        &Runtime::new(RuntimeConfig {
            compiler: missing,
            ..config()
        })
        .unwrap(),
        &bytes,
    )
    .await;
    assert_eq!(error.code(), Code::Internal, "{error}");
}

/// Enforced by `child::confined`: what is said of the walls around a child is
/// what it said, whatever becomes of it.
#[tokio::test]
async fn the_walls_of_a_child_are_those_that_it_reports() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = guests::bytes("sample-calculator");
    let said = async |text: &str| {
        let compiler = script(folder.path(), text);
        let runtime = Runtime::new(RuntimeConfig { compiler, ..config() }).unwrap();
        assert_eq!(runtime.compile_child(), None, "nothing was compiled yet");
        refused(&runtime, &bytes).await;
        runtime.compile_child()
    };
    assert_eq!(
        said("printf '\\002\\001'; exit 3").await,
        Some(Confined {
            files: Standing::Missing,
            calls: Standing::Part
        })
    );
    assert_eq!(said("printf '\\003\\000'").await, None, "there is no such wall");
    assert_eq!(said("exit 3").await, None);
}

/// The child has none of this process's environment.
#[tokio::test]
async fn the_child_has_no_environment() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let compiler = script(folder.path(), &format!("/usr/bin/env > {}", seen.display()));
    let config = RuntimeConfig { compiler, ..config() };
    refused(
        &Runtime::new(config).unwrap(),
        &guests::bytes("sample-calculator"),
    )
    .await;
    let seen = fs::read_to_string(seen).unwrap();
    let names: Vec<_> = seen.lines().filter_map(|line| line.split('=').next()).collect();
    // What the shell sets by itself.
    assert!(
        names
            .iter()
            .all(|name| ["PWD", "SHLVL", "_", "OLDPWD"].contains(name)),
        "{names:?}"
    );
}

//! A plugin that has no file, and is linked to one that has.

use std::fs;

use odeon::{Args, CallOptions, Host, LoadRequest};
use odeon_authority::InstanceMode;
use odeon_tests::guests;
use odeon_tests::way::Way;
use serde_json::json;

use crate::ground::{Folder, GUEST, HELLO};
use crate::host::{at, request, state};
use crate::policy::{events, policy, told};

/// Has another plugin read the file that this one has opened, and gives back what
/// it read.
const READER: &str = r#"
(component
  (import "odeon-tests:holder/kept@0.1.0" (instance $kept
    (export "read" (func (result (result (list u8) (error string)))))))
  (core module $room
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      global.get $next
      (global.set $next (i32.add (global.get $next) (local.get 3)))))
  (core instance $room (instantiate $room))
  (alias core export $room "memory" (core memory $memory))
  (alias core export $room "realloc" (core func $realloc))
  (alias export $kept "read" (func $read))
  (core func $lowered (canon lower (func $read) (memory $memory) (realloc $realloc)))
  (core module $reader
    (import "kept" "read" (func $read (param i32)))
    (func (export "read") (result i32)
      (call $read (i32.const 64))
      i32.const 64))
  (core instance $reader (instantiate $reader (with "kept" (instance (export "read" (func $lowered))))))
  (func (export "read") (result (result (list u8) (error string)))
    (canon lift (core func $reader "read") (memory $memory))))
"#;

/// What it answers where it is refused.
const REFUSED: &str = "err(\"not-permitted\")";

/// `a`, which may use nothing, linked to `b`, which has a file open that it may
/// read.
async fn linked(host: &Host, folder: &Folder) {
    let mut holder = request(GUEST, "b", &[&folder.grant("")]);
    holder.placing.instance = Some(InstanceMode::Resident);
    host.load(holder).await.unwrap();
    let reader = LoadRequest::bytes(guests::assemble(READER))
        .named("a".parse().unwrap())
        .linked("odeon-tests:holder/kept", "b".parse().unwrap())
        .allow_unsigned();
    host.load(reader).await.unwrap();
    let opened = host
        .call(
            "b/kept.open",
            Args::Wave("\"/data\", \"hello\""),
            CallOptions::default(),
        )
        .await;
    assert_eq!(opened.unwrap().wave().unwrap(), "ok");
}

/// Enforced by `Outgoing::of` (for whom a provider works), `Warrant::on_behalf`,
/// and `Policy::acts_for` at the review.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_read_through_a_link_only_where_the_policy_has_one_act_for_the_other() {
    for way in Way::BOTH {
        let (state, folder) = (state(), Folder::new());
        policy(state.path(), "");
        let host = at(state.path());
        linked(&host, &folder).await;
        let through = || way.ask(&host, "a/read", "");
        assert_eq!(through().await.unwrap(), REFUSED, "{way:?}: by default");
        // It is open, and its own.
        assert_eq!(told(&host, "b/kept.read", "", &[]).await, HELLO, "{way:?}");

        policy(state.path(), "[[deputy]]\nplugin = \"b\"\nfor = [\"c\"]\n");
        host.review().await.unwrap();
        assert_eq!(through().await.unwrap(), REFUSED, "{way:?}: it acts for another");
        policy(state.path(), "[[deputy]]\nplugin = \"b\"\nfor = [\"a\"]\n");
        host.review().await.unwrap();
        assert_eq!(through().await.unwrap(), HELLO, "{way:?}: it acts for this one");
        policy(state.path(), "");
        host.review().await.unwrap();
        assert_eq!(through().await.unwrap(), REFUSED, "{way:?}: it acts no more");

        host.shutdown(std::time::Duration::ZERO).await;
        let mut denials = events(state.path(), "denial");
        // By itself it was denied to write, when it opened the file.
        denials.retain(|denial| denial["chain"] != json!(null));
        assert!(!denials.is_empty(), "{way:?}: it is on record");
        for denial in denials {
            assert_eq!(denial["chain"], json!(["a", "b"]), "{way:?}");
            let rule = denial["rule"].as_str().unwrap();
            assert!(rule.starts_with("deputy: b works for a here"), "{way:?}: {rule}");
        }
        assert_eq!(fs::read(folder.path().join("hello")).unwrap(), b"hello");
    }
}

//! Every way out that a guest can try, by calls of WASI that no library of a
//! language stands before: each is denied, is in the audit of the host under
//! its plugin's name, has touched nothing outside, and has reached nobody.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use odeon::{Args, CallOptions, Host, LimitsPatch, StaticResolver};
use tempfile::TempDir;

use crate::harness::{Server, Turning, Untouched};
use crate::host::{audit, builder, load_with, state};

const SECRET: &str = "nobody may read this";

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

/// A granted folder, and one beside it that is nobody's business.
struct Yard {
    folder: TempDir,
    host: Host,
}

impl Yard {
    async fn new(access: &str) -> Self {
        let folder = state();
        let granted = folder.path().join("granted");
        fs::create_dir_all(granted.join("sub")).unwrap();
        fs::write(granted.join("hello"), "hello").unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        fs::write(folder.path().join("outside/secret"), SECRET).unwrap();
        symlink("../outside/secret", granted.join("planted")).unwrap();
        symlink("../outside", granted.join("folder")).unwrap();
        symlink("/proc/self/environ", granted.join("environ")).unwrap();
        let host = builder().state_dir(folder.path().join("state")).start().unwrap();
        let grant = format!("fs={}::/data{access}", granted.display());
        let limits = LimitsPatch {
            fs_file_size: Some("1MiB".parse().unwrap()),
            ..LimitsPatch::default()
        };
        load_with(&host, "guest-fs-escape", "escapes", &[&grant], limits).await;
        Yard { folder, host }
    }

    /// What is outside is as it was, and not one name more.
    fn assert_untouched(&self) {
        let outside = self.folder.path().join("outside");
        let names: Vec<_> = fs::read_dir(&outside)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["secret"]);
        let secret = outside.join("secret");
        assert_eq!(fs::read_to_string(&secret).unwrap(), SECRET);
        assert_eq!(fs::metadata(&secret).unwrap().nlink(), 1);
        assert_eq!(
            fs::read_to_string(self.folder.path().join("granted/hello")).unwrap(),
            "hello"
        );
    }
}

/// Falls with wasmtime-wasi's path resolution and, for the lines of the audit,
/// with `Filesystem::audited` and `Recorder::denied`.
#[tokio::test(flavor = "multi_thread")]
async fn every_way_out_of_a_directory_is_denied_and_in_the_audit() {
    let yard = Yard::new(",rw").await;
    let secret = yard.folder.path().join("outside/secret");
    let secret = secret.display();
    let name = "n".repeat(300);
    let rows = [
        // `..` and absolute paths.
        row(
            r#"reach.read("/data", "../outside/secret", true)"#,
            "not-permitted",
            "fs",
            "/data/../outside/secret",
        ),
        row(
            r#"reach.write("/data", "sub/../../outside/new", [1])"#,
            "not-permitted",
            "fs",
            "outside/new",
        ),
        row(
            format!(r#"reach.read("/data", "{secret}", true)"#),
            "not-permitted",
            "fs",
            format!("{secret}"),
        ),
        // A link that the guest makes, and links that were there.
        row(
            r#"reach.symlink-and-read("/data", "../outside/secret", "mine")"#,
            "not-permitted",
            "fs",
            "/data/mine",
        ),
        row(
            r#"reach.read("/data", "planted", true)"#,
            "not-permitted",
            "fs",
            "/data/planted",
        ),
        row(
            r#"reach.write("/data", "folder/new", [1])"#,
            "not-permitted",
            "fs",
            "/data/folder/new",
        ),
        row(
            r#"reach.hard-link("/data", "../outside/secret", false, "/data", "hard")"#,
            "not-permitted",
            "fs",
            "-> /data/hard",
        ),
        row(
            r#"reach.hard-link("/data", "hello", false, "/data", "../outside/hard")"#,
            "not-permitted",
            "fs",
            "-> /data/../outside/hard",
        ),
        row(
            r#"reach.rename("/data", "hello", "/data", "../outside/hello")"#,
            "not-permitted",
            "fs",
            "-> /data/../outside/hello",
        ),
        row(
            r#"reach.rename("/data", "../outside/secret", "/data", "stolen")"#,
            "not-permitted",
            "fs",
            "-> /data/stolen",
        ),
        // The process's own files.
        row(
            r#"reach.read("/data", "/proc/self/environ", true)"#,
            "not-permitted",
            "fs",
            "/proc/self/environ",
        ),
        row(
            r#"reach.read("/data", "environ", true)"#,
            "not-permitted",
            "fs",
            "/data/environ",
        ),
        // Names without measure, and files that grow without being written.
        row(
            format!(r#"reach.write("/data", "{name}", [1])"#),
            "name-too-long",
            "fs",
            "/data/nnn",
        ),
        row(
            r#"fill.long-path("/data", 1000)"#,
            "name-too-long",
            "fs",
            "/data/d/d/d",
        ),
        row(
            r#"fill.set-size("/data", "sparse", 1099511627776)"#,
            "file-too-large",
            "fs",
            "/data/sparse",
        ),
        row(
            r#"fill.write-at("/data", "far", 1099511627776, [1])"#,
            "file-too-large",
            "fs",
            "/data/far",
        ),
    ];
    all_denied(&yard.folder.path().join("state"), &yard.host, "escapes", &rows).await;
    yard.assert_untouched();
}

/// Falls with the directory's permissions, and the same lines of the audit.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_granted_for_reading_is_not_written_to_and_that_is_in_the_audit() {
    let yard = Yard::new("").await;
    let rows = [
        row(
            r#"reach.write("/data", "hello", [1])"#,
            "not-permitted",
            "fs",
            "/data/hello",
        ),
        row(
            r#"reach.unlink("/data", "hello")"#,
            "not-permitted",
            "fs",
            "/data/hello",
        ),
        row(
            r#"reach.make-directory("/data", "new")"#,
            "not-permitted",
            "fs",
            "/data/new",
        ),
        row(
            r#"reach.rename("/data", "hello", "/data", "other")"#,
            "not-permitted",
            "fs",
            "-> /data/other",
        ),
    ];
    all_denied(&yard.folder.path().join("state"), &yard.host, "escapes", &rows).await;
    yard.assert_untouched();
}

/// Falls with `Egress::permit_socket`, `Egress::permit_request`, the filter in
/// `Egress::lookup` and, for the lines of the audit, with `Recorder::denied`.
#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_the_network_is_denied_and_in_the_audit() {
    let listener = Untouched::new();
    let port = listener.port();
    let target = format!("http://127.0.0.1:{port}/");
    let redirects = Server::http(format!(
        "HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n"
    ));
    let grants = [
        format!("http=127.0.0.1:{}", redirects.port()),
        format!("http=inside.test:{port}"),
        format!("tcp=inside.test:{port}"),
        "tcp=*:*".to_owned(),
    ];
    let grants: Vec<&str> = grants.iter().map(String::as_str).collect();
    let names = StaticResolver::new([("inside.test".to_owned(), vec!["127.0.0.1".parse().unwrap()])]);
    let at = format!("127.0.0.1:{port}");
    // It was free a moment ago.
    let free = Untouched::new().port();
    let rows = [
        // A host that is not granted, by name and by address.
        row(
            format!(r#"web.request(false, "denied.test:{port}", "/")"#),
            "HttpRequestDenied",
            "http",
            "denied.test",
        ),
        row(
            format!(r#"web.request(false, "{at}", "/")"#),
            "HttpRequestDenied",
            "http",
            at.clone(),
        ),
        row(
            format!(r#"web.request(false, "[::ffff:127.0.0.1]:{port}", "/")"#),
            "HttpRequestDenied",
            "http",
            "::ffff:127.0.0.1",
        ),
        // A granted name that leads inside.
        row(
            format!(r#"web.request(false, "inside.test:{port}", "/")"#),
            "DestinationIpProhibited",
            "http",
            "inside.test",
        ),
        row(
            r#"sockets.resolve("inside.test")"#,
            "access-denied",
            "dns",
            "inside.test (127.0.0.1)",
        ),
        // A redirect from a granted host.
        row(
            format!(r#"web.follow("127.0.0.1:{}", "/")"#, redirects.port()),
            "HttpRequestDenied",
            "http",
            at.clone(),
        ),
        // Raw sockets; "everything" is the Internet and not this machine.
        row(
            format!(r#"sockets.tcp-connect("127.0.0.1", {port})"#),
            "access-denied",
            "tcp",
            at.clone(),
        ),
        row(
            format!(r#"sockets.tcp-connect("::ffff:127.0.0.1", {port})"#),
            "access-denied",
            "tcp",
            "::ffff:127.0.0.1",
        ),
        row(
            r#"sockets.tcp-connect("169.254.169.254", 80)"#,
            "access-denied",
            "tcp",
            "169.254.169.254",
        ),
        row(
            format!(r#"sockets.udp-send("127.0.0.1", {port}, [1])"#),
            "access-denied",
            "udp",
            "0.0.0.0:0",
        ),
        row(
            format!(r#"sockets.udp-send-to("127.0.0.1", {port}, [1])"#),
            "access-denied",
            "udp",
            "0.0.0.0:0",
        ),
        row(
            format!(r#"sockets.tcp-listen("127.0.0.1", {free})"#),
            "access-denied",
            "listen",
            format!("127.0.0.1:{free}"),
        ),
        row(
            format!(r#"sockets.udp-bind("127.0.0.1", {free})"#),
            "access-denied",
            "listen",
            format!("127.0.0.1:{free}"),
        ),
    ];
    let folder = state();
    let host = builder()
        .state_dir(folder.path())
        .resolver(Arc::new(names))
        .start()
        .unwrap();
    load_with(&host, "guest-egress", "escapes", &grants, LimitsPatch::default()).await;
    all_denied(folder.path(), &host, "escapes", &rows).await;
    listener.assert_untouched();
    // The one that was granted was asked, and by nobody else.
    redirects.assert_connections(1);
}

/// The same of WASI 0.3.
#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_0_3_to_the_network_is_denied_and_in_the_audit() {
    let listener = Untouched::new();
    let port = listener.port();
    let at = format!("127.0.0.1:{port}");
    let rows = [
        row(
            format!(r#"web.request("{at}", "/")"#),
            "HttpRequestDenied",
            "http",
            at.clone(),
        ),
        row(
            format!(r#"sockets.tcp-connect("127.0.0.1", {port})"#),
            "access-denied",
            "tcp",
            at.clone(),
        ),
        row(
            format!(r#"sockets.tcp-connect("::ffff:127.0.0.1", {port})"#),
            "access-denied",
            "tcp",
            "::ffff:127.0.0.1",
        ),
        row(
            format!(r#"sockets.udp-send("127.0.0.1", {port}, [1])"#),
            "access-denied",
            "udp",
            at.clone(),
        ),
        row(
            format!(r#"sockets.udp-send-to("127.0.0.1", {port}, [1])"#),
            "access-denied",
            "udp",
            at.clone(),
        ),
        row(
            r#"sockets.tcp-listen(some("0.0.0.0"), 0)"#,
            "access-denied",
            "listen",
            "0.0.0.0:0",
        ),
        row(
            r#"sockets.udp-bind("127.0.0.1", 0)"#,
            "access-denied",
            "listen",
            "127.0.0.1:0",
        ),
        row(
            r#"sockets.resolve("inside.test")"#,
            "access-denied",
            "dns",
            "inside.test",
        ),
    ];
    let folder = state();
    let names = StaticResolver::new([("inside.test".to_owned(), vec!["127.0.0.1".parse().unwrap()])]);
    let host = builder()
        .state_dir(folder.path())
        .resolver(Arc::new(names))
        .start()
        .unwrap();
    load_with(
        &host,
        "guest-concurrent",
        "escapes",
        &["tcp=*:*"],
        LimitsPatch::default(),
    )
    .await;
    all_denied(folder.path(), &host, "escapes", &rows).await;
    listener.assert_untouched();
}

/// An answer that turns inside after it was checked. Falls with the filter in
/// `Egress::lookup`.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_whose_answer_changes_reaches_nobody_and_is_in_the_audit() {
    let listener = Untouched::new();
    let port = listener.port();
    let names = Turning::new(&["192.88.98.1", "127.0.0.1"]);
    let folder = state();
    let host = builder()
        .state_dir(folder.path())
        .resolver(names.clone())
        .start()
        .unwrap();
    let grant = format!("tcp=turns.test:{port}");
    load_with(
        &host,
        "guest-egress",
        "escapes",
        &[&grant],
        LimitsPatch::default(),
    )
    .await;
    let first = host.call(
        "escapes/sockets.resolve",
        Args::Wave("\"turns.test\""),
        CallOptions::default(),
    );
    assert_eq!(first.await.unwrap().wave().unwrap(), r#"ok(["192.88.98.1"])"#);
    let rows = [
        // A question alone carries data out.
        row(
            r#"sockets.resolve("secret.evil.test")"#,
            "access-denied",
            "dns",
            "secret.evil.test",
        ),
        row(
            format!(r#"sockets.resolve-and-connect("turns.test", {port})"#),
            "access-denied",
            "dns",
            "turns.test (127.0.0.1)",
        ),
        row(
            format!(r#"sockets.tcp-connect("127.0.0.1", {port})"#),
            "access-denied",
            "tcp",
            format!("127.0.0.1:{port}"),
        ),
    ];
    all_denied(folder.path(), &host, "escapes", &rows).await;
    assert_eq!(names.asked(), 2);
    listener.assert_untouched();
}

//! Who is served where.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use odeon::{Args, CallOptions, ReplaceRequest, Source, UnloadMode};
use odeon_protocol::{Code, Digest};
use odeon_tests::guests;

use crate::stage::{Stage, builder, config, served, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_path_of_whole_segments_answers() {
    let stage = Stage::new().await;
    for (name, route) in [("deeper", "/w/deep"), ("root", "web/")] {
        stage.host.load(served("guest-web", name, route)).await.unwrap();
    }
    let served_by = async |path: &str| {
        let before: Vec<u64> = stage.host.list().iter().map(|row| row.calls).collect();
        stage.get(path).await;
        stage.quiet().await;
        let rows = stage.host.list();
        let mut more = rows
            .iter()
            .zip(before)
            .filter(|(row, before)| row.calls > *before);
        more.next().map(|(row, _)| row.name.to_string())
    };
    for (path, name) in [
        ("/w/version", "web"),
        ("/w", "web"),
        ("/w?x=/w/deep", "web"),
        ("/w/deep", "deeper"),
        ("/w/deep/version", "deeper"),
        ("/w/deeper/version", "web"),
        ("/wide/version", "root"),
        ("/", "root"),
    ] {
        assert_eq!(served_by(path).await.as_deref(), Some(name), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_is_served_nothing_is_found() {
    let stage = Stage::new().await;
    for path in ["/", "/x/w", "/W"] {
        let answer = stage.get(path).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "ODN-1001"),
            "{path}"
        );
    }
    let web = "web".parse().unwrap();
    let principal = stage.host.principal().clone();
    stage
        .host
        .unload(&web, UnloadMode::Now, &principal)
        .await
        .unwrap();
    assert_eq!(stage.get("/w/version").await.status, 404);
    // Another listener knows nothing of it.
    stage
        .host
        .load(served("guest-web", "web", "web/w"))
        .await
        .unwrap();
    let other = stage.host.listen(&config("other")).await.unwrap();
    let mut client = odeon_tests::web::Client::connect(other.address()).await;
    assert_eq!(client.get("/w/version").await.unwrap().status, 404);
    stage.works().await;
}

/// Enforced by `Host::check_route`, and by `Web::resolve`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_is_one_plugins_and_a_listener_has_to_be_there() {
    let stage = Stage::new().await;
    let refused = |fault: odeon::Fault, code: Code, words: &str| {
        assert_eq!(fault.code, code, "{fault}");
        assert!(fault.message.contains(words), "{fault}");
    };
    let fault = stage
        .host
        .load(served("guest-web", "other", "web/w"))
        .await
        .unwrap_err();
    refused(fault, Code::RouteTaken, "web/w, where web is served");
    let fault = stage
        .host
        .load(served("guest-web", "other", "inner/x"))
        .await
        .unwrap_err();
    refused(
        fault,
        Code::DescriptorInvalid,
        "found inner/x; listeners here: web",
    );
    let fault = stage
        .host
        .load(served("guest-echo", "echo", "web/x"))
        .await
        .unwrap_err();
    refused(fault, Code::DescriptorInvalid, "found one that exports neither");
    // Its own path is no other's.
    let request = ReplaceRequest {
        allow_unsigned: true,
        ..ReplaceRequest::new(
            "web".parse().unwrap(),
            Source::Component(guests::component("guest-web")),
        )
    };
    stage.host.replace(request).await.unwrap();
    stage.works().await;
    let _other = stage.host.listen(&config("other")).await.unwrap();
    let fault = stage
        .host
        .load(served("guest-web", "third", "/x"))
        .await
        .unwrap_err();
    refused(fault, Code::DescriptorInvalid, "expected the name of a listener");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_without_a_listener_serves_nothing() {
    let host = builder().start().unwrap();
    let fault = host.load(served("guest-web", "web", "/w")).await.unwrap_err();
    assert!(fault.message.contains("listeners here: none"), "{fault}");
}

/// Enforced by `Host::route_of_old`: what is another plugin's by now is not taken
/// from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_comes_back_takes_no_path_of_another_plugin() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let row = |guest: &str| {
        let digest = Digest::of(&guests::bytes(guest));
        format!("[[digest]]\ndigest = \"{digest}\"\n")
    };
    let policy = folder.path().join("trust.toml");
    std::fs::write(&policy, row("guest-web") + &row("wat-traps")).unwrap();
    std::fs::set_permissions(&policy, std::fs::Permissions::from_mode(0o600)).unwrap();
    let stage = Stage::empty(builder().state_dir(folder.path())).await;
    let host = &stage.host;
    host.load(served("guest-web", "web", "web/w")).await.unwrap();
    // Its descriptor serves it nowhere.
    let descriptor = folder.path().join("web.toml");
    let source = guests::component("wat-traps");
    let text = format!("source = \"{}\"\nname = \"web\"\n", source.display());
    std::fs::write(&descriptor, text).unwrap();
    let bad = ReplaceRequest {
        health_window: Duration::from_secs(30),
        ..ReplaceRequest::new("web".parse().unwrap(), Source::Descriptor(descriptor))
    };
    host.replace(bad).await.unwrap();
    assert_eq!(stage.get("/w/version").await.status, 404);
    host.load(served("guest-web", "heir", "web/w")).await.unwrap();
    for _ in 0..3 {
        let trap = host.call("web/unreachable", Args::Wave(""), CallOptions::default());
        assert_eq!(trap.await.unwrap_err().code, Code::Trapped);
    }
    let row = |name: &str| {
        let rows = host.list();
        rows.into_iter().find(|row| row.name.as_str() == name).unwrap()
    };
    soon("it is back", || row("web").generation.0 == 3).await;
    assert_eq!(row("web").http, None);
    assert_eq!(row("heir").http.as_deref(), Some("web/w"));
    stage.works().await;
    assert_eq!(row("heir").calls, 1);
}

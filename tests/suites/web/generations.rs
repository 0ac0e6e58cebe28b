//! Which generation answered, where a listener says so.

use odeon::{ListenerConfig, ReplaceRequest, Source};
use odeon_tests::guests;

use crate::stage::{Stage, builder, config, served};

const FIELD: &str = "odeon-generation";

/// A plugin behind a listener that says which generation answers.
async fn saying() -> Stage {
    let host = builder().start().unwrap();
    let listener = host.listen(&config("web").with_generation()).await.unwrap();
    let stage = Stage { host, listener };
    stage
        .host
        .load(served("guest-web", "web", "web/w"))
        .await
        .unwrap();
    stage
}

async fn replace(stage: &Stage, number: u8) {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("web.wasm");
    std::fs::write(&component, guests::version("guest-web", number)).unwrap();
    let request = ReplaceRequest {
        allow_unsigned: true,
        ..ReplaceRequest::new("web".parse().unwrap(), Source::Component(component))
    };
    stage.host.replace(request).await.unwrap();
}

/// Enforced by `Inner::answer`, which says who answers before anybody does.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_says_which_generation_answered_if_it_is_so_configured() {
    let stage = saying().await;
    let mut client = stage.client().await;
    let answer = client.get("/w/version").await.unwrap();
    assert_eq!(
        (answer.text().as_str(), answer.field(FIELD)),
        ("answered by version 1", Some("web@1"))
    );
    replace(&stage, 2).await;
    // On the same connection.
    let answer = client.get("/w/version").await.unwrap();
    assert_eq!(
        (answer.text().as_str(), answer.field(FIELD)),
        ("answered by version 2", Some("web@2"))
    );
    // What no plugin has answered is no generation's.
    let answer = stage.get("/nowhere").await;
    assert_eq!((answer.status, answer.field(FIELD)), (404, None));
}

/// A response that waits while its plugin is replaced says who gave it: enforced
/// by `Work::run`.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_said_to_be_of_who_began_it() {
    let stage = saying().await;
    let mut client = stage.client().await;
    client
        .send(b"GET /w/slow-version?3000 HTTP/1.1\r\nHost: test\r\n\r\n")
        .await
        .unwrap();
    crate::stage::soon("it runs", || stage.host.list().remove(0).in_flight == 1).await;
    replace(&stage, 2).await;
    let slow = client.answer().await.unwrap();
    assert_eq!(slow.field(FIELD), Some("web@1"), "{}", slow.text());
    assert_eq!(slow.text(), "answered by version 1");
    assert_eq!(stage.get("/w/version").await.field(FIELD), Some("web@2"));
}

/// Unless somebody asks for it, nobody is told.
#[tokio::test(flavor = "multi_thread")]
async fn by_itself_a_listener_says_nothing_of_generations() {
    let stage = Stage::new().await;
    assert_eq!(stage.get("/w/version").await.field(FIELD), None);
    let read = |more: &str| -> ListenerConfig {
        toml::from_str(&format!("name = \"web\"\naddress = \"127.0.0.1:0\"\n{more}")).unwrap()
    };
    assert!(!read("").says_generation() && !read("generation = false").says_generation());
    assert!(read("generation = true").says_generation());
}

//! A daemon with listeners: its configuration, descriptors, and its end.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use odeon::HostConfig;
use odeon::daemon::{DaemonConfig, serve};
use odeon_tests::guests;
use odeon_tests::web::Client;

use crate::stage::{builder, soon};

fn listener(text: &str) -> Result<HostConfig, String> {
    HostConfig::parse(text, Path::new("/srv"))
}

/// Enforced by `ListenerConfig::plain`.
#[test]
fn a_listener_without_tls_is_for_this_machine_alone() {
    for (address, good) in [
        ("127.0.0.1:8080", true),
        ("127.8.9.10:0", true),
        ("[::1]:8080", true),
        ("0.0.0.0:8080", false),
        ("[::]:8080", false),
        ("192.168.0.1:8080", false),
        ("[::ffff:10.0.0.1]:80", false),
        ("localhost:8080", false),
        ("8080", false),
    ] {
        let read = listener(&format!(
            "[[listener]]\nname = \"web\"\naddress = \"{address}\"\n"
        ));
        assert_eq!(read.is_ok(), good, "{address}: {read:?}");
        if let Err(error) = read {
            assert!(error.contains("listener web: expected an address"), "{error}");
        }
    }
    let misspelt = listener("[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:1\"\nadress = 1\n");
    assert!(misspelt.unwrap_err().contains("adress"));
    assert!(listener("[[listener]]\nname = \"Web\"\naddress = \"127.0.0.1:1\"\n").is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_descriptor_says_where_its_plugin_is_served() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let plugins = folder.path().join("plugins.d");
    std::fs::create_dir(&plugins).unwrap();
    std::fs::set_permissions(&plugins, std::fs::Permissions::from_mode(0o700)).unwrap();
    let policy = folder.path().join("trust.toml");
    let digest = odeon_authority::digest_of(&guests::bytes("guest-web")).unwrap();
    let text = format!("[[digest]]\ndigest = \"{digest}\"\n");
    std::fs::write(&policy, text).unwrap();
    std::fs::set_permissions(&policy, std::fs::Permissions::from_mode(0o600)).unwrap();
    let source = guests::component("guest-web");
    let describe = |path: &str| {
        let text = format!("source = {source:?}\nname = \"web\"\n[http]\npath = \"{path}\"\n");
        let new = folder.path().join("new.toml");
        std::fs::write(&new, text).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(&new, plugins.join("web.toml")).unwrap();
    };
    describe("/here");
    let text = "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:0\"\n";
    let config = HostConfig::parse(text, folder.path()).unwrap();
    let host = builder()
        .state_dir(folder.path().join("state"))
        .trust_policy(&policy)
        .start()
        .unwrap();
    let daemon = DaemonConfig {
        plugins: Some(plugins.clone()),
        listeners: config.listeners,
        signals: false,
        drain: Duration::from_secs(5),
        ..DaemonConfig::default()
    };
    let daemon = serve(host.clone(), daemon).await.unwrap();
    let address = daemon.listeners()[0].1;
    let status = async |path: &str| {
        let mut client = Client::connect(address).await;
        client.get(path).await.expect("an answer").status
    };
    assert_eq!(
        status("/here/version").await,
        200,
        "{:?}",
        host.status().descriptors
    );
    // Another path is another way to run it.
    describe("/there");
    soon("it is served elsewhere", || {
        host.list().first().and_then(|row| row.http.clone()).as_deref() == Some("web/there")
    })
    .await;
    assert_eq!(
        (status("/here/version").await, status("/there/version").await),
        (404, 200)
    );
    // A stop answers what runs, and then nobody.
    let mut client = Client::connect(address).await;
    client
        .send(b"GET /there/slow-version?2000 HTTP/1.1\r\nHost: test\r\n\r\n")
        .await
        .unwrap();
    soon("it runs", || host.list().iter().any(|row| row.in_flight > 0)).await;
    daemon.stop(None);
    let answer = client.answer().await.unwrap();
    assert_eq!(
        (answer.text().as_str(), answer.closes()),
        ("answered by version 1", true)
    );
    daemon.stopped().await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_served_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let policy = folder.path().join("trust.toml");
    let digest = odeon_authority::digest_of(&guests::bytes("guest-web")).unwrap();
    std::fs::write(&policy, format!("[[digest]]\ndigest = \"{digest}\"\n")).unwrap();
    std::fs::set_permissions(&policy, std::fs::Permissions::from_mode(0o600)).unwrap();
    for round in 0..2 {
        let state = folder.path().join("state");
        let host = builder().state_dir(state).trust_policy(&policy).start().unwrap();
        let listener = host.listen(&crate::stage::config("web")).await.unwrap();
        if round == 0 {
            let mut request = crate::stage::served("guest-web", "web", "web/w");
            request.allow_unsigned = false;
            host.load(request).await.unwrap();
        } else {
            assert_eq!(host.load_remembered().await.unwrap().len(), 1);
        }
        let mut client = Client::connect(listener.address()).await;
        assert_eq!(client.get("/w/version").await.unwrap().status, 200);
        drop(client);
        listener.close(Duration::from_secs(2)).await;
        host.shutdown(Duration::ZERO).await;
    }
}

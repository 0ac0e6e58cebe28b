//! A listener that speaks TLS: its files, and clients that do not speak it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use odeon::{Host, HostConfig};
use odeon_protocol::Code;
use odeon_tests::stall::Stalls;
use odeon_tests::web::Client;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::stage::{builder, served, short};

const CONFIG: &str =
    "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:0\"\ntls = { cert = \"c.pem\", key = \"k.pem\" }\n";

/// Makes a certificate for `localhost` and its key in this folder.
fn certify(folder: &Path) -> RootCertStore {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write(&folder.join("c.pem"), made.cert.pem().as_bytes(), 0o644);
    write(
        &folder.join("k.pem"),
        made.signing_key.serialize_pem().as_bytes(),
        0o600,
    );
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    roots
}

fn write(path: &Path, bytes: &[u8], mode: u32) {
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

async fn listen(host: &Host, folder: &Path) -> Result<odeon::WebListener, odeon::Fault> {
    let config = HostConfig::parse(CONFIG, folder).unwrap();
    host.listen(&config.listeners[0]).await
}

fn connector(roots: RootCertStore) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_answers_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let roots = certify(folder.path());
    let host = builder().start().unwrap();
    let listener = listen(&host, folder.path()).await.unwrap();
    host.load(served("guest-web", "web", "web/w")).await.unwrap();
    assert!(host.status().listeners[0].tls);
    let stream = TcpStream::connect(listener.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector(roots).connect(name, stream).await.unwrap();
    let mut client = Client::over(stream);
    let body = vec![b'x'; 300_000];
    assert_eq!(client.post("/w/echo", &body).await.unwrap().body, body);
    let fields = client.get("/w/fields").await.unwrap().text();
    assert!(fields.contains("scheme: Some(Scheme::Https)"), "{fields}");
}

/// Enforced by `Accepting::connection`: a handshake has its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_whoever_does_not_speak_tls_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let host = builder().host_limits(short()).start().unwrap();
    let listener = listen(&host, folder.path()).await.unwrap();
    host.load(served("guest-web", "web", "web/w")).await.unwrap();
    let mut plain = Client::connect(listener.address()).await;
    plain
        .send(b"GET /w/version HTTP/1.1\r\nHost: test\r\n\r\n")
        .await
        .unwrap();
    let said = plain.closed().await.unwrap();
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
    let mut silent = Client::connect(listener.address()).await;
    let stalls = Stalls::watch();
    let began = Instant::now();
    assert_eq!(silent.closed().await.unwrap(), b"");
    let took = stalls.since(began);
    assert!(took.own() < Duration::from_secs(5), "{took:?}");
    assert_eq!(host.list().remove(0).calls, 0);
}

/// Enforced by `secrets::read`, `read_operators_text` and `TlsFiles::read`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_files_are_the_operators_alone_and_belong_together() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let other = tempfile::tempdir().unwrap();
    certify(other.path());
    let host = builder().start().unwrap();
    let (cert, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    let mode =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let refused = async |words: &str| {
        let fault = listen(&host, folder.path()).await.err().expect("it is refused");
        assert_eq!(fault.code, Code::ConfigInvalid);
        assert!(fault.message.starts_with("listener web: tls."), "{fault}");
        assert!(fault.message.contains(words), "{words}: {fault}");
    };
    mode(&key, 0o640);
    refused("expected a file that only its owner can read").await;
    mode(&key, 0o600);
    mode(&cert, 0o666);
    refused("tls.cert").await;
    mode(&cert, 0o644);
    let text = std::fs::read(&cert).unwrap();
    write(&cert, b"nothing", 0o644);
    refused("expected certificates in PEM, found none").await;
    write(&cert, &text, 0o644);
    let own = std::fs::read(&key).unwrap();
    write(&key, b"nothing", 0o600);
    refused("expected a private key in PEM, found none").await;
    write(&key, &std::fs::read(other.path().join("k.pem")).unwrap(), 0o600);
    refused("expected the key of the certificate").await;
    std::fs::remove_file(&key).unwrap();
    refused("cannot be opened").await;
    write(&key, &own, 0o600);
    listen(&host, folder.path()).await.unwrap();
}

//! The fetcher: its manifest asks for every host, and the operator decides.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value as Json, json};

use crate::host::Sample;

/// The longest body that the sample passes on.
const MAX_BODY: usize = 1 << 20;

/// Answers every request on a port of this machine with one response.
struct Server {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn new(response: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut head = Vec::new();
                let mut buffer = [0; 4096];
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(read @ 1..) => head.extend_from_slice(&buffer[..read]),
                        _ => break,
                    }
                }
                // The other side may have had enough.
                drop(stream.write_all(response.as_bytes()));
            }
        });
        Server { port, asked }
    }

    fn with_body(length: usize) -> Self {
        let body = "x".repeat(length);
        Server::new(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nx-tested: yes\r\n\r\n{body}"
        ))
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    fn grant(&self) -> String {
        format!("http=127.0.0.1:{}", self.port)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn fetch(sample: &Sample, url: &str) -> Json {
    sample.ask_json("fetch", &json!([url])).await
}

#[tokio::test]
async fn what_the_operator_grants_is_fetched_and_nothing_else() {
    let (granted, other) = (Server::with_body(5), Server::with_body(5));
    let sample = Sample::granted("http-fetcher", &[&granted.grant()]).await;
    assert_eq!(sample.report.grants.lines(), [granted.grant()]);
    let answer = fetch(&sample, &granted.url()).await;
    assert_eq!(answer["ok"]["status"], 200, "{answer}");
    assert_eq!(answer["ok"]["body"], "eHh4eHg=");
    let headers = answer["ok"]["headers"].as_array().unwrap();
    assert!(
        headers.contains(&json!({"name": "x-tested", "value": "yes"})),
        "{answer}"
    );
    assert_eq!(fetch(&sample, &other.url()).await, json!({"err": "denied"}));
    assert_eq!((granted.asked(), other.asked()), (1, 0));
}

#[tokio::test]
async fn without_a_grant_nothing_is_fetched() {
    let server = Server::with_body(5);
    let sample = Sample::load("http-fetcher").await;
    assert_eq!(fetch(&sample, &server.url()).await, json!({"err": "denied"}));
    assert_eq!(
        fetch(&sample, "https://example.org/").await,
        json!({"err": "denied"})
    );
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn a_redirect_is_returned_and_not_followed() {
    let target = Server::with_body(5);
    let location = target.url();
    let response = format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    let server = Server::new(response);
    let sample = Sample::granted("http-fetcher", &[&server.grant(), &target.grant()]).await;
    let answer = fetch(&sample, &server.url()).await;
    assert_eq!(answer["ok"]["status"], 302, "{answer}");
    let headers = answer["ok"]["headers"].as_array().unwrap();
    assert!(
        headers.contains(&json!({"name": "location", "value": location})),
        "{answer}"
    );
    assert_eq!(target.asked(), 0);
}

#[tokio::test]
async fn a_body_of_a_mebibyte_is_passed_on_and_one_byte_more_is_too_large() {
    let (fits, too_large) = (Server::with_body(MAX_BODY), Server::with_body(MAX_BODY + 1));
    let sample = Sample::granted("http-fetcher", &[&fits.grant(), &too_large.grant()]).await;
    let answer = fetch(&sample, &fits.url()).await;
    assert_eq!(answer["ok"]["status"], 200);
    assert_eq!(
        answer["ok"]["body"].as_str().unwrap().len(),
        MAX_BODY.div_ceil(3) * 4
    );
    assert_eq!(
        fetch(&sample, &too_large.url()).await,
        json!({"err": {"too-large": MAX_BODY}})
    );
}

#[tokio::test]
async fn what_is_no_address_or_no_server_of_tls_is_said() {
    // Whoever is spoken to in a language he does not know hangs up.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = deaf.local_addr().unwrap();
    let hangs_up = std::thread::spawn(move || drop(deaf.accept()));
    let sample = Sample::granted("http-fetcher", &[&format!("http={address}")]).await;
    let plain = fetch(&sample, &format!("https://{address}/")).await;
    assert!(plain["err"]["failed"].is_string(), "{plain}");
    hangs_up.join().unwrap();
    // Or waits for more.
    let server = Server::with_body(5);
    let sample = Sample::granted("http-fetcher", &[&server.grant()]).await;
    let waits = fetch(&sample, &server.url().replace("http:", "https:")).await;
    assert!(waits["err"]["failed"].is_string(), "{waits}");
    for url in ["ftp://example.org/", "no address", "http://"] {
        let answer = fetch(&sample, url).await;
        assert_eq!(answer["err"]["invalid-url"], url, "{answer}");
    }
}

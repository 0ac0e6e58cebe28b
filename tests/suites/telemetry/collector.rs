//! A collector that reads what it is sent as the specification says it, lets
//! nothing else pass, and answers in whatever manner a test wants.

mod strict;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use self::strict::{parts, read_record, read_span};

/// How it answers.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// It takes everything.
    Takes,
    /// With this status, and takes nothing.
    Says(u16),
    /// The same, and after how many seconds it wants to be asked again.
    SaysAfter(u16, u64),
    /// It takes everything, and answers with these bytes, behind which the
    /// connection ends or stays as it is.
    TakesAndSays(String, Then),
    /// It takes a message but for so many things in it.
    TakesBut(u64),
    /// Never.
    Hangs,
    /// Never what comes to this path; it takes everything else.
    HangsAt(&'static str),
    /// It takes everything after so long, and remembers nothing.
    Slowly(Duration),
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    Ends,
    Stays,
}

/// One that listens until it is dropped.
pub(crate) struct Collector {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: tokio::task::JoinHandle<()>,
}

struct Shared {
    manner: Mutex<Manner>,
    heard: Mutex<Vec<Message>>,
}

/// A message that came whole.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) path: String,
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) body: Value,
    /// Whether it was taken.
    pub(crate) taken: bool,
    pub(crate) at: Instant,
}

/// A span.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: Option<String>,
    pub(crate) name: String,
    pub(crate) kind: u64,
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) attributes: BTreeMap<String, String>,
    /// The message of an error, where it ended with one.
    pub(crate) error: Option<String>,
}

/// A line of a log.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) severity: (u64, String),
    pub(crate) body: String,
    pub(crate) attributes: BTreeMap<String, String>,
    /// The trace and the span that it belongs to.
    pub(crate) during: Option<(String, String)>,
}

impl Span {
    /// An attribute, or nothing.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

impl Collector {
    pub(crate) async fn new(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            manner: Mutex::new(manner),
            heard: Mutex::default(),
        });
        let serving = shared.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, serving.clone()));
            }
        });
        Collector {
            address,
            shared,
            accepting,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it answers so.
    pub(crate) fn answers(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// What came, taken or not.
    pub(crate) fn heard(&self) -> Vec<Message> {
        self.shared.heard.lock().unwrap().clone()
    }

    fn taken(&self, path: &str) -> Vec<Message> {
        let mut heard = self.heard();
        heard.retain(|message| message.taken && message.path == path);
        heard
    }

    /// The messages with spans, as they came.
    pub(crate) fn traces(&self) -> String {
        let heard = self.heard().into_iter();
        let traces = heard.filter(|message| message.path == "/v1/traces");
        traces.map(|message| message.body.to_string()).collect()
    }

    /// The spans that it took, read strictly.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let messages = self.taken("/v1/traces");
        let all = messages.iter().flat_map(|message| {
            parts(
                &message.body,
                ["resourceSpans", "scopeSpans", "spans"],
                "service.name",
            )
        });
        all.map(|span| read_span(&span)).collect()
    }

    /// The lines that it took, read strictly.
    pub(crate) fn records(&self) -> Vec<Record> {
        let messages = self.taken("/v1/logs");
        let all = messages.iter().flat_map(|message| {
            parts(
                &message.body,
                ["resourceLogs", "scopeLogs", "logRecords"],
                "service.instance.id",
            )
        });
        all.map(|record| read_record(&record)).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let Some(mut message) = read(&mut stream).await else {
        return;
    };
    let manner = match shared.manner.lock().unwrap().clone() {
        Manner::HangsAt(path) if path == message.path => Manner::Hangs,
        Manner::HangsAt(_) => Manner::Takes,
        manner => manner,
    };
    message.taken = matches!(
        manner,
        Manner::Takes | Manner::TakesBut(_) | Manner::TakesAndSays(..)
    );
    let rejected = match message.path.as_str() {
        "/v1/traces" => "rejectedSpans",
        _ => "rejectedLogRecords",
    };
    match manner {
        Manner::Slowly(pause) => tokio::time::sleep(pause).await,
        _ => shared.heard.lock().unwrap().push(message),
    }
    let mut fields = "content-type: application/json\r\n".to_owned();
    let (status, body) = match manner {
        Manner::Takes | Manner::Slowly(_) => (200, "{}".to_owned()),
        Manner::Says(status) => (status, "no".to_owned()),
        Manner::SaysAfter(status, seconds) => {
            fields = format!("{fields}retry-after: {seconds}\r\n");
            (status, "no".to_owned())
        }
        Manner::TakesBut(count) => (
            200,
            format!(r#"{{"partialSuccess":{{"{rejected}":"{count}","errorMessage":"no\nroom"}}}}"#),
        ),
        Manner::TakesAndSays(answer, then) => {
            stream.write_all(answer.as_bytes()).await.ok();
            if let Then::Stays = then {
                std::future::pending::<()>().await;
            }
            return;
        }
        Manner::Hangs | Manner::HangsAt(_) => return std::future::pending().await,
    };
    let answer = format!(
        "HTTP/1.1 {status} x\r\n{fields}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    // Whoever has given it up hears nothing of it.
    stream.write_all(answer.as_bytes()).await.ok();
}

/// A request that comes whole; nothing where its sender goes before.
async fn read(stream: &mut TcpStream) -> Option<Message> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head is text");
    let mut lines = head.split("\r\n");
    let first: Vec<&str> = lines.next().expect("a first line").split(' ').collect();
    assert_eq!((first[0], first[2]), ("POST", "HTTP/1.1"), "{head}");
    let fields: BTreeMap<String, String> = lines
        .map(|line| {
            let (name, value) = line.split_once(": ").expect("a field");
            (name.to_lowercase(), value.to_owned())
        })
        .collect();
    assert_eq!(fields["content-type"], "application/json", "{head}");
    let length: usize = fields["content-length"].parse().expect("a length");
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    assert_eq!(body.len(), length, "nothing comes after it");
    Some(Message {
        path: first[1].to_owned(),
        fields,
        body: serde_json::from_slice(&body).expect("a message is JSON"),
        taken: false,
        at: Instant::now(),
    })
}

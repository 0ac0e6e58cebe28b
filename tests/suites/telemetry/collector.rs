//! A collector that reads what it is sent as the specification says it, lets
//! nothing else pass, and answers in whatever manner a test wants.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How it answers.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// It takes everything.
    Takes,
    /// With this status, and takes nothing.
    Says(u16),
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
    let (status, body) = match manner {
        Manner::Takes | Manner::Slowly(_) => (200, "{}".to_owned()),
        Manner::Says(status) => (status, "no".to_owned()),
        Manner::TakesBut(count) => (
            200,
            format!(r#"{{"partialSuccess":{{"{rejected}":"{count}","errorMessage":"no"}}}}"#),
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
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
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
    })
}

/// What is in a message, whose resource has this attribute.
fn parts(message: &Value, [resources, scopes, parts]: [&str; 3], attribute: &str) -> Vec<Value> {
    let list = |value: &Value, key: &str| -> Vec<Value> {
        let list = value[key].as_array();
        list.unwrap_or_else(|| panic!("no {key} in {value}")).clone()
    };
    let of_resources = list(message, resources);
    let all = of_resources.iter().flat_map(|resource| {
        let about = attributes(&resource["resource"]["attributes"]);
        assert!(!about[attribute].is_empty(), "{resource}");
        list(resource, scopes)
    });
    all.flat_map(|scope| {
        assert_eq!(scope["scope"]["name"], "odeon");
        list(&scope, parts)
    })
    .collect()
}

fn read_span(span: &Value) -> Span {
    keys(
        span,
        &[
            "traceId",
            "spanId",
            "parentSpanId",
            "name",
            "kind",
            "startTimeUnixNano",
            "endTimeUnixNano",
            "attributes",
            "status",
        ],
    );
    let error = span.get("status").map(|status| {
        keys(status, &["code", "message"]);
        assert_eq!(status["code"], 2, "{status}");
        text(status, "message")
    });
    let read = Span {
        trace: id(span, "traceId", 32),
        id: id(span, "spanId", 16),
        parent: span.get("parentSpanId").map(|_| id(span, "parentSpanId", 16)),
        name: text(span, "name"),
        kind: span["kind"].as_u64().expect("an enumeration is a number"),
        began: time(span, "startTimeUnixNano"),
        ended: time(span, "endTimeUnixNano"),
        attributes: attributes(&span["attributes"]),
        error,
    };
    assert!(read.began <= read.ended, "{read:?}");
    assert!(!read.name.is_empty(), "{read:?}");
    read
}

fn read_record(record: &Value) -> Record {
    keys(
        record,
        &[
            "timeUnixNano",
            "observedTimeUnixNano",
            "severityNumber",
            "severityText",
            "body",
            "attributes",
            "traceId",
            "spanId",
            "flags",
        ],
    );
    time(record, "timeUnixNano");
    time(record, "observedTimeUnixNano");
    keys(&record["body"], &["stringValue"]);
    let during = record
        .get("traceId")
        .map(|_| (id(record, "traceId", 32), id(record, "spanId", 16)));
    assert_eq!(record.get("flags").is_some(), during.is_some(), "{record}");
    Record {
        severity: (
            record["severityNumber"]
                .as_u64()
                .expect("an enumeration is a number"),
            text(record, "severityText"),
        ),
        body: text(&record["body"], "stringValue"),
        attributes: attributes(&record["attributes"]),
        during,
    }
}

/// It has no others.
fn keys(value: &Value, known: &[&str]) {
    for key in value.as_object().expect("an object").keys() {
        assert!(known.contains(&key.as_str()), "{key} in {value}");
    }
}

fn text(value: &Value, key: &str) -> String {
    let text = value[key].as_str();
    text.unwrap_or_else(|| panic!("no text {key} in {value}"))
        .to_owned()
}

/// Hexadecimal digits, so many and not all nought.
fn id(value: &Value, key: &str, digits: usize) -> String {
    let id = text(value, key);
    let is_hex = id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    assert!(
        id.len() == digits && is_hex && id.bytes().any(|digit| digit != b'0'),
        "{id}"
    );
    id
}

/// Nanoseconds since 1970, as text; of this century.
fn time(value: &Value, key: &str) -> u64 {
    let time: u64 = text(value, key).parse().expect("a number as text");
    assert!(
        (1_700_000_000_000_000_000..4_100_000_000_000_000_000).contains(&time),
        "{time}"
    );
    time
}

fn attributes(list: &Value) -> BTreeMap<String, String> {
    let list = list.as_array().expect("a list of attributes");
    let mut read = BTreeMap::new();
    for one in list {
        keys(one, &["key", "value"]);
        keys(&one["value"], &["stringValue", "intValue"]);
        let value = match one["value"].get("intValue") {
            Some(number) => {
                let number = number.as_str().expect("a number of 64 bits is text");
                assert!(number.parse::<i64>().is_ok(), "{number}");
                number.to_owned()
            }
            None => text(&one["value"], "stringValue"),
        };
        let before = read.insert(text(one, "key"), value);
        assert_eq!(before, None, "twice: {one}");
    }
    read
}

//! One message to the collector, and what it says to it.
//!
//! Owns the exchange over HTTP: a connection of its own, one request, a short
//! answer, and how long all of that may take.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::listen::Stream;

/// How long the collector may take for one message.
const ANSWER: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Who sends.
const SOFTWARE: &str = concat!("odeon/", env!("CARGO_PKG_VERSION"));

/// What came of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It was taken; this was said about it, if it could be read.
    Taken(Bytes),
    /// It never will be.
    Refused(StatusCode),
    /// It may be, later, and not before this long if it says so.
    NotNow {
        /// What is in the way.
        why: String,
        /// How long it is not to be asked.
        after: Option<Duration>,
    },
}

/// Sends a message in JSON.
pub(super) async fn post(address: SocketAddr, path: &'static str, fields: HeaderMap, body: Bytes) -> Told {
    match exchange(address, path, fields, body).await {
        Ok(Answer { status, body, .. }) if status.is_success() => Told::Taken(body),
        Ok(Answer { status, after, .. }) if is_for_now(status) => Told::NotNow {
            why: format!("it says {status}"),
            after,
        },
        Ok(Answer { status, .. }) => Told::Refused(status),
        Err(problem) => Told::NotNow {
            why: problem.to_string(),
            after: None,
        },
    }
}

struct Answer {
    status: StatusCode,
    after: Option<Duration>,
    body: Bytes,
}

/// How long whoever answers so is not to be asked, if he says it in seconds; a
/// date counts as nothing.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The statuses after which the specification has one try again.
fn is_for_now(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

type Problem = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(
    address: SocketAddr,
    path: &'static str,
    fields: HeaderMap,
    body: Bytes,
) -> Result<Answer, Problem> {
    let until = Instant::now() + ANSWER;
    let stream = in_time(until, TcpStream::connect(address)).await??;
    let (mut sender, connection) = http1::handshake(Stream::new(stream)).await?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(path);
    let own = request.headers_mut();
    own.extend(fields);
    own.insert(HOST, HeaderValue::try_from(address.to_string())?);
    own.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    own.insert(CONNECTION, HeaderValue::from_static("close"));
    own.entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(SOFTWARE));
    let answered = async move {
        let response = in_time(until, sender.send_request(request)).await??;
        let mut answered = Answer {
            status: response.status(),
            after: retry_after(response.headers()),
            body: Bytes::new(),
        };
        // Only of one that was taken the rest says something.
        if !answered.status.is_success() {
            return Ok(answered);
        }
        // What it took, it took, whatever is the matter with the rest: sent
        // again, it would arrive twice.
        let answer = Limited::new(response.into_body(), MAX_ANSWER).collect();
        let answer = timeout_at(until, answer).await.ok().and_then(Result::ok);
        if let Some(answer) = answer {
            answered.body = answer.to_bytes();
        }
        Ok(answered)
    };
    tokio::pin!(answered);
    tokio::select! {
        answered = &mut answered => answered,
        // It has read all that came; the answer is made of that.
        _ = connection => answered.await,
    }
}

async fn in_time<T>(until: Instant, work: impl Future<Output = T>) -> Result<T, Problem> {
    let done = timeout_at(until, work).await;
    done.map_err(|_| format!("no answer within {} s", ANSWER.as_secs()).into())
}

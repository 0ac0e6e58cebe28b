//! Requests over `wasi:http`.

use std::cell::RefCell;
use std::mem::forget;

use crate::exports::odeon_tests::egress::web::{Answer, Guest, Stopped};
use crate::wasi::http::outgoing_handler::handle;
use crate::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, HeaderError, IncomingResponse, Method, OutgoingBody,
    OutgoingRequest, RequestOptions, Scheme,
};
use crate::wasi::io::streams::StreamError;

/// Bytes asked for at a time.
const READ: u64 = 64 * 1024;

/// The most that `blocking-write-and-flush` takes at once.
const CHUNK: usize = 4096;

/// Redirects that `follow` goes through.
const HOPS: usize = 5;

thread_local! {
    static BEGUN: RefCell<Option<FutureIncomingResponse>> = const { RefCell::new(None) };
}

impl Guest for crate::Egress {
    fn request(tls: bool, authority: String, path: String) -> Result<Answer, String> {
        let scheme = if tls { Scheme::Https } else { Scheme::Http };
        exchange(prepare(
            Fields::new(),
            &Method::Get,
            &scheme,
            Some(&authority),
            &path,
        )?)
    }

    fn request_within(tls: bool, authority: String, milliseconds: u64) -> Result<Answer, String> {
        let scheme = if tls { Scheme::Https } else { Scheme::Http };
        let request = prepare(Fields::new(), &Method::Get, &scheme, Some(&authority), "/")?;
        let options = RequestOptions::new();
        options
            .set_connect_timeout(Some(milliseconds * 1_000_000))
            .map_err(|()| "options".to_owned())?;
        answer(&start_with(request, Some(options))?)
    }

    fn request_as(authority: String, path: String, host: String) -> Result<Answer, String> {
        let fields = Fields::new();
        fields.append("host", host.as_bytes()).map_err(header_name)?;
        exchange(prepare(
            fields,
            &Method::Get,
            &Scheme::Http,
            Some(&authority),
            &path,
        )?)
    }

    fn request_scheme(scheme: String, authority: String, path: String) -> Result<Answer, String> {
        exchange(prepare(
            Fields::new(),
            &Method::Get,
            &Scheme::Other(scheme),
            Some(&authority),
            &path,
        )?)
    }

    fn request_nowhere(path: String) -> Result<Answer, String> {
        exchange(prepare(Fields::new(), &Method::Get, &Scheme::Http, None, &path)?)
    }

    fn request_method(method: String, authority: String, path: String) -> Result<Answer, String> {
        exchange(prepare(
            Fields::new(),
            &Method::Other(method),
            &Scheme::Http,
            Some(&authority),
            &path,
        )?)
    }

    fn follow(authority: String, path: String) -> Result<Answer, String> {
        let (mut tls, mut authority, mut path) = (false, authority, path);
        for _ in 0..HOPS {
            let answer = Self::request(tls, authority.clone(), path.clone())?;
            let Some(location) = answer
                .location
                .as_deref()
                .filter(|_| (300..400).contains(&answer.status))
            else {
                return Ok(answer);
            };
            match location.split_once("://") {
                None => path = location.to_owned(),
                Some((scheme, rest)) => {
                    tls = scheme == "https";
                    let (next, below) = rest.split_once('/').unwrap_or((rest, ""));
                    authority = next.to_owned();
                    path = format!("/{below}");
                }
            }
        }
        Err("too many redirects".to_owned())
    }

    fn request_headers(authority: String, count: u32, bytes: u32) -> Result<Answer, String> {
        let fields = Fields::new();
        let value = vec![b'h'; bytes as usize];
        for index in 0..count {
            fields
                .append(&format!("x-{index}"), &value)
                .map_err(header_name)?;
        }
        exchange(prepare(
            fields,
            &Method::Get,
            &Scheme::Http,
            Some(&authority),
            "/",
        )?)
    }

    fn requests_forever(authority: String, path: String) -> Stopped {
        let mut kept = Vec::new();
        until_refused(|| {
            kept.push(response(&start(get(&authority, &path)?)?)?);
            Ok(1)
        })
    }

    fn pending_forever(authority: String, path: String) -> Stopped {
        let mut kept = Vec::new();
        until_refused(|| {
            kept.push(start(get(&authority, &path)?)?);
            Ok(1)
        })
    }

    fn begin(authority: String) -> Result<(), String> {
        BEGUN.replace(Some(start(get(&authority, "/")?)?));
        Ok(())
    }

    fn begun() -> Result<u16, String> {
        BEGUN.with_borrow(|begun| {
            let pending = begun.as_ref().ok_or_else(|| "nothing-begun".to_owned())?;
            response(pending).map(|response| response.status())
        })
    }

    fn upload_forever(authority: String, path: String, chunk: u32) -> Stopped {
        let data = vec![b'u'; chunk as usize];
        let started = prepare(
            Fields::new(),
            &Method::Post,
            &Scheme::Http,
            Some(&authority),
            &path,
        );
        let started = started.and_then(|request| {
            let body = request.body().map_err(|()| "body".to_owned())?;
            let stream = body.write().map_err(|()| "body".to_owned())?;
            let pending = handle(request, None).map_err(|code| name(&code))?;
            Ok((pending, body, stream))
        });
        // Dropped from last to first: the stream before the body it writes to.
        let (_pending, _body, stream) = match started {
            Ok(started) => started,
            Err(error) => return Stopped { done: 0, error },
        };
        until_refused(|| {
            for chunk in data.chunks(CHUNK) {
                stream
                    .blocking_write_and_flush(chunk)
                    .map_err(|error| stream_name(&error))?;
            }
            Ok(data.len() as u64)
        })
    }

    fn download(authority: String, path: String) -> Stopped {
        let mut done = 0;
        let end = get(&authority, &path)
            .and_then(|request| read(&response(&start(request)?)?, |bytes| done += bytes.len()));
        Stopped {
            done: done as u64,
            error: end.err().unwrap_or_default(),
        }
    }

    fn fields_forever(bytes: u32) -> Stopped {
        let fields = Fields::new();
        let value = vec![b'f'; bytes as usize];
        until_refused(|| {
            fields
                .append("x-flood", &value)
                .map(|()| u64::from(bytes))
                .map_err(header_name)
        })
    }

    fn request_parts(bytes: u32) -> (bool, bool, bool) {
        let part = "a".repeat(bytes as usize);
        let request = OutgoingRequest::new(Fields::new());
        (
            request.set_method(&Method::Other(part.clone())).is_ok(),
            request.set_authority(Some(&part)).is_ok(),
            request.set_path_with_query(Some(&format!("/{part}"))).is_ok(),
        )
    }

    fn messages_forever(bytes: u32) {
        loop {
            forget(message(bytes));
        }
    }

    fn messages_dropped(bytes: u32, times: u32) -> u32 {
        (0..times).filter(|_| message(bytes).has("x-kept")).count() as u32
    }

    fn bodies_forever() {
        let piece = vec![b'b'; CHUNK];
        loop {
            let request = OutgoingRequest::new(Fields::new());
            if let Ok(body) = request.body()
                && let Ok(stream) = body.write()
            {
                while matches!(stream.check_write(), Ok(room) if room >= piece.len() as u64) {
                    if stream.write(&piece).is_err() {
                        break;
                    }
                }
            }
            forget(request);
        }
    }

    fn requests_bare(authority: Option<String>, times: u32) -> String {
        let mut last = String::new();
        for _ in 0..times {
            let request = OutgoingRequest::new(Fields::new());
            if request.set_scheme(Some(&Scheme::Http)).is_err()
                || request.set_authority(authority.as_deref()).is_err()
            {
                return "parts".to_owned();
            }
            let sent = handle(request, None).map_err(|code| name(&code));
            last = sent
                .and_then(|pending| response(&pending))
                .err()
                .unwrap_or_default();
        }
        last
    }
}

fn message(bytes: u32) -> Fields {
    let fields = Fields::new();
    // A refusal leaves the fields empty.
    let _taken = fields.append("x-kept", &vec![b'k'; bytes as usize]);
    fields
}

fn prepare(
    fields: Fields,
    method: &Method,
    scheme: &Scheme,
    authority: Option<&str>,
    path: &str,
) -> Result<OutgoingRequest, String> {
    let request = OutgoingRequest::new(fields);
    request.set_method(method).map_err(|()| "method".to_owned())?;
    request
        .set_scheme(Some(scheme))
        .map_err(|()| "scheme".to_owned())?;
    request
        .set_authority(authority)
        .map_err(|()| "authority".to_owned())?;
    request
        .set_path_with_query(Some(path))
        .map_err(|()| "path".to_owned())?;
    Ok(request)
}

fn get(authority: &str, path: &str) -> Result<OutgoingRequest, String> {
    prepare(Fields::new(), &Method::Get, &Scheme::Http, Some(authority), path)
}

/// Sends a request with an empty body.
fn start(request: OutgoingRequest) -> Result<FutureIncomingResponse, String> {
    start_with(request, None)
}

fn start_with(
    request: OutgoingRequest,
    options: Option<RequestOptions>,
) -> Result<FutureIncomingResponse, String> {
    let body = request.body().map_err(|()| "body".to_owned())?;
    let pending = handle(request, options).map_err(|code| name(&code))?;
    OutgoingBody::finish(body, None).map_err(|code| name(&code))?;
    Ok(pending)
}

fn response(pending: &FutureIncomingResponse) -> Result<IncomingResponse, String> {
    pending.subscribe().block();
    let response = pending
        .get()
        .and_then(Result::ok)
        .ok_or_else(|| "no response".to_owned())?;
    response.map_err(|code| name(&code))
}

fn exchange(request: OutgoingRequest) -> Result<Answer, String> {
    answer(&start(request)?)
}

fn answer(pending: &FutureIncomingResponse) -> Result<Answer, String> {
    let response = response(pending)?;
    let location = response.headers().get("location").pop();
    let mut body = Vec::new();
    read(&response, |bytes| body.extend_from_slice(bytes))?;
    Ok(Answer {
        status: response.status(),
        location: location.map(|value| String::from_utf8_lossy(&value).into_owned()),
        body,
    })
}

fn read(response: &IncomingResponse, mut take: impl FnMut(&[u8])) -> Result<(), String> {
    let body = response.consume().map_err(|()| "body".to_owned())?;
    let stream = body.stream().map_err(|()| "body".to_owned())?;
    loop {
        match stream.blocking_read(READ) {
            Ok(bytes) => take(&bytes),
            Err(StreamError::Closed) => return Ok(()),
            Err(error) => return Err(stream_name(&error)),
        }
    }
}

/// Repeats a step until it is refused. A step returns how much it did.
fn until_refused(mut step: impl FnMut() -> Result<u64, String>) -> Stopped {
    let mut done = 0;
    loop {
        match step() {
            Ok(more) => done += more,
            Err(error) => return Stopped { done, error },
        }
    }
}

/// The case of an error code, without its payload.
fn name(code: &ErrorCode) -> String {
    let text = format!("{code:?}");
    let case = text
        .rsplit_once("ErrorCode::")
        .map_or(text.as_str(), |(_, case)| case);
    case.split(['(', ' ', '{']).next().unwrap_or(case).to_owned()
}

fn header_name(error: HeaderError) -> String {
    match error {
        HeaderError::InvalidSyntax => "header-invalid-syntax",
        HeaderError::Forbidden => "header-forbidden",
        HeaderError::Immutable => "header-immutable",
    }
    .to_owned()
}

fn stream_name(error: &StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => error.to_debug_string(),
    }
}

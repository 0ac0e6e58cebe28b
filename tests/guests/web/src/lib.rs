//! Hostile: answers HTTP requests in every wrong way, and some right ones.
//!
//! What is done is the last part of the path, and how often or how much the query.

odeon_sdk::plugin!({
    world: "odeon-tests:web/web",
    path: [
        "../../../wit/deps/io", "../../../wit/deps/clocks", "../../../wit/deps/random", "../../../wit/deps/filesystem",
        "../../../wit/deps/sockets", "../../../wit/deps/cli", "../../../wit/deps/http", "wit",
    ],
});

use exports::wasi::http::incoming_handler::Guest;
use wasi::clocks::monotonic_clock::subscribe_duration;
use wasi::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasi::io::streams::{InputStream, OutputStream, StreamError};

/// Tests make another version of the component by writing another number here.
static VERSION: &str = "answered by version 1";

/// Bytes written at a time.
const PIECE: usize = 4096;

struct Web;

impl Guest for Web {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let asked = request.path_with_query().unwrap_or_default();
        let (path, query) = asked.split_once('?').unwrap_or((&asked, ""));
        let number: u64 = query.parse().unwrap_or_default();
        match path.rsplit('/').next().unwrap_or_default() {
            // Right ones.
            "version" => say(200, VERSION, out),
            "path" => say(200, &asked, out),
            "who" => say(200, &odeon_sdk::request::caller_chain().join(" "), out),
            "fields" => say(200, &fields_of(&request), out),
            "length" => say_length(&request, out),
            "echo" => echo(&request, out),
            "lines" => send(200, &[], out, |into| write_lines(into, number)),
            "bytes" => send(200, &[], out, |into| write_bytes(into, number)),
            "slow-version" => {
                sleep(number);
                say(200, VERSION, out);
            }
            "version-of" => {
                read_some(&request);
                say(200, VERSION, out);
            }
            "status" => say(u16::try_from(number).unwrap_or_default(), "", out),
            "trailers" => send_trailers(out),
            // Wrong ones.
            "nothing" => drop(out),
            "error" => ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some("a secret".to_owned())))),
            "trap" => unreachable(),
            "trap-in-body" => send(200, &[], out, |into| {
                write_bytes(into, number)?;
                unreachable()
            }),
            "spin" => spin(),
            "spin-in-body" => send(200, &[], out, |into| {
                write_bytes(into, number)?;
                spin()
            }),
            "sleep" => sleep(u64::MAX / 1_000_000),
            "header" => {
                let value = vec![b'x'; usize::try_from(number).unwrap_or_default()];
                send(200, &[("x-long", &value)], out, |_| Ok(()));
            }
            "drip" => send(200, &[], out, |into| {
                loop {
                    into.blocking_write_and_flush(b"x")?;
                    sleep(number);
                }
            }),
            "flood" => send(200, &[], out, |into| {
                loop {
                    into.blocking_write_and_flush(&[b'x'; PIECE])?;
                }
            }),
            "short" => send(200, &[("content-length", b"100")], out, |into| {
                write_bytes(into, 10)
            }),
            // Reads for ever, whatever the host says.
            "read-forever" => read_forever(&request),
            // Says that all is well although the body was not.
            "lie" => {
                read_some(&request);
                say(200, "all is well", out);
            }
            other => say(404, other, out),
        }
    }
}

fn unreachable() -> ! {
    std::process::abort()
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

fn sleep(milliseconds: u64) {
    subscribe_duration(milliseconds.saturating_mul(1_000_000)).block();
}

fn say(status: u16, text: &str, out: ResponseOutparam) {
    let length = text.len().to_string().into_bytes();
    send(status, &[("content-length", &length)], out, |into| {
        text.as_bytes()
            .chunks(PIECE)
            .try_for_each(|piece| into.blocking_write_and_flush(piece))
    });
}

fn send(
    status: u16,
    fields: &[(&str, &[u8])],
    out: ResponseOutparam,
    write: impl FnOnce(&OutputStream) -> Result<(), StreamError>,
) {
    if let Some((body, written)) = begin(status, fields, out, write)
        && written.is_ok()
    {
        drop(OutgoingBody::finish(body, None));
    }
}

fn begin(
    status: u16,
    fields: &[(&str, &[u8])],
    out: ResponseOutparam,
    write: impl FnOnce(&OutputStream) -> Result<(), StreamError>,
) -> Option<(OutgoingBody, Result<(), StreamError>)> {
    let headers = Fields::new();
    for (name, value) in fields {
        headers.append(name, value).ok()?;
    }
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).ok()?;
    let body = response.body().ok()?;
    ResponseOutparam::set(out, Ok(response));
    let into = body.write().ok()?;
    let written = write(&into);
    drop(into);
    Some((body, written))
}

fn send_trailers(out: ResponseOutparam) {
    let sent = begin(200, &[("trailer", b"x-sum")], out, |into| write_bytes(into, 3));
    if let Some((body, Ok(()))) = sent {
        let trailers = Fields::new();
        if trailers.append("x-sum", b"3").is_err() {
            return;
        }
        drop(OutgoingBody::finish(body, Some(trailers)));
    }
}

fn write_bytes(into: &OutputStream, mut left: u64) -> Result<(), StreamError> {
    let piece = [b'x'; PIECE];
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        into.blocking_write_and_flush(piece.get(..length).unwrap_or_default())?;
        left -= length as u64;
    }
    Ok(())
}

fn write_lines(into: &OutputStream, lines: u64) -> Result<(), StreamError> {
    (0..lines).try_for_each(|line| into.blocking_write_and_flush(format!("{line} {VERSION}\n").as_bytes()))
}

fn with_body<T>(request: &IncomingRequest, read: impl FnOnce(&InputStream) -> T) -> Option<T> {
    let body = request.consume().ok()?;
    let from = body.stream().ok()?;
    let result = read(&from);
    drop(from);
    drop(IncomingBody::finish(body));
    Some(result)
}

fn echo(request: &IncomingRequest, out: ResponseOutparam) {
    with_body(request, |from| {
        send(200, &[], out, |into| {
            loop {
                match from.blocking_read(PIECE as u64) {
                    Ok(piece) => into.blocking_write_and_flush(&piece)?,
                    Err(StreamError::Closed) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        });
    });
}

fn say_length(request: &IncomingRequest, out: ResponseOutparam) {
    let length = with_body(request, |from| {
        let mut length = 0;
        loop {
            match from.blocking_read(1 << 16) {
                Ok(piece) => length += piece.len(),
                Err(StreamError::Closed) => return Some(length),
                Err(StreamError::LastOperationFailed(_)) => return None,
            }
        }
    });
    // A body that did not come whole has no length, and the request no answer.
    if let Some(Some(length)) = length {
        say(200, &length.to_string(), out);
    }
}

fn read_some(request: &IncomingRequest) {
    with_body(request, |from| while from.blocking_read(1 << 16).is_ok() {});
}

fn read_forever(request: &IncomingRequest) {
    with_body(request, |from| {
        loop {
            drop(from.blocking_read(1 << 16));
        }
    });
}

fn fields_of(request: &IncomingRequest) -> String {
    let mut lines: Vec<String> = request
        .headers()
        .entries()
        .into_iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(&value)))
        .collect();
    lines.push(format!("authority: {}", request.authority().unwrap_or_default()));
    lines.push(format!("scheme: {:?}", request.scheme()));
    lines.join("\n")
}

export!(Web);

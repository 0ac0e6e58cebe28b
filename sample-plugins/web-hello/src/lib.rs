//! Answers HTTP requests: a greeting, or what was sent.

odeon_sdk::plugin!({
    world: "odeon-samples:web-hello/web-hello",
    path: [
        "../../wit/deps/io", "../../wit/deps/clocks", "../../wit/deps/random", "../../wit/deps/filesystem",
        "../../wit/deps/sockets", "../../wit/deps/cli", "../../wit/deps/http", "wit",
    ],
});

use exports::wasi::http::incoming_handler::Guest;
use wasi::http::types::{
    Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasi::io::streams::StreamError;

/// The longest piece of a body that is passed on at once, in bytes.
const PIECE: u64 = 16 * 1024;

struct Hello;

impl Guest for Hello {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        match request.method() {
            Method::Get | Method::Head => {
                let asked = request.path_with_query().unwrap_or_default();
                let name = asked.split_once('?').map_or("world", |(_, name)| name);
                answer(200, &format!("Hello, {name}!\n"), out);
            }
            Method::Post => echo(request, out),
            _ => answer(405, "expected GET or POST\n", out),
        }
    }
}

/// Answers with a text.
fn answer(status: u16, text: &str, out: ResponseOutparam) {
    let length = text.len().to_string().into_bytes();
    let fields = [
        ("content-type".to_owned(), b"text/plain; charset=utf-8".to_vec()),
        ("content-length".to_owned(), length),
    ];
    let Ok(headers) = Fields::from_list(&fields) else {
        return;
    };
    send(OutgoingResponse::new(headers), status, out, |into| {
        into.blocking_write_and_flush(text.as_bytes())
    });
}

/// Answers with the body of the request, as it comes.
fn echo(request: IncomingRequest, out: ResponseOutparam) {
    let Ok(body) = request.consume() else { return };
    let Ok(from) = body.stream() else { return };
    send(OutgoingResponse::new(Fields::new()), 200, out, |into| {
        loop {
            match from.blocking_read(PIECE) {
                Ok(piece) => piece
                    .chunks(4096)
                    .try_for_each(|piece| into.blocking_write_and_flush(piece))?,
                Err(StreamError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    });
    drop(from);
    drop(IncomingBody::finish(body));
}

/// Sends the head of a response, then what `write` writes. Where that fails, the response is broken off.
fn send(
    response: OutgoingResponse,
    status: u16,
    out: ResponseOutparam,
    write: impl FnOnce(&wasi::io::streams::OutputStream) -> Result<(), StreamError>,
) {
    let (Ok(()), Ok(body)) = (response.set_status_code(status), response.body()) else {
        return;
    };
    ResponseOutparam::set(out, Ok(response));
    let Ok(into) = body.write() else { return };
    let written = write(&into);
    drop(into);
    if written.is_ok() {
        // An error means that nobody is there any more.
        drop(OutgoingBody::finish(body, None));
    }
}

export!(Hello);

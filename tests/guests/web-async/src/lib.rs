//! Hostile: answers HTTP requests as a handler of WASI 0.3.
//!
//! What is done is the last part of the path, and how much the query.

odeon_sdk::plugin!({
    world: "odeon-tests:web-async/web-async",
    path: [
        "../../../wit/deps/0.3/clocks", "../../../wit/deps/0.3/random", "../../../wit/deps/0.3/filesystem",
        "../../../wit/deps/0.3/sockets", "../../../wit/deps/0.3/cli", "../../../wit/deps/0.3/http", "wit",
    ],
});

use exports::wasi::http::handler::Guest;
use wasi::clocks::monotonic_clock::wait_for;
use wasi::http::types::{ErrorCode, Fields, Request, Response};
use wit_bindgen::{StreamReader, StreamWriter};

/// Bytes written at a time.
const PIECE: usize = 4096;

struct Web;

impl Guest for Web {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let asked = request.get_path_with_query().unwrap_or_default();
        let (path, query) = asked.split_once('?').unwrap_or((&asked, ""));
        let number: u64 = query.parse().unwrap_or_default();
        match path.rsplit('/').next().unwrap_or_default() {
            "version" => respond(200, |mut into| async move {
                into.write_all(b"answered by WASI 0.3".to_vec()).await;
            }),
            "bytes" => respond(200, move |mut into| async move {
                write_bytes(&mut into, number).await;
            }),
            "echo" => {
                let mut from = body_of(request);
                respond(200, move |mut into| async move {
                    loop {
                        let (_, piece) = from.read(Vec::with_capacity(PIECE)).await;
                        if piece.is_empty() || !into.write_all(piece).await.is_empty() {
                            return;
                        }
                    }
                })
            }
            "error" => Err(ErrorCode::InternalError(Some("a secret".to_owned()))),
            "trap" => std::process::abort(),
            "trap-in-body" => respond(200, move |mut into| async move {
                write_bytes(&mut into, number).await;
                std::process::abort()
            }),
            "sleep" => {
                wait_for(u64::MAX / 2).await;
                respond(200, |_| async {})
            }
            "sleep-in-body" => respond(200, move |mut into| async move {
                write_bytes(&mut into, number).await;
                wait_for(u64::MAX / 2).await;
            }),
            "flood" => respond(200, |mut into| async move {
                while into.write_all(vec![b'x'; PIECE]).await.is_empty() {}
            }),
            "status" => respond(u16::try_from(number).unwrap_or_default(), |_| async {}),
            _ => respond(404, |_| async {}),
        }
    }
}

/// A response whose body is written while it is sent.
fn respond<W, F>(status: u16, write: W) -> Result<Response, ErrorCode>
where
    W: FnOnce(StreamWriter<u8>) -> F,
    F: Future<Output = ()> + 'static,
{
    let (into, from) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(from), trailers);
    if response.set_status_code(status).is_err() {
        return Err(ErrorCode::InternalError(None));
    }
    wit_bindgen::spawn_local(write(into));
    Ok(response)
}

fn body_of(request: Request) -> StreamReader<u8> {
    let (_, finished) = wit_future::new(|| Ok(()));
    let (body, _trailers) = Request::consume_body(request, finished);
    body
}

async fn write_bytes(into: &mut StreamWriter<u8>, mut left: u64) {
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        if !into.write_all(vec![b'x'; length]).await.is_empty() {
            return;
        }
        left -= length as u64;
    }
}

export!(Web);

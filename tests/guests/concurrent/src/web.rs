//! Requests over `wasi:http`.

use std::mem::forget;

use wit_bindgen::StreamReader;

use crate::exports::odeon_tests::concurrent::web::Guest;
use crate::join::join;
use crate::wasi::http::client::send;
use crate::wasi::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};

/// Bytes sent at a time.
const CHUNK: usize = 16 * 1024;

impl Guest for crate::Concurrent {
    async fn request(authority: String, path: String) -> Result<(u16, Vec<u8>), String> {
        let request = prepare(&Method::Get, &authority, &path, None)?;
        let response = send(request).await.map_err(name)?;
        let status = response.get_status_code();
        let (_, finished) = crate::wit_future::new(|| Ok(()));
        let (body, _trailers) = Response::consume_body(response, finished);
        Ok((status, body.collect().await))
    }

    async fn upload(authority: String, path: String, bytes: u32) -> Result<u16, String> {
        let (mut into, from) = crate::wit_stream::new();
        let request = prepare(&Method::Post, &authority, &path, Some(from))?;
        let write = async move {
            let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
            while left > 0 {
                let piece = left.min(CHUNK);
                if !into.write_all(vec![b'x'; piece]).await.is_empty() {
                    return;
                }
                left -= piece;
            }
        };
        let response = join(write, send(request)).await.1.map_err(name)?;
        Ok(response.get_status_code())
    }

    async fn fields_forever(bytes: u32) -> String {
        let value = vec![b'x'; usize::try_from(bytes).unwrap_or(usize::MAX)];
        loop {
            let fields = Fields::new();
            if let Err(error) = fields.append("x", &value) {
                return format!("{error:?}");
            }
            forget(fields);
        }
    }
}

fn prepare(
    method: &Method,
    authority: &str,
    path: &str,
    body: Option<StreamReader<u8>>,
) -> Result<Request, String> {
    let (_, trailers) = crate::wit_future::new(|| Ok(None));
    let (request, _sent) = Request::new(Fields::new(), body, trailers, None);
    let invalid = |part: &'static str| move |()| format!("invalid {part}");
    request.set_method(method).map_err(invalid("method"))?;
    request
        .set_scheme(Some(&Scheme::Http))
        .map_err(invalid("scheme"))?;
    request
        .set_authority(Some(authority))
        .map_err(invalid("authority"))?;
    request.set_path_with_query(Some(path)).map_err(invalid("path"))?;
    Ok(request)
}

/// `ErrorCode::HttpRequestDenied` as `HttpRequestDenied`.
fn name(error: ErrorCode) -> String {
    let text = format!("{error:?}");
    text.rsplit("::").next().unwrap_or(&text).to_owned()
}

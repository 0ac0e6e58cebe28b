//! The head of a request, looked at before anything is done for it.
//!
//! Owns what is no request here although the HTTP library takes it: two lengths
//! for one body, no host or two, another protocol.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, StatusCode, Uri};

use super::refusal::Refusal;

/// Refuses what is no request for a plugin. `seen` holds what came from the
/// client since the response before was complete.
pub(super) fn check<B>(request: &Request<B>, seen: &[u8]) -> Result<(), Refusal> {
    let headers = request.headers();
    if headers.contains_key(TRANSFER_ENCODING) {
        one_length(request, seen)?;
    }
    if request.method() == Method::CONNECT || headers.contains_key(UPGRADE) {
        return Err(Refusal::bad(
            StatusCode::NOT_IMPLEMENTED,
            "expected a request, found one for another protocol; nothing is upgraded or tunnelled here",
        ));
    }
    one_host(headers, request.uri())?;
    if !request.uri().path().starts_with('/') {
        return Err(Refusal::bad(
            StatusCode::BAD_REQUEST,
            "expected a path that begins with /",
        ));
    }
    Ok(())
}

/// With a coding and a length, whoever forwarded the request may have gone by
/// the other of the two. The HTTP library goes by the coding and has dropped the
/// length, so that only the bytes tell.
fn one_length<B>(request: &Request<B>, seen: &[u8]) -> Result<(), Refusal> {
    let refused = |found: &str| {
        Err(Refusal::bad(
            StatusCode::BAD_REQUEST,
            format!("expected a Transfer-Encoding alone, found {found}; it is not clear where the body ends"),
        ))
    };
    let Some(head) = head_of(request, seen) else {
        return refused(
            "one in a request that does not begin where the one before it and its response had ended",
        );
    };
    match has_field(head, CONTENT_LENGTH.as_str()) {
        true => refused("a Content-Length beside it"),
        false => Ok(()),
    }
}

/// The bytes of this request's head, which has to be the first that was seen:
/// what stands behind it is its body, and can look like a head. Where something
/// stands before it, nobody can tell which is which.
fn head_of<'a, B>(request: &Request<B>, seen: &'a [u8]) -> Option<&'a [u8]> {
    let uri = request.uri();
    let target = uri
        .path_and_query()
        .map_or_else(|| uri.path(), |target| target.as_str());
    // Empty lines before a request are allowed.
    let begin = seen.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let head = seen.get(begin..)?;
    let line = head.split(|byte| *byte == b'\n').next()?.trim_ascii_end();
    let line = line.strip_prefix(request.method().as_str().as_bytes())?;
    let asked = line
        .strip_suffix(b" HTTP/1.1")
        .or_else(|| line.strip_suffix(b" HTTP/1.0"))?;
    if !asked.starts_with(b" ") || !asked.ends_with(target.as_bytes()) {
        return None;
    }
    let ends = [find(head, b"\n\r\n"), find(head, b"\n\n")];
    head.get(..ends.into_iter().flatten().min()?)
}

fn has_field(head: &[u8], name: &str) -> bool {
    head.split(|byte| *byte == b'\n').any(|line| {
        let field = line.split(|byte| *byte == b':').next().unwrap_or_default();
        line.contains(&b':') && field.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
    })
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The guest is told which host was asked for: there has to be one.
fn one_host(headers: &HeaderMap, uri: &Uri) -> Result<(), Refusal> {
    let refused = || {
        Err(Refusal::bad(
            StatusCode::BAD_REQUEST,
            "expected one Host with a name and perhaps a port",
        ))
    };
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.as_bytes(),
        (None, None) if uri.authority().is_some() => return Ok(()),
        _ => return refused(),
    };
    match Authority::try_from(host) {
        Ok(authority) if !authority.host().is_empty() && !authority.as_str().contains('@') => Ok(()),
        _ => refused(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, fields: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::builder().uri(target);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    #[test]
    fn a_length_beside_a_coding_is_found_in_the_bytes() {
        let mut chunked = request("/a", &[("host", "x"), ("transfer-encoding", "chunked")]);
        *chunked.method_mut() = Method::POST;
        let coded = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let both = "POST /a HTTP/1.1\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n";
        let rows: [(&str, bool); 12] = [
            (coded, true),
            (&format!("\r\n{coded}"), true),
            (
                "POST http://x/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
                true,
            ),
            (
                "POST /a HTTP/1.1\r\nHost: x\r\nContent-LENGTH : 3\r\nTransfer-Encoding: chunked\r\n\r\n",
                false,
            ),
            (
                "POST /a HTTP/1.1\nTransfer-Encoding: chunked\ncontent-length:3\n\n",
                false,
            ),
            // A body that looks like a head tells nothing, one way or the other.
            (
                &format!("{both}0\r\n\r\nPOST /a HTTP/1.1\r\nHost: x\r\n\r\n"),
                false,
            ),
            (&format!("{both}0\r\n\r\n{coded}"), false),
            (&format!("{coded}4c\r\n{both}"), true),
            (&format!("{coded}Content-Length: 3\r\n"), true),
            // Something stands before it.
            (&format!("3\r\nabc\r\n0\r\n\r\n{coded}"), false),
            // A head that was not seen whole.
            ("Transfer-Encoding: chunked\r\n\r\n", false),
            ("", false),
        ];
        for (seen, good) in rows {
            assert_eq!(check(&chunked, seen.as_bytes()).is_ok(), good, "{seen:?}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        let rows: [(&[(&str, &str)], bool); 7] = [
            (&[("host", "example.org")], true),
            (&[("host", "[::1]:80")], true),
            (&[], false),
            (&[("host", "")], false),
            (&[("host", "a"), ("host", "a")], false),
            (&[("host", "me@a")], false),
            (&[("host", "a b")], false),
        ];
        for (fields, good) in rows {
            assert_eq!(check(&request("/", fields), b"").is_ok(), good, "{fields:?}");
        }
    }

    #[test]
    fn nothing_is_upgraded() {
        let upgrade = request("/", &[("host", "a"), ("upgrade", "websocket")]);
        assert_eq!(
            check(&upgrade, b"").unwrap_err().status,
            StatusCode::NOT_IMPLEMENTED
        );
        let mut connect = request("/", &[("host", "a")]);
        *connect.method_mut() = Method::CONNECT;
        assert_eq!(
            check(&connect, b"").unwrap_err().status,
            StatusCode::NOT_IMPLEMENTED
        );
    }
}

//! Addresses are split into what a request needs, and error codes read as words.

use super::{ErrorCode, Scheme, split, words};

#[track_caller]
fn check(url: &str, expected: Option<(&str, &str, &str)>) {
    let found = split(url).map(|(scheme, authority, path)| {
        let scheme = match scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Other(_) => "other",
        };
        (scheme, authority, path)
    });
    assert_eq!(
        found,
        expected.map(|(scheme, authority, path)| (scheme, authority, path.to_owned())),
        "{url}"
    );
}

#[test]
fn an_address_is_split_at_its_authority() {
    check("http://a.example/b?c=d", Some(("http", "a.example", "/b?c=d")));
    check("https://a.example:8443", Some(("https", "a.example:8443", "/")));
    check("http://a.example?c", Some(("http", "a.example", "/?c")));
    check("http://[::1]:80/x://y", Some(("http", "[::1]:80", "/x://y")));
}

#[test]
fn a_fragment_is_not_sent() {
    check("http://a.example/b#c", Some(("http", "a.example", "/b")));
    check("http://a.example#/b", Some(("http", "a.example", "/")));
}

#[test]
fn what_is_no_address_is_refused() {
    for url in [
        "",
        "a.example",
        "ftp://a.example/",
        "http://",
        "http:///b",
        "http://?c",
        "://a",
    ] {
        check(url, None);
    }
}

#[test]
fn an_error_code_reads_as_words() {
    assert_eq!(words(&ErrorCode::ConnectionRefused), "connection refused");
    assert_eq!(
        words(&ErrorCode::HttpRequestBodySize(Some(1))),
        "http request body size"
    );
    assert_eq!(words(&ErrorCode::InternalError(None)), "internal error");
    assert_eq!(
        words(&ErrorCode::InternalError(Some("as the host says".to_owned()))),
        "as the host says"
    );
}

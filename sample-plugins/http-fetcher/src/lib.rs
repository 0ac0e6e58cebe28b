//! Fetches one address. It reaches only what its grants name: everything else comes back as `denied`.

odeon_sdk::plugin!();

use exports::odeon_samples::http_fetcher::fetcher::{FetchError, Guest, Header, Response};
use odeon_sdk::http::{Error, Request};

/// Bytes of a body that are passed on.
const MAX_BODY: u32 = 1024 * 1024;

struct Fetcher;

impl Guest for Fetcher {
    fn fetch(url: String) -> Result<Response, FetchError> {
        let response = Request::get(url)
            .header("user-agent", "odeon-sample")
            .limit(MAX_BODY as usize)
            .send()?;
        let headers = response
            .headers
            .into_iter()
            .map(|(name, value)| Header {
                name,
                value: String::from_utf8_lossy(&value).into_owned(),
            })
            .collect();
        Ok(Response {
            status: response.status,
            headers,
            body: response.body,
        })
    }
}

impl From<Error> for FetchError {
    fn from(error: Error) -> Self {
        match error {
            Error::Url(url) => Self::InvalidUrl(url),
            Error::Denied => Self::Denied,
            Error::TooLarge(_) => Self::TooLarge(MAX_BODY),
            error => Self::Failed(error.to_string()),
        }
    }
}

export!(Fetcher);

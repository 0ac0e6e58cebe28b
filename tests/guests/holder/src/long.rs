//! Uses in the middle of one call.

use odeon_sdk::secrets;

use crate::exports::odeon_tests::holder::long::{Guest, Stopped};
use crate::reach::{self, name, secret_name, stream_name};
use crate::wasi::cli::environment::get_environment;
use crate::wasi::clocks::monotonic_clock::subscribe_duration;
use crate::wasi::http::outgoing_handler::handle;
use crate::wasi::http::types::{Fields, OutgoingRequest};

/// A millisecond, in nanoseconds.
const MOMENT: u64 = 1_000_000;

impl Guest for crate::Holder {
    fn variable(wanted: String) -> Option<String> {
        let mut all = get_environment().into_iter();
        all.find(|(name, _)| *name == wanted).map(|(_, value)| value)
    }

    fn variable_until_gone(wanted: String) -> u64 {
        let mut times = 0;
        while Self::variable(wanted.clone()).is_some() {
            times += 1;
            pause();
        }
        times
    }

    fn reveal_until_refused(wanted: String) -> Stopped {
        let secret = secrets::get(&wanted);
        until_refused(|| match &secret {
            Ok(secret) => secret.reveal().map(|_| 1).map_err(|error| secret_name(&error)),
            Err(error) => Err(secret_name(error)),
        })
    }

    fn read_until_refused(root: String, path: String) -> Stopped {
        let root = match reach::root(&root) {
            Ok(root) => root,
            Err(error) => return Stopped { done: 0, error },
        };
        let file = reach::open(&root, &path);
        until_refused(|| match &file {
            Ok(file) => file.read(1, 0).map(|_| 1).map_err(name),
            Err(error) => Err(error.clone()),
        })
    }

    fn send_until_refused(address: String, port: u16) -> Stopped {
        let connection = reach::connect(&address, port);
        until_refused(|| match &connection {
            Ok(connection) => {
                let sent = connection.output.blocking_write_and_flush(b"still here");
                sent.map(|()| 10).map_err(|error| stream_name(&error))
            }
            Err(error) => Err(error.clone()),
        })
    }

    fn request_until_refused(authority: String) -> Stopped {
        until_refused(|| request(&authority).map(|()| 1))
    }
}

fn request(authority: &str) -> Result<(), String> {
    let request = OutgoingRequest::new(Fields::new());
    let unfit = |()| "unfit".to_owned();
    request.set_authority(Some(authority)).map_err(unfit)?;
    request.set_path_with_query(Some("/")).map_err(unfit)?;
    let scheme = crate::wasi::http::types::Scheme::Http;
    request.set_scheme(Some(&scheme)).map_err(unfit)?;
    let response = handle(request, None).map_err(|code| format!("{code:?}"))?;
    response.subscribe().block();
    match response.get() {
        Some(Ok(Ok(_))) => Ok(()),
        Some(Ok(Err(code))) => Err(format!("{code:?}")),
        Some(Err(())) | None => Err("no-response".to_owned()),
    }
}

/// Lets others run.
fn pause() {
    subscribe_duration(MOMENT).block();
}

fn until_refused(mut step: impl FnMut() -> Result<u64, String>) -> Stopped {
    let mut done = 0;
    loop {
        match step() {
            Ok(more) => done += more,
            Err(error) => return Stopped { done, error },
        }
        pause();
    }
}

//! What failed, in the words of `wasi:http`.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use wasmtime_wasi_http::{Error, Result};

use super::exchange::narrow;
use crate::interfaces::egress::{Denied, Exhausted};
use crate::unit::Unit;

/// Waits no longer than the guest wants to.
pub(super) async fn within<T>(
    time: Option<Duration>,
    late: Error,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    match time {
        Some(time) => tokio::time::timeout(time, work).await.unwrap_or(Err(late)),
        None => work.await,
    }
}

pub(super) fn connect_error(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Error::ConnectionTerminated,
        io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Error::DestinationIpUnroutable,
        _ => Error::DestinationUnavailable,
    }
}

pub(super) fn tls_error(error: &io::Error) -> Error {
    if let Some(exhausted) = cause::<Exhausted>(error) {
        return too_much(exhausted);
    }
    if cause::<Denied>(error).is_some() {
        return Error::HttpRequestDenied;
    }
    match cause::<rustls::Error>(error) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::TlsCertificateError
        }
        Some(rustls::Error::AlertReceived(alert)) => Error::TlsAlertReceived {
            alert_id: Some(u8::from(*alert)),
            alert_message: None,
        },
        _ => Error::TlsProtocolError,
    }
}

/// What failed, counted where it is a limit of ours.
pub(super) fn hyper_error(error: &hyper::Error, unit: &Unit) -> Error {
    if let Some(exhausted) = cause::<Exhausted>(error) {
        return too_much(exhausted);
    }
    if cause::<Denied>(error).is_some() {
        return Error::HttpRequestDenied;
    }
    if error.is_parse_too_large() {
        unit.counters.hit("header-bytes");
        return Error::HttpResponseHeaderSectionSize(Some(narrow(unit.spec.limits.header_bytes.bytes())));
    }
    if error.is_timeout() {
        return Error::HttpResponseTimeout;
    }
    if error.is_incomplete_message() {
        return Error::HttpResponseIncomplete;
    }
    match cause::<io::Error>(error) {
        Some(_) => Error::ConnectionTerminated,
        None => Error::HttpProtocolError,
    }
}

fn too_much(exhausted: &Exhausted) -> Error {
    Error::HttpRequestBodySize(Some(exhausted.0.bytes()))
}

/// The first cause of this type, looked for inside I/O errors too.
fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

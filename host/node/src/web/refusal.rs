//! Faults as HTTP answers.
//!
//! Owns which status a fault is. **Invariant:** of a fault nothing is told but
//! what everybody may know: no details, no backtrace.

use std::fmt::Display;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::Full;
use odeon_protocol::{Code, Fault, Kind, Retry};

/// What a request is answered with that no plugin answers.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) fault: Fault,
    /// What comes after it on the connection cannot be understood.
    pub(super) close: bool,
}

impl Refusal {
    /// A request that is none.
    pub(super) fn bad(status: StatusCode, message: impl Display) -> Self {
        Refusal {
            status,
            fault: Fault::new(Code::ProtocolViolation, message.to_string()),
            close: true,
        }
    }

    /// A request that is larger than the plugin takes, by the limit that says so.
    pub(super) fn too_large(status: StatusCode, limit: &str, message: impl Display) -> Self {
        let details = serde_json::json!({ "limit": limit });
        Refusal {
            status,
            fault: Fault::new(Code::MessageTooLarge, message.to_string()).with_details(details),
            close: true,
        }
    }

    pub(super) fn response(&self) -> Response<Full<Bytes>> {
        let fault = &self.fault;
        let body = serde_json::json!({ "ok": false, "fault": {
            "code": fault.code,
            "kind": fault.kind(),
            "message": match fault.is_passed_on() {
                // Which plugins there are is nobody's business out there.
                true => "another plugin that it uses ended the call",
                false => &fault.message,
            },
            "blame": fault.code.blame(),
            "retry": fault.retry(),
        }});
        let mut response = Response::new(Full::new(format!("{body}\n").into()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE && fault.retry() == Retry::Safe {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// The same for what ended a call.
impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Refusal {
            status: status(fault.code),
            fault,
            close: false,
        }
    }
}

fn status(code: Code) -> StatusCode {
    match (code, code.kind()) {
        (Code::DeadlineLimit | Code::CpuLimit, _) | (_, Kind::Timeout) => StatusCode::GATEWAY_TIMEOUT,
        (_, Kind::Trapped | Kind::GuestError) => StatusCode::BAD_GATEWAY,
        (_, Kind::Overloaded | Kind::Unavailable | Kind::TargetGone | Kind::Cancelled) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        (_, Kind::NotFound) => StatusCode::NOT_FOUND,
        (_, Kind::Denied) => StatusCode::FORBIDDEN,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_a_status_and_is_told_without_its_details() {
        let rows = [
            (Code::Overloaded, 503, true),
            (Code::Draining, 503, true),
            (Code::Cancelled, 503, false),
            (Code::Unloaded, 503, false),
            (Code::DeadlineLimit, 504, false),
            (Code::WaitEnded, 504, false),
            (Code::CpuLimit, 504, false),
            (Code::Trapped, 502, false),
            (Code::GuestError, 502, false),
            (Code::NoHttpResponse, 502, false),
            (Code::PluginNotFound, 404, false),
            (Code::PrincipalDenied, 403, false),
            (Code::Internal, 500, false),
        ];
        for (code, status, again) in rows {
            let fault = Fault::new(code, "words").with_details(serde_json::json!({ "secret": 1 }));
            let response = Refusal::from(fault).response();
            assert_eq!(response.status().as_u16(), status, "{code}");
            assert_eq!(response.headers().contains_key(RETRY_AFTER), again, "{code}");
        }
        // The plugin ran; it is another one that was busy.
        let chain = ["web/handle".to_owned(), "provider/add".to_owned()];
        let passed_on = Fault::new(Code::Overloaded, "words").passed_on(&chain);
        let response = Refusal::from(passed_on).response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(!response.headers().contains_key(RETRY_AFTER));
        assert!(!format!("{:?}", response.body()).contains("provider"));
    }
}

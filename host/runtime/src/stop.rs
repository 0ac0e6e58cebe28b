//! Why a guest stopped, and what its caller is told.
//!
//! Owns the translation of everything that can end a call into a fault. The
//! engine's own words appear only where they name an instruction's trap.

use odeon_protocol::{Code, Executed, Fault};
use wasmtime::Trap;

use crate::codec::BadValue;
use crate::control::Reason;
use crate::engine::{HEAVY_MEMORIES, HEAVY_TABLES};
use crate::interfaces::http::NoResponse;
use crate::links::PassedOn;
use crate::meter::{Meter, Refused};

/// A stop that the host brought about. Raised as an error inside the guest's
/// call, where no guest code can catch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    #[error("interrupted from outside")]
    Interrupted(Reason),
    #[error("the plugin's deadline has passed")]
    Deadline,
    #[error("the deadline of the plugin's own hooks has passed")]
    LoadDeadline,
    #[error("the caller's waiting time has ended")]
    WaitEnded,
    #[error("the call's CPU time is used up")]
    Cpu,
    #[error("too many bytes in one host call")]
    HostCallBytes,
    #[error("too many handles")]
    Handles,
    #[error("a connection that is open may not be used any more")]
    ConnectionDenied,
}

impl Stop {
    /// Whether the time of the call itself is over.
    pub(crate) fn is_deadline(self) -> bool {
        matches!(self, Stop::Deadline | Stop::LoadDeadline)
    }

    pub(crate) fn fault(self, limits: &odeon_authority::Limits) -> Fault {
        match self {
            Stop::Interrupted(Reason::WaitEnded) | Stop::WaitEnded => Fault::wait_ended(Executed::Maybe),
            Stop::Interrupted(Reason::Cancelled) => Fault::new(Code::Cancelled, "the request was cancelled"),
            Stop::Interrupted(Reason::CallerGone) => Fault::new(
                Code::Cancelled,
                "the request was cancelled because its caller went away",
            ),
            Stop::Interrupted(Reason::Replaced) => Fault::new(
                Code::Cancelled,
                "cancelled: replaced; the call had not ended when the drain time of the old generation was over",
            ),
            Stop::Interrupted(Reason::Unloaded) => {
                Fault::new(Code::Unloaded, "the plugin was unloaded while the call ran")
            }
            Stop::Interrupted(Reason::Shutdown) => {
                Fault::new(Code::Unloaded, "the host stopped while the call ran")
            }
            Stop::Deadline => limit_fault(
                Code::DeadlineLimit,
                "deadline",
                &format!(
                    "the call ran longer than the plugin's deadline of {}",
                    limits.deadline
                ),
            ),
            Stop::LoadDeadline => limit_fault(
                Code::DeadlineLimit,
                "load-deadline",
                &format!(
                    "it ran longer than the plugin's hooks may, which is {}",
                    limits.load_deadline
                ),
            ),
            Stop::Cpu => limit_fault(
                Code::CpuLimit,
                "cpu",
                &format!("the call used up the plugin's CPU time of {}", limits.cpu),
            ),
            Stop::HostCallBytes => limit_fault(
                Code::HostCallBytesLimit,
                "host-call-bytes",
                &format!(
                    "the guest made the host copy more than {} in one call",
                    limits.host_call_bytes
                ),
            ),
            Stop::Handles => limit_fault(
                Code::HandleLimit,
                "handles",
                &format!("the guest holds more than {} handles", limits.handles),
            ),
            Stop::ConnectionDenied => Fault::new(
                Code::GrantRevoked,
                "the plugin holds a connection that it may not use any more; load it again with the grant, or \
                 call it again without",
            ),
        }
    }
}

/// A fault that names the limit that was reached and what to do.
fn limit_fault(code: Code, limit: &str, message: &str) -> Fault {
    Fault::new(
        code,
        format!("{message}; if that is too little, raise limits.{limit} in its descriptor"),
    )
    .with_details(serde_json::json!({ "limit": limit }))
}

/// Says why a call ended with this error. The frames of the guest's are asked for
/// only where they are told: their names take long to make.
pub(crate) fn explain(
    error: &wasmtime::Error,
    frames: impl FnOnce() -> Option<Vec<String>>,
    meter: &Meter,
    limits: &odeon_authority::Limits,
) -> Fault {
    if let Some(PassedOn(fault)) = error.downcast_ref() {
        // With the frames, if any, of where it happened.
        return fault.clone();
    }
    let fault = cause(error, meter, limits);
    if fault.kind() != odeon_protocol::Kind::Trapped {
        return fault;
    }
    match frames() {
        Some(frames) => fault.with_backtrace(frames),
        None => fault,
    }
}

fn cause(error: &wasmtime::Error, meter: &Meter, limits: &odeon_authority::Limits) -> Fault {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return stop.fault(limits);
    }
    if let Some(bad) = error.downcast_ref::<BadValue>() {
        return match bad {
            BadValue::TooLarge => limit_fault(
                Code::ResultTooLarge,
                "message",
                &format!("the result is larger than {}", limits.message),
            ),
            BadValue::TooDeep => limit_fault(
                Code::ResultTooLarge,
                "value-depth",
                &format!(
                    "the result is nested more than {} levels deep",
                    limits.value_depth
                ),
            ),
            BadValue::NotCarriable | BadValue::Encoding => Fault::new(Code::NotCarriable, bad.to_string()),
            _ => Fault::new(
                Code::BadResult,
                format!("the guest returned no value of its result type: {bad}"),
            ),
        };
    }
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return Fault::new(
            Code::GuestExit,
            format!("the guest called exit with status {}", exit.0),
        );
    }
    // What was refused before the trap explains it better than the trap does.
    if let Some(refused) = meter.refused() {
        return match refused {
            Refused::Memory => limit_fault(
                Code::MemoryLimit,
                "memory",
                &format!("the guest needed more than {} of memory", limits.memory),
            ),
            Refused::Table => limit_fault(
                Code::TableLimit,
                "table-elements",
                &format!(
                    "the guest needed more than {} table elements",
                    limits.table_elements
                ),
            ),
        };
    }
    if matches!(
        error.downcast_ref::<wasmtime::component::ResourceTableError>(),
        Some(wasmtime::component::ResourceTableError::Full)
    ) {
        return Stop::Handles.fault(limits);
    }
    if let Some(
        wasmtime_wasi_http::FieldMapError::TotalSizeTooBig | wasmtime_wasi_http::FieldMapError::TooManyFields,
    ) = error.downcast_ref()
    {
        // WASI 0.2 has no error for it that a guest could be given.
        return limit_fault(
            Code::HostCallBytesLimit,
            "header-bytes",
            &format!(
                "the guest made the host keep more of HTTP messages than limits.header-bytes = {} allows",
                limits.header_bytes
            ),
        );
    }
    if let Some(none) = error.downcast_ref::<NoResponse>() {
        return no_response(none, limits);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => Fault::new(
            Code::StackLimit,
            format!(
                "the guest ran out of its stack of {}, which is the same for every plugin; let it call itself less deep",
                limits.stack
            ),
        )
        .with_details(serde_json::json!({ "limit": "stack" })),
        Some(Trap::UnreachableCodeReached) => Fault::new(
            Code::Trapped,
            "the guest trapped: it reached an unreachable instruction, which is how a panic ends",
        ),
        Some(trap) => Fault::new(Code::Trapped, format!("the guest trapped: {trap}")),
        None => engine_words(error, limits),
    }
}

/// What is said of a guest that ended well and gave no response to send.
fn no_response(none: &NoResponse, limits: &odeon_authority::Limits) -> Fault {
    match none {
        NoResponse::Error(_) => Fault::new(Code::GuestError, none.to_string()),
        NoResponse::Nothing | NoResponse::Status(_) => Fault::new(Code::NoHttpResponse, none.to_string()),
        NoResponse::Headers(_) => limit_fault(
            Code::NoHttpResponse,
            "header-bytes",
            &format!(
                "{none}, expected at most limits.header-bytes = {}",
                limits.header_bytes
            ),
        ),
    }
}

/// Stops for which the engine has no error type of its own.
fn engine_words(error: &wasmtime::Error, limits: &odeon_authority::Limits) -> Fault {
    let words = error.root_cause().to_string();
    if words.contains("instance count too high") {
        return limit_fault(
            Code::InstanceLimit,
            "core-instances",
            &format!(
                "one instance is made of more than {} core instances",
                limits.core_instances
            ),
        );
    }
    if words.contains("memory count too high") || words.contains("table count too high") {
        return Fault::new(
            Code::InstanceLimit,
            format!("one instance is made of more than {HEAVY_MEMORIES} memories or {HEAVY_TABLES} tables; make it of fewer"),
        )
        .with_details(serde_json::json!({ "limit": "memory" }));
    }
    if words.contains("fuel allocated for hostcalls") || words.starts_with("requested len ") {
        return Stop::HostCallBytes.fault(limits);
    }
    if words.contains("resource table has no free keys") || words.contains("store handle limit exceeded") {
        return Stop::Handles.fault(limits);
    }
    Fault::new(Code::Trapped, format!("the guest was stopped: {words}"))
}

/// Whether the failure to make an instance means that there is no room now.
pub(crate) fn is_out_of_room(error: &wasmtime::Error) -> bool {
    error.is::<wasmtime::PoolConcurrencyLimitError>()
        || error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::OutOfMemory)
        || error
            .downcast_ref::<rustix::io::Errno>()
            .is_some_and(|errno| *errno == rustix::io::Errno::NOMEM)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enforced by `explain`: whoever passes a fault on, or was refused, makes no
    /// names of frames.
    #[test]
    fn frames_are_made_only_for_a_trap() {
        let limits = odeon_authority::Limits::default();
        let told = |error: &wasmtime::Error| {
            let mut made = 0;
            let frames = || {
                made += 1;
                Some(vec!["m!f".to_owned()])
            };
            let fault = explain(error, frames, &Meter::new(&limits), &limits);
            (fault.backtrace.is_some(), made)
        };
        let passed_on = PassedOn(Fault::new(Code::Trapped, "somebody else's"));
        assert_eq!(told(&passed_on.into()), (false, 0));
        assert_eq!(told(&Stop::Interrupted(Reason::Cancelled).into()), (false, 0));
        assert_eq!(told(&Trap::UnreachableCodeReached.into()), (true, 1));
    }
}

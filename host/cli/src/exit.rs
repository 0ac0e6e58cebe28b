//! What the process says with its exit status.
//!
//! Owns the one table from codes to statuses (README, "Exit statuses"). The
//! statuses are part of the contract: scripts switch on them.

use std::process::ExitCode;

use odeon_protocol::{Code, Kind};

/// An exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// The method returned its own error.
    OwnError = 1,
    /// An unknown flag, or arguments that do not fit.
    Usage = 2,
    /// Trust policy, grant or principal said no.
    Denied = 3,
    /// No such file, plugin, method or request, or no host at the socket.
    NotFound = 4,
    /// The waiting time ended, or the request was cancelled.
    Ended = 5,
    /// The guest trapped, or a limit of its own stopped it.
    Stopped = 6,
    /// Not a component, or it does not link.
    Unusable = 7,
    /// Anything else.
    Other = 8,
}

impl Exit {
    /// The status for a fault of this code.
    pub(crate) const fn of(code: Code) -> Exit {
        match code.kind() {
            Kind::GuestError => Exit::OwnError,
            Kind::InvalidArgument | Kind::VersionMismatch => Exit::Usage,
            Kind::Denied => Exit::Denied,
            Kind::NotFound => Exit::NotFound,
            // A socket without a host is a thing that is not there.
            Kind::Transport => match code {
                Code::NoHost => Exit::NotFound,
                _ => Exit::Other,
            },
            Kind::Timeout | Kind::Cancelled => Exit::Ended,
            Kind::Trapped => Exit::Stopped,
            Kind::InvalidComponent => Exit::Unusable,
            Kind::Overloaded | Kind::TargetGone | Kind::Unavailable | Kind::Conflict | Kind::Internal => {
                Exit::Other
            }
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_has_its_status() {
        let rows = [
            (Code::GuestError, 1),
            (Code::InvalidArguments, 2),
            (Code::VersionMismatch, 2),
            (Code::MethodAmbiguous, 2),
            (Code::Unsigned, 3),
            (Code::PrincipalDenied, 3),
            (Code::FileUnreadable, 4),
            (Code::PluginNotFound, 4),
            (Code::MethodNotFound, 4),
            (Code::RequestNotFound, 4),
            (Code::NoHost, 4),
            (Code::WaitEnded, 5),
            (Code::Expired, 5),
            (Code::Cancelled, 5),
            (Code::Trapped, 6),
            (Code::DeadlineLimit, 6),
            (Code::NotWasm, 7),
            (Code::CoreModule, 7),
            (Code::Malformed, 7),
            (Code::LinkFailed, 7),
            (Code::ConnectionLost, 8),
            (Code::Overloaded, 8),
            (Code::Internal, 8),
            (Code::NameTaken, 8),
        ];
        for (code, status) in rows {
            assert_eq!(Exit::of(code) as u8, status, "{code}");
        }
    }

    #[test]
    fn no_fault_exits_as_done() {
        assert!(Code::ALL.iter().all(|code| Exit::of(*code) != Exit::Done));
    }
}

//! Why a command did not do what it was asked.
//!
//! Owns the one error of this program: a fault, the place in the user's own
//! text that it is about, and what to do. Decides nothing about how it looks;
//! that is `diagnostics`.

use std::{io, ops::Range, path::Path};

use odeon::io_words;
use odeon_authority::{
    DescriptorError, EmbedError, FileError, InvalidGrant, InvalidKey, InvalidPattern, InvalidUnit, KeyError,
    ManifestError, PolicyEditError, PolicyError, SectionError, SignError, SignatureError,
};
use odeon_protocol::{
    AdminError, Code, EnvelopeError, Fault, FrameError, InvalidId, MethodPathError, ResolveError, Serial,
    ValueError, json::JsonError, wave::WaveError,
};

/// A fault with what is known about it here.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    /// The user's text and the part of it that is wrong.
    pub(crate) place: Option<Place>,
    /// What to do, one line each.
    pub(crate) help: Vec<String>,
    /// The request it is about.
    pub(crate) serial: Option<Serial>,
    /// The method's own error, as WAVE.
    pub(crate) wave: Option<String>,
    /// What the caller gave along, as the host repeats it.
    pub(crate) data: Option<serde_json::Value>,
    /// What was said to people before, for programs.
    pub(crate) warnings: Vec<String>,
    /// Nobody reads what this program writes: there is nobody to tell.
    pub(crate) unheard: bool,
}

/// A part of a text that the user wrote.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) text: String,
    pub(crate) span: Range<usize>,
    pub(crate) label: String,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Box<Self> {
        Fault::new(code, message).into()
    }

    /// Something the user gave that cannot be used.
    pub(crate) fn usage(message: impl Into<String>) -> Box<Self> {
        Self::new(Code::InvalidArguments, message)
    }

    /// The user's file at `path` cannot be read.
    pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Box<Self> {
        let message = format!("{}: {}", path.display(), io_words(error));
        Self::new(Code::FileUnreadable, message)
    }

    /// The file at `path` cannot be written.
    pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Box<Self> {
        Self::new(
            Code::StateUnwritable,
            format!("{} cannot be written: {}", path.display(), io_words(error)),
        )
    }

    /// Something of the operating system's failed.
    pub(crate) fn system(what: &str, error: &io::Error) -> Box<Self> {
        Self::new(Code::Internal, format!("{what}: {}", io_words(error)))
    }

    /// Standard output cannot be written.
    pub(crate) fn output(error: &io::Error) -> Box<Self> {
        let mut failure = Self::system("the output cannot be written", error);
        failure.unheard = error.kind() == io::ErrorKind::BrokenPipe;
        failure
    }

    #[must_use]
    pub(crate) fn helped(mut self: Box<Self>, help: impl Into<String>) -> Box<Self> {
        self.help.push(help.into());
        self
    }

    #[must_use]
    pub(crate) fn about(mut self: Box<Self>, serial: Serial) -> Box<Self> {
        self.serial = Some(serial);
        self
    }

    /// Says which of the user's files it is about, where it does not yet.
    #[must_use]
    pub(crate) fn in_file(mut self: Box<Self>, path: &Path) -> Box<Self> {
        let name = path.display().to_string();
        let rest = self.fault.message.strip_prefix(&name);
        // A file named `a` is not named by a message that begins with an article.
        if !rest.is_some_and(|rest| rest.starts_with(": ")) {
            self.fault.message = format!("{name}: {}", self.fault.message);
        }
        self
    }

    /// A WAVE error in `text`, which is what the user wrote.
    pub(crate) fn wave(error: &WaveError, text: &str) -> Box<Self> {
        let mut failure = Self::usage(error.to_string());
        failure.place = Some(Place {
            text: text.to_owned(),
            span: error.span.clone(),
            label: format!("expected {}", error.expected),
        });
        failure
    }
}

impl From<Fault> for Box<Failure> {
    fn from(fault: Fault) -> Self {
        Box::new(Failure {
            fault,
            place: None,
            help: Vec::new(),
            serial: None,
            wave: None,
            data: None,
            warnings: Vec::new(),
            unheard: false,
        })
    }
}

/// Errors that a fault already knows how to say.
macro_rules! through_fault {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Box<Failure> {
            fn from(error: $error) -> Self {
                Fault::from(error).into()
            }
        }
    )+};
}
through_fault! { AdminError, EnvelopeError, FrameError, MethodPathError, ResolveError }

/// Errors with a stable code of their own.
macro_rules! with_code {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Box<Failure> {
            fn from(error: $error) -> Self {
                Failure::new(error.code(), error.to_string())
            }
        }
    )+};
}
with_code! { DescriptorError, EmbedError, ManifestError, PolicyError, SectionError, SignError, SignatureError }

/// Texts of the user's that are not what they should be.
macro_rules! usage {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Box<Failure> {
            fn from(error: $error) -> Self {
                Failure::usage(error.to_string())
            }
        }
    )+};
}
usage! { InvalidGrant, InvalidId, InvalidKey, InvalidPattern, InvalidUnit, JsonError }

impl From<ValueError> for Box<Failure> {
    fn from(error: ValueError) -> Self {
        Failure::new(Code::InvalidArguments, error.to_string())
    }
}

/// A file that the user named.
impl From<FileError> for Box<Failure> {
    fn from(error: FileError) -> Self {
        match &error {
            FileError::Io { path, source } => Failure::unreadable(path, source),
            FileError::Missing { .. } => Failure::new(Code::FileUnreadable, error.to_string()),
            // The command is right; what is on the disk is in its way.
            FileError::Taken { .. } => Failure::new(Code::WrongState, error.to_string()),
            FileError::Unsafe { .. } | FileError::TooLong { .. } => Failure::usage(error.to_string()),
        }
    }
}

impl From<KeyError> for Box<Failure> {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::File(error) => error.into(),
            KeyError::NotPrivate | KeyError::Public | KeyError::NotPublic(_) => {
                Failure::usage(error.to_string())
            }
            KeyError::Random(_) => Failure::new(Code::Internal, error.to_string()),
        }
    }
}

impl From<PolicyEditError> for Box<Failure> {
    fn from(error: PolicyEditError) -> Self {
        let code = match &error {
            PolicyEditError::Policy(error) => error.code(),
            PolicyEditError::File(_) => Code::StateUnwritable,
            PolicyEditError::UnknownKey(_) | PolicyEditError::NoDeputy { .. } => Code::FileUnreadable,
            PolicyEditError::Revoked(_) => Code::KeyRevoked,
            PolicyEditError::Form(_) => Code::PolicyUnreadable,
        };
        Failure::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_once() {
        let named = |path: &str, message: &str| {
            let failure = Failure::new(Code::FileUnreadable, message).in_file(Path::new(path));
            failure.fault.message.clone()
        };
        assert_eq!(named("a", "a signature is missing"), "a: a signature is missing");
        assert_eq!(
            named("a.wasm", "a.wasm: there is no such file"),
            "a.wasm: there is no such file"
        );
    }
}

//! Where this user's host keeps its things.
//!
//! Owns the defaults behind `--state` and `--socket`. This is the one place
//! that reads the environment for them.

use std::{
    fs::{DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use odeon::daemon::SOCKET_NAME;
use odeon_protocol::Code;

use crate::{failure::Failure, output::Done};

/// The trust policy's name inside the state directory.
pub(crate) const TRUST: &str = "trust.toml";

/// The record of accepted versions inside the state directory.
pub(crate) const VERSIONS: &str = "versions.json";

/// The flags that say where the host is.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Whereabouts {
    /// The host's state directory [env: ODEON_STATE] [default: odeon in XDG_STATE_HOME or ~/.local/state]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Where the host is")]
    pub(crate) state: Option<PathBuf>,
    /// The host's control socket [env: ODEON_SOCKET] [default: control.sock in the state directory]
    #[arg(long, global = true, value_name = "PATH", help_heading = "Where the host is")]
    pub(crate) socket: Option<PathBuf>,
}

impl Whereabouts {
    /// The state directory, which may not be there; `None` when nothing says
    /// where it would be.
    pub(crate) fn state_dir(&self) -> Option<PathBuf> {
        match self.named_state() {
            Some(path) => absolute(&path).ok(),
            None => default_state(),
        }
    }

    /// The state directory that somebody named. The variable is read here and
    /// not by the parser, which would show it as a flag of every usage line.
    pub(crate) fn named_state(&self) -> Option<PathBuf> {
        self.state.clone().or_else(|| variable("ODEON_STATE"))
    }

    /// The state directory of a host that was here.
    pub(crate) fn present_state_dir(&self) -> Done<PathBuf> {
        let path = self.state_dir().ok_or_else(homeless)?;
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => Ok(path),
            Ok(_) => {
                let message = format!("{}: expected a state directory, found a file", path.display());
                Err(Failure::new(Code::FileUnreadable, message))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let message = format!("{}: there is no such state directory", path.display());
                Err(Failure::new(Code::FileUnreadable, message)
                    .helped("name the host's with --state DIR or ODEON_STATE"))
            }
            Err(error) => Err(Failure::unreadable(&path, &error)),
        }
    }

    /// The state directory, made if it is not there, for its owner alone.
    pub(crate) fn made_state_dir(&self) -> Done<PathBuf> {
        let path = self.state_dir().ok_or_else(homeless)?;
        make_private(&path)?;
        Ok(path)
    }

    /// The control socket.
    pub(crate) fn socket(&self) -> Done<PathBuf> {
        match self.named_socket()? {
            Some(path) => Ok(path),
            None => Ok(self.state_dir().ok_or_else(homeless)?.join(SOCKET_NAME)),
        }
    }

    /// The control socket that somebody named.
    pub(crate) fn named_socket(&self) -> Done<Option<PathBuf>> {
        let named = self.socket.clone().or_else(|| variable("ODEON_SOCKET"));
        named.as_deref().map(absolute).transpose()
    }
}

fn homeless() -> Box<Failure> {
    Failure::new(
        Code::StateUnwritable,
        "there is no HOME and no XDG_STATE_HOME to keep the host's state in",
    )
    .helped("say where with --state DIR or ODEON_STATE")
}

/// A path that a variable names; one that is empty names none.
#[allow(
    clippy::disallowed_methods,
    reason = "the command line is where the environment is read"
)]
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn default_state() -> Option<PathBuf> {
    let folder = |name: &str| variable(name).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("odeon"))
}

/// The trust policy's file of the host with this state directory: the one that
/// the host itself reads.
pub(crate) fn policy_of(state: &Path) -> Done<PathBuf> {
    Ok(odeon_authority::Policy::file_of(state)?)
}

/// The path from the root, which the host needs: it works elsewhere.
pub(crate) fn absolute(path: &Path) -> Done<PathBuf> {
    std::path::absolute(path).map_err(|error| Failure::unreadable(path, &error))
}

/// The path of a file that is to be written later, in full. Whether it could be
/// written now is found out now.
pub(crate) fn writable(path: &Path) -> Done<PathBuf> {
    use rustix::fs::Access;
    let path = absolute(path)?;
    let wrong = |error: io::Error| Failure::unwritable(&path, &error);
    if path.is_dir() {
        return Err(wrong(io::ErrorKind::IsADirectory.into()));
    }
    let folder = path.parent().unwrap_or(&path);
    if !folder.is_dir() {
        let message = format!(
            "{} cannot be written: there is no folder {}",
            path.display(),
            folder.display()
        );
        return Err(Failure::new(Code::StateUnwritable, message));
    }
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| wrong(error.into()))?;
    Ok(path)
}

/// The same as text, which is how it is sent.
pub(crate) fn absolute_text(path: &Path) -> Done<String> {
    let path = absolute(path)?;
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Failure::new(
            Code::FileUnreadable,
            format!("{}: expected a path in UTF-8", path.display()),
        )
    })
}

/// Makes a directory for its owner alone, with those above it. One that is
/// there and empty is closed to others; one with files in it is left alone,
/// and refused if others can look into it.
pub(crate) fn make_private(path: &Path) -> Done {
    let wrong =
        |error: io::Error| Failure::unwritable(path, &error).helped("choose another with --state DIR");
    if path.exists() && !path.is_dir() {
        let message = format!("{}: expected a directory, found a file", path.display());
        return Err(Failure::new(Code::StateUnwritable, message).helped("choose another with --state DIR"));
    }
    if !path.is_dir() {
        return DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(wrong);
    }
    let mode = path.metadata().map_err(wrong)?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    if std::fs::read_dir(path).map_err(wrong)?.next().is_none() {
        return std::fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(wrong);
    }
    let message = format!(
        "the state directory {} is open to others (mode {mode:04o}); expected mode 0700",
        path.display(),
    );
    Err(Failure::new(Code::StateUnwritable, message).helped(format!("chmod 700 {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_named_wins_over_the_state_directory() {
        let whereabouts = Whereabouts {
            state: Some("/state".into()),
            socket: Some("/run/host.sock".into()),
        };
        assert_eq!(whereabouts.socket().unwrap(), Path::new("/run/host.sock"));
        let whereabouts = Whereabouts {
            socket: None,
            ..whereabouts
        };
        assert_eq!(whereabouts.socket().unwrap(), Path::new("/state/control.sock"));
    }

    #[test]
    fn a_new_state_directory_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        make_private(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn one_that_others_can_look_into_is_closed_while_empty_and_refused_after_that() {
        let folder = tempfile::tempdir().unwrap();
        let open = || std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        open();
        make_private(folder.path()).unwrap();
        assert_eq!(
            folder.path().metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
        std::fs::write(folder.path().join("file"), "").unwrap();
        open();
        let failure = make_private(folder.path()).unwrap_err();
        assert_eq!(failure.fault.code, Code::StateUnwritable);
        assert_eq!(failure.help, [format!("chmod 700 {}", folder.path().display())]);
    }
}

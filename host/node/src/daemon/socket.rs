//! The control socket's file.
//!
//! Owns its making: never reachable by others, not even for a moment, and
//! never in the place of a socket at which somebody answers.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

use odeon_protocol::{Code, Fault};
use tokio::net::{UnixListener, UnixStream};

/// The longest path that the kernel takes for a socket, in bytes.
const MAX_PATH: usize = 107;
/// What is put behind the socket's path while it is being made.
const NEW: &str = ".new";

/// Refuses a path at which a host answers, or that is no socket.
pub(super) async fn refuse_if_answered(path: &Path) -> Result<(), Fault> {
    let longest = MAX_PATH.saturating_sub(NEW.len());
    let length = path.as_os_str().len();
    if length > longest {
        return Err(Fault::new(
            Code::WrongState,
            format!(
                "{}: a socket's path has at most {longest} bytes here, this one has {length}",
                path.display()
            ),
        ));
    }
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unusable(path, &error)),
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => {
            return Err(Fault::new(
                Code::WrongState,
                format!(
                    "{}: expected a socket or nothing, found another file; move it away",
                    path.display()
                ),
            ));
        }
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(Fault::new(
            Code::WrongState,
            format!(
                "{}: a host answers here already; stop it, or use another socket",
                path.display()
            ),
        )),
        // Left behind by a host that did not end well.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(unusable(path, &error)),
    }
}

/// Listens at this path, in the place of a socket that nobody answers at.
pub(super) fn bind(path: &Path) -> Result<UnixListener, Fault> {
    let mut new = path.as_os_str().to_owned();
    new.push(NEW);
    let new = Path::new(&new);
    match std::fs::remove_file(new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unusable(new, &error)),
        _ => {}
    }
    let listener = UnixListener::bind(new).map_err(|error| unusable(path, &error))?;
    std::fs::set_permissions(new, std::fs::Permissions::from_mode(0o600))
        .and_then(|()| std::fs::rename(new, path))
        .map_err(|error| unusable(path, &error))?;
    Ok(listener)
}

fn unusable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(
        Code::StateUnwritable,
        format!("{}: the control socket cannot be made: {error}", path.display()),
    )
}

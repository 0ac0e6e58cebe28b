//! Other programs: started so that what is run, and how it ended, can be read.
//!
//! Must not decide what to run.

use std::{
    io::{self, ErrorKind},
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, bail};

/// Runs to the end; the line that is run is printed first, and all output goes to stderr,
/// which leaves stdout to results.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    eprintln!("    $ {}", line(command));
    command
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status()
        .with_context(|| not_started(command))
}

/// [`status`], with anything but success an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

/// Runs silently and gives what was printed on stdout; stderr becomes part of the error.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| not_started(command))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` ended with {}: {}", line(command), output.status, why.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed no UTF-8", line(command)))
}

/// Whether there is a program of this name to run.
pub(crate) fn exists(program: &str) -> bool {
    let started = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    !matches!(started, Err(error) if error.kind() == ErrorKind::NotFound)
}

/// The command as somebody would type it, the program by its file name.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy()
        .into_owned();
    let arguments = command
        .get_args()
        .map(|argument| quoted(&argument.to_string_lossy()));
    std::iter::once(quoted(&program))
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A word as a POSIX shell takes it back.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn not_started(command: &Command) -> String {
    format!("`{}` could not be started", line(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_where_a_shell_needs_it() {
        assert_eq!(quoted("--name=a/b.wasm"), "--name=a/b.wasm");
        assert_eq!(quoted("add(1, 2)"), "'add(1, 2)'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_command_reads_as_it_would_be_typed() {
        let mut command = Command::new("/opt/bin/odeon");
        command.args(["call", "calculator/add", "1 2"]);
        assert_eq!(line(&command), "odeon call calculator/add '1 2'");
    }

    #[test]
    fn a_missing_program_is_told_from_one_that_fails() {
        assert!(exists("false"));
        assert!(!exists("no-program-of-this-name"));
    }
}

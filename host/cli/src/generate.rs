//! Completions and manual pages, made from the command line's own definition.

use std::{io, path::PathBuf};

use clap::CommandFactory as _;

use crate::{
    args::Cli,
    failure::Failure,
    output::{Done, Output},
};

/// Flags of `completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

/// Flags of `man`.
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// Where to write the pages, one file per verb
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Writes a shell's completions to standard output.
pub(crate) fn completions(args: &Completions, out: Output) -> Done {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "odeon", &mut text);
    if out.is_json() {
        let script = String::from_utf8_lossy(&text);
        return out.document(&serde_json::json!({ "completions": script }));
    }
    io::Write::write_all(&mut io::stdout().lock(), &text).map_err(|error| Failure::output(&error))
}

/// The sections of the main page that are no flags.
const SECTIONS: &str = "\
.SH \"EXIT STATUS\"
.TP
.B 0
done
.TP
.B 1
the method returned its own error
.TP
.B 2
usage: an unknown flag, or arguments that do not fit
.TP
.B 3
denied: trust policy, grant or principal
.TP
.B 4
no such file, plugin, method or request, or no host at the socket
.TP
.B 5
the waiting time ended, or the request was cancelled
.TP
.B 6
the guest trapped, or a limit of its own stopped it
.TP
.B 7
not a component, or it does not link
.TP
.B 8
anything else
.SH ENVIRONMENT
.TP
.B ODEON_STATE
the host's state directory, in place of \\-\\-state
.TP
.B ODEON_SOCKET
the host's control socket, in place of \\-\\-socket
.TP
.B ODEON_LOG
what a host logs, in place of \\-\\-log
.TP
.B XDG_STATE_HOME, HOME
where the state directory is when nothing names it
.TP
.B NO_COLOR
no colours, if it is not empty
";

/// A page with sections of its own in place of the one that the generator calls
/// extra, in characters that every troff has.
fn finished(page: &str) -> String {
    let page = page.replace('…', "...");
    let Some((before, extra)) = page.split_once(".SH EXTRA\n") else {
        return page;
    };
    let after = extra.find("\n.SH ").and_then(|at| extra.get(at + 1..));
    format!("{before}{SECTIONS}{}", after.unwrap_or_default())
}

/// Writes the manual pages into a directory, which is made if need be, and
/// says which.
pub(crate) fn man(args: &Man, out: Output) -> Done {
    let wrong = |error: io::Error| Failure::unwritable(&args.dir, &error);
    let write = || -> io::Result<Vec<PathBuf>> {
        std::fs::create_dir_all(&args.dir)?;
        // Made beside what is there, so that it is known what was made.
        let made = tempfile::Builder::new().prefix(".odeon-").tempdir_in(&args.dir)?;
        clap_mangen::generate_to(Cli::command(), made.path())?;
        let mut pages = Vec::new();
        for page in std::fs::read_dir(made.path())? {
            let page = page?;
            let target = args.dir.join(page.file_name());
            std::fs::write(page.path(), finished(&std::fs::read_to_string(page.path())?))?;
            std::fs::rename(page.path(), &target)?;
            pages.push(target);
        }
        pages.sort();
        Ok(pages)
    };
    let pages = write().map_err(wrong)?;
    out.either(&serde_json::json!({ "pages": pages }), || {
        pages
            .iter()
            .map(|page| page.display().to_string())
            .collect::<Vec<_>>()
            .join("\n")
    })
}

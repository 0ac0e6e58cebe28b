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

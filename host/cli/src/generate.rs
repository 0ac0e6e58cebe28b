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
pub(crate) fn completions(args: &Completions) -> Done {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "odeon", &mut text);
    io::Write::write_all(&mut io::stdout().lock(), &text).map_err(|error| Failure::output(&error))
}

/// Writes the manual pages into a directory, which is made if need be.
pub(crate) fn man(args: &Man, out: Output) -> Done {
    let wrong = |error: io::Error| Failure::unwritable(&args.dir, &error);
    std::fs::create_dir_all(&args.dir).map_err(wrong)?;
    clap_mangen::generate_to(Cli::command(), &args.dir).map_err(wrong)?;
    let pages = || -> io::Result<Vec<PathBuf>> {
        let mut pages: Vec<PathBuf> = std::fs::read_dir(&args.dir)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        pages.retain(|path| path.extension().is_some_and(|extension| extension == "1"));
        pages.sort();
        Ok(pages)
    };
    let pages = pages().map_err(wrong)?;
    out.either(&serde_json::json!({ "pages": pages }), || {
        pages
            .iter()
            .map(|page| page.display().to_string())
            .collect::<Vec<_>>()
            .join("\n")
    })
}

//! `odeon keygen`: a key to sign with.

use std::{ffi::OsString, path::PathBuf};

use odeon_authority::{FileError, KeyError};
use odeon_protocol::Code;

use super::Context;
use crate::{failure::Failure, output::Done};

/// Flags of `keygen`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the private key goes; the public key goes beside it, with .pub behind the name
    #[arg(long, short, value_name = "KEY")]
    output: PathBuf,
    /// A note behind the public key
    #[arg(long, default_value = "")]
    comment: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let public = odeon_authority::keygen(&args.output, &args.comment).map_err(|error| match error {
        KeyError::File(FileError::Io { path, source }) => Failure::unwritable(&path, &source),
        // A new file is missing when its folder is.
        KeyError::File(FileError::Missing { path }) => {
            let folder = path.parent().unwrap_or(&path).display();
            let message = format!(
                "{} cannot be written: there is no folder {folder}",
                path.display()
            );
            Failure::new(Code::FileUnreadable, message)
        }
        error => error.into(),
    })?;
    let mut public_path: OsString = args.output.clone().into();
    public_path.push(".pub");
    let public_path = PathBuf::from(public_path);
    let row = serde_json::json!({ "key": {
        "path": args.output, "public_path": public_path, "public": public, "id": public.id(),
    }});
    context.out.either(&row, || {
        format!(
            "private key {}  (keep it secret)\npublic key  {}  id {}",
            args.output.display(),
            public_path.display(),
            public.id()
        )
    })
}

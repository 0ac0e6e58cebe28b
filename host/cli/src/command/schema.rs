//! `odeon schema`: the schemas of the files that operators write. Needs no host.

use odeon_authority::Descriptor;

use super::Context;
use crate::output::Done;

/// Flags of `schema`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The kind of file
    kind: Kind,
}

/// The files that have a schema.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    /// What an operator says about one plugin: NAME.toml
    Descriptor,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let schema = match args.kind {
        Kind::Descriptor => Descriptor::schema(),
    };
    context.out.either(&schema, || format!("{schema:#}"))
}

//! tmp
use super::Context;
use crate::output::Done;
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}
pub(crate) fn run(_: &Args, _: &Context, _: odeon::CompileChild) -> Done { Ok(()) }

//! `odeon verify`: the signatures of a component.
//!
//! Ends with 0 when there is a signature and all of them belong to these
//! bytes. Whether this host's trust policy lets the component in is said
//! besides, and asked for with `--trusted`.

use std::path::PathBuf;

use odeon_authority::{Offer, Policy, Principal, Terms, Verdict, decide};
use odeon_protocol::Code;
use serde::Serialize;

use super::Context;
use crate::{
    component::{self, Row, Signed},
    failure::Failure,
    output::Done,
    whereabouts::policy_of,
};

/// Flags of `verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The component
    file: PathBuf,
    /// Fail unless the trust policy lets it in
    #[arg(long)]
    trusted: bool,
}

#[derive(Serialize)]
struct Document {
    component: Row,
    trusted: bool,
    /// The row that lets it in, or why none does.
    reason: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let Signed {
        path,
        bytes,
        detached,
    } = Signed::read(&args.file)?;
    let of_file = |failure: Box<Failure>| failure.in_file(&path);
    let offer = Offer::read(&bytes, detached.as_deref()).map_err(|error| of_file(error.into()))?;
    let component = component::row(&path, &bytes, detached.as_deref()).map_err(of_file)?;
    if component.signers.is_empty() {
        let message = format!(
            "{} is not signed; expected at least one signature, in the file or beside it in a .sig",
            args.file.display()
        );
        let sign = format!("sign it with `odeon sign {} --key KEY`", args.file.display());
        return Err(Failure::new(Code::Unsigned, message).helped(sign));
    }
    let policy = match context.whereabouts.state_dir() {
        Some(state) => Policy::load(&policy_of(&state)?)?,
        None => Policy::default(),
    };
    // Asked about, not done: nothing is recorded, and nothing takes effect.
    let terms = Terms::new(Principal::LocalUser {
        uid: rustix::process::getuid().as_raw(),
    });
    let decision = decide(Ok(&policy), &offer, &terms);
    let (trusted, reason) = match decision.verdict {
        Verdict::Allow { rule, .. } => (true, rule),
        Verdict::Deny { code, message, .. } if args.trusted => return Err(Failure::new(code, message)),
        Verdict::Deny { message, .. } => (false, message),
    };
    let document = Document {
        component,
        trusted,
        reason,
    };
    context.out.either(&document, || {
        let trust = if document.trusted {
            "trusted"
        } else {
            "not trusted here"
        };
        format!(
            "{}\nverified; {trust}: {}",
            component::text(&document.component),
            document.reason
        )
    })
}

//! `odeon pack`: a manifest into a component, and a component out of a core
//! module that carries its WIT.

use std::path::{Path, PathBuf};

use odeon_authority::{Manifest, Offer, SectionError, embed_manifest};
use odeon_protocol::Code;

use super::Context;
use crate::{
    component,
    failure::Failure,
    output::{Done, clean},
};

/// Flags of `pack`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The component, or a core module built with its WIT inside
    file: PathBuf,
    /// The author's odeon.toml; what the component carried before is replaced
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Where the result goes [default: in the place of the file]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let manifest = args.manifest.as_deref().map(read_manifest).transpose()?;
    let bytes = component::read(&args.file)?;
    let (mut packed, was_module) = match Offer::read(&bytes, None) {
        Ok(offer) => {
            let is_signed = offer.signed.is_ok_and(|signed| !signed.signers.is_empty());
            if is_signed && manifest.is_some() {
                context.out.say("note: the component was signed; its signatures do not cover the new manifest and are gone");
            }
            (bytes, false)
        }
        Err(SectionError::CoreModule) => (componentize(&args.file, &bytes)?, true),
        Err(error) => return Err(Box::<Failure>::from(error).in_file(&args.file)),
    };
    match &manifest {
        Some(manifest) => packed = embed_manifest(&packed, manifest)?,
        None if !was_module => {
            return Err(Failure::usage(
                "the file is a component already; expected --manifest odeon.toml to put into it",
            ));
        }
        None => {}
    }
    let target = args.output.as_ref().unwrap_or(&args.file);
    component::write(target, &packed)?;
    let row = component::row(target, &packed, None)?;
    context.out.either(
        &serde_json::json!({ "component": row, "componentized": was_module }),
        || component::text(&row),
    )
}

fn read_manifest(path: &Path) -> Done<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(|error| Failure::unreadable(path, &error))?;
    Manifest::parse(&bytes).map_err(|error| Box::<Failure>::from(error).in_file(path))?;
    Ok(bytes)
}

/// The beginning of the name of the custom section with a module's WIT.
const WIT_SECTION: &[u8] = b"component-type";

/// A component of a core module that says in a custom section what its
/// functions mean.
fn componentize(path: &Path, module: &[u8]) -> Done<Vec<u8>> {
    // Without it the encoder makes a component that exports nothing.
    let encoded = if module.windows(WIT_SECTION.len()).any(|part| part == WIT_SECTION) {
        wit_component::ComponentEncoder::default()
            .validate(true)
            .module(module)
            .and_then(|mut encoder| encoder.encode())
            .map_err(|error| format!("{error:#}"))
    } else {
        Err("it holds no WIT, expected a custom section component-type".to_owned())
    };
    encoded.map_err(|error| {
        let message = format!(
            "{} is a core module that cannot be made a component: {}",
            path.display(),
            clean(&error)
        );
        Failure::new(Code::CoreModule, message).helped(
            "build it for the target wasm32-wasip2, which makes components; or for wasm32-unknown-unknown with the \
             bindings of odeon-sdk or wit-bindgen, which leave the WIT in the module",
        )
    })
}

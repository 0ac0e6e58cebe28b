//! `odeon sign`: a signature into a component.

use std::path::{Path, PathBuf};

use odeon::LoadRequest;
use odeon_authority::{Claim, Offer, SigningKey, digest_of, sign};
use odeon_protocol::PluginName;

use super::Context;
use crate::{component, failure::Failure, output::Done};

/// Flags of `sign`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The component
    file: PathBuf,
    /// The private key, as keygen writes it
    #[arg(long, value_name = "KEY")]
    key: PathBuf,
    /// Where the signed component goes [default: in the place of the file]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The name that is vouched for [default: the manifest's, else the file's]
    #[arg(long)]
    name: Option<PluginName>,
    /// The version that is vouched for [default: the manifest's, else 0.0.0]
    #[arg(long)]
    version: Option<semver::Version>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let bytes = component::read(&args.file)?;
    // Before the key is touched: bytes that are no component need none.
    let of_file = |failure: Box<Failure>| failure.in_file(&args.file);
    digest_of(&bytes).map_err(|error| of_file(error.into()))?;
    let claim = claim(args, &bytes, context).map_err(of_file)?;
    let key = SigningKey::load(&args.key).map_err(|error| Box::<Failure>::from(error).in_file(&args.key))?;
    let signed = sign(&bytes, &key, &claim).map_err(|error| of_file(error.into()))?;
    let target = args.output.as_ref().unwrap_or(&args.file);
    if let (Ok(target), Ok(key)) = (target.canonicalize(), args.key.canonicalize())
        && target == key
    {
        let message = format!(
            "{}: expected another file than the key for the signed component",
            target.display()
        );
        return Err(Failure::usage(message).helped("name one with --output FILE"));
    }
    component::write(target, &signed)?;
    let row = component::row(target, &signed, None)?;
    context
        .out
        .either(&serde_json::json!({ "component": row }), || component::text(&row))
}

/// What is vouched for besides the bytes.
fn claim(args: &Args, bytes: &[u8], context: &Context) -> Done<Claim> {
    let offer = Offer::read(bytes, None)?;
    let known = match offer.manifest? {
        Some(manifest) => Some(Claim {
            name: manifest.name,
            version: manifest.version,
        }),
        None => offer.signed?.claim,
    };
    if let Some(known) = known {
        // Whoever names something else hears of it from `sign`.
        return Ok(Claim {
            name: args.name.clone().unwrap_or(known.name),
            version: args.version.clone().unwrap_or(known.version),
        });
    }
    let name = args
        .name
        .clone()
        .or_else(|| LoadRequest::file_name(&args.file))
        .ok_or_else(|| nameless(&args.file))?;
    let version = args
        .version
        .clone()
        .unwrap_or_else(|| semver::Version::new(0, 0, 0));
    if args.name.is_none() || args.version.is_none() {
        let text = format!(
            "note: the component has no manifest, so it is signed as {name} {version}; see `odeon pack`"
        );
        context.out.say(&text);
    }
    Ok(Claim { name, version })
}

fn nameless(path: &Path) -> Box<Failure> {
    let message = format!(
        "{}: expected a name to sign for; neither a manifest nor the file's name gives one",
        path.display()
    );
    Failure::usage(message).helped("say it with --name, or put a manifest in with `odeon pack`")
}

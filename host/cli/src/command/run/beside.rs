//! The components that are loaded beside the one that is run.
//!
//! Owns their order: what serves an interface is there before what imports it,
//! also where one of them imports what another serves. What becomes of them is for
//! the host to say.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use odeon::{GrantSet, Host, LoadRequest};
use odeon_authority::Links;
use odeon_protocol::{Fault, PluginName};
use wasmparser::{Parser, Payload};

use super::Args;
use crate::{component, failure::Failure, output::Done, tokens::LinkFile};

/// A file that serves something, and what it is served itself.
struct Provider {
    /// One of the links that it serves.
    link: LinkFile,
    uses: Vec<LinkFile>,
}

/// All of them, each behind those that it uses.
pub(super) struct Beside {
    providers: Vec<Provider>,
    /// What the component itself is served.
    own: Vec<LinkFile>,
}

impl Beside {
    /// Puts them in order.
    pub(super) fn of(component: &Path, links: Vec<LinkFile>) -> Done<Self> {
        let mut providers: Vec<Provider> = Vec::new();
        for link in &links {
            if !providers.iter().any(|one| one.link.path == link.path) {
                providers.push(Provider {
                    uses: used(&imports(&link.path), &links),
                    link: link.clone(),
                });
            }
        }
        let imported = used(&imports(component), &links);
        // What nobody imports is said to have no effect, where the component is loaded.
        let is_own = |link: &LinkFile| {
            imported.contains(link) || !providers.iter().any(|provider| provider.uses.contains(link))
        };
        let own = links.iter().filter(|link| is_own(link)).cloned().collect();
        let providers = in_order(providers)?;
        Ok(Beside { providers, own })
    }

    /// Loads them, and has the request name those that serve the component itself.
    /// Gives what an operator should know.
    pub(super) async fn load(
        &self,
        host: &Host,
        request: &mut LoadRequest,
        args: &Args,
    ) -> Done<Vec<String>> {
        let mut notes = Vec::new();
        let mut serving: BTreeMap<&Path, PluginName> = BTreeMap::new();
        for Provider { link, uses } in &self.providers {
            let mut beside = LoadRequest::component(&link.path).with_grants(GrantSet::default());
            beside.allow_unsigned = args.allow_unsigned;
            beside.transient = true;
            beside.name_if_nameless = Some(link.provider.clone());
            beside.links = named(uses, &serving);
            let loaded = host.load(beside).await.map_err(|fault| {
                let message = format!("--link {}: {}", link.interface, fault.message);
                Box::<Failure>::from(Fault { message, ..fault })
            })?;
            let told = |warning| format!("{}: {warning}", loaded.name);
            notes.extend(loaded.warnings.iter().map(told));
            serving.insert(&link.path, loaded.name);
        }
        request.links = named(&self.own, &serving);
        Ok(notes)
    }
}

/// These links, to the plugins that the files have become.
fn named(links: &[LinkFile], serving: &BTreeMap<&Path, PluginName>) -> Links {
    let links = links.iter();
    links
        .filter_map(|link| Some((link.interface.clone(), serving.get(&*link.path)?.clone())))
        .collect()
}

/// The links that something with these imports uses.
fn used(imports: &[String], links: &[LinkFile]) -> Vec<LinkFile> {
    let means = |written: &str, import: &str| match written.contains('@') {
        true => written == import,
        false => import.split('@').next() == Some(written),
    };
    let links = links.iter();
    links
        .filter(|link| imports.iter().any(|import| means(&link.interface, import)))
        .cloned()
        .collect()
}

/// The names of what a component imports. One that cannot be read has none here:
/// loading it says what is wrong.
fn imports(path: &Path) -> Vec<String> {
    let bytes = component::read(path).unwrap_or_default();
    let (mut names, mut depth) = (Vec::new(), 0_u32);
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload {
            Ok(Payload::Version { .. }) => depth = depth.saturating_add(1),
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            // Those of nested components are given to them inside.
            Ok(Payload::ComponentImportSection(section)) if depth == 1 => {
                let imports = section.into_iter().flatten();
                names.extend(imports.map(|import| import.name.name.to_owned()));
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    names
}

/// Each behind those that it uses.
fn in_order(mut left: Vec<Provider>) -> Done<Vec<Provider>> {
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits = |one: &Provider| one.uses.iter().any(|used| is_among(&left, &used.path));
        match left.iter().position(|one| !waits(one)) {
            Some(next) => ordered.push(left.remove(next)),
            None => return Err(circle(&left)),
        }
    }
    Ok(ordered)
}

fn is_among(providers: &[Provider], path: &PathBuf) -> bool {
    providers.iter().any(|one| one.link.path == *path)
}

/// One of the circles among providers of which each waits for another.
fn circle(left: &[Provider]) -> Box<Failure> {
    let mut walked: Vec<(&Path, &LinkFile)> = Vec::new();
    let mut next = left.first();
    while let Some(provider) = next {
        let at = &*provider.link.path;
        if let Some(first) = walked.iter().position(|(path, _)| *path == at) {
            walked.drain(..first);
            break;
        }
        let Some(used) = provider.uses.iter().find(|used| is_among(left, &used.path)) else {
            break;
        };
        walked.push((at, used));
        next = left.iter().find(|one| one.link.path == used.path);
    }
    let steps = walked.iter().map(|(path, used)| {
        let (path, from) = (path.display(), used.path.display());
        format!("{path} imports {} of {from}", used.interface)
    });
    Failure::usage(format!(
        "--link: expected files that can be loaded one after the other, found a circle: {}",
        steps.collect::<Vec<_>>().join(", ")
    ))
    .helped("leave one of these links out, or have another file serve it")
}

//! What the host is at, as the plan has to know it. Changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use super::applied::{FileName, Want};
use super::content::Content;
use super::plan::{Now, Running};
use crate::host::Host;
use crate::load::Source;
use crate::registry::Loaded;
use crate::replace::MOST_LEAVING;

/// What the host is at, seen from the folder at this path.
pub(super) fn now(host: &Host, path: &Path) -> Now {
    let registry = &host.inner.registry;
    let mut busy = registry.busy();
    let mut running = BTreeMap::new();
    for loaded in registry.all() {
        if registry.replaced_of(&loaded.name) >= MOST_LEAVING {
            busy.insert(loaded.name.clone());
        }
        running.insert(loaded.name.clone(), Running::of(&loaded, path));
    }
    Now {
        running,
        busy,
        round: 0,
        under_way: BTreeMap::new(),
    }
}

impl Running {
    pub(super) fn of(loaded: &Loaded, folder: &Path) -> Self {
        let origin = &loaded.origin;
        let file = match &origin.asked.source {
            Source::Descriptor(path) if path.parent() == Some(folder) => path.file_name(),
            Source::Descriptor(_) | Source::Component(_) | Source::Bytes(_) => None,
        };
        let content = origin
            .offered
            .as_deref()
            .and_then(|(offer, _)| Content::of(offer));
        let want = loaded.described().zip(content);
        Running {
            generation: loaded.generation,
            // What is on its way out is nobody's any more.
            file: file.filter(|_| !loaded.is_draining()).map(FileName::from),
            want: want.map(|(descriptor, content)| Want {
                descriptor,
                content,
                name: Some(loaded.name.clone()),
            }),
        }
    }
}

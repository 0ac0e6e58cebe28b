//! Whether the granted directories can be given, looked at before a plugin
//! serves its first call.
//!
//! Owns the warnings. A directory that is missing is no reason not to load: it
//! may come later, and the guest sees that it is not there.

use std::sync::Arc;

use odeon_authority::{FsGrant, GrantSet};

use super::preopens;
use crate::unit::Unit;

/// The granted directories that this component can be given. Writes through
/// `wasi:filesystem` 0.3 would pass no limit; a component that uses it gets no
/// directory at all, not even through 0.2, since its functions take the same
/// descriptors.
pub(super) fn usable<'g>(unit: &Unit, granted: &'g GrantSet) -> &'g [FsGrant] {
    if unit.filesystem_0_3 { &[] } else { &granted.fs }
}

/// Opens the granted directories, and says, in the log and in the audit, which
/// of them the plugin will not find.
pub(crate) fn warn(unit: &Arc<Unit>) {
    let name = &unit.spec.name;
    let refused = preopens::open_all(unit);
    let granted = unit.warrant.now();
    for grant in &granted.set().fs {
        let reason = match &grant.host {
            None => continue,
            Some(_) if unit.filesystem_0_3 => {
                "directories are given to components that use wasi:filesystem 0.2, not to those that use 0.3"
                    .to_owned()
            }
            Some(host) if std::fs::metadata(host).is_ok_and(|metadata| !metadata.is_dir()) => {
                "what is granted is not a directory".to_owned()
            }
            Some(_) => match refused.iter().find(|(refused, _)| refused == grant) {
                Some((_, reason)) => reason.clone(),
                None => continue,
            },
        };
        tracing::warn!(plugin = %name, directory = %grant.guest, %reason, "a granted directory is not there");
        unit.deny("fs", &grant.guest, &reason);
    }
}

//! What is taken away, whatever else allows it.
//!
//! Owns how a denied set is taken out of a granted one. Directories, variables
//! and secrets go as a whole. Of a network rule a part can go: what a denied
//! rule covers goes from the list, and the rest of the list is read with the
//! denied rule beside it as an exception ([`Except`]).
//!
//! **Invariant:** where it cannot be told whether two directories overlap,
//! they do.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Component, Path},
};

use super::{Access, Endpoint, FsGrant, Grant, GrantSet, Protocol};

/// A network rule that is denied beside those that allow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Except {
    /// Of what.
    pub protocol: Protocol,
    /// Which hosts and ports. Whether it says `private` does not matter.
    pub rule: Endpoint,
}

impl fmt::Display for Except {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.protocol, self.rule)
    }
}

impl GrantSet {
    /// What is left without what `denied` names:
    ///
    /// - **fs**: a directory of the host, with what is above and below it; if
    ///   it is denied with `,rw`, only writing. Without a directory of the
    ///   host, whatever the guest would have at that path.
    /// - **tcp, udp, http, listen**: hosts and ports, also out of a wider rule.
    /// - **env, secrets**: names.
    /// - **calls**: of a plugin, or methods of the same function's name, also a
    ///   grant for all of the plugin's.
    #[must_use]
    pub fn without(&self, denied: &GrantSet) -> GrantSet {
        let mut left = self.clone();
        left.fs = self
            .fs
            .iter()
            .filter_map(|grant| lowered(grant, &denied.fs))
            .collect();
        for protocol in Protocol::ALL {
            let denied = denied.rules(protocol);
            let rules = left.rules_mut(protocol);
            rules.retain(|allowed| !denied.iter().any(|rule| rule.covers(allowed)));
            if rules.is_empty() {
                left.except.retain(|except| except.protocol != protocol);
                continue;
            }
            left.except.extend(denied.iter().map(|rule| Except {
                protocol,
                rule: rule.clone(),
            }));
        }
        left.env.retain(|name, _| !denied.env.contains_key(name));
        left.secrets.retain(|name| !denied.secrets.contains(name));
        left.calls
            .retain(|grant| !denied.calls.iter().any(|denied| grant.is_touched_by(denied)));
        left
    }

    /// Takes one grant out, as an operator names it: a directory by the guest's
    /// path and, if it is named, its place; a variable by its name; anything else
    /// as it is written. Says whether it was there.
    pub fn take_out(&mut self, grant: &Grant) -> bool {
        match grant {
            Grant::Fs(named) => {
                let before = self.fs.len();
                self.fs.retain(|there| !is_meant(named, there));
                self.fs.len() < before
            }
            Grant::Network(protocol, rule) => {
                let rules = self.rules_mut(*protocol);
                let before = rules.len();
                rules.retain(|there| there != rule);
                rules.len() < before
            }
            Grant::Env(name, _) => self.env.remove(name).is_some(),
            Grant::Secret(name) => self.secrets.remove(name),
            Grant::Call(call) => self.calls.remove(call),
        }
    }

    /// Which of these grants are wider than one that was taken out of `before`,
    /// so that what it was for can be used all the same; as lines without values.
    /// Where it cannot be told whether they are about one method, they are.
    pub fn still_allows(&self, taken: &Grant, before: &GrantSet) -> Vec<String> {
        let mut wider = GrantSet::default();
        match taken {
            Grant::Fs(named) => {
                let meant = before.fs.iter().filter(|there| is_meant(named, there));
                let hosts: Vec<&Path> = meant.filter_map(|there| there.host.as_deref()).collect();
                let is_wider = |grant: &&FsGrant| {
                    let host = grant.host.as_deref();
                    host.is_some_and(|host| hosts.iter().any(|taken| taken.starts_with(host)))
                };
                wider.fs = self.fs.iter().filter(is_wider).cloned().collect();
            }
            Grant::Network(protocol, rule) => {
                let is_denied = |except: &Except| except.protocol == *protocol && except.rule.covers(rule);
                if !self.except.iter().any(is_denied) {
                    let rules = self.rules(*protocol).iter();
                    *wider.rules_mut(*protocol) = rules.filter(|there| there.covers(rule)).cloned().collect();
                }
            }
            Grant::Call(call) => {
                let calls = self
                    .calls
                    .iter()
                    .filter(|grant| call.method.is_some() && grant.is_touched_by(call));
                wider.calls = calls.cloned().collect();
            }
            // Names are the same or others.
            Grant::Env(..) | Grant::Secret(_) => {}
        }
        wider.lines()
    }

    /// Whether something here, as it is written, is not in what `allowed` leaves
    /// of it.
    pub fn is_cut_by(&self, allowed: &GrantSet) -> bool {
        let left = GrantSet::intersect(self, allowed).complete_lines();
        let left: BTreeSet<String> = left.into_iter().collect();
        self.complete_lines().iter().any(|line| !left.contains(line))
    }

    /// Every rule about the network of this protocol.
    pub(super) fn rules(&self, protocol: Protocol) -> &Vec<Endpoint> {
        match protocol {
            Protocol::Tcp => &self.tcp,
            Protocol::Udp => &self.udp,
            Protocol::Http => &self.http,
            Protocol::Listen => &self.listen,
        }
    }

    fn rules_mut(&mut self, protocol: Protocol) -> &mut Vec<Endpoint> {
        match protocol {
            Protocol::Tcp => &mut self.tcp,
            Protocol::Udp => &mut self.udp,
            Protocol::Http => &mut self.http,
            Protocol::Listen => &mut self.listen,
        }
    }
}

/// Whether an operator who names one directory means the other.
fn is_meant(named: &FsGrant, there: &FsGrant) -> bool {
    there.guest == named.guest && (named.host.is_none() || named.host == there.host)
}

/// What is left of a directory.
fn lowered(grant: &FsGrant, denied: &[FsGrant]) -> Option<FsGrant> {
    let mut left = grant.clone();
    for denied in denied.iter().filter(|denied| touches(denied, grant)) {
        match denied.access {
            Access::Read => return None,
            Access::ReadWrite => left.access = Access::Read,
        }
    }
    Some(left)
}

/// Whether a denied directory has to do with a granted one.
pub(super) fn touches(denied: &FsGrant, grant: &FsGrant) -> bool {
    match (&denied.host, &grant.host) {
        (None, _) => denied.guest == grant.guest,
        (Some(denied), Some(grant)) => {
            climbs(denied) || climbs(grant) || grant.starts_with(denied) || denied.starts_with(grant)
        }
        // Its place is somebody else's to name.
        (Some(_), None) => false,
    }
}

fn climbs(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}

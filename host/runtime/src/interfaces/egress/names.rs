//! Which names the host resolved to which addresses for one guest.
//!
//! A rule that names a host allows exactly the addresses that the host itself
//! got for that name: what a guest says an address is called counts for
//! nothing. Bounded; the oldest is forgotten first.

use std::collections::VecDeque;
use std::net::IpAddr;

/// Pairs of address and name that are remembered per instance.
const REMEMBERED: usize = 256;

#[derive(Default)]
pub(super) struct Names(VecDeque<(IpAddr, Box<str>)>);

impl Names {
    /// Remembers that the host resolved `name` to `address`.
    pub(super) fn remember(&mut self, address: IpAddr, name: &str) {
        self.0
            .retain(|(known, called)| !(*known == address && &**called == name));
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((address, name.into()));
    }

    /// The names of this address.
    pub(super) fn of(&self, address: IpAddr) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(known, _)| *known == address)
            .map(|(_, name)| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn the_oldest_name_is_forgotten_at_one_more_than_the_limit() {
        let mut names = Names::default();
        for number in 0..REMEMBERED as u32 {
            names.remember(address(number), "example.org");
        }
        assert_eq!(names.of(address(0)).collect::<Vec<_>>(), ["example.org"]);
        names.remember(address(u32::MAX), "example.org");
        assert_eq!(names.of(address(0)).count(), 0);
        assert_eq!(names.0.len(), REMEMBERED);
    }

    #[test]
    fn a_name_that_comes_again_takes_no_more_room() {
        let mut names = Names::default();
        (0..3).for_each(|_| names.remember(address(1), "a.example"));
        names.remember(address(1), "b.example");
        assert_eq!(
            names.of(address(1)).collect::<Vec<_>>(),
            ["a.example", "b.example"]
        );
    }
}

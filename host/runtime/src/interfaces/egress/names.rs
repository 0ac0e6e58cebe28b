//! Which names the host resolved to which addresses for one guest.
//!
//! A rule that names a host allows exactly the addresses that the host itself
//! got for that name: what a guest says an address is called counts for
//! nothing. Bounded; the oldest is forgotten first.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long an address is the name's: it may be somebody else's by then.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// Pairs of address and name that are remembered per instance.
const REMEMBERED: usize = 256;

#[derive(Default)]
pub(super) struct Names(VecDeque<(IpAddr, Box<str>, Instant)>);

impl Names {
    /// Remembers that the host resolved `name` to `address`.
    pub(super) fn remember(&mut self, address: IpAddr, name: &str, now: Instant) {
        self.0
            .retain(|(known, called, _)| !(*known == address && &**called == name));
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((address, name.into(), now));
    }

    /// The names of this address.
    pub(super) fn of(&self, address: IpAddr, now: Instant) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(known, _, since)| {
                *known == address && now.saturating_duration_since(*since) < REMEMBERED_FOR
            })
            .map(|(_, name, _)| &**name)
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
        let (mut names, now) = (Names::default(), Instant::now());
        for number in 0..REMEMBERED as u32 {
            names.remember(address(number), "example.org", now);
        }
        assert_eq!(names.of(address(0), now).collect::<Vec<_>>(), ["example.org"]);
        names.remember(address(u32::MAX), "example.org", now);
        assert_eq!(names.of(address(0), now).count(), 0);
        assert_eq!(names.0.len(), REMEMBERED);
    }

    #[test]
    fn a_name_that_comes_again_takes_no_more_room() {
        let (mut names, now) = (Names::default(), Instant::now());
        (0..3).for_each(|_| names.remember(address(1), "a.example", now));
        names.remember(address(1), "b.example", now);
        assert_eq!(
            names.of(address(1), now).collect::<Vec<_>>(),
            ["a.example", "b.example"]
        );
    }

    #[test]
    fn an_address_is_a_names_for_a_minute() {
        let (mut names, now) = (Names::default(), Instant::now());
        names.remember(address(1), "a.example", now);
        let last = now + REMEMBERED_FOR - Duration::from_millis(1);
        assert_eq!(names.of(address(1), last).count(), 1);
        assert_eq!(names.of(address(1), now + REMEMBERED_FOR).count(), 0);
        names.remember(address(1), "a.example", last);
        assert_eq!(
            names.of(address(1), now + REMEMBERED_FOR).count(),
            1,
            "a new lookup counts anew"
        );
    }
}

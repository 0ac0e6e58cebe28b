//! How many connections one address has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// The addresses that are connected. There are no more of them than there are
/// connections.
#[derive(Clone, Default)]
pub(super) struct Peers(Arc<Mutex<HashMap<IpAddr, u64>>>);

/// A connection that counts. Dropping it takes it back.
pub(super) struct Counted {
    peers: Peers,
    key: IpAddr,
}

impl Peers {
    /// Counts a connection from this address, unless it has as many as it may.
    pub(super) fn count(&self, address: IpAddr, most: u64) -> Option<Counted> {
        let key = key(address);
        let mut peers = self.0.lock();
        let count = peers.entry(key).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Counted {
            peers: self.clone(),
            key,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut peers = self.peers.0.lock();
        if let Some(count) = peers.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                peers.remove(&self.key);
            }
        }
    }
}

/// What counts as one address: of IPv6, where a client has as many as it wants,
/// its network.
fn key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_connections_and_gets_them_back() {
        let peers = Peers::default();
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let first = peers.count(one, 2).unwrap();
        let _second = peers.count("::ffff:192.0.2.1".parse().unwrap(), 2).unwrap();
        assert!(peers.count(one, 2).is_none());
        assert!(peers.count("192.0.2.2".parse().unwrap(), 2).is_some());
        drop(first);
        assert!(peers.count(one, 2).is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let peers = Peers::default();
        let _one = peers.count("2001:db8::1".parse().unwrap(), 1).unwrap();
        assert!(peers.count("2001:db8::ffff:2".parse().unwrap(), 1).is_none());
        assert!(peers.count("2001:db8:0:1::1".parse().unwrap(), 1).is_some());
    }
}

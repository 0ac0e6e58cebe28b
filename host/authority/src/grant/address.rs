//! What sort of address an IP address is.
//!
//! Owns the ranges that egress rules speak of. An address that carries an
//! IPv4 address inside (mapped, translated, NAT64, 6to4) is what the carried
//! one is: otherwise it would be a second name for it. What is in no known
//! range is not global.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The class of an IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// Reachable over the Internet.
    Global,
    /// This machine.
    Loopback,
    /// A private network (RFC 1918, unique local).
    Private,
    /// A carrier's shared range, 100.64.0.0/10.
    Shared,
    /// One link only.
    LinkLocal,
    /// The service of a cloud that hands out credentials.
    Metadata,
    /// No address; connecting to it reaches this machine.
    Unspecified,
    /// A group of machines.
    Multicast,
    /// Every machine of a link.
    Broadcast,
    /// Set aside for examples.
    Documentation,
    /// Set aside for measuring devices.
    Benchmarking,
    /// Set aside for anything else.
    Reserved,
}

impl AddressClass {
    /// The class of this address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }

    /// Whether a rule opens this class without saying more.
    pub const fn is_global(self) -> bool {
        matches!(self, AddressClass::Global)
    }

    /// Whether `private` on a rule opens this class. The others are opened
    /// only by naming the address itself.
    pub const fn opened_by_private(self) -> bool {
        matches!(
            self,
            AddressClass::Loopback | AddressClass::Private | AddressClass::Shared
        )
    }
}

fn of_v4(address: Ipv4Addr) -> AddressClass {
    match address.octets() {
        [169, 254, 169, 254] | [169, 254, 170, 2 | 23] | [100, 100, 100, 200] | [192, 0, 0, 192] => {
            AddressClass::Metadata
        }
        [0, 0, 0, 0] => AddressClass::Unspecified,
        [255, 255, 255, 255] => AddressClass::Broadcast,
        [127, ..] => AddressClass::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressClass::Private,
        [169, 254, ..] => AddressClass::LinkLocal,
        [100, 64..=127, ..] => AddressClass::Shared,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => AddressClass::Documentation,
        [198, 18 | 19, ..] => AddressClass::Benchmarking,
        [224..=239, ..] => AddressClass::Multicast,
        [0 | 240..=255, ..] | [192, 0, 0, _] | [192, 88, 99, _] => AddressClass::Reserved,
        _ => AddressClass::Global,
    }
}

fn of_v6(address: Ipv6Addr) -> AddressClass {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressClass::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressClass::Loopback,
        // Mapped, translated (SIIT), NAT64 and the old compatible form.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0, 0, high, low]
        // 6to4 carries it in front.
        | [0x2002, high, low, ..] => of_v4(carried(high, low)),
        // A NAT64 prefix of a site's own: where in it the address sits is the
        // site's choice, so all of it is the site's.
        [0x64, 0xff9b, 1, ..] => AddressClass::Private,
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => AddressClass::Metadata,
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => AddressClass::Private,
        [0xfe80..=0xfebf, ..] => AddressClass::LinkLocal,
        [0xff00..=0xffff, ..] => AddressClass::Multicast,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => AddressClass::Documentation,
        [0x2001, 2, 0, ..] => AddressClass::Benchmarking,
        // Teredo and the rest of the protocol assignments.
        [0x2001, 0..=0x1ff, ..] => AddressClass::Reserved,
        [0x2000..=0x3fff, ..] => AddressClass::Global,
        _ => AddressClass::Reserved,
    }
}

fn carried(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressClass::Global => "global",
            AddressClass::Loopback => "loopback",
            AddressClass::Private => "private",
            AddressClass::Shared => "shared",
            AddressClass::LinkLocal => "link-local",
            AddressClass::Metadata => "metadata",
            AddressClass::Unspecified => "unspecified",
            AddressClass::Multicast => "multicast",
            AddressClass::Broadcast => "broadcast",
            AddressClass::Documentation => "documentation",
            AddressClass::Benchmarking => "benchmarking",
            AddressClass::Reserved => "reserved",
        })
    }
}

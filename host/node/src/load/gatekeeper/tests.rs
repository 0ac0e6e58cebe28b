//! The gatekeeper takes exactly as many loads in a minute as its limit says.

use std::time::{Duration, Instant};

use odeon_authority::{HostLimits, Ledger};
use odeon_protocol::Code;

use super::Gatekeeper;

#[test]
fn a_minute_takes_as_many_loads_as_the_limit_and_not_one_more() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&folder.path().join("versions.json")).unwrap();
    let limits = HostLimits {
        loads_per_minute: 3,
        ..HostLimits::default()
    };
    let gatekeeper = Gatekeeper::new(None, ledger, &limits);
    let start = Instant::now();
    for _ in 0..3 {
        gatekeeper.count_load(start).unwrap();
    }
    assert_eq!(gatekeeper.count_load(start).unwrap_err().code, Code::TooManyLoads);
    assert!(gatekeeper.count_load(start + Duration::from_secs(59)).is_err());
    gatekeeper.count_load(start + Duration::from_secs(60)).unwrap();
}

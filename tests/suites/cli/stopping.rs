//! How long a service manager waits for a host that stops.

use odeon::daemon::DaemonConfig;
use odeon_authority::Limits;

const UNIT: &str = include_str!("../../../docs/systemd/odeon.service");
const SHUTDOWN: &str = include_str!("../../../host/node/src/host/shutdown.rs");
const UNLOAD: &str = include_str!("../../../host/node/src/unload.rs");
const TELEMETRY: &str = include_str!("../../../host/node/src/telemetry.rs");
const METRICS: &str = include_str!("../../../host/node/src/metrics/endpoint.rs");
const DAEMON: &str = include_str!("../../../host/node/src/daemon.rs");

/// The seconds of a constant in a source.
#[track_caller]
fn constant(source: &str, name: &str) -> u64 {
    let (_, rest) = source
        .split_once(&format!("const {name}: Duration = Duration::from_secs("))
        .unwrap_or_else(|| panic!("expected a constant {name}"));
    rest.split(')').next().unwrap().parse().unwrap()
}

/// What each step of a stop may take, in its order.
fn steps() -> Vec<u64> {
    let let_go = constant(UNLOAD, "LET_GO");
    let farewell = constant(DAEMON, "FAREWELL");
    vec![
        let_go,
        DaemonConfig::default().drain.as_secs(),
        let_go,
        Limits::default().load_deadline.duration().as_secs(),
        constant(SHUTDOWN, "UNLOADS"),
        constant(SHUTDOWN, "DUMPS"),
        constant(SHUTDOWN, "AUDIT"),
        2 * constant(TELEMETRY, "FLUSH"),
        farewell,
        constant(METRICS, "PATIENCE"),
        farewell,
    ]
}

/// The sum in the unit is that of what the host's sources say, and the unit waits
/// longer: who stops slowly is not killed while it does what it should.
#[test]
fn the_example_unit_waits_longer_than_the_slowest_stop() {
    let sum = steps().iter().map(u64::to_string).collect::<Vec<_>>().join(" + ");
    let all: u64 = steps().iter().sum();
    let said = format!("{sum} = {all}");
    assert!(UNIT.contains(&said), "expected the unit to say {said}");
    let waits = UNIT
        .lines()
        .find_map(|line| line.strip_prefix("TimeoutStopSec=")?.strip_suffix('s'));
    let waits: u64 = waits.expect("a time").parse().unwrap();
    assert!(waits > all, "expected more than {all} s, found {waits} s");
}

//! Places among those who are observed: who has one, what for, and when it is on
//! record.

use std::sync::Arc;
use std::time::Duration;

use odeon::{Code, DumpRequest, Host, KeepIn};
use odeon_protocol::PluginName;
use odeon_runtime::{MAX_OBSERVED, ObserveError, ObservedFor};
use odeon_tests::runtime::{call, runtime, spec};

use crate::host::{at, audit, fault, load, state};
use crate::left::Left;

fn name(text: &str) -> PluginName {
    text.parse().unwrap()
}

/// Enforced by `Observatory::admit`: from the leave on, not from the beginning.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_kept_is_nobody_elses_until_it_is_given_back() {
    let runtime = runtime();
    let left = Arc::<Left>::default();
    let mut plugins = Vec::new();
    for number in 0..=MAX_OBSERVED {
        let spec = spec().name(&format!("p{number}"));
        plugins.push(spec.load(&runtime, "wat-traps").await);
    }
    let [first, second, third] = &plugins[..] else {
        panic!("expected two places");
    };
    let dumps = first.admit_dumps().unwrap();
    let profile = second.admit_profile(10).unwrap();
    assert!(matches!(second.admit_profile(10), Err(ObserveError::Profiled)));
    let Err(ObserveError::Taken(by)) = third.arm_dumps(left.order(1)) else {
        panic!("expected no place");
    };
    let what = |dumps, profile| ObservedFor { dumps, profile };
    assert_eq!(
        by,
        [(name("p0"), what(true, false)), (name("p1"), what(false, true))]
    );
    // Nothing has begun yet.
    assert!(first.dumps_armed().is_none());
    assert_eq!(
        call(first, "unreachable()").await.unwrap_err().code,
        Code::Trapped
    );
    assert!(left.dumps(&runtime).await.is_empty());
    assert!(second.end_profile().is_none());
    drop(profile);
    third.arm_dumps(left.order(1)).unwrap();
    second.admit_profile(10).err().expect("no place");
    dumps.arm(left.order(1));
    assert_eq!(first.dumps_armed().unwrap().traps, 1);
    first.disarm_dumps();
    second.admit_profile(10).unwrap().begin(Duration::from_secs(60));
    assert!(second.end_profile().is_some());
}

fn order() -> DumpRequest {
    DumpRequest {
        traps: 1,
        time: Duration::from_secs(600),
        to: KeepIn::StateDir,
    }
}

async fn order_dumps(host: &Host, plugin: &str) -> Result<(), odeon::Fault> {
    let ordered = host.order_dumps(&name(plugin), order(), host.principal()).await;
    ordered.map(drop)
}

/// Enforced by `Host::arm` and `Host::profiled`: leave first, then the record, then
/// the beginning. Who is refused is told what to end, and with which command.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_not_on_record_as_ordered() {
    let folder = state();
    let host = at(folder.path());
    for plugin in ["one", "two", "three"] {
        load(&host, "wat-traps", plugin).await;
    }
    let minute = Duration::from_secs(60);
    order_dumps(&host, "one").await.unwrap();
    let running = host
        .begin_profile(&name("two"), minute, host.principal())
        .await
        .unwrap();
    let refused = fault(order_dumps(&host, "three").await);
    assert_eq!(refused.code, Code::WrongState);
    for command in ["odeon dump one --off", "odeon profile two --off"] {
        assert!(refused.message.contains(command), "{}", refused.message);
    }
    let three = name("three");
    for plugin in [&three, &name("two")] {
        let begun = host.begin_profile(plugin, minute, host.principal()).await;
        assert_eq!(fault(begun.map(drop)).code, Code::WrongState);
    }
    let events = |kind: &str| {
        let events = audit(folder.path()).into_iter().map(|line| line["event"].clone());
        events.filter(|event| event["kind"] == kind).collect::<Vec<_>>()
    };
    assert_eq!(events("dump-order").len(), 1, "{:?}", events("dump-order"));
    assert_eq!(events("profile").len(), 1, "{:?}", events("profile"));
    drop(running);
    host.end_dumps(&name("one"), host.principal()).await.unwrap();
    order_dumps(&host, "three").await.unwrap();
    assert_eq!(events("dump-order").len(), 3, "the end is one too");
    host.shutdown(Duration::ZERO).await;
}

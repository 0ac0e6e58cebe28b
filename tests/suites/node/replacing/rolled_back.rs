//! A generation that traps goes again, and what was there before it comes back.

use std::time::Duration;

use odeon::{Args, CallOptions, Code, Host, Outcome};
use odeon_authority::InstanceMode;

use super::{ONE, TWO, answer, by, running};
use crate::host::{at, audit, ephemeral, fault, load, outcome, request, soon, state};

/// As many as it takes.
async fn three_traps(host: &Host) {
    for _ in 0..3 {
        let ended = host
            .call("v/unreachable", Args::Wave(""), CallOptions::default())
            .await;
        assert_eq!(fault(ended).code, Code::Trapped);
    }
}

/// Enforced by `Health::watch` and `Host::roll_back`.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_traps_on_every_call_is_rolled_back() {
    let folder = state();
    let host = at(folder.path());
    load(&host, ONE, "v").await;
    host.replace(by("v", "wat-start-traps")).await.unwrap();
    let mut trapped = 0;
    while host.list()[0].generation.0 == 2 {
        // Before the old one is back every call traps, and afterwards none.
        match host
            .call("v/answer", Args::Wave(""), CallOptions::default())
            .await
        {
            Ok(reply) => assert_eq!((reply.generation.0, reply.wave().unwrap().as_str()), (3, "1")),
            Err(fault) => {
                assert_eq!(fault.code, Code::Trapped, "{fault:?}");
                trapped += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(trapped >= 3, "it takes three: {trapped}");
    assert_eq!(answer(&host).await, (3, "1".to_owned()));
    let rolled_back: Vec<_> = audit(folder.path())
        .into_iter()
        .map(|line| line["event"].clone())
        .filter(|event| event["kind"] == "rollback")
        .collect();
    assert_eq!(rolled_back.len(), 1);
    assert!(rolled_back[0]["reason"].as_str().unwrap().contains("trapped"));
    // Another version can come after that.
    host.replace(by("v", TWO)).await.unwrap();
    assert_eq!(answer(&host).await, (4, "2".to_owned()));
    host.shutdown(Duration::from_secs(5)).await;
}

/// The state of a resident plugin is its generation's own, and is there again
/// when that comes back: enforced by the parked plugin of `Host::see_off`.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_what_went() {
    let host = ephemeral();
    let mut first = request("sample-counter", "v", &[]);
    first.placing.instance = Some(InstanceMode::Resident);
    host.load(first).await.unwrap();
    let count = |by: &'static str| {
        let host = host.clone();
        async move {
            host.call("v/increment", Args::Wave(by), CallOptions::default())
                .await
        }
    };
    assert_eq!(count("5").await.unwrap().wave().unwrap(), "ok(5)");
    host.replace(by("v", "guest-spin")).await.unwrap();
    three_traps(&host).await;
    soon("the counter is back", || host.list()[0].generation.0 == 3).await;
    assert_eq!(count("1").await.unwrap().wave().unwrap(), "ok(6)");
}

/// Enforced by the `Release` of `Interrupt::lower`: a call of the old generation
/// that was interrupted is no reason to interrupt those of the revived one.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_comes_back_even_if_its_last_calls_were_interrupted() {
    let host = ephemeral();
    load(&host, "guest-spin", "v").await;
    let mut stuck = running(&host, "v/wait.sleep-forever", "").await;
    let mut request = by("v", "wat-traps");
    request.drain = Duration::ZERO;
    host.replace(request).await.unwrap();
    assert!(matches!(outcome(&mut stuck).await, Outcome::Cancelled(_)));
    three_traps(&host).await;
    soon("the old one is back", || host.list()[0].generation.0 == 3).await;
    host.call("v/wait.sleep", Args::Wave("1"), CallOptions::default())
        .await
        .unwrap();
}

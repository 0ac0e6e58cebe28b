//! Handlers of WASI 0.3: the same promises.

use odeon::{HostLimits, LimitsPatch};
use odeon_authority::TimeSpan;

use crate::stage::{Stage, builder, served, short, soon};

async fn stage(host_limits: HostLimits, limits: LimitsPatch) -> Stage {
    let stage = Stage::empty(builder().host_limits(host_limits)).await;
    let request = served("guest-web-async", "web", "web/w").with_limits(limits);
    stage.host.load(request).await.expect("the guest loads");
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_of_0_3_answers() {
    let stage = stage(HostLimits::default(), LimitsPatch::default()).await;
    assert_eq!(stage.host.list().remove(0).class, "async");
    let mut client = stage.client().await;
    for _ in 0..10 {
        assert_eq!(
            client.get("/w/version").await.unwrap().text(),
            "answered by WASI 0.3"
        );
        let body = vec![b'y'; 200_000];
        assert_eq!(client.post("/w/echo", &body).await.unwrap().body, body);
        assert_eq!(
            client.post_pieces("/w/echo", &[b"a", b"bc"]).await.unwrap().body,
            b"abc"
        );
        assert_eq!(client.get("/w/bytes?100000").await.unwrap().body.len(), 100_000);
        assert_eq!(client.get("/w/status?418").await.unwrap().status, 418);
    }
    stage.quiet().await;
    assert_eq!(stage.host.list().remove(0).faults, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_what_a_handler_of_0_3_does_wrong_is_seen_in_the_same_way() {
    let limits = LimitsPatch {
        // Longer than the core of one that answers may stand still.
        deadline: Some(TimeSpan::millis(1_500)),
        ..LimitsPatch::default()
    };
    let stage = stage(HostLimits::default(), limits).await;
    for (path, status, code) in [
        ("/w/error", 502, "ODN-1010"),
        ("/w/trap", 502, "ODN-2001"),
        ("/w/sleep", 504, "ODN-2004"),
        ("/w/status?101", 502, "ODN-2014"),
    ] {
        let answer = stage.get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
        assert!(!answer.text().contains("secret"), "{}", answer.text());
    }
    for path in ["/w/trap-in-body?5000", "/w/sleep-in-body?5000"] {
        assert!(stage.client().await.get(path).await.is_err(), "{path}");
    }
    stage.quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_clients_of_a_handler_of_0_3_that_do_not_read_or_vanish_end_it() {
    let stage = stage(short(), LimitsPatch::default()).await;
    for vanish in [true, false] {
        let mut client = stage.client().await;
        client
            .send(b"GET /w/flood HTTP/1.1\r\nHost: test\r\n\r\n")
            .await
            .unwrap();
        soon("it is being answered", || {
            stage.host.list().remove(0).in_flight == 1
        })
        .await;
        let kept = (!vanish).then_some(client);
        stage.quiet().await;
        drop(kept);
    }
}

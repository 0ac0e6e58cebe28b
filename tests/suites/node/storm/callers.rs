//! Who calls while plugins are replaced, each in a way of its own: from threads,
//! from tasks, as requests, over HTTP, over the control socket, and through a
//! plugin that uses another.
//!
//! Owns what each takes for an answer. Any other ends it, and the storm with it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use odeon::{Args, CallOptions, CallRequest, Host, Outcome};
use odeon_tests::runtime::decode;
use odeon_tests::way::encoded;
use odeon_tests::web::Client;

use super::numbers::Storm;
use crate::host::outcome;
use crate::peer::Peer;

/// How long a slow call waits, in milliseconds, and a slow answer over HTTP.
const SLOW: &str = "50";
pub(super) const SLOW_WEB: u64 = 20;

/// The version that is named at the end of `answered by version 1`, whatever
/// stands around it.
fn version_in(answer: &str) -> u64 {
    let (_, rest) = answer
        .split_once("answered by version ")
        .expect("an answer names its version");
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a version is a number")
}

/// Calls and checks until the storm is over, as everybody here; how often.
pub(super) async fn call(host: Host, storm: Arc<Storm>) -> u64 {
    let mut made = 0;
    while storm.goes_on().await {
        let before = storm.short.now();
        let reply = host
            .call("v/answer", Args::Wave(""), CallOptions::default())
            .await
            .expect("no call is lost");
        let generation = reply.generation.0;
        storm.short.check(before, generation);
        assert_eq!(
            reply.wave().unwrap(),
            storm.short.version_of(generation).to_string()
        );
        made += 1;
    }
    made
}

pub(super) async fn request(host: Host, storm: Arc<Storm>) -> u64 {
    let mut made = 0;
    while storm.goes_on().await {
        let before = storm.short.now();
        let (_, mut watcher) = host
            .request(CallRequest::new("v/busy", Args::Wave("5000")))
            .expect("every request is taken");
        match outcome(&mut watcher).await {
            Outcome::Succeeded(answer) => {
                let generation = answer.generation.0;
                storm.short.check(before, generation);
                assert_eq!(u64::from(answer.body[0]), storm.short.version_of(generation));
            }
            other => panic!("no request is lost: {other:?}"),
        }
        made += 1;
    }
    made
}

/// Calls as `odeon call` does.
pub(super) async fn over_the_socket(mut peer: Peer, storm: Arc<Storm>) -> u64 {
    let mut made = 0;
    while storm.goes_on().await {
        let before = storm.short.now();
        let reply = peer.call("v/answer", &[]).await;
        assert_eq!(reply.fault, None, "no call over the socket is lost");
        let generation = reply.generation.expect("an answer says whose it is").0;
        storm.short.check(before, generation);
        assert_eq!(u64::from(reply.body[0]), storm.short.version_of(generation));
        made += 1;
    }
    made
}

/// Is in flight while its plugin is replaced.
pub(super) async fn slow_call(host: Host, storm: Arc<Storm>) -> u64 {
    let mut made = 0;
    while storm.goes_on().await {
        let before = storm.slow.now();
        let reply = host
            .call("s/wait.sleep-version", Args::Wave(SLOW), CallOptions::default())
            .await
            .expect("no slow call is lost");
        let generation = reply.generation.0;
        storm.slow.check(before, generation);
        assert_eq!(
            version_in(&reply.wave().unwrap()),
            storm.slow.version_of(generation)
        );
        made += 1;
    }
    made
}

/// Asks over one connection for answers that take so many milliseconds.
pub(super) async fn web(address: SocketAddr, storm: Arc<Storm>, milliseconds: u64) -> u64 {
    let mut client = Client::connect(address).await;
    let path = match milliseconds {
        0 => "/w/version".to_owned(),
        _ => format!("/w/slow-version?{milliseconds}"),
    };
    let mut made = 0;
    while storm.goes_on().await {
        let before = storm.web.now();
        let answer = client.get(&path).await.expect("no HTTP request is lost");
        assert_eq!(answer.status, 200, "{}", answer.text());
        storm.web.check_version(before, version_in(&answer.text()));
        assert!(!answer.closes(), "the connection is kept");
        made += 1;
    }
    made
}

/// What the user of another plugin does in this call of it, and whether that asks
/// the other one.
fn steps_of(call: u64) -> (bool, &'static str) {
    match call % 3 {
        0 => (false, r#"["version"]"#),
        1 => (true, r#"["next", "version"]"#),
        // Keeps the provider busy, so that it is replaced meanwhile.
        _ => (true, r#"["next", "times", "10000", "version"]"#),
    }
}

/// Calls a plugin that asks another one. Both are replaced.
pub(super) async fn link(host: Host, storm: Arc<Storm>) -> u64 {
    let mut made = 0;
    while storm.goes_on().await {
        let (used, own) = (storm.provider.now(), storm.user.now());
        let (asks, steps) = steps_of(made);
        let reply = host
            .call("u/perform", Args::Wave(steps), CallOptions::default())
            .await
            .expect("no call through a link is lost");
        let generation = reply.generation.0;
        storm.user.check(own, generation);
        let answer = reply.wave().unwrap();
        assert!(answer.starts_with("ok("), "{answer}");
        let version = version_in(&answer);
        if asks {
            storm.provider.check_version(used, version);
        } else {
            assert_eq!(version, storm.user.version_of(generation));
        }
        made += 1;
    }
    made
}

/// The same on a thread of its own, where the other one answers on the stack of
/// the plugin that asks. An answer tells nothing but the version of whoever gave it.
pub(super) fn link_on_a_thread(host: &Host, storm: &Arc<Storm>) -> std::thread::JoinHandle<u64> {
    let (host, storm) = (host.clone(), storm.clone());
    std::thread::spawn(move || {
        let perform = host.method("u/perform").unwrap();
        let mut made = 0;
        while storm.goes_on_here() {
            let (asks, steps) = steps_of(made);
            let args = encoded(perform.ty(), steps);
            let asked = if asks { &storm.provider } else { &storm.user };
            let before = asked.now();
            let reply = perform.call(&args).expect("no call through a link is lost");
            let answer = decode(perform.ty(), &reply.bytes);
            assert!(answer.starts_with("ok("), "{answer}");
            asked.check_version(before, version_in(&answer));
            made += 1;
            std::thread::sleep(Duration::from_micros(200));
        }
        made
    })
}

/// Calls as an embedding program does, on a thread of its own.
pub(super) fn on_a_thread(host: &Host, storm: &Arc<Storm>, typed: bool) -> std::thread::JoinHandle<u64> {
    let (host, storm) = (host.clone(), storm.clone());
    std::thread::spawn(move || {
        let by_type = host.typed::<(), (u32,)>("v/answer").unwrap();
        let by_name = host.method("v/answer").unwrap();
        let mut made = 0;
        while storm.goes_on_here() {
            let before = storm.short.now();
            let answer = match typed {
                true => by_type.call(()).expect("no call is lost").0,
                false => u32::from(by_name.call(&[]).expect("no call is lost").bytes[0]),
            };
            storm.short.check_version(before, u64::from(answer));
            made += 1;
            std::thread::sleep(Duration::from_micros(200));
        }
        made
    })
}

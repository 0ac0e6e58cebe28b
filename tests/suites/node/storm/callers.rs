//! Who calls while plugins are replaced, each in a way of its own: from threads,
//! from tasks, as requests, over HTTP, and through a plugin that uses another.
//!
//! Owns what each takes for an answer. Any other ends it, and the storm with it.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use odeon::{Args, CallOptions, CallRequest, Host, Outcome};
use odeon_tests::web::Client;

use crate::host::outcome;

/// The numbers of a plugin that is replaced again and again.
pub(super) struct Numbers {
    serves: AtomicU64,
    comes: AtomicU64,
}

/// The plugins that are called, and whether that goes on.
#[derive(Default)]
pub(super) struct Storm {
    pub(super) short: Arc<Numbers>,
    pub(super) slow: Arc<Numbers>,
    pub(super) web: Arc<Numbers>,
    pub(super) provider: Arc<Numbers>,
    done: AtomicBool,
}

impl Default for Numbers {
    fn default() -> Self {
        Numbers {
            serves: AtomicU64::new(1),
            comes: AtomicU64::new(1),
        }
    }
}

impl Numbers {
    /// A replace is about to begin. The number of what comes.
    pub(super) fn announce(&self) -> u64 {
        self.comes.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// It serves, and has been for a moment.
    pub(super) fn serves(&self, generation: u64) {
        self.serves.store(generation, Ordering::SeqCst);
    }

    /// To be asked before a call.
    fn now(&self) -> u64 {
        self.serves.load(Ordering::SeqCst)
    }

    /// To be asked when it has ended: the generations that may have answered it.
    /// While nothing is being replaced it is one.
    fn since(&self, before: u64) -> RangeInclusive<u64> {
        before..=self.comes.load(Ordering::SeqCst)
    }

    /// Fails unless this generation may have answered.
    #[track_caller]
    fn check(&self, before: u64, generation: u64) {
        let may = self.since(before);
        assert!(
            may.contains(&generation),
            "{generation} answered, expected {may:?}"
        );
    }

    /// The same where an answer only tells the version.
    #[track_caller]
    fn check_version(&self, before: u64, version: u64) {
        let may = self.since(before);
        let found = may.clone().any(|generation| version_of(generation) == version);
        assert!(found, "version {version} answered, expected that of {may:?}");
    }
}

impl Storm {
    pub(super) fn is_over(&self) {
        self.done.store(true, Ordering::SeqCst);
    }

    fn goes_on(&self) -> bool {
        !self.done.load(Ordering::SeqCst)
    }
}

/// The version that the generation with this number is of.
fn version_of(generation: u64) -> u64 {
    (generation - 1) % 3 + 1
}

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
    while storm.goes_on() {
        let before = storm.short.now();
        let reply = host
            .call("v/answer", Args::Wave(""), CallOptions::default())
            .await
            .expect("no call is lost");
        let generation = reply.generation.0;
        storm.short.check(before, generation);
        assert_eq!(reply.wave().unwrap(), version_of(generation).to_string());
        made += 1;
    }
    made
}

pub(super) async fn request(host: Host, storm: Arc<Storm>) -> u64 {
    let mut made = 0;
    while storm.goes_on() {
        let before = storm.short.now();
        let (_, mut watcher) = host
            .request(CallRequest::new("v/busy", Args::Wave("5000")))
            .expect("every request is taken");
        match outcome(&mut watcher).await {
            Outcome::Succeeded(answer) => {
                let generation = answer.generation.0;
                storm.short.check(before, generation);
                assert_eq!(u64::from(answer.body[0]), version_of(generation));
            }
            other => panic!("no request is lost: {other:?}"),
        }
        made += 1;
    }
    made
}

/// Is in flight while its plugin is replaced.
pub(super) async fn slow_call(host: Host, storm: Arc<Storm>) -> u64 {
    let mut made = 0;
    while storm.goes_on() {
        let before = storm.slow.now();
        let reply = host
            .call("s/wait.sleep", Args::Wave("50"), CallOptions::default())
            .await
            .expect("no slow call is lost");
        storm.slow.check(before, reply.generation.0);
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
    while storm.goes_on() {
        let before = storm.web.now();
        let answer = client.get(&path).await.expect("no HTTP request is lost");
        assert_eq!(answer.status, 200, "{}", answer.text());
        storm.web.check_version(before, version_in(&answer.text()));
        assert!(!answer.closes(), "the connection is kept");
        made += 1;
    }
    made
}

/// Calls a plugin that asks another one, which is replaced.
pub(super) async fn link(host: Host, storm: Arc<Storm>) -> u64 {
    let mut made = 0;
    while storm.goes_on() {
        let before = storm.provider.now();
        let steps = Args::Wave(r#"["next", "version"]"#);
        let reply = host
            .call("u/perform", steps, CallOptions::default())
            .await
            .expect("no call through a link is lost");
        let answer = reply.wave().unwrap();
        assert!(answer.starts_with("ok("), "{answer}");
        storm.provider.check_version(before, version_in(&answer));
        made += 1;
    }
    made
}

/// Calls as an embedding program does, on a thread of its own.
pub(super) fn on_a_thread(host: &Host, storm: &Arc<Storm>, typed: bool) -> std::thread::JoinHandle<u64> {
    let (host, storm) = (host.clone(), storm.clone());
    std::thread::spawn(move || {
        let by_type = host.typed::<(), (u32,)>("v/answer").unwrap();
        let by_name = host.method("v/answer").unwrap();
        let mut made = 0;
        while storm.goes_on() {
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

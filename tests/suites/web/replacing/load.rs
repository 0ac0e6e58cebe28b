//! Who asks over HTTP while what answers is replaced.
//!
//! Owns what each takes for an answer, and that no request is under way over so
//! many replaces that every version could have answered it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use odeon_tests::numbers::Numbers;
use odeon_tests::web::{Answer, Client};

use crate::stage::soon;

/// So many versions take turns.
pub(super) const VERSIONS: u64 = 9;

/// So many replaces may begin while a request is under way. One more may have been
/// let through a moment before the request was seen, and still there is a version
/// that cannot have answered it.
const MOST: u64 = VERSIONS - 3;

/// Lines of a response in many pieces.
const LINES: usize = 40;

/// The kinds of requests, by what is counted of each.
const KINDS: [&str; 5] = [
    "short requests",
    "responses in pieces",
    "bodies in pieces",
    "slow requests",
    "pipelined requests",
];

/// Those that take their time.
const SLOW: usize = 3;

/// Those that an attacker sends.
pub(super) const PIPELINED: usize = 4;

/// What serves, who asks, and whether that goes on.
pub(super) struct Load {
    kinds: [Arc<Numbers>; KINDS.len()],
    /// The generation that served when the request began that each of those who ask
    /// has under way; `u64::MAX` for none.
    under_way: Vec<AtomicU64>,
    done: AtomicBool,
}

impl Load {
    /// With so many who ask.
    pub(super) fn new(asking: usize) -> Arc<Self> {
        Arc::new(Load {
            kinds: KINDS.map(|_| Numbers::of(VERSIONS)),
            under_way: (0..asking).map(|_| AtomicU64::new(u64::MAX)).collect(),
            done: AtomicBool::new(false),
        })
    }

    /// Waits until one more replace may begin. The number of what comes.
    pub(super) async fn announce(&self) -> u64 {
        soon("no request is too old", || {
            let under_way = self.under_way.iter();
            let oldest = under_way.map(|since| since.load(Ordering::SeqCst)).min();
            oldest.is_none_or(|oldest| self.now() < oldest.saturating_add(MOST))
        })
        .await;
        let generations = self.kinds.each_ref().map(|numbers| numbers.announce());
        generations[0]
    }

    /// What was announced serves.
    pub(super) fn serves(&self, generation: u64) {
        for numbers in &self.kinds {
            numbers.serves(generation);
        }
    }

    pub(super) fn is_over(&self) {
        self.done.store(true, Ordering::SeqCst);
    }

    pub(super) fn goes_on(&self) -> bool {
        !self.done.load(Ordering::SeqCst)
    }

    /// Whoever has this number begins a request. What it is to be checked with.
    pub(super) fn begins(&self, who: usize) -> u64 {
        self.under_way[who].store(self.now(), Ordering::SeqCst);
        // From here on it is seen; what came and went before does not count.
        self.now()
    }

    /// The request has ended.
    pub(super) fn ends(&self, who: usize) {
        self.under_way[who].store(u64::MAX, Ordering::SeqCst);
    }

    /// Fails unless this is the whole answer to a request of this kind that began
    /// after `before` served.
    #[track_caller]
    pub(super) fn check(&self, kind: usize, before: u64, answer: &Answer) {
        let text = answer.text();
        assert_eq!(answer.status, 200, "{text}");
        let mut said = text
            .lines()
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        let first = said.next().expect("an answer names its version");
        self.kinds[kind].check_version(before, first);
        assert!(
            said.all(|other| other == first),
            "one version answers a request: {text}"
        );
        assert!(!answer.closes(), "the connection is kept");
    }

    /// Asks on one connection until that is over. How often it did.
    pub(super) async fn ask(self: Arc<Self>, mut client: Client, who: usize) -> u64 {
        let mut asked = 0_u64;
        while self.goes_on() {
            let kind = (who + asked as usize) % PIPELINED;
            let before = self.begins(who);
            let answer = one(&mut client, kind).await;
            self.check(kind, before, &answer);
            self.ends(who);
            asked += 1;
        }
        asked
    }

    /// Fails unless so many of those that take their time were under way over a
    /// switch, and of each kind nearly every answer told something.
    pub(super) fn assert_tried(&self, straddled: u64) {
        for (kind, numbers) in self.kinds.iter().enumerate() {
            let at_least = if kind == SLOW { straddled } else { 0 };
            numbers.assert_tried(KINDS[kind], at_least);
        }
    }

    fn now(&self) -> u64 {
        self.kinds[0].now()
    }
}

async fn one(client: &mut Client, kind: usize) -> Answer {
    let answer = match kind {
        0 => client.get("/w/version").await,
        1 => client.get(&format!("/w/lines?{LINES}")).await,
        2 => {
            client
                .post_pieces("/w/version-of", &[b"a", b"body in", b" pieces"])
                .await
        }
        _ => client.get("/w/slow-version?15").await,
    };
    answer.expect("no request is lost")
}

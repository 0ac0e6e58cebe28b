//! Which generations a plugin has had, and who calls.
//!
//! Owns what may have answered a call, and the counts of how much such a check
//! said; and the rests, in which nobody calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::host::soon;

/// How often a caller that rests looks whether it is over.
const REST: Duration = Duration::from_millis(1);

/// The numbers of a plugin that is replaced again and again.
pub(super) struct Numbers {
    /// So many versions take turns, in the order of their numbers.
    versions: u64,
    serves: AtomicU64,
    comes: AtomicU64,
    /// Answers of a generation that did not serve any more when they came.
    straddled: AtomicU64,
    /// Answers that tell nothing but a version.
    by_version: AtomicU64,
    /// Those of them that any version could have given: as many generations as
    /// there are versions came and went meanwhile.
    vague: AtomicU64,
}

impl Numbers {
    pub(super) fn of(versions: u64) -> Arc<Self> {
        Arc::new(Numbers {
            versions,
            serves: AtomicU64::new(1),
            comes: AtomicU64::new(1),
            straddled: AtomicU64::new(0),
            by_version: AtomicU64::new(0),
            vague: AtomicU64::new(0),
        })
    }

    /// A replace is about to begin. The number of what comes.
    pub(super) fn announce(&self) -> u64 {
        self.comes.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// It serves, and has been for a moment.
    pub(super) fn serves(&self, generation: u64) {
        self.serves.store(generation, Ordering::SeqCst);
    }

    pub(super) fn versions(&self) -> u64 {
        self.versions
    }

    /// The version that the generation with this number is of.
    pub(super) fn version_of(&self, generation: u64) -> u64 {
        (generation - 1) % self.versions + 1
    }

    /// To be asked before a call.
    pub(super) fn now(&self) -> u64 {
        self.serves.load(Ordering::SeqCst)
    }

    /// To be asked when a call has ended that began after `before` served: fails
    /// unless this generation may have answered it. While nothing is being
    /// replaced there is one that may.
    #[track_caller]
    pub(super) fn check(&self, before: u64, generation: u64) {
        let may = before..=self.comes.load(Ordering::SeqCst);
        assert!(
            may.contains(&generation),
            "{generation} answered, expected {may:?}"
        );
        self.note(generation);
    }

    /// The same where an answer only tells the version.
    #[track_caller]
    pub(super) fn check_version(&self, before: u64, version: u64) {
        let may = before..=self.comes.load(Ordering::SeqCst);
        let mut found = may.clone();
        let Some(generation) = found.find(|generation| self.version_of(*generation) == version) else {
            panic!("version {version} answered, expected that of {may:?}");
        };
        self.by_version.fetch_add(1, Ordering::SeqCst);
        if may.end() - may.start() + 1 >= self.versions {
            self.vague.fetch_add(1, Ordering::SeqCst);
        } else {
            self.note(generation);
        }
    }

    fn note(&self, generation: u64) {
        if generation < self.now() {
            self.straddled.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Fails unless at least so many calls were in flight over a switch, and at
    /// most one in a hundred of the answers that only tell a version told nothing.
    pub(super) fn assert_tried(&self, what: &str, at_least: u64) {
        let straddled = self.straddled.load(Ordering::SeqCst);
        let by_version = self.by_version.load(Ordering::SeqCst);
        let vague = self.vague.load(Ordering::SeqCst);
        let generations = self.now();
        println!(
            "{what}: {generations} generations; {straddled} calls in flight over a switch; {vague} of {by_version} \
             answers by version alone tell nothing"
        );
        assert!(
            straddled >= at_least,
            "{what}: {straddled} calls in flight over a switch, expected {at_least}"
        );
        assert!(
            vague * 100 <= by_version,
            "{what}: {vague} of {by_version} answers tell nothing"
        );
    }
}

/// The plugins that are called, and whether that goes on.
pub(super) struct Storm {
    pub(super) short: Arc<Numbers>,
    pub(super) slow: Arc<Numbers>,
    pub(super) web: Arc<Numbers>,
    pub(super) provider: Arc<Numbers>,
    /// Of the plugin that uses the provider.
    pub(super) user: Arc<Numbers>,
    done: AtomicBool,
    rests: AtomicBool,
    resting: AtomicUsize,
}

impl Storm {
    /// So many versions of the plugin whose calls are short, and of the others
    /// whose answers only tell a version.
    pub(super) fn of(short: u64, others: u64) -> Arc<Self> {
        // Where an answer comes with its generation, three are enough: the one
        // before and the one after a generation differ from it and each other.
        const KNOWN: u64 = 3;
        Arc::new(Storm {
            short: Numbers::of(short),
            slow: Numbers::of(KNOWN),
            web: Numbers::of(others),
            provider: Numbers::of(others),
            user: Numbers::of(KNOWN),
            done: AtomicBool::new(false),
            rests: AtomicBool::new(false),
            resting: AtomicUsize::new(0),
        })
    }

    pub(super) fn is_over(&self) {
        self.done.store(true, Ordering::SeqCst);
    }

    /// Waits until none of so many callers has a call under way, and keeps them
    /// so.
    pub(super) async fn rest(&self, callers: usize) {
        self.rests.store(true, Ordering::SeqCst);
        soon("every caller rests", || {
            self.resting.load(Ordering::SeqCst) == callers
        })
        .await;
    }

    /// The rest is over.
    pub(super) async fn resume(&self) {
        self.rests.store(false, Ordering::SeqCst);
        soon("no caller rests", || self.resting.load(Ordering::SeqCst) == 0).await;
    }

    /// To be asked by a task before each call. Not answered during a rest.
    pub(super) async fn goes_on(&self) -> bool {
        if self.begins_to_rest() {
            while self.rests.load(Ordering::SeqCst) {
                tokio::time::sleep(REST).await;
            }
            self.has_rested();
        }
        !self.done.load(Ordering::SeqCst)
    }

    /// The same for a thread.
    pub(super) fn goes_on_here(&self) -> bool {
        if self.begins_to_rest() {
            while self.rests.load(Ordering::SeqCst) {
                std::thread::sleep(REST);
            }
            self.has_rested();
        }
        !self.done.load(Ordering::SeqCst)
    }

    fn begins_to_rest(&self) -> bool {
        let rests = self.rests.load(Ordering::SeqCst);
        if rests {
            self.resting.fetch_add(1, Ordering::SeqCst);
        }
        rests
    }

    fn has_rested(&self) {
        self.resting.fetch_sub(1, Ordering::SeqCst);
    }
}

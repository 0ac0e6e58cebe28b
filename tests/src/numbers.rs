//! Which generations a plugin has had that is replaced again and again.
//!
//! Owns what may have answered a call, and the counts of how much such a check
//! said.
#![allow(clippy::print_stdout, reason = "counts are told to whoever reads along")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The numbers of a plugin that is replaced again and again.
pub struct Numbers {
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
    /// Of a plugin whose first generation serves.
    pub fn of(versions: u64) -> Arc<Self> {
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
    pub fn announce(&self) -> u64 {
        self.comes.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// It serves, and has been for a moment.
    pub fn serves(&self, generation: u64) {
        self.serves.store(generation, Ordering::SeqCst);
    }

    /// How many versions take turns.
    pub fn versions(&self) -> u64 {
        self.versions
    }

    /// The version that the generation with this number is of.
    pub fn version_of(&self, generation: u64) -> u64 {
        (generation - 1) % self.versions + 1
    }

    /// To be asked before a call.
    pub fn now(&self) -> u64 {
        self.serves.load(Ordering::SeqCst)
    }

    /// To be asked when a call has ended that began after `before` served: fails
    /// unless this generation may have answered it. While nothing is being
    /// replaced there is one that may.
    ///
    /// # Panics
    ///
    /// When it may not.
    #[track_caller]
    pub fn check(&self, before: u64, generation: u64) {
        let may = before..=self.comes.load(Ordering::SeqCst);
        assert!(
            may.contains(&generation),
            "{generation} answered, expected {may:?}"
        );
        self.note(generation);
    }

    /// The same where an answer only tells the version.
    ///
    /// # Panics
    ///
    /// When it may not.
    #[track_caller]
    pub fn check_version(&self, before: u64, version: u64) {
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
    ///
    /// # Panics
    ///
    /// When there were fewer, or more of those.
    #[track_caller]
    pub fn assert_tried(&self, what: &str, at_least: u64) {
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

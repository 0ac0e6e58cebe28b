//! What the process takes of the machine's memory while the storm goes on.

use odeon_tests::footprint::resident;

/// Replaces between two looks at the memory, and looks in a thousand replaces.
pub(super) const EVERY: u64 = 100;
const THOUSAND: usize = 10;

/// Bytes of memory that a replace may leave behind, be it for whatever reason.
const MOST_EACH: u64 = 256;

/// Resident memory, in KiB.
#[derive(Default)]
pub(super) struct Looks(Vec<u64>);

impl Looks {
    /// To be called after every [`EVERY`] replaces.
    pub(super) fn look(&mut self) {
        self.0.push(resident());
    }

    /// Fails unless memory stayed where it was after so many looks.
    pub(super) fn assert_flat_after(&self, warm: usize) {
        let thousands: Vec<u64> = self.0.chunks(THOUSAND).map(median).collect();
        println!("memory in KiB, each thousand: {thousands:?}");
        let counted = &self.0[warm..];
        let (first, last) = ends(counted, THOUSAND);
        println!(
            "memory: {} KiB in the very first thousand; {first} in the first that counts, {last} in the last",
            thousands[0]
        );
        assert!(last * 100 <= first * 105, "memory: {first}, {last}");
        // A little with every replace is much after a year, and is found before
        // it is five in a hundred.
        let third = counted.len() / 3;
        let (first, last) = ends(counted, third);
        let replaces = (counted.len() - third) as u64 * EVERY;
        let each = (last.saturating_sub(first) * 1024).div_ceil(replaces);
        println!(
            "memory: {each} bytes with each replace, from {first} KiB in the first third to {last} in the last"
        );
        assert!(
            each < MOST_EACH,
            "memory: {each} bytes more with each replace, expected less than {MOST_EACH}"
        );
    }
}

/// The medians of so many looks at the beginning, and at the end.
fn ends(of: &[u64], looks: usize) -> (u64, u64) {
    (median(&of[..looks]), median(&of[of.len() - looks..]))
}

/// One look may meet a page more or less.
fn median(of: &[u64]) -> u64 {
    let mut of = of.to_vec();
    of.sort_unstable();
    of[of.len() / 2]
}

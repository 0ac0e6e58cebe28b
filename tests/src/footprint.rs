//! What this process takes of the machine.

use std::fs;

/// Resident memory, in KiB.
///
/// # Panics
///
/// When the kernel does not say.
pub fn resident() -> u64 {
    // The number in `status` is a sum of counters that lag behind.
    let text = fs::read_to_string("/proc/self/smaps_rollup").expect("the process's memory");
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let words = line.and_then(|line| line.split_whitespace().next());
    words.and_then(|number| number.parse().ok()).expect("a line Rss:")
}

/// Open descriptors.
///
/// # Panics
///
/// When the kernel does not say.
pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd")
        .expect("the process's files")
        .count()
}

//! What this process takes of the machine.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;

/// Memory that the process takes, in KiB: its own pages, those of files that it
/// has mapped, and its files in memory, mapped or not.
///
/// # Panics
///
/// When the kernel does not say.
pub fn resident() -> u64 {
    // The number in `status` is a sum of counters that lag behind; of the files,
    // which hardly change, it is good enough.
    let own = number_in("/proc/self/smaps_rollup", "Anonymous:");
    own + number_in("/proc/self/status", "RssFile:") + in_memory()
}

fn number_in(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).expect("the process's memory");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let words = line.and_then(|line| line.split_whitespace().next());
    words.and_then(|number| number.parse().ok()).expect(name)
}

/// KiB of the files in memory that this process has open, each of them once.
fn in_memory() -> u64 {
    let open = fs::read_dir("/proc/self/fd").expect("the process's files");
    let files = open.filter_map(|entry| {
        let path = entry.ok()?.path();
        let is_in_memory = fs::read_link(&path)
            .ok()?
            .as_os_str()
            .as_bytes()
            .starts_with(b"/memfd:");
        // Another thread may have closed it meanwhile.
        let metadata = fs::metadata(path).ok().filter(|_| is_in_memory)?;
        Some((metadata.ino(), metadata.blocks()))
    });
    let each: BTreeMap<u64, u64> = files.collect();
    each.values().sum::<u64>() / 2
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

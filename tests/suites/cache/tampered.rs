//! Entries that are not what this host wrote for this component.

use std::fs;

use odeon_protocol::test_util::arb_damage;
use odeon_runtime::EngineClass;
use odeon_tests::runtime::{call, spec};
use proptest::prop_assert_eq;
use proptest::test_runner::{Config, TestRunner};

use crate::folder::{Folder, answering, loaded};

#[tokio::test]
async fn what_was_compiled_once_comes_from_the_cache() {
    let folder = Folder::new();
    let runtime = folder.start().unwrap();
    assert!(!loaded(&runtime, 1).await);
    assert!(loaded(&runtime, 1).await);
    assert!(loaded(&folder.start().unwrap(), 1).await, "also after a restart");
    assert!(!loaded(&runtime, 2).await, "another component is another entry");
}

/// The parts of an entry: what each begins with, so that no part is left out.
fn parts(entry: &[u8]) -> Vec<(&'static str, usize)> {
    const MAGIC: usize = 8;
    const TAG: usize = 32;
    let description_at = MAGIC + TAG + 4;
    let length = u32::from_le_bytes(entry[MAGIC + TAG..description_at].try_into().unwrap()) as usize;
    let lines_at = description_at + length + 4;
    let lines = u32::from_le_bytes(entry[lines_at - 4..lines_at].try_into().unwrap()) as usize;
    let native_at = lines_at + lines;
    assert!(
        entry[native_at..].starts_with(b"\x7fELF"),
        "native code is an object file"
    );
    vec![
        ("the first byte", 0),
        ("the format's number", MAGIC - 1),
        ("the first byte of the tag", MAGIC),
        ("the last byte of the tag", MAGIC + TAG - 1),
        ("the description's length", MAGIC + TAG),
        ("the description", description_at + 2),
        ("the description's end", lines_at - 5),
        ("the lines' length", lines_at - 4),
        ("the lines", lines_at + 2),
        ("the lines' end", native_at - 1),
        ("the native code's head", native_at + 4),
        (
            "the middle of the native code",
            native_at + (entry.len() - native_at) / 2,
        ),
        ("the last byte", entry.len() - 1),
    ]
}

/// Enforced by `Cache::get` (`verify_slice`).
#[tokio::test]
async fn one_changed_bit_anywhere_has_the_component_compiled_again() {
    let folder = Folder::new();
    let runtime = folder.start().unwrap();
    loaded(&runtime, 7).await;
    let path = folder.entry();
    let good = fs::read(&path).unwrap();
    for (part, at) in parts(&good) {
        for bit in [1, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= bit;
            fs::write(&path, bad).unwrap();
            assert!(!loaded(&runtime, 7).await, "{part}");
            assert!(loaded(&runtime, 7).await, "{part}: the good entry is back");
        }
    }
}

/// Every byte of the native code counts, and so do bytes that were added.
#[tokio::test]
async fn a_cut_or_longer_entry_is_compiled_again() {
    let folder = Folder::new();
    let runtime = folder.start().unwrap();
    loaded(&runtime, 7).await;
    let path = folder.entry();
    let good = fs::read(&path).unwrap();
    let mut lengths = vec![0, 1, good.len() - 1, good.len() - 4096];
    lengths.extend(parts(&good).into_iter().map(|(_, at)| at));
    for length in lengths {
        fs::write(&path, &good[..length]).unwrap();
        assert!(!loaded(&runtime, 7).await, "cut to {length} bytes");
    }
    for more in [1, 64, 4096] {
        let mut longer = good.clone();
        longer.resize(good.len() + more, 0);
        fs::write(&path, &longer).unwrap();
        assert!(!loaded(&runtime, 7).await, "{more} bytes longer");
    }
}

/// An entry is bound to its component: put under another's name it is not used.
/// Enforced by `Cache::mac`, which covers the entry's name.
#[tokio::test]
async fn the_entry_of_another_component_is_not_taken() {
    let folder = Folder::new();
    let runtime = folder.start().unwrap();
    loaded(&runtime, 1).await;
    let one = folder.entry();
    loaded(&runtime, 2).await;
    let two = folder.entries().into_iter().find(|path| *path != one).unwrap();
    fs::copy(&two, &one).unwrap();
    assert!(!loaded(&runtime, 1).await);
}

/// Nor is one that was written for another engine class.
/// Enforced by `Cache::mac`: the class is a part of the entry's name.
#[tokio::test]
async fn the_entry_of_another_class_is_not_taken() {
    let folder = Folder::new();
    let runtime = folder.start().unwrap();
    let load = |class| {
        let runtime = runtime.clone();
        async move {
            let plugin = spec()
                .class(class)
                .prepare(&runtime, &answering(3))
                .await
                .unwrap();
            assert_eq!(plugin.description().class, class);
            assert_eq!(call(&plugin, "answer").await.unwrap(), "3");
            plugin.from_cache()
        }
    };
    assert!(!load(EngineClass::Fast).await);
    let fast = folder.entry();
    assert!(!load(EngineClass::Async).await);
    let concurrent = folder.entries().into_iter().find(|path| *path != fast).unwrap();
    fs::copy(&fast, &concurrent).unwrap();
    assert!(!load(EngineClass::Async).await);
}

/// The key is the host's own: what another host wrote is foreign.
/// Enforced by `Cache::mac`.
#[tokio::test]
async fn the_entry_of_another_host_is_not_taken() {
    let (ours, theirs) = (Folder::new(), Folder::new());
    loaded(&theirs.start().unwrap(), 5).await;
    let runtime = ours.start().unwrap();
    loaded(&runtime, 5).await;
    let path = ours.entry();
    assert_eq!(
        path.file_name(),
        theirs.entry().file_name(),
        "the name alone says nothing of the host"
    );
    fs::copy(theirs.entry(), &path).unwrap();
    assert!(!loaded(&runtime, 5).await);
}

/// A new key makes every entry foreign, and none fatal.
#[tokio::test]
async fn entries_under_a_key_that_is_gone_are_compiled_again() {
    let folder = Folder::new();
    loaded(&folder.start().unwrap(), 5).await;
    fs::remove_file(folder.key_file()).unwrap();
    let runtime = folder.start().unwrap();
    assert!(!loaded(&runtime, 5).await);
    assert!(loaded(&runtime, 5).await);
}

/// What is no file at all is in nobody's way.
#[tokio::test]
async fn a_folder_or_a_link_in_the_place_of_an_entry_is_not_fatal() {
    let folder = Folder::new();
    let runtime = folder.start().unwrap();
    loaded(&runtime, 5).await;
    let path = folder.entry();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(!loaded(&runtime, 5).await);
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    assert!(!loaded(&runtime, 5).await);
}

/// Without a folder to write to, loading is slower and nothing else.
#[tokio::test]
async fn a_cache_that_is_gone_is_not_fatal() {
    let folder = Folder::new();
    let runtime = folder.start().unwrap();
    fs::remove_dir_all(folder.entries_dir()).unwrap();
    assert!(!loaded(&runtime, 5).await);
    assert!(!loaded(&runtime, 5).await);
}

/// Enforced by `Cache::entry`: what other limits let through, or what was made
/// for another pool, is no answer.
#[tokio::test]
async fn what_was_kept_under_other_limits_is_compiled_again() {
    let folder = Folder::new();
    loaded(&folder.start().unwrap(), 1).await;
    let strict = folder.start_with(|config| config.compile.type_nodes = 1).unwrap();
    let refused = spec().prepare(&strict, &answering(1)).await;
    assert_eq!(
        refused.err().map(|error| error.code()),
        Some(odeon_protocol::Code::TypeTooDeep)
    );
    let smaller = folder.start_with(|config| config.pool.memory = 64 << 10).unwrap();
    assert!(!loaded(&smaller, 1).await);
    assert!(loaded(&smaller, 1).await);
}

/// Enforced by `cache::open_own`: nothing is waited for, and nothing is read
/// without an end.
#[tokio::test]
async fn timed_what_is_no_file_in_the_place_of_an_entry_is_replaced() {
    let folder = Folder::new();
    let runtime = folder.start().unwrap();
    loaded(&runtime, 7).await;
    let path = folder.entry();
    let stalls = odeon_tests::stall::Stalls::watch();
    let began = std::time::Instant::now();
    for link in [false, true] {
        fs::remove_file(&path).unwrap();
        if link {
            std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        } else {
            let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
            assert!(made.success());
        }
        assert!(!loaded(&runtime, 7).await);
        assert!(loaded(&runtime, 7).await);
    }
    let took = stalls.since(began);
    assert!(took.own() < std::time::Duration::from_secs(5), "{took:?}");
}

/// Enforced by `Cache::get`: damage anywhere, at random.
#[test]
fn a_damaged_entry_is_never_taken() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let folder = Folder::new();
    let runtime = folder.start().unwrap();
    tokio.block_on(loaded(&runtime, 7));
    let path = folder.entry();
    let good = fs::read(&path).unwrap();
    let mut runner = TestRunner::new(Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&arb_damage(good.clone()), |bytes| {
        fs::write(&path, &bytes).unwrap();
        let is_taken = tokio.block_on(loaded(&runtime, 7));
        prop_assert_eq!(is_taken, bytes == good);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

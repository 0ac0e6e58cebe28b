//! What the samples are made of: the profile and flags of docs/guests.md keep
//! them small, and what is not called is not imported.

use odeon_tests::guests;

use crate::host::host;

const PAGE: u64 = 64 << 10;

/// A sample, the most KiB of its file, and the interfaces it imports.
const SAMPLES: &[(&str, u64, &[&str])] = &[
    ("calculator", 32, &[]),
    ("markdown", 288, &[]),
    ("counter", 40, &["wasi:config/store", "wasi:logging/logging"]),
    (
        "http-fetcher",
        96,
        &[
            "wasi:http/outgoing-handler",
            "wasi:http/types",
            "wasi:io/error",
            "wasi:io/poll",
            "wasi:io/streams",
        ],
    ),
    (
        "web-hello",
        48,
        &["wasi:http/types", "wasi:io/error", "wasi:io/streams"],
    ),
];

#[tokio::test]
async fn samples_are_small_and_import_what_they_use() {
    let host = host();
    for (name, most, expected) in SAMPLES {
        let bytes = guests::bytes(&format!("sample-{name}"));
        let size = bytes.len() as u64;
        assert!(size <= most << 10, "{name} is {size} bytes");
        let report = host.check(&bytes, None).await.expect("a sample links");
        let mut imports: Vec<_> = report
            .imports
            .iter()
            .map(|import| import.split('@').next().unwrap_or_default())
            .collect();
        imports.sort_unstable();
        assert_eq!(imports, *expected, "{name}");
        assert!(
            report.memory_bytes <= 3 * PAGE,
            "{name} starts with {}",
            report.memory_bytes
        );
        assert_eq!(report.class, "fast", "{name}");
    }
}

/// The standard library's files come with about a dozen interfaces of WASI and
/// one MiB of stack.
#[tokio::test]
async fn a_sample_with_the_standard_librarys_files_is_small_too() {
    let bytes = guests::bytes("sample-file-indexer");
    assert!(bytes.len() <= 160 << 10, "{} bytes", bytes.len());
    let report = host().check(&bytes, None).await.expect("the sample links");
    assert!(
        report.memory_bytes <= 17 * PAGE,
        "starts with {}",
        report.memory_bytes
    );
    assert!(
        report
            .imports
            .iter()
            .any(|import| import.starts_with("wasi:filesystem/"))
    );
    assert!(
        report
            .imports
            .iter()
            .any(|import| import.starts_with("odeon:plugin/request@"))
    );
    assert!(
        !report
            .imports
            .iter()
            .any(|import| import.starts_with("wasi:sockets/"))
    );
}

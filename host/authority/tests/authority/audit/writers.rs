//! Who else writes to the audit, locks it, or moves it away.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use odeon_authority::{AuditError, SigningKey, verify};
use odeon_protocol::Code;

use super::{event, host_with, lines, log, reopen};

// Passes by `Held::is_still`: what is held open is not written to for ever when
// another file stands in its place.
#[test]
fn an_audit_that_is_moved_away_is_begun_anew() {
    let host = host_with(3);
    let folder = host.folder.path();
    for name in ["audit.jsonl", "audit.head"] {
        fs::rename(folder.join(name), folder.join(format!("old.{name}"))).unwrap();
    }
    assert_eq!(host.audit.append(event(1)).unwrap(), 1);
    assert_eq!(lines(&host).len(), 1);
    fs::rename(folder.join("old.audit.jsonl"), log(&host)).unwrap();
    assert!(matches!(
        host.audit.append(event(2)),
        Err(AuditError::CutOff { .. }) | Ok(3)
    ));
}

// Passes by `files::wait_for`.
#[test]
fn timed_a_lock_that_is_never_given_back_ends_the_wait() {
    let host = host_with(1);
    let lock = fs::File::open(host.folder.path().join("audit.lock")).unwrap();
    lock.lock().unwrap();
    let began = Instant::now();
    let waiting: Vec<_> = std::thread::scope(|scope| {
        let append = || host.audit.append(event(2));
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(append)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let took = began.elapsed();
    // Beside each other: two of them after each other would be ten seconds.
    assert!(
        (Duration::from_secs(5)..Duration::from_secs(10)).contains(&took),
        "{took:?}"
    );
    for error in waiting.into_iter().map(Result::unwrap_err) {
        assert_eq!(error.code(), Code::AuditUnwritable);
        assert!(error.to_string().contains("audit.lock"), "{error}");
    }
    lock.unlock().unwrap();
    assert_eq!(host.audit.append(event(2)).unwrap(), 2);
}

// Passes by the lock in `Audit::append`.
#[test]
fn several_writers_share_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let pem = folder.path().join("host.key");
    let public = SigningKey::load_or_create(&pem).unwrap().public();
    let path = Arc::new(folder.path().to_owned());
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (path, pem) = (path.clone(), pem.clone());
            std::thread::spawn(move || {
                let audit = reopen(&path, &pem);
                (0..10).for_each(|number| assert!(audit.append(event(number)).is_ok()));
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let report = verify(folder.path(), &public).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(report.lines, 40);
}

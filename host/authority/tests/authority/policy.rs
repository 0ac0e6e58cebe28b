//! The trust policy's file, and changing it.

use std::{fs, os::unix::fs::PermissionsExt as _};

use odeon_authority::{GrantSet, Ledger, Policy, PolicyEdit, PolicyEditError, Selector, Trust};
use odeon_protocol::Code;

use crate::fixture::{Host, key};

#[test]
fn no_file_is_an_empty_policy() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        Policy::load(&folder.path().join("trust.toml")).unwrap(),
        Policy::default()
    );
}

// Passes by `file::read_owned` and `file::check_owned`.
#[test]
fn a_file_that_is_not_the_operators_alone_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trust.toml");
    fs::write(&path, "").unwrap();
    for (mode, good) in [(0o600, true), (0o644, true), (0o664, false), (0o602, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(Policy::load(&path).is_ok(), good, "{mode:o}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let link = folder.path().join("link.toml");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let error = Policy::load(&link).unwrap_err();
    assert_eq!(error.code(), Code::PolicyUnreadable);
    assert!(error.to_string().contains("symbolic link"), "{error}");
    // A folder, or a pipe nobody writes to, is not waited for.
    assert!(Policy::load(folder.path()).is_err());
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    assert!(Policy::load(&pipe).is_err());
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
        assert!(
            Policy::load(&path)
                .unwrap_err()
                .to_string()
                .contains("owner uid 12345")
        );
    }
}

#[test]
fn edits_keep_what_the_operator_wrote() {
    let host = Host::new();
    let path = host.folder.path().join("trust.toml");
    let (first, second) = (key().public(), key().public());
    fs::write(
        &path,
        format!("# our own key\n[[key]]\nkey = \"{first}\" # from the vault\n"),
    )
    .unwrap();
    let ceiling = GrantSet::parse(["http=api.example.com:443", "env=MODE=fast"]).unwrap();
    host.trust(|edit| {
        edit.allow_key(
            &second,
            &["tools.*".parse().unwrap()],
            Some(&ceiling),
            Some("a \"friend\""),
        )
        .unwrap();
        edit.pin(&"calc".parse().unwrap(), &first).unwrap();
    });
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("# our own key\n") && text.contains("# from the vault"),
        "{text}"
    );
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let rows = Policy::load(&path).unwrap().rows();
    assert_eq!(
        rows.iter().map(|row| row.kind).collect::<Vec<_>>(),
        ["key", "key", "pin"]
    );
    assert_eq!(rows[1].names, ["tools.*"]);
    assert_eq!(
        rows[1].grants.as_deref().unwrap(),
        ["http=api.example.com:443", "env=MODE"]
    );
    // A variable's value survives in the file.
    assert!(text.contains("env=MODE=fast"));
    // The same row again replaces its ceiling.
    host.trust(|edit| {
        edit.allow_key(&second, &["tools.*".parse().unwrap()], None, None)
            .unwrap()
    });
    let rows = Policy::load(&path).unwrap().rows();
    assert_eq!((rows.len(), &rows[1].grants), (3, &None));
}

#[test]
fn revoking_turns_every_row_into_a_denial() {
    let host = Host::new();
    let public = key().public();
    let policy = host.trust(|edit| {
        edit.allow_key(&public, &["a".parse().unwrap()], None, None)
            .unwrap();
        edit.allow_key(&public, &["b".parse().unwrap()], None, None)
            .unwrap();
        assert_eq!(
            edit.revoke(&public.id().to_string().parse().unwrap()).unwrap(),
            public.to_string()
        );
        // A key nobody had added can be kept out too.
        edit.revoke(&Selector::Key(key().public())).unwrap();
        edit.revoke(&"evil*".parse().unwrap()).unwrap();
    });
    assert_eq!(policy.rows().len(), 4);
    assert!(
        policy
            .rows()
            .iter()
            .all(|row| row.decision == Trust::Deny && row.names.is_empty())
    );
    let path = host.folder.path().join("trust.toml");
    let mut edit = PolicyEdit::open(&path).unwrap();
    assert!(matches!(
        edit.allow_key(&public, &[], None, None),
        Err(PolicyEditError::Revoked(_))
    ));
    let unknown = edit.revoke(&Selector::KeyId(key().public().id()));
    assert!(matches!(unknown, Err(PolicyEditError::UnknownKey(_))));
}

#[test]
fn an_edit_that_is_dropped_changes_nothing() {
    let host = Host::new();
    let path = host.folder.path().join("trust.toml");
    let mut edit = PolicyEdit::open(&path).unwrap();
    edit.allow_key(&key().public(), &[], None, None).unwrap();
    drop(edit);
    assert!(!path.exists());
    fs::write(&path, "key = 3\n").unwrap();
    assert!(PolicyEdit::open(&path).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "key = 3\n");
}

// Passes by the lock that `PolicyEdit::open` holds.
#[test]
fn edits_at_the_same_time_are_all_kept() {
    let host = Host::new();
    let path = host.folder.path().join("trust.toml");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut edit = PolicyEdit::open(&path).unwrap();
                edit.allow_key(&key().public(), &[], None, None).unwrap();
                edit.save().unwrap();
            });
        }
    });
    assert_eq!(Policy::load(&path).unwrap().rows().len(), 8);
}

#[test]
fn the_ledger_remembers_the_version_accepted_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("versions.json");
    let (calc, version) = ("calc".parse().unwrap(), "1.2.0".parse().unwrap());
    let mut ledger = Ledger::open(&path).unwrap();
    assert_eq!(ledger.accepted(&calc), None);
    ledger.accept(&calc, &version).unwrap();
    assert_eq!(Ledger::open(&path).unwrap().accepted(&calc), Some(&version));
    fs::write(&path, "{").unwrap();
    assert!(Ledger::open(&path).is_err());
}

#[test]
fn the_ledger_keeps_what_another_process_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("versions.json");
    let (calc, echo) = ("calc".parse().unwrap(), "echo".parse().unwrap());
    let version: semver::Version = "2.0.0".parse().unwrap();
    let mut one = Ledger::open(&path).unwrap();
    let mut other = Ledger::open(&path).unwrap();
    one.accept(&calc, &version).unwrap();
    other.accept(&echo, &version).unwrap();
    assert_eq!(other.accepted(&calc), Some(&version));
    assert_eq!(one.accepted(&echo), None);
    one.refresh().unwrap();
    assert_eq!(one.accepted(&echo), Some(&version));
    assert_eq!(Ledger::open(&path).unwrap().accepted(&calc), Some(&version));
}

// Passes by `Policy::check`.
#[test]
fn a_row_that_nothing_would_go_by_is_refused() {
    let public = key().public();
    for (text, good) in [
        ("[[name]]\nname = \"calc\"\n".to_owned(), false),
        ("[[name]]\nname = \"calc\"\ngrants = []\n".to_owned(), true),
        (
            "[[name]]\nname = \"calc\"\ndecision = \"deny\"\n".to_owned(),
            true,
        ),
        (
            "[[name]]\nname = \"calc\"\ndecision = \"deny\"\ngrants = []\n".to_owned(),
            false,
        ),
        (
            format!("[[key]]\nkey = \"{public}\"\ndecision = \"deny\"\ngrants = []\n"),
            false,
        ),
    ] {
        assert_eq!(Policy::parse(&text).is_ok(), good, "{text}");
    }
    // Revoking a row with a ceiling leaves one that can be read.
    let host = Host::new();
    host.trust(|edit| {
        edit.allow_key(&public, &[], Some(&GrantSet::default()), None)
            .unwrap()
    });
    host.trust(|edit| drop(edit.revoke(&Selector::Key(public)).unwrap()));
}

#[test]
fn names_in_another_order_are_the_same_row() {
    let host = Host::new();
    let public = key().public();
    let names = |names: [&str; 2]| names.map(|name| name.parse().unwrap());
    let policy = host.trust(|edit| {
        edit.allow_key(&public, &names(["a", "b"]), None, None).unwrap();
        edit.allow_key(&public, &names(["b", "a"]), Some(&GrantSet::default()), None)
            .unwrap();
    });
    let rows = policy.rows();
    assert_eq!((rows.len(), rows[0].grants.as_deref()), (1, Some(&[][..])));
}

// Passes by `Policy::file_of` and `Policy::keep_in`.
#[test]
fn the_state_directory_says_where_its_policy_is() {
    let folder = tempfile::tempdir().unwrap();
    let (state, elsewhere) = (folder.path(), folder.path().join("etc/site.toml"));
    let usual = state.join("trust.toml");
    assert_eq!(Policy::file_of(state).unwrap(), usual);
    Policy::keep_in(state, &elsewhere).unwrap();
    assert_eq!(Policy::file_of(state).unwrap(), elsewhere);
    Policy::keep_in(state, &usual).unwrap();
    assert_eq!(Policy::file_of(state).unwrap(), usual);
    // What cannot be relied on is an error and never another file.
    let pointer = state.join("trust-policy");
    for text in ["", "relative.toml\n", "/a\n/b\n"] {
        fs::write(&pointer, text).unwrap();
        assert!(Policy::file_of(state).is_err(), "{text:?}");
    }
    fs::write(&pointer, "/a\n").unwrap();
    fs::set_permissions(&pointer, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(Policy::file_of(state).is_err());
}

// Passes by `Ledger::accept`, which reads again what is there.
#[test]
fn two_ledgers_on_one_file_forget_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("versions.json");
    let (mut one, mut two) = (
        odeon_authority::Ledger::open(&path).unwrap(),
        odeon_authority::Ledger::open(&path).unwrap(),
    );
    let version: semver::Version = "2.0.0".parse().unwrap();
    one.accept(&"calc".parse().unwrap(), &version).unwrap();
    two.accept(&"echo".parse().unwrap(), &version).unwrap();
    let after = odeon_authority::Ledger::open(&path).unwrap();
    for name in ["calc", "echo"] {
        assert_eq!(after.accepted(&name.parse().unwrap()), Some(&version), "{name}");
    }
}

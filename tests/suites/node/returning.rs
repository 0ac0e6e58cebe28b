//! A bad version goes, and the one before it comes back.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use odeon::{
    Args, CallOptions, CallRequest, Code, Host, LoadRequest, Outcome, ReplaceRequest, Source, UnloadMode,
};
use odeon_authority::{Claim, SigningKey, sign};
use odeon_protocol::PluginState;
use odeon_tests::guests;

use crate::host::{at, audit, ephemeral, fault, load, outcome, soon, state};

fn by(path: PathBuf) -> ReplaceRequest {
    ReplaceRequest::new("v".parse().unwrap(), Source::Component(path))
}

fn unsigned(guest: &str) -> ReplaceRequest {
    ReplaceRequest {
        allow_unsigned: true,
        ..by(guests::component(guest))
    }
}

async fn call(host: &Host, method: &str, args: &str) -> Result<(u64, String), odeon::Fault> {
    let path = format!("v/{method}");
    let reply = host.call(&path, Args::Wave(args), CallOptions::default()).await?;
    Ok((reply.generation.0, reply.wave().unwrap_or_default()))
}

/// Deeper than the stack is.
const DEEP: &str = "100000000";

/// Calls what traps until the generation is another one.
async fn storm(host: &Host, method: &str) {
    let before = host.list()[0].generation;
    let end = Instant::now() + Duration::from_secs(20);
    while host.list()[0].generation == before {
        assert!(Instant::now() < end, "the bad version is still there");
        // Whether it traps or the old one answers is what the caller looks at
        // afterwards.
        drop(call(host, method, "").await);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A version of `v`, signed with this key.
fn signed(folder: &Path, key: &SigningKey, guest: &str, version: &str) -> PathBuf {
    let claim = Claim {
        name: "v".parse().unwrap(),
        version: version.parse().unwrap(),
    };
    let path = folder.join(format!("v-{version}.wasm"));
    fs::write(&path, sign(&guests::bytes(guest), key, &claim).unwrap()).unwrap();
    path
}

fn policy(folder: &Path, rows: &str) {
    let new = folder.join("trust.new");
    fs::write(&new, rows).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(new, folder.join("trust.toml")).unwrap();
}

fn trusted(key: &SigningKey) -> String {
    format!("[[key]]\nkey = \"{}\"\ndecision = \"allow\"\n", key.public())
}

/// What comes back is accepted again, and is what the next start loads: enforced
/// by `Host::roll_back`, which writes both down.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_back_is_there_after_a_restart() {
    let folder = state();
    let key = SigningKey::generate().unwrap();
    policy(folder.path(), &trusted(&key));
    let good = signed(folder.path(), &key, "wat-version-one", "1.0.0");
    let bad = signed(folder.path(), &key, "wat-start-traps", "2.0.0");
    let fixed = signed(folder.path(), &key, "wat-version-two", "1.0.1");
    let host = at(folder.path());
    host.load(LoadRequest::component(good)).await.unwrap();
    host.replace(by(bad)).await.unwrap();
    storm(&host, "answer").await;
    assert_eq!(call(&host, "answer", "").await.unwrap(), (3, "1".to_owned()));
    host.shutdown(Duration::from_secs(5)).await;
    drop(host);

    let host = at(folder.path());
    assert_eq!(host.load_remembered().await.unwrap().len(), 1);
    assert_eq!(call(&host, "answer", "").await.unwrap().1, "1");
    // A mended version lower than the bad one is accepted.
    host.replace(by(fixed)).await.unwrap();
    assert_eq!(call(&host, "answer", "").await.unwrap().1, "2");
    host.shutdown(Duration::from_secs(5)).await;
}

/// The old generation comes back at once, while a call of it still runs, and that
/// comes to its end: enforced by the `select` of `Host::see_off`.
#[tokio::test(flavor = "multi_thread")]
async fn what_still_runs_on_the_old_version_does_not_delay_its_return() {
    let host = ephemeral();
    load(&host, "guest-spin", "v").await;
    let (serial, mut slow) = host
        .request(CallRequest::new("v/wait.sleep", Args::Wave("5000")))
        .unwrap();
    soon("it runs", || host.list()[0].in_flight == 1).await;
    host.replace(unsigned("wat-traps")).await.unwrap();
    storm(&host, "unreachable").await;
    assert!(
        host.status().in_flight.iter().any(|row| row.serial == serial),
        "it was waited for"
    );
    assert!(call(&host, "wait.sleep", "1").await.is_ok());
    match outcome(&mut slow).await {
        Outcome::Succeeded(_) => {}
        other => panic!("expected a result, found {other:?}"),
    }
}

/// What the policy came to deny does not come back, however bad the new version
/// is: enforced by `Host::roll_back`.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_version_does_not_come_back() {
    let folder = state();
    let key = SigningKey::generate().unwrap();
    let good = signed(folder.path(), &key, "wat-version-one", "1.0.0");
    let bad = signed(folder.path(), &key, "wat-start-traps", "2.0.0");
    policy(folder.path(), &trusted(&key));
    let host = at(folder.path());
    let digest = host.load(LoadRequest::component(good)).await.unwrap().digest;
    host.replace(by(bad)).await.unwrap();
    let rows = format!(
        "{}[[digest]]\ndigest = \"{digest}\"\ndecision = \"deny\"\n",
        trusted(&key)
    );
    policy(folder.path(), &rows);
    assert!(
        host.review().await.unwrap().is_empty(),
        "what serves is not denied"
    );
    for _ in 0..20 {
        assert_eq!(fault(call(&host, "answer", "").await).code, Code::Trapped);
    }
    soon("nothing is kept of it", || {
        host.status_dump()["replaced"]
            .as_array()
            .is_some_and(Vec::is_empty)
    })
    .await;
    let list = host.list();
    assert_eq!((list[0].generation.0, list[0].state), (2, PluginState::Ready));
    assert!(
        audit(folder.path())
            .iter()
            .all(|line| line["event"]["kind"] != "rollback")
    );
    host.shutdown(Duration::from_secs(5)).await;
}

/// An operator takes a plugin away while another version comes up: what serves
/// when that is over is taken out. Enforced by the wait of `Host::unload`.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_unloaded_whatever_is_about_to_replace_it() {
    for works in [true, false] {
        let host = ephemeral();
        load(&host, "wat-version-one", "v").await;
        let folder = state();
        let descriptor = folder.path().join("v.toml");
        let text = format!(
            "name = \"v\"\nsource = \"{}\"\n[limits]\nload-deadline = \"400ms\"\n[config]\nload = \"{}\"\n",
            guests::component("guest-lifecycle").display(),
            if works { "ok" } else { "sleep" }
        );
        fs::write(&descriptor, text).unwrap();
        let replacing = tokio::spawn({
            let host = host.clone();
            async move {
                let request = ReplaceRequest {
                    source: Some(Source::Descriptor(descriptor)),
                    ..unsigned("wat-version-one")
                };
                host.replace(request).await
            }
        });
        let name = "v".parse().unwrap();
        tokio::task::yield_now().await;
        host.unload(&name, UnloadMode::Now, host.principal())
            .await
            .unwrap();
        assert!(host.list().is_empty(), "{works}");
        // Before it or after it, and then there is nothing to replace.
        let replaced = replacing.await.unwrap();
        assert!(host.list().is_empty(), "{works}: {replaced:?}");
        load(&host, "wat-version-one", "v").await;
    }
}

/// A replace whose caller went away after the switch is seen off all the same:
/// enforced by the task that `Host::replace` starts with the switch.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_gives_up_a_replace_leaves_nothing_behind() {
    let host = crate::host::builder()
        .host_limits(crate::host::few_loads(60_000))
        .start()
        .unwrap();
    load(&host, "wat-version-one", "v").await;
    for wait in 0..40 {
        let mut request = unsigned(if wait % 2 == 0 {
            "wat-version-two"
        } else {
            "wat-version-one"
        });
        request.health_window = Duration::ZERO;
        // Anywhere between before the file is read and after the switch.
        drop(tokio::time::timeout(Duration::from_micros(wait * 500), host.replace(request)).await);
    }
    soon("every generation but the last is gone", || {
        host.status_dump()["replaced"]
            .as_array()
            .is_some_and(Vec::is_empty)
    })
    .await;
    // The name is free for the next, when the last one that was given up is over.
    let end = Instant::now() + Duration::from_secs(20);
    while let Err(fault) = host.replace(unsigned("wat-version-two")).await {
        assert_eq!(fault.code, Code::Draining, "{fault:?}");
        assert!(Instant::now() < end, "{fault:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(call(&host, "answer", "").await.unwrap().1, "2");
    host.shutdown(Duration::from_secs(5)).await;
}

/// What a descriptor said stays when another component takes its place: enforced
/// by `ReplaceRequest::load`.
#[tokio::test(flavor = "multi_thread")]
async fn the_terms_of_a_descriptor_stay() {
    let folder = state();
    let host = at(folder.path());
    let descriptor = folder.path().join("v.toml");
    let text = format!(
        "name = \"v\"\nsource = \"{}\"\ngrants = [\"tcp=10.0.0.1:80\"]\n[limits]\nmemory = \"2MiB\"\n",
        guests::component("wat-version-one").display()
    );
    fs::write(&descriptor, text).unwrap();
    let mut first = LoadRequest::descriptor(descriptor);
    first.allow_unsigned = true;
    host.load(first).await.unwrap();
    host.replace(unsigned("wat-version-two")).await.unwrap();
    let described = host.describe(&"v".parse().unwrap()).unwrap();
    assert_eq!(described.grants, ["tcp=10.0.0.1:80"]);
    assert_eq!(described.limits["memory"], "2MiB");
}

/// Each way in which a bad version is bad once it serves: it goes by itself, and
/// callers saw no more than its own faults. Enforced by `Health::watch`.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_bad_version_goes_by_itself() {
    for (guest, method, args, code) in [
        ("wat-traps", "unreachable", "", Code::Trapped),
        ("wat-start-traps", "answer", "", Code::Trapped),
        ("guest-spin", "memory.allocate-until-abort", "", Code::MemoryLimit),
        ("guest-spin", "cpu.recurse", DEEP, Code::StackLimit),
    ] {
        let host = ephemeral();
        load(&host, "wat-version-one", "v").await;
        host.replace(unsigned(guest)).await.unwrap();
        let mut faults = 0;
        while host.list()[0].generation.0 == 2 {
            match call(&host, method, args).await {
                Err(fault) if fault.code == code => faults += 1,
                // The old one is back by now, and has no such method.
                Err(fault) => assert_eq!(fault.code, Code::MethodNotFound, "{guest}: {fault:?}"),
                Ok(answer) => assert_eq!(answer, (3, "1".to_owned()), "{guest}"),
            }
            assert!(faults < 2000, "{guest} {method}");
        }
        assert!(faults >= 3, "{guest}: {faults}");
        assert_eq!(call(&host, "answer", "").await.unwrap(), (3, "1".to_owned()));
    }
}

/// Now and then a trap is nothing new, nor is it with the old version: enforced
/// by the share in `Health::watch`.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_traps_no_more_than_the_last_one_stays() {
    let host = ephemeral();
    load(&host, "guest-spin", "v").await;
    for _ in 0..10 {
        assert!(call(&host, "cpu.recurse", DEEP).await.is_err());
        assert!(call(&host, "wait.sleep", "0").await.is_ok());
    }
    let mut next = unsigned("guest-spin");
    next.health_window = Duration::from_millis(300);
    host.replace(next).await.unwrap();
    for _ in 0..10 {
        assert!(call(&host, "cpu.recurse", DEEP).await.is_err());
        assert!(call(&host, "wait.sleep", "0").await.is_ok());
    }
    soon("the window is over", || {
        host.status_dump()["replaced"]
            .as_array()
            .is_some_and(Vec::is_empty)
    })
    .await;
    assert_eq!(host.list()[0].generation.0, 2);
}

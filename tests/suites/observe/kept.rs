//! Core dumps and profiles of a host: on record, in files that are bounded, and
//! told to nobody else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use odeon::{Args, CallOptions, Code, DumpRequest, Host, HostLimits, KeepIn, ReplaceRequest, Source};
use odeon_authority::{ByteSize, InstanceMode};
use odeon_protocol::{DumpReply, PluginName};
use odeon_tests::guests;

use crate::host::{self, at, audit, builder, ephemeral, fault, load, soon, state};
use crate::left::read;

fn name(text: &str) -> PluginName {
    text.parse().unwrap()
}

fn request(traps: u32) -> DumpRequest {
    DumpRequest {
        traps,
        time: Duration::from_secs(600),
        to: KeepIn::StateDir,
    }
}

async fn order(host: &Host, traps: u32) -> Result<DumpReply, odeon::Fault> {
    host.order_dumps(&name("traps"), request(traps), host.principal())
        .await
}

async fn trap(host: &Host) -> odeon::Fault {
    fault(
        host.call("traps/unreachable", Args::Wave(""), CallOptions::default())
            .await,
    )
}

/// The events of this kind.
fn events(folder: &Path, kind: &str) -> Vec<serde_json::Value> {
    let lines = audit(folder).into_iter().map(|line| line["event"].clone());
    lines.filter(|event| event["kind"] == kind).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_dump_is_the_operators_alone_and_on_record() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "wat-traps", "traps").await;
    let armed = order(&host, 1).await.unwrap();
    assert_eq!(armed.armed.unwrap().traps, 1);
    let told = trap(&host).await;
    host.dumps_written().await;
    let said = host.dumps(&name("traps")).unwrap();
    assert!(said.armed.is_none());
    let file = said.dumps[0].file.clone().unwrap();
    let file = Path::new(&file);
    assert_eq!(file.parent().unwrap(), folder.path().join("dumps"));
    assert_eq!((mode(file), mode(file.parent().unwrap())), (0o600, 0o700));
    assert_eq!(read(&fs::read(file).unwrap()).frames, 1);
    // The caller has the fault, and nothing else.
    let words = format!("{told:?}");
    assert!(!words.contains("dump"), "{words}");
    let ordered = &events(folder.path(), "dump-order")[0];
    assert_eq!(
        (&ordered["name"], &ordered["traps"]),
        (&"traps".into(), &1.into())
    );
    let left = &events(folder.path(), "core-dump")[0];
    assert_eq!(
        (&left["plugin"], &left["code"]),
        (&"traps".into(), &"ODN-2001".into())
    );
    assert_eq!(left["file"], file.display().to_string());
    host.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn core_dumps_that_are_not_wanted_any_more_are_not_made() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "wat-traps", "traps").await;
    trap(&host).await;
    order(&host, 3).await.unwrap();
    let ended = host.end_dumps(&name("traps"), host.principal()).await.unwrap();
    assert!(ended.armed.is_none());
    trap(&host).await;
    host.dumps_written().await;
    assert!(host.dumps(&name("traps")).unwrap().dumps.is_empty());
    assert_eq!(fs::read_dir(folder.path().join("dumps")).unwrap().count(), 0);
    assert_eq!(events(folder.path(), "dump-order")[1]["traps"], 0);
    host.shutdown(Duration::ZERO).await;
}

/// Enforced by `Folder::has_room` and `Shared::leave_dump`.
#[tokio::test(flavor = "multi_thread")]
async fn core_dumps_take_no_more_room_than_they_may() {
    let folder = state();
    let host = builder()
        .state_dir(folder.path())
        .host_limits(HostLimits {
            dump_size: ByteSize::kib(64),
            dumps_size: ByteSize::new(10),
            ..HostLimits::default()
        })
        .start()
        .unwrap();
    load(&host, "wat-traps", "traps").await;
    order(&host, 1).await.unwrap();
    trap(&host).await;
    host.dumps_written().await;
    let row = host.dumps(&name("traps")).unwrap().dumps.remove(0);
    let why = row.left_out.unwrap();
    assert!(row.file.is_none() && why.contains("dumps-size = 10"), "{why}");
    let left = &events(folder.path(), "core-dump")[0];
    assert!(
        left["left_out"].as_str().unwrap().contains("dumps-size"),
        "{left}"
    );
    // An order that nothing could come of is refused.
    fs::write(folder.path().join("dumps/of-mine"), [0; 11]).unwrap();
    let refused = fault(order(&host, 1).await);
    assert_eq!(refused.code, Code::WrongState);
    assert!(refused.message.contains("dumps-size"), "{}", refused.message);
    host.shutdown(Duration::ZERO).await;
}

/// Enforced by `Folder::has_room`.
#[tokio::test(flavor = "multi_thread")]
async fn so_many_core_dumps_are_kept_and_no_more() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "wat-traps", "traps").await;
    order(&host, 1).await.unwrap();
    for number in 0..63 {
        fs::write(folder.path().join(format!("dumps/{number}")), "").unwrap();
    }
    trap(&host).await;
    host.dumps_written().await;
    assert!(host.dumps(&name("traps")).unwrap().dumps[0].file.is_some());
    let refused = fault(order(&host, 1).await);
    assert!(
        refused.message.contains("fewer than 64 files"),
        "{}",
        refused.message
    );
    host.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_cannot_be_kept_is_refused() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "wat-traps", "traps").await;
    for traps in [0, 17] {
        let refused = fault(order(&host, traps).await);
        assert_eq!(refused.code, Code::InvalidArguments);
        assert!(refused.message.contains("from 1 to 16"), "{}", refused.message);
    }
    for time in [Duration::ZERO, Duration::from_secs(86_401)] {
        let order = DumpRequest { time, ..request(1) };
        let refused = fault(host.order_dumps(&name("traps"), order, host.principal()).await);
        assert_eq!(refused.code, Code::InvalidArguments);
    }
    let unknown = host
        .order_dumps(&name("nobody"), request(1), host.principal())
        .await;
    assert_eq!(fault(unknown).code, Code::PluginNotFound);
    host.shutdown(Duration::ZERO).await;
    let host = ephemeral();
    load(&host, "wat-traps", "traps").await;
    assert_eq!(fault(order(&host, 1).await).code, Code::WrongState);
    host.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_kept_for_the_operator_and_on_record() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-spin", "spin").await;
    let spin = name("spin");
    let running = host
        .begin_profile(&spin, Duration::from_secs(60), host.principal())
        .await
        .unwrap();
    let second = fault(
        host.profile(&spin, Duration::from_secs(1), host.principal())
            .await,
    );
    assert_eq!(second.code, Code::WrongState);
    assert!(second.message.contains("one at a time"), "{}", second.message);
    let busy = host.call("spin/cpu.busy", Args::Wave("1500"), CallOptions::default());
    busy.await.unwrap();
    let report = running.end(KeepIn::StateDir).await.unwrap();
    assert_eq!(events(folder.path(), "profile")[0]["for_ms"], 60_000);
    assert!(report.samples > 0, "{report:?}");
    assert_eq!(report.file.parent().unwrap(), folder.path().join("profiles"));
    assert_eq!(mode(&report.file), 0o600);
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&report.file).unwrap()).unwrap();
    assert!(json["threads"].is_array());
    host.shutdown(Duration::ZERO).await;
}

/// Enforced by `RunningProfile::loses_its_place`.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_ends_when_its_plugin_is_replaced() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-spin", "spin").await;
    let profiling = tokio::spawn({
        let host = host.clone();
        async move {
            host.profile(&name("spin"), Duration::from_secs(600), host.principal())
                .await
        }
    });
    soon("it is on record", || !events(folder.path(), "profile").is_empty()).await;
    let mut next = ReplaceRequest::new(name("spin"), Source::Component(guests::component("guest-spin")));
    next.allow_unsigned = true;
    host.replace(next).await.unwrap();
    let report = tokio::time::timeout(Duration::from_secs(20), profiling).await;
    let report = report.expect("it does not wait").unwrap().unwrap();
    assert_eq!(report.generation.0, 1);
    assert!(report.file.is_file());
    host.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_shown_keeps_a_core_dump_off_the_disk() {
    let folder = state();
    let secret = folder.path().join("token");
    fs::write(&secret, "hunter2").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let host = at(folder.path());
    let mut first = host::request("guest-provider", "traps", &["secret=token"]);
    first.placing.instance = Some(InstanceMode::Resident);
    first.secrets.insert("token".to_owned(), secret);
    host.load(first).await.unwrap();
    order(&host, 2).await.unwrap();
    let perform = async |steps| {
        host.call("traps/perform", Args::Wave(steps), CallOptions::default())
            .await
    };
    let shown = perform("[\"secret\", \"token\"]").await.unwrap();
    assert_eq!(shown.wave().unwrap(), "ok(\"hunter2\")");
    for _ in 0..2 {
        assert_eq!(fault(perform("[\"trap\"]").await).code, Code::Trapped);
    }
    host.dumps_written().await;
    let said = host.dumps(&name("traps")).unwrap();
    let without = said.dumps.iter().filter(|row| row.file.is_none()).count();
    assert_eq!((said.dumps.len(), without), (2, 1));
    let words = said.dumps.iter().filter_map(|row| row.left_out.as_deref());
    assert!(words.into_iter().all(|why| why.contains("secret")), "{said:?}");
    for entry in fs::read_dir(folder.path().join("dumps")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(7).any(|found| found == b"hunter2"));
    }
    host.shutdown(Duration::ZERO).await;
}

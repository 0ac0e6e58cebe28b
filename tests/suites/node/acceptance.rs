//! The promises of the whole, kept by a whole host: what is refused is on
//! record, what a guest is denied is too, and a good plugin answers in time
//! beside hostile ones.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use odeon::{Args, CallOptions, Code, LimitsPatch, LoadRequest};
use odeon_authority::{Claim, SigningKey, sign};
use odeon_tests::guests;
use odeon_tests::stall::Stalls;

use crate::host::{at, audit, ephemeral, fault, load, load_with, soon, state};

/// Falls with `Host::refused`: a file that is refused while it is read is on
/// record as one is that is decided upon.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_refused_is_on_record() {
    let folder = state();
    let host = at(folder.path());
    let whole = guests::bytes("guest-echo");
    let claim = Claim {
        name: "echo".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
    };
    let mut signed = whole.clone();
    for _ in 0..17 {
        signed = sign(&signed, &SigningKey::generate().unwrap(), &claim).unwrap_or(signed);
    }
    // A byte of the header, of a section's length, and of what is in it.
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("magic", flipped(0)),
        ("layer", flipped(6)),
        ("length", flipped(9)),
        ("body", flipped(whole.len() / 2)),
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("core", guests::bytes("wat-core-module")),
        ("text", b"no component".to_vec()),
        ("unsigned", whole.clone()),
        ("signed", signed),
    ];
    for (name, bytes) in cases {
        let path = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&path, &bytes).unwrap();
        let before = audit(folder.path()).len();
        let refused = fault(host.load(LoadRequest::component(&path)).await);
        let lines = audit(folder.path());
        assert_eq!(lines.len(), before + 1, "{name}: {}", refused.message);
        let event = &lines.last().unwrap()["event"];
        assert_eq!(event["kind"], "decision", "{name}");
        assert_eq!(event["allowed"], false, "{name}");
        assert_eq!(event["code"], refused.code.to_string(), "{name}");
    }
}

/// Falls with `Host::on_record`: that a name is another's is a refusal like any
/// other, whether a plugin has it or a key.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_tries_to_take_anothers_name_is_on_record() {
    let folder = state();
    let host = at(folder.path());
    load(&host, "guest-echo", "taken").await;
    let (owner, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let policy = format!(
        "[[key]]\nkey = \"{}\"\n\n[[key]]\nkey = \"{}\"\n\n[[pin]]\nname = \"pinned\"\nkey = \"{}\"\n",
        owner.public(),
        other.public(),
        owner.public(),
    );
    let path = folder.path().join("trust.toml");
    std::fs::write(&path, policy).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let signed = |key: &SigningKey, name: &str| {
        let claim = Claim {
            name: name.parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
        };
        sign(&guests::bytes("guest-forger"), key, &claim).unwrap()
    };
    let cases = [
        (
            "taken",
            LoadRequest::bytes(signed(&other, "taken")),
            Code::NameTaken,
        ),
        (
            "taken",
            LoadRequest::component(guests::component("guest-forger"))
                .named("taken".parse().unwrap())
                .allow_unsigned(),
            Code::NameTaken,
        ),
        (
            "pinned",
            LoadRequest::bytes(signed(&other, "pinned")),
            Code::NamePinned,
        ),
    ];
    for (name, request, code) in cases {
        let before = audit(folder.path()).len();
        assert_eq!(fault(host.load(request).await).code, code, "{name}");
        let lines = audit(folder.path());
        assert_eq!(lines.len(), before + 1, "{name}: one line each");
        let event = &lines.last().unwrap()["event"];
        assert_eq!(
            (&event["kind"], &event["allowed"], &event["code"], &event["name"]),
            (
                &"decision".into(),
                &false.into(),
                &code.as_str().into(),
                &name.into()
            )
        );
        assert!(!event["reason"].as_str().unwrap().is_empty());
    }
    // Its owner takes the pinned name, and what had the other one still has it.
    host.load(LoadRequest::bytes(signed(&owner, "pinned")))
        .await
        .expect("the key that the name is pinned to");
    let sum = host.call("taken/echo.add", Args::Wave("1, 2"), CallOptions::default());
    assert_eq!(sum.await.unwrap().wave().unwrap(), "3");
}

/// Falls with `Recorder::denied`. The first is written at once; the rest are
/// counted and written with the next.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_is_denied_is_in_the_audit() {
    const TRIES: u64 = 50;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = state();
    let host = at(folder.path());
    load_with(&host, "guest-egress", "reaches", &[], LimitsPatch::default()).await;
    load_with(&host, "guest-concurrent", "waits", &[], LimitsPatch::default()).await;
    for (plugin, function) in [
        ("reaches", "sockets.tcp-connect"),
        ("waits", "sockets.tcp-connect"),
    ] {
        for _ in 0..TRIES {
            let method = format!("{plugin}/{function}");
            let args = format!("\"127.0.0.1\", {port}");
            let reply = host
                .call(&method, Args::Wave(&args), CallOptions::default())
                .await;
            let answer = reply.expect("a denial is an answer, not a fault").json();
            assert_eq!(answer.unwrap(), serde_json::json!({"err": "access-denied"}));
        }
    }
    host.shutdown(Duration::ZERO).await;
    for plugin in ["reaches", "waits"] {
        let counts: Vec<u64> = audit(folder.path())
            .into_iter()
            .map(|line| line["event"].clone())
            .filter(|event| event["kind"] == "denial" && event["plugin"] == plugin)
            .inspect(|event| {
                assert_eq!(event["grant"], "tcp");
                assert!(event["target"].as_str().unwrap().contains(&port.to_string()));
            })
            .map(|event| event["count"].as_u64().unwrap())
            .collect();
        assert_eq!(counts.iter().sum::<u64>(), TRIES, "{plugin}: {counts:?}");
        assert!(counts.len() <= 3, "{plugin}: {counts:?}");
    }
    assert!(listener.accept().is_err(), "somebody connected");
}

/// A good plugin on the host of hostile ones: what the cores stood still during one of
/// its answers is not the host's. Falls with `drive::turn` and
/// `Inner::background`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_neighbour_on_the_same_host_answers_in_time() {
    const CALLS: usize = 1000;
    const ALWAYS: Duration = Duration::from_millis(10);
    let host = ephemeral();
    load_with(&host, "guest-echo", "good", &[], LimitsPatch::default()).await;
    let p99 = async || {
        let stalls = Stalls::watch();
        let mut times = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let began = Instant::now();
            let sum = host.call("good/echo.add", Args::Wave("2, 3"), CallOptions::default());
            sum.await.expect("the sum");
            times.push((began, Instant::now()));
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        stalls.p99(&times)
    };
    p99().await;
    let alone = p99().await;
    let long = || LimitsPatch {
        deadline: Some("60s".parse().unwrap()),
        cpu: Some("60s".parse().unwrap()),
        ..LimitsPatch::default()
    };
    let mut tasks = tokio::task::JoinSet::new();
    for (guest, call, args) in [
        ("guest-spin", "cpu.spin", ""),
        ("guest-spin", "cpu.recurse", "100000000"),
        ("guest-spin", "flood.log-forever", ""),
        ("guest-spin", "wait.drip", "0"),
        ("guest-spin", "memory.allocate-until-abort", ""),
        ("guest-egress", "sockets.tcp-connect", "\"127.0.0.1\", 1"),
        ("guest-concurrent", "work.spin", ""),
        ("guest-concurrent", "output.flood", ""),
    ] {
        if !host.list().iter().any(|row| row.name.as_str() == guest) {
            load_with(&host, guest, guest, &[], long()).await;
        }
        let (host, method) = (host.clone(), format!("{guest}/{call}"));
        tasks.spawn(async move {
            // Whoever is stopped by a limit, or denied, begins again.
            loop {
                let _ended = host.call(&method, Args::Wave(args), CallOptions::default()).await;
            }
        });
    }
    soon("they run", || {
        host.list().iter().map(|row| row.in_flight).sum::<u64>() >= 5
    })
    .await;
    let beside = p99().await;
    tasks.shutdown().await;
    // Before and after: what others do on the machine comes and goes.
    let alone = alone.max(p99().await);
    host.shutdown(Duration::ZERO).await;
    let most = (3 * alone).max(ALWAYS);
    assert!(
        beside <= most,
        "alone {alone:?}, beside hostile guests expected at most {most:?}, found {beside:?}"
    );
}

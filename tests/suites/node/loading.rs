//! The one way in, and what it refuses.

use odeon::{Code, GrantSet, HostLimits, LimitsPatch, LoadRequest, Principal, UnloadMode};
use odeon_authority::{Claim, Policy, SigningKey, embed_manifest, sign};
use odeon_tests::guests;

use crate::host::{at, audit, builder, ephemeral, fault, few_loads, load, state};

const MANIFEST: &str = "[plugin]\nname = \"echo\"\nversion = \"1.2.0\"\n";

pub(crate) fn signed(version: &str, key: &SigningKey) -> Vec<u8> {
    let manifest = MANIFEST.replace("1.2.0", version);
    let packed = embed_manifest(&guests::bytes("guest-echo"), manifest.as_bytes()).unwrap();
    sign(
        &packed,
        key,
        &Claim {
            name: "echo".parse().unwrap(),
            version: version.parse().unwrap(),
        },
    )
    .unwrap()
}

pub(crate) fn trust(folder: &std::path::Path, key: &SigningKey) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("trust.toml");
    std::fs::write(&path, format!("[[key]]\nkey = \"{}\"\n", key.public())).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A state directory whose policy trusts this key.
pub(crate) fn trusted() -> (tempfile::TempDir, SigningKey) {
    let folder = state();
    let key = SigningKey::generate().unwrap();
    trust(folder.path(), &key);
    (folder, key)
}

/// The echo guest, signed as version 1.2.0.
pub(crate) fn echo_in(folder: &std::path::Path, key: &SigningKey) -> std::path::PathBuf {
    let path = folder.join("echo.wasm");
    std::fs::write(&path, signed("1.2.0", key)).unwrap();
    path
}

/// Enforced by `Plugin::compiled_at`.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_says_how_much_of_it_was_not_compiling() {
    let report = load(&ephemeral(), "guest-echo", "echo").await;
    assert!(!report.from_cache, "it was compiled");
    assert!(!report.after_compile.is_zero() && report.after_compile < report.elapsed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_loaded_called_and_unloaded() {
    let host = ephemeral();
    let report = load(&host, "guest-echo", "echo").await;
    assert_eq!((report.name.as_str(), report.generation.0), ("echo", 1));
    assert!(report.transient, "what nothing vouches for does not stay");
    assert_eq!(host.list().len(), 1);

    let reply = host
        .call("echo/echo.add", odeon::Args::Wave("20, 22"), Default::default())
        .await
        .unwrap();
    assert_eq!(reply.wave().unwrap(), "42");

    let gone = host
        .unload(&report.name, UnloadMode::Now, host.principal())
        .await
        .unwrap();
    assert_eq!((gone.interrupted, gone.hook), (0, None));
    let after = host
        .call("echo/echo.add", odeon::Args::Wave("1, 2"), Default::default())
        .await;
    assert_eq!(fault(after.map(|reply| reply.bytes)).code, Code::PluginNotFound);
    assert!(host.list().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_counts_on_over_an_unload() {
    let host = ephemeral();
    for generation in 1..=3 {
        assert_eq!(load(&host, "guest-echo", "echo").await.generation.0, generation);
        host.unload(&"echo".parse().unwrap(), UnloadMode::Now, host.principal())
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_in_one_process_know_nothing_of_each_other() {
    let (one, other) = (ephemeral(), ephemeral());
    load(&one, "guest-echo", "echo").await;
    load(&other, "sample-calculator", "calc").await;
    assert_eq!(
        fault(other.method("echo/echo.add").map(|_| ())).code,
        Code::PluginNotFound
    );
    assert_eq!(
        fault(one.method("calc/add").map(|_| ())).code,
        Code::PluginNotFound
    );
    one.shutdown(std::time::Duration::ZERO).await;
    let reply = other
        .call("calc/add", odeon::Args::Wave("1, 2"), Default::default())
        .await
        .unwrap();
    assert_eq!(reply.wave().unwrap(), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_taken_by_one_plugin() {
    let host = ephemeral();
    load(&host, "guest-echo", "echo").await;
    let again = LoadRequest::component(guests::component("guest-echo"))
        .named("echo".parse().unwrap())
        .allow_unsigned();
    assert_eq!(fault(host.load(again).await).code, Code::NameTaken);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_loads_of_one_name_at_once_one_wins() {
    let host = ephemeral();
    let request = || {
        LoadRequest::component(guests::component("guest-echo"))
            .named("echo".parse().unwrap())
            .allow_unsigned()
    };
    let (one, other) = tokio::join!(host.load(request()), host.load(request()));
    let codes: Vec<_> = [one, other]
        .into_iter()
        .filter_map(|result| result.err().map(|fault| fault.code))
        .collect();
    assert_eq!(codes, [Code::NameTaken]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_is_dropped_gives_its_name_back() {
    let host = ephemeral();
    let request = || {
        LoadRequest::component(guests::component("guest-echo"))
            .named("echo".parse().unwrap())
            .allow_unsigned()
    };
    let mut loading = Box::pin(host.load(request()));
    assert!(
        futures::poll!(loading.as_mut()).is_pending(),
        "the file is read on another thread"
    );
    drop(loading);
    // What was begun on that thread ends by itself, and lets go of the name.
    let mut refused = 0;
    let report = loop {
        crate::host::soon("the name is free", || {
            host.status_dump()["loading"] == serde_json::json!([])
        })
        .await;
        match host.load(request()).await {
            Ok(report) => break report,
            Err(fault) if fault.code == Code::NameTaken && refused < 20 => refused += 1,
            Err(fault) => panic!("expected the name to be free again: {fault}"),
        }
    };
    assert_eq!(report.name.as_str(), "echo");
    assert_eq!(host.list().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_component_is_refused_by_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let host = builder().host_limits(HostLimits {
        component_size: "2MiB".parse().unwrap(),
        ..Default::default()
    });
    let host = host.start().unwrap();
    let whole = guests::bytes("guest-echo");
    let cases: [(&str, &[u8], Code); 5] = [
        ("text", b"hello, this is no WebAssembly", Code::NotWasm),
        ("core", b"\0asm\x01\0\0\0", Code::CoreModule),
        ("cut", &whole[..whole.len() / 2], Code::Malformed),
        ("empty", b"", Code::NotWasm),
        ("large", &vec![0; (2 << 20) + 1], Code::ComponentTooLarge),
    ];
    for (name, bytes, code) in cases {
        let path = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&path, bytes).unwrap();
        let refused = fault(host.load(LoadRequest::component(&path).allow_unsigned()).await);
        assert_eq!(refused.code, code, "{name}: {}", refused.message);
        assert!(
            refused.message.contains(&format!("{name}.wasm")),
            "{}",
            refused.message
        );
        let handed_in = LoadRequest::bytes(bytes.to_vec()).allow_unsigned();
        let refused = fault(host.load(handed_in).await);
        assert_eq!(refused.code, code, "{name}: {}", refused.message);
    }
    let absent = fault(
        host.load(LoadRequest::component(folder.path().join("absent.wasm")))
            .await,
    );
    assert_eq!(absent.code, Code::FileUnreadable);
    let a_folder = fault(host.load(LoadRequest::component(folder.path())).await);
    assert_eq!(a_folder.code, Code::FileUnreadable);
}

/// Enforced by `decide`, and by `Decision::record` before the answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_component_is_refused_and_that_is_on_record() {
    let folder = state();
    let host = at(folder.path());
    let named = LoadRequest::component(guests::component("guest-echo")).named("echo".parse().unwrap());
    assert_eq!(fault(host.load(named).await).code, Code::Unsigned);
    let lines = audit(folder.path());
    let decision = &lines.last().unwrap()["event"];
    assert_eq!(decision["kind"], "decision");
    assert_eq!(decision["allowed"], false);
    assert_eq!(decision["code"], "ODN-4001");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_component_is_let_in_by_its_key_and_the_decision_comes_before_the_load() {
    let (folder, key) = trusted();
    let host = at(folder.path());
    let path = echo_in(folder.path(), &key);
    let report = host.load(LoadRequest::component(&path)).await.unwrap();
    assert_eq!(report.signed_by, [key.public().id().to_string()]);
    assert!(!report.transient);
    let kinds: Vec<_> = audit(folder.path())
        .iter()
        .map(|line| line["event"]["kind"].clone())
        .collect();
    assert_eq!(kinds, ["decision", "load"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_version_needs_a_word_of_the_operator() {
    let (folder, key) = trusted();
    let host = at(folder.path());
    let path = echo_in(folder.path(), &key);
    let report = host.load(LoadRequest::component(&path)).await.unwrap();
    host.unload(&report.name, UnloadMode::Now, &Principal::Embedder)
        .await
        .unwrap();
    std::fs::write(&path, signed("1.1.9", &key)).unwrap();
    assert_eq!(
        fault(host.load(LoadRequest::component(&path)).await).code,
        Code::VersionLowered
    );
    let mut on_purpose = LoadRequest::component(&path);
    on_purpose.allow_downgrade = true;
    host.load(on_purpose).await.unwrap();
    host.shutdown(std::time::Duration::ZERO).await;
    drop(host);
    // The word counts for good: the next start asks for no higher version.
    let host = at(folder.path());
    let loads = host.load_remembered().await.unwrap();
    assert!(loads.iter().all(|load| load.outcome.is_ok()), "{loads:?}");
    assert_eq!(host.list().len(), 1);
}

/// Enforced by `Gatekeeper::count_load`.
#[tokio::test(flavor = "multi_thread")]
async fn a_minute_takes_so_many_loads() {
    let host = builder().host_limits(few_loads(2)).start().unwrap();
    let absent = || host.load(LoadRequest::component("/nowhere/at/all.wasm"));
    assert_eq!(fault(absent().await).code, Code::FileUnreadable);
    assert_eq!(fault(absent().await).code, Code::FileUnreadable);
    assert_eq!(fault(absent().await).code, Code::TooManyLoads);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_cannot_be_kept_refuses_the_load() {
    let host = ephemeral();
    let limits = LimitsPatch {
        value_depth: Some(101),
        ..LimitsPatch::default()
    };
    let request = LoadRequest::component(guests::component("guest-echo"))
        .named("echo".parse().unwrap())
        .allow_unsigned()
        .with_limits(limits);
    assert_eq!(fault(host.load(request).await).code, Code::LimitUnsupported);
    load(&host, "guest-echo", "echo").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_hook_that_fails_keeps_the_plugin_out() {
    let host = ephemeral();
    let mut request = LoadRequest::component(guests::component("guest-lifecycle"))
        .named("life".parse().unwrap())
        .allow_unsigned();
    request.config = [("load".to_owned(), "trap".to_owned())].into();
    assert_eq!(fault(host.load(request.clone()).await).code, Code::LoadHookFailed);
    assert!(host.list().is_empty());
    request.config.clear();
    host.load(request)
        .await
        .expect("the name is free and the hook fine");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_is_loaded_again_and_decided_anew() {
    let (folder, key) = trusted();
    let path = echo_in(folder.path(), &key);
    {
        let host = at(folder.path());
        let grants = GrantSet::parse(["env=GREETING=hello"]).unwrap();
        host.load(LoadRequest::component(&path).with_grants(grants))
            .await
            .unwrap();
        load(&host, "sample-calculator", "calc").await;
        host.shutdown(std::time::Duration::ZERO).await;
    }
    let host = at(folder.path());
    let again = host.load_remembered().await.unwrap();
    assert_eq!(
        again.len(),
        1,
        "what nothing vouches for is not remembered: {again:?}"
    );
    assert_eq!(again[0].outcome.as_ref().unwrap().as_str(), "echo");
    host.shutdown(std::time::Duration::ZERO).await;

    std::fs::remove_file(folder.path().join("trust.toml")).unwrap();
    let host = at(folder.path());
    let refused = host.load_remembered().await.unwrap();
    assert_eq!(fault(refused[0].outcome.clone()).code, Code::KeyUnknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unload_forgets_a_remembered_load() {
    let (folder, key) = trusted();
    let path = echo_in(folder.path(), &key);
    let host = at(folder.path());
    let report = host.load(LoadRequest::component(&path)).await.unwrap();
    host.unload(&report.name, UnloadMode::Now, host.principal())
        .await
        .unwrap();
    host.shutdown(std::time::Duration::ZERO).await;
    assert!(at(folder.path()).load_remembered().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_descriptor_says_all_but_that_nothing_vouches_for_it() {
    let (folder, key) = trusted();
    std::fs::write(folder.path().join("echo.wasm"), signed("1.2.0", &key)).unwrap();
    let plugins = folder.path().join("plugins.d");
    std::fs::create_dir(&plugins).unwrap();
    let descriptor = "source = \"../echo.wasm\"\ninstance = \"resident\"\n[limits]\nmemory = \"8MiB\"\n";
    std::fs::write(plugins.join("echo.toml"), descriptor).unwrap();
    std::fs::write(
        plugins.join("odd.toml"),
        "source = \"../echo.wasm\"\nallow-unsigned = true\n",
    )
    .unwrap();
    let host = at(folder.path());
    let loads = host.load_descriptors(&plugins).await.unwrap();
    assert_eq!(loads[0].outcome.as_ref().unwrap().as_str(), "echo");
    assert_eq!(fault(loads[1].outcome.clone()).code, Code::DescriptorInvalid);
    let described = host.describe(&"echo".parse().unwrap()).unwrap();
    assert_eq!(described.plugin.instance, "resident");
    assert_eq!(described.limits["memory"], "8MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_what_a_component_is_and_runs_nothing() {
    let host = ephemeral();
    let report = host
        .check(&guests::bytes("sample-calculator"), None)
        .await
        .unwrap();
    assert!(
        report.methods.iter().any(|method| method.path == "add"),
        "{:?}",
        report.methods
    );
    assert!(host.list().is_empty());
    assert_eq!(
        fault(host.check(b"\0asm\x01\0\0\0", None).await).code,
        Code::CoreModule
    );
    let missing = guests::bytes("wat-missing-imports");
    assert_eq!(fault(host.check(&missing, None).await).code, Code::LinkFailed);
}

/// Nobody has decided about these bytes. Enforced by `Runtime::check`.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_keeps_nothing_in_the_cache() {
    let folder = state();
    let host = at(folder.path());
    host.check(&guests::bytes("sample-calculator"), None)
        .await
        .unwrap();
    let kept = || std::fs::read_dir(folder.path().join("cache")).map_or(0, |entries| entries.count());
    assert_eq!(kept(), 0);
    load(&host, "sample-calculator", "calc").await;
    assert_ne!(kept(), 0);
}

/// Enforced by `Host::review`.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_is_taken_out() {
    let (folder, key) = trusted();
    let path = echo_in(folder.path(), &key);
    let host = at(folder.path());
    host.load(LoadRequest::component(&path)).await.unwrap();
    load(&host, "sample-calculator", "calc").await;
    assert!(host.review().await.unwrap().is_empty(), "nothing has changed");

    let denied = format!("[[key]]\nkey = \"{}\"\ndecision = \"deny\"\n", key.public());
    std::fs::write(folder.path().join("trust.toml"), denied).unwrap();
    let taken_out = host.review().await.unwrap();
    assert_eq!(
        taken_out.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
        ["echo"]
    );
    assert_eq!(host.list().len(), 1, "what was let in for once is not the key's");
    let codes: Vec<_> = audit(folder.path())
        .iter()
        .map(|line| line["event"]["code"].clone())
        .collect();
    assert!(codes.contains(&"ODN-4004".into()), "{codes:?}");
}

/// Nothing new comes in while nobody can decide; what was let in stays.
/// Enforced by `Host::denied_now` and `decision::judge`.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_cannot_be_read_takes_nothing_out_and_lets_nothing_in() {
    let (folder, key) = trusted();
    let path = echo_in(folder.path(), &key);
    let host = at(folder.path());
    host.load(LoadRequest::component(&path)).await.unwrap();

    std::fs::write(folder.path().join("trust.toml"), "[[key]\n").unwrap();
    assert_eq!(fault(host.review().await).code, Code::PolicyUnreadable);
    assert_eq!(host.list().len(), 1, "what runs stays until somebody can decide");
    let again = LoadRequest::component(&path).named("again".parse().unwrap());
    assert_eq!(fault(host.load(again).await).code, Code::PolicyUnreadable);
}

fn named(name: &str, key: &SigningKey) -> Vec<u8> {
    packed(&MANIFEST.replace("echo", name), name, key)
}

fn packed(manifest: &str, name: &str, key: &SigningKey) -> Vec<u8> {
    let packed = embed_manifest(&guests::bytes("guest-echo"), manifest.as_bytes()).unwrap();
    let claim = Claim {
        name: name.parse().unwrap(),
        version: "1.2.0".parse().unwrap(),
    };
    sign(&packed, key, &claim).unwrap()
}

fn policy(folder: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("trust.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// What is granted is granted to a component, not to a path. Enforced by
/// `decision::refuse_another`.
#[tokio::test(flavor = "multi_thread")]
async fn another_authors_file_in_the_same_place_gets_nothing_of_what_was_granted() {
    let folder = state();
    let (one, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let rows = [&one, &other].map(|key| format!("[[key]]\nkey = \"{}\"\n", key.public()));
    policy(folder.path(), &rows.concat());
    let path = folder.path().join("slot.wasm");
    std::fs::write(&path, signed("1.2.0", &one)).unwrap();
    let host = at(folder.path());
    let grants = GrantSet::parse(["env=GREETING=hello"]).unwrap();
    let request = LoadRequest::component(&path).with_grants(grants);
    host.load(request).await.unwrap();
    host.shutdown(std::time::Duration::ZERO).await;
    drop(host);
    for (component, code) in [
        (signed("1.3.0", &other), Code::NamePinned),
        (named("other", &one), Code::SignedForOther),
    ] {
        std::fs::write(&path, component).unwrap();
        let host = at(folder.path());
        let loads = host.load_remembered().await.unwrap();
        assert_eq!(fault(loads[0].outcome.clone()).code, code);
        assert!(host.list().is_empty());
        let decision = &audit(folder.path()).pop().unwrap()["event"];
        assert_eq!(
            (&decision["allowed"], &decision["code"]),
            (&false.into(), &code.as_str().into())
        );
        host.shutdown(std::time::Duration::ZERO).await;
    }
    // What is refused at every start can be forgotten without being loaded.
    let list = folder.path().join("loads.toml");
    let remembered = std::fs::read(&list).unwrap();
    let (host, echo) = (at(folder.path()), "echo".parse().unwrap());
    host.unload(&echo, UnloadMode::Now, host.principal())
        .await
        .unwrap();
    assert!(host.load_remembered().await.unwrap().is_empty());
    let again = host.unload(&echo, UnloadMode::Now, host.principal()).await;
    assert_eq!(fault(again).code, Code::PluginNotFound);
    drop(host);
    std::fs::write(&list, remembered).unwrap();
    // The author's next version is his.
    std::fs::write(&path, signed("1.3.0", &one)).unwrap();
    let host = at(folder.path());
    let loads = host.load_remembered().await.unwrap();
    assert_eq!(loads[0].outcome.as_ref().unwrap().as_str(), "echo");
}

/// Without its value, a variable's grant is for the host's own. Enforced by
/// `remember::complete`.
#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_variable_keeps_the_value_it_was_granted_with() {
    let (folder, key) = trusted();
    let path = echo_in(folder.path(), &key);
    let own = || [("GREETING".to_owned(), "the host's own".to_owned())].into();
    let start = || {
        builder()
            .state_dir(folder.path())
            .environment(own())
            .start()
            .unwrap()
    };
    let host = start();
    let grants = GrantSet::parse(["env=GREETING=for=it"]).unwrap();
    host.load(LoadRequest::component(&path).with_grants(grants))
        .await
        .unwrap();
    host.shutdown(std::time::Duration::ZERO).await;
    drop(host);
    for _ in 0..2 {
        let text = std::fs::read_to_string(folder.path().join("loads.toml")).unwrap();
        assert!(text.contains("env=GREETING=for=it"), "{text}");
        let host = start();
        let loads = host.load_remembered().await.unwrap();
        assert!(loads.iter().all(|load| load.outcome.is_ok()), "{loads:?}");
        host.shutdown(std::time::Duration::ZERO).await;
    }
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(folder.path().join("loads.toml"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// What the command line said about a descriptor is said again, under the name
/// that it gave, and an unload of that name is for good.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_beside_a_descriptor_is_remembered_with_it() {
    let (folder, key) = trusted();
    let asks = format!("{MANIFEST}[grants]\nenv = {{ GREETING = true, OTHER = true }}\n");
    std::fs::write(folder.path().join("echo.wasm"), packed(&asks, "echo", &key)).unwrap();
    let descriptor = folder.path().join("echo.toml");
    let text = "source = \"echo.wasm\"\ngrants = [\"env=GREETING=wide\", \"env=OTHER=x\"]\n";
    std::fs::write(&descriptor, text).unwrap();
    let mut request = LoadRequest::descriptor(&descriptor)
        .named("other".parse().unwrap())
        .with_grants(GrantSet::parse(["env=GREETING=narrow"]).unwrap());
    request.limits.value_depth = Some(50);
    let host = at(folder.path());
    host.load(request).await.unwrap();
    host.shutdown(std::time::Duration::ZERO).await;
    drop(host);

    let host = at(folder.path());
    let loads = host.load_remembered().await.unwrap();
    let name = loads[0].outcome.clone().unwrap();
    assert_eq!(name.as_str(), "other");
    let described = host.describe(&name).unwrap();
    assert_eq!(described.grants, ["env=GREETING"]);
    assert_eq!(described.limits["value-depth"], "50");
    host.unload(&name, UnloadMode::Now, host.principal())
        .await
        .unwrap();
    host.shutdown(std::time::Duration::ZERO).await;
    assert!(at(folder.path()).load_remembered().await.unwrap().is_empty());
}

/// Said by `load::settle::unused`, as is what a manifest cuts.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_policy_cuts_from_a_grant_is_said() {
    let (folder, key) = trusted();
    let asks = format!("{MANIFEST}[grants]\nhttp = \"*\"\n");
    let path = folder.path().join("echo.wasm");
    std::fs::write(&path, packed(&asks, "echo", &key)).unwrap();
    let ceiling = format!(
        "[[key]]\nkey = \"{}\"\ngrants = [\"http=a.test\"]\n",
        key.public()
    );
    policy(folder.path(), &ceiling);
    let host = at(folder.path());
    let grants = GrantSet::parse(["http=*"]).unwrap();
    let report = host
        .load(LoadRequest::component(&path).with_grants(grants))
        .await
        .unwrap();
    assert_eq!(report.grants.lines(), ["http=a.test"]);
    assert_eq!(
        report.warnings,
        ["of the grant http=* the plugin gets http=a.test: the trust policy allows less"]
    );
}

/// Whoever changes the policy of a state directory changes the one its host
/// reads. Enforced by `HostBuilder::start`.
#[tokio::test(flavor = "multi_thread")]
async fn the_policy_of_the_configuration_is_the_one_of_the_state_directory() {
    let folder = state();
    let elsewhere = folder.path().join("site.toml");
    let key = SigningKey::generate().unwrap();
    trust(folder.path(), &key);
    let usual = folder.path().join("trust.toml");
    std::fs::rename(&usual, &elsewhere).unwrap();
    let path = echo_in(folder.path(), &key);
    Policy::keep_in(folder.path(), &elsewhere).unwrap();
    assert_eq!(Policy::file_of(folder.path()).unwrap(), elsewhere);
    // A host that is told nothing goes by what the state directory says.
    let host = at(folder.path());
    host.load(LoadRequest::component(&path)).await.unwrap();
    Policy::keep_in(folder.path(), &usual).unwrap();
    assert_eq!(Policy::file_of(folder.path()).unwrap(), usual);
}

/// Enforced by `HostBuilder::start` (`known_versions`).
#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_a_state_directory_goes_by_the_versions_it_is_told() {
    let (folder, key) = trusted();
    let versions = folder.path().join("versions.json");
    std::fs::write(&versions, "{\"echo\": \"1.3.0\"}").unwrap();
    let path = echo_in(folder.path(), &key);
    let start = || builder().trust_policy(folder.path().join("trust.toml"));
    let host = start().known_versions(&versions).start().unwrap();
    assert_eq!(
        fault(host.load(LoadRequest::component(&path)).await).code,
        Code::VersionLowered
    );
    std::fs::write(&path, signed("1.4.0", &key)).unwrap();
    host.load(LoadRequest::component(&path)).await.unwrap();
    assert_eq!(
        std::fs::read_to_string(&versions).unwrap(),
        "{\"echo\": \"1.3.0\"}"
    );
}

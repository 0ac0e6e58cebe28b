//! The one way in, and what it refuses.

use odeon::{Code, HostLimits, LimitsPatch, LoadRequest, UnloadMode};
use odeon_tests::guests;

use crate::host::{at, builder, ephemeral, fault, few_loads, load, state};
use crate::signed::{signed, trusted};

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

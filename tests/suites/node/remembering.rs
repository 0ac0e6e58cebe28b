//! What is loaded again after a restart, decided anew, as it was asked for.

use odeon::{Code, GrantSet, LoadRequest, UnloadMode};

use crate::host::{at, builder, fault, load};
use crate::signed::{MANIFEST, echo_in, packed, trusted};

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

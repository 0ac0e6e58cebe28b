//! Who is let in by which policy, what it takes from them, and what that leaves
//! on record.

use odeon::{Code, GrantSet, LoadRequest, Principal, UnloadMode};
use odeon_authority::{Policy, SigningKey};
use odeon_tests::guests;

use crate::host::{at, audit, builder, fault, load, state};
use crate::signed::{MANIFEST, echo_in, named, packed, policy, signed, trust, trusted};

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

//! What a plugin may use while it works for others.

use std::sync::Arc;

use odeon_authority::Principal;
use odeon_runtime::{Behalf, CallContext, Plugin, Runtime, RuntimeConfig, StaticResolver};
use odeon_tests::runtime::{call_with, config, runtime, spec};

use crate::ground::{Folder, GUEST, HELLO, Peer, grants, resident, told, with};

/// Calls for this chain, and gives the answer.
pub(crate) async fn for_others(plugin: &Plugin, invocation: &str, others: &[&Plugin]) -> String {
    let mut behalf = Behalf::nobody();
    let mut callers = vec![Principal::Embedder];
    for other in others {
        behalf = behalf.then(other);
        callers.push(Principal::Plugin(other.spec().name.clone()));
    }
    let context = CallContext {
        callers: callers.into(),
        behalf,
        ..CallContext::default()
    };
    call_with(plugin, invocation, context).await.unwrap()
}

/// Another plugin, with these grants.
pub(crate) async fn other(name: &str, grants: &[&str]) -> Plugin {
    let spec = grants
        .iter()
        .fold(spec().name(name), |spec, grant| spec.grant(grant));
    // The same one as the deputy's, which counts where it is granted.
    spec.records().keep_secret("token", b"ab");
    spec.load(&runtime(), "guest-echo").await
}

/// Enforced by `Warrant::on_behalf`.
#[tokio::test(flavor = "multi_thread")]
async fn a_deputy_uses_for_another_only_what_both_may() {
    let (folder, peer) = (Folder::new(), Peer::new(false));
    let rule = format!("tcp=127.0.0.1:{}", peer.port());
    let (b, spec) = resident(&[&folder.grant(",rw"), &rule, "secret=token"]).await;
    spec.records().keep_secret("token", b"ab");
    b.regrant(grants(&[
        folder.grant(",rw"),
        rule.clone(),
        "secret=token".into(),
        "env=A=1".into(),
    ]));
    let connect = format!("kept.connect(\"127.0.0.1\", {})", peer.port());
    let uses = [
        ("kept.open(\"/data\", \"hello\")", "ok"),
        ("kept.read()", HELLO),
        (&*connect, "ok"),
        ("kept.send([1])", "ok"),
        ("kept.take(\"token\")", "ok"),
        ("kept.reveal()", "ok([97, 98])"),
        ("long.variable(\"A\")", "some(\"1\")"),
    ];
    for (invocation, answer) in uses {
        assert_eq!(told(&b, invocation).await, answer, "{invocation}");
    }
    // Everything is open by now, and of no use for one who has nothing.
    let a = other("a", &[]).await;
    for (invocation, answer) in uses {
        let refused = for_others(&b, invocation, &[&a]).await;
        assert_ne!(refused, answer, "{invocation}");
    }
    let whose = spec.records().whose();
    assert!(!whose.is_empty());
    for whose in whose {
        assert_eq!(whose.chain, ["a", "b"]);
        assert!(
            whose.rule.contains("b works for a here") && whose.rule.contains("[[deputy]]"),
            "{whose:?}"
        );
    }
    // And it is still its own.
    assert_eq!(told(&b, "kept.read()").await, HELLO);
    assert_eq!(told(&b, "kept.send([1])").await, "ok");
    // For one who has the same, whatever he calls it, as far as he has it.
    let same = format!("fs={}::/mine", folder.path().display());
    let c = other("c", &[&same, &rule, "secret=token"]).await;
    assert_eq!(for_others(&b, "kept.read()", &[&c]).await, HELLO);
    assert_eq!(for_others(&b, "kept.reveal()", &[&c]).await, "ok([97, 98])");
    assert_eq!(for_others(&b, "kept.send([1])", &[&c]).await, "ok");
    assert_eq!(
        for_others(&b, "kept.write([1])", &[&c]).await,
        "err(\"not-permitted\")",
        "it may only read"
    );
    // The whole chain counts.
    assert_ne!(for_others(&b, "kept.read()", &[&a, &c]).await, HELLO);
    assert_ne!(for_others(&b, "kept.read()", &[&c, &a]).await, HELLO);
}

/// Enforced by `http::exchange`, which asks when the request is begun: it is sent
/// by a task of its own, while the next call may be for somebody else.
#[tokio::test]
async fn a_request_is_of_the_call_that_begins_it() {
    let peer = Peer::new(true);
    let rule = format!("http=127.0.0.1:{}", peer.port());
    let spec = with(spec().resident(), &[&rule]);
    let b = spec.load(&runtime(), "guest-egress").await;
    let a = other("a", &[]).await;
    let begin = format!("web.begin(\"127.0.0.1:{}\")", peer.port());
    let outcome = match &*for_others(&b, &begin, &[&a]).await {
        "ok" => told(&b, "web.begun()").await,
        refused => refused.to_owned(),
    };
    assert_eq!(outcome, "err(\"HttpRequestDenied\")");
    assert_eq!(peer.bytes(), 0);
    assert_eq!(spec.records().whose()[0].chain, ["a", "b"]);
    assert_eq!(told(&b, &begin).await, "ok");
    assert_eq!(told(&b, "web.begun()").await, "ok(200)");
}

/// Enforced by `resolve_addresses` of `sockets/lookup.rs`, for the same reason.
#[tokio::test]
async fn a_lookup_is_of_the_call_that_begins_it() {
    let table = [("name.test".to_owned(), vec!["192.88.98.1".parse().unwrap()])];
    let runtime = Runtime::new(RuntimeConfig {
        resolver: Arc::new(StaticResolver::new(table)),
        ..config()
    });
    let spec = with(spec().resident(), &["tcp=name.test:80"]);
    let b = spec.load(&runtime.unwrap(), "guest-egress").await;
    let a = other("a", &[]).await;
    let begin = "sockets.begin-lookup(\"name.test\")";
    let outcome = match &*for_others(&b, begin, &[&a]).await {
        "ok" => told(&b, "sockets.looked-up()").await,
        refused => refused.to_owned(),
    };
    assert_eq!(outcome, "err(\"access-denied\")");
    assert_eq!(told(&b, begin).await, "ok");
    let found = told(&b, "sockets.looked-up()").await;
    assert_eq!(found, "ok(some(\"192.88.98.1\"))");
}

/// Enforced by `Granted::acts_for`.
#[tokio::test(flavor = "multi_thread")]
async fn a_deputy_that_may_act_for_another_uses_its_own_grants() {
    let folder = Folder::new();
    let (b, _spec) = resident(&[]).await;
    let (a, c) = (other("a", &[]).await, other("c", &[]).await);
    let mut all = grants(&[folder.grant("")]);
    all.acts_for = vec!["a*".parse().unwrap()];
    b.regrant(all);
    let open = "kept.open(\"/data\", \"hello\")";
    assert_eq!(for_others(&b, open, &[&a]).await, "ok");
    assert_eq!(for_others(&b, open, &[&c]).await, "err(\"no-preopen\")");
    assert_eq!(for_others(&b, open, &[&c, &a]).await, "err(\"no-preopen\")");
    assert_eq!(for_others(&b, "kept.read()", &[&a]).await, HELLO);
    // It is asked each time.
    b.regrant(grants(&[folder.grant("")]));
    assert_eq!(
        for_others(&b, "kept.read()", &[&a]).await,
        "err(\"not-permitted\")"
    );
}

/// Enforced by `Warrant::on_behalf`, which asks for the others' grants of now.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_other_loses_the_deputy_loses_for_it() {
    let folder = Folder::new();
    let grant = folder.grant("");
    let (b, _spec) = resident(&[&grant]).await;
    let a = other("a", &[&grant]).await;
    assert_eq!(
        for_others(&b, "kept.open(\"/data\", \"hello\")", &[&a]).await,
        "ok"
    );
    assert_eq!(for_others(&b, "kept.read()", &[&a]).await, HELLO);
    a.regrant(grants::<&str>(&[]));
    assert_eq!(
        for_others(&b, "kept.read()", &[&a]).await,
        "err(\"not-permitted\")"
    );
    assert_eq!(told(&b, "kept.read()").await, HELLO);
}

/// Enforced by `present::behalf_of`: a name alone has no grants.
#[tokio::test(flavor = "multi_thread")]
async fn for_a_plugin_that_is_only_named_nothing_may_be_used() {
    let folder = Folder::new();
    let (b, _spec) = resident(&[&folder.grant("")]).await;
    let context = CallContext {
        callers: Arc::from([Principal::Plugin("a".parse().unwrap())]),
        ..CallContext::default()
    };
    let opened = call_with(&b, "kept.open(\"/data\", \"hello\")", context)
        .await
        .unwrap();
    assert_eq!(opened, "err(\"no-preopen\")");
}

/// Enforced by `Behalf::then`: what is longer than any chain is for nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_too_long_may_use_nothing() {
    let folder = Folder::new();
    let grant = folder.grant("");
    let (b, _spec) = resident(&[&grant]).await;
    let a = other("a", &[&grant]).await;
    let open = "kept.open(\"/data\", \"hello\")";
    assert_eq!(for_others(&b, open, &[&a; Behalf::MOST]).await, "ok");
    let beyond = for_others(&b, open, &[&a; Behalf::MOST + 1]).await;
    assert_eq!(beyond, "err(\"no-preopen\")");
}

/// A call of a person, after one for another, is his own again. Enforced by
/// `Present::begin`.
#[tokio::test(flavor = "multi_thread")]
async fn each_call_is_for_whom_it_is() {
    let folder = Folder::new();
    let spec = crate::ground::with(spec().resident(), &[&folder.grant("")]);
    let b = spec.load(&runtime(), GUEST).await;
    let a = other("a", &[]).await;
    let open = "kept.open(\"/data\", \"hello\")";
    for _ in 0..3 {
        assert_eq!(for_others(&b, open, &[&a]).await, "err(\"no-preopen\")");
        assert_eq!(told(&b, open).await, "ok");
    }
}

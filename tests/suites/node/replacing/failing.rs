//! A generation that does not come up leaves the one before it.

use std::path::PathBuf;

use odeon::{Args, CallOptions, Code, LoadRequest, ReplaceRequest, Source};
use odeon_tests::guests;

use super::{ONE, TWO, again, answer, by, name};
use crate::host::{at, ephemeral, fault, load, state};

/// A bad version changes nothing: each way of being bad, by the code that says
/// so.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_does_not_come_up_leaves_the_old_one() {
    let folder = state();
    let host = at(folder.path());
    load(&host, ONE, "v").await;
    let cut = folder.path().join("cut.wasm");
    let bytes = guests::bytes(TWO);
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let file = |path: PathBuf| ReplaceRequest {
        allow_unsigned: true,
        ..ReplaceRequest::new(name("v"), Source::Component(path))
    };
    let unsigned = ReplaceRequest::new(name("v"), Source::Component(guests::component(TWO)));
    for (request, code) in [
        (by("v", "wat-missing-imports"), Code::LinkFailed),
        (by("v", "wat-huge-memory"), Code::DoesNotFit),
        (file(cut), Code::Malformed),
        (file(folder.path().join("none.wasm")), Code::FileUnreadable),
        (unsigned, Code::Unsigned),
    ] {
        let refused = fault(host.replace(request).await);
        assert_eq!(refused.code, code, "{refused:?}");
        assert_eq!(answer(&host).await, (1, "1".to_owned()));
    }
    // The numbers go on where they were.
    host.replace(by("v", TWO)).await.unwrap();
    assert_eq!(answer(&host).await, (2, "2".to_owned()));
}

/// Enforced by the `load` hook of `Host::make_ready`.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_whose_load_fails_or_hangs_leaves_the_old_one() {
    let folder = state();
    let host = at(folder.path());
    let descriptor = |load: &str| {
        let path = folder.path().join("v.toml");
        let text = format!(
            "name = \"v\"\nsource = \"{}\"\n[limits]\nload-deadline = \"200ms\"\n[config]\nload = \"{load}\"\n",
            guests::component("guest-lifecycle").display()
        );
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut first = LoadRequest::descriptor(descriptor("ok"));
    first.allow_unsigned = true;
    host.load(first).await.unwrap();
    for load in ["fail-config", "trap", "spin", "sleep"] {
        descriptor(load);
        let refused = fault(host.replace(again("v")).await);
        assert_eq!(refused.code, Code::LoadHookFailed, "{load}: {refused:?}");
        assert_eq!(host.list()[0].generation.0, 1, "{load}");
        host.call("v/calls", Args::Wave(""), CallOptions::default())
            .await
            .unwrap();
    }
    descriptor("ok");
    host.replace(again("v")).await.unwrap();
    assert_eq!(host.list()[0].generation.0, 2);
}

/// Neither is inherited: enforced by `ReplaceRequest::load`.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_let_in_unsigned_once_is_not_let_in_so_again() {
    let host = ephemeral();
    load(&host, ONE, "v").await;
    let reload = ReplaceRequest::reload(name("v"));
    assert_eq!(fault(host.replace(reload).await).code, Code::Unsigned);
    let missing = ReplaceRequest::reload(name("nobody"));
    assert_eq!(fault(host.replace(missing).await).code, Code::PluginNotFound);
    assert_eq!(answer(&host).await, (1, "1".to_owned()));
}

//! What a core dump would tell of secrets: nothing, since there is none.

use std::sync::Arc;

use odeon_protocol::Code;
use odeon_runtime::LeftOut;
use odeon_tests::runtime::{call, runtime, spec};
use odeon_tests::way::Way;

use crate::left::Left;
use crate::town::Town;

/// Enforced by `Confidence::knows_secret`.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_was_shown_a_secret_leaves_no_core_dump() {
    let runtime = runtime();
    let spec = spec().resident().grant("secret=token");
    spec.records().keep_secret("token", b"hunter2");
    let plugin = spec.load(&runtime, "guest-forger").await;
    let left = Arc::<Left>::default();
    plugin.arm_dumps(left.order(3)).unwrap();
    let panics = async || {
        call(&plugin, "disguise.panic-with(\"now\")")
            .await
            .unwrap_err()
            .code
    };
    // It holds a handle, and no secret yet.
    call(&plugin, "theft.secrets(\"token\", 1)").await.unwrap();
    assert_eq!(panics().await, Code::Trapped);
    assert_eq!(left.dumps(&runtime).await.len(), 1);
    // In one call, and the trap in another: it has it as long as it lives.
    call(&plugin, "theft.secret(\"token\")").await.unwrap();
    call(&plugin, "identity.facts()").await.unwrap();
    assert_eq!(panics().await, Code::Trapped);
    assert_eq!(left.left_out(&runtime).await, [LeftOut::Secret]);
    assert_eq!(panics().await, Code::Trapped);
    let dumps = left.dumps(&runtime).await;
    assert_eq!(dumps.len(), 2);
    for (_, bytes) in dumps {
        assert!(!bytes.windows(7).any(|found| found == b"hunter2"));
    }
}

/// A plugin that answers with a secret has given it away. Enforced by
/// `Confidence::learn`.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_called_a_plugin_that_knows_a_secret_leaves_no_core_dump() {
    for way in Way::BOTH {
        let town = Town::new();
        let provider = town.spec("provider").grant("secret=token");
        provider.records().keep_secret("token", b"hunter2");
        town.load(&provider, "guest-provider").await;
        // The provider may show what both may see. The caller never looks itself.
        let caller = town.caller("caller", "provider").resident().grant("secret=token");
        caller.records().keep_secret("token", b"hunter2");
        let caller = town.load(&caller, "guest-caller").await;
        let left = Arc::<Left>::default();
        caller.arm_dumps(left.order(2)).unwrap();
        let told = way
            .call(&caller, "perform([\"next\", \"secret\", \"token\"])")
            .await;
        assert_eq!(told.unwrap(), "ok(\"hunter2\")");
        for _ in 0..2 {
            let trapped = call(&caller, "perform([\"trap\"])").await.unwrap_err();
            assert_eq!(trapped.code, Code::Trapped);
        }
        assert_eq!(left.left_out(&town.runtime).await, [LeftOut::Secret], "{way:?}");
        assert_eq!(left.dumps(&town.runtime).await.len(), 1);
    }
}

/// A plugin that calls another may have told it. Enforced by
/// `Confidence::enter`.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_called_by_a_plugin_that_knows_a_secret_leaves_no_core_dump() {
    for way in Way::BOTH {
        let town = Town::new();
        let provider = town.load(&town.spec("provider"), "guest-provider").await;
        let spec = town.caller("caller", "provider").resident().grant("secret=token");
        spec.records().keep_secret("token", b"hunter2");
        let caller = town.load(&spec, "guest-caller").await;
        let left = Arc::<Left>::default();
        provider.arm_dumps(left.order(2)).unwrap();
        let told = call(&caller, "perform([\"secret\", \"token\"])").await;
        assert_eq!(told.unwrap(), "ok(\"hunter2\")");
        // The first ends the caller as well, and with it what it knew.
        for _ in 0..2 {
            let trapped = way
                .call(&caller, "perform([\"next\", \"trap\"])")
                .await
                .unwrap_err();
            assert_eq!(trapped.code, Code::Trapped);
        }
        assert_eq!(left.left_out(&town.runtime).await, [LeftOut::Secret], "{way:?}");
        assert_eq!(left.dumps(&town.runtime).await.len(), 1);
    }
}

/// The value of a granted variable may be one: no record shows it either.
/// Enforced by `HostState::granted_variables`.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_has_read_a_granted_variable_leaves_no_core_dump() {
    let runtime = runtime();
    let left = Arc::<Left>::default();
    for granted in [true, false] {
        let spec = spec().resident();
        let spec = match granted {
            true => spec.grant("env=TOKEN=hunter2").env("TOKEN", "hunter2"),
            false => spec,
        };
        let plugin = spec.load(&runtime, "guest-spin").await;
        plugin.arm_dumps(left.order(1)).unwrap();
        let read = call(&plugin, "snoop.environment()").await.unwrap();
        assert_eq!(read.contains("hunter2"), granted, "{read}");
        let ended = call(&plugin, "ending.unreachable()").await.unwrap_err();
        assert_eq!(ended.code, Code::Trapped);
    }
    assert_eq!(left.left_out(&runtime).await, [LeftOut::Secret]);
    assert_eq!(left.dumps(&runtime).await.len(), 1);
}

/// Enforced by `Snapshot`, which says what the store knew that saved it: what is in
/// a state the next version has as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_with_a_secret_in_it_leaves_no_core_dump_in_the_next_version() {
    for (load, is_left_out) in [("look", true), ("ok", false)] {
        let runtime = runtime();
        let spec = spec().resident().grant("secret=token");
        spec.records().keep_secret("token", b"hunter2");
        let old = spec.clone().config("load", load);
        let old = old.load(&runtime, "guest-lifecycle").await;
        old.load().await.unwrap();
        let saved = old.save().await.unwrap();
        let next = spec.config("restore", "trap");
        let next = next.load(&runtime, "guest-lifecycle").await;
        let left = Arc::<Left>::default();
        next.arm_dumps(left.order(1)).unwrap();
        next.restore(saved).await.unwrap_err();
        let left_out = left.left_out(&runtime).await;
        let dumps = left.dumps(&runtime).await.len();
        match is_left_out {
            true => assert_eq!((left_out.as_slice(), dumps), ([LeftOut::Secret].as_slice(), 0)),
            false => assert_eq!((left_out.as_slice(), dumps), ([].as_slice(), 1)),
        }
    }
}

//! Calls: by name, by handle, with types, in every form of arguments.

use std::time::Duration;

use odeon::{Args, CallOptions, Code, Interrupt, LimitsPatch, LoadRequest, Placing, Reason, UnloadMode};
use odeon_authority::InstanceMode;
use odeon_tests::guests;

use crate::host::{ephemeral, fault, load, load_with};

#[tokio::test(flavor = "multi_thread")]
async fn arguments_come_as_bytes_as_wave_or_as_json() {
    let host = ephemeral();
    load(&host, "guest-echo", "echo").await;
    let json = serde_json::json!([1, 2]);
    let each = ["1".to_owned(), "2".to_owned()];
    let forms = [
        Args::Encoded([1_u32.to_le_bytes(), 2_u32.to_le_bytes()].concat()),
        Args::Wave("1, 2"),
        Args::WaveEach(&each),
        Args::Json(&json),
    ];
    for args in forms {
        let reply = host
            .call("echo/echo.add", args, CallOptions::default())
            .await
            .unwrap();
        assert_eq!(reply.json().unwrap(), serde_json::json!(3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_arguments_never_reach_the_guest() {
    let host = ephemeral();
    load(&host, "guest-echo", "echo").await;
    let before = host.list()[0].calls;
    for bytes in [&b""[..], &[0; 7], &[0; 9]] {
        assert_eq!(
            fault(host.call_encoded("echo/echo.add", bytes)).code,
            Code::InvalidArguments
        );
        let handle = host.method("echo/echo.add").unwrap();
        assert_eq!(fault(handle.call(bytes)).code, Code::InvalidArguments);
        let called = host
            .call(
                "echo/echo.add",
                Args::Encoded(bytes.to_vec()),
                CallOptions::default(),
            )
            .await;
        assert_eq!(fault(called).code, Code::InvalidArguments);
    }
    assert_eq!(host.list()[0].calls, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_argument_is_pointed_at() {
    let host = ephemeral();
    load(&host, "guest-echo", "echo").await;
    let wrong = fault(
        host.call("echo/echo.add", Args::Wave("1, \"two\""), CallOptions::default())
            .await,
    );
    assert_eq!(wrong.code, Code::InvalidArguments);
    assert_eq!(wrong.details.unwrap()["start"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_is_found_by_every_form_of_its_name_and_missed_with_advice() {
    let host = ephemeral();
    load(&host, "guest-echo", "echo").await;
    for path in [
        "echo/add",
        "echo/echo.add",
        "echo/odeon-tests:echo/echo.add",
        "echo/odeon-tests:echo/echo@0.1.0.add",
    ] {
        let reply = host
            .call(path, Args::Wave("1, 2"), CallOptions::default())
            .await
            .expect(path);
        assert_eq!(reply.wave().unwrap(), "3");
    }
    let missed = fault(host.call_encoded("echo/ad", &[0; 8]));
    assert_eq!(missed.code, Code::MethodNotFound);
    assert!(missed.message.contains("add"), "{}", missed.message);
    assert_eq!(
        fault(host.call_encoded("nobody/add", &[0; 8])).code,
        Code::PluginNotFound
    );
    assert_eq!(
        fault(host.call_encoded("no path at all", &[0; 8])).code,
        Code::InvalidArguments
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_methods_own_error_is_a_reply() {
    let host = ephemeral();
    load(&host, "sample-calculator", "calc").await;
    let reply = host
        .call("calc/divide", Args::Wave("1.0, 0.0"), CallOptions::default())
        .await
        .unwrap();
    assert!(reply.is_err());
    assert_eq!(reply.wave().unwrap(), "err(divide-by-zero)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_finds_its_method_again_after_a_reload_and_holds_nothing_over_an_unload() {
    let host = ephemeral();
    let name = load(&host, "guest-echo", "echo").await.name;
    let handle = host.method("echo/echo.add").unwrap();
    let args = [1_u32.to_le_bytes(), 2_u32.to_le_bytes()].concat();
    assert_eq!(handle.call(&args).unwrap().bytes, 3_u32.to_le_bytes());
    host.unload(&name, UnloadMode::Now, host.principal())
        .await
        .unwrap();
    assert_eq!(fault(handle.call(&args)).code, Code::PluginNotFound);
    load(&host, "guest-echo", "echo").await;
    assert_eq!(handle.call(&args).unwrap().bytes, 3_u32.to_le_bytes());
    host.unload(&name, UnloadMode::Now, host.principal())
        .await
        .unwrap();
    load(&host, "sample-calculator", "echo").await;
    assert_eq!(
        fault(handle.call(&args)).code,
        Code::MethodNotFound,
        "another plugin under the same name"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_handle_takes_and_gives_rust_values() {
    let host = ephemeral();
    let mut request = LoadRequest::component(guests::component("guest-echo"))
        .named("echo".parse().unwrap())
        .allow_unsigned();
    request.placing = Placing {
        instance: Some(InstanceMode::Resident),
        ..Placing::default()
    };
    host.load(request).await.unwrap();
    let add = host.typed::<(u32, u32), (u32,)>("echo/echo.add").unwrap();
    let wrong = host.typed::<(String,), (u32,)>("echo/echo.add").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(add.call((40, 2)).unwrap(), (42,));
            assert_eq!(fault(wrong.call(("40".to_owned(),))).code, Code::InvalidArguments);
            assert_eq!(
                add.call((1, 2)).unwrap(),
                (3,),
                "a wrong type harms no later call"
            );
        });
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_ends_where_the_caller_said_and_by_his_hand() {
    let host = ephemeral();
    load(&host, "guest-spin", "spin").await;
    let options = CallOptions {
        wait: Some(Duration::from_millis(50)),
        ..CallOptions::default()
    };
    assert_eq!(
        fault(host.call("spin/cpu.spin", Args::Wave(""), options).await).code,
        Code::WaitEnded
    );

    let interrupt = Interrupt::new();
    let options = CallOptions {
        interrupt: interrupt.clone(),
        ..CallOptions::default()
    };
    let call = host.call("spin/wait.sleep-forever", Args::Wave(""), options);
    let (called, _) = tokio::join!(call, async {
        crate::host::soon("it runs", || host.list()[0].in_flight == 1).await;
        interrupt.raise(Reason::Cancelled)
    });
    assert_eq!(fault(called).code, Code::Cancelled);
}

/// Enforced by `fits_user_data`.
#[tokio::test(flavor = "multi_thread")]
async fn user_data_fits_its_limit_and_is_json() {
    let host = ephemeral();
    load(&host, "guest-echo", "echo").await;
    let with = |data: String| CallOptions {
        user_data: Some(data.into()),
        ..CallOptions::default()
    };
    let most = 64 * 1024;
    let at_limit = format!("\"{}\"", "x".repeat(most - 2));
    host.call("echo/add", Args::Wave("1, 2"), with(at_limit.clone()))
        .await
        .unwrap();
    let over = fault(
        host.call("echo/add", Args::Wave("1, 2"), with(format!("{at_limit} ")))
            .await,
    );
    assert_eq!(over.code, Code::MessageTooLarge);
    let no_json = fault(host.call("echo/add", Args::Wave("1, 2"), with("{".into())).await);
    assert_eq!(no_json.code, Code::InvalidArguments);
}

/// Enforced by `MethodEntry::check` with the limits that `Loaded::new` sets.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_nested_up_to_its_limit_and_no_deeper() {
    // Three lists and the number inside them.
    let nested = [1_u32; 4].map(u32::to_le_bytes).concat();
    for (most, fits) in [(4, true), (3, false)] {
        let host = ephemeral();
        let limits = LimitsPatch {
            value_depth: Some(most),
            ..LimitsPatch::default()
        };
        load_with(&host, "guest-echo", "echo", &[], limits).await;
        let before = host.list()[0].calls;
        let called = host.call_encoded("echo/echo.nested", &nested);
        if fits {
            called.expect("it is as deep as it may be");
        } else {
            assert_eq!(fault(called).code, Code::MessageTooLarge);
        }
        assert_eq!(
            host.list()[0].calls - before,
            u64::from(fits),
            "no guest saw what is too deep"
        );
    }
}

/// Enforced by `patience` and `late` in the runtime's `plugin/drive.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_not_started_within_its_ttl_ends_and_one_that_runs_goes_on() {
    let host = ephemeral();
    let limits = LimitsPatch {
        calls_in_flight: Some(1),
        ..LimitsPatch::default()
    };
    load_with(&host, "guest-spin", "spin", &[], limits).await;
    let within = |ttl| CallOptions {
        ttl: Some(Duration::from_millis(ttl)),
        ..CallOptions::default()
    };
    // Runs for longer than its time to be started in.
    let slow = host
        .call("spin/wait.sleep", Args::Wave("1200"), within(1_000))
        .await;
    assert!(slow.is_ok(), "{:?}", slow.err());

    let holds = Interrupt::new();
    let options = CallOptions {
        interrupt: holds.clone(),
        ..CallOptions::default()
    };
    let first = host.call("spin/wait.sleep-forever", Args::Wave(""), options);
    let second = async {
        let waited = host.call("spin/wait.sleep", Args::Wave("0"), within(40)).await;
        let waited = fault(waited.map(|_| ()));
        holds.raise(Reason::Cancelled);
        waited
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(fault(first.map(|_| ())).code, Code::Cancelled);
    assert_eq!(second.code, Code::Expired, "{second}");
}

/// A loop of calls that nobody can answer keeps nobody from his turn on the same
/// thread. Enforced by `Host::call`.
#[tokio::test(flavor = "current_thread")]
async fn calls_of_what_is_not_there_let_others_run() {
    let host = ephemeral();
    load(&host, "guest-echo", "echo").await;
    let turns = std::rc::Rc::new(std::cell::Cell::new(0));
    let others = async {
        loop {
            turns.set(turns.get() + 1);
            tokio::task::yield_now().await;
        }
    };
    let calls = async {
        for _ in 0..1000 {
            let called = host.call("echo/nothing-like-it", Args::Wave(""), CallOptions::default());
            assert_eq!(fault(called.await).code, Code::MethodNotFound);
        }
    };
    tokio::select! {
        biased;
        () = calls => {}
        () = others => {}
    }
    assert!(turns.get() >= 1000 / 128 - 1, "{}", turns.get());
}

//! What a guest makes the host keep, copy or pass on.

use std::time::Duration;

use odeon_authority::ByteSize;
use odeon_protocol::{Code, Serial};
use odeon_runtime::{CallContext, Level, Stream};
use odeon_tests::guests::assemble;
use odeon_tests::runtime::{call, call_with, encode, hits, runtime, spec, stopped, stopped_both_ways};

/// Enforced by `instance::store` (`set_hostcall_fuel`).
#[tokio::test]
async fn one_host_call_copies_so_many_bytes_and_no_more() {
    let runtime = runtime();
    let spec = spec().limits(|limits| limits.host_call_bytes = ByteSize::mib(1));
    let plugin = spec.load(&runtime, "guest-spin").await;
    let fits = 900 << 10;
    assert_eq!(
        call(&plugin, &format!("flood.random-bytes({fits})"))
            .await
            .unwrap(),
        fits.to_string()
    );
    for bytes in [2_u64 << 20, 1 << 40, u64::MAX] {
        let invocation = format!("flood.random-bytes({bytes})");
        stopped_both_ways(&plugin, &invocation, Code::HostCallBytesLimit).await;
    }
}

/// Enforced by `charge` in the codec: what is as long as its type says is copied
/// like everything else.
#[tokio::test]
async fn a_list_of_fixed_length_is_charged_too() {
    let runtime = runtime();
    let spec = spec().limits(|limits| limits.host_call_bytes = ByteSize::mib(1));
    for (element, count, fits) in [
        ("u8", 1 << 19, true),
        ("u8", 1 << 21, false),
        ("bool", 1 << 21, false),
        ("(tuple u8 u16)", 1 << 19, false),
    ] {
        let text = format!(
            r#"(component
                (core module $m
                    (memory (export "memory") 33)
                    (func (export "large") (result i32) (i32.const 0)))
                (core instance $i (instantiate $m))
                (type $large (list {element} {count}))
                (func (export "large") (result $large)
                    (canon lift (core func $i "large") (memory (core memory $i "memory")))))"#
        );
        let plugin = spec.prepare(&runtime, &assemble(&text)).await.unwrap();
        let (id, args, _) = encode(&plugin, "large");
        let called = plugin.call(id, args, CallContext::default()).await;
        let code = called
            .as_ref()
            .map(|reply| reply.bytes.len())
            .map_err(|fault| fault.code);
        match fits {
            true => assert_eq!(code, Ok(count), "{element}"),
            false => assert_eq!(code, Err(Code::ResultTooLarge), "{element}"),
        }
    }
    // As parts of another list they are charged with that, once: 24,576 times 32.
    let text = r#"(component
        (core module $m
            (memory (export "memory") 13)
            (data (i32.const 0) "\08\00\00\00\00\60\00\00")
            (func (export "large") (result i32) (i32.const 0)))
        (core instance $i (instantiate $m))
        (func (export "large") (result (list (list u8 32)))
            (canon lift (core func $i "large") (memory (core memory $i "memory")))))"#;
    let plugin = spec.prepare(&runtime, &assemble(text)).await.unwrap();
    let (id, args, _) = encode(&plugin, "large");
    let called = plugin.call(id, args, CallContext::default()).await;
    assert_eq!(called.unwrap().bytes.len(), 4 + 24_576 * 32);
}

/// Enforced by `instance::store` (`set_max_component_handles`), and for what
/// takes two entries by `HostState::new` (`set_max_capacity`).
#[tokio::test]
async fn handles_are_given_out_up_to_their_limit() {
    let runtime = runtime();
    let plugin = spec()
        .limits(|limits| limits.handles = 100)
        .load(&runtime, "guest-spin")
        .await;
    assert_eq!(call(&plugin, "flood.handles(100)").await.unwrap(), "100");
    for flood in [
        "flood.handles(101)",
        "flood.pollables-forever",
        "flood.streams-forever",
    ] {
        let before = hits(&plugin, "handles");
        for ended in stopped_both_ways(&plugin, flood, Code::HandleLimit).await {
            assert_eq!(ended.fault.details.unwrap()["limit"], "handles");
        }
        assert_eq!(hits(&plugin, "handles"), before + 2, "{flood}");
    }
    stopped(&plugin, "wait.poll-forever(101)", Code::HandleLimit).await;
}

/// The same for handles of our own interfaces, which take one entry each.
/// Enforced by `instance::store` alone.
#[tokio::test]
async fn handles_to_secrets_count_too() {
    let runtime = runtime();
    let spec = spec().grant("secret=token").limits(|limits| limits.handles = 100);
    let records = spec.records();
    records.keep_secret("token", b"ab");
    let plugin = spec.load(&runtime, "guest-forger").await;
    let taken = call(&plugin, "theft.secrets(\"token\", 100)").await;
    assert_eq!(taken.unwrap(), "ok(100)");
    for flood in [
        "theft.secrets(\"token\", 101)",
        "theft.secrets-forever(\"token\")",
    ] {
        stopped_both_ways(&plugin, flood, Code::HandleLimit).await;
    }
    assert_eq!(
        call(&plugin, "theft.reveal-again(\"token\", 1000)")
            .await
            .unwrap(),
        "(1000, none)"
    );
    assert_eq!(records.revealed().len(), 1000);
}

/// Enforced by `LogGate::admit`: dropped and counted, never throttled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_a_flood_of_log_lines_is_dropped_and_counted() {
    const DEADLINE: Duration = Duration::from_millis(300);
    let runtime = runtime();
    for flood in [
        "flood.log-forever",
        "flood.log-huge-forever(100000)",
        "flood.stdout-forever",
        "flood.log-huge-forever(1000000)",
    ] {
        let spec = spec()
            .deadline(DEADLINE)
            .limits(|limits| limits.log_rate = ByteSize::kib(64));
        let records = spec.records();
        let plugin = spec.load(&runtime, "guest-spin").await;
        let ended = stopped(&plugin, flood, Code::DeadlineLimit).await;
        assert!(
            ended.was_within(DEADLINE + Duration::from_millis(100)),
            "{flood}: {:?}",
            ended.after
        );
        let kept: usize = records
            .lines()
            .iter()
            .map(|line| line.text.len() + line.context.len())
            .sum();
        // What is in the bucket at first, and what the time adds that it had.
        let had = ended.after.wall + ended.late + Duration::from_millis(10);
        let most = (64 << 10) + ((64 << 10) * had.as_millis() as usize) / 1000;
        assert!(kept <= most, "{flood}: {kept} bytes were passed on, of {most}");
        if flood != "flood.stdout-forever" {
            let told: u64 = records.lines().iter().map(|line| line.dropped).sum();
            assert!(told + plugin.stats().lines_dropped > 0, "{flood}");
        }
    }
}

/// The next line that is passed on says how many are missing.
#[tokio::test]
async fn the_number_of_dropped_lines_is_told_with_the_next_one() {
    let runtime = runtime();
    let spec = spec().limits(|limits| limits.log_rate = ByteSize::kib(4));
    let records = spec.records();
    let plugin = spec.load(&runtime, "guest-spin").await;
    assert_eq!(call(&plugin, "flood.log-lines(500, 100)").await.unwrap(), "()");
    let passed = records.lines().len() as u64;
    let dropped = plugin.stats().lines_dropped;
    assert!(passed > 0 && dropped > 0);
    let told: u64 = records.lines().iter().map(|line| line.dropped).sum();
    assert_eq!(passed + dropped + told, 500);
    assert_eq!(hits(&plugin, "log-rate"), dropped + told);
    // By the next second there is room again.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(call(&plugin, "flood.log-lines(1, 10)").await.unwrap(), "()");
    let told: u64 = records.lines().iter().map(|line| line.dropped).sum();
    assert_eq!(passed + 1 + told, 501, "every line is passed on or counted");
}

/// Enforced by `LineSplitter::keep` and `logs::cut`.
#[tokio::test]
async fn a_line_is_cut_at_its_limit() {
    const LINE: usize = 100;
    let runtime = runtime();
    let spec = spec().limits(|limits| limits.log_line = ByteSize::new(LINE as u64));
    let records = spec.records();
    let plugin = spec.load(&runtime, "guest-spin").await;
    call(&plugin, &format!("flood.log-lines(1, {LINE})"))
        .await
        .unwrap();
    call(&plugin, &format!("flood.log-lines(1, {})", LINE + 1))
        .await
        .unwrap();
    let taken = call(&plugin, "flood.stdout-bytes(5000)").await.unwrap();
    assert_eq!(taken, "5000", "a guest is never told that its output is dropped");
    let lines = records.lines();
    assert_eq!(
        lines.iter().map(|line| line.text.len()).collect::<Vec<_>>(),
        [LINE; 3]
    );
    assert_eq!(lines[2].stream, Stream::Stdout);
    assert_eq!(hits(&plugin, "log-line"), 2, "of each line that was cut");

    let forger = spec.load(&runtime, "guest-forger").await;
    call(&forger, "disguise.log-huge-context(1000000)").await.unwrap();
    assert_eq!(records.lines()[3].context.len(), LINE);
    assert_eq!(hits(&forger, "log-line"), 1);
}

/// What is no text grows as it becomes one; a line of it that is cut twice is
/// one line. Enforced by `Unit::log`.
#[tokio::test]
async fn a_line_that_is_cut_is_counted_once() {
    const LINE: usize = 300;
    let runtime = runtime();
    let spec = spec().limits(|limits| limits.log_line = ByteSize::new(LINE as u64));
    let records = spec.records();
    let plugin = spec.load(&runtime, "guest-spin").await;
    for (bytes, counted) in [(LINE / 3, 0), (LINE / 3 + 1, 1), (LINE + 1, 2)] {
        let taken = call(&plugin, &format!("flood.stdout-no-text({bytes})")).await;
        assert_eq!(taken.unwrap(), "true");
        assert_eq!(hits(&plugin, "log-line"), counted, "{bytes} bytes");
    }
    assert!(records.lines().iter().all(|line| line.text.len() == LINE));
}

/// What looks like another's line arrives as the guest's own, once per message.
#[tokio::test]
async fn a_guest_cannot_write_lines_of_somebody_else() {
    let runtime = runtime();
    let spec = spec().name("forger");
    let records = spec.records();
    let plugin = spec.load(&runtime, "guest-forger").await;
    for disguise in [
        "disguise.log-newlines",
        "disguise.log-controls",
        "disguise.log-as-host",
    ] {
        call(&plugin, disguise).await.unwrap();
    }
    stopped(
        &plugin,
        "disguise.panic-with(\"down\\nERROR odeon: stop\")",
        Code::Trapped,
    )
    .await;
    let lines = records.lines();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines.iter().all(|line| line.plugin == "forger"));
    assert_eq!(lines[2].level, Level::Critical);
    assert_eq!(lines[2].context, "odeon::audit");
}

/// Enforced by `Shared::settle`.
#[tokio::test]
async fn a_result_is_as_large_as_a_message_may_be() {
    const MESSAGE: u64 = 1 << 20;
    let runtime = runtime();
    let spec = spec().limits(|limits| limits.message = ByteSize::new(MESSAGE));
    let plugin = spec.load(&runtime, "guest-spin").await;
    // The length is four bytes of the message.
    let fits = call(&plugin, &format!("memory.huge-result({})", MESSAGE - 4))
        .await
        .unwrap();
    assert_eq!(fits.matches('1').count() as u64, MESSAGE - 4);
    for bytes in [MESSAGE - 3, 40 << 20] {
        let ended = stopped(
            &plugin,
            &format!("memory.huge-result({bytes})"),
            Code::ResultTooLarge,
        )
        .await;
        assert_eq!(ended.fault.details.unwrap()["limit"], "message");
    }
    assert_eq!(hits(&plugin, "message"), 2);
}

/// What counts is the value, not its type: a list without elements is as deep as
/// a number. Enforced by `Shared::within_depth`.
#[tokio::test]
async fn a_result_is_nested_as_deep_as_a_value_may_be() {
    let component = assemble(
        "(component
           (core module $m
             (memory (export \"memory\") 1)
             ;; A list of one list of the byte 7, and a list without elements.
             (data (i32.const 0) \"\\08\\00\\00\\00\\01\\00\\00\\00\\10\\00\\00\\00\\01\\00\\00\\00\\07\")
             (func (export \"deep\") (result i32) (i32.const 0))
             (func (export \"shallow\") (result i32) (i32.const 64)))
           (core instance $i (instantiate $m))
           (func (export \"deep\") (result (list (list u8)))
             (canon lift (core func $i \"deep\") (memory (core memory $i \"memory\"))))
           (func (export \"shallow\") (result (list (list u8)))
             (canon lift (core func $i \"shallow\") (memory (core memory $i \"memory\")))))",
    );
    let runtime = runtime();
    let levels = async |most: u64| {
        let spec = spec().limits(|limits| limits.value_depth = most);
        spec.prepare(&runtime, &component).await.unwrap()
    };
    let three = levels(3).await;
    assert_eq!(call(&three, "deep").await.unwrap(), "[[7]]");
    let two = levels(2).await;
    for ended in stopped_both_ways(&two, "deep", Code::ResultTooLarge).await {
        assert_eq!(ended.fault.details.unwrap()["limit"], "value-depth");
    }
    assert_eq!(hits(&two, "value-depth"), 2);
    assert_eq!(call(&two, "shallow").await.unwrap(), "[]");
}

/// Enforced by `GuestOutput::write`: what one call of the host does cannot be
/// interrupted, so it is little.
#[tokio::test]
async fn output_is_taken_in_pieces() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-spin").await;
    call(&plugin, &format!("flood.stdout-at-once({})", 64 << 10))
        .await
        .unwrap();
    let invocation = format!("flood.stdout-at-once({})", (64 << 10) + 1);
    stopped(&plugin, &invocation, Code::Trapped).await;
}

/// Enforced by `RANDOM` in `Wasi::new`.
#[tokio::test]
async fn random_bytes_come_in_pieces() {
    let runtime = runtime();
    let plugin = spec().load(&runtime, "guest-spin").await;
    let most = 1 << 20;
    let came = call(&plugin, &format!("flood.random-bytes({most})")).await;
    assert_eq!(came.unwrap(), most.to_string());
    let invocation = format!("flood.random-bytes({})", most + 1);
    stopped(&plugin, &invocation, Code::HostCallBytesLimit).await;
}

/// `LineSplitter::write` counts what it does not look at.
#[tokio::test]
async fn every_line_of_output_is_passed_on_or_counted() {
    const LINES: u64 = 1 << 20;
    let runtime = runtime();
    let spec = spec().limits(|limits| limits.log_rate = ByteSize::kib(4));
    let records = spec.records();
    let plugin = spec.load(&runtime, "guest-spin").await;
    let taken = call(&plugin, &format!("flood.stdout-newlines({LINES})")).await;
    assert_eq!(taken.unwrap(), LINES.to_string());
    let told: u64 = records.lines().iter().map(|line| line.dropped).sum();
    let passed = records.lines().len() as u64;
    assert_eq!(passed + told + plugin.stats().lines_dropped, LINES);
    assert_eq!(hits(&plugin, "log-rate"), LINES - passed);
}

/// Enforced by `MESSAGE` in `interfaces/logging.rs`.
#[tokio::test]
async fn a_message_that_nobody_can_read_is_dropped() {
    let runtime = runtime();
    let spec = spec().memory(16);
    let records = spec.records();
    let plugin = spec.load(&runtime, "guest-spin").await;
    call(&plugin, &format!("flood.log-lines(1, {})", 3 << 20))
        .await
        .unwrap();
    assert_eq!((records.lines().len(), plugin.stats().lines_dropped), (0, 1));
}

/// Lines of standard output name their request, like those of the log.
#[tokio::test]
async fn output_names_its_request() {
    let runtime = runtime();
    let spec = spec().resident();
    let records = spec.records();
    let plugin = spec.load(&runtime, "guest-spin").await;
    for number in 0..2 {
        let serial = Serial::new();
        let context = CallContext {
            serial: Some(serial),
            ..CallContext::default()
        };
        call_with(&plugin, "flood.stdout-newlines(1)", context)
            .await
            .unwrap();
        assert_eq!(records.lines()[number].serial, Some(serial));
    }
}

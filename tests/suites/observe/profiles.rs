//! Profiles: what is in one, and what is left out.

use std::time::Duration;

use odeon_runtime::{GuestProfile, ObserveError, Plugin, ProfileOrder};
use odeon_tests::guests::assemble;
use odeon_tests::runtime::{call, runtime, spec};

/// Calls itself so often, then counts sheep.
const SHEEP: &str = r#"(component
    (core module $m
      (func $counts-sheep (param $times i32) (result i32) (local $at i32)
        (loop $again
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $at) (local.get $times))))
        (local.get $at))
      (func $goes-down (export "count") (param $depth i32) (param $times i32) (result i32)
        (if (result i32) (i32.eqz (local.get $depth))
          (then (call $counts-sheep (local.get $times)))
          (else
            (i32.add
              (i32.const 0)
              (call $goes-down (i32.sub (local.get $depth) (i32.const 1)) (local.get $times))))))
    )
    (core instance $i (instantiate $m))
    (func (export "count") (param "depth" u32) (param "times" u32) (result u32)
      (canon lift (core func $i "count"))))"#;

fn order(samples: u32) -> ProfileOrder {
    ProfileOrder {
        time: Duration::from_secs(60),
        samples,
    }
}

/// Counts for some tenths of a second, as deep down as that: three times, so that
/// samples are taken also where the core of who takes them stands still for one of
/// them.
async fn count(plugin: &Plugin, depth: u32) {
    for _ in 0..3 {
        let counted = call(plugin, &format!("count({depth}, 300000000)")).await;
        assert_eq!(counted.unwrap(), "300000000");
    }
}

fn written(profile: GuestProfile) -> String {
    let mut json = Vec::new();
    profile.write(&mut json).unwrap();
    serde_json::from_slice::<serde_json::Value>(&json).unwrap();
    String::from_utf8(json).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_names_the_functions_of_a_guest_that_computes() {
    let runtime = runtime();
    let plugin = spec().prepare(&runtime, &assemble(SHEEP)).await.unwrap();
    count(&plugin, 0).await;
    plugin.begin_profile(order(50_000)).unwrap();
    count(&plugin, 3).await;
    let profile = plugin.end_profile().unwrap();
    let samples = profile.samples;
    assert!(samples > 10, "{samples}");
    let json = written(profile);
    assert!(
        json.contains("counts-sheep") && json.contains("goes-down"),
        "{json:.2000}"
    );
    assert!(plugin.end_profile().is_none());
}

/// Enforced by `Observer::begin_profile`.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_has_one_profile_at_a_time() {
    let runtime = runtime();
    let plugin = spec().prepare(&runtime, &assemble(SHEEP)).await.unwrap();
    plugin.begin_profile(order(10)).unwrap();
    assert!(matches!(
        plugin.begin_profile(order(10)),
        Err(ObserveError::Profiled)
    ));
    plugin.end_profile().unwrap();
    plugin.begin_profile(order(10)).unwrap();
}

/// Enforced by `GuestProfile::sample`.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_has_so_many_samples_and_no_more() {
    let runtime = runtime();
    let plugin = spec().prepare(&runtime, &assemble(SHEEP)).await.unwrap();
    plugin.begin_profile(order(3)).unwrap();
    count(&plugin, 0).await;
    let profile = plugin.end_profile().unwrap();
    assert_eq!(profile.samples, 3);
    assert!(profile.left_out > 0);
}

/// Whoever calls himself ever deeper would make each sample a long one. Enforced
/// by `GuestProfile::sample`.
#[tokio::test(flavor = "multi_thread")]
async fn a_sample_of_a_guest_that_is_too_deep_down_is_left_out() {
    let runtime = runtime();
    let plugin = spec().prepare(&runtime, &assemble(SHEEP)).await.unwrap();
    plugin.begin_profile(order(50_000)).unwrap();
    // Two more frames: the last function, and the first.
    count(&plugin, 126).await;
    let profile = plugin.end_profile().unwrap();
    assert!(profile.samples > 0, "{}", profile.left_out);
    plugin.begin_profile(order(50_000)).unwrap();
    count(&plugin, 1000).await;
    let profile = plugin.end_profile().unwrap();
    assert_eq!(profile.samples, 0);
    assert!(profile.left_out > 0);
}

/// Enforced by `Observer::look`.
#[tokio::test(flavor = "multi_thread")]
async fn samples_are_taken_for_the_time_of_a_profile_and_no_longer() {
    let runtime = runtime();
    let plugin = spec().prepare(&runtime, &assemble(SHEEP)).await.unwrap();
    let short = ProfileOrder {
        time: Duration::from_millis(1),
        ..order(50_000)
    };
    plugin.begin_profile(short).unwrap();
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(2) {
        std::thread::yield_now();
    }
    count(&plugin, 0).await;
    assert_eq!(plugin.end_profile().unwrap().samples, 0);
}

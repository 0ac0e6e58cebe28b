//! What takes long delays no other file: neither a hand-over that waits for a
//! call, nor a plugin whose own `load` does not end.

use std::fs;
use std::time::Duration;

use odeon::daemon::serve;
use odeon::{Args, CallRequest, Compiler, Host, Watcher};
use odeon_protocol::{Code, DescriptorState, PluginState, Serial};

use crate::ground::{Before, Ground, ONE, TWO, before, bytes, component, name, text, trust};

/// A guest that hands over its state, sleeps for as long as it is told, and has a
/// `load` that does not end if it is so configured.
const STATEFUL: &str = "guest-lifecycle";

/// How many loads and replaces there are at a time: docs/limits.md.
const AT_ONCE: usize = 8;

fn stage() -> Before {
    let before = before();
    let state = before.state.path();
    fs::write(component(state, STATEFUL), bytes(STATEFUL)).unwrap();
    trust(state, &[ONE, TWO, STATEFUL]);
    before
}

/// A plugin with a state. Its calls may go on for an hour when it is replaced.
fn stateful(name: &str, queue: usize) -> String {
    format!(
        "source = \"../{STATEFUL}.wasm\"\nname = \"{name}\"\ninstance = \"resident\"\nworkers = 1\nhealth-window = \
         \"0s\"\ndrain = \"1h\"\n[limits]\nqueue = {queue}\ndeadline = \"1h\"\n"
    )
}

/// A plugin whose `load` does not end for an hour.
fn slow(name: &str) -> String {
    format!(
        "source = \"../{STATEFUL}.wasm\"\nname = \"{name}\"\n[limits]\nload-deadline = \"1h\"\n[config]\nload = \
         \"sleep\"\n"
    )
}

/// How often a component was let in.
fn let_in(ground: &Ground) -> usize {
    let decisions = ground.audit("decision");
    decisions.iter().filter(|event| event["allowed"] == true).count()
}

fn queue(ground: &Ground, plugin: &str) -> String {
    let described = ground.host.describe(&name(plugin)).unwrap();
    described.limits["queue"].clone()
}

fn is_loading(host: &Host) -> usize {
    let dump = host.status_dump();
    dump["loading"].as_array().map_or(0, Vec::len)
}

/// Has the plugin `state` answer a call that takes long, and its descriptor
/// change meanwhile. When this returns, the replace waits for the call.
async fn a_hand_over_waits(ground: &Ground) -> (Serial, Watcher) {
    ground.write("state.toml", &stateful("state", 100));
    ground.serves("state", STATEFUL).await;
    ground.becomes("state.toml", DescriptorState::Serving).await;
    let long = ground
        .host
        .request(CallRequest::new("state/sleep", Args::Wave("3600000")))
        .unwrap();
    let runs = || ground.plugin("state").is_some_and(|row| row.in_flight == 1);
    ground.soon("the long call runs", runs).await;
    let before = let_in(ground);
    ground.put("state.toml", &stateful("state", 101));
    ground
        .soon("its replace is let in", || let_in(ground) > before)
        .await;
    long
}

/// Nothing of it has come into service by now.
fn still_waits(ground: &Ground) {
    let row = ground.plugin("state").expect("it serves");
    assert_eq!((row.generation.0, row.in_flight), (1, 1));
    assert_eq!(queue(ground, "state"), "100");
}

/// Enforced by `UnderWay::begin`, which waits for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_that_waits_delays_no_other_file() {
    let ground = stage().start().await;
    ground.write("evil.toml", &text("evil", ONE));
    ground.serves("evil", ONE).await;
    let (serial, _long) = a_hand_over_waits(&ground).await;
    ground.remove("evil.toml");
    ground.gone("evil").await;
    // Nor is anybody delayed who comes or changes.
    ground.write("v.toml", &text("v", ONE));
    ground.serves("v", ONE).await;
    ground.becomes("v.toml", DescriptorState::Serving).await;
    ground.write("v.toml", &text("v", TWO));
    ground.serves("v", TWO).await;
    still_waits(&ground);
    assert_eq!(ground.row("state.toml").unwrap().state, DescriptorState::Waiting);
    ground.host.cancel(&serial).unwrap();
    ground
        .soon("the next generation", || queue(&ground, "state") == "101")
        .await;
    ground.becomes("state.toml", DescriptorState::Serving).await;
    assert_eq!(ground.runs("state").unwrap().0, 2);
}

/// A grant that is taken away meanwhile is not brought by what was begun before:
/// enforced by `UnderWay::give_up`.
#[tokio::test(flavor = "multi_thread")]
async fn a_replace_whose_file_allows_less_by_now_is_given_up() {
    let allowing = |queue: usize, grants: &str| {
        let grants = format!("grants = [{grants}]\n[limits]");
        stateful("state", queue).replace("[limits]", &grants)
    };
    let granted = |ground: &Ground| ground.host.describe(&name("state")).unwrap().grants;
    let ground = stage().start().await;
    ground.write("state.toml", &allowing(100, "\"secret=token\""));
    ground.serves("state", STATEFUL).await;
    ground.becomes("state.toml", DescriptorState::Serving).await;
    assert_eq!(granted(&ground), ["secret=token"]);
    let (serial, _long) = ground
        .host
        .request(CallRequest::new("state/sleep", Args::Wave("3600000")))
        .unwrap();
    let runs = || ground.plugin("state").is_some_and(|row| row.in_flight == 1);
    ground.soon("the long call runs", runs).await;
    let before = let_in(&ground);
    ground.put("state.toml", &allowing(101, "\"secret=token\""));
    ground
        .soon("its replace is let in", || let_in(&ground) > before)
        .await;
    let before = let_in(&ground);
    ground.put("state.toml", &allowing(102, ""));
    ground
        .soon("it has lost it", || granted(&ground).is_empty())
        .await;
    ground
        .soon("the newest word is let in", || let_in(&ground) > before)
        .await;
    still_waits(&ground);
    ground.host.cancel(&serial).unwrap();
    ground
        .soon("the next generation", || queue(&ground, "state") == "102")
        .await;
    // What was begun for the word before has not come in between.
    assert_eq!(ground.runs("state").unwrap().0, 2);
    assert!(granted(&ground).is_empty());
}

/// Enforced by `UnderWay::is_full`, and by the order of a pass: what goes comes
/// first. What is not wanted any more is given up: enforced by `UnderWay::give_up`.
#[tokio::test(flavor = "multi_thread")]
async fn loads_that_take_long_delay_no_file_that_goes() {
    let ground = stage().start().await;
    for file in ["evil.toml", "v.toml"] {
        let plugin = file.trim_end_matches(".toml");
        ground.write(file, &text(plugin, ONE));
        ground.serves(plugin, ONE).await;
    }
    let files: Vec<String> = (0..AT_ONCE + 2).map(|number| format!("slow{number}")).collect();
    for plugin in &files[..2] {
        ground.write(&format!("{plugin}.toml"), &slow(plugin));
    }
    let host = &ground.host;
    ground.soon("both are loading", || is_loading(host) == 2).await;
    // There is room for others.
    ground.write("w.toml", &text("w", TWO));
    ground.serves("w", TWO).await;
    ground.remove("v.toml");
    ground.gone("v").await;
    for plugin in &files[2..] {
        ground.write(&format!("{plugin}.toml"), &slow(plugin));
    }
    ground
        .soon("as many as there may be", || is_loading(host) == AT_ONCE)
        .await;
    // And none for more, but what goes needs none.
    ground.remove("evil.toml");
    ground.gone("evil").await;
    assert_eq!(is_loading(host), AT_ONCE);
    let waits = |plugin: &String| {
        let row = ground.row(&format!("{plugin}.toml"));
        row.is_some_and(|row| row.state == DescriptorState::Waiting)
    };
    assert!(files.iter().all(waits));
    for plugin in &files {
        ground.remove(&format!("{plugin}.toml"));
    }
    ground.soon("none is loading", || is_loading(host) == 0).await;
    // Their names are free.
    ground.write("again.toml", &text(&files[0], ONE));
    ground.serves(&files[0], ONE).await;
}

/// Enforced by `Planner::step`: the newest word of a file counts when its step has
/// ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_again_waits_for_its_own_step_and_then_its_newest_word_counts() {
    let ground = stage().start().await;
    let (serial, _long) = a_hand_over_waits(&ground).await;
    let before = let_in(&ground);
    ground.put("state.toml", &stateful("state", 102));
    ground.put("state.toml", &stateful("other", 103));
    // Whoever saw this one come saw the others change, and that is long ago when
    // it goes.
    ground.all_seen().await;
    ground.all_seen().await;
    still_waits(&ground);
    assert_eq!(ground.runs("other"), None, "its file has a step under way");
    assert_eq!(let_in(&ground), before + 2, "the two of `zz-last`");
    ground.put("state.toml", &stateful("state", 104));
    ground.all_seen().await;
    still_waits(&ground);
    ground.host.cancel(&serial).unwrap();
    ground
        .soon("its newest word", || queue(&ground, "state") == "104")
        .await;
    ground.becomes("state.toml", DescriptorState::Serving).await;
    assert_eq!(ground.runs("other"), None);
    let row = ground.plugin("state").unwrap();
    assert_eq!(row.generation.0, 3, "the one that waited, and the newest");
}

/// Enforced by `Doer::take_out`, and by `Planner::unclaimed`, which plans it.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_goes_gives_up_what_would_come_in_the_place_of_its_plugin() {
    let ground = stage().start().await;
    let (serial, _long) = a_hand_over_waits(&ground).await;
    ground.remove("state.toml");
    let leaves = || {
        ground
            .plugin("state")
            .is_none_or(|row| row.state == PluginState::Draining)
    };
    ground.soon("it takes no more calls", leaves).await;
    // Its own calls have the time that its file gave them.
    assert_eq!(ground.runs("state").map(|(generation, _)| generation), Some(1));
    ground.host.cancel(&serial).unwrap();
    ground.gone("state").await;
    assert_eq!(ground.audit("replace").len(), 0);
}

/// Enforced by `UnderWay::end`.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_what_is_under_way() {
    let Before {
        state,
        config,
        limits,
    } = stage();
    let folder = state.path().join("plugins.d");
    let host = Host::builder(Compiler::InProcess)
        .workers(1)
        .host_limits(limits.clone())
        .state_dir(state.path())
        .start()
        .unwrap();
    let daemon = serve(host.clone(), config.clone()).await.unwrap();
    fs::write(folder.join("slow.toml"), slow("slow")).unwrap();
    let loading = async {
        while is_loading(&host) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), loading).await;
    waited.expect("it is loading");
    daemon.stop(Some(Duration::ZERO));
    let stopped = tokio::time::timeout(Duration::from_secs(20), daemon.stopped()).await;
    stopped.expect("it does not wait for the load").unwrap();
    assert_eq!(is_loading(&host), 0);
    drop(host);
    fs::remove_file(folder.join("slow.toml")).unwrap();
    // The next one has the directory to itself.
    let next = Before {
        state,
        config,
        limits,
    }
    .start()
    .await;
    next.write("slow.toml", &text("slow", ONE));
    next.serves("slow", ONE).await;
}

/// Of two files of one name the one that is being loaded has it, whatever the
/// other is called: enforced by `Planner::claim`.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_not_taken_from_a_file_that_is_being_loaded() {
    let ground = stage().start().await;
    ground.write("m.toml", &slow("v"));
    ground
        .soon("it is loading", || is_loading(&ground.host) == 1)
        .await;
    ground.write("a.toml", &text("v", ONE));
    let row = ground.becomes("a.toml", DescriptorState::Broken).await;
    assert!(row.message.unwrap().contains("m.toml describes"));
    assert_eq!(ground.row("m.toml").unwrap().state, DescriptorState::Waiting);
    ground.remove("m.toml");
    ground.serves("v", ONE).await;
    ground.becomes("a.toml", DescriptorState::Serving).await;
}

/// What is refused for what other plugins are, while others are still coming, is
/// tried again when one of them is there: enforced by `Doer::let_in`.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_link_while_others_come_is_tried_again_when_one_is_there() {
    const UNLINKED: &str = "wat-missing-imports";
    let before = stage();
    let state = before.state.path();
    fs::write(component(state, UNLINKED), bytes(UNLINKED)).unwrap();
    trust(state, &[ONE, STATEFUL, UNLINKED]);
    let ground = before.start().await;
    ground.write("slow.toml", &slow("slow"));
    ground
        .soon("it is loading", || is_loading(&ground.host) == 1)
        .await;
    ground.write("v.toml", &text("v", UNLINKED));
    let row = ground.becomes("v.toml", DescriptorState::Refused).await;
    assert_eq!(row.code, Some(Code::LinkFailed));
    assert_eq!(let_in(&ground), 2, "one try each");
    ground.write("w.toml", &text("w", ONE));
    ground.serves("w", ONE).await;
    ground.soon("another try", || let_in(&ground) == 4).await;
    ground.becomes("v.toml", DescriptorState::Refused).await;
}

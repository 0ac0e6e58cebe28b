//! Descriptors and components that come, change and go.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use crate::ground::{CALC, ONE, TWO, before, bytes, component, digest, ground, text};
use odeon::{Args, CallRequest, Outcome};
use odeon_authority::digest_of;
use odeon_protocol::{Code, DescriptorState};

/// Enforced by `Watch::take`.
#[tokio::test(flavor = "multi_thread")]
async fn a_descriptor_that_comes_is_loaded_changes_are_applied_and_without_it_the_plugin_goes() {
    let ground = ground().await;
    ground.write("v.toml", &text("v", ONE));
    let row = ground.becomes("v.toml", DescriptorState::Serving).await;
    assert_eq!(
        (row.plugin.unwrap().as_str(), row.generation.unwrap().0),
        ("v", 1)
    );
    assert_eq!(ground.answer("v").await, "1");

    // Another component, and then other terms for the same.
    ground.write("v.toml", &text("v", TWO));
    assert_eq!(ground.serves("v", TWO).await, 2);
    assert_eq!(ground.answer("v").await, "2");
    ground.write(
        "v.toml",
        &format!("{}[limits]\ndeadline = \"1234ms\"\n", text("v", TWO)),
    );
    ground
        .soon("the third generation", || {
            ground.runs("v") == Some((3, digest(TWO)))
        })
        .await;
    let described = ground.host.describe(&"v".parse().unwrap()).unwrap();
    assert_eq!(described.limits["deadline"], "1s 234ms");

    ground.remove("v.toml");
    ground.gone("v").await;
    ground
        .soon("its row is gone", || ground.row("v.toml").is_none())
        .await;
    let unloaded = ground.audit("unload");
    assert_eq!(unloaded[0]["reason"], "its descriptor is gone");
    assert_eq!(unloaded[0]["principal"], "host");
    assert_eq!(ground.audit("replace").len(), 2);
}

/// What was loaded at the start is watched from then on, and is not loaded
/// twice: enforced by `Applied::observe`.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_at_the_start_is_watched_like_all_else() {
    let before = before();
    before.write("v.toml", &text("v", ONE));
    before.write("none.toml", &text("none", "none"));
    let ground = before.start().await;
    assert_eq!(
        ground.runs("v"),
        Some((1, digest(ONE))),
        "before the host is ready"
    );
    let row = ground.becomes("none.toml", DescriptorState::Broken).await;
    assert_eq!(row.code, Some(Code::FileUnreadable));
    ground.all_seen().await;
    assert_eq!(ground.runs("v"), Some((1, digest(ONE))));
    ground.write("v.toml", &text("v", TWO));
    assert_eq!(ground.serves("v", TWO).await, 2);
    ground.remove("v.toml");
    ground.gone("v").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_renamed_over_another_is_applied_whole() {
    let ground = ground().await;
    ground.put("v.toml", &text("v", ONE));
    ground.serves("v", ONE).await;
    ground.put("v.toml", &text("v", TWO));
    assert_eq!(ground.serves("v", TWO).await, 2);
}

/// Enforced by `Sight::seen`: what is gone for a moment is not gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_made_anew_is_not_gone_in_between() {
    let ground = ground().await;
    ground.write("v.toml", &text("v", ONE));
    ground.serves("v", ONE).await;
    let mut rounds = 0;
    while rounds < 5 {
        let (before, began) = (ground.runs("v"), Instant::now());
        ground.remove("v.toml");
        // Longer than it takes to look, and shorter than it takes to believe it.
        tokio::time::sleep(Duration::from_millis(80)).await;
        ground.write("v.toml", &text("v", ONE));
        let was_short = began.elapsed() < Duration::from_millis(140);
        ground.all_seen().await;
        ground.serves("v", ONE).await;
        if was_short {
            assert_eq!(ground.runs("v"), before);
            rounds += 1;
        }
    }
}

/// Enforced by the `Adopt` of `Planner::settle`.
#[tokio::test(flavor = "multi_thread")]
async fn a_descriptor_under_another_name_of_its_own_changes_nothing() {
    let ground = ground().await;
    ground.write("v.toml", &text("v", ONE));
    ground.serves("v", ONE).await;
    fs::rename(ground.path("v.toml"), ground.path("w.toml")).unwrap();
    ground.becomes("w.toml", DescriptorState::Serving).await;
    ground.all_seen().await;
    assert_eq!(ground.runs("v"), Some((1, digest(ONE))));
    // From now on it is that file's.
    ground.remove("w.toml");
    ground.gone("v").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_descriptor_that_names_another_plugin_ends_the_one_of_before() {
    let ground = ground().await;
    ground.write("v.toml", &text("v", ONE));
    ground.serves("v", ONE).await;
    ground.write("v.toml", &text("w", ONE));
    ground.serves("w", ONE).await;
    ground.gone("v").await;
}

/// Enforced by `Scan::look` and by `Want::runs_as`: neither a time nor a comment
/// nor what counts only at a replace is a change.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_touched_or_says_the_same_in_other_words_changes_nothing() {
    let ground = ground().await;
    ground.write("v.toml", &text("v", ONE));
    ground.serves("v", ONE).await;
    let now = SystemTime::now() + Duration::from_secs(1);
    let component = component(ground.state.path(), ONE);
    for path in [&ground.path("v.toml"), &component] {
        fs::File::options()
            .append(true)
            .open(path)
            .unwrap()
            .set_modified(now)
            .unwrap();
    }
    ground.all_seen().await;
    fs::write(&component, bytes(ONE)).unwrap();
    let reordered = format!("# a word\nname = \"v\"\n\nsource = \"../{ONE}.wasm\"\ndrain = \"2s\"\n");
    ground.write("v.toml", &reordered);
    ground.all_seen().await;
    assert_eq!(ground.runs("v"), Some((1, digest(ONE))));
    assert_eq!(ground.row("v.toml").unwrap().state, DescriptorState::Serving);
}

/// Enforced by `Marks::of`, which looks at the component as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_changes_replaces_the_plugin_of_an_unchanged_descriptor() {
    let ground = ground().await;
    let component = ground.state.path().join("c.wasm");
    fs::write(&component, bytes(ONE)).unwrap();
    ground.write("v.toml", &text("v", "c"));
    ground.serves("v", ONE).await;
    let new = ground.state.path().join("c.new");
    fs::write(&new, bytes(TWO)).unwrap();
    fs::rename(new, &component).unwrap();
    assert_eq!(ground.serves("v", TWO).await, 2);
    // In place, too.
    fs::write(&component, bytes(CALC)).unwrap();
    assert_eq!(ground.serves("v", CALC).await, 3);
}

/// Enforced by the keeper of `Planner::claim`: what cannot be read says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_half_written_touches_nothing_until_it_is_whole() {
    let ground = ground().await;
    ground.write("v.toml", &text("v", ONE));
    ground.serves("v", ONE).await;
    let whole = text("v", TWO);
    for (half, code) in [
        ("", Code::DescriptorInvalid),
        ("source = \"../wat-ver", Code::DescriptorInvalid),
    ] {
        ground.write("v.toml", half);
        let row = ground.becomes("v.toml", DescriptorState::Broken).await;
        assert_eq!(row.code, Some(code), "{row:?}");
        assert_eq!(row.generation.unwrap().0, 1, "what it was serves on");
        // Nor is its name for others in the meantime.
        ground.write("w.toml", &text("v", CALC));
        let row = ground.becomes("w.toml", DescriptorState::Broken).await;
        assert_eq!(row.code, Some(Code::NameTaken));
        ground.remove("w.toml");
        ground.all_seen().await;
        assert_eq!(ground.runs("v"), Some((1, digest(ONE))));
    }
    ground.write("v.toml", &whole);
    assert_eq!(ground.serves("v", TWO).await, 2);
}

/// Whatever is wrong with it, and however long: enforced by `Host::replace_by`.
#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_is_half_written_touches_nothing_until_it_is_whole() {
    let ground = ground().await;
    let component = ground.state.path().join("c.wasm");
    fs::write(&component, bytes(ONE)).unwrap();
    ground.write("v.toml", &text("v", "c"));
    ground.serves("v", ONE).await;
    let bytes = bytes(TWO);
    fs::write(&component, &bytes[..bytes.len() - 3]).unwrap();
    let row = ground.becomes("v.toml", DescriptorState::Refused).await;
    assert_eq!((row.code, row.generation.unwrap().0), (Some(Code::Malformed), 1));
    fs::remove_file(&component).unwrap();
    let row = ground.becomes("v.toml", DescriptorState::Broken).await;
    assert_eq!(
        (row.code, row.generation.unwrap().0),
        (Some(Code::FileUnreadable), 1)
    );
    assert_eq!(ground.answer("v").await, "1");
    fs::write(&component, bytes).unwrap();
    assert_eq!(ground.serves("v", TWO).await, 2);
    ground.becomes("v.toml", DescriptorState::Serving).await;
}

/// Enforced by the `drain` of a step: calls that run when a file goes have the
/// time that the file gave them.
#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_for_as_long_as_the_descriptor_says() {
    let mut before = before();
    before.config.drain = Duration::from_secs(60);
    let ground = before.start().await;
    let long = text("v", "guest-spin").replace("1s", "0s");
    fs::copy(
        odeon_tests::guests::component("guest-spin"),
        component(ground.state.path(), "guest-spin"),
    )
    .unwrap();
    crate::ground::trust(ground.state.path(), &["guest-spin", ONE]);
    let sleeping = || {
        let call = CallRequest::new("v/wait.sleep-forever", Args::Wave(""));
        ground.host.request(call).unwrap().1
    };
    ground.write("v.toml", &long);
    ground.serves("v", "guest-spin").await;
    let mut first = sleeping();
    ground
        .soon("it runs", || ground.plugin("v").unwrap().in_flight == 1)
        .await;
    ground.write("v.toml", &format!("{long}[limits]\nmemory = \"8MiB\"\n"));
    // With the host's own drain time it would be a minute.
    let ended = tokio::time::timeout(Duration::from_secs(20), first.outcome());
    assert!(matches!(
        ended.await.expect("at once").unwrap(),
        Outcome::Cancelled(_)
    ));
    let mut second = sleeping();
    ground
        .soon("it runs", || ground.plugin("v").unwrap().in_flight == 1)
        .await;
    ground.remove("v.toml");
    let ended = tokio::time::timeout(Duration::from_secs(20), second.outcome());
    assert!(!matches!(
        ended.await.expect("at once").unwrap(),
        Outcome::Succeeded(_)
    ));
    ground.gone("v").await;
}

/// Where neither descriptor nor manifest says a name, that is said by the load.
#[tokio::test(flavor = "multi_thread")]
async fn a_descriptor_without_a_name_goes_by_the_components_own() {
    let ground = ground().await;
    let calculator = "calculator";
    ground.write("c.toml", &format!("source = \"../{CALC}.wasm\"\n"));
    ground.serves(calculator, CALC).await;
    let nameless = odeon_tests::guests::bytes("wat-traps");
    fs::write(component(ground.state.path(), "nameless"), &nameless).unwrap();
    let row = format!("[[digest]]\ndigest = \"{}\"\n", digest_of(&nameless).unwrap());
    let policy = ground.state.path().join("trust.toml");
    let text_of_policy = fs::read_to_string(&policy).unwrap();
    fs::write(policy, text_of_policy + &row).unwrap();
    ground.write("v.toml", "source = \"../nameless.wasm\"\n");
    let row = ground.becomes("v.toml", DescriptorState::Refused).await;
    assert_eq!((row.code, row.plugin), (Some(Code::NameNotAllowed), None));
    // It is its file's by that name, and the name is its own.
    ground.write("d.toml", &text(calculator, ONE));
    let row = ground.becomes("d.toml", DescriptorState::Broken).await;
    assert_eq!(row.code, Some(Code::NameTaken));
    ground.remove("c.toml");
    assert_eq!(ground.serves(calculator, ONE).await, 2);
}

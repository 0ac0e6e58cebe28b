//! The scenes, in the order in which an operator meets them.
//!
//! Must not look into the host: only commands, their output and their status.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::stage::Stage;

/// What a healthy plugin may take while hostile ones are being stopped: the
/// command's own start and connection included.
const HEALTHY: Duration = Duration::from_secs(1);

const USAGE: i32 = 2;
const DENIED: i32 = 3;
const ENDED_EARLY: i32 = 5;
const STOPPED: i32 = 6;
const UNAVAILABLE: i32 = 8;
const OWN_ERROR: i32 = 1;

const CALCULATOR: &str = "sample-calculator.wasm";
const INDEXER: &str = "sample-file-indexer.wasm";
const COUNTER: &str = "sample-counter.wasm";
const COUNTER_V2: &str = "sample-counter-v2.wasm";
const MARKDOWN: &str = "sample-markdown.wasm";
/// Uses the two before it.
const NOTEBOOK: &str = "sample-notebook.wasm";
const WEB: &str = "sample-web-hello.wasm";
const FETCHER: &str = "sample-http-fetcher.wasm";
/// Traps whatever is called.
const BAD: &str = "wat-traps.wasm";
/// One file with many attacks; each name it is loaded under makes one of them.
const HOSTILE: &str = "guest-spin.wasm";

pub(super) fn one_shot(stage: &mut Stage) -> Result<()> {
    stage
        .odeon(0, &["run", CALCULATOR, "--allow-unsigned"])?
        .has("add")?;
    stage
        .odeon(0, &["run", CALCULATOR, "add(1, 2)", "--allow-unsigned"])?
        .has("3")?;
    let steps = "evaluate([number(6.0), number(7.0), operator(multiply)])";
    stage
        .odeon(0, &["run", CALCULATOR, steps, "--allow-unsigned"])?
        .has("42")?;
    stage
        .odeon(
            OWN_ERROR,
            &["run", CALCULATOR, "divide(1.0, 0.0)", "--allow-unsigned"],
        )?
        .has("divide-by-zero")?;
    Ok(())
}

pub(super) fn mistakes(stage: &mut Stage) -> Result<()> {
    stage.odeon(USAGE, &["run", CALCULATOR, "add(1)", "--allow-unsigned"])?;
    stage.odeon(USAGE, &["run", CALCULATOR, "add(1, \"two\")", "--allow-unsigned"])?;
    Ok(())
}

pub(super) fn serve(stage: &mut Stage) -> Result<()> {
    stage.say("odeon.toml names an address at which plugins are served over HTTP");
    stage.write(
        "odeon.toml",
        "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:0\"\n",
    )?;
    stage.serve(&["serve", "--config", "odeon.toml"])?;
    stage.odeon(0, &["status"])?;
    stage.odeon(0, &["trust", "list"])?;
    Ok(())
}

pub(super) fn refused(stage: &mut Stage) -> Result<()> {
    stage
        .odeon(DENIED, &["load", CALCULATOR, "--name", "calculator"])?
        .complains("ODN-4001")?;
    Ok(())
}

pub(super) fn trust(stage: &mut Stage) -> Result<()> {
    stage.odeon(0, &["keygen", "-o", "author.key"])?;
    for (file, signed) in [(CALCULATOR, "calculator.wasm"), (INDEXER, "indexer.wasm")] {
        stage.odeon(0, &["sign", file, "--key", "author.key", "-o", signed])?;
    }
    stage.odeon(0, &["verify", "calculator.wasm"])?;
    stage.write("library/index.txt", "what is granted is what is seen\n")?;
    for number in 0..200 {
        stage.write(
            &format!("library/{number:03}.txt"),
            &"words to be counted\n".repeat(50 + number),
        )?;
    }
    let library = format!("fs={}::/data", stage.desk().join("library").display());
    stage.odeon(
        0,
        &[
            "trust",
            "add",
            "--key",
            "author.key.pub",
            "--name",
            "*",
            "--grant",
            &library,
        ],
    )?;
    stage.odeon(0, &["load", "calculator.wasm", "--name", "calculator"])?;
    stage.odeon(0, &["load", "indexer.wasm", "--name", "indexer"])?;
    stage.odeon(0, &["list"])?.has("calculator")?.has("indexer")?;
    stage.odeon(0, &["describe", "calculator"])?.has("summarize")?;
    Ok(())
}

pub(super) fn calls(stage: &mut Stage) -> Result<()> {
    stage.odeon(0, &["call", "calculator/add", "1", "2"])?.has("3")?;
    stage
        .odeon(0, &["call", "calculator/summarize", "[1.0, 2.0, 6.0]"])?
        .has("mean")?;
    stage
        .odeon(0, &["call", "calculator/add", "40", "2", "--json"])?
        .has("\"wave\"")?;
    stage
        .odeon(OWN_ERROR, &["call", "calculator/divide", "1.0", "0.0"])?
        .has("divide-by-zero")?;
    stage.odeon(USAGE, &["call", "calculator/add", "1", "\"two\""])?;
    Ok(())
}

pub(super) fn progress(stage: &mut Stage) -> Result<()> {
    stage
        .odeon(0, &["call", "indexer/index", "--progress"])?
        .has("201")?;
    Ok(())
}

pub(super) fn cancel(stage: &mut Stage) -> Result<()> {
    load_hostile(stage, "spinner", &["--limit", "cpu=1s"])?;
    stage.say("--async prints the request's serial at once");
    let started = stage.odeon(0, &["call", "spinner/spin", "--async", "--json"])?;
    let serial = serial(&started.stdout)?;
    stage.odeon(0, &["cancel", &serial])?;
    stage.say("--wait is the caller's patience; when it ends, so does the call");
    stage.odeon(ENDED_EARLY, &["call", "spinner/spin", "--wait", "200ms"])?;
    Ok(())
}

pub(super) fn hostile(stage: &mut Stage) -> Result<()> {
    load_hostile(stage, "grower", &[])?;
    load_hostile(stage, "recurser", &[])?;
    stage.say("all four at the same time");
    let outputs = stage.odeon_together(&[
        (STOPPED, &["call", "spinner/spin"]),
        (STOPPED, &["call", "grower/allocate-until-abort"]),
        (STOPPED, &["call", "recurser/recurse", "1000000000"]),
        (0, &["call", "calculator/add", "20", "22"]),
    ])?;
    let codes = ["ODN-2005", "ODN-2002", "ODN-2003"];
    for (output, code) in outputs.iter().zip(codes) {
        output.complains(code)?;
    }
    let healthy = outputs.last().context("four commands were started")?;
    healthy.has("42")?;
    if healthy.took > HEALTHY {
        bail!(
            "the healthy plugin took {:?}, expected at most {HEALTHY:?}",
            healthy.took
        );
    }
    stage.odeon(0, &["list"])?.has("calculator")?;
    Ok(())
}

pub(super) fn replace(stage: &mut Stage) -> Result<()> {
    stage.odeon(0, &["load", COUNTER, "--allow-unsigned"])?;
    stage.odeon(0, &["call", "counter/increment", "41"])?.has("41")?;
    stage
        .odeon(0, &["replace", "counter", COUNTER_V2, "--allow-unsigned"])?
        .has("with its state")?;
    stage.odeon(0, &["call", "counter/increment", "1"])?.has("42")?;
    stage.odeon(0, &["call", "counter/steps"])?.has("1")?;
    stage.say("this one traps on every call; after three of them the old one is back");
    stage.odeon(0, &["replace", "counter", BAD, "--allow-unsigned"])?;
    for _ in 0..3 {
        stage.odeon(STOPPED, &["call", "counter/unreachable"])?;
    }
    stage.until(&["list", "--json"], "\"generation\":3")?;
    stage.odeon(0, &["call", "counter/value"])?.has("42")?;
    Ok(())
}

pub(super) fn links(stage: &mut Stage) -> Result<()> {
    stage.odeon(0, &["load", MARKDOWN, "--allow-unsigned"])?;
    stage.say("the one that counts by now has another interface; this is the first version again");
    stage.odeon(0, &["load", COUNTER, "--name", "numbers", "--allow-unsigned"])?;
    let links = [
        "--link",
        "odeon-samples:markdown/renderer=markdown",
        "--link",
        "odeon-samples:counter/counting=numbers",
    ];
    let load = ["load", NOTEBOOK, "--allow-unsigned"];
    stage.odeon(0, &[&load[..], &links].concat())?;
    let compose = ["call", "notebook/compose", "\"# One\""];
    stage.odeon(0, &compose)?.has("<h1>One</h1>")?.has("number: 1")?;
    stage.say("without its provider a plugin stays, and is told at once");
    stage.odeon(0, &["unload", "markdown"])?;
    stage.odeon(UNAVAILABLE, &compose)?.complains("ODN-1016")?;
    stage.odeon(0, &["load", MARKDOWN, "--allow-unsigned"])?;
    stage.odeon(0, &compose)?.has("<h1>One</h1>")?;
    Ok(())
}

pub(super) fn web(stage: &mut Stage) -> Result<()> {
    stage.odeon(0, &["load", WEB, "--allow-unsigned", "--http", "web/hello"])?;
    let status = stage.odeon(0, &["status", "--json"])?;
    let address = listener(&status.stdout)?;
    stage.say("another plugin asks, which needs a grant for that");
    let fetch = format!("fetch(\"http://{address}/hello?demo\")");
    let run = ["run", FETCHER, &fetch, "--allow-unsigned"];
    stage.odeon(OWN_ERROR, &run)?.has("denied")?;
    let grant = format!("http={address}");
    stage
        .odeon(0, &[&run[..], &["--grant", &grant]].concat())?
        .has("status: 200")?;
    Ok(())
}

pub(super) fn audit(stage: &mut Stage) -> Result<()> {
    stage.odeon(0, &["audit", "--verify"])?.has("unbroken")?;
    Ok(())
}

pub(super) fn stop(stage: &mut Stage) -> Result<()> {
    stage.odeon(0, &["unload", "calculator"])?;
    stage.odeon(0, &["stop"])?;
    stage.served()
}

/// Loads a fixture as an operator may by hand: unsigned, named on the command
/// line, and gone with the host.
fn load_hostile(stage: &mut Stage, name: &str, flags: &[&str]) -> Result<()> {
    let load = ["load", HOSTILE, "--name", name, "--allow-unsigned"];
    stage.odeon(0, &[&load, flags].concat())?;
    Ok(())
}

/// The address of the only listener in the JSON of a status.
fn listener(json: &str) -> Result<String> {
    let status: serde_json::Value =
        serde_json::from_str(json.trim()).context("expected one JSON document")?;
    let address = status.pointer("/status/listeners/0/address");
    address
        .and_then(serde_json::Value::as_str)
        .map(str::to_owned)
        .context("expected the address of a listener in the answer")
}

/// The serial in the JSON of a call.
fn serial(json: &str) -> Result<String> {
    let answer: serde_json::Value =
        serde_json::from_str(json.trim()).context("expected one JSON document")?;
    let serial = answer.get("serial").and_then(serde_json::Value::as_str);
    serial
        .map(str::to_owned)
        .context("expected a `serial` in the answer")
}

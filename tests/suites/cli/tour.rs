//! What the README shows is what happens: its tour is run in a shell, command
//! by command, and its embedding example is a program that is run.
//!
//! Between what a command prints and what the README shows, white space and
//! the marks of wrapped lines do not count; `…` stands for anything.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use odeon_tests::guests;
use tempfile::TempDir;

use crate::desk;

const README: &str = include_str!("../../../README.md");

/// Printed by the shell when a command has ended.
const END: &str = "--the command has ended--";

#[test]
fn the_tour_of_the_readme_goes_as_it_says() {
    let tour = section(README, "## A tour in five minutes");
    let steps = steps(tour);
    assert!(steps.len() > 15, "only {} commands in the tour", steps.len());
    let mut shell = Shell::start();
    for Step { command, shown } in &steps {
        let printed = shell.run(command, shown);
        assert!(
            is_shown(shown, &printed),
            "$ {command}\nthe README shows:\n{shown}\nit prints:\n{printed}"
        );
    }
}

/// The example is compiled from a file of its own, which is the README's text.
#[test]
fn the_embedding_example_of_the_readme_runs() {
    let example = include_str!("../../../host/node/examples/embedding.rs");
    let (_, code) = example.split_once("\n\n").expect("a head and the code");
    let shown = section(README, "## Embed it");
    assert!(
        shown.contains(&format!("```rust,no_run\n{code}```")),
        "expected the README to show host/node/examples/embedding.rs"
    );
    let program = desk::binary().with_file_name("examples").join("embedding");
    assert!(
        program.is_file(),
        "expected {} to be built; run `cargo build --release --examples -p odeon`",
        program.display()
    );
    let folder = tempfile::tempdir().unwrap();
    copy_component("sample-calculator", folder.path());
    let mut command = Command::new(program);
    command.current_dir(folder.path()).env_clear();
    let output = assert_cmd::Command::from_std(command)
        .timeout(desk::PATIENCE)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "ok((3, 2))\n42\n");
}

/// The plugin that the README writes is built from files of its own, which are
/// the README's text.
#[test]
fn the_plugin_that_the_readme_writes_greets() {
    let shown = section(README, "## Write a plugin");
    let wit = include_str!("../../../sample-plugins/greeter/wit/world.wit");
    assert!(
        shown.contains(&format!("```wit\n{wit}```")),
        "expected the README to show sample-plugins/greeter/wit/world.wit"
    );
    let source = include_str!("../../../sample-plugins/greeter/src/lib.rs");
    let (_, code) = source.split_once("\n\n").expect("a head and the code");
    assert!(
        shown.contains(&format!("```rust,ignore\n{code}```")),
        "expected the README to show sample-plugins/greeter/src/lib.rs"
    );
    let lines = wit
        .lines()
        .chain(code.lines())
        .filter(|line| !line.trim().is_empty());
    assert!(lines.count() < 20, "fewer lines than that are promised");
    let mut shell = Shell::start();
    let built = shell.folder.path().join("target/wasm32-wasip2/release");
    std::fs::create_dir_all(&built).unwrap();
    std::fs::write(built.join("greeter.wasm"), guests::bytes("sample-greeter")).unwrap();
    let steps = steps(shown);
    assert!(steps.len() == 2 && steps[0].command.starts_with("cargo build"));
    let Step { command, shown } = &steps[1];
    let printed = shell.run(command, shown);
    assert!(is_shown(shown, &printed), "$ {command}\n{printed}");
}

/// The lines that samples show, but for those that need a host or the network.
#[test]
fn what_the_samples_show_can_be_typed() {
    for (sample, readme) in [
        (
            "calculator",
            include_str!("../../../sample-plugins/calculator/README.md"),
        ),
        (
            "greeter",
            include_str!("../../../sample-plugins/greeter/README.md"),
        ),
        (
            "markdown",
            include_str!("../../../sample-plugins/markdown/README.md"),
        ),
        (
            "file-indexer",
            include_str!("../../../sample-plugins/file-indexer/README.md"),
        ),
    ] {
        let mut shell = Shell::start();
        let component = guests::bytes(&format!("sample-{sample}"));
        std::fs::write(shell.folder.path().join(format!("{sample}.wasm")), component).unwrap();
        std::fs::create_dir(shell.folder.path().join("notes")).unwrap();
        let (_, block) = readme.split_once("```sh\n").expect("lines to type");
        let (lines, _) = block.split_once("```").expect("a block ends");
        assert!(lines.lines().count() > 1, "{sample}");
        for line in lines.lines() {
            let printed = shell.run(line, "");
            assert!(
                !printed.trim().is_empty() && !printed.contains("ODN-") && !printed.contains("error"),
                "$ {line}\n{printed}"
            );
        }
    }
}

#[test]
fn the_comparison_knows_what_differs() {
    for (shown, printed) in [
        ("3\n", "3\n"),
        ("id …", "id 5f1c"),
        ("a\n  │ b sha256:…, c", "a b\n  │ sha256:12,\n  │ c\n"),
        ("… lines, …", "verified: 3 lines, unbroken"),
        ("", "\n"),
    ] {
        assert!(is_shown(shown, printed), "{shown:?} {printed:?}");
    }
    for (shown, printed) in [
        ("3", "4"),
        ("3", "33"),
        ("", "3"),
        ("id … x", "id 5f1c"),
        ("a … b … a", "a b"),
        ("ab…bc", "abc"),
    ] {
        assert!(!is_shown(shown, printed), "{shown:?} {printed:?}");
    }
}

/// A command of the tour, and what the README shows below it.
struct Step {
    command: String,
    shown: String,
}

/// From this heading to the next of its level.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, after) = text.split_once(heading).expect("the heading is there");
    after.split("\n## ").next().unwrap_or_default()
}

/// The commands of every `console` block, in their order.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let (block, _) = block.split_once("```").expect("a block ends");
        for line in block.lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step {
                    command: command.to_owned(),
                    shown: String::new(),
                }),
                (None, Some(step)) => step.shown.extend([line, "\n"]),
                (None, None) => panic!("expected a command first, found {line:?}"),
            }
        }
    }
    steps
}

fn is_shown(shown: &str, printed: &str) -> bool {
    let (shown, printed) = (flat(shown), flat(printed));
    let mut parts = shown.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Without line ends, the marks of wrapped lines, and wide gaps.
fn flat(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.trim();
        line.strip_prefix("│ ").unwrap_or(line)
    });
    let words: Vec<_> = lines.flat_map(str::split_whitespace).collect();
    words.join(" ")
}

/// A shell in a folder of its own, with the components in it.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    folder: TempDir,
    _state: TempDir,
}

impl Shell {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("odeon-tour-").tempdir().unwrap();
        // The socket's path has little room.
        let state = tempfile::Builder::new().prefix("tour.").tempdir().unwrap();
        for component in [
            "sample-calculator",
            "sample-file-indexer",
            "sample-markdown",
            "sample-counter",
            "sample-notebook",
            "guest-spin",
        ] {
            copy_component(component, folder.path());
        }
        let binary = desk::binary();
        let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());
        let mut child = Command::new("sh")
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", folder.path())
            .env("ODEON_STATE", state.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What it starts ends with it, see `drop`.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        // A person sees both in the order in which they come.
        writeln!(input, "exec 2>&1").unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Shell {
            child,
            input,
            output,
            folder,
            _state: state,
        }
    }

    /// Runs a command and gives what it printed. One that stays in the
    /// background has as long as it takes to print what is shown.
    fn run(&mut self, command: &str, shown: &str) -> String {
        let stays = command.strip_suffix('&').map(str::trim_end);
        let line = match stays {
            // What it logs later is no other command's output.
            Some(command) => format!("{command} 2>background.log &"),
            None => command.to_owned(),
        };
        // The rest of the tour is on the shell's own input.
        writeln!(self.input, "{{ {line}\n}} </dev/null\necho '{END}'").unwrap();
        let lines = shown.lines().count();
        let (mut printed, mut has_ended) = (String::new(), false);
        while !has_ended || (stays.is_some() && printed.lines().count() < lines) {
            let before = printed.len();
            let read = self.output.read_line(&mut printed).unwrap();
            assert!(read > 0, "the shell ended within $ {command}\n{printed}");
            // Output without an end of line is followed by the mark.
            if let Some(output) = printed[before..].strip_suffix(&format!("{END}\n")) {
                printed.truncate(before + output.len());
                has_ended = true;
            }
        }
        printed
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // The host too, where a step failed before it was stopped.
        let group = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        drop(self.child.wait());
    }
}

fn copy_component(name: &str, folder: &Path) {
    std::fs::write(folder.join(format!("{name}.wasm")), guests::bytes(name)).unwrap();
}

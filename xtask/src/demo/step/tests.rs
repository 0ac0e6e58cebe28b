//! What becomes of the commands of a demo.

use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

const LONG: Duration = Duration::from_secs(30);

fn calm() -> AtomicBool {
    AtomicBool::new(false)
}

#[test]
fn output_is_kept_and_the_status_is_checked() {
    let output = play(shell("echo one; echo two >&2; exit 3"), 3, LONG, &calm()).unwrap();
    assert_eq!(output.stdout, "one\n");
    assert!(output.has("one").is_ok() && output.has("two").is_err());
    let error = play(shell("exit 1"), 0, LONG, &calm()).unwrap_err().to_string();
    assert!(error.contains("status 1, expected status 0"), "{error}");
}

#[test]
fn commands_run_together() {
    // Each waits for the other's file: one after the other, neither would end.
    let folder = tempfile::tempdir().unwrap();
    let wait = |make: &str, need: &str| {
        let mut command = shell(&format!("touch {make}; until [ -e {need} ]; do sleep 0.01; done"));
        command.current_dir(folder.path());
        (0, command)
    };
    assert_eq!(
        play_together(vec![wait("a", "b"), wait("b", "a")], LONG, &calm())
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_command_that_does_not_end_is_stopped_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("sleep 600 & echo $! > {}; wait", file.display());
    let error = play(shell(&script), 0, Duration::from_millis(300), &calm())
        .unwrap_err()
        .to_string();
    assert!(error.contains("did not end in time"), "{error}");
    let text = std::fs::read_to_string(file).unwrap();
    let pid = Pid::from_raw(text.trim().parse().unwrap()).unwrap();
    let until = Instant::now() + LONG;
    while rustix::process::test_kill_process(pid).is_ok() && Instant::now() < until {
        // An orphan is gone from the table once init has collected it; a zombie does not run.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", text.trim())).unwrap_or_default();
        if stat.contains(") Z ") {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    assert!(Instant::now() < until, "the grandchild still runs");
}

#[test]
fn ctrl_c_ends_a_wait() {
    let error = play(shell("sleep 600"), 0, LONG, &AtomicBool::new(true))
        .unwrap_err()
        .to_string();
    assert!(error.contains("interrupted"), "{error}");
}

//! A program that is killed at one of its system calls.
//!
//! Owns `kill-at.c`: building it, starting it, and what it says.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

/// The longest that anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a tracer answers that has ended.
const GONE: &str = "gone";

/// Where, at a call, a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// Before it has had any effect.
    Entry,
    /// When it has had its whole effect, and before anybody knows.
    Exit,
}

/// The tracer, built.
pub struct Tracer(PathBuf);

/// A program that runs under the tracer. Dropping it kills the program.
pub struct Traced {
    tracer: Child,
    commands: Option<ChildStdin>,
    answers: Receiver<String>,
    folder: PathBuf,
}

impl At {
    fn word(self) -> &'static str {
        match self {
            At::Entry => "entry",
            At::Exit => "exit",
        }
    }
}

impl Tracer {
    /// Builds it in this folder.
    pub fn build(folder: &Path) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites/crash/kill-at.c");
        let program = folder.join("kill-at");
        let built = Command::new("cc")
            .args(["-O1", "-Wall", "-Wextra", "-pthread", "-o"])
            .arg(&program)
            .arg(source)
            .output()
            .expect("expected a C compiler named cc");
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        Tracer(program)
    }

    /// Starts a program, whose changes of files below `state` count. Its output
    /// goes to files in `folder`. Killed at call `number`, if one is given.
    pub fn start(&self, command: &Command, folder: &Path, state: &Path, kill: Option<(u64, At)>) -> Traced {
        let mut tracer = Command::new(&self.0);
        tracer
            .arg(format!("{}/", state.display()))
            .arg(folder.join("out"))
            .arg(folder.join("err"));
        if let Some((number, at)) = kill {
            tracer.arg(number.to_string()).arg(at.word());
        }
        tracer
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args());
        tracer.env_clear().current_dir(folder);
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                tracer.env(name, value);
            }
        }
        for file in ["out", "err"] {
            std::fs::write(folder.join(file), "").unwrap();
        }
        let mut tracer = tracer
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = tracer.stdin.take();
        let said = BufReader::new(tracer.stdout.take().unwrap());
        let (answer, answers) = channel();
        std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                if answer.send(line).is_err() {
                    return;
                }
            }
        });
        let mut traced = Traced {
            tracer,
            commands,
            answers,
            folder: folder.to_owned(),
        };
        let started = traced.answer();
        assert!(
            started.starts_with("started"),
            "the kernel does not let this process kill another at its system calls: {started}"
        );
        traced
    }
}

impl Traced {
    /// From now on calls are counted from 1, and it is killed at this one; 0 is
    /// none.
    pub fn arm(&mut self, number: u64, at: At) {
        self.say(&format!("arm {number} {}\n", at.word()));
        let answer = self.answer();
        assert_eq!(answer, "armed", "it has ended: {}", self.log());
    }

    /// How many calls there were since it was armed; none if it was killed or has
    /// ended.
    pub fn count(&mut self) -> Option<u64> {
        self.say("count\n");
        let answer = self.answer();
        answer.strip_prefix("count ").map(|count| count.parse().unwrap())
    }

    /// Whether it has ended, however.
    pub fn has_ended(&mut self) -> bool {
        self.tracer.try_wait().unwrap().is_some()
    }

    /// Kills it, if nothing has, and waits for that.
    pub fn kill(mut self) {
        self.say("kill\n");
        self.tracer.wait().unwrap();
    }

    /// Waits until it has ended by itself, and gives how many calls there were;
    /// none if it was killed.
    pub fn ended(mut self) -> Option<u64> {
        loop {
            let answer = self.answer();
            match answer.split_once(' ') {
                Some(("ended", count)) => return Some(count.parse().unwrap()),
                Some(("killed", _)) => return None,
                _ => assert!(answer != GONE, "the tracer has ended: {}", self.log()),
            }
        }
    }

    /// Waits until it says that it is ready, or has ended. Says whether it is
    /// ready.
    pub fn ready(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        loop {
            // Looked at first: what was said before the end counts.
            let has_ended = self.has_ended();
            let said = std::fs::read_to_string(self.folder.join("out")).unwrap();
            if said.contains("ready ") {
                return true;
            }
            if has_ended {
                return false;
            }
            assert!(Instant::now() < until, "neither ready nor ended: {}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What it wrote to standard error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("err")).unwrap_or_default()
    }

    fn say(&mut self, command: &str) {
        if let Some(commands) = &mut self.commands {
            // It may have been killed by now.
            drop(commands.write_all(command.as_bytes()));
        }
    }

    fn answer(&mut self) -> String {
        match self.answers.recv_timeout(PATIENCE) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => GONE.to_owned(),
            Err(RecvTimeoutError::Timeout) => panic!("the tracer does not answer: {}", self.log()),
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // The end of its input is the end of what it traces.
        drop(self.commands.take());
        drop(self.tracer.wait());
    }
}

/// Waits for a program to end, and gives its exit status and its output. One
/// that does not end has failed.
pub fn run(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let (done, ended) = channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        drop(out.read_to_string(&mut text));
        drop(done.send(text));
    });
    let Ok(text) = ended.recv_timeout(PATIENCE) else {
        drop(child.kill());
        panic!("{command:?} did not end");
    };
    (child.wait().unwrap().code(), text)
}

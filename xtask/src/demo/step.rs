//! One command of a demo: run, shown as it prints, held against what was expected.

use std::{
    borrow::Cow,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::process;

/// How often a wait looks for ctrl-c.
const LOOK: Duration = Duration::from_millis(50);
/// How long a child that was asked to end may take.
const GRACE: Duration = Duration::from_secs(5);
/// Characters of a line that the transcript shows.
const WIDTH: usize = 300;
/// Lines that a child may be ahead of the terminal.
const AHEAD: usize = 256;

/// What a command printed, and how long it took.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) stdout: String,
    stderr: String,
    pub(super) took: Duration,
}

impl Output {
    /// Requires that stderr holds `text`.
    pub(super) fn complains(&self, text: &str) -> Result<&Self> {
        if !self.stderr.contains(text) {
            bail!("expected `{text}` in the complaint above");
        }
        Ok(self)
    }

    /// Requires that stdout holds `text`.
    pub(super) fn has(&self, text: &str) -> Result<&Self> {
        if !self.stdout.contains(text) {
            bail!("expected `{text}` in the output above");
        }
        Ok(self)
    }
}

/// A child and all it starts; dropping it ends them.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    line: String,
}

impl Running {
    /// Starts the command in a process group of its own, so that ctrl-c reaches
    /// it through us and nothing it starts stays behind.
    pub(super) fn start(command: &mut Command) -> Result<Running> {
        let line = process::line(command);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("`{line}` could not be started"))?;
        Ok(Running { child, line })
    }

    pub(super) fn line(&self) -> &str {
        &self.line
    }

    /// The child's lines as they come, from both its streams.
    pub(super) fn lines(&mut self) -> mpsc::Receiver<Line> {
        let (sender, lines) = mpsc::sync_channel(AHEAD);
        if let Some(stdout) = self.child.stdout.take() {
            forward(stdout, sender.clone(), Line::Out);
        }
        if let Some(stderr) = self.child.stderr.take() {
            forward(stderr, sender, Line::Err);
        }
        lines
    }

    /// Waits until the child ends; its exit status, if it was not a signal.
    pub(super) fn wait(&mut self, until: Instant, interrupted: &AtomicBool) -> Result<Option<i32>> {
        loop {
            if let Some(status) = self.child.try_wait().context("the child cannot be waited for")? {
                return Ok(status.code());
            }
            check(until, interrupted, &self.line)?;
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group
            && let Err(error) = kill_process_group(group, signal)
            && error != rustix::io::Errno::SRCH
        {
            eprintln!("warning: `{}` cannot be signalled: {error}", self.line);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal(Signal::TERM);
        let never = AtomicBool::new(false);
        if self.wait(Instant::now() + GRACE, &never).is_err() {
            self.signal(Signal::KILL);
            if let Err(error) = self.child.wait() {
                eprintln!("warning: `{}` is left behind: {error}", self.line);
            }
        }
    }
}

/// A line of a child's output.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Out(String),
    Err(String),
}

impl Line {
    pub(super) fn text(&self) -> &str {
        match self {
            Line::Out(text) | Line::Err(text) => text,
        }
    }

    /// Shows the line as part of the transcript.
    pub(super) fn show(&self) {
        println!("   {}", shown(self.text()));
    }
}

/// A line as the transcript has it: what nobody would read is left out.
fn shown(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) => {
            let (head, rest) = text.split_at(end);
            Cow::Owned(format!("{head}… ({} more characters)", rest.chars().count()))
        }
        None => Cow::Borrowed(text),
    }
}

fn forward(stream: impl Read + Send + 'static, lines: mpsc::SyncSender<Line>, wrap: fn(String) -> Line) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            if lines
                .send(wrap(String::from_utf8_lossy(&line).into_owned()))
                .is_err()
            {
                return; // Nobody looks any more.
            }
        }
    });
}

/// Fails when the time is over or ctrl-c was pressed.
pub(super) fn check(until: Instant, interrupted: &AtomicBool, line: &str) -> Result<()> {
    if interrupted.load(Ordering::Relaxed) {
        bail!("interrupted; `{line}` was stopped and everything is cleaned up");
    }
    if Instant::now() > until {
        bail!("`{line}` did not end in time and was stopped");
    }
    Ok(())
}

/// Gives every line to `see` until the child has closed its streams.
pub(super) fn follow(
    lines: &mpsc::Receiver<Line>,
    until: Instant,
    interrupted: &AtomicBool,
    line: &str,
    mut see: impl FnMut(Line),
) -> Result<()> {
    loop {
        match lines.recv_timeout(LOOK) {
            Ok(line) => see(line),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        check(until, interrupted, line)?;
    }
}

/// Runs a command, showing its output as it comes.
pub(super) fn play(
    mut command: Command,
    expected: i32,
    patience: Duration,
    interrupted: &AtomicBool,
) -> Result<Output> {
    println!("\n   $ {}", process::line(&command));
    let output = finish(
        Running::start(&mut command)?,
        expected,
        patience,
        interrupted,
        Line::show,
    )?;
    let status = if expected == 0 {
        String::new()
    } else {
        format!("exit status {expected}, ")
    };
    println!("   ({status}{:.0} ms)", output.took.as_secs_f64() * 1000.0);
    Ok(output)
}

/// Starts all commands, then shows them one after the other.
pub(super) fn play_together(
    commands: Vec<(i32, Command)>,
    patience: Duration,
    interrupted: &AtomicBool,
) -> Result<Vec<Output>> {
    let ended = thread::scope(|scope| {
        let started: Vec<_> = commands
            .into_iter()
            .map(|(expected, mut command)| {
                let line = process::line(&command);
                let work = scope.spawn(move || {
                    let mut lines = Vec::new();
                    let output = Running::start(&mut command).and_then(|running| {
                        finish(running, expected, patience, interrupted, |line| {
                            lines.push(line.text().to_owned())
                        })
                    });
                    (lines, output)
                });
                (line, work)
            })
            .collect();
        started
            .into_iter()
            .map(|(line, work)| (line, work.join()))
            .collect::<Vec<_>>()
    });
    let mut outputs = Vec::new();
    for (line, end) in ended {
        let Ok((lines, output)) = end else {
            bail!("the thread of `{line}` ended early")
        };
        println!("\n   $ {line} &");
        lines.iter().for_each(|text| println!("   {}", shown(text)));
        let output = output?;
        println!("   ({:.0} ms)", output.took.as_secs_f64() * 1000.0);
        outputs.push(output);
    }
    Ok(outputs)
}

fn finish(
    mut running: Running,
    expected: i32,
    patience: Duration,
    interrupted: &AtomicBool,
    mut show: impl FnMut(&Line),
) -> Result<Output> {
    let began = Instant::now();
    let until = began + patience;
    let lines = running.lines();
    let line = running.line().to_owned();
    let (mut stdout, mut stderr) = (String::new(), String::new());
    follow(&lines, until, interrupted, &line, |line| {
        show(&line);
        let (stream, text) = match line {
            Line::Out(text) => (&mut stdout, text),
            Line::Err(text) => (&mut stderr, text),
        };
        stream.push_str(&text);
        stream.push('\n');
    })?;
    let status = running.wait(until, interrupted)?;
    if status != Some(expected) {
        let found = status.map_or("a signal".to_owned(), |status| format!("status {status}"));
        bail!("`{line}` ended with {found}, expected status {expected}");
    }
    Ok(Output {
        stdout,
        stderr,
        took: began.elapsed(),
    })
}

#[cfg(test)]
mod tests;

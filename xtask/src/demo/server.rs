//! The background host of a demo.

use std::{
    process::Command,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::step::{self, Line, Running};
use crate::process;

/// Lines of the log that are shown when the host fails.
const LAST: usize = 20;

/// `odeon serve`, ready. Dropping it ends it.
pub(super) struct Server {
    running: Running,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts the command and waits for its `ready <socket>`.
    pub(super) fn start(
        mut command: Command,
        patience: Duration,
        interrupted: &AtomicBool,
    ) -> Result<Server> {
        println!("\n   $ {} &", process::line(&command));
        let began = Instant::now();
        let mut running = Running::start(&mut command)?;
        let lines = running.lines();
        let mut server = Server {
            running,
            log: Arc::default(),
        };
        loop {
            match lines.recv_timeout(Duration::from_millis(50)) {
                Ok(Line::Out(text)) if text.starts_with("ready ") => {
                    println!("   {text}");
                    println!("   ({:.0} ms)", began.elapsed().as_secs_f64() * 1000.0);
                    server.keep(lines);
                    return Ok(server);
                }
                Ok(line) => line.show(),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = server.running.wait(began + patience, interrupted)?;
                    bail!("the host ended before it was ready (status {status:?})");
                }
            }
            step::check(began + patience, interrupted, server.running.line())?;
        }
    }

    /// Keeps the newest lines of the log, so that the host never waits for a reader.
    fn keep(&mut self, lines: mpsc::Receiver<Line>) {
        let log = Arc::clone(&self.log);
        thread::spawn(move || {
            for line in lines {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                if log.len() == LAST {
                    log.remove(0);
                }
                log.push(line.text().to_owned());
            }
        });
    }

    /// Waits until the host has ended by itself, with success.
    pub(super) fn ended(mut self, patience: Duration, interrupted: &AtomicBool) -> Result<()> {
        let status = self
            .running
            .wait(Instant::now() + patience, interrupted)
            .context("the host does not end")?;
        if status != Some(0) {
            for line in self.log.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                println!("   {line}");
            }
            bail!("the host ended with status {status:?}, expected 0; its last lines are above");
        }
        Ok(())
    }
}

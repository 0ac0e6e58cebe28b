//! From a component's bytes to native code, where a hostile component can do
//! no harm: in a child process with limits.
//!
//! Owns the choice of where compiling happens and the talk with the child.
//! Compiling cannot be stopped from outside within a process, so a compile
//! bomb in process would hold a thread and its memory for as long as it likes;
//! a child is killed.
//!
//! **Invariant:** nothing of the serving process parses an untrusted component
//! beyond its list of top-level sections.

mod child;
mod confine;
mod lines;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

pub use self::child::CompileChild;
use self::child::{Job, Outcome};
pub use self::confine::{ConfineError, Confined, confine};
use crate::EngineClass;
use crate::describe::{Description, TooComplex};
use crate::engine::PoolSize;
use crate::lines::LineTable;
use crate::native::Native;

/// Where components are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In a child process that runs this program again. The program must call
    /// [`CompileChild::enter`] first thing in `main`, which is what the value
    /// stands for.
    ThisProgram(CompileChild),
    /// In a child process that runs another program, such as the `odeon`
    /// binary.
    Program(PathBuf),
    /// In this process. A hostile component can then hold a thread and memory
    /// without limit, so this is for components one wrote oneself.
    InProcess,
}

/// What compiling one component may take.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct CompileLimits {
    /// Wall time.
    pub time: Duration,
    /// Address space of the child, in bytes.
    pub memory: u64,
    /// Native code, description and table of lines together, in bytes.
    pub output: u64,
    /// Levels of nesting of a type of an export or import.
    pub type_depth: u32,
    /// Parts of the types of all exports and imports.
    pub type_nodes: u32,
}

impl Default for CompileLimits {
    fn default() -> Self {
        CompileLimits {
            time: Duration::from_secs(60),
            memory: 2 << 30,
            output: 512 << 20,
            type_depth: 100,
            type_nodes: 100_000,
        }
    }
}

/// Native code and what it is.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) description: Description,
    pub(crate) lines: LineTable,
    pub(crate) native: Native,
}

/// Why there is no native code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The compiler does not accept the bytes; says why.
    #[error("the compiler refused the component: {0}")]
    Refused(String),
    /// The types of the exports or imports are too much.
    #[error(transparent)]
    TooComplex(#[from] TooComplex),
    /// The class that was asked for cannot run this component; says why.
    #[error("{0}")]
    WrongClass(String),
    /// It took longer than allowed.
    #[error("compiling took longer than {}", seconds(*.0))]
    Time(Duration),
    /// It needed more memory than allowed, or died of it.
    #[error("compiling needed more than {0} MiB of memory")]
    Memory(u64),
    /// It made more native code than allowed.
    #[error("the native code would be larger than {0} MiB")]
    Output(u64),
    /// The child could not be started or broke off; says what happened.
    #[error("the compiler process failed: {0}")]
    Process(String),
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f32())
}

/// Compiles for the asked class, or for the one the component needs. `told` hears
/// what the child says of the walls around it.
pub(crate) async fn compile(
    compiler: &Compiler,
    bytes: &[u8],
    class: Option<EngineClass>,
    pool: PoolSize,
    limits: CompileLimits,
    told: impl Fn(Confined),
) -> Result<Compiled, CompileError> {
    let job = Job {
        class,
        pool_instances: pool.instances,
        pool_memory: pool.memory as u64,
        limits,
    };
    let program = match compiler {
        Compiler::InProcess => {
            let bytes = bytes.to_vec();
            return tokio::task::spawn_blocking(move || child::compile_here(&job, &bytes))
                .await
                .map_err(|_| CompileError::Process("the compiler broke off".into()))?;
        }
        Compiler::ThisProgram(child) => child.program().into(),
        Compiler::Program(path) => OsString::from(path),
    };
    let finished = tokio::time::timeout(limits.time, run(&program, &job, bytes, told));
    match finished.await {
        Ok(outcome) => outcome,
        // Dropping the future killed the child.
        Err(_) => Err(CompileError::Time(limits.time)),
    }
}

async fn run(
    program: &OsString,
    job: &Job,
    bytes: &[u8],
    told: impl Fn(Confined),
) -> Result<Compiled, CompileError> {
    let failed = |what: &str, error: std::io::Error| CompileError::Process(format!("{what}: {error}"));
    let job_text = serde_json::to_string(job).map_err(|error| CompileError::Process(error.to_string()))?;
    let mut child = Command::new(program)
        .arg(child::ARGUMENT)
        .arg(job_text)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed("cannot start it", error))?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(CompileError::Process("it has no pipes".into()));
    };
    let send = async move {
        // A child that stops reading has given up, and says why on its output.
        drop(input.write_all(bytes).await);
        drop(input);
    };
    let limit = job.limits.output.saturating_add(child::HEADER);
    let mut answer = Vec::new();
    let mut limited = output.take(limit.saturating_add(1));
    let receive = limited.read_to_end(&mut answer);
    let ((), received) = tokio::join!(send, receive);
    received.map_err(|error| failed("cannot read its output", error))?;
    if let Some(confined) = child::confined(&answer) {
        told(confined);
    }
    if answer.len() as u64 > limit {
        return Err(CompileError::Output(job.limits.output >> 20));
    }
    let status = child
        .wait()
        .await
        .map_err(|error| failed("cannot wait for it", error))?;
    match child::parse(answer) {
        Some(Outcome::Compiled(compiled)) if status.success() => Ok(compiled),
        Some(Outcome::Refused(error)) => Err(error),
        // Running out of address space ends in an abort, out of CPU time in a
        // signal; either way there is no answer.
        _ => Err(died(status, &job.limits)),
    }
}

fn died(status: std::process::ExitStatus, limits: &CompileLimits) -> CompileError {
    use std::os::unix::process::ExitStatusExt as _;
    const SIGABRT: i32 = 6;
    const SIGKILL: i32 = 9;
    const SIGSEGV: i32 = 11;
    const SIGXCPU: i32 = 24;
    match status.signal() {
        Some(SIGXCPU | SIGKILL) => CompileError::Time(limits.time),
        Some(SIGABRT | SIGSEGV) => CompileError::Memory(limits.memory >> 20),
        None if status.code() == Some(child::OUT_OF_MEMORY) => CompileError::Memory(limits.memory >> 20),
        _ => CompileError::Process(format!("it ended with {status} and no answer")),
    }
}

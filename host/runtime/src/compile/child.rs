//! The compile child: the same program, started again to compile one component.
//!
//! Owns what happens in the child. It confines itself and says what stands around
//! it before it reads a byte of the component, has no environment, no files but
//! its three pipes, and answers on its standard output.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::confine::{Confined, confine};
use super::lines::lines;
use super::{CompileError, CompileLimits, Compiled};
use crate::EngineClass;
use crate::describe::{Description, MAX_DESCRIPTION, Needs, TooComplex, TypeBudget, from_json, surface};
use crate::engine::{PoolSize, compile_config};
use crate::lines::LineTable;
use crate::native::Native;
use crate::scan::{choose, fits, scan};

/// The first argument of a child.
pub(super) const ARGUMENT: &str = "__odeon-compile-child";

/// Bytes an answer may have beyond native code, description and table of lines.
pub(super) const HEADER: u64 = 64;

/// How long a piece of error text may be.
const ERROR_TEXT: usize = 4096;

/// Proof that the program can be started again as a compile child.
#[derive(Clone, Debug)]
pub struct CompileChild {
    program: PathBuf,
}

impl CompileChild {
    /// Call this first thing in `main`. In a process that was started to
    /// compile, it does that and ends the process; in any other it returns at
    /// once.
    ///
    /// # Errors
    ///
    /// When the program's own path cannot be found.
    pub fn enter() -> std::io::Result<CompileChild> {
        let mut args = std::env::args_os().skip(1);
        if args.next().is_some_and(|first| first == ARGUMENT) {
            let job = args
                .next()
                .and_then(|job| serde_json::from_str(job.to_str()?).ok());
            let code = match job {
                Some(job) => serve(&job),
                None => 2,
            };
            std::process::exit(code);
        }
        // The running program itself, even when its file was replaced since.
        let own = PathBuf::from("/proc/self/exe");
        let program = if own.exists() {
            own
        } else {
            std::env::current_exe()?
        };
        Ok(CompileChild { program })
    }

    pub(super) fn program(&self) -> PathBuf {
        self.program.clone()
    }
}

/// What the child is asked.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) class: Option<EngineClass>,
    pub(super) pool_instances: u32,
    pub(super) pool_memory: u64,
    pub(super) limits: CompileLimits,
}

/// What the child answers.
pub(super) enum Outcome {
    Compiled(Compiled),
    Refused(CompileError),
}

/// The part of an answer before the native code.
#[derive(Serialize, Deserialize)]
enum Head {
    Compiled {
        description: Description,
        /// Bytes of the table of lines, which stands before the native code.
        lines: u32,
    },
    Refused(Refusal),
}

#[derive(Serialize, Deserialize)]
enum Refusal {
    Refused(String),
    TooComplex(TooComplex),
    WrongClass(String),
}

/// The exit code of a child that ran out of memory in a way it could tell.
pub(super) const OUT_OF_MEMORY: i32 = 7;

/// The compiler panics when it gets no memory or no thread; so does a bug of
/// it. The parent has to know which it was.
fn tell_out_of_memory() {
    std::panic::set_hook(Box::new(|panic| {
        let words = panic.to_string();
        let no_memory = ["out of memory", "out-of-memory", "ThreadPoolBuildError"];
        if no_memory.iter().any(|known| words.contains(known)) {
            std::process::exit(OUT_OF_MEMORY);
        }
    }));
}

/// Does the job of a child and gives its exit code.
fn serve(job: &Job) -> i32 {
    tell_out_of_memory();
    let Ok(confined) = confine(&job.limits) else {
        return 3;
    };
    let mut out = std::io::stdout();
    if out
        .write_all(&confined.encode())
        .and_then(|()| out.flush())
        .is_err()
    {
        return 6;
    }
    let mut bytes = Vec::new();
    if std::io::stdin().lock().read_to_end(&mut bytes).is_err() {
        return 4;
    }
    let (head, lines, native) = match compile_here(job, &bytes) {
        Ok(compiled) => {
            let lines = lines_with_room(&compiled, job.limits.output);
            let head = Head::Compiled {
                description: compiled.description,
                lines: u32::try_from(lines.len()).unwrap_or(u32::MAX),
            };
            (head, lines, Some(compiled.native))
        }
        Err(CompileError::TooComplex(error)) => (Head::Refused(Refusal::TooComplex(error)), Vec::new(), None),
        Err(CompileError::WrongClass(text)) => (Head::Refused(Refusal::WrongClass(text)), Vec::new(), None),
        Err(error) => (Head::Refused(Refusal::Refused(text_of(&error))), Vec::new(), None),
    };
    let Ok(head) = serde_json::to_vec(&head) else {
        return 5;
    };
    let native = native.unwrap_or_default();
    let Ok(length) = u32::try_from(head.len()) else {
        return 5;
    };
    let written = out
        .write_all(&length.to_le_bytes())
        .and_then(|()| out.write_all(&head))
        .and_then(|()| out.write_all(&lines))
        .and_then(|()| native.with(|native| out.write_all(native))?)
        .and_then(|()| out.flush());
    if written.is_ok() { 0 } else { 6 }
}

/// The table of lines, if the answer with it is not too long: nothing is
/// refused because its lines are known.
fn lines_with_room(compiled: &Compiled, most: u64) -> Vec<u8> {
    let description = serde_json::to_vec(&compiled.description).map_or(usize::MAX, |text| text.len());
    let lines = compiled.lines.encode();
    let whole = description
        .saturating_add(compiled.native.with(<[u8]>::len).unwrap_or(usize::MAX))
        .saturating_add(lines.len());
    if whole as u64 > most { Vec::new() } else { lines }
}

fn text_of(error: &CompileError) -> String {
    let text = match error {
        CompileError::Refused(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars().take(ERROR_TEXT).collect()
}

/// What a child said of itself before it read anything.
pub(super) fn confined(answer: &[u8]) -> Option<Confined> {
    Confined::decode(*answer.first_chunk()?)
}

/// Reads a child's whole answer; none if it makes no sense.
pub(super) fn parse(answer: Vec<u8>) -> Option<Outcome> {
    confined(&answer)?;
    let (length, rest) = answer.get(Confined::ENCODED..)?.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_DESCRIPTION {
        return None;
    }
    let head = from_json(rest.get(..length)?)?;
    Some(match head {
        Head::Compiled { description, lines } => {
            let lines_at = Confined::ENCODED + 4 + length;
            let native_at = lines_at + lines as usize;
            let table = answer.get(lines_at..native_at)?;
            Outcome::Compiled(Compiled {
                description,
                lines: LineTable::decode(table)?,
                native: Native::behind(answer, native_at),
            })
        }
        Head::Refused(Refusal::Refused(text)) => Outcome::Refused(CompileError::Refused(text)),
        Head::Refused(Refusal::TooComplex(error)) => Outcome::Refused(error.into()),
        Head::Refused(Refusal::WrongClass(text)) => Outcome::Refused(CompileError::WrongClass(text)),
    })
}

/// Compiles and describes, in this process and without limits but those on
/// types.
pub(super) fn compile_here(job: &Job, bytes: &[u8]) -> Result<Compiled, CompileError> {
    let refused = |error: String| CompileError::Refused(error);
    let pool = PoolSize {
        instances: job.pool_instances,
        memory: usize::try_from(job.pool_memory).unwrap_or(usize::MAX),
    };
    let found = scan(bytes).map_err(|error| refused(error.to_string()))?;
    let class = job.class.unwrap_or_else(|| choose(&found, bytes.len(), pool));
    if found.concurrent && class != EngineClass::Async {
        return Err(CompileError::WrongClass(format!(
            "the component uses WASI 0.3 or async functions, which the engine class {class} does not run; \
             leave the class out or ask for async"
        )));
    }
    let mut needs = found.needs;
    has_room(class, found.concurrent, &needs, pool)?;
    let engine = Engine::new(&compile_config(class)).map_err(|error| refused(format!("{error:#}")))?;
    let component = Component::from_binary(&engine, bytes).map_err(|error| refused(format!("{error:#}")))?;
    // The engine knows which module is handed to whom.
    if let Some(all) = component.resources_required() {
        needs.memories = needs.memories.max(all.num_memories);
        needs.tables = needs.tables.max(all.num_tables);
    }
    if let Err(error) = has_room(class, found.concurrent, &needs, pool) {
        return match (job.class, class) {
            (None, EngineClass::Fast) => {
                let class = Some(EngineClass::Heavy);
                compile_here(&Job { class, ..*job }, bytes)
            }
            _ => Err(error),
        };
    }
    let budget = TypeBudget {
        depth: job.limits.type_depth,
        nodes: job.limits.type_nodes,
    };
    let (exports, imports) = surface(&engine, &component, budget)?;
    let native = component
        .serialize()
        .map_err(|error| refused(format!("{error:#}")))?;
    let description = Description {
        class,
        exports,
        imports,
        wit: wit(bytes),
        needs,
        async_lifted: found.async_lifted,
    };
    if serde_json::to_vec(&description).is_ok_and(|text| text.len() > MAX_DESCRIPTION) {
        return Err(TooComplex::Text(MAX_DESCRIPTION >> 20).into());
    }
    Ok(Compiled {
        description,
        lines: lines(bytes),
        native: Native::behind(native, 0),
    })
}

/// Whether one instance fits into the class's pool, if it has one.
fn has_room(class: EngineClass, concurrent: bool, needs: &Needs, pool: PoolSize) -> Result<(), CompileError> {
    if class == EngineClass::Heavy || fits(needs, pool) {
        return Ok(());
    }
    let advice = match concurrent {
        // No other class runs it.
        true => "it needs that class for WASI 0.3 or async functions, so make it of fewer and smaller ones",
        false => "leave the class out or ask for heavy",
    };
    Err(CompileError::WrongClass(format!(
        "one instance takes {} MiB of memory in {} memories, {} core instances and {} tables, more than the engine \
         class {class} has room for; {advice}",
        needs.memory >> 20,
        needs.memories,
        needs.core_instances,
        needs.tables,
    )))
}

/// The component's world as WIT text. A component that was not made from WIT
/// may have none.
fn wit(bytes: &[u8]) -> Option<String> {
    let decoded = wit_component::decode(bytes).ok()?;
    let mut printer = wit_component::WitPrinter::default();
    let resolve = decoded.resolve();
    let nested: Vec<_> = resolve
        .packages
        .iter()
        .map(|(id, _)| id)
        .filter(|id| *id != decoded.package())
        .collect();
    printer.print(resolve, decoded.package(), &nested).ok()?;
    Some(printer.output.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where no other class runs it, none is recommended.
    #[test]
    fn what_has_no_room_is_told_what_helps() {
        let pool = PoolSize {
            instances: 8,
            ..PoolSize::default()
        };
        let many = Needs {
            core_instances: 9,
            memories: 9,
            ..Needs::default()
        };
        let advice = |class, concurrent| match has_room(class, concurrent, &many, pool) {
            Err(CompileError::WrongClass(text)) => text,
            other => panic!("{other:?}"),
        };
        assert!(advice(EngineClass::Fast, false).contains("ask for heavy"));
        let text = advice(EngineClass::Async, true);
        assert!(
            text.contains("make it of fewer") && !text.contains("heavy"),
            "{text}"
        );
        assert!(has_room(EngineClass::Heavy, false, &many, pool).is_ok());
    }
}

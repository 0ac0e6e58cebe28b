//! What `odeon run` leaves behind besides its result: a core dump, a profile.
//!
//! Owns the two flags. What becomes of the files is said, and changes nothing of
//! what the call comes to.

use std::path::PathBuf;
use std::time::Duration;

use odeon::{DumpRequest, Host, KeepIn, Observation};
use odeon_protocol::{Code, DumpRow, Fault, Kind, MAX_DUMP_TIME, MAX_PROFILE_TIME};

use super::{Args, Context};
use crate::{failure::Failure, output::Done, whereabouts::writable};

/// How long a core dump may take to be written.
const WRITTEN: Duration = Duration::from_secs(30);

/// What is observed of one component, from its first instance on.
pub(super) struct Observed {
    observation: Observation,
    profile: Option<PathBuf>,
}

/// How a run came to its end.
#[derive(Clone, Copy)]
pub(super) enum Ended<'a> {
    /// The call returned.
    Returned,
    /// It was made, and had no result.
    Faulted(&'a Fault),
    /// It was not made.
    NotCalled(&'a Fault),
}

impl Observed {
    /// What the flags ask for, if anything. What cannot be used together, alone or
    /// on this disk is said before anything is loaded.
    pub(super) fn of(args: &Args) -> Done<Option<Self>> {
        if args.core_dump.is_none() && args.profile.is_none() {
            return Ok(None);
        }
        if args.invoke.is_none() {
            return Err(Failure::usage(
                "--core-dump and --profile are of a call: expected one, as in 'add(1, 2)', found none",
            ));
        }
        let wait = args.wait.duration();
        let dumps = match &args.core_dump {
            Some(file) => Some(DumpRequest {
                traps: 1,
                time: wait.min(MAX_DUMP_TIME),
                to: KeepIn::File(writable(file)?),
            }),
            None => None,
        };
        let profile = args.profile.as_deref().map(writable).transpose()?;
        let time = profile.is_some().then(|| wait.min(MAX_PROFILE_TIME));
        Ok(Some(Observed {
            observation: Observation::new(dumps, time),
            profile,
        }))
    }

    /// For the load: the plugin's own `load` is observed too.
    pub(super) fn observation(&self) -> Observation {
        self.observation.clone()
    }

    /// To be called when all has ended. Says what there is and what not.
    pub(super) async fn end(
        &self,
        host: &Host,
        context: &Context,
        warnings: &mut Vec<String>,
        ended: Ended<'_>,
    ) {
        let mut say = |text: String| {
            context.out.say(&format!("note: {text}"));
            warnings.push(text);
        };
        let running = self.observation.profile();
        if let Ended::NotCalled(fault) = ended
            && fault.code != Code::LoadHookFailed
        {
            // No code of it ran.
            return;
        }
        if let (Some(running), Some(file)) = (running, &self.profile) {
            match running.end(KeepIn::File(file.clone())).await {
                Ok(made) => {
                    let left_out = match made.left_out {
                        0 => String::new(),
                        left_out => format!("; {left_out} were left out"),
                    };
                    let (samples, file) = (made.samples, made.file.display());
                    say(format!("a profile of {samples} samples is in {file}{left_out}"));
                    made.warnings.into_iter().for_each(&mut say);
                }
                Err(fault) => say(fault.message),
            }
        }
        if self.observation.dumps().is_none() {
            return;
        }
        match tokio::time::timeout(WRITTEN, host.dumps_written()).await {
            Ok(()) => {
                let rows = self.observation.dumps().unwrap_or_default();
                say(dumped(rows.first(), ended));
            }
            Err(_) => say(format!(
                "the core dump was not written within {} s",
                WRITTEN.as_secs()
            )),
        }
    }
}

/// What became of the core dump, in words that fit the end.
fn dumped(row: Option<&DumpRow>, ended: Ended<'_>) -> String {
    if let Some(DumpRow { file, left_out, .. }) = row {
        return match file {
            Some(file) => format!("its core dump is in {file}"),
            None => format!(
                "it left no core dump: {}",
                left_out.as_deref().unwrap_or("the reason is not known")
            ),
        };
    }
    match ended {
        Ended::Returned => "the call did not trap and left no core dump".to_owned(),
        Ended::NotCalled(_) => "its own load failed without a trap and left no core dump".to_owned(),
        Ended::Faulted(fault) if fault.is_passed_on() => {
            "what stopped is another component beside it, and core dumps are of this one alone: there is none"
                .to_owned()
        }
        Ended::Faulted(fault) if fault.code == Code::GuestExit => {
            "the component ended itself by exit, which is no trap: there is no core dump".to_owned()
        }
        Ended::Faulted(fault) if fault.kind() == Kind::Trapped => format!(
            "the call was stopped ({}) while no code of the component ran, so that there was nothing to put into a core \
             dump",
            fault.code.as_str()
        ),
        Ended::Faulted(fault) => format!(
            "the call ended with {}, which is no trap, and left no core dump",
            fault.code.as_str()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No end of a call is told in the words of another.
    #[test]
    fn the_words_for_no_core_dump_fit_the_end_of_the_call() {
        let fault = |code| Fault::new(code, "it ended");
        let passed_on = fault(Code::Trapped).with_details(serde_json::json!({ "chain": ["a/b"] }));
        for (ended, words) in [
            (Ended::Returned, "did not trap"),
            (Ended::Faulted(&passed_on), "another component"),
            (Ended::Faulted(&fault(Code::GuestExit)), "by exit"),
            (Ended::Faulted(&fault(Code::DeadlineLimit)), "while no code"),
            (Ended::Faulted(&fault(Code::WaitEnded)), "which is no trap"),
            (Ended::NotCalled(&fault(Code::LoadHookFailed)), "own load failed"),
        ] {
            let said = dumped(None, ended);
            assert!(said.contains(words), "{said}");
            let trapped = matches!(ended, Ended::Faulted(fault) if fault.kind() == Kind::Trapped);
            assert!(!trapped || !said.contains("did not trap"), "{said}");
        }
    }
}

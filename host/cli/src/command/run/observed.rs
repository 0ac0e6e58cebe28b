//! What `odeon run` leaves behind besides its result: a core dump, a profile.
//!
//! Owns the two flags. What becomes of the files is said, and changes nothing of
//! what the call comes to.

use std::time::Duration;

use odeon::{DumpRequest, Host, KeepIn, RunningProfile};
use odeon_protocol::{Fault, MAX_DUMP_TIME, MAX_PROFILE_TIME, PluginName};

use super::{Args, Context};
use crate::{failure::Failure, output::Done, whereabouts::absolute};

/// How long a core dump may take to be written.
const WRITTEN: Duration = Duration::from_secs(30);

/// One call that is observed, if that was asked for.
pub(super) struct Observed<'a> {
    host: &'a Host,
    name: &'a PluginName,
    dumps: bool,
    profile: Option<(RunningProfile, KeepIn)>,
}

impl<'a> Observed<'a> {
    /// To be called when nothing of the call runs yet.
    pub(super) async fn begin(host: &'a Host, name: &'a PluginName, args: &Args) -> Done<Self> {
        let wait = args.wait.duration();
        if let Some(file) = &args.core_dump {
            let request = DumpRequest {
                traps: 1,
                time: wait.min(MAX_DUMP_TIME),
                to: KeepIn::File(absolute(file)?),
            };
            host.order_dumps(name, request, host.principal()).await?;
        }
        let profile = match &args.profile {
            Some(file) => {
                let to = KeepIn::File(absolute(file)?);
                let time = wait.min(MAX_PROFILE_TIME);
                Some((host.begin_profile(name, time, host.principal()).await?, to))
            }
            None => None,
        };
        Ok(Observed {
            host,
            name,
            dumps: args.core_dump.is_some(),
            profile,
        })
    }

    /// To be called when the call has ended. Says what there is and what not.
    pub(super) async fn end(&mut self, context: &Context, warnings: &mut Vec<String>) {
        let mut say = |text: String| {
            context.out.say(&format!("note: {text}"));
            warnings.push(text);
        };
        if let Some((profile, to)) = self.profile.take() {
            say(match profile.end(to).await {
                Ok(made) => format!(
                    "a profile of {} samples is in {}{}",
                    made.samples,
                    made.file.display(),
                    match made.left_out {
                        0 => String::new(),
                        left_out => format!("; {left_out} were left out"),
                    }
                ),
                Err(fault) => fault.message,
            });
        }
        if self.dumps {
            say(self.dumped().await.unwrap_or_else(|fault| fault.message));
        }
    }

    async fn dumped(&self) -> Result<String, Fault> {
        if tokio::time::timeout(WRITTEN, self.host.dumps_written())
            .await
            .is_err()
        {
            return Ok(format!(
                "the core dump was not written within {} s",
                WRITTEN.as_secs()
            ));
        }
        let rows = self.host.dumps(self.name)?.dumps;
        Ok(match rows.first() {
            None => "the call did not trap and left no core dump".to_owned(),
            Some(row) => match (&row.file, &row.left_out) {
                (Some(file), _) => format!("its core dump is in {file}"),
                (None, why) => format!("it left no core dump: {}", why.as_deref().unwrap_or("unknown")),
            },
        })
    }
}

/// What cannot be used together or alone is said before anything is loaded.
pub(super) fn check(args: &Args) -> Done {
    let observes = args.core_dump.is_some() || args.profile.is_some();
    match args.invoke {
        None if observes => Err(Failure::usage(
            "--core-dump and --profile are of a call: expected one, as in 'add(1, 2)', found none",
        )),
        _ => Ok(()),
    }
}

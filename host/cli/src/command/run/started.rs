//! The host that one call runs in.
//!
//! Owns what of the state directory it uses: one that was named has to be usable,
//! the default one may be read-only, or nowhere.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use odeon::{CompileChild, Compiler, Host, PoolSize};
use odeon_authority::Principal;
use odeon_protocol::{Code, Fault};

use super::{Context, environment};
use crate::{
    command::check::INSTANCES,
    failure::Failure,
    guest_lines::GuestLines,
    output::Done,
    whereabouts::{VERSIONS, Whereabouts, make_private, policy_of},
};

/// A host for one call.
pub(super) struct Started {
    pub(super) host: Host,
    /// It keeps something in a state directory.
    pub(super) keeps: bool,
    /// Why nothing is written down, if it is not.
    pub(super) note: Option<String>,
}

/// A host. Another process may hold a lock in the state directory, so that it is
/// waited for like everything else.
pub(super) async fn started(context: &Context, child: CompileChild, until: Instant) -> Done<Started> {
    let whereabouts = context.whereabouts.clone();
    let starting = tokio::task::spawn_blocking(move || start(&whereabouts, child));
    match tokio::time::timeout_at(until.into(), starting).await {
        Ok(Ok(started)) => {
            if let Ok(Started { note: Some(note), .. }) = &started {
                context.out.say(&format!("note: {note}"));
            }
            started
        }
        Ok(Err(_)) => Err(Failure::new(Code::Internal, "the host broke off at its start")),
        Err(_) => Err(Failure::new(
            Code::WaitEnded,
            "the state directory was not free in time: another process holds a lock there",
        )
        .helped("`fuser -v` on the *.lock files of the state directory names it")),
    }
}

fn start(whereabouts: &Whereabouts, child: CompileChild) -> Done<Started> {
    let me = Principal::LocalUser {
        uid: rustix::process::getuid().as_raw(),
    };
    let builder = Host::builder(Compiler::ThisProgram(child))
        .one_shot()
        .workers(1)
        .pool(PoolSize {
            instances: INSTANCES,
            ..PoolSize::default()
        })
        .principal(me)
        .environment(environment())
        .log_sink(Arc::new(GuestLines));
    let (builder, note) = match usable_state(whereabouts)? {
        State::Usable(folder) => (builder.state_dir(folder), None),
        State::ReadOnly(folder) => {
            let why = format!("{} cannot be written", folder.display());
            let builder = builder
                .trust_policy(policy_of(&folder)?)
                .known_versions(folder.join(VERSIONS));
            (builder, Some(why))
        }
        State::None(why) => (builder, Some(why)),
    };
    Ok(Started {
        host: builder.start().map_err(Fault::from)?,
        keeps: note.is_none(),
        note: note.map(|why| {
            format!("{why}, so this run is in no audit, and nothing of it is cached; see --state")
        }),
    })
}

enum State {
    Usable(PathBuf),
    ReadOnly(PathBuf),
    /// There is none, and why.
    None(String),
}

/// The state directory as far as it can be used. One that was named has to be
/// usable; the default one may be read-only, or nowhere.
fn usable_state(whereabouts: &Whereabouts) -> Done<State> {
    if whereabouts.named_state().is_some() {
        return Ok(State::Usable(whereabouts.made_state_dir()?));
    }
    let Some(folder) = whereabouts.state_dir() else {
        let why = "there is no HOME and no XDG_STATE_HOME to keep a state directory in";
        return Ok(State::None(why.to_owned()));
    };
    if !folder.is_dir() {
        return Ok(match make_private(&folder) {
            Ok(()) => State::Usable(folder),
            Err(failure) => State::None(failure.fault.message),
        });
    }
    if is_writable(&folder) {
        make_private(&folder)?;
        return Ok(State::Usable(folder));
    }
    Ok(State::ReadOnly(folder))
}

fn is_writable(folder: &Path) -> bool {
    use rustix::fs::Access;
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

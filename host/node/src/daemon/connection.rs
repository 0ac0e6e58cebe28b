//! One connection of a peer.
//!
//! Owns the socket, reading and writing, and the times that a peer may take,
//! all in one task. What a message asks for is the desk's matter.
//!
//! **Invariant:** nothing is taken in while the peer has not read what there is
//! for it, and no connection holds its worker for longer than a turn.

use std::sync::Arc;
use std::time::Duration;

use odeon_authority::Principal;
use odeon_protocol::{Code, Fault};
use tokio::net::UnixStream;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::desk::Desk;
use super::inbox::Inbox;
use super::places::{Place, Places};

/// What a peer has to read within the write timeout, if there is as much.
const PROGRESS: usize = 64 << 10;
/// The longest time that is counted; more is as good as for ever.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

pub(super) struct Connection {
    stream: UnixStream,
    desk: Desk,
    place: Place,
}

/// Why a peer of this user is not served by a host of that one.
fn stranger(uid: u32, me: u32) -> Option<Fault> {
    (uid != me && uid != 0).then(|| {
        let message = format!("this host answers uid {me} and root, found uid {uid}");
        Fault::new(Code::PrincipalDenied, message)
    })
}

impl Connection {
    /// Looks at who is there. A stranger is turned away, and whoever comes
    /// when there is no place left.
    pub(super) fn admit(stream: UnixStream, shared: &Arc<Shared>, places: &Places) -> Option<Self> {
        let me = rustix::process::geteuid().as_raw();
        let uid = match stream.peer_cred() {
            Ok(peer) => peer.uid(),
            Err(error) => {
                tracing::warn!(%error, "a peer without credentials was turned away");
                return None;
            }
        };
        let place = places.take();
        let reserved = place.as_ref().is_some_and(|place| place.reserved);
        let mut desk = Desk::new(shared.clone(), Principal::LocalUser { uid }, reserved);
        if let Some(fault) = stranger(uid, me) {
            tracing::warn!(uid, "a peer of another user was turned away");
            desk.refuse(&fault);
        }
        match place {
            Some(place) => Some(Connection { stream, desk, place }),
            None => {
                desk.refuse(&super::desk::no_place());
                desk.out.say_at_once(stream);
                None
            }
        }
    }

    /// Serves the peer until it goes, breaks the protocol, does not read,
    /// wants nothing for too long, or the daemon says farewell.
    pub(super) async fn run(self, farewell: CancellationToken) {
        let Connection {
            mut stream,
            mut desk,
            place,
        } = self;
        let (mut reader, writer) = stream.split();
        let shared = desk.shared.clone();
        let config = &shared.config;
        let (grace, patience) = (config.handshake.min(LONGEST), config.write_timeout.min(LONGEST));
        // A place that is kept for operators is not kept for idle ones.
        let may_idle = if place.reserved {
            grace
        } else {
            config.idle.min(LONGEST)
        };
        let farewell = farewell.cancelled_owned();
        let (greeting, idle, arrival, stalled) =
            (sleep(grace), sleep(may_idle), sleep(grace), sleep(patience));
        tokio::pin!(farewell, greeting, idle, arrival, stalled);
        let mut inbox = Inbox::new(desk.account.share());
        let mut written = 0_usize;
        let mut behind = false;
        let mut active = Instant::now();
        loop {
            desk.work_off(&mut inbox);
            match desk.out.write_to(writer.as_ref()) {
                Ok(count) => written = written.saturating_add(count),
                Err(_) => return,
            }
            if desk.out.is_empty() {
                behind = false;
            } else if !behind || written >= PROGRESS {
                behind = true;
                written = 0;
                put_off(stalled.as_mut(), Instant::now(), patience);
            }
            if desk.is_done() {
                return;
            }
            let takes = desk.takes();
            let more = takes && !inbox.is_empty();
            let reading = takes && inbox.is_empty();
            let due = inbox.due(reading, grace);
            if let Some(due) = due
                && arrival.deadline() != due
            {
                arrival.as_mut().reset(due);
            }
            let waits = desk.waits();
            let at_rest = !waits && desk.out.is_empty() && !shared.is_stopping();
            tokio::select! {
                biased;
                () = &mut farewell, if !desk.closing => desk.close(),
                true = desk.next(), if waits => active = Instant::now(),
                ready = writer.writable(), if behind => {
                    if ready.is_err() {
                        return;
                    }
                    active = Instant::now();
                }
                read = inbox.fill(&mut reader), if reading => {
                    // Whoever does not send any more does not wait for answers either.
                    if read.is_ok_and(|count| count > 0) {
                        active = Instant::now();
                    } else {
                        return;
                    }
                }
                // The others on this worker come first.
                () = tokio::task::yield_now(), if more => {}
                () = &mut greeting, if !desk.greeted && !desk.closing => {
                    desk.violated(&format!("a hello within {} ms", grace.as_millis()));
                }
                () = &mut arrival, if due.is_some() && reading => {
                    desk.violated("a message that arrives whole and without a long pause");
                }
                () = &mut idle, if at_rest => {
                    if active.elapsed() >= may_idle {
                        tracing::debug!(principal = %desk.principal, "a peer that wanted nothing was disconnected");
                        return;
                    }
                    put_off(idle.as_mut(), active, may_idle);
                }
                () = &mut stalled, if behind => {
                    tracing::info!(principal = %desk.principal, "a peer that does not read was disconnected");
                    return;
                }
            }
        }
    }
}

/// Has a timer end that long after `from`.
fn put_off(timer: std::pin::Pin<&mut Sleep>, from: Instant, time: Duration) {
    timer.reset(from.checked_add(time).unwrap_or(from));
}

#[cfg(test)]
mod tests {
    use super::{Code, stranger};

    /// Where the tests do not run as root, this is all there is; where they do,
    /// a peer of another user is turned away in `tests/suites/node/peers.rs`.
    #[test]
    fn a_peer_is_the_hosts_own_user_or_root() {
        for (uid, me) in [(0, 0), (1000, 1000), (0, 1000)] {
            assert!(stranger(uid, me).is_none(), "{uid} {me}");
        }
        for (uid, me) in [(1000, 0), (1001, 1000), (u32::MAX, 1000)] {
            let fault = stranger(uid, me);
            assert!(
                fault.is_some_and(|fault| fault.code == Code::PrincipalDenied),
                "{uid} {me}"
            );
        }
    }
}

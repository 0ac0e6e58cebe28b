//! A guest that keeps what it opened, a directory, and peers.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use odeon_authority::GrantSet;
use odeon_runtime::{Grants, Plugin};
use odeon_tests::runtime::{Spec, call, runtime, span, spec};
use tempfile::TempDir;

/// The guest.
pub(crate) const GUEST: &str = "guest-holder";

/// The plugin as resident, so that what it keeps stays, with these grants.
pub(crate) async fn resident(grants: &[&str]) -> (Plugin, Spec) {
    let spec = with(spec().resident(), grants);
    (spec.load(&runtime(), GUEST).await, spec)
}

pub(crate) fn with(spec: Spec, grants: &[&str]) -> Spec {
    let spec = spec
        .name("b")
        .limits(|limits| limits.deadline = span(Duration::from_secs(20)));
    grants.iter().fold(spec, |spec, grant| spec.grant(grant))
}

/// These grants, with the values that the variables among them have.
pub(crate) fn grants<T: AsRef<str>>(texts: &[T]) -> Grants {
    let set = GrantSet::parse(texts.iter().map(AsRef::as_ref)).unwrap();
    let values = set.env.iter();
    Grants {
        env: values
            .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
            .collect(),
        set,
        ..Grants::default()
    }
}

/// What a call gave back; a refused use is never a fault.
#[track_caller]
pub(crate) fn told(plugin: &Plugin, invocation: &str) -> impl Future<Output = String> + use<> {
    let (plugin, invocation) = (plugin.clone(), invocation.to_owned());
    async move {
        match call(&plugin, &invocation).await {
            Ok(answer) => answer,
            Err(fault) => panic!("{invocation}: {fault}"),
        }
    }
}

/// A directory with the file `hello` in it.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("hello"), "hello").unwrap();
        Folder(dir)
    }

    /// It as the guest's `/data`.
    pub(crate) fn grant(&self, access: &str) -> String {
        format!("fs={}::/data{access}", self.0.path().display())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }
}

/// What the guest gives back that has read `hello`.
pub(crate) const HELLO: &str = "ok([104, 101, 108, 108, 111])";

/// What a peer says to whoever sends it something.
#[derive(Clone, Copy)]
enum Says {
    Nothing,
    /// The answer to a request over HTTP, with nothing in it; then it leaves.
    Answer,
    /// The beginning of one.
    Beginning,
}

/// A peer that counts what comes.
pub(crate) struct Peer {
    listener: TcpListener,
    bytes: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

impl Peer {
    /// Answers every request over HTTP if it is to, with nothing in it.
    pub(crate) fn new(answers: bool) -> Self {
        Peer::saying(if answers { Says::Answer } else { Says::Nothing })
    }

    /// Begins to answer a request over HTTP when that begins, and goes on taking
    /// what comes.
    pub(crate) fn that_begins_to_answer() -> Self {
        Peer::saying(Says::Beginning)
    }

    fn saying(says: Says) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (bytes, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let accepted = listener.try_clone().unwrap();
        let (counted, ended) = (bytes.clone(), closed.clone());
        std::thread::spawn(move || {
            for stream in accepted.incoming().map_while(Result::ok) {
                let (counted, ended) = (counted.clone(), ended.clone());
                std::thread::spawn(move || serve(stream, says, &counted, &ended));
            }
        });
        Peer {
            listener,
            bytes,
            closed,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::SeqCst)
    }

    /// How many connections were closed at the other end.
    pub(crate) fn closed(&self) -> usize {
        self.closed.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, says: Says, bytes: &AtomicUsize, closed: &AtomicUsize) {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const BEGINNING: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nx";
    let mut buffer = [0; 4096];
    let mut silent = true;
    while let Ok(read) = stream.read(&mut buffer) {
        if read == 0 {
            break;
        }
        bytes.fetch_add(read, Ordering::SeqCst);
        match says {
            Says::Answer => {
                drop(stream.write_all(ANSWER.as_bytes()));
                break;
            }
            Says::Beginning if silent => {
                drop(stream.write_all(BEGINNING.as_bytes()));
                silent = false;
            }
            Says::Beginning | Says::Nothing => {}
        }
    }
    closed.fetch_add(1, Ordering::SeqCst);
}

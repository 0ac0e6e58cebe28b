//! `socket-call`: a call over the control socket, each on a fresh instance,
//! beside a frame that is only sent back, and a bare fresh call.

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use odeon::daemon::{self, DaemonConfig};
use odeon_authority::InstanceMode;
use odeon_protocol::{
    Envelope, Fingerprint, FrameDecoder, Hello, MAX_BODY, MessageKind, Serial, encode_frame, max_frame,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::fresh::{ARGS, SUM, bare};
use super::host::Stage;
use super::measure::{Effort, median};
use super::{Row, row};

const ROUNDS: usize = 300;

/// Turns of one sample.
const TURNS: u32 = 32;

pub(super) fn rows(effort: Effort) -> Vec<Row> {
    let stage = Stage::new(2);
    stage.load_echo("echo", InstanceMode::Fresh);
    let fingerprint = stage.host.method("echo/add").expect("the method").fingerprint();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("echo");
    let host = stage.host.clone();
    let measuring = async move {
        let config = DaemonConfig {
            signals: false,
            ..DaemonConfig::default()
        };
        let daemon = daemon::serve(host, config).await.expect("a daemon");
        let mut caller = Caller::connect(daemon.socket(), fingerprint).await;
        let (mut echo, _server) = echo(&path).await;
        let mut fresh = bare();
        let payload = Bytes::from(caller.request(Serial::new()));
        let (mut calls, mut echoes, mut fresh_calls) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..effort.rounds(ROUNDS) + 1 {
            let began = Instant::now();
            for _ in 0..TURNS {
                caller.call().await;
            }
            let called = each(began);
            let began = Instant::now();
            for _ in 0..TURNS {
                echo.send(payload.clone()).await.expect("it is sent");
                let back = echo.next().await.expect("an answer").expect("a frame");
                assert_eq!(back.len(), payload.len());
            }
            let echoed = each(began);
            let began = Instant::now();
            (0..TURNS).for_each(|_| fresh());
            let made = each(began);
            // The first round makes what the others find.
            if round > 0 {
                calls.push(called);
                echoes.push(echoed);
                fresh_calls.push(made);
            }
        }
        daemon.stop(Some(std::time::Duration::ZERO));
        daemon.stopped().await.expect("the daemon stops");
        (median(calls), median(echoes) + median(fresh_calls))
    };
    // On a worker of the runtime, as the server's tasks are.
    let numbers = stage
        .tokio
        .block_on(stage.tokio.spawn(measuring))
        .expect("the measuring task");
    vec![row(
        "socket-call",
        "ns",
        numbers,
        "bare length-delimited echo + raw fresh call",
    )]
}

fn each(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e9 / f64::from(TURNS)
}

/// A client of the control socket.
struct Caller {
    stream: UnixStream,
    decoder: FrameDecoder,
    fingerprint: Fingerprint,
    input: Vec<u8>,
    frame: Vec<u8>,
}

impl Caller {
    async fn connect(socket: &Path, fingerprint: Fingerprint) -> Self {
        let stream = UnixStream::connect(socket).await.expect("a connection");
        let decoder = FrameDecoder::new(max_frame(MAX_BODY));
        let mut caller = Caller {
            stream,
            decoder,
            fingerprint,
            input: vec![0; 4096],
            frame: Vec::new(),
        };
        let body = Hello::new("bench").encode().expect("a greeting");
        let hello = Envelope {
            body: &body,
            ..Envelope::new(MessageKind::Hello, Serial::new())
        };
        caller.send(&hello).await;
        caller
            .receive(|reply| assert_eq!(reply.kind, MessageKind::Hello))
            .await;
        caller
    }

    /// The bytes of a call's envelope.
    fn request(&self, id: Serial) -> Vec<u8> {
        let mut payload = Vec::new();
        self.envelope(id).encode(&mut payload).expect("an envelope");
        payload
    }

    fn envelope(&self, id: Serial) -> Envelope<'static> {
        Envelope {
            target: Some("echo/add"),
            fingerprint: Some(self.fingerprint),
            body: &ARGS,
            ..Envelope::new(MessageKind::Call, id)
        }
    }

    async fn call(&mut self) {
        let id = Serial::new();
        let envelope = self.envelope(id);
        self.send(&envelope).await;
        self.receive(|reply| {
            assert_eq!(
                (reply.kind, reply.id, reply.fault),
                (MessageKind::Reply, id, None)
            );
            assert_eq!(reply.body, SUM);
        })
        .await;
    }

    async fn send(&mut self, envelope: &Envelope<'_>) {
        let mut payload = Vec::new();
        envelope.encode(&mut payload).expect("an envelope");
        self.frame.clear();
        encode_frame(&mut self.frame, max_frame(MAX_BODY), &payload).expect("a frame");
        self.stream.write_all(&self.frame).await.expect("it is sent");
    }

    /// One answer: nothing else is under way on this connection.
    async fn receive(&mut self, look: impl FnOnce(&Envelope<'_>)) {
        loop {
            let read = self.stream.read(&mut self.input).await.expect("an answer");
            assert!(read > 0, "the host closed the connection");
            let mut rest = &self.input[..read];
            if let Some(frame) = self.decoder.next_frame(&mut rest).expect("a frame") {
                look(&Envelope::decode(frame).expect("an envelope"));
                assert!(rest.is_empty(), "one answer was asked for");
                return;
            }
        }
    }
}

type Frames = Framed<UnixStream, LengthDelimitedCodec>;

/// A connection to a task that sends every frame back.
async fn echo(path: &Path) -> (Frames, tokio::task::JoinSet<()>) {
    let listener = UnixListener::bind(path).expect("a socket");
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut frames = Framed::new(stream, LengthDelimitedCodec::new());
        while let Some(Ok(frame)) = frames.next().await {
            if frames.send(frame.freeze()).await.is_err() {
                return;
            }
        }
    });
    let stream = UnixStream::connect(path).await.expect("a connection");
    (Framed::new(stream, LengthDelimitedCodec::new()), server)
}

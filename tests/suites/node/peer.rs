//! A peer of a daemon, that can be as well or as badly behaved as a test wants.

use std::path::Path;
use std::time::Duration;

use odeon::{Code, Fault};
use odeon_protocol::{
    AdminReply, AdminRequest, Envelope, FrameDecoder, Generation, Hello, MAX_BODY, MessageKind, Serial,
    encode_frame, max_frame,
};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

pub(crate) struct Peer {
    pub(crate) stream: UnixStream,
    decoder: FrameDecoder,
    input: Vec<u8>,
}

/// An envelope that has been read.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) id: Serial,
    pub(crate) kind: MessageKind,
    pub(crate) body: Vec<u8>,
    pub(crate) fault: Option<Fault>,
    pub(crate) user_data: Option<String>,
    pub(crate) generation: Option<Generation>,
    pub(crate) more: bool,
}

impl Peer {
    /// Connects and introduces itself.
    pub(crate) async fn greeted(socket: &Path) -> Self {
        let mut peer = Peer::silent(socket).await;
        assert!(peer.greets().await, "a hello");
        peer
    }

    /// Introduces itself; whether the daemon does too.
    pub(crate) async fn greets(&mut self) -> bool {
        let body = Hello::new("test/1").encode().unwrap();
        let mut hello = Envelope::new(MessageKind::Hello, Serial::new());
        hello.body = &body;
        let mut frame = Vec::new();
        hello.encode_frame(&mut frame, max_frame(MAX_BODY)).unwrap();
        // Who is turned away may find nobody to write to.
        self.stream.write_all(&frame).await.ok();
        self.next()
            .await
            .is_some_and(|answer| answer.kind == MessageKind::Hello)
    }

    /// Connects and says nothing.
    pub(crate) async fn silent(socket: &Path) -> Self {
        Peer::over(UnixStream::connect(socket).await.expect("the daemon accepts"))
    }

    /// On a connection that somebody made.
    pub(crate) fn over(stream: UnixStream) -> Self {
        Peer {
            stream,
            decoder: FrameDecoder::new(max_frame(MAX_BODY)),
            input: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, envelope: &Envelope<'_>) {
        let mut frame = Vec::new();
        envelope
            .encode_frame(&mut frame, max_frame(MAX_BODY))
            .expect("an envelope that can be sent");
        self.stream.write_all(&frame).await.expect("the daemon reads");
    }

    /// Sends bytes as a frame of their own.
    pub(crate) async fn send_payload(&mut self, payload: &[u8]) {
        let mut frame = Vec::new();
        encode_frame(&mut frame, max_frame(MAX_BODY), payload).unwrap();
        self.stream.write_all(&frame).await.expect("the daemon reads");
    }

    /// The next envelope; none when the daemon has closed the connection.
    pub(crate) async fn next(&mut self) -> Option<Seen> {
        tokio::time::timeout(Duration::from_secs(10), self.read())
            .await
            .expect("an envelope or the end")
    }

    async fn read(&mut self) -> Option<Seen> {
        loop {
            let input = std::mem::take(&mut self.input);
            let mut rest = &input[..];
            let found = self
                .decoder
                .next_frame(&mut rest)
                .expect("the daemon sends frames")
                .map(|payload| {
                    let envelope = Envelope::decode(payload).expect("the daemon sends envelopes");
                    Seen {
                        id: envelope.id,
                        kind: envelope.kind,
                        body: envelope.body.to_vec(),
                        fault: envelope.read_fault().unwrap(),
                        user_data: envelope.user_data.map(str::to_owned),
                        generation: envelope.generation,
                        more: envelope.more,
                    }
                });
            self.input = rest.to_vec();
            if found.is_some() {
                return found;
            }
            let mut chunk = vec![0; 64 << 10];
            match self.stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// A call that wants nothing but its reply.
    pub(crate) async fn call(&mut self, target: &str, args: &[u8]) -> Seen {
        let id = self.begin(target, args).await;
        let reply = self.next().await.expect("a reply");
        assert_eq!((reply.id, reply.kind), (id, MessageKind::Reply));
        reply
    }

    /// Sends a call and does not wait.
    pub(crate) async fn begin(&mut self, target: &str, args: &[u8]) -> Serial {
        let mut call = Envelope::new(MessageKind::Call, Serial::new());
        call.target = Some(target);
        call.body = args;
        self.send(&call).await;
        call.id
    }

    /// Sends a call with user data and does not wait.
    pub(crate) async fn begin_with(&mut self, target: &str, args: &[u8], data: &str) -> Serial {
        let mut call = Envelope::new(MessageKind::Call, Serial::new());
        call.target = Some(target);
        call.body = args;
        call.user_data = Some(data);
        self.send(&call).await;
        call.id
    }

    /// Sends many calls at once and does not wait.
    pub(crate) async fn flood(&mut self, target: &str, args: &[u8], calls: usize) -> Vec<Serial> {
        let mut frames = Vec::new();
        let mut ids = Vec::new();
        for _ in 0..calls {
            let mut call = Envelope::new(MessageKind::Call, Serial::new());
            call.target = Some(target);
            call.body = args;
            call.encode_frame(&mut frames, max_frame(MAX_BODY)).unwrap();
            ids.push(call.id);
        }
        self.stream.write_all(&frames).await.expect("the daemon reads");
        ids
    }

    /// Sends the head of a message of that many bytes.
    pub(crate) async fn announce(&mut self, length: usize) {
        let head = u32::try_from(length).unwrap().to_le_bytes();
        self.stream.write_all(&head).await.expect("the daemon reads");
    }

    /// Sends zeros as one message of that many bytes. Whether the daemon looked
    /// at them, which ends the connection too.
    pub(crate) async fn is_taken(&mut self, length: usize) -> bool {
        self.announce(length).await;
        // The daemon may close while this is written.
        self.stream.write_all(&vec![0; length]).await.ok();
        let fault = self.next().await.expect("a fault").fault.unwrap();
        fault.code != Code::MessageTooLarge
    }

    pub(crate) async fn admin<T: DeserializeOwned>(&mut self, request: &AdminRequest) -> Result<T, Fault> {
        let body = request.to_json().unwrap();
        let mut envelope = Envelope::new(MessageKind::Admin, Serial::new());
        envelope.body = &body;
        self.send(&envelope).await;
        let answer = self.next().await.expect("an answer");
        assert_eq!((answer.id, answer.kind), (envelope.id, MessageKind::AdminReply));
        AdminReply::from_json(&answer.body)
            .expect("an answer of this type")
            .into_result()
    }
}

/// Two numbers as arguments.
pub(crate) fn two(a: u32, b: u32) -> Vec<u8> {
    [a.to_le_bytes(), b.to_le_bytes()].concat()
}

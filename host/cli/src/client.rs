//! The client's end of the control socket.
//!
//! Owns the greeting, frames, and which answer belongs to which request. One
//! client has one connection and one thing to do; it holds no plugin's types.

use std::{io, path::Path, time::Duration};

use odeon::io_words;
use odeon_protocol::{
    AdminReply, AdminRequest, Code, Envelope, Fault, FrameDecoder, FrameError, Generation, Hello, MAX_BODY,
    MessageKind, Serial, max_frame,
};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::{failure::Failure, output::Done};

/// How long a host may take to greet back.
const GREETING: Duration = Duration::from_secs(5);
const READ: usize = 64 * 1024;

/// A connection to a host.
pub(crate) struct Client {
    stream: UnixStream,
    decoder: FrameDecoder,
    /// What was read and not looked at, from `taken` on.
    input: Vec<u8>,
    taken: usize,
}

/// A message of the host's.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: Serial,
    pub(crate) kind: MessageKind,
    pub(crate) body: Vec<u8>,
    pub(crate) fault: Option<Fault>,
    pub(crate) generation: Option<Generation>,
    pub(crate) elapsed_us: Option<u64>,
    pub(crate) progress: Option<Progress>,
    pub(crate) more: bool,
    /// What the caller gave along, as the host repeats it.
    pub(crate) data: Option<serde_json::Value>,
}

/// How far a request is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Progress {
    pub(crate) completed: u64,
    pub(crate) total: Option<u64>,
    pub(crate) details: String,
}

impl Client {
    /// Connects to the host at this socket and greets it.
    pub(crate) async fn connect(socket: &Path) -> Done<Self> {
        let stream = UnixStream::connect(socket)
            .await
            .map_err(|error| no_host(socket, &error))?;
        let decoder = FrameDecoder::new(max_frame(MAX_BODY));
        let mut client = Client {
            stream,
            decoder,
            input: Vec::new(),
            taken: 0,
        };
        match tokio::time::timeout(GREETING, client.greet()).await {
            Ok(greeted) => greeted?,
            Err(_) => {
                let message = format!(
                    "{} took the connection, but did not greet within {} s: the host there is busy, or it is no host",
                    socket.display(),
                    GREETING.as_secs()
                );
                return Err(Failure::new(Code::ConnectionLost, message)
                    .helped("the host serves 256 connections at a time; try again, or look at its log"));
            }
        }
        Ok(client)
    }

    async fn greet(&mut self) -> Done {
        let body = Hello::new(concat!("odeon ", env!("CARGO_PKG_VERSION"))).encode()?;
        self.send(&Envelope {
            body: &body,
            ..Envelope::new(MessageKind::Hello, Serial::new())
        })
        .await?;
        let message = self.receive().await?;
        match (message.kind, message.fault) {
            (MessageKind::Hello, _) => {
                Hello::decode(&message.body)?;
                Ok(())
            }
            (_, Some(fault)) => Err(fault.into()),
            (kind, None) => Err(unexpected(kind)),
        }
    }

    /// Sends one message.
    pub(crate) async fn send(&mut self, envelope: &Envelope<'_>) -> Done {
        let mut frame = Vec::new();
        envelope.encode_frame(&mut frame, max_frame(MAX_BODY))?;
        self.stream.write_all(&frame).await.map_err(|error| lost(&error))
    }

    /// The next message. Cancellation safe.
    pub(crate) async fn receive(&mut self) -> Done<Message> {
        loop {
            let mut rest = self.input.get(self.taken..).unwrap_or_default();
            let frame = self
                .decoder
                .next_frame(&mut rest)
                .map_err(|error| garbled(&error))?;
            let message = match frame {
                Some(frame) => Some(Message::read(frame)?),
                None => None,
            };
            self.taken = self.input.len().saturating_sub(rest.len());
            if let Some(message) = message {
                return Ok(message);
            }
            self.input.clear();
            self.taken = 0;
            self.input.reserve(READ);
            let read = self
                .stream
                .read_buf(&mut self.input)
                .await
                .map_err(|error| lost(&error))?;
            if read == 0 {
                self.decoder.finish().map_err(|error| garbled(&error))?;
                return Err(Failure::new(
                    Code::ConnectionLost,
                    "the host closed the connection before it answered",
                ));
            }
        }
    }

    /// The next message about this request.
    pub(crate) async fn receive_about(&mut self, id: Serial) -> Done<Message> {
        loop {
            let message = self.receive().await?;
            if message.id == id {
                return Ok(message);
            }
            // The host ends a connection with a fault that is about no request.
            if let Some(fault) = message.fault {
                return Err(fault.into());
            }
        }
    }

    /// Asks the host as an operator, for one answer.
    pub(crate) async fn admin<T: DeserializeOwned>(&mut self, request: &AdminRequest) -> Done<T> {
        let id = self.admin_begin(request).await?;
        let (answer, _) = self.admin_next(id).await?;
        Ok(answer)
    }

    /// Asks the host as an operator, for a stream of answers.
    pub(crate) async fn admin_begin(&mut self, request: &AdminRequest) -> Done<Serial> {
        let id = Serial::new();
        let body = request.to_json()?;
        self.send(&Envelope {
            body: &body,
            ..Envelope::new(MessageKind::Admin, id)
        })
        .await?;
        Ok(id)
    }

    /// The next answer to that, and whether more follow. Cancellation safe.
    pub(crate) async fn admin_next<T: DeserializeOwned>(&mut self, id: Serial) -> Done<(T, bool)> {
        let message = self.receive_about(id).await?;
        match message {
            Message {
                kind: MessageKind::AdminReply,
                body,
                more,
                ..
            } => {
                let answer = AdminReply::<T>::from_json(&body)?.into_result()?;
                Ok((answer, more))
            }
            Message {
                fault: Some(fault), ..
            } => Err(fault.into()),
            Message { kind, .. } => Err(unexpected(kind)),
        }
    }

    /// Tells the host that this request is to end.
    pub(crate) async fn cancel(&mut self, id: Serial) -> Done {
        self.send(&Envelope::new(MessageKind::Cancel, id)).await
    }

    /// Waits until the host has closed the connection.
    pub(crate) async fn closed(&mut self) {
        while self.receive().await.is_ok() {}
    }
}

impl Message {
    fn read(frame: &[u8]) -> Done<Self> {
        let envelope = Envelope::decode(frame)?;
        Ok(Message {
            id: envelope.id,
            kind: envelope.kind,
            body: envelope.body.to_vec(),
            fault: envelope.read_fault()?,
            generation: envelope.generation,
            elapsed_us: envelope.elapsed_us,
            progress: envelope.progress.map(|progress| Progress {
                completed: progress.completed,
                total: progress.total,
                details: progress.details.to_owned(),
            }),
            more: envelope.more,
            data: envelope
                .user_data
                .and_then(|text| serde_json::from_str(text).ok()),
        })
    }
}

/// A message that has no place here.
pub(crate) fn unexpected(kind: MessageKind) -> Box<Failure> {
    Failure::new(
        Code::ProtocolViolation,
        format!(
            "the host sent a message of kind {} where an answer was expected",
            kind.as_str()
        ),
    )
}

/// Bytes of the other side that are no messages of this protocol: whoever it is,
/// nothing that the user gave was too long.
fn garbled(error: &FrameError) -> Box<Failure> {
    Failure::new(
        Code::ProtocolViolation,
        format!("expected a host's messages, found something else: {error}"),
    )
    .helped("is another program listening at the socket? See --socket and --state")
}

fn lost(error: &io::Error) -> Box<Failure> {
    Failure::new(
        Code::ConnectionLost,
        format!("the connection to the host was lost: {}", io_words(error)),
    )
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    path.metadata()
        .is_ok_and(|metadata| metadata.file_type().is_socket())
}

fn no_host(socket: &Path, error: &io::Error) -> Box<Failure> {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        io::ErrorKind::ConnectionRefused if is_socket(socket) => "its host is gone".to_owned(),
        io::ErrorKind::ConnectionRefused => "expected a socket, found another file".to_owned(),
        io::ErrorKind::PermissionDenied => {
            let message = format!(
                "{}: this user may not connect to the host there",
                socket.display()
            );
            return Failure::new(Code::PrincipalDenied, message);
        }
        // The system queues a few connections that nobody has taken yet.
        io::ErrorKind::WouldBlock => {
            let message = format!(
                "{}: the host there takes no more connections now",
                socket.display()
            );
            return Failure::new(Code::Overloaded, message).helped("try again when others are done");
        }
        _ => io_words(error),
    };
    Failure::new(
        Code::NoHost,
        format!("no host answers at {}: {why}", socket.display()),
    )
    .helped("start one with `odeon serve`, or name its socket with --socket PATH or --state DIR")
}

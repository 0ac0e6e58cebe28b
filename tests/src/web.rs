//! An HTTP/1.1 client that sends what it is told to, and reads no more than
//! there is: for tests that send what no client should, and for load.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long anything may take here.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The longest message that is read, in bytes.
const MOST: usize = 64 << 20;

/// One connection.
pub struct Client<S = TcpStream> {
    stream: S,
    /// What came and was not looked at yet.
    ahead: Vec<u8>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its header fields, names in lower case.
    pub fields: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// The fields behind its body.
    pub trailers: Vec<(String, String)>,
}

impl Answer {
    /// The first field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// Its body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of the fault that it carries.
    pub fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).expect("a fault is JSON");
        body["fault"]["code"]
            .as_str()
            .expect("a fault has a code")
            .to_owned()
    }

    /// Whether the connection is closed after it.
    pub fn closes(&self) -> bool {
        self.field("connection") == Some("close")
    }
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    ///
    /// When that does not work.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Client::over(stream)
    }

    /// The connection itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Client<S> {
    /// Over this connection.
    pub fn over(stream: S) -> Self {
        Client {
            stream,
            ahead: Vec::new(),
        }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// When nobody is there.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        within(self.stream.write_all(bytes)).await
    }

    /// Asks with GET.
    ///
    /// # Errors
    ///
    /// When there is no whole answer.
    pub async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())
            .await?;
        self.answer().await
    }

    /// Sends a body of known length.
    ///
    /// # Errors
    ///
    /// When there is no whole answer.
    pub async fn post(&mut self, path: &str, body: &[u8]) -> io::Result<Answer> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.send(&bytes).await?;
        self.answer().await
    }

    /// Sends a body in pieces.
    ///
    /// # Errors
    ///
    /// When there is no whole answer.
    pub async fn post_pieces(&mut self, path: &str, pieces: &[&[u8]]) -> io::Result<Answer> {
        let head = format!("POST {path} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        self.send(head.as_bytes()).await?;
        for piece in pieces {
            self.send(&chunk(piece)).await?;
        }
        self.send(b"0\r\n\r\n").await?;
        self.answer().await
    }

    /// Reads an answer, whole.
    ///
    /// # Errors
    ///
    /// When the connection ends before it does, or it takes too long.
    pub async fn answer(&mut self) -> io::Result<Answer> {
        within(self.read_answer(true)).await
    }

    /// Reads the answer to a HEAD request.
    ///
    /// # Errors
    ///
    /// As for [`Client::answer`].
    pub async fn head_answer(&mut self) -> io::Result<Answer> {
        within(self.read_answer(false)).await
    }

    /// Waits until the other side closes the connection. Gives what came before.
    ///
    /// # Errors
    ///
    /// When it takes too long.
    pub async fn closed(&mut self) -> io::Result<Vec<u8>> {
        within(async {
            while self.more().await.is_ok() {}
            Ok(std::mem::take(&mut self.ahead))
        })
        .await
    }

    async fn read_answer(&mut self, with_body: bool) -> io::Result<Answer> {
        let first = self.line().await?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status: u16 = status.ok_or_else(|| bad(&format!("expected a status line, found {first:?}")))?;
        let fields = self.fields().await?;
        if status == 100 {
            return Box::pin(self.read_answer(with_body)).await;
        }
        let mut answer = Answer {
            status,
            fields,
            body: Vec::new(),
            trailers: Vec::new(),
        };
        if !with_body || matches!(status, 204 | 304) {
            return Ok(answer);
        }
        if answer.field("transfer-encoding") == Some("chunked") {
            loop {
                let line = self.line().await?;
                let length = usize::from_str_radix(&line, 16).map_err(|_| bad(&format!("chunk {line:?}")))?;
                if length == 0 {
                    answer.trailers = self.fields().await?;
                    return Ok(answer);
                }
                let piece = self.exactly(length).await?;
                answer.body.extend_from_slice(&piece);
                self.exactly(2).await?;
            }
        }
        let length = answer
            .field("content-length")
            .and_then(|length| length.parse().ok());
        let length = length.ok_or_else(|| bad("expected a length"))?;
        answer.body = self.exactly(length).await?;
        Ok(answer)
    }

    async fn fields(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(fields);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| bad("expected a field"))?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.ahead[..end]).into_owned();
                self.ahead.drain(..end + 2);
                return Ok(line);
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            self.more().await?;
        }
        let rest = self.ahead.split_off(length);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    async fn more(&mut self) -> io::Result<()> {
        if self.ahead.len() > MOST {
            return Err(bad("expected a shorter message"));
        }
        match self.stream.read_buf(&mut self.ahead).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// A piece of a body in the coding `chunked`.
pub fn chunk(piece: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{:x}\r\n", piece.len()).into_bytes();
    bytes.extend_from_slice(piece);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn bad(words: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words)
}

//! Standard output.

use crate::exports::odeon_tests::concurrent::output::Guest;
use crate::join::join;
use crate::wasi::cli::stdout::write_via_stream;

/// Bytes written at a time.
const CHUNK: usize = 16 * 1024;

impl Guest for crate::Concurrent {
    async fn write(text: String) -> Result<(), String> {
        let (mut into, from) = crate::wit_stream::new();
        let written = write_via_stream(from);
        let ((), outcome) = join(
            async move {
                into.write_all(text.into_bytes()).await;
            },
            async { written.await },
        )
        .await;
        outcome.map_err(|code| format!("{code:?}"))
    }

    async fn flood() {
        forever(&[b"flood\n".as_slice(); CHUNK / 6].concat()).await;
    }

    async fn endless_line() {
        forever(&[b'x'; CHUNK]).await;
    }
}

async fn forever(piece: &[u8]) {
    let (mut into, from) = crate::wit_stream::new();
    let written = write_via_stream(from);
    loop {
        if !into.write_all(piece.to_vec()).await.is_empty() {
            break;
        }
    }
    drop(into);
    let _written: Result<(), _> = written.await;
}

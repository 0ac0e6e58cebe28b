//! Values, time, memory and handles.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::mem::forget;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use crate::exports::odeon_tests::concurrent::work::{Guest, Outcome};
use crate::wasi::clocks::monotonic_clock::wait_for;

/// Longer than any test.
const HOUR: u64 = 3_600_000_000_000;

static CALLS: AtomicU32 = AtomicU32::new(0);

impl Guest for crate::Concurrent {
    async fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    async fn echo_text(text: String) -> String {
        text
    }

    async fn echo_outcomes(outcomes: Vec<Outcome>) -> Vec<Outcome> {
        outcomes
    }

    async fn echo_numbers(a: i8, b: u64, c: f32, d: f64, e: char) -> (i8, u64, f32, f64, char) {
        (a, b, c, d, e)
    }

    async fn may_fail(fail: bool) -> Result<u8, String> {
        if fail { Err("as asked".to_owned()) } else { Ok(7) }
    }

    async fn nothing() {}

    async fn count() -> u32 {
        CALLS.fetch_add(1, Ordering::Relaxed) + 1
    }

    async fn after(milliseconds: u32, answer: u32) -> u32 {
        wait_for(u64::from(milliseconds) * 1_000_000).await;
        answer
    }

    async fn spin() {
        let mut value = 0_u64;
        loop {
            value = black_box(value.wrapping_add(1));
        }
    }

    async fn sleep_forever() {
        wait_for(HOUR).await;
    }

    async fn drip(milliseconds: u32) {
        loop {
            wait_for(u64::from(milliseconds) * 1_000_000).await;
        }
    }

    async fn yield_forever() {
        loop {
            wit_bindgen::yield_async().await;
        }
    }

    async fn grow() -> u32 {
        let mut pages = 0;
        #[cfg(target_arch = "wasm32")]
        while core::arch::wasm32::memory_grow(0, 1) != usize::MAX {
            pages += 1;
        }
        black_box(&mut pages);
        pages
    }

    async fn trap() {
        wait_for(1_000_000).await;
        #[cfg(target_arch = "wasm32")]
        core::arch::wasm32::unreachable();
    }

    async fn streams_forever() {
        loop {
            forget(crate::wit_stream::new::<u8>());
        }
    }

    async fn futures_forever() {
        loop {
            forget(crate::wit_future::new::<
                Result<Option<crate::wasi::http::types::Trailers>, crate::wasi::http::types::ErrorCode>,
            >(|| Ok(None)));
        }
    }

    async fn subtasks_forever() {
        loop {
            let mut waiting = Box::pin(wait_for(HOUR));
            poll_fn(|context| {
                let _pending: Poll<()> = waiting.as_mut().poll(context);
                Poll::Ready(())
            })
            .await;
            forget(waiting);
        }
    }
}

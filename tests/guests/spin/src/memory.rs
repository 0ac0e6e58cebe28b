//! Linear memory.
#![allow(
    unsafe_code,
    reason = "memory got by growing belongs to nobody: only raw writes reach it"
)]

use std::hint::black_box;

use crate::exports::odeon_tests::spin::memory::Guest;

/// Bytes of a page of linear memory.
const PAGE: usize = 64 * 1024;

/// Bytes that one allocation takes.
const BLOCK: usize = 1024 * 1024;

impl Guest for crate::Spin {
    fn grow_until_refused(touch: bool) -> u32 {
        let mut pages = 0;
        while let Some(before) = grow(1) {
            pages += 1;
            if touch {
                // SAFETY: the page was just added and nobody else knows of it.
                unsafe { std::ptr::with_exposed_provenance_mut::<u8>(before * PAGE).write_volatile(1) };
            }
        }
        pages
    }

    fn grow_by(pages: u32) -> Option<u32> {
        grow(pages as usize).map(|before| before as u32)
    }

    fn allocate_until_abort() {
        let mut blocks = Vec::new();
        loop {
            blocks.push(black_box(vec![1_u8; BLOCK]));
        }
    }

    fn use_bytes(bytes: u32) -> u64 {
        let block = black_box(vec![1_u8; bytes as usize]);
        block.iter().copied().map(u64::from).sum()
    }

    fn huge_result(bytes: u32) -> Vec<u8> {
        vec![1; bytes as usize]
    }
}

/// Adds pages; the number there were before, or `None` when growth is refused.
fn grow(pages: usize) -> Option<usize> {
    let before = core::arch::wasm32::memory_grow(0, pages);
    (before != usize::MAX).then_some(before)
}

//! Processor time and stack.

use std::hint::black_box;

use crate::exports::odeon_tests::spin::cpu::Guest;
use crate::wasi::clocks::monotonic_clock::now;

/// Bytes of a frame in linear memory.
const FRAME: usize = 1024;

impl Guest for crate::Spin {
    fn spin() {
        loop {
            black_box(());
        }
    }

    fn spin_with_host_calls() {
        loop {
            black_box(now());
        }
    }

    fn busy(milliseconds: u32) -> u64 {
        let end = now() + u64::from(milliseconds) * 1_000_000;
        let mut turns = 0;
        while now() < end {
            turns += 1;
        }
        turns
    }

    fn recurse(depth: u64) -> u64 {
        down(depth)
    }

    fn recurse_with_frames(depth: u64) -> u64 {
        down_with_frame(depth)
    }
}

/// Cannot be turned into a loop: what the call inside returns is used twice.
fn down(depth: u64) -> u64 {
    if depth == 0 {
        return 1;
    }
    let below = down(depth - 1);
    below.wrapping_mul(depth) ^ below.rotate_left(3)
}

fn down_with_frame(depth: u64) -> u64 {
    if depth == 0 {
        return 1;
    }
    let frame = black_box([depth as u8; FRAME]);
    let below = down_with_frame(depth - 1);
    below ^ frame.iter().copied().map(u64::from).sum::<u64>()
}

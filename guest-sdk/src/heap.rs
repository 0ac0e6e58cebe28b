//! The global allocator for `wasm32-unknown-unknown`.
//!
//! A fresh instance's first allocation must not grow the memory: growing costs more than everything else a small call
//! does. So the first segment is a block inside the initial memory; what does not fit comes from growth as usual.
//! Components of that target have one thread: nothing here is locked.
#![allow(
    unsafe_code,
    reason = "a global allocator and the memory it hands out cannot be written without"
)]

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::memory_grow;
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use dlmalloc::{Allocator, Dlmalloc};

/// Bytes of the first segment. With a 32 KiB stack the whole instance starts in two pages.
const FIRST_ARENA: usize = 32 * 1024;

/// Bytes of a page of linear memory.
const PAGE: usize = 64 * 1024;

/// What the allocator asks for at a time. Small, so that a first request fits the first segment; growth is by whole
/// pages in any case.
const GRANULARITY: usize = 4096;

#[repr(C, align(16))]
struct Block(UnsafeCell<[u8; FIRST_ARENA]>);

// SAFETY: a component of this target has one thread, and the block is handed out once.
unsafe impl Sync for Block {}

static FIRST: Block = Block(UnsafeCell::new([0; FIRST_ARENA]));
static FIRST_TAKEN: AtomicBool = AtomicBool::new(false);

/// Where segments come from: the block once, then the engine's memory.
struct Segments;

// SAFETY: `alloc` returns either the static block, once, or pages that did not exist before.
unsafe impl Allocator for Segments {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        if size <= FIRST_ARENA && !FIRST_TAKEN.swap(true, Ordering::Relaxed) {
            return (FIRST.0.get().cast(), FIRST_ARENA, 0);
        }
        let pages = size.div_ceil(PAGE);
        let before = memory_grow(0, pages);
        if before == usize::MAX {
            return (ptr::null_mut(), 0, 0);
        }
        let start = before * PAGE;
        let length = pages * PAGE;
        // Rust allows no object that ends at the very end of the address space.
        let usable = if start.wrapping_add(length) == 0 {
            length - 16
        } else {
            length
        };
        (ptr::with_exposed_provenance_mut(start), usable, 0)
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        ptr::null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        PAGE
    }
}

struct Heap(UnsafeCell<Dlmalloc<Segments>>);

// SAFETY: a component of this target has one thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(heap()));

const fn heap() -> Dlmalloc<Segments> {
    let mut heap = Dlmalloc::new_with_allocator(Segments);
    heap.set_granularity(GRANULARITY);
    heap
}

// SAFETY: every method hands its arguments to the allocator unchanged, and with one thread the exclusive borrow lasts
// for one call.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the impl says.
        unsafe { (*self.0.get()).malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the impl says.
        unsafe { (*self.0.get()).calloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the impl says; the caller promises that `block` came from here with this layout.
        unsafe { (*self.0.get()).free(block, layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the impl says; the caller promises that `block` came from here with this layout.
        unsafe { (*self.0.get()).realloc(block, layout.size(), layout.align(), size) }
    }
}

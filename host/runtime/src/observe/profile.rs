//! Where a plugin spends its time.
//!
//! Owns the samples: at the tick that looks at a running guest anyway, the
//! functions that it is in are noted. They are names of functions and times, and
//! nothing of what a guest has in its memory.
//!
//! **Invariant:** what is kept is bounded, however a guest calls itself.

use std::io::Write;
use std::time::Duration;

use wasmtime::component::Component;
use wasmtime::{GuestProfiler, StoreContextMut, WasmBacktrace};

use crate::engine::DEEPEST;
use crate::state::HostState;
use crate::ticker::TICK;

/// The most functions that all of them together may be in: each new way to one
/// is kept.
const FRAMES: usize = 1_000_000;

/// What an operator wants to know of where a plugin's calls are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileOrder {
    /// For how long samples are taken.
    pub time: Duration,
    /// How many of them at most.
    pub samples: u32,
}

/// Where the calls of a plugin were while it was observed.
pub struct GuestProfile {
    profiler: GuestProfiler,
    most: u32,
    frames: usize,
    /// Samples that were taken.
    pub samples: u32,
    /// Samples that were not: another one was being taken, the guest was in more
    /// functions than are looked at, or there were enough.
    pub left_out: u32,
}

impl GuestProfile {
    pub(super) fn begin(name: &str, component: &Component, most: u32) -> wasmtime::Result<Self> {
        let (engine, no_others) = (component.engine(), []);
        let profiler = GuestProfiler::new_component(engine, name, TICK, component.clone(), no_others)?;
        Ok(GuestProfile {
            profiler,
            most,
            frames: 0,
            samples: 0,
            left_out: 0,
        })
    }

    pub(super) fn sample(&mut self, store: &StoreContextMut<'_, HostState>) {
        // The profiler itself takes any stack, as deep as it is.
        let depth = WasmBacktrace::force_capture(store).frames().len();
        let frames = self.frames.saturating_add(depth);
        if depth > DEEPEST || self.samples >= self.most || frames > FRAMES {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        self.frames = frames;
        self.samples = self.samples.saturating_add(1);
        self.profiler.sample(store, TICK);
    }

    /// Writes the profile, as JSON that the Firefox Profiler reads. Blocks.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(self, to: impl Write) -> std::io::Result<()> {
        let written = self.profiler.finish(to);
        written.map_err(|error| std::io::Error::other(format!("{error:#}")))
    }
}

//! What one worker owns: engines, pools and linkers of its own.
//!
//! Owns the making of engines on first use. A component is deserialised once
//! per shard that runs it; nothing on the path of a call is shared between
//! shards but the plugin's own counters.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::EngineClass;
use crate::engine::{Capture, PoolSize, engine};
use crate::link::{Flavour, linker};
use crate::state::HostState;
use crate::ticker::Ticker;

/// The engines of one worker, or of the place where guests are observed.
pub(crate) struct Shard {
    pool: PoolSize,
    capture: Capture,
    ticker: Ticker,
    /// One that cannot be made is not tried again.
    engines: [OnceLock<Result<Engine, String>>; 3],
    linkers: [[OnceLock<Linker<HostState>>; 3]; 3],
}

impl Shard {
    pub(crate) fn new(pool: PoolSize, capture: Capture, ticker: Ticker) -> Self {
        Shard {
            pool,
            capture,
            ticker,
            engines: Default::default(),
            linkers: Default::default(),
        }
    }

    /// What its engines keep of a guest that is stopped.
    pub(crate) fn capture(&self) -> Capture {
        self.capture
    }

    /// The engine of this class, made when it is first asked for.
    pub(crate) fn engine(&self, class: EngineClass) -> wasmtime::Result<&Engine> {
        let slot = match class {
            EngineClass::Fast => &self.engines[0],
            EngineClass::Async => &self.engines[1],
            EngineClass::Heavy => &self.engines[2],
        };
        let made = slot.get_or_init(|| match engine(class, self.pool, self.capture) {
            Ok(made) => {
                self.ticker.add(made.clone());
                Ok(made)
            }
            Err(error) => {
                let words = format!("{error:#}");
                tracing::error!(%class, error = %words, "a worker has no engine; its calls go to another one's");
                Err(words)
            }
        });
        made.as_ref().map_err(|words| wasmtime::Error::msg(words.clone()))
    }

    /// The host functions of this flavour for this class.
    pub(crate) fn linker(
        &self,
        class: EngineClass,
        flavour: Flavour,
    ) -> wasmtime::Result<&Linker<HostState>> {
        let of_class = match class {
            EngineClass::Fast => &self.linkers[0],
            EngineClass::Async => &self.linkers[1],
            EngineClass::Heavy => &self.linkers[2],
        };
        let slot = match flavour {
            Flavour::Direct => &of_class[0],
            Flavour::Waiting => &of_class[1],
            Flavour::Concurrent => &of_class[2],
        };
        if let Some(linker) = slot.get() {
            return Ok(linker);
        }
        let made = linker(self.engine(class)?, flavour)?;
        Ok(slot.get_or_init(|| made))
    }
}

/// The shard that calls from this thread go to, of `count`: threads are dealt
/// out in turn and stay where they are, so that pool slots stay warm.
pub(crate) fn here(count: usize) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    let mine = MINE.with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        mine.get()
    });
    mine % count.max(1)
}

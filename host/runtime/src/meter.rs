//! What one instance and one call have used up.
//!
//! Owns the counters behind the limits, and nothing about what happens when
//! one is reached: whoever asks gets a yes or a no.

use odeon_authority::Limits;

/// A growth that was refused, remembered so that a trap that follows from it
/// can be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Memory,
    Table,
}

impl Refused {
    /// The limit that said no, by its name in a descriptor.
    pub(crate) fn limit(self) -> &'static str {
        match self {
            Refused::Memory => "memory",
            Refused::Table => "table-elements",
        }
    }
}

/// What becomes of a growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    Granted,
    /// By the plugin's limit.
    Refused,
    /// It is more than the guest itself has declared, which is no limit of ours.
    Undeclared,
}

/// What one instance has grown to.
pub(crate) struct Meter {
    memory: u64,
    memory_limit: u64,
    /// The growth that was allowed last and may yet fail in the engine.
    granted: u64,
    table_elements: u64,
    table_limit: u64,
    instance_limit: usize,
    refused: Option<Refused>,
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Meter {
            memory: 0,
            memory_limit: limits.memory.bytes(),
            granted: 0,
            table_elements: 0,
            table_limit: limits.table_elements,
            instance_limit: usize::try_from(limits.core_instances).unwrap_or(usize::MAX),
            refused: None,
        }
    }

    /// Bytes of linear memory the instance has.
    pub(crate) fn memory(&self) -> u64 {
        self.memory
    }

    /// The growth that was refused last, if any was.
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.refused
    }

    /// Forgets refused growth, at the start of a call.
    pub(crate) fn start(&mut self) {
        self.refused = None;
    }

    /// Of nested components, only the engine knows how many there are.
    pub(crate) fn instance_limit(&self) -> usize {
        self.instance_limit
    }

    /// Whether a memory may grow from `current` to `desired` bytes. The sum
    /// over all memories counts.
    pub(crate) fn grow_memory(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Growth {
        let more = desired.saturating_sub(current) as u64;
        let grown = self.memory.saturating_add(more);
        if grown > self.memory_limit {
            self.refused = Some(Refused::Memory);
            return Growth::Refused;
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Growth::Undeclared;
        }
        self.granted = more;
        self.memory = grown;
        Growth::Granted
    }

    /// The growth that was allowed last did not happen. Gives how many bytes it was.
    pub(crate) fn memory_did_not_grow(&mut self) -> u64 {
        self.refused = Some(Refused::Memory);
        let granted = std::mem::take(&mut self.granted);
        self.memory = self.memory.saturating_sub(granted);
        granted
    }

    /// Whether a table may grow from `current` to `desired` elements. The sum
    /// over all tables counts.
    pub(crate) fn grow_table(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Growth {
        let grown = self
            .table_elements
            .saturating_add((desired.saturating_sub(current)) as u64);
        if grown > self.table_limit {
            self.refused = Some(Refused::Table);
            return Growth::Refused;
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Growth::Undeclared;
        }
        self.table_elements = grown;
        Growth::Granted
    }

    /// A table could not grow although it was allowed to.
    pub(crate) fn table_did_not_grow(&mut self) {
        self.refused = Some(Refused::Table);
    }
}

/// An amount that a call may use up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    left: u64,
}

impl Allowance {
    pub(crate) fn new(amount: u64) -> Self {
        Allowance { left: amount }
    }

    /// Takes `amount`, all or nothing.
    #[inline]
    pub(crate) fn take(&mut self, amount: u64) -> bool {
        match self.left.checked_sub(amount) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

/// What the running call may still use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowances {
    pub(crate) progress_reports: Allowance,
}

impl Allowances {
    pub(crate) fn new(limits: &Limits) -> Self {
        Allowances {
            progress_reports: Allowance::new(limits.progress_reports),
        }
    }
}

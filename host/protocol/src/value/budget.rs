//! How much of the limits a conversion has used.

use super::error::Problem;
use crate::limits::ValueLimits;

/// What is left for the values inside one value.
#[derive(Debug)]
pub(crate) struct Budget {
    nodes: usize,
    limits: ValueLimits,
}

impl Budget {
    pub(crate) fn new(limits: &ValueLimits) -> Self {
        Budget {
            nodes: limits.max_nodes,
            limits: *limits,
        }
    }

    pub(crate) fn limits(&self) -> &ValueLimits {
        &self.limits
    }

    /// Pays for `count` more values.
    #[inline]
    pub(crate) fn charge(&mut self, count: usize) -> Result<(), Problem> {
        match self.nodes.checked_sub(count) {
            Some(left) => {
                self.nodes = left;
                Ok(())
            }
            None => Err(Problem::TooManyNodes {
                limit: self.limits.max_nodes,
            }),
        }
    }

    /// That `count` more values could be paid for.
    #[inline]
    pub(crate) fn afford(&self, count: usize) -> Result<(), Problem> {
        if count <= self.nodes {
            Ok(())
        } else {
            Err(Problem::TooManyNodes {
                limit: self.limits.max_nodes,
            })
        }
    }

    /// The levels below one that has `depth` levels left, itself included.
    #[inline]
    pub(crate) fn descend(&self, depth: usize) -> Result<usize, Problem> {
        depth.checked_sub(1).ok_or(Problem::TooDeep {
            limit: self.limits.max_depth,
        })
    }
}

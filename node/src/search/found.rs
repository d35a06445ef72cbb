//! What a search has found, in the order of the chain.

use std::ops::Range;

use tandem_chain::Error as ChainError;
use tandem_chain::types::Height;

use super::At;
use crate::storage::{EventKind, Events};

/// What a search has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// All blocks from `low` to `high`, or all of their transactions.
    All {
        /// Blocks or transactions.
        kind: EventKind,
        /// The first block.
        low: Height,
        /// The last block.
        high: Height,
    },
    /// These.
    Some(Vec<At>),
}

impl Found {
    /// How many.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn count(&self, events: &Events<'_>) -> Result<usize, ChainError> {
        let count = match self {
            Self::Some(found) => return Ok(found.len()),
            Self::All { kind: EventKind::Block, low, high } => high.0 - low.0 + 1,
            Self::All { kind: EventKind::Transaction, low, high } => {
                through(events, *high)? - below(events, *low)?
            }
        };
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Those at some numbers, from 0 in the order of the chain.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    ///
    /// # Panics
    /// When there are fewer.
    pub fn part(&self, events: &Events<'_>, numbers: Range<usize>) -> Result<Vec<At>, ChainError> {
        match self {
            Self::Some(found) => Ok(found[numbers].to_vec()),
            Self::All { kind: EventKind::Block, low, .. } => {
                Ok(numbers.map(|number| (low.plus(number as u64), 0)).collect())
            }
            Self::All { kind: EventKind::Transaction, low, high } => {
                let before = below(events, *low)?;
                let at = |number: usize| nth(events, *low, *high, before + number as u64);
                numbers.map(at).collect()
            }
        }
    }
}

/// The place of the transaction before which `number` are in the index.
fn nth(events: &Events<'_>, low: Height, high: Height, number: u64) -> Result<At, ChainError> {
    let (mut from, mut to) = (low.0, high.0);
    while from < to {
        let middle = from + (to - from) / 2;
        if through(events, Height(middle))? > number {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    let place = number - below(events, Height(from))?;
    Ok((Height(from), u32::try_from(place).unwrap_or(u32::MAX)))
}

/// Transactions in the index up to and with a block that is in it.
fn through(events: &Events<'_>, height: Height) -> Result<u64, ChainError> {
    Ok(counts(events, height)?.1)
}

/// Transactions in the index below a block that is in it.
fn below(events: &Events<'_>, height: Height) -> Result<u64, ChainError> {
    let (count, through) = counts(events, height)?;
    Ok(through - u64::from(count))
}

fn counts(events: &Events<'_>, height: Height) -> Result<(u32, u64), ChainError> {
    events.transactions(height)?.ok_or_else(|| {
        let reason = format!("block {height} is missing in the index, between others");
        ChainError::Damaged { what: "index of events", reason }
    })
}

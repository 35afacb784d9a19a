//! Sorted changes, commutative credits, and a view through pending changes.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{ReadError, StateView};

/// Changes keyed by state key, sorted; `None` deletes. Iteration order is key order, on every machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteSet {
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl WriteSet {
    /// No changes.
    pub fn new() -> WriteSet {
        WriteSet::default()
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.changes.insert(key.into(), Some(value.into()));
    }

    /// Deletes `key`.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.changes.insert(key.into(), None);
    }

    /// What this set says about `key`: `None` if it says nothing.
    pub fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.changes.get(key).map(|value| value.as_deref())
    }

    /// Changes in key order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        self.changes
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// Lays `later` over this set.
    pub fn merge(&mut self, later: WriteSet) {
        self.changes.extend(later.changes);
    }

    /// Number of changed keys.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// A state as it will be once `writes` are committed.
pub struct Pending<'a> {
    /// Committed state.
    pub base: &'a dyn StateView,
    /// Changes on top of it.
    pub writes: &'a WriteSet,
}

impl StateView for Pending<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        match self.writes.get(key) {
            Some(value) => Ok(value.map(<[u8]>::to_vec)),
            None => self.base.get(key),
        }
    }
}

/// Why credits cannot be settled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CreditError {
    /// The counter would exceed 2^64 - 1.
    #[error("a counter would exceed 2^64 - 1")]
    Overflow,
    /// The value is not a counter of eight bytes.
    #[error("a value of {length} bytes is not a counter")]
    NotACounter {
        /// Its length.
        length: usize,
    },
    /// A read failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Amounts to add to counters (`u64` little-endian values, absent meaning 0) once all tasks of a block are done.
///
/// Additions commute, and no task of the block sees them, so a counter that every task adds to, such as the fee
/// account, orders nothing and conflicts with nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credits {
    amounts: BTreeMap<Vec<u8>, u128>,
}

impl Credits {
    /// No credits.
    pub fn new() -> Credits {
        Credits::default()
    }

    /// Adds `amount` to the counter under `key`.
    pub fn add(&mut self, key: impl Into<Vec<u8>>, amount: u64) {
        if amount > 0 {
            // 2^64 additions of 2^64 - 1 fit.
            *self.amounts.entry(key.into()).or_default() += u128::from(amount);
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Credits) {
        for (key, amount) in other.amounts {
            *self.amounts.entry(key).or_default() += amount;
        }
    }

    /// Amounts in key order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], u128)> {
        self.amounts
            .iter()
            .map(|(key, amount)| (key.as_slice(), *amount))
    }

    /// Turns the credits into writes over `base` and `writes`.
    pub fn settle(self, base: &dyn StateView, writes: &mut WriteSet) -> Result<(), CreditError> {
        for (key, amount) in self.amounts {
            let old = Pending { base, writes }
                .get(&key)?
                .unwrap_or_else(|| vec![0; 8]);
            let old = <[u8; 8]>::try_from(old.as_slice())
                .map_err(|_| CreditError::NotACounter { length: old.len() })?;
            let sum = u128::from(u64::from_le_bytes(old)) + amount;
            let sum = u64::try_from(sum).map_err(|_| CreditError::Overflow)?;
            writes.put(key, sum.to_le_bytes());
        }
        Ok(())
    }
}

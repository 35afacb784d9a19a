//! Changes for one commit.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::iter::Peekable;
use std::slice;
use std::sync::Arc;

use crate::{StoreError, Table};

/// Longest key a store takes, in bytes.
pub(crate) const MAX_KEY_BYTES: usize = 64 << 10;
/// Longest value a store takes, in bytes.
pub(crate) const MAX_VALUE_BYTES: usize = 1 << 30;

/// Changes for one commit, sorted by table and key; `None` deletes.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    tables: [Changes; Table::ALL.len()],
}

/// Changes of one table.
///
/// Keys mostly come in ascending order, and a list is far cheaper to fill than a map. No key is in both.
#[derive(Clone, Debug, Default)]
struct Changes {
    /// Keys that came in ascending order.
    ascending: Vec<(Vec<u8>, Option<Bytes>)>,
    /// The others.
    others: BTreeMap<Vec<u8>, Option<Bytes>>,
}

/// A value that the batch owns, or shares with whoever made it.
#[derive(Clone, Debug)]
enum Bytes {
    Own(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Own(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }
}

impl Changes {
    fn set(&mut self, key: Vec<u8>, value: Option<Bytes>) {
        let last = self.ascending.last().map(|(last, _)| last);
        let is_next = last.is_none_or(|last| *last < key);
        if let Some(change) = self.others.get_mut(&key) {
            *change = value;
        } else if is_next {
            self.ascending.push((key, value));
        } else {
            match self.ascending.binary_search_by(|(k, _)| k.cmp(&key)) {
                Ok(at) => self.ascending[at].1 = value,
                Err(_) => {
                    self.others.insert(key, value);
                }
            }
        }
    }

    fn len(&self) -> usize {
        self.ascending.len() + self.others.len()
    }

    fn iter(&self) -> ChangesIter<'_> {
        ChangesIter {
            ascending: self.ascending.iter().peekable(),
            others: self.others.iter().peekable(),
        }
    }
}

/// Both parts of [`Changes`] in key order.
struct ChangesIter<'a> {
    ascending: Peekable<slice::Iter<'a, (Vec<u8>, Option<Bytes>)>>,
    others: Peekable<btree_map::Iter<'a, Vec<u8>, Option<Bytes>>>,
}

impl<'a> Iterator for ChangesIter<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let other_first = match (self.ascending.peek(), self.others.peek()) {
            (Some((key, _)), Some((other, _))) => *other < key,
            (None, other) => other.is_some(),
            (Some(_), None) => false,
        };
        let (key, value) = if other_first {
            self.others.next()?
        } else {
            let (key, value) = self.ascending.next()?;
            (key, value)
        };
        Some((key, value.as_ref().map(Bytes::as_slice)))
    }
}

impl Batch {
    /// No changes.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Sets a value. Keys in ascending order are the cheapest.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.tables[table as usize].set(key.into(), Some(Bytes::Own(value.into())));
    }

    /// Sets a value that its maker keeps too, without a copy.
    pub fn put_shared(&mut self, table: Table, key: impl Into<Vec<u8>>, value: Arc<[u8]>) {
        self.tables[table as usize].set(key.into(), Some(Bytes::Shared(value)));
    }

    /// Deletes a key.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.tables[table as usize].set(key.into(), None);
    }

    /// Changes in table and key order.
    pub fn iter(&self) -> impl Iterator<Item = (Table, &[u8], Option<&[u8]>)> {
        Table::ALL.into_iter().flat_map(|table| {
            let changes = self.table(table);
            changes.map(move |(key, value)| (table, key, value))
        })
    }

    /// Changes of one table in key order.
    pub fn table(&self, table: Table) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.tables[table as usize].iter()
    }

    /// Number of changed keys.
    pub fn len(&self) -> usize {
        self.tables.iter().map(Changes::len).sum()
    }

    /// Number of changed keys of one table.
    pub fn table_len(&self, table: Table) -> usize {
        self.tables[table as usize].len()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses what no store takes, before anything is written.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        for (_, key, value) in self.iter() {
            if key.len() > MAX_KEY_BYTES {
                return Err(StoreError::TooLarge {
                    what: "key",
                    size: key.len(),
                    limit: MAX_KEY_BYTES,
                });
            }
            if let Some(value) = value.filter(|v| v.len() > MAX_VALUE_BYTES) {
                return Err(StoreError::TooLarge {
                    what: "value",
                    size: value.len(),
                    limit: MAX_VALUE_BYTES,
                });
            }
        }
        Ok(())
    }
}

/// The same changes, in whatever order they came.
impl PartialEq for Batch {
    fn eq(&self, other: &Batch) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Batch {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_the_order_the_last_change_of_a_key_holds(
            changes in proptest::collection::vec(
                (0usize..2, 0u8..12, proptest::option::of(any::<u8>()), any::<bool>()), 0..60,
            ),
        ) {
            let mut batch = Batch::new();
            let mut model = BTreeMap::new();
            for (table, key, value, shared) in changes {
                let table = Table::ALL[table];
                match value {
                    None => batch.delete(table, [key]),
                    Some(value) if shared => batch.put_shared(table, [key], Arc::from([value])),
                    Some(value) => batch.put(table, [key], [value]),
                }
                model.insert((table, vec![key]), value.map(|value| vec![value]));
            }
            let expected: Vec<_> = model
                .iter()
                .map(|((table, key), value)| (*table, key.as_slice(), value.as_deref()))
                .collect();
            prop_assert_eq!(batch.iter().collect::<Vec<_>>(), expected);
            prop_assert_eq!(batch.len(), model.len());
            let mut ascending = Batch::new();
            for ((table, key), value) in &model {
                match value {
                    None => ascending.delete(*table, key.as_slice()),
                    Some(value) => ascending.put(*table, key.as_slice(), value.as_slice()),
                }
            }
            prop_assert_eq!(ascending, batch);
        }
    }
}

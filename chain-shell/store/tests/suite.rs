//! What every store promises, run on each of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use focus_store::{Batch, MemoryStore, OpenOptions, RedbStore, Snapshot, Store, Table};
use proptest::prelude::*;

type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

fn pairs(snapshot: &dyn Snapshot, table: Table, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    snapshot
        .scan(table, prefix, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
    found
}

fn content(store: &dyn Store) -> Model {
    let snapshot = store.snapshot().unwrap();
    let of = |table| {
        pairs(&*snapshot, table, b"")
            .into_iter()
            .map(move |(key, value)| ((table, key), value))
    };
    Table::ALL.into_iter().flat_map(of).collect()
}

fn empty_store_has_nothing(store: &dyn Store) {
    assert_eq!(content(store), Model::new());
    assert_eq!(store.get(Table::State, b"absent").unwrap(), None);
    store.commit(&Batch::new()).unwrap();
    assert_eq!(content(store), Model::new());
}

fn scans_by_prefix_in_order_and_breaks(store: &dyn Store) {
    let mut batch = Batch::new();
    for key in ["b", "a/2", "a/1", "a", "a0", "A/1"] {
        batch.put(Table::State, key, key);
    }
    batch.put(Table::State, "", "empty key");
    batch.put(Table::State, [0xff, 0xff], "end");
    batch.put(Table::Meta, "a/3", "other table");
    store.commit(&batch).unwrap();
    let snapshot = store.snapshot().unwrap();
    let keys = |prefix: &[u8]| -> Vec<Vec<u8>> {
        pairs(&*snapshot, Table::State, prefix)
            .into_iter()
            .map(|(key, _)| key)
            .collect()
    };
    assert_eq!(keys(b"a/"), [b"a/1", b"a/2"]);
    assert_eq!(keys(b"a"), [&b"a"[..], b"a/1", b"a/2", b"a0"]);
    assert_eq!(keys(&[0xff]), [[0xff, 0xff]]);
    assert_eq!(keys(b"c"), Vec::<Vec<u8>>::new());
    assert_eq!(keys(b"").len(), 8);
    let mut seen = 0;
    store
        .scan(Table::State, b"a", &mut |_, _| {
            seen += 1;
            if seen == 2 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .unwrap();
    assert_eq!(seen, 2);
}

fn snapshots_do_not_see_later_commits(store: &dyn Store) {
    let mut batch = Batch::new();
    batch.put(Table::Meta, "head", "1");
    store.commit(&batch).unwrap();
    let before = store.snapshot().unwrap();
    let mut batch = Batch::new();
    batch.put(Table::Meta, "head", "2");
    batch.put(Table::Meta, "more", "2");
    store.commit(&batch).unwrap();
    assert_eq!(before.get(Table::Meta, b"head").unwrap().unwrap(), b"1");
    assert_eq!(pairs(&*before, Table::Meta, b"").len(), 1);
    assert_eq!(store.get(Table::Meta, b"head").unwrap().unwrap(), b"2");
}

fn oversized_keys_are_refused_and_nothing_is_kept(store: &dyn Store) {
    let mut batch = Batch::new();
    batch.put(Table::State, "fits", "x");
    batch.put(Table::State, vec![7; (64 << 10) + 1], "x");
    let error = store.commit(&batch).unwrap_err().to_string();
    assert_eq!(error, "a key of 65537 bytes, the limit is 65536");
    assert_eq!(content(store), Model::new());
}

fn concurrent_readers_see_whole_commits(store: Arc<dyn Store>) {
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let snapshot = store.snapshot().unwrap();
                    let a = snapshot.get(Table::State, b"a").unwrap();
                    let b = snapshot.get(Table::Meta, b"b").unwrap();
                    assert_eq!(a, b, "half a commit seen");
                }
            });
        }
        for i in 0..20u8 {
            let mut batch = Batch::new();
            batch.put(Table::State, "a", [i]);
            batch.put(Table::Meta, "b", [i]);
            store.commit(&batch).unwrap();
        }
    });
}

fn suite(mut fresh: impl FnMut() -> Arc<dyn Store>) {
    empty_store_has_nothing(&*fresh());
    scans_by_prefix_in_order_and_breaks(&*fresh());
    snapshots_do_not_see_later_commits(&*fresh());
    oversized_keys_are_refused_and_nothing_is_kept(&*fresh());
    concurrent_readers_see_whole_commits(fresh());
}

#[test]
fn memory_store_passes_the_suite() {
    suite(|| Arc::new(MemoryStore::new()));
}

fn small() -> OpenOptions {
    OpenOptions {
        cache_bytes: 1 << 20,
        verify: true,
    }
}

#[test]
fn redb_store_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = 0;
    suite(|| {
        files += 1;
        let file = folder.path().join(files.to_string());
        Arc::new(RedbStore::open(file, small()).unwrap())
    });
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(Table, Vec<u8>, Option<Vec<u8>>)>),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = proptest::collection::vec(0u8..3, 0..4);
    let value = proptest::option::of((0usize..6000, any::<u8>()).prop_map(|(n, b)| vec![b; n]));
    let change = (0usize..5, key, value).prop_map(|(t, k, v)| (Table::ALL[t], k, v));
    let commit = proptest::collection::vec(change, 0..12).prop_map(Step::Commit);
    proptest::collection::vec(prop_oneof![4 => commit, 1 => Just(Step::Reopen)], 1..10)
}

/// Runs `steps`, checking the store against the model after each.
fn follow<S: Store>(steps: Vec<Step>, mut store: S, mut reopen: impl FnMut(S) -> S) {
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Reopen => store = reopen(store),
            Step::Commit(changes) => {
                let mut batch = Batch::new();
                for (table, key, value) in changes {
                    match value {
                        Some(value) => {
                            batch.put(table, key.as_slice(), value.as_slice());
                            model.insert((table, key), value);
                        }
                        None => {
                            batch.delete(table, key.as_slice());
                            model.remove(&(table, key));
                        }
                    }
                }
                store.commit(&batch).unwrap();
            }
        }
        assert_eq!(content(&store), model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn redb_store_follows_the_model(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store");
        follow(steps, RedbStore::open(&file, small()).unwrap(), |store| {
            drop(store);
            RedbStore::open(&file, small()).unwrap()
        });
    }

    #[test]
    fn memory_store_follows_the_model(steps in steps()) {
        follow(steps, MemoryStore::new(), |store| store);
    }
}

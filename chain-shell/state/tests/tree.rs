//! The tree against its definition, over histories of changes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use focus_proof::{EMPTY, Hash, Proof, bit, digest, leaf_hash, node_hash};
use focus_state::{BUCKET, StateError, StateTree, TreeUpdate, root_of};
use focus_store::{Batch, MemoryStore, OpenOptions, RedbStore, Snapshot, Store, Table};
use proptest::prelude::*;

type State = BTreeMap<Vec<u8>, Vec<u8>>;
type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The definition, word for word.
fn naive(leaves: &[(Hash, Hash)], depth: usize) -> Hash {
    match leaves {
        [] => EMPTY,
        [(path, value)] => leaf_hash(path, value),
        _ => {
            let (left, right): (Vec<_>, Vec<_>) =
                leaves.iter().partition(|(path, _)| !bit(path, depth));
            node_hash(&naive(&left, depth + 1), &naive(&right, depth + 1))
        }
    }
}

fn naive_root(state: &State) -> Hash {
    let leaves: Vec<_> = state.iter().map(|(k, v)| (digest(k), digest(v))).collect();
    naive(&leaves, 0)
}

fn update(tree: &StateTree<'_>, changes: &Changes) -> TreeUpdate {
    let changes = changes.iter().map(|(k, v)| (k.as_slice(), v.as_deref()));
    tree.update(changes).unwrap()
}

fn commit(store: &dyn Store, update: &TreeUpdate) {
    let mut batch = Batch::new();
    update.add_to(&mut batch);
    store.commit(&batch).unwrap();
}

fn apply(state: &mut State, changes: &Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => state.insert(key.clone(), value.clone()),
            None => state.remove(key),
        };
    }
}

fn pages(snapshot: &dyn Snapshot) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pages = Vec::new();
    let mut visit = |prefix: &[u8], bytes: &[u8]| {
        pages.push((prefix.to_vec(), bytes.to_vec()));
        ControlFlow::Continue(())
    };
    snapshot.scan(Table::Pages, b"", &mut visit).unwrap();
    pages
}

/// A state of `n` pairs.
fn numbered(n: u32) -> Changes {
    (0..n)
        .map(|i| {
            (
                i.to_be_bytes().to_vec(),
                Some(vec![i as u8; i as usize % 9]),
            )
        })
        .collect()
}

/// Changes among 600 keys, so that pages split, collapse and empty again.
fn changes() -> impl Strategy<Value = Changes> {
    let key = (0u16..600).prop_map(|k| k.to_be_bytes().to_vec());
    let value = || proptest::option::weighted(0.6, proptest::collection::vec(0u8..3, 0..3));
    let few = proptest::collection::btree_map(key.clone(), value(), 0..20);
    let many = proptest::collection::btree_map(key, value(), 100..400);
    let clear = (0u16..600, 1u16..600).prop_map(|(from, n)| {
        let keys = from..from.saturating_add(n).min(600);
        keys.map(|k| (k.to_be_bytes().to_vec(), None)).collect()
    });
    prop_oneof![few, many, clear]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn root_pages_and_proofs_depend_on_the_pairs_alone(
        history in proptest::collection::vec(changes(), 1..6), asked in 0u16..900,
    ) {
        let store = MemoryStore::new();
        let mut state = State::new();
        for changes in history {
            let update = update(&StateTree::of(&store).unwrap(), &changes);
            apply(&mut state, &changes);
            commit(&store, &update);
            prop_assert_eq!(update.root(), naive_root(&state));
            prop_assert_eq!(update.pairs(), state.len() as u64);
        }
        let tree = StateTree::of(&store).unwrap();
        let root = naive_root(&state);
        prop_assert_eq!(tree.root().unwrap(), root);
        prop_assert_eq!(tree.verify().unwrap(), (root, state.len() as u64));
        let pairs = || state.iter().map(|(k, v)| (k.as_slice(), v.as_slice()));
        prop_assert_eq!(root_of(pairs()).unwrap(), root);

        let fresh = MemoryStore::new();
        let all: Changes = state.iter().map(|(k, v)| (k.clone(), Some(v.clone()))).collect();
        commit(&fresh, &update(&StateTree::of(&fresh).unwrap(), &all));
        prop_assert_eq!(pages(&*store.snapshot().unwrap()), pages(&*fresh.snapshot().unwrap()));

        let asked = asked.to_be_bytes().to_vec();
        let present = pairs().step_by(17).map(|(k, v)| (k, Some(v)));
        for (key, value) in present.chain([(&asked[..], state.get(&asked).map(Vec::as_slice))]) {
            let proof = Proof::decode(&tree.prove(key).unwrap().encode()).unwrap();
            prop_assert_eq!(proof.verify(&root, key, value), Ok(()));
            let wrong = if value.is_some() { None } else { Some(&b""[..]) };
            prop_assert!(proof.verify(&root, key, wrong).is_err());
        }
    }

    #[test]
    fn uncommitted_blocks_stack(blocks in proptest::collection::vec(changes(), 1..5)) {
        let committed = MemoryStore::new();
        let base = MemoryStore::new();
        for store in [&committed, &base] {
            commit(store, &update(&StateTree::of(store).unwrap(), &numbered(80)));
        }
        let mut stack: Vec<TreeUpdate> = Vec::new();
        for changes in &blocks {
            let above = {
                let tree = StateTree::of(&base).unwrap();
                update(&stack.iter().fold(tree, StateTree::over), changes)
            };
            stack.push(above);
            let step = update(&StateTree::of(&committed).unwrap(), changes);
            commit(&committed, &step);
            prop_assert_eq!(&step, stack.last().unwrap());
        }
        let tree = stack.iter().fold(StateTree::of(&base).unwrap(), StateTree::over);
        let (root, _) = StateTree::of(&committed).unwrap().verify().unwrap();
        prop_assert_eq!(tree.verify().unwrap().0, root);
        let key = 7u32.to_be_bytes();
        prop_assert_eq!(tree.prove(&key).unwrap(), StateTree::of(&committed).unwrap().prove(&key).unwrap());
        // Committed in order, the blocks leave what each alone left.
        for block in &stack {
            commit(&base, block);
        }
        prop_assert_eq!(pages(&*base.snapshot().unwrap()), pages(&*committed.snapshot().unwrap()));
    }
}

#[test]
fn an_empty_tree_has_the_empty_root() {
    let store = MemoryStore::new();
    let tree = StateTree::of(&store).unwrap();
    assert_eq!(tree.root().unwrap(), EMPTY);
    assert_eq!(tree.pairs().unwrap(), 0);
    assert_eq!(
        tree.prove(b"key").unwrap().verify(&EMPTY, b"key", None),
        Ok(())
    );
    let update = tree.update([(&b"absent"[..], None)]).unwrap();
    assert_eq!((update.root(), update.pages()), (EMPTY, 0));
}

/// Small enough for lone leaves beside empty sub-trees inside inner pages, large enough for there to be inner pages.
#[test]
fn every_key_is_proven_there_or_not() {
    for n in [0, 1, 2, 5, 31, 32, 33, 36, 40, 60, 90, 300] {
        let store = MemoryStore::new();
        let state = numbered(n);
        commit(&store, &update(&StateTree::of(&store).unwrap(), &state));
        let tree = StateTree::of(&store).unwrap();
        let root = tree.root().unwrap();
        for key in 0..2 * n + 20 {
            let key = key.to_be_bytes();
            let value = state.get(&key[..]).and_then(Option::as_deref);
            let proof = tree.prove(&key).unwrap();
            assert_eq!(proof.verify(&root, &key, value), Ok(()), "{key:?} of {n}");
        }
    }
}

#[test]
fn an_update_writes_the_pages_on_its_way_and_no_others() {
    let store = MemoryStore::new();
    commit(
        &store,
        &update(&StateTree::of(&store).unwrap(), &numbered(5000)),
    );
    let tree = StateTree::of(&store).unwrap();
    let key = 77u32.to_be_bytes();
    let change = |value: &'static [u8]| tree.update([(&key[..], Some(value))]).unwrap();
    // 5000 pairs: root, its child, that child's child, which lists some 20 pairs.
    assert_eq!(change(b"new").pages(), 3);
    let same = [77u8; 77 % 9];
    let nothing = tree.update([(&key[..], Some(&same[..]))]).unwrap();
    assert_eq!((nothing.root(), nothing.pages()), (tree.root().unwrap(), 0));
}

#[test]
fn one_thread_and_four_write_the_same() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let store = MemoryStore::new();
            let first = update(&StateTree::of(&store).unwrap(), &numbered(6000));
            commit(&store, &first);
            let next: Changes = numbered(4000)
                .into_iter()
                .map(|(k, v)| (k, v.filter(|v| v.len() % 2 == 0).map(|_| b"x".to_vec())))
                .collect();
            (first, update(&StateTree::of(&store).unwrap(), &next))
        })
    };
    assert_eq!(run(1), run(4));
}

#[test]
fn a_key_twice_is_refused() {
    let tree = StateTree::of(&MemoryStore::new()).unwrap();
    let twice = [(&b"k"[..], None), (&b"k"[..], Some(&b"v"[..]))];
    assert!(matches!(tree.update(twice), Err(StateError::DuplicateKey)));
}

/// Every fifth page in turn is changed, cut or lost; whatever is read then is an error or, for a changed digest that only
/// `verify` can see, some tree, never a panic.
#[test]
fn damaged_pages_are_found() {
    let store = MemoryStore::new();
    commit(
        &store,
        &update(&StateTree::of(&store).unwrap(), &numbered(700)),
    );
    let truth = StateTree::of(&store).unwrap().verify().unwrap();
    let all = numbered(700);
    for (n, (prefix, bytes)) in pages(&*store.snapshot().unwrap())
        .into_iter()
        .enumerate()
        .step_by(5)
    {
        let mut faults = vec![None, Some(bytes[..bytes.len() / 2].to_vec()), Some(vec![])];
        for at in [0, 1, 2, 3, 4, 5, 40 + n, bytes.len() - 1] {
            let mut flipped = bytes.clone();
            let at = at % bytes.len();
            flipped[at] ^= 1 << (n % 8);
            faults.push(Some(flipped));
        }
        for fault in faults {
            let mut batch = Batch::new();
            match &fault {
                Some(bytes) => batch.put(Table::Pages, prefix.as_slice(), bytes.as_slice()),
                None => batch.delete(Table::Pages, prefix.as_slice()),
            }
            store.commit(&batch).unwrap();
            let tree = StateTree::of(&store).unwrap();
            assert_ne!(
                tree.verify().ok(),
                Some(truth),
                "page {prefix:?} as {fault:?}"
            );
            let changes = all.iter().map(|(k, v)| (k.as_slice(), v.as_deref()));
            let unreadable = fault.is_none_or(|bytes| bytes.len() < 10);
            // An update over all keys reads every page; a lost root is an empty tree.
            if unreadable && !(prefix.is_empty() && tree.pairs().is_ok()) {
                assert!(matches!(
                    tree.update(changes),
                    Err(StateError::Damaged { .. })
                ));
            } else if let Ok(update) = tree.update(changes) {
                // A changed path stands for a pair that no key has.
                assert!((700..=700 + BUCKET as u64).contains(&update.pairs()));
            }
            for key in [3u32, 4, 5] {
                if let Ok(proof) = tree.prove(&key.to_be_bytes()) {
                    let _ = proof.verify(&truth.0, &key.to_be_bytes(), None);
                }
            }
        }
        let mut batch = Batch::new();
        batch.put(Table::Pages, prefix, bytes);
        store.commit(&batch).unwrap();
    }
}

#[test]
fn values_and_pages_share_one_commit_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    let options = OpenOptions {
        cache_bytes: 1 << 20,
        verify: true,
    };
    let changes = numbered(500);
    let root = {
        let store = RedbStore::open(&file, options).unwrap();
        let update = update(&StateTree::of(&store).unwrap(), &changes);
        let mut batch = Batch::new();
        for (key, value) in &changes {
            batch.put(Table::State, key.as_slice(), value.clone().unwrap());
        }
        update.add_to(&mut batch);
        store.commit(&batch).unwrap();
        update.root()
    };
    let store = RedbStore::open(&file, options).unwrap();
    let snapshot = store.snapshot().unwrap();
    let tree = StateTree::at(snapshot.clone());
    assert_eq!(tree.verify().unwrap(), (root, 500));
    let key = 123u32.to_be_bytes();
    let value = snapshot.get(Table::State, &key).unwrap();
    assert_eq!(
        tree.prove(&key)
            .unwrap()
            .verify(&root, &key, value.as_deref()),
        Ok(())
    );
}

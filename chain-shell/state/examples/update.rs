//! Measures updates of a large state on disk: `cargo run --release -p focus-state --example update -- [keys] [updates]`.
//!
//! Loads `keys` pairs (32-byte keys, 64-byte values), then five times changes `updates` random ones, timing the root and
//! the durable commit of values and pages apart; at the end it reads proofs, checks every page and opens the file again.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Instant;

use focus_state::StateTree;
use focus_store::{Batch, OpenOptions, RedbStore, Store, Table};

/// splitmix64.
fn random(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn key(i: u64) -> [u8; 32] {
    let mut key = [0; 32];
    for (part, chunk) in key.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *chunk = random(4 * i + part as u64).to_le_bytes();
    }
    key
}

fn block(store: &RedbStore, changes: &[([u8; 32], [u8; 64])]) -> Result<String, Box<dyn Error>> {
    let start = Instant::now();
    let tree = StateTree::of(store)?;
    let update = tree.update(changes.iter().map(|(k, v)| (&k[..], Some(&v[..]))))?;
    let root = start.elapsed();
    let mut batch = Batch::new();
    for (key, value) in changes {
        batch.put(Table::State, *key, *value);
    }
    update.add_to(&mut batch);
    let collected = start.elapsed();
    drop(tree);
    store.commit(&batch)?;
    let all = start.elapsed();
    Ok(format!(
        "{} updates, {} pages: root {:.3} s, batch {:.3} s, commit {:.3} s, all {:.3} s",
        changes.len(),
        update.pages(),
        root.as_secs_f64(),
        (collected - root).as_secs_f64(),
        (all - collected).as_secs_f64(),
        all.as_secs_f64()
    ))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |a| a.parse());
    let (keys, updates) = (number(1_000_000)?, number(100_000)?);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("store");
    let options = OpenOptions {
        cache_bytes: 1 << 30,
        verify: true,
    };
    let store = RedbStore::open(&file, options)?;

    let pairs: Vec<_> = (0..keys).map(|i| (key(i), [i as u8; 64])).collect();
    println!("load: {}", block(&store, &pairs)?);
    for round in 0..5u64 {
        let mut indexes = BTreeSet::new();
        let mut draws = (0..).map(|i| random(round << 40 | i) % keys);
        while (indexes.len() as u64) < updates.min(keys) {
            indexes.extend(draws.next());
        }
        let value = [round as u8 ^ 0x55; 64];
        let changes: Vec<_> = indexes.iter().map(|i| (key(*i), value)).collect();
        println!("{}", block(&store, &changes)?);
    }

    let tree = StateTree::of(&store)?;
    let root = tree.root()?;
    let count = 10_000.min(keys);
    let start = Instant::now();
    let proofs: Vec<_> = (0..count)
        .map(|i| tree.prove(&key(i)))
        .collect::<Result<_, _>>()?;
    let proved = start.elapsed();
    let bytes: usize = proofs.iter().map(|proof| proof.encode().len()).sum();
    let start = Instant::now();
    for (i, proof) in (0..count).zip(&proofs) {
        let value = store.get(Table::State, &key(i))?;
        proof.verify(&root, &key(i), value.as_deref())?;
    }
    println!(
        "{count} proofs: {:.1} us to make, {:.1} us to read the value and verify, {} bytes on average",
        proved.as_secs_f64() * 1e6 / count as f64,
        start.elapsed().as_secs_f64() * 1e6 / count as f64,
        bytes / count as usize
    );
    let start = Instant::now();
    let (_, pairs) = tree.verify()?;
    println!(
        "every page of {pairs} pairs checked: {:.3} s",
        start.elapsed().as_secs_f64()
    );
    drop(tree);
    drop(store);
    println!("file: {} MB", std::fs::metadata(&file)?.len() / 1_000_000);
    let start = Instant::now();
    RedbStore::open(&file, options)?;
    println!(
        "open, every page verified: {:.3} s",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

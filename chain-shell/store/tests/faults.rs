//! Files that are not what they should be: an error that says what is wrong, or the right data; never a panic.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use focus_store::{Batch, OpenOptions, RedbStore, Store, StoreError, Table};

fn small() -> OpenOptions {
    OpenOptions {
        cache_bytes: 1 << 20,
        verify: true,
    }
}

type Content = Vec<(Table, Vec<u8>, Vec<u8>)>;

fn content(store: &RedbStore) -> Result<Content, StoreError> {
    let snapshot = store.snapshot()?;
    let mut found = Vec::new();
    for table in Table::ALL {
        snapshot.scan(table, b"", &mut |key, value| {
            found.push((table, key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })?;
    }
    Ok(found)
}

/// A store of several commits, with branch pages, long values and freed pages.
fn fill(store: &RedbStore) {
    for round in 0u32..4 {
        let mut batch = Batch::new();
        for i in 0u32..150 {
            let key = (i * 7 % 150).to_be_bytes();
            if (i + round) % 5 == 0 {
                batch.delete(Table::State, key);
            } else {
                batch.put(Table::State, key, vec![(i + round) as u8; 40]);
            }
        }
        batch.put(Table::Meta, "head", round.to_le_bytes());
        batch.put(Table::Blocks, round.to_be_bytes(), vec![round as u8; 9000]);
        store.commit(&batch).unwrap();
    }
}

/// xorshift: the same sequence of faults on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// Opens the bytes as a store; whatever opens must hold exactly `expected`, and must still take a commit.
fn open_damaged(file: &Path, bytes: &[u8], expected: &Content, what: &str) -> bool {
    fs::write(file, bytes).unwrap();
    let found = RedbStore::open(file, small()).and_then(|store| {
        let found = content(&store)?;
        store.commit(&Batch::new())?;
        Ok(found)
    });
    match found {
        Ok(found) => {
            assert!(found == *expected, "{what}: opened with other data");
            true
        }
        Err(StoreError::Damaged { .. }) => false,
        Err(other) => panic!("{what}: {other}"),
    }
}

#[test]
fn truncated_or_flipped_files_give_an_error_or_the_right_data() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    let store = RedbStore::open(&file, small()).unwrap();
    fill(&store);
    let expected = content(&store).unwrap();
    // As a killed process leaves it, and as a clean close does.
    let killed = fs::read(&file).unwrap();
    drop(store);
    let closed = fs::read(&file).unwrap();

    let damaged = folder.path().join("damaged");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut intact, mut refused) = (0, 0);
    let mut tally = |opened: bool| if opened { intact += 1 } else { refused += 1 };
    for whole in [&closed, &killed] {
        assert!(open_damaged(&damaged, whole, &expected, "untouched"));
        let used = whole.iter().rposition(|b| *b != 0).unwrap() + 1;
        // Every bit of the flags, a bit of some bytes of the rest of the header, and bits all over the file.
        let flags = (0..8).map(|bit| (9, bit));
        let header: Vec<_> = (0..320)
            .step_by(6)
            .map(|at| (at, random.below(8)))
            .collect();
        let rest: Vec<_> = (0..25)
            .map(|_| (random.below(used), random.below(8)))
            .collect();
        for (at, bit) in flags.chain(header).chain(rest) {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 1 << bit;
            tally(open_damaged(
                &damaged,
                &bytes,
                &expected,
                &format!("bit {bit} of byte {at}"),
            ));
        }
        for _ in 0..12 {
            let length = 1 + random.below(whole.len() - 1);
            let what = format!("cut to {length} of {}", whole.len());
            tally(open_damaged(&damaged, &whole[..length], &expected, &what));
        }
        for _ in 0..12 {
            let (from, length) = (random.below(used), 1 + random.below(5000));
            let mut bytes = whole.to_vec();
            bytes
                .iter_mut()
                .skip(from)
                .take(length)
                .for_each(|b| *b = 0);
            let what = format!("{length} bytes from {from} zeroed");
            tally(open_damaged(&damaged, &bytes, &expected, &what));
        }
    }
    assert!(
        intact > 0 && refused > 0,
        "{intact} opened, {refused} refused"
    );
}

/// The commit before is still whole in the file; going back to it would lose what was reported as committed.
#[test]
fn a_damaged_newest_commit_is_no_reason_to_serve_the_one_before() {
    const MARK: &[u8] = b"written by the newest commit alone";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    let store = RedbStore::open(&file, small()).unwrap();
    fill(&store);
    let mut batch = Batch::new();
    batch.put(Table::Meta, "mark", MARK);
    store.commit(&batch).unwrap();
    let expected = content(&store).unwrap();
    let killed = fs::read(&file).unwrap();
    drop(store);
    let closed = fs::read(&file).unwrap();
    for whole in [killed, closed] {
        let marks = (0..whole.len()).filter(|at| whole[*at..].starts_with(MARK));
        let mut bytes = whole.clone();
        marks.for_each(|at| bytes[at] ^= 1);
        assert_ne!(bytes, whole);
        let damaged = folder.path().join("damaged");
        assert!(!open_damaged(&damaged, &bytes, &expected, "newest commit"));
    }
}

#[test]
fn garbage_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    let mut random = Random(7);
    for length in [0, 1, 8, 64, 320, 4096, 5000, 100_000] {
        let bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        fs::write(&file, &bytes).unwrap();
        let error = RedbStore::open(&file, small()).unwrap_err();
        assert!(
            matches!(error, StoreError::Damaged { .. }),
            "{length}: {error}"
        );
        assert_eq!(fs::read(&file).unwrap(), bytes, "the file was changed");
    }
}

#[test]
fn a_second_opening_is_refused_while_the_first_lives() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    let first = RedbStore::open(&file, small()).unwrap();
    let error = RedbStore::open(&file, small()).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    drop(first);
    RedbStore::open(&file, small()).unwrap();
}

#[test]
fn places_that_hold_no_file_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/folder/store");
    for (path, says) in [
        (missing.as_path(), "the folder must exist"),
        (folder.path(), "not a file"),
        // A read-only filesystem, also for the superuser, whom file modes do not stop.
        (Path::new("/sys/kernel/focus.redb"), "choose another folder"),
    ] {
        let error = RedbStore::open(path, small()).unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(says) && text.contains(path.to_str().unwrap()),
            "{text}"
        );
    }
}

#[test]
fn an_unfinished_creation_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    fs::write(folder.path().join("store.new"), b"half a fi").unwrap();
    let store = RedbStore::open(&file, small()).unwrap();
    assert_eq!(content(&store).unwrap(), []);
    assert!(!folder.path().join("store.new").exists());
}

//! Damaged, torn, missing and foreign files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;

use borsh::BorshDeserialize;
use focus_node::{Node, NodeError, NodeOptions, replay_data, replay_log};
use focus_store::{Batch, OpenOptions, RedbStore, Store, Table};
use focus_types::{Block, Certificate, Hash32, Header};
use support::*;

/// A chain of eight blocks; returns the last header.
fn chain(data: &Path) -> Header {
    let node = create(data, &genesis());
    for _ in 0..8 {
        next_block(&node);
    }
    node.head()
}

fn log_lines(data: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(data.join("chain.jsonl")).unwrap();
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

#[test]
fn a_torn_last_line_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let head = chain(folder.path());
    let log = folder.path().join("chain.jsonl");
    let whole = fs::read(&log).unwrap();
    let last = log_lines(folder.path()).last().unwrap().len();
    for cut in [1, 2, last / 2, last - 1, last, last + 5] {
        fs::write(&log, &whole[..whole.len() - cut]).unwrap();
        let replayed = replay_log(&log, oracle()).unwrap();
        assert_eq!(replayed.height, if cut > last { 6 } else { 7 }, "cut {cut}");
        let node = open(folder.path());
        assert_eq!(node.head(), head);
        assert_eq!(fs::read(&log).unwrap(), whole, "cut {cut}");
    }
    // Garbage where the last line should be.
    let mut garbage = whole[..whole.len() - last].to_vec();
    garbage.extend([0; 100]);
    fs::write(&log, &garbage).unwrap();
    drop(open(folder.path()));
    assert_eq!(fs::read(&log).unwrap(), whole);
    // No log at all, an empty one, and one torn in its first line.
    for start in [None, Some(0), Some(10)] {
        match start {
            None => fs::remove_file(&log).unwrap(),
            Some(length) => fs::write(&log, &whole[..length]).unwrap(),
        }
        drop(open(folder.path()));
        assert_eq!(fs::read(&log).unwrap(), whole);
    }
}

#[test]
fn a_corrupt_middle_line_is_named_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    chain(folder.path());
    let log = folder.path().join("chain.jsonl");
    let whole = fs::read(&log).unwrap();
    let lines = log_lines(folder.path());
    for line in [1usize, 2, 5, 8] {
        let start: usize = lines[..line - 1].iter().map(Vec::len).sum();
        let mut bytes = whole.clone();
        bytes[start + lines[line - 1].len() / 2] ^= 4;
        fs::write(&log, &bytes).unwrap();
        for error in [
            Node::open(folder.path(), oracle(), NodeOptions::default())
                .err()
                .unwrap(),
            replay_log(&log, oracle()).unwrap_err(),
        ] {
            assert!(
                matches!(error, NodeError::Log { line: found, .. } if found == line as u64),
                "{error}"
            );
        }
        assert_eq!(fs::read(&log).unwrap(), bytes);
    }
    // A line left out is noticed by its height.
    let bytes: Vec<u8> = lines[..3]
        .iter()
        .chain(&lines[4..])
        .flatten()
        .copied()
        .collect();
    fs::write(&log, &bytes).unwrap();
    let error = replay_log(&log, oracle()).unwrap_err();
    assert!(matches!(error, NodeError::Log { line: 4, .. }), "{error}");
    fs::write(&log, &whole).unwrap();
    drop(open(folder.path()));
}

/// Rewrites a log line with a right checksum.
fn reseal(line: &[u8], change: impl Fn(String) -> String) -> Vec<u8> {
    let text = String::from_utf8(line[74..line.len() - 1].to_vec()).unwrap();
    let rest = change(text);
    format!(
        "{{\"sum\":\"{}\",{rest}\n",
        blake3::hash(rest.as_bytes()).to_hex()
    )
    .into_bytes()
}

#[test]
fn a_forged_log_line_does_not_replay() {
    let folder = tempfile::tempdir().unwrap();
    chain(folder.path());
    let lines = log_lines(folder.path());
    let forged = |line: usize, change: &dyn Fn(String) -> String| {
        let mut bytes: Vec<u8> = lines[..line].iter().flatten().copied().collect();
        bytes.extend(reseal(&lines[line], change));
        bytes.extend(lines[line + 1..].iter().flatten());
        let file = folder.path().join("forged.jsonl");
        fs::write(&file, bytes).unwrap();
        replay_log(&file, oracle()).unwrap_err()
    };
    assert!(forged(3, &|text| text.replacen("\"keys\":", "\"keys\":1", 1)).is_mismatch());
    assert!(forged(3, &|text| text.replacen("\"gas\":", "\"gas\":1", 1)).is_mismatch());
    let header = forged(3, &|text| text.replacen("\"edges\":", "\"edges\":1", 1));
    assert!(matches!(header, NodeError::Log { line: 4, .. }), "{header}");
    let garbage = forged(3, &|text| text.replacen("\"block\":", "\"blob\":", 1));
    assert!(
        matches!(garbage, NodeError::Log { line: 4, .. }),
        "{garbage}"
    );
    let genesis = forged(0, &|text| {
        text.replacen("\"balance\":1", "\"balance\":2", 1)
    });
    assert!(
        matches!(genesis, NodeError::Log { line: 1, .. }),
        "{genesis}"
    );
}

#[test]
fn a_log_ahead_of_the_store_is_executed() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("a"), folder.path().join("b"));
    let node = create(&data, &genesis());
    for _ in 0..3 {
        next_block(&node);
    }
    drop(node);
    copy_folder(&data, &copy);
    let node = open(&data);
    for _ in 0..3 {
        next_block(&node);
    }
    let head = node.head();
    drop(node);
    fs::copy(data.join("chain.jsonl"), copy.join("chain.jsonl")).unwrap();
    let node = open(&copy);
    assert_eq!(node.head(), head);
    drop(node);
    let replayed = replay_data(&copy, oracle()).unwrap();
    assert_eq!(replayed.tip, head.hash());
}

#[test]
fn a_log_of_another_history_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (data, other) = (folder.path().join("a"), folder.path().join("b"));
    chain(&data);
    let node = create(&other, &genesis());
    run_one(&node, 1, transfer(address(2), 5));
    drop(node);
    fs::copy(other.join("chain.jsonl"), data.join("chain.jsonl")).unwrap();
    let error = Node::open(&data, oracle(), NodeOptions::default())
        .err()
        .unwrap();
    assert!(matches!(error, NodeError::Log { line: 2, .. }), "{error}");
    let mut foreign = genesis();
    foreign.chain_id = "other".into();
    let third = folder.path().join("c");
    drop(create(&third, &foreign));
    fs::copy(third.join("chain.jsonl"), data.join("chain.jsonl")).unwrap();
    let error = Node::open(&data, oracle(), NodeOptions::default())
        .err()
        .unwrap();
    assert!(matches!(error, NodeError::OtherGenesis { .. }), "{error}");
}

/// Changes one stored value behind the node's back.
fn tamper(data: &Path, table: Table, key: &[u8], change: impl Fn(&mut Vec<u8>)) {
    let store = RedbStore::open(data.join("chain.redb"), OpenOptions::default()).unwrap();
    let mut value = store.get(table, key).unwrap().unwrap();
    change(&mut value);
    let mut batch = Batch::new();
    batch.put(table, key, value);
    store.commit(&batch).unwrap();
}

#[test]
fn changed_values_are_found_on_opening() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("a");
    chain(&source);
    let flip = |value: &mut Vec<u8>| *value.last_mut().unwrap() ^= 1;
    let cases: Vec<(Table, Vec<u8>)> = vec![
        (Table::Meta, b"head".to_vec()),
        (Table::Meta, [&b"pi/"[..], &[0; 4]].concat()),
        (Table::State, focus_modules::keys::edge(0, 1)),
        (Table::Pages, vec![]),
    ];
    for (case, (table, key)) in cases.into_iter().enumerate() {
        let data = folder.path().join(case.to_string());
        copy_folder(&source, &data);
        let store = RedbStore::open(data.join("chain.redb"), OpenOptions::default()).unwrap();
        let mut key = key;
        if table == Table::State {
            store
                .scan(table, focus_modules::keys::EDGES, &mut |found, _| {
                    key = found.to_vec();
                    std::ops::ControlFlow::Break(())
                })
                .unwrap();
        }
        drop(store);
        // The middle of an edge record is its weight.
        let edit = |value: &mut Vec<u8>| match table {
            Table::State => value[8] ^= 1,
            _ => flip(value),
        };
        tamper(&data, table, &key, edit);
        let error = Node::open(&data, oracle(), NodeOptions::default())
            .err()
            .unwrap();
        let text = error.to_string();
        assert!(!text.contains('\n') && !text.is_empty(), "{text}");
    }
}

#[test]
fn a_tampered_block_does_not_replay() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("a");
    chain(&source);
    let height = 4u64.to_be_bytes();
    // Within the header: height, parent, roots, residual; then a byte of the first transaction.
    for (case, at) in [34usize, 50, 80, 120, 260, 400].into_iter().enumerate() {
        let data = folder.path().join(case.to_string());
        copy_folder(&source, &data);
        tamper(&data, Table::Blocks, &height, |value| value[at] ^= 1);
        assert!(replay_data(&data, oracle()).is_err(), "byte {at}");
    }
    let data = folder.path().join("values");
    copy_folder(&source, &data);
    let supply = focus_modules::keys::supply(focus_types::AssetId::FOCUS);
    tamper(&data, Table::State, &supply, |value| value[0] ^= 1);
    let error = replay_data(&data, oracle()).unwrap_err();
    assert!(
        matches!(
            error,
            NodeError::Mismatch {
                field: "state values",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn every_header_field_is_checked_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("a");
    chain(&source);
    let height = 4u64;
    type Change = fn(&mut Header);
    let changes: [(&str, Change); 18] = [
        ("version", |h| h.version += 1),
        ("chain", |h| h.chain.0[0] ^= 1),
        ("height", |h| h.height += 1),
        ("parent", |h| h.parent.0[0] ^= 1),
        ("state_root", |h| h.state_root.0[0] ^= 1),
        ("tx_root", |h| h.tx_root.0[0] ^= 1),
        ("receipt_root", |h| h.receipt_root.0[0] ^= 1),
        ("pi_root", |h| h.pi_root.0[0] ^= 1),
        ("graph_root", |h| h.graph_root.0[0] ^= 1),
        ("ma_root", |h| h.ma_root.0[0] ^= 1),
        ("residual", |h| h.residual += 1),
        ("iterations", |h| h.iterations += 1),
        ("converged", |h| h.converged = !h.converged),
        ("gas_used", |h| h.gas_used += 1),
        ("nodes", |h| h.nodes += 1),
        ("edges", |h| h.edges += 1),
        // Fees go to the proposer, so the state differs first.
        ("receipt_root state_root proposer", |h| h.proposer.0[0] ^= 1),
        ("certificate", |h| h.certificate = Certificate::Genesis),
    ];
    for (index, (field, change)) in changes.into_iter().enumerate() {
        let data = folder.path().join(index.to_string());
        copy_folder(&source, &data);
        tamper(&data, Table::Blocks, &height.to_be_bytes(), |value| {
            let mut rest = value.as_slice();
            let mut block = Block::deserialize(&mut rest).unwrap();
            change(&mut block.header);
            *value = [&block.encode(), rest].concat();
        });
        match replay_data(&data, oracle()).unwrap_err() {
            NodeError::Mismatch {
                field: found,
                height: 4,
            } => assert!(field.contains(found), "{field}: {found}"),
            // The stored height is compared with its key before anything is executed.
            NodeError::Damaged(message) if field == "height" => {
                assert!(message.contains("height"), "{message}");
            }
            other => panic!("{field}: {other}"),
        }
    }
}

#[test]
fn folders_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("a");
    let options = NodeOptions::default();
    let error = Node::open(&data, oracle(), options).err().unwrap();
    assert!(matches!(error, NodeError::NoChain { .. }), "{error}");
    assert!(matches!(
        replay_data(&data, oracle()),
        Err(NodeError::NoChain { .. })
    ));

    let node = create(&data, &genesis());
    next_block(&node);
    let head = node.head();
    let error = Node::open(&data, oracle(), options).err().unwrap();
    assert!(matches!(error, NodeError::InUse { .. }), "{error}");
    assert!(matches!(
        replay_data(&data, oracle()),
        Err(NodeError::InUse { .. })
    ));
    drop(node);

    // Creating the same chain again continues it.
    assert_eq!(create(&data, &genesis()).head(), head);
    let mut other = genesis();
    other.chain_id = "other".into();
    let error = Node::create(&data, &other, key(100), oracle(), options)
        .err()
        .unwrap();
    assert!(matches!(error, NodeError::OtherGenesis { .. }), "{error}");
    let error = Node::create(&data, &genesis(), key(1), oracle(), options)
        .err()
        .unwrap();
    assert!(matches!(error, NodeError::NotValidator { .. }), "{error}");

    let file = folder.path().join("file");
    fs::write(&file, b"x").unwrap();
    let error = Node::create(&file, &genesis(), key(100), oracle(), options)
        .err()
        .unwrap();
    assert!(matches!(error, NodeError::File { .. }), "{error}");

    fs::write(data.join("validator.key"), b"not a key").unwrap();
    let error = Node::open(&data, oracle(), options).err().unwrap();
    assert!(matches!(error, NodeError::File { .. }), "{error}");
    fs::write(data.join("validator.key"), key(1).seed_hex().as_bytes()).unwrap();
    let error = Node::open(&data, oracle(), options).err().unwrap();
    assert!(matches!(error, NodeError::NotValidator { .. }), "{error}");
    fs::write(data.join("validator.key"), key(100).seed_hex().as_bytes()).unwrap();

    let text = fs::read_to_string(data.join("genesis.json")).unwrap();
    fs::write(
        data.join("genesis.json"),
        text.replacen("1000000000", "1000000001", 1),
    )
    .unwrap();
    let error = Node::open(&data, oracle(), options).err().unwrap();
    assert!(matches!(error, NodeError::GenesisFile { .. }), "{error}");
    assert!(error.to_string().contains("genesis.json"), "{error}");
    fs::write(data.join("genesis.json"), other.to_file()).unwrap();
    let error = Node::open(&data, oracle(), options).err().unwrap();
    assert!(matches!(error, NodeError::OtherGenesis { .. }), "{error}");
    fs::write(data.join("genesis.json"), text).unwrap();
    assert_eq!(open(&data).head(), head);
}

#[test]
fn a_lost_key_is_named_and_no_other_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let head = chain(folder.path());
    let path = folder.path().join("validator.key");
    let secret = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let lost = || {
        let error = Node::open(folder.path(), oracle(), NodeOptions::default())
            .err()
            .unwrap();
        assert!(
            error.to_string().contains("validator.key: missing"),
            "{error}"
        );
        assert!(!path.exists());
    };
    lost();
    let genesis_file = folder.path().join("genesis.json");
    let text = fs::read(&genesis_file).unwrap();
    fs::remove_file(&genesis_file).unwrap();
    lost();
    fs::write(&genesis_file, text).unwrap();
    fs::write(&path, secret).unwrap();
    assert_eq!(open(folder.path()).head(), head);
}

#[test]
fn a_damaged_store_is_made_anew_from_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let head = chain(folder.path());
    let store = folder.path().join("chain.redb");
    fs::write(&store, b"not a store").unwrap();
    let error = Node::open(folder.path(), oracle(), NodeOptions::default())
        .err()
        .unwrap();
    assert!(error.to_string().contains("from chain.jsonl"), "{error}");
    fs::remove_file(&store).unwrap();
    assert_eq!(open(folder.path()).head(), head);
}

#[cfg(unix)]
#[test]
fn the_key_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    drop(create(folder.path(), &genesis()));
    let mode = fs::metadata(folder.path().join("validator.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_ne!(Hash32::ZERO, genesis().hash());
}

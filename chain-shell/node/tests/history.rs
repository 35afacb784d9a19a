//! One history, however it is run: reopened, replayed, on any number of threads.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use ffcm::cpu::CpuCoprocessor;
use focus_node::{Node, NodeOptions, replay_data, replay_log};
use focus_proof::Proof;
use focus_types::{Hash32, MemoryInit, merkle};
use support::*;

const BLOCKS: u64 = 30;

fn uninterrupted(data: &std::path::Path) -> Vec<Hash32> {
    let mut genesis = genesis();
    genesis.ma.init = MemoryInit::Hash(Hash32([3; 32]));
    let node = create(data, &genesis);
    let hashes = (0..BLOCKS).map(|_| next_block(&node).hash).collect();
    assert_eq!(node.head().height, BLOCKS);
    hashes
}

#[test]
fn reopening_and_replaying_give_the_same_roots() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("a");
    let hashes = uninterrupted(&data);

    let other = folder.path().join("b");
    let mut genesis = genesis();
    genesis.ma.init = MemoryInit::Hash(Hash32([3; 32]));
    let mut node = create(&other, &genesis);
    for (i, hash) in hashes.iter().enumerate() {
        let report = next_block(&node);
        assert_eq!(report.hash, *hash, "block {}", i + 1);
        if i % 7 == 3 {
            drop(node);
            node = open(&other);
            assert_eq!(node.head().hash(), *hash);
        }
    }
    let head = node.head();
    drop(node);

    let from_data = replay_data(&other, oracle()).unwrap();
    assert_eq!((from_data.height, from_data.tip), (BLOCKS, head.hash()));
    assert_eq!(from_data.state_root, head.state_root);
    let from_log = replay_log(&other.join("chain.jsonl"), oracle()).unwrap();
    assert_eq!(from_log, from_data);
    let logs = [&data, &other].map(|path| std::fs::read(path.join("chain.jsonl")).unwrap());
    assert_eq!(logs[0], logs[1]);
}

#[test]
fn any_number_of_threads_gives_the_same_roots() {
    let run = |threads| {
        let folder = tempfile::tempdir().unwrap();
        let cpu = Arc::new(CpuCoprocessor::new(threads).unwrap());
        let options = NodeOptions::default();
        let node = Node::create(folder.path(), &genesis(), key(100), cpu, options).unwrap();
        (0..10).map(|_| next_block(&node).hash).collect::<Vec<_>>()
    };
    let one = run(1);
    assert_eq!(run(2), one);
    assert_eq!(run(5), one);
    let folder = tempfile::tempdir().unwrap();
    let node = create(folder.path(), &genesis());
    let by_oracle: Vec<Hash32> = (0..10).map(|_| next_block(&node).hash).collect();
    assert_eq!(by_oracle, one);
}

#[test]
fn reports_headers_and_receipts_agree() {
    let folder = tempfile::tempdir().unwrap();
    let node = create(folder.path(), &genesis());
    for height in 1..=12 {
        let report = next_block(&node);
        let block = node.block(height).unwrap().unwrap();
        assert_eq!(block.header, report.header);
        assert_eq!(block.header.hash(), report.hash);
        assert_eq!(block.transactions.len() as u32, report.transactions);
        let leaves: Vec<Hash32> = block.transactions.iter().map(|tx| tx.leaf()).collect();
        assert_eq!(merkle::root(leaves.iter().copied()), block.header.tx_root);
        let mut gas = 0;
        let mut receipts = Vec::new();
        for (index, tx) in (0u32..).zip(&block.transactions) {
            let receipt = node.receipt(&tx.id()).unwrap().unwrap();
            assert_eq!((receipt.height, receipt.index), (height, index));
            gas += receipt.gas;
            receipts.push(receipt.leaf());
        }
        assert_eq!(gas, block.header.gas_used);
        let proof = merkle::prove(&receipts, 0).unwrap();
        assert!(proof.verify(&block.header.receipt_root, &receipts[0]));
        let names: Vec<&str> = report.stages.iter().map(|(name, _)| *name).collect();
        let order = ["transactions", "memory", "focus", "state", "commit", "log"];
        let places = order.map(|name| names.iter().position(|n| *n == name).unwrap());
        assert!(places.is_sorted(), "{names:?}");
    }
    assert_eq!(node.reports().len(), 12);
    let metrics = node.metrics();
    assert_eq!((metrics.height, metrics.blocks), (12, 12));
    assert_eq!(metrics.edges, node.head().edges);
    let activity = node.memory_activity();
    assert_eq!(activity.operations.iter().sum::<u64>(), metrics.memory_ops);
    assert!(metrics.memory_ops > 0 && activity.norms.iter().any(|norm| *norm > 0));
    assert!(node.block(13).unwrap().is_none());
}

#[test]
fn the_top_adds_up_and_has_labels() {
    let folder = tempfile::tempdir().unwrap();
    let node = create(folder.path(), &genesis());
    assert!(node.top(5).unwrap().is_empty());
    for _ in 0..8 {
        next_block(&node);
    }
    let all = node.top(usize::MAX).unwrap();
    assert_eq!(all.len(), node.head().nodes as usize);
    assert_eq!(all.iter().map(|rank| rank.mass).sum::<u64>(), 1 << 62);
    assert!(all.is_sorted_by_key(|rank| (std::cmp::Reverse(rank.mass), rank.index)));
    assert_eq!(node.top(3).unwrap(), all[..3]);
    assert!(
        all.iter()
            .all(|rank| rank.label.as_ref().unwrap().starts_with('p'))
    );
}

#[test]
fn state_proofs_verify_against_the_header() {
    let folder = tempfile::tempdir().unwrap();
    let node = create(folder.path(), &genesis());
    for _ in 0..6 {
        next_block(&node);
    }
    let head = node.head();
    let present = [
        focus_modules::keys::account(&address(1)),
        focus_modules::keys::balance(focus_types::AssetId::FOCUS, &address(2)),
        focus_modules::keys::index(0),
        focus_modules::keys::pi(0),
        focus_modules::keys::NODES.to_vec(),
    ];
    let absent = [
        b"/kv/nothing".to_vec(),
        focus_modules::keys::index(60_000),
        vec![],
    ];
    for (key, there) in present
        .iter()
        .map(|k| (k, true))
        .chain(absent.iter().map(|k| (k, false)))
    {
        let view = node.prove(key).unwrap();
        assert_eq!(
            (view.height, view.state_root),
            (head.height, head.state_root)
        );
        assert_eq!(view.value.is_some(), there);
        let proof = Proof::decode(&view.proof).unwrap();
        let value = view.value.as_deref();
        assert!(proof.verify(&head.state_root.0, key, value).is_ok());
        assert!(
            proof
                .verify(&head.state_root.0, key, Some(b"forged"))
                .is_err()
        );
        let opposite = if there { None } else { Some(&b""[..]) };
        assert!(proof.verify(&head.state_root.0, key, opposite).is_err());
        assert!(proof.verify(&[7; 32], key, value).is_err());
    }
}

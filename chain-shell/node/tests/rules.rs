//! What transactions may do and what they cost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use focus_node::{Node, NodeOptions, replay_data};
use focus_types::{
    AssetId, Body, MaOp, RejectReason, SignedTx, SlotTarget, TX_BYTES_MAX, Transaction,
};
use proptest::prelude::*;
use support::*;

fn node_with(change: impl FnOnce(&mut focus_types::Genesis)) -> (tempfile::TempDir, Node) {
    let folder = tempfile::tempdir().unwrap();
    let mut genesis = genesis();
    change(&mut genesis);
    let node = create(folder.path(), &genesis);
    (folder, node)
}

#[test]
fn every_reason_at_the_door() {
    let (_folder, node) = node_with(|_| ());
    let chain = node.genesis().hash();
    let pay = || transfer(address(2), 1);
    let reject = |tx: SignedTx, reason: RejectReason| {
        let before = rejected(&node, reason);
        assert_eq!(node.submit(tx), Err(reason));
        assert_eq!(rejected(&node, reason), before + 1, "{reason}");
    };
    let good = sign(chain, 1, 0, pay());
    assert_eq!(node.submit(good.clone()), Ok(good.id()));
    reject(good.clone(), RejectReason::Dup);
    reject(
        sign(chain, 1, 0, transfer(address(3), 1)),
        RejectReason::BadNonce,
    );
    reject(sign(chain, 1, 5_000, pay()), RejectReason::BadNonce);
    reject(
        sign(focus_types::Hash32([1; 32]), 1, 1, pay()),
        RejectReason::BadSig,
    );
    let mut bad = sign(chain, 1, 1, pay());
    bad.signature.0[3] ^= 1;
    reject(bad.clone(), RejectReason::BadSig);
    bad.signature.0[63] = 0xff;
    reject(bad, RejectReason::BadSigEncoding);
    let slot = |shard, layer, slot| Body::Memory {
        target: SlotTarget { shard, layer, slot },
        op: MaOp::Clip {},
    };
    reject(sign(chain, 1, 1, slot(2, 0, 0)), RejectReason::BadShard);
    reject(sign(chain, 1, 1, slot(0, 4, 0)), RejectReason::BadLayer);
    reject(sign(chain, 1, 1, slot(0, 0, 64)), RejectReason::BadSlot);
    let mix = MaOp::Mix {
        alpha: 1,
        source: 64,
    };
    reject(sign(chain, 1, 1, memory(0, 0, mix)), RejectReason::BadSlot);
    reject(sign(chain, 9, 0, pay()), RejectReason::Insufficient);
    let key = key(1);
    let cheap = Transaction {
        chain,
        sender: key.address(),
        nonce: 1,
        gas_limit: 999,
        body: pay(),
    };
    reject(cheap.sign(&key), RejectReason::BadGas);
    let vector = vec![0; TX_BYTES_MAX / 2 + 1];
    reject(
        sign(chain, 1, 1, memory(0, 0, MaOp::Add { vector })),
        RejectReason::TooLarge,
    );

    node.produce().unwrap().unwrap();
    reject(good.clone(), RejectReason::Dup);
    drop(node);
    let node = open(_folder.path());
    assert_eq!(node.submit(good), Err(RejectReason::BadNonce));
}

/// Good, bad, late, early, repeated and unaffordable ones: each gets the answer it gets alone, at its turn.
#[test]
fn transactions_that_come_together_are_answered_as_one_by_one() {
    let options = || NodeOptions {
        mempool_cap: 200,
        sender_cap: 90,
        nonce_gap: 2,
        ..NodeOptions::default()
    };
    let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let [together, alone] = [0, 1].map(|at: usize| {
        Node::create(
            folders[at].path(),
            &genesis(),
            key(100),
            oracle(),
            options(),
        )
        .unwrap()
    });
    let chain = together.genesis().hash();
    let mut txs = vec![];
    for nonce in 0..100 {
        for n in 1..=3 {
            let tx = sign(chain, n, nonce, transfer(address(4), 1));
            let with = |at: usize, byte: u8| {
                let mut bad = tx.clone();
                bad.signature.0[at] = byte;
                bad
            };
            let later = || sign(chain, n, nonce + 5, transfer(address(4), 1));
            // Before and after the good one. Under a signature that is none it is a repetition once it is admitted.
            let (before, after) = match (nonce * 3 + u64::from(n)) % 17 {
                0 => (Some(with(40, tx.signature.0[40] ^ 1)), None),
                1 => (Some(with(63, 0xff)), Some(later())),
                2 => (None, Some(with(0, tx.signature.0[0] ^ 1))),
                3 => (None, Some(tx.clone())),
                4 => (Some(sign(chain, 9, 0, transfer(address(4), 1))), None),
                _ => (None, None),
            };
            txs.extend(before.into_iter().chain([tx]).chain(after));
        }
    }
    let expected: Vec<_> = txs.iter().map(|tx| alone.submit(tx.clone())).collect();
    let (first, second) = txs.split_at(250);
    let mut found = together.submit_all(first.to_vec());
    found.extend(together.submit_all(second.to_vec()));
    assert_eq!(found, expected);
    for reason in [
        RejectReason::Dup,
        RejectReason::BadSig,
        RejectReason::BadSigEncoding,
        RejectReason::BadNonce,
        RejectReason::Insufficient,
        RejectReason::MempoolFull,
    ] {
        assert!(expected.contains(&Err(reason)), "{reason}");
        assert_eq!(
            rejected(&together, reason),
            rejected(&alone, reason),
            "{reason}"
        );
    }
    assert!(expected.iter().filter(|answer| answer.is_ok()).count() == 200);
    assert_eq!(together.mempool_len(), alone.mempool_len());
    assert_eq!(together.submit_all(vec![]), []);
    let blocks = [&together, &alone].map(|node| node.produce().unwrap().unwrap());
    assert_eq!(blocks[0].hash, blocks[1].hash);
}

#[test]
fn the_mempool_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let options = NodeOptions {
        mempool_cap: 5,
        sender_cap: 3,
        nonce_gap: 2,
        ..NodeOptions::default()
    };
    let node = Node::create(folder.path(), &genesis(), key(100), oracle(), options).unwrap();
    let chain = node.genesis().hash();
    let submit = |n, nonce| {
        node.submit(sign(chain, n, nonce, transfer(address(4), 1)))
            .err()
    };
    assert_eq!(submit(1, 3), Some(RejectReason::BadNonce));
    assert_eq!([submit(1, 2), submit(1, 0), submit(1, 1)], [None; 3]);
    assert_eq!(submit(1, 3), Some(RejectReason::SenderCap));
    assert_eq!([submit(2, 0), submit(2, 2)], [None; 2]);
    assert_eq!(submit(3, 0), Some(RejectReason::MempoolFull));
    assert_eq!(node.mempool_len(), 5);
    // Nonce 1 of the second sender is missing, so its nonce 2 waits.
    assert_eq!(node.produce().unwrap().unwrap().transactions, 4);
    assert_eq!(node.mempool_len(), 1);
    assert!(node.produce().unwrap().is_none());
    assert_eq!(submit(2, 1), None);
    assert_eq!(node.produce().unwrap().unwrap().transactions, 2);
    assert_eq!(node.mempool_len(), 0);
}

#[test]
fn budgets_leave_the_rest_for_later_blocks() {
    let (_folder, node) = node_with(|genesis| genesis.budgets.edges = 3);
    let chain = node.genesis().hash();
    for nonce in 0..8 {
        let body = link("a", &format!("b{nonce}"), 10);
        node.submit(sign(chain, 1, nonce, body)).unwrap();
    }
    node.submit(sign(chain, 2, 0, transfer(address(3), 1)))
        .unwrap();
    let blocks: Vec<_> = std::iter::from_fn(|| node.produce().unwrap()).collect();
    let counts: Vec<_> = blocks.iter().map(|b| (b.links, b.transactions)).collect();
    assert_eq!(counts, [(3, 4), (3, 3), (2, 2)]);

    let (_folder, node) = node_with(|genesis| genesis.budgets.gas = 25_000);
    let chain = node.genesis().hash();
    for nonce in 0..5 {
        node.submit(sign(chain, 1, nonce, link("a", "b", nonce + 1)))
            .unwrap();
    }
    let blocks: Vec<_> = std::iter::from_fn(|| node.produce().unwrap()).collect();
    assert_eq!(
        blocks.iter().map(|b| b.transactions).collect::<Vec<_>>(),
        [2, 2, 1]
    );
}

#[test]
fn linked_unlinked_and_linked_to_itself_in_one_block() {
    let (folder, node) = node_with(|_| {});
    let chain = node.genesis().hash();
    let bodies = [("a", "b", 10), ("a", "b", 0), ("c", "c", 7), ("a", "b", 0)];
    for (nonce, (source, target, stake)) in (0..).zip(bodies) {
        let tx = sign(chain, 1, nonce, link(source, target, stake));
        node.submit(tx).unwrap();
    }
    let report = node.produce().unwrap().unwrap();
    assert_eq!((report.links, report.failed, report.edges), (4, 0, 1));
    assert_eq!(report.header.nodes, 3);
    // All stake is on the self-link, so that is where every walk starts and stays.
    let top = node.top(3).unwrap();
    assert_eq!(top[0].label.as_deref(), Some("c"));
    assert_supply(&node);
    drop(node);
    let head = open(folder.path()).head();
    assert_eq!(
        replay_data(folder.path(), oracle()).unwrap().tip,
        head.hash()
    );
}

#[test]
fn a_block_must_hold_any_one_transaction() {
    let refused = |change: fn(&mut focus_types::Genesis)| {
        let folder = tempfile::tempdir().unwrap();
        let mut genesis = genesis();
        change(&mut genesis);
        let node = Node::create(
            folder.path(),
            &genesis,
            key(100),
            oracle(),
            NodeOptions::default(),
        );
        let error = node.err().unwrap().to_string();
        assert!(error.contains("genesis: budgets"), "{error}");
    };
    refused(|genesis| genesis.budgets.gas = genesis.weight_net.gas);
    refused(|genesis| genesis.budgets.bytes = TX_BYTES_MAX as u64 - 1);
}

#[test]
fn transfers_move_what_they_say_and_fees_reach_the_proposer() {
    let (_folder, node) = node_with(|_| ());
    assert_eq!(run_one(&node, 1, transfer(address(2), 500)), ("ok", 1_000));
    assert_eq!(balance(&node, 1), BALANCE - 500 - 1_000);
    assert_eq!(balance(&node, 2), BALANCE + 500);
    assert_eq!(balance(&node, 100), 1_000);
    assert_eq!(
        run_one(&node, 1, transfer(address(2), u64::MAX)),
        ("insufficient", 1_000)
    );
    assert_eq!(balance(&node, 1), BALANCE - 500 - 2_000);
    assert_eq!(run_one(&node, 1, transfer(address(1), 7)), ("ok", 1_000));
    assert_eq!(balance(&node, 1), BALANCE - 500 - 3_000);
    let unknown = Body::Transfer {
        asset: AssetId(9),
        to: address(2),
        amount: 0,
    };
    assert_eq!(run_one(&node, 1, unknown), ("unknown_asset", 1_000));
}

#[test]
fn stakes_add_up_and_come_back() {
    let (_folder, node) = node_with(|_| ());
    let edge = || {
        let key = focus_modules::keys::edge(0, 1);
        node.prove(&key)
            .unwrap()
            .value
            .map(|bytes| focus_modules::links::EdgeRecord::decode(&key, &bytes).unwrap())
    };
    let (label, gas) = run_one(&node, 1, link("a", "b", 5_000));
    assert_eq!(label, "ok");
    assert!(gas > 2_000 && gas < 2_100, "{gas}");
    assert_eq!(balance(&node, 1), BALANCE - 5_000 - gas - 1_000);
    assert_eq!(
        (edge().unwrap().stake, edge().unwrap().weight),
        (5_000, 5_000)
    );
    run_one(&node, 2, link("a", "b", 3_000));
    assert_eq!(
        (edge().unwrap().stake, edge().unwrap().weight),
        (8_000, 8_000)
    );
    let before = balance(&node, 1);
    let (_, gas) = run_one(&node, 1, link("a", "b", 1_000));
    assert_eq!(balance(&node, 1), before + 4_000 - gas - 1_000);
    assert_eq!(edge().unwrap().stake, 4_000);
    run_one(&node, 2, link("a", "b", 0));
    run_one(&node, 1, link("a", "b", 0));
    assert_eq!(edge(), None);
    assert_eq!((node.head().nodes, node.head().edges), (2, 0));
    assert_eq!(
        run_one(&node, 1, link("a", "b", u64::MAX)).0,
        "insufficient"
    );
}

#[test]
fn a_refused_net_gives_weight_zero_and_says_so() {
    let endless = "@weight = (* (* (* x)))\n  & @loop ~ (* x)\n@loop = (* r)\n  & @loop ~ (* r)\n";
    let not_a_number = "@weight = (* (* (* (a a))))\n";
    let negative = "@weight = (* (* (* -5)))\n";
    for (net, reason) in [
        (endless, "net_out_of_gas"),
        (not_a_number, "net_not_a_number"),
        (negative, "net_negative"),
    ] {
        let (folder, node) = node_with(|genesis| genesis.weight_net.text = net.into());
        let (label, gas) = run_one(&node, 1, link("a", "b", 5_000));
        assert_eq!(label, reason);
        if reason != "net_negative" {
            assert_eq!(gas, 12_000);
        }
        assert_eq!((node.head().nodes, node.head().edges), (2, 0));
        let before = balance(&node, 1);
        let (_, gas) = run_one(&node, 1, link("a", "b", 0));
        assert_eq!(
            balance(&node, 1),
            before + 5_000 - gas - 1_000,
            "the stake comes back"
        );
        let head = node.head();
        drop(node);
        assert_eq!(open(folder.path()).head(), head);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut genesis = genesis();
    genesis.weight_net.text = "@other = *".into();
    let created = Node::create(
        folder.path(),
        &genesis,
        key(100),
        oracle(),
        NodeOptions::default(),
    );
    assert!(created.err().unwrap().to_string().contains("@weight"));
}

#[test]
fn old_edges_weigh_less_under_age_decay() {
    let net = ffcm_sandboxes::weight::AGE_DECAY.to_owned();
    let (_folder, node) = node_with(|genesis| genesis.weight_net.text = net);
    assert_eq!(run_one(&node, 1, link("a", "b", 9_000)).0, "ok");
    assert_eq!(run_one(&node, 1, link("a", "b", 9_001)).0, "ok");
    assert_eq!(node.head().edges, 1);
}

#[test]
fn memory_operations_that_cannot_be_leave_a_receipt() {
    let (_folder, node) = node_with(|_| ());
    let root = node.head().ma_root;
    let short = MaOp::Add { vector: vec![1; 5] };
    assert_eq!(run_one(&node, 1, memory(0, 0, short)), ("bad_vec", 2_000));
    let alpha = MaOp::Mix {
        alpha: 10_001,
        source: 1,
    };
    assert_eq!(
        run_one(&node, 1, memory(0, 0, alpha)),
        ("bad_scalar", 2_000)
    );
    assert_eq!(node.head().ma_root, root);
    let add = MaOp::Add {
        vector: vec![3; 128],
    };
    assert_eq!(run_one(&node, 1, memory(0, 0, add)), ("ok", 2_000));
    assert_ne!(node.head().ma_root, root);
}

#[test]
fn fees_are_burnt_when_pi_does_not_converge() {
    let (_folder, node) = node_with(|genesis| genesis.focus.max_iterations = 1);
    for target in ["b", "c"] {
        run_one(&node, 1, link("a", target, 5_000));
        run_one(&node, 1, link(target, "a", 1_000));
    }
    let head = node.head();
    assert!(!head.converged && head.iterations == 1);
    assert!(balance(&node, 100) < 4 * 3_000);
    assert_eq!(
        node.metrics().not_converged,
        node.reports()
            .iter()
            .filter(|r| !r.header.converged)
            .count() as u64
    );
    assert_supply(&node);
}

/// Balances and stakes sum to the stored supply.
fn assert_supply(node: &Node) {
    let supply_key = focus_modules::keys::supply(AssetId::FOCUS);
    let supply = node.prove(&supply_key).unwrap().value.unwrap();
    let supply = u64::from_le_bytes(supply.try_into().unwrap());
    let mut sum = 0;
    for n in (1..=10).chain([100]) {
        sum += balance(node, n);
        for (a, b) in (0..12).flat_map(|a| (0..12).map(move |b| (format!("p{a}"), format!("p{b}"))))
        {
            let cid = |text: &str| focus_types::Cid::of(text.as_bytes());
            let key = focus_modules::keys::link_stake(&address(n), &cid(&a), &cid(&b));
            if let Some(bytes) = node.prove(&key).unwrap().value {
                sum += u64::from_le_bytes(bytes.try_into().unwrap());
            }
        }
        for (a, b) in [("a", "b"), ("a", "c"), ("b", "a"), ("c", "a"), ("c", "c")] {
            let cid = |text: &str| focus_types::Cid::of(text.as_bytes());
            let key = focus_modules::keys::link_stake(&address(n), &cid(a), &cid(b));
            if let Some(bytes) = node.prove(&key).unwrap().value {
                sum += u64::from_le_bytes(bytes.try_into().unwrap());
            }
        }
    }
    assert_eq!(sum, supply);
}

#[test]
fn empty_blocks_only_on_request() {
    let (_folder, node) = node_with(|_| ());
    assert!(node.produce().unwrap().is_none());
    let folder = tempfile::tempdir().unwrap();
    let options = NodeOptions {
        empty_blocks: true,
        ..NodeOptions::default()
    };
    let node = Node::create(folder.path(), &genesis(), key(100), oracle(), options).unwrap();
    for height in 1..4 {
        let report = node.produce().unwrap().unwrap();
        assert_eq!((report.header.height, report.transactions), (height, 0));
    }
}

#[test]
fn submissions_from_many_threads_while_blocks_are_made() {
    let (_folder, node) = node_with(|_| ());
    let chain = node.genesis().hash();
    const EACH: u64 = 40;
    std::thread::scope(|scope| {
        for n in 1..=ACCOUNTS {
            let node = &node;
            scope.spawn(move || {
                for nonce in 0..EACH {
                    let body = link(&format!("p{n}"), &format!("p{}", nonce % 5), nonce);
                    node.submit(sign(chain, n, nonce, body)).unwrap();
                }
            });
        }
        while node.metrics().transactions < EACH * u64::from(ACCOUNTS) {
            node.produce().unwrap();
            std::thread::yield_now();
        }
    });
    assert_eq!((node.mempool_len(), node.metrics().failed), (0, 0));
    assert!((1..=ACCOUNTS).all(|n| node.account(&address(n)).unwrap().nonce == EACH));
    assert_supply(&node);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn supply_is_conserved(seed: u64) {
        let (folder, node) = node_with(|_| ());
        let mut random = Random(seed);
        let chain = node.genesis().hash();
        for _ in 0..4 {
            for n in 1..=ACCOUNTS {
                let nonce = node.account(&address(n)).unwrap().nonce;
                for i in 0..random.below(5) {
                    let _ = node.submit(sign(chain, n, nonce + i, random.body()));
                }
            }
            node.produce().unwrap();
        }
        assert_supply(&node);
        let head = node.head();
        drop(node);
        prop_assert_eq!(focus_node::replay_data(folder.path(), oracle()).unwrap().tip, head.hash());
    }
}

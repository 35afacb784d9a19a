//! Round trips, strictness, and arbitrary bytes.

use proptest::prelude::*;
use serde_json::json;

use crate::*;

fn particle() -> impl Strategy<Value = Particle> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..=INLINE_MAX).prop_map(Particle::Inline),
        any::<[u8; 32]>().prop_map(|bytes| Particle::Cid(Cid(bytes))),
    ]
}

fn op() -> impl Strategy<Value = MaOp> {
    prop_oneof![
        prop::collection::vec(any::<i16>(), 0..200).prop_map(|vector| MaOp::Add { vector }),
        any::<u16>().prop_map(|factor| MaOp::Decay { factor }),
        any::<(u16, u8)>().prop_map(|(alpha, source)| MaOp::Mix { alpha, source }),
        Just(MaOp::Clip {}),
    ]
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        (particle(), particle(), any::<u32>(), any::<u64>()).prop_map(
            |(source, target, kind, stake)| Body::Link {
                source,
                target,
                kind,
                stake,
            }
        ),
        (any::<(u16, u8, u8)>(), op()).prop_map(|((shard, layer, slot), op)| Body::Memory {
            target: SlotTarget { shard, layer, slot },
            op,
        }),
        any::<(u32, [u8; 32], u64)>().prop_map(|(asset, to, amount)| Body::Transfer {
            asset: AssetId(asset),
            to: Address(to),
            amount,
        }),
    ]
}

fn signed() -> impl Strategy<Value = SignedTx> {
    (any::<([u8; 32], [u8; 32], u64, u64)>(), body()).prop_map(
        |((chain, seed, nonce, gas), body)| {
            let key = Keypair::from_seed(seed);
            Transaction {
                chain: Hash32(chain),
                sender: key.address(),
                nonce,
                gas_limit: gas,
                body,
            }
            .sign(&key)
        },
    )
}

fn example() -> SignedTx {
    let key = Keypair::from_seed([7; 32]);
    Transaction {
        chain: Hash32([1; 32]),
        sender: key.address(),
        nonce: u64::MAX,
        gas_limit: 5,
        body: Body::Memory {
            target: SlotTarget {
                shard: 1,
                layer: 2,
                slot: 3,
            },
            op: MaOp::Clip {},
        },
    }
    .sign(&key)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn transactions_survive_bytes_and_json(tx in signed()) {
        let bytes = tx.encode();
        prop_assert_eq!(&SignedTx::decode(&bytes).unwrap(), &tx);
        let text = serde_json::to_vec(&tx).unwrap();
        prop_assert_eq!(&SignedTx::from_json(&text).unwrap(), &tx);
        prop_assert_eq!(tx.verify(), Ok(()));
        let mut longer = bytes.clone();
        longer.push(0);
        prop_assert_eq!(SignedTx::decode(&longer), Err(RejectReason::BadFormat));
        prop_assert!(SignedTx::decode(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn any_changed_bit_is_noticed(tx in signed(), at: usize, bit in 0u8..8) {
        let mut bytes = tx.encode();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(other) = SignedTx::decode(&bytes) {
            prop_assert!(other.verify().is_err());
            prop_assert_ne!(other.leaf(), tx.leaf());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = SignedTx::decode(&bytes);
        let _ = SignedTx::from_json(&bytes);
        let _ = Block::decode(&bytes);
        let _ = Receipt::decode(&bytes);
        let _ = Genesis::from_file(&bytes);
    }

    #[test]
    fn arbitrary_tails_never_panic(cut in 0usize..150, tail in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut bytes = example().encode();
        bytes.truncate(cut);
        bytes.extend(tail);
        let _ = SignedTx::decode(&bytes);
    }
}

#[test]
fn a_length_prefix_cannot_ask_for_memory() {
    let mut bytes = example().tx.signing_bytes()[17..].to_vec();
    let body = bytes.len() - 6;
    bytes.truncate(body);
    bytes.extend([1, 1, 0, 2, 3, 0]);
    bytes.extend(u32::MAX.to_le_bytes());
    assert_eq!(SignedTx::decode(&bytes), Err(RejectReason::BadFormat));
}

#[test]
fn reasons_of_the_decoder() {
    let good = example();
    assert_eq!(
        SignedTx::decode(&vec![0; TX_BYTES_MAX + 1]),
        Err(RejectReason::TooLarge)
    );
    let ten_megabytes = vec![b' '; 10 << 20];
    assert_eq!(
        SignedTx::from_json(&ten_megabytes),
        Err(RejectReason::TooLarge)
    );

    let mut unknown_op = good.encode();
    let op = unknown_op.len() - 65;
    unknown_op[op] = 9;
    assert_eq!(SignedTx::decode(&unknown_op), Err(RejectReason::BadOp));

    let changed = |path: &[&str], value: serde_json::Value| {
        let mut json = good.to_json();
        let mut place = &mut json;
        for key in path {
            place = &mut place[*key];
        }
        *place = value;
        SignedTx::from_json_value(&json)
    };
    assert_eq!(
        changed(&["nonce"], json!(u64::MAX.to_string())),
        Ok(good.clone())
    );
    assert_eq!(
        changed(&["nonce"], json!(1.5)),
        Err(RejectReason::BadFormat)
    );
    assert_eq!(
        changed(&["nonce"], json!("-1")),
        Err(RejectReason::BadFormat)
    );
    assert_eq!(
        changed(&["signature"], json!("abc")),
        Err(RejectReason::BadSigEncoding)
    );
    assert_eq!(
        changed(&["sender"], json!("zz")),
        Err(RejectReason::BadSigEncoding)
    );
    assert_eq!(changed(&["extra"], json!(1)), Err(RejectReason::BadFormat));
    let target = ["body", "memory", "target"];
    for (field, reason) in [
        ("shard", RejectReason::BadShard),
        ("layer", RejectReason::BadLayer),
        ("slot", RejectReason::BadSlot),
    ] {
        let path: Vec<&str> = target.iter().copied().chain([field]).collect();
        assert_eq!(changed(&path, json!(65_536)), Err(reason));
        assert_eq!(changed(&path, json!(-1)), Err(reason));
    }
    let op = ["body", "memory", "op"];
    assert_eq!(
        changed(&op, json!({"clip": {}, "decay": {"factor": 9850}})),
        Err(RejectReason::BadOp)
    );
    assert_eq!(changed(&op, json!({"grow": {}})), Err(RejectReason::BadOp));
    assert_eq!(changed(&op, json!({})), Err(RejectReason::BadOp));
    assert_eq!(
        changed(&op, json!({"decay": {"factor": -1}})),
        Err(RejectReason::BadFormat)
    );
    let long = "x".repeat(INLINE_MAX + 1);
    let link =
        json!({"link": {"source": {"text": long}, "target": {"text": "b"}, "kind": 0, "stake": 1}});
    assert_eq!(changed(&["body"], link), Err(RejectReason::BadFormat));
}

#[test]
fn json_keeps_large_integers() {
    let json = example().to_json();
    assert_eq!(json["nonce"], json!(u64::MAX.to_string()));
    assert_eq!(json["gas_limit"], json!(5));
}

#[test]
fn another_chain_is_a_bad_signature() {
    let mut tx = example();
    tx.tx.chain = Hash32([2; 32]);
    assert_eq!(tx.verify(), Err(SignatureError::Invalid));
}

#[test]
fn inline_and_cid_name_the_same_particle() {
    // SHA-256 of "abc", FIPS 180-2.
    let cid: Cid = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        .parse()
        .unwrap();
    assert_eq!(Particle::text("abc").cid(), cid);
    assert_eq!(Particle::Cid(cid).cid(), cid);
}

fn genesis() -> Genesis {
    let key = Keypair::from_seed([1; 32]);
    let account = |n: u8| GenesisAccount {
        address: Keypair::from_seed([n; 32]).address(),
        balance: u64::from(n) * 1_000_000,
    };
    Genesis::solo(
        "test-1",
        key.address(),
        (1..5).map(account).collect(),
        "@weight = (* a)".into(),
    )
}

#[test]
fn genesis_files_are_reproducible_and_guarded() {
    let genesis = genesis();
    assert_eq!(genesis.validate(), Ok(()));
    let text = genesis.to_file();
    assert_eq!(text, self::genesis().to_file());
    assert_eq!(Genesis::from_file(text.as_bytes()), Ok(genesis.clone()));
    let roomy = text.replace("{", "{ \n");
    assert_eq!(Genesis::from_file(roomy.as_bytes()), Ok(genesis.clone()));
    let tampered = text.replace("2000000", "2000001");
    assert!(matches!(
        Genesis::from_file(tampered.as_bytes()),
        Err(GenesisError::Tampered { .. })
    ));
    let unknown = text.replacen("\"chain_id\"", "\"color\": 1, \"chain_id\"", 1);
    let error = Genesis::from_file(unknown.as_bytes()).unwrap_err();
    assert!(
        error.to_string().contains("unknown field `color`"),
        "{error}"
    );

    let invalid = |change: fn(&mut Genesis)| {
        let mut other = genesis.clone();
        change(&mut other);
        assert!(matches!(
            Genesis::from_file(other.to_file().as_bytes()),
            Err(GenesisError::Invalid(_))
        ));
    };
    invalid(|g| g.version = 2);
    invalid(|g| g.chain_id = "two words".into());
    invalid(|g| g.accounts.swap(0, 1));
    invalid(|g| g.accounts[1] = g.accounts[0]);
    invalid(|g| g.accounts[0].balance = u64::MAX);
    invalid(|g| g.validators.clear());
    invalid(|g| g.ma.shards = 0);
    invalid(|g| g.focus.max_iterations = 2049);
    invalid(|g| g.budgets.gas = 0);
}

#[test]
fn canonical_members_are_in_alphabetical_order() {
    let text = String::from_utf8(genesis().canonical()).unwrap();
    let names = [
        "accounts",
        "budgets",
        "chain_id",
        "created_ms",
        "fees",
        "focus",
        "ma",
        "validators",
        "version",
        "weight_net",
    ];
    let places: Vec<usize> = names
        .iter()
        .map(|name| text.find(&format!("\"{name}\":")).unwrap())
        .collect();
    assert!(places.is_sorted());
    assert!(text.starts_with("{\"accounts\":[{\"address\":\""));
}

#[test]
fn certificates_do_not_change_the_block_hash() {
    let key = Keypair::from_seed([1; 32]);
    let mut header = Header {
        version: HEADER_VERSION,
        chain: Hash32([1; 32]),
        height: 3,
        parent: Hash32([2; 32]),
        state_root: Hash32([3; 32]),
        tx_root: Hash32([4; 32]),
        receipt_root: Hash32([5; 32]),
        pi_root: Hash32([6; 32]),
        graph_root: Hash32([7; 32]),
        ma_root: Hash32([8; 32]),
        residual: 1 << 60,
        iterations: 9,
        converged: true,
        gas_used: 10,
        nodes: 11,
        edges: 12,
        proposer: key.address(),
        certificate: Certificate::Genesis,
    };
    let hash = header.hash();
    header.certificate = Certificate::Solo(key.sign(&header.certificate_bytes()));
    assert_eq!(header.hash(), hash);
    let block = Block {
        header: header.clone(),
        transactions: vec![example(); 3],
    };
    assert_eq!(Block::decode(&block.encode()), Ok(block.clone()));
    let json = serde_json::to_string(&block).unwrap();
    assert_eq!(serde_json::from_str::<Block>(&json).unwrap(), block);
    header.edges += 1;
    assert_ne!(header.hash(), hash);
}

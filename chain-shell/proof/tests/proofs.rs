//! Proofs over small states, built here the plain way from the definition of the tree.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use focus_proof::{
    EMPTY, Hash, MAX_ENCODED_BYTES, Proof, ProofError, Terminal, bit, digest, leaf_hash, node_hash,
};
use proptest::prelude::*;

type Leaf = (Hash, Hash);

/// The definition, word for word.
fn hash_of(leaves: &[Leaf], depth: usize) -> Hash {
    match leaves {
        [] => EMPTY,
        [(path, value)] => leaf_hash(path, value),
        _ => {
            let (left, right) = halves(leaves, depth);
            node_hash(&hash_of(&left, depth + 1), &hash_of(&right, depth + 1))
        }
    }
}

fn halves(leaves: &[Leaf], depth: usize) -> (Vec<Leaf>, Vec<Leaf>) {
    leaves.iter().partition(|(path, _)| !bit(path, depth))
}

fn prove(leaves: &[Leaf], path: &Hash) -> Proof {
    let (mut rest, mut siblings) = (leaves.to_vec(), Vec::new());
    while rest.len() > 1 {
        let depth = siblings.len();
        let (left, right) = halves(&rest, depth);
        let (mine, other) = if bit(path, depth) {
            (right, left)
        } else {
            (left, right)
        };
        siblings.push(hash_of(&other, depth + 1));
        rest = mine;
    }
    let terminal = match rest[..] {
        [] => Terminal::Empty,
        [(found, _)] if found == *path => Terminal::Own,
        [(path, value)] => Terminal::Other { path, value },
        _ => unreachable!("the loop ends at one leaf or none"),
    };
    Proof::new(terminal, siblings).unwrap()
}

fn leaves_of(state: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<Leaf> {
    state.iter().map(|(k, v)| (digest(k), digest(v))).collect()
}

fn state() -> impl Strategy<Value = BTreeMap<Vec<u8>, Vec<u8>>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..4);
    proptest::collection::btree_map(bytes(), bytes(), 0..40)
}

/// Every single-byte change of a proof fails for the true claim and for others.
fn tampering_fails(encoded: &[u8], root: &Hash, key: &[u8], value: Option<&[u8]>) {
    for at in 0..encoded.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = encoded.to_vec();
            bytes[at] ^= flip;
            if let Ok(proof) = Proof::decode(&bytes) {
                for claim in [value, None, Some(b"forged"), Some(b"")] {
                    let verdict = proof.verify(root, key, claim);
                    assert!(
                        verdict.is_err(),
                        "byte {at} changed by {flip:#x}, {claim:?}"
                    );
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn proofs_verify_for_the_truth_alone(state in state(), asked: [u8; 2]) {
        let leaves = leaves_of(&state);
        let root = hash_of(&leaves, 0);
        let present = state.iter().take(3).map(|(k, v)| (k.as_slice(), Some(v.as_slice())));
        let asked = (&asked[..], state.get(&asked[..]).map(Vec::as_slice));
        for (key, value) in present.chain([asked]) {
            let proof = prove(&leaves, &digest(key));
            prop_assert_eq!(proof.verify(&root, key, value), Ok(()));
            prop_assert!(proof.verify(&root, key, Some(b"forged")).is_err());
            prop_assert!(proof.verify(&digest(&root), key, value).is_err());
            match value {
                Some(_) => prop_assert_eq!(proof.verify(&root, key, None), Err(ProofError::OtherClaim)),
                None => prop_assert!(proof.verify(&root, key, Some(b"")).is_err()),
            }
            let encoded = proof.encode();
            prop_assert_eq!(Proof::decode(&encoded).unwrap(), proof);
            tampering_fails(&encoded, &root, key, value);
            for cut in 0..encoded.len() {
                prop_assert!(Proof::decode(&encoded[..cut]).is_err());
            }
        }
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(
        kind in 0u8..4, depth in 0u16..300, body in proptest::collection::vec(any::<u8>(), 0..9000),
    ) {
        let mut bytes = vec![1, kind];
        if kind == 2 {
            bytes.extend([7; 64]);
        }
        bytes.extend(depth.to_le_bytes());
        bytes.extend(&body);
        // Cut to the length that the bitmap asks for, so that some of these are proofs.
        let bitmap = usize::from(depth).div_ceil(8);
        let set: u32 = body.iter().take(bitmap).map(|b| b.count_ones()).sum();
        bytes.truncate(bytes.len() - body.len() + bitmap + 32 * set as usize);
        if let Ok(proof) = Proof::decode(&bytes) {
            prop_assert_eq!(proof.encode(), bytes);
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_canonical(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(proof) = Proof::decode(&bytes) {
            prop_assert_eq!(proof.encode(), bytes);
        }
    }
}

#[test]
fn the_deepest_proof_has_the_longest_encoding() {
    let terminal = Terminal::Other {
        path: [1; 32],
        value: [2; 32],
    };
    let proof = Proof::new(terminal, vec![[3; 32]; 256]).unwrap();
    assert_eq!(proof.encode().len(), MAX_ENCODED_BYTES);
    assert_eq!(Proof::decode(&proof.encode()), Ok(proof));
    assert_eq!(
        Proof::inclusion(vec![[3; 32]; 257]),
        Err(ProofError::TooDeep(257))
    );
}

#[test]
fn damaged_encodings_have_their_errors() {
    let good = Proof::inclusion(vec![EMPTY, [3; 32]]).unwrap().encode();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Proof::decode(&bytes)
    };
    assert_eq!(good[..5], [1, 0, 2, 0, 0b10]);
    assert_eq!(with(0, 9), Err(ProofError::Version(9)));
    assert_eq!(with(1, 3), Err(ProofError::Kind(3)));
    assert_eq!(with(3, 2), Err(ProofError::TooDeep(514)));
    assert_eq!(with(4, 0b110), Err(ProofError::NotCanonical), "padding bit");
    let longer = [good.as_slice(), &[0]].concat();
    assert_eq!(
        Proof::decode(&longer),
        Err(ProofError::Length {
            expected: 37,
            found: 38
        })
    );
    assert_eq!(
        Proof::decode(&[]),
        Err(ProofError::Length {
            expected: 1,
            found: 0
        })
    );
    let mut zero_sibling = good.clone();
    zero_sibling[5..].fill(0);
    assert_eq!(Proof::decode(&zero_sibling), Err(ProofError::NotCanonical));
    assert_eq!(
        Proof::inclusion(vec![[3; 32], EMPTY]),
        Err(ProofError::NotCanonical)
    );
}

#[test]
fn a_leaf_off_the_path_shows_nothing() {
    let (path, value) = (digest(b"elsewhere"), digest(b"value"));
    let state = [
        (path, value),
        (digest(b"other"), value),
        (digest(b"third"), value),
    ];
    let root = hash_of(&state, 0);
    // A true statement about `elsewhere`, offered as the absence of a key on another path.
    let proof = prove(&state, &path);
    let forged = Proof::new(Terminal::Other { path, value }, proof.siblings().to_vec()).unwrap();
    assert_eq!(
        forged.verify(&root, b"elsewhere", None),
        Err(ProofError::OtherKey)
    );
    let off = (0u8..)
        .map(|i| [i])
        .find(|key| bit(&digest(key), 0) != bit(&path, 0))
        .unwrap();
    assert_eq!(forged.verify(&root, &off, None), Err(ProofError::OtherKey));
}

/// Roots are a published format: they may not change with a refactoring.
#[test]
fn roots_are_pinned() {
    let leaves: Vec<Leaf> = (0u32..100)
        .map(|i| (digest(&i.to_le_bytes()), digest(&[7; 5])))
        .collect();
    let hex: String = hash_of(&leaves, 0)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(
        hex,
        "6cd3fed22b085712794cb026f9747be669905da72c80ecacdac11b46a3cec803"
    );
}

//! Every state key there is. Numbers in keys are big-endian and of fixed width, so that key order is number order.
//!
//! ```text
//! /graph/particle/<cid 32>                        index, label        /graph/idx/<index u32>    cid
//! /graph/edge/<source u32>/<target u32>           edge record         /graph/nodes              number of particles u32
//! /graph/pi/<chunk u32>                           hash of 1024 masses
//! /graph/ma/<shard u16>/<layer u8>/<slot u8>      128 × i32; absent means zero
//! /token/bal/<asset u32>/<owner 32>               units u64           /token/supply/<asset u32> units u64
//! /token/stake/link/<owner 32>/<source cid>/<target cid>              units u64
//! /kv/acct/<address 32>                           nonce u64
//! ```
//! Values are little-endian.

use ffcm::memory::SlotId;
use focus_types::{Address, AssetId, Cid};

/// Prefix of edge records.
pub const EDGES: &[u8] = b"/graph/edge/";
/// Prefix of Memory Arithmetic slots.
pub const MEMORY: &[u8] = b"/graph/ma/";
/// Prefix of the chunk hashes of π.
pub const PI: &[u8] = b"/graph/pi/";
/// Number of particles.
pub const NODES: &[u8] = b"/graph/nodes";
/// Prefix of balances.
pub const BALANCES: &[u8] = b"/token/bal/";
/// Prefix of stakes on links.
pub const LINK_STAKES: &[u8] = b"/token/stake/link/";

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A particle by content id.
pub fn particle(cid: &Cid) -> Vec<u8> {
    join(&[b"/graph/particle/", &cid.0])
}

/// A particle's content id by index.
pub fn index(index: u32) -> Vec<u8> {
    join(&[b"/graph/idx/", &index.to_be_bytes()])
}

/// An edge record.
pub fn edge(source: u32, target: u32) -> Vec<u8> {
    join(&[EDGES, &source.to_be_bytes(), b"/", &target.to_be_bytes()])
}

/// Source and target in the key of an edge record.
pub fn parse_edge(key: &[u8]) -> Option<(u32, u32)> {
    let rest: &[u8; 9] = key.strip_prefix(EDGES)?.try_into().ok()?;
    let [a, b, c, d, b'/', e, f, g, h] = *rest else {
        return None;
    };
    Some((
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, f, g, h]),
    ))
}

/// The hash of a chunk of π.
pub fn pi(chunk: u32) -> Vec<u8> {
    join(&[PI, &chunk.to_be_bytes()])
}

/// A Memory Arithmetic slot.
pub fn memory(slot: SlotId) -> Vec<u8> {
    let shard = slot.shard.to_be_bytes();
    join(&[MEMORY, &shard, b"/", &[slot.layer], b"/", &[slot.slot]])
}

/// The slot in the key of a Memory Arithmetic slot.
pub fn parse_memory(key: &[u8]) -> Option<SlotId> {
    match key.strip_prefix(MEMORY)? {
        &[high, low, b'/', layer, b'/', slot] => Some(SlotId {
            shard: u16::from_be_bytes([high, low]),
            layer,
            slot,
        }),
        _ => None,
    }
}

/// A balance.
pub fn balance(asset: AssetId, owner: &Address) -> Vec<u8> {
    join(&[BALANCES, &asset.0.to_be_bytes(), b"/", &owner.0])
}

/// How much of an asset there is.
pub fn supply(asset: AssetId) -> Vec<u8> {
    join(&[b"/token/supply/", &asset.0.to_be_bytes()])
}

/// What `owner` has locked on a link.
pub fn link_stake(owner: &Address, source: &Cid, target: &Cid) -> Vec<u8> {
    join(&[LINK_STAKES, &owner.0, b"/", &source.0, b"/", &target.0])
}

/// An account's nonce.
pub fn account(address: &Address) -> Vec<u8> {
    join(&[b"/kv/acct/", &address.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_slashes_in_their_numbers_parse() {
        let slash = u32::from_be_bytes(*b"////");
        assert_eq!(parse_edge(&edge(slash, 7)), Some((slash, 7)));
        assert_eq!(parse_edge(&edge(1, 2)[..20]), None);
        let slot = SlotId {
            shard: u16::from_be_bytes(*b"//"),
            layer: 3,
            slot: b'/',
        };
        assert_eq!(parse_memory(&memory(slot)), Some(slot));
        assert_eq!(parse_memory(b"/graph/ma/"), None);
        assert!(edge(1, 255) < edge(1, 256) && edge(1, u32::MAX) < edge(2, 0));
    }
}

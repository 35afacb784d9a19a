//! Rebuilding the in-memory state from the store, and checking it against the header it belongs to.

use std::ops::ControlFlow;
use std::sync::Arc;

use ffcm::graph::{EdgeDelta, Graph};
use ffcm::memory::Memory;
use focus_consensus::Solo;
use focus_modules::links::EdgeRecord;
use focus_modules::{keys, memory};
use focus_state::StateTree;
use focus_store::{Store, Table};
use focus_types::{Domain, Hash32, Header, MemoryInit, hash, merkle};

use crate::NodeError;
use crate::chain::{Chain, PI_CHUNK, Tip};
use crate::commit;

/// The state after the last committed block, or `None` if the store is empty.
pub fn recover(chain: &Chain, store: &dyn Store) -> Result<Option<Tip>, NodeError> {
    let Some(header) = commit::head(store)? else {
        return Ok(None);
    };
    let height = header.height;
    let expect = |same: bool, field: &'static str| match same {
        true => Ok(()),
        false => Err(NodeError::Mismatch { field, height }),
    };
    expect(header.chain == chain.hash, "chain")?;
    let stored = commit::record_of(store, height)?;
    expect(stored.block.header == header, "stored block")?;
    if height > 0 {
        let signed = Solo::verify(&header, &chain.genesis.validators);
        expect(signed.is_ok(), "certificate")?;
    }
    let root = StateTree::of(store)?.root()?;
    expect(Hash32(root) == header.state_root, "state_root")?;

    let graph = graph(store, &header)?;
    expect(graph.edge_count() == header.edges, "edges")?;
    expect(Hash32(graph.digest()) == header.graph_root, "graph_root")?;
    let (pi, pi_hashes) = pi(store)?;
    expect(
        merkle::root(pi_hashes.iter().copied()) == header.pi_root,
        "pi_root",
    )?;
    let whole = commit::mass_is_whole(&pi) && pi.len() == header.nodes as usize;
    expect(whole, "mass of pi")?;
    let tensor = tensor(chain, store)?;
    let slot_hashes = commit::slot_hashes(&tensor);
    expect(
        merkle::root(slot_hashes.iter().copied()) == header.ma_root,
        "ma_root",
    )?;
    Ok(Some(Tip {
        hash: header.hash(),
        header,
        graph,
        pi,
        pi_hashes,
        memory: Arc::new(tensor),
        slot_hashes: Arc::new(slot_hashes),
    }))
}

/// Scans `prefix` of the state, stopping at the first error.
fn scan(
    store: &dyn Store,
    table: Table,
    prefix: &[u8],
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), NodeError>,
) -> Result<(), NodeError> {
    let mut failed = None;
    store.scan(table, prefix, &mut |key, value| match take(key, value) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failed.map_or(Ok(()), Err)
}

fn damaged_key(key: &[u8]) -> NodeError {
    NodeError::Damaged(format!("the value under {} is damaged", key.escape_ascii()))
}

/// Edges with weight, and teleport stakes.
fn graph(store: &dyn Store, header: &Header) -> Result<Graph, NodeError> {
    let damaged = |error: ffcm::graph::GraphError| NodeError::Damaged(error.to_string());
    let mut graph = Graph::new();
    graph.add_nodes(header.nodes).map_err(damaged)?;
    let mut deltas = Vec::new();
    let mut stakes: Vec<(u32, u64)> = Vec::new();
    scan(store, Table::State, keys::EDGES, |key, value| {
        let (source, target) = keys::parse_edge(key).ok_or_else(|| damaged_key(key))?;
        let record = EdgeRecord::decode(key, value)?;
        if record.weight == 0 {
            return Ok(());
        }
        deltas.push(EdgeDelta {
            source,
            target,
            weight: record.weight,
        });
        // Keys ascend by source.
        match stakes.last_mut() {
            Some((node, stake)) if *node == source => {
                let sum = stake.checked_add(record.teleport());
                *stake = sum.ok_or_else(|| damaged_key(key))?;
            }
            _ => stakes.push((source, record.teleport())),
        }
        Ok(())
    })?;
    graph.apply(&deltas).map_err(damaged)?;
    for (node, stake) in stakes {
        graph.set_stake(node, stake).map_err(damaged)?;
    }
    Ok(graph)
}

/// π and the hashes of its chunks, each equal to what the state holds.
fn pi(store: &dyn Store) -> Result<(Vec<u64>, Vec<Hash32>), NodeError> {
    let (mut pi, mut hashes) = (Vec::new(), Vec::new());
    let snapshot = store.snapshot()?;
    scan(store, Table::Meta, commit::PI, |key, bytes| {
        let chunk = hashes.len() as u32;
        let (masses, rest) = bytes.as_chunks::<8>();
        let full = pi.len() == hashes.len() * PI_CHUNK;
        if key != commit::pi_key(chunk) || !rest.is_empty() || masses.len() > PI_CHUNK || !full {
            return Err(damaged_key(key));
        }
        let digest = hash(Domain::PiChunk, bytes);
        if snapshot.get(Table::State, &keys::pi(chunk))?.as_deref() != Some(&digest.0[..]) {
            return Err(damaged_key(key));
        }
        pi.extend(masses.iter().map(|mass| u64::from_le_bytes(*mass)));
        hashes.push(digest);
        Ok(())
    })?;
    Ok((pi, hashes))
}

/// The Memory Arithmetic tensor.
fn tensor(chain: &Chain, store: &dyn Store) -> Result<Memory, NodeError> {
    let shards = chain.genesis.ma.shards;
    let mut tensor = Memory::zero(shards);
    let mut slots = 0usize;
    scan(store, Table::State, keys::MEMORY, |key, bytes| {
        let slot = keys::parse_memory(key).ok_or_else(|| damaged_key(key))?;
        let values = memory::decode(bytes).ok_or_else(|| damaged_key(key))?;
        slots += 1;
        tensor
            .load_slot(slot, &values)
            .map_err(|_| damaged_key(key))
    })?;
    let all = usize::from(shards) * memory::SLOTS_PER_SHARD;
    if chain.genesis.ma.init != MemoryInit::Zero && slots != all {
        return Err(NodeError::Damaged(format!(
            "{slots} of {all} memory slots are stored"
        )));
    }
    Ok(tensor)
}

//! Links: stakes become edge records, edge records become edge deltas.
//!
//! An account locks FOCUS on a link; all stakes on one edge add up. Each link of a block calls the weight net with the
//! edge's stake after it, the edge's age in blocks and its kind; the last answer is the edge's weight, 0 takes the edge
//! out of the graph. The record stays as long as there is stake or weight.
//!
//! The teleport stake of a particle is the stake on its weighted out-edges: a walk starts where tokens speak.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use ffcm::graph::EdgeDelta;
use ffcm_scheduler::{ReadError, TaskView};
use focus_types::{Address, AssetId, Body, Cid, INLINE_MAX, Outcome, Particle};

use crate::{ModuleError, bank, keys};

/// What the first phase of a link leaves for the edge phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkEffect {
    /// Where the edge starts.
    pub source: Particle,
    /// Where it ends.
    pub target: Particle,
    /// Kind, if the edge is new.
    pub kind: u32,
    /// The sender's stake on the edge before.
    pub old_stake: u64,
    /// The sender's stake on the edge from now on.
    pub new_stake: u64,
}

/// What is stored of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EdgeRecord {
    /// Sum of all stakes.
    pub stake: u64,
    /// Weight in the graph; 0 means that the edge is not in it.
    pub weight: u64,
    /// Kind.
    pub kind: u32,
    /// Height of the block that made the record.
    pub height: u64,
}

impl EdgeRecord {
    /// Reads the value stored under `key`.
    pub fn decode(key: &[u8], bytes: &[u8]) -> Result<EdgeRecord, ModuleError> {
        borsh::from_slice(bytes).map_err(|_| ModuleError::damaged(key))
    }

    /// What the edge adds to its source's teleport stake.
    pub fn teleport(&self) -> u64 {
        if self.weight > 0 { self.stake } else { 0 }
    }
}

/// What is stored of a particle.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ParticleRecord {
    /// Node in the graph.
    pub index: u32,
    /// Content, if it ever came inline.
    pub content: Option<Vec<u8>>,
}

impl ParticleRecord {
    /// Reads the value stored under `key`.
    pub fn decode(key: &[u8], bytes: &[u8]) -> Result<ParticleRecord, ModuleError> {
        borsh::from_slice(bytes)
            .ok()
            .filter(|record: &ParticleRecord| {
                let length = record.content.as_ref().map_or(0, Vec::len);
                length <= INLINE_MAX
            })
            .ok_or_else(|| ModuleError::damaged(key))
    }

    /// The content as text, if it is printable UTF-8.
    pub fn label(&self) -> Option<String> {
        let text = str::from_utf8(self.content.as_ref()?).ok()?;
        let printable = !text.is_empty() && !text.chars().any(is_invisible);
        printable.then(|| text.to_owned())
    }
}

/// Control characters, and what changes the order or the look of the text around it: such a label could pass for
/// another, or rearrange the line it is shown on.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// One call of the weight net.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeCall {
    /// Source node.
    pub source: u32,
    /// Target node.
    pub target: u32,
    /// Stake on the edge after the link.
    pub stake: u64,
    /// Blocks since the edge was made.
    pub age: u64,
    /// Kind of the edge.
    pub kind: u32,
}

/// Edge records written, weights still to come.
#[derive(Clone, Debug, Default)]
pub struct Staged {
    /// Particles before these links.
    pub nodes_before: u32,
    /// Particles with these links.
    pub nodes: u32,
    /// One call per link, in order.
    pub calls: Vec<EdgeCall>,
    /// Teleport stake of each touched edge before these links.
    before: BTreeMap<(u32, u32), u64>,
}

/// How the graph changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GraphChange {
    /// Final weight of each touched edge, ascending by edge.
    pub deltas: Vec<EdgeDelta>,
    /// Signed change of teleport stake per node, ascending by node.
    pub stakes: Vec<(u32, i128)>,
}

/// First phase: moves the sender's stake and yields the effect for the edge phase.
pub fn lock(
    view: &mut TaskView<'_>,
    sender: &Address,
    body: &Body,
) -> Result<Result<Option<LinkEffect>, Outcome>, ReadError> {
    let Body::Link {
        source,
        target,
        kind,
        stake,
    } = body
    else {
        return Ok(Ok(None));
    };
    let key = keys::link_stake(sender, &source.cid(), &target.cid());
    let old_stake = bank::number(view, &key)?;
    if *stake > old_stake {
        if !bank::take(view, AssetId::FOCUS, sender, stake - old_stake)? {
            return Ok(Err(Outcome::Insufficient));
        }
    } else if !bank::give(view, AssetId::FOCUS, sender, old_stake - stake)? {
        return Ok(Err(Outcome::Overflow));
    }
    bank::set_number(view, key, *stake);
    Ok(Ok(Some(LinkEffect {
        source: source.clone(),
        target: target.clone(),
        kind: *kind,
        old_stake,
        new_stake: *stake,
    })))
}

/// Edge phase, first half: registers particles and writes stakes into edge records, in block order.
pub fn stage(
    view: &mut TaskView<'_>,
    links: &[LinkEffect],
    height: u64,
) -> Result<Staged, ModuleError> {
    let nodes = node_count(view)?;
    let mut staged = Staged {
        nodes_before: nodes,
        nodes,
        ..Staged::default()
    };
    for link in links {
        let source = register(view, &mut staged.nodes, &link.source)?;
        let target = register(view, &mut staged.nodes, &link.target)?;
        let key = keys::edge(source, target);
        let old = match view.get(&key)? {
            Some(bytes) => Some(EdgeRecord::decode(&key, &bytes)?),
            None => None,
        };
        let teleport = old.map_or(0, |record| record.teleport());
        staged.before.entry((source, target)).or_insert(teleport);
        let mut record = old.unwrap_or(EdgeRecord {
            stake: 0,
            weight: 0,
            kind: link.kind,
            height,
        });
        // Stakes on one edge are parts of the supply, which fits; anything else is damage.
        record.stake = record
            .stake
            .checked_sub(link.old_stake)
            .and_then(|rest| rest.checked_add(link.new_stake))
            .ok_or_else(|| ModuleError::damaged(&key))?;
        view.put(key, encode(&record));
        staged.calls.push(EdgeCall {
            source,
            target,
            stake: record.stake,
            age: height.saturating_sub(record.height),
            kind: record.kind,
        });
    }
    if staged.nodes > staged.nodes_before {
        view.put(keys::NODES, staged.nodes.to_le_bytes());
    }
    Ok(staged)
}

/// Edge phase, second half: stores the weights, one per call of `staged`.
pub fn finish(
    view: &mut TaskView<'_>,
    staged: &Staged,
    weights: &[u64],
) -> Result<GraphChange, ModuleError> {
    debug_assert_eq!(staged.calls.len(), weights.len());
    let mut last = BTreeMap::new();
    for (call, weight) in staged.calls.iter().zip(weights) {
        last.insert((call.source, call.target), *weight);
    }
    let mut change = GraphChange::default();
    let mut stakes: BTreeMap<u32, i128> = BTreeMap::new();
    for ((source, target), weight) in last {
        let key = keys::edge(source, target);
        let bytes = view.get(&key)?.ok_or_else(|| ModuleError::damaged(&key))?;
        let mut record = EdgeRecord::decode(&key, &bytes)?;
        record.weight = weight;
        let before = staged.before.get(&(source, target)).copied().unwrap_or(0);
        *stakes.entry(source).or_default() += i128::from(record.teleport()) - i128::from(before);
        change.deltas.push(EdgeDelta {
            source,
            target,
            weight,
        });
        if record.stake == 0 && weight == 0 {
            view.delete(key);
        } else {
            view.put(key, encode(&record));
        }
    }
    stakes.retain(|_, change| *change != 0);
    change.stakes = stakes.into_iter().collect();
    Ok(change)
}

/// Number of particles.
pub fn node_count(view: &mut TaskView<'_>) -> Result<u32, ModuleError> {
    let Some(bytes) = view.get(keys::NODES)? else {
        return Ok(0);
    };
    let bytes = bytes.as_slice().try_into();
    Ok(u32::from_le_bytes(
        bytes.map_err(|_| ModuleError::damaged(keys::NODES))?,
    ))
}

/// The index of a particle, a new one if need be.
fn register(
    view: &mut TaskView<'_>,
    nodes: &mut u32,
    particle: &Particle,
) -> Result<u32, ModuleError> {
    let cid: Cid = particle.cid();
    let content = match particle {
        Particle::Inline(bytes) => Some(bytes.clone()),
        Particle::Cid(_) => None,
    };
    let key = keys::particle(&cid);
    if let Some(bytes) = view.get(&key)? {
        let mut record = ParticleRecord::decode(&key, &bytes)?;
        let index = record.index;
        if record.content.is_none() && content.is_some() {
            record.content = content;
            view.put(key, encode(&record));
        }
        return Ok(index);
    }
    let index = *nodes;
    *nodes = nodes.checked_add(1).ok_or(ModuleError::GraphFull)?;
    view.put(key, encode(&ParticleRecord { index, content }));
    view.put(keys::index(index), cid.0);
    Ok(index)
}

fn encode<T: BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("writing to a vector does not fail")
}

#[cfg(test)]
mod tests {
    use ffcm_scheduler::{Pending, StateView, WriteSet};

    use super::*;

    struct Empty;

    impl StateView for Empty {
        fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
            Ok(None)
        }
    }

    fn link(source: Particle, target: Particle, old_stake: u64, new_stake: u64) -> LinkEffect {
        LinkEffect {
            source,
            target,
            kind: 7,
            old_stake,
            new_stake,
        }
    }

    /// Runs one block of links with weights equal to stakes.
    fn block(writes: &mut WriteSet, height: u64, links: &[LinkEffect]) -> (Staged, GraphChange) {
        let pending = Pending {
            base: &Empty,
            writes,
        };
        let mut view = TaskView::new(&pending);
        let staged = stage(&mut view, links, height).unwrap();
        let weights: Vec<u64> = staged.calls.iter().map(|call| call.stake).collect();
        let change = finish(&mut view, &staged, &weights).unwrap();
        let (later, _) = view.into_changes();
        writes.merge(later);
        (staged, change)
    }

    #[test]
    fn one_particle_however_it_is_named_and_its_content_may_come_later() {
        let mut writes = WriteSet::new();
        let by_cid = Particle::Cid(Cid::of(b"b"));
        block(
            &mut writes,
            1,
            &[link(Particle::text("a"), by_cid.clone(), 0, 5)],
        );
        let key = keys::particle(&by_cid.cid());
        let read = |writes: &WriteSet| {
            let bytes = writes.get(&key).flatten().unwrap();
            ParticleRecord::decode(&key, bytes).unwrap()
        };
        assert_eq!((read(&writes).index, read(&writes).label()), (1, None));
        let (staged, _) = block(&mut writes, 2, &[link(Particle::text("b"), by_cid, 0, 1)]);
        assert_eq!((staged.nodes_before, staged.nodes), (2, 2));
        assert_eq!(read(&writes).label(), Some("b".into()));
        for hidden in [
            "a\x1bb",
            "a\u{9b}b",
            "a\u{202e}b",
            "\u{200b}",
            "a\u{2028}b",
            "\u{e0041}",
        ] {
            let record = ParticleRecord {
                index: 0,
                content: Some(hidden.into()),
            };
            assert_eq!(record.label(), None, "{hidden:?}");
        }
    }

    #[test]
    fn several_links_on_one_edge_in_one_block() {
        let mut writes = WriteSet::new();
        let (a, b) = (Particle::text("a"), Particle::text("b"));
        let one = |old, new| link(a.clone(), b.clone(), old, new);
        let (staged, change) = block(&mut writes, 4, &[one(0, 5), one(0, 9), one(5, 2)]);
        let stakes: Vec<u64> = staged.calls.iter().map(|call| call.stake).collect();
        assert_eq!(stakes, [5, 14, 11]);
        let delta = EdgeDelta {
            source: 0,
            target: 1,
            weight: 11,
        };
        assert_eq!((change.deltas, change.stakes), (vec![delta], vec![(0, 11)]));
        let (staged, change) = block(&mut writes, 9, &[one(2, 0), one(9, 0)]);
        assert_eq!((staged.calls[0].age, staged.calls[0].kind), (5, 7));
        assert_eq!(change.stakes, [(0, -11)]);
        assert_eq!(writes.get(&keys::edge(0, 1)), Some(None));
    }

    #[test]
    fn damage_is_an_error() {
        let mut writes = WriteSet::new();
        writes.put(keys::NODES, [1, 2]);
        let pending = Pending {
            base: &Empty,
            writes: &writes,
        };
        let error = stage(&mut TaskView::new(&pending), &[], 1).unwrap_err();
        assert_eq!(error.to_string(), "the value under /graph/nodes is damaged");
        writes.put(keys::NODES, u32::MAX.to_le_bytes());
        let pending = Pending {
            base: &Empty,
            writes: &writes,
        };
        let links = [link(Particle::text("a"), Particle::text("b"), 0, 1)];
        let full = stage(&mut TaskView::new(&pending), &links, 1);
        assert!(matches!(full, Err(ModuleError::GraphFull)));
    }
}

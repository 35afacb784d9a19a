//! What of a layout changes with its graph: single words, however large the graph.

use std::ops::Range;

use crate::focus::prepare::quota;
use crate::graph::Graph;

use super::layout::{Layout, SPLIT, equal, ratio_words};

/// A graph is laid out anew rather than changed in more than this many edges and a quarter of all.
const CHANGES_MIN: u64 = 1 << 12;

/// Words to write to the buffers of a part: an address, then what goes there.
#[derive(Debug, Default)]
pub struct PartChanges {
    /// Slots that become empty.
    pub emptied: Vec<[u32; 1]>,
    /// Slots and their new sources.
    pub sources: Vec<[u32; 2]>,
    /// Slots and their new quotas.
    pub quotas: Vec<[u32; 2]>,
    /// Segments in use before and their rows, which have more segments now.
    pub segments: Vec<[u32; 2]>,
}

/// Words to write so that the device follows.
#[derive(Debug)]
pub struct Changes {
    /// By part of the layout.
    pub parts: Vec<PartChanges>,
    /// Word address in the buffer of ratios, and two words.
    pub ratios: Vec<[u32; 3]>,
    /// Segments of the spare part that now have a row, one behind the other.
    pub spare: Range<usize>,
    /// Whether a stake or the number of nodes differs.
    pub teleport: bool,
}

/// A new state of one edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct EdgeChange {
    row: u32,
    source: u32,
    /// `None`: the edge is gone.
    quota: Option<u32>,
}

impl Layout {
    /// Follows `graph` from its earlier state `earlier`, which this layout holds. `None`: it must be laid out anew, and
    /// this layout is not to be used again.
    pub fn follow(&mut self, earlier: &Graph, graph: &Graph) -> Option<Changes> {
        // Slots of edges that are gone are visited all the same.
        let few = graph.edge_count() < self.edges_at_first / 2;
        let few = few && self.edges_at_first > CHANGES_MIN;
        if graph.node_count() < earlier.node_count() || few {
            return None;
        }
        self.labels.append(graph.node_count());
        let mut changes = Changes {
            parts: self.parts.iter().map(|_| PartChanges::default()).collect(),
            ratios: Vec::new(),
            spare: self.spare_used as usize..0,
            teleport: graph.node_count() != earlier.node_count(),
        };
        let most = CHANGES_MIN.max(self.edges / 4);
        let mut edges = Vec::new();
        for range in graph.changed_since(earlier) {
            for node in range.start..range.end.min(graph.node_count()) {
                changes.teleport |= earlier.stake(node) != graph.stake(node);
                let ((_, before), (_, now)) = (earlier.row(node), graph.row(node));
                if earlier.row(node) == graph.row(node) {
                    continue;
                }
                if !self.weighted && !equal(now) {
                    return None;
                }
                let label = self.labels.of[node as usize];
                let (ratio_before, [ratio, rest]) = (ratio_words(before), ratio_words(now));
                if ratio_before != [ratio, rest] {
                    changes.ratios.push([2 * label, ratio, rest]);
                }
                self.edge_changes(earlier, graph, node, &mut edges);
                if edges.len() as u64 > most {
                    return None;
                }
            }
        }
        edges.sort_unstable();
        for row in edges.chunk_by(|a, b| a.row == b.row) {
            self.change_row(row, &mut changes.parts)?;
        }
        changes.spare.end = self.spare_used as usize;
        self.edges = graph.edge_count();
        Some(changes)
    }

    /// The out-edges of `node` that come, go, or change their quota.
    fn edge_changes(
        &self,
        earlier: &Graph,
        graph: &Graph,
        node: u32,
        changes: &mut Vec<EdgeChange>,
    ) {
        let source = self.labels.of[node as usize];
        let (mut before, mut now) = (
            quotas(earlier.row(node)).peekable(),
            quotas(graph.row(node)).peekable(),
        );
        loop {
            let next = match (before.peek(), now.peek()) {
                (None, None) => return,
                (Some(&(target, _)), None) | (None, Some(&(target, _))) => target,
                (Some(&(old, _)), Some(&(new, _))) => old.min(new),
            };
            let old = before.next_if(|&(target, _)| target == next);
            let new = now.next_if(|&(target, _)| target == next);
            let quota_counts = self.weighted || old.is_some() != new.is_some();
            if old != new && quota_counts {
                changes.push(EdgeChange {
                    row: self.labels.of[next as usize],
                    source,
                    quota: new.map(|(_, quota)| quota),
                });
            }
        }
    }

    /// Makes the changes of one row, sorted by source.
    fn change_row(&mut self, edges: &[EdgeChange], parts: &mut [PartChanges]) -> Option<()> {
        let row = edges[0].row;
        let before = self.segments_of(row);
        let mut found = vec![false; edges.len()];
        // Slots that are or become empty, the latter first so that no slot changes twice.
        let (mut free, mut gone) = (Vec::new(), Vec::new());
        for &segment in &before {
            let (part, local) = self.locate(segment);
            for slot in self.parts[part].slots(local) {
                let source = self.parts[part].sources[slot];
                if source == 0 {
                    free.push((part, slot));
                    continue;
                }
                let Ok(at) = edges.binary_search_by_key(&source, |edge| edge.source) else {
                    continue;
                };
                found[at] = true;
                match edges[at].quota {
                    None => gone.push((part, slot)),
                    Some(quota) => parts[part].quotas.push([slot as u32, quota]),
                }
            }
        }
        for (edge, _) in edges.iter().zip(&found).filter(|(_, found)| !**found) {
            // What is not there does not go.
            let quota = edge.quota?;
            let (part, slot) = match gone.pop().or_else(|| free.pop()) {
                Some(place) => place,
                None => {
                    let segment = self.take_spare(row)?;
                    let (part, local) = self.locate(segment);
                    let mut slots = self.parts[part].slots(local).map(|slot| (part, slot));
                    let first = slots.next()?;
                    free.extend(slots);
                    first
                }
            };
            self.parts[part].sources[slot] = edge.source;
            parts[part].sources.push([slot as u32, edge.source]);
            if self.weighted {
                parts[part].quotas.push([slot as u32, quota]);
            }
        }
        for (part, slot) in gone {
            self.parts[part].sources[slot] = 0;
            parts[part].emptied.push([slot as u32]);
        }
        self.mark_segments(row, &before, parts);
        Some(())
    }

    /// Names the row in the segments it has gained, and tells its first that it is no longer alone.
    fn mark_segments(&mut self, row: u32, before: &[u32], parts: &mut [PartChanges]) {
        let now = self.segments_of(row);
        if now.len() == before.len() {
            return;
        }
        let word = if now.len() > 1 { row | SPLIT } else { row };
        for &segment in &now[before.len()..] {
            let (part, local) = self.locate(segment);
            self.parts[part].segments[local] = word;
        }
        if let [alone] = before[..] {
            let (part, local) = self.locate(alone);
            self.parts[part].segments[local] = word;
            parts[part].segments.push([local as u32, word]);
        }
    }
}

/// Targets and quotas of a row.
fn quotas<'a>((targets, weights): (&'a [u32], &'a [u64])) -> impl Iterator<Item = (u32, u32)> + 'a {
    let largest = weights.iter().copied().max().unwrap_or(0);
    let quota = move |(&target, &weight)| (target, quota(weight, largest));
    targets.iter().zip(weights).map(quota)
}

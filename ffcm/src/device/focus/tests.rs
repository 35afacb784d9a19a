//! Every edge lies in one slot of its row, however rows are cut and whatever has changed since.

use super::*;
use crate::focus::prepare::quota;
use crate::graph::{EdgeDelta, Graph};
use crate::testing::Rng;

/// Row, source and quota of every slot that is not empty; quotas are 0 where there are none.
fn found(layout: &Layout, quotas: &[Vec<u32>]) -> Vec<(u32, u32, u32)> {
    let mut edges = Vec::new();
    for (part, quotas) in layout.parts.iter().zip(quotas) {
        for (segment, entry) in part.segments.iter().enumerate() {
            for slot in part.slots(segment) {
                let source = part.sources[slot];
                if source != 0 {
                    let quota = quotas.get(slot).copied().unwrap_or(0);
                    edges.push((entry & !SPLIT, source, quota));
                }
            }
        }
    }
    edges.sort_unstable();
    edges
}

/// The same from the graph.
fn expected(graph: &Graph, layout: &Layout) -> Vec<(u32, u32, u32)> {
    let of = &layout.labels.of;
    let mut edges = Vec::new();
    for node in 0..graph.node_count() {
        let (targets, weights) = graph.row(node);
        for (&target, &weight) in targets.iter().zip(weights) {
            let largest = weights.iter().copied().max().unwrap_or(0);
            let quota = match layout.weighted {
                true => quota(weight, largest),
                false => 0,
            };
            edges.push((of[target as usize], of[node as usize], quota));
        }
    }
    edges.sort_unstable();
    edges
}

fn random_edges(rng: &mut Rng, nodes: u32, count: u32, weighted: bool) -> Vec<EdgeDelta> {
    let draw = |_| {
        let bound = rng.below(nodes.into()) + 1;
        EdgeDelta {
            source: rng.below(nodes.into()) as u32,
            target: rng.below(bound) as u32,
            weight: if weighted { rng.below(99) + 1 } else { 1 },
        }
    };
    (0..count).map(draw).collect()
}

fn random(rng: &mut Rng, nodes: u32, count: u32, weighted: bool) -> Graph {
    let mut graph = Graph::new();
    graph.add_nodes(nodes).unwrap();
    graph
        .apply(&random_edges(rng, nodes, count, weighted))
        .unwrap();
    graph
}

#[test]
fn every_edge_has_a_slot_within_its_cuts() {
    let mut rng = Rng::new(1);
    // More slices than are filled one after the other, and more edges than are sorted so.
    for (nodes, count, weighted, cuts) in [
        (90_000, 250_000, false, (2, u32::MAX, u32::MAX, 1 << 30)),
        (90_000, 250_000, true, (1, u32::MAX, u32::MAX, 1 << 30)),
        (500, 9_000, true, (7, 64, 50, 1 << 13)),
        (500, 9_000, false, (128, 1, 1, 1 << 12)),
    ] {
        let graph = random(&mut rng, nodes, count, weighted);
        let (segment_slots, block_labels, tile_rows, buffer_bytes) = cuts;
        let cuts = Cuts {
            segment_slots,
            block_labels,
            tile_rows,
            buffer_bytes,
        };
        let (layout, quotas) = Layout::new(&graph, cuts).unwrap();
        assert_eq!(layout.weighted, weighted);
        assert!(found(&layout, &quotas) == expected(&graph, &layout));
        let mut last = (0, 0);
        for part in &layout.parts {
            assert!(part.sources.len() as u64 * 4 <= buffer_bytes.max(1 << 12));
            for (segment, entry) in part.segments.iter().enumerate() {
                let sources: Vec<u32> = part
                    .slots(segment)
                    .map(|slot| part.sources[slot])
                    .filter(|&source| source != 0)
                    .collect();
                assert!(sources.is_sorted() && sources.len() <= segment_slots as usize);
                let Some(first) = sources.first() else {
                    continue;
                };
                let cell = ((entry & !SPLIT) / tile_rows, first / block_labels);
                assert!(sources.iter().all(|source| source / block_labels == cell.1));
                assert!(cell >= last, "cells follow each other");
                last = cell;
            }
        }
    }
}

#[test]
fn threads_change_no_word() {
    let mut rng = Rng::new(2);
    let graph = random(&mut rng, 20_000, 200_000, true);
    let cuts = Cuts {
        segment_slots: 16,
        block_labels: 3_000,
        tile_rows: 5_000,
        buffer_bytes: 1 << 30,
    };
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.build().unwrap();
        let (layout, quotas) = pool.install(|| Layout::new(&graph, cuts)).unwrap();
        let parts = layout.parts.into_iter();
        let parts: Vec<_> = parts
            .map(|part| (part.slices, part.segments, part.sources))
            .collect();
        (parts, quotas)
    };
    assert!(with(1) == with(4));
}

#[test]
fn changes_lead_to_the_same_slots() {
    let mut rng = Rng::new(3);
    for weighted in [false, true] {
        let mut graph = random(&mut rng, 400, 5_000, weighted);
        let cuts = Cuts {
            segment_slots: 5,
            block_labels: 100,
            tile_rows: 90,
            buffer_bytes: 1 << 13,
        };
        let (mut layout, mut quotas) = Layout::new(&graph, cuts).unwrap();
        for (part, quotas) in layout.parts.iter().zip(&mut quotas) {
            quotas.resize(part.sources.len(), 0);
        }
        for _ in 0..20 {
            let earlier = graph.clone();
            graph.add_nodes(rng.below(3) as u32).unwrap();
            let mut changes = random_edges(&mut rng, graph.node_count(), 40, weighted);
            for change in changes.iter_mut().step_by(3) {
                change.weight = 0;
            }
            let gone = graph.edges().filter(|_| rng.below(100) == 0);
            let gone: Vec<EdgeDelta> = gone.map(|edge| EdgeDelta { weight: 0, ..edge }).collect();
            graph.apply(&gone).unwrap();
            graph.apply(&changes).unwrap();
            let changes = layout.follow(&earlier, &graph).unwrap();
            for (quotas, changes) in quotas.iter_mut().zip(&changes.parts) {
                for &[slot, quota] in &changes.quotas {
                    quotas[slot as usize] = quota;
                }
            }
            assert!(found(&layout, &quotas) == expected(&graph, &layout));
        }
    }
}

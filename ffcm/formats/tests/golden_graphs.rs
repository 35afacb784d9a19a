//! π of small graphs, pinned: a change of any bit shows as a changed line in `ranks.txt`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p ffcm-formats --test golden_graphs` rewrites the file.

// Clippy's leave to unwrap in tests does not reach their helper functions.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::path::PathBuf;

use ffcm::focus::{FocusParams, MASS, Ranking, rank};
use ffcm::graph::{EdgeDelta, Graph};
use ffcm::oracle;
use ffcm_formats::{Format, LabeledGraph, Limits, read_path};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../golden/graphs")
}

fn file(name: &str, format: Format) -> LabeledGraph {
    read_path(&folder().join(name), Some(format), &Limits::default()).unwrap()
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }
}

fn built(nodes: u32, edges: impl Iterator<Item = (u32, u32, u64)>) -> Graph {
    let delta = |(source, target, weight)| EdgeDelta {
        source,
        target,
        weight,
    };
    let mut graph = Graph::new();
    graph.add_nodes(nodes).unwrap();
    graph.apply(&edges.map(delta).collect::<Vec<_>>()).unwrap();
    graph
}

/// 32 communities of 32 nodes, one edge in 32 to the next community: it mixes slowly.
fn communities() -> Graph {
    let mut random = Random(1);
    let edges = (0..8192).map(move |_| {
        let source = random.below(1024);
        let community = source / 32 + u32::from(random.below(32) == 0);
        (source, community % 32 * 32 + random.below(32), 1)
    });
    built(1024, edges)
}

/// R-MAT (0.57, 0.19, 0.19, 0.05) of scale 10 and degree 16, with weights over five decades and stakes.
fn rmat() -> Graph {
    let mut random = Random(2);
    let edges: Vec<_> = (0..16 << 10)
        .map(|_| {
            let (mut source, mut target) = (0, 0);
            for _ in 0..10 {
                let (down, right) = match random.below(100) {
                    0..57 => (0, 0),
                    57..76 => (0, 1),
                    76..95 => (1, 0),
                    _ => (1, 1),
                };
                (source, target) = (2 * source + down, 2 * target + right);
            }
            (
                source,
                target,
                10_000_000 / u64::from(1 + random.below(100_000)),
            )
        })
        .collect();
    let mut graph = built(1024, edges.into_iter());
    for node in 0..1024 {
        graph
            .set_stake(node, random.next() >> random.below(64))
            .unwrap();
    }
    graph
}

fn with_threads(threads: usize, graph: &Graph, params: &FocusParams) -> Ranking {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(|| rank(graph, params, None).unwrap())
}

fn hex(bytes: [u8; 32]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn describe(name: &str, graph: &Graph) -> String {
    let params = FocusParams::default();
    let expected = oracle::focus::rank(graph, &params, None).unwrap();
    for (threads, shards) in [(1, 1), (2, 1), (1, 4), (2, 16)] {
        let ranking = with_threads(threads, graph, &FocusParams { shards, ..params });
        assert_eq!(
            ranking, expected,
            "{name}: {threads} threads, {shards} shards"
        );
    }
    assert_eq!(expected.mass.iter().sum::<u64>(), MASS);
    let mut text = String::new();
    let (nodes, edges) = (graph.node_count(), graph.edge_count());
    let Ranking {
        iterations,
        residual,
        converged,
        ..
    } = expected;
    writeln!(text, "{name}").unwrap();
    writeln!(
        text,
        "  nodes {nodes} edges {edges} graph {}",
        hex(graph.digest())
    )
    .unwrap();
    writeln!(
        text,
        "  iterations {iterations} residual {residual} converged {converged}"
    )
    .unwrap();
    writeln!(text, "  pi {}", hex(expected.digest())).unwrap();
    for (node, mass) in expected.top(3) {
        writeln!(text, "  {node} {mass}").unwrap();
    }
    text
}

#[test]
fn ranks_are_as_pinned() {
    let six = file("six.el", Format::EdgeList).graph;
    let mut staked = six.clone();
    staked.set_stake(4, u64::MAX).unwrap();
    staked.set_stake(1, u64::MAX / 2).unwrap();
    let lock = file("workspace.Cargo.lock", Format::CargoLock).graph;
    let graphs = [
        ("six", six),
        ("six staked", staked),
        ("workspace.Cargo.lock", lock),
        ("communities", communities()),
        ("rmat", rmat()),
    ];
    let found: String = graphs
        .iter()
        .map(|(name, graph)| describe(name, graph))
        .collect();
    let path = folder().join("ranks.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let pinned = std::fs::read_to_string(&path).unwrap();
    assert_eq!(found, pinned, "set UPDATE_GOLDEN=1 to accept");
}

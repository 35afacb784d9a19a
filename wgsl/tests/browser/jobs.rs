//! The machine's jobs on the page's device.

use std::path::PathBuf;
use std::sync::Arc;

use ffcm::conformance::Suite;
use ffcm::coprocessor::{Coprocessor, FocusJob};
use ffcm::focus::{FocusParams, Ranking};
use ffcm::graph::{EdgeDelta, Graph};
use ffcm::oracle;
use ffcm_formats::{Format, read_path};
use ffcm_wgsl::WgpuCoprocessor;

use crate::page::Browser;
use crate::{in_browser, open, sha256};

/// Runs a suite of the machine's conformance, case by case against the oracle.
fn conforms(suite: Suite) {
    in_browser(|browser| {
        let backend = WgpuCoprocessor::on(open(browser));
        let report = suite.run(&backend).unwrap();
        println!("{report}\n{:?}", backend.gpu().stats());
        let digest = report.digest.expect("the device has the job");
        let digest = blake3::Hash::from_bytes(digest).to_hex();
        browser.show(suite.name(), &digest, true);
    });
}

#[test]
fn focus_is_that_of_the_machine() {
    conforms(Suite::Focus);
}

#[test]
fn memory_arithmetic_is_that_of_the_machine() {
    conforms(Suite::Memory);
}

#[test]
fn hashes_are_those_of_the_machine() {
    conforms(Suite::Hash);
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../ffcm/golden")
        .join(name)
}

/// The digest of π that is pinned for a golden graph.
fn pinned(graph: &str) -> String {
    let text = std::fs::read_to_string(golden("graphs/ranks.txt")).unwrap();
    let mut lines = text.lines().skip_while(|line| *line != graph);
    let pi = lines.find_map(|line| line.strip_prefix("  pi "));
    pi.unwrap().to_owned()
}

/// One node that 3000 others link to, unevenly; every third of these is linked to by its neighbour, and 500 link to
/// nobody.
fn hub() -> Graph {
    let mut graph = Graph::new();
    graph.add_nodes(3501).unwrap();
    let mut deltas = Vec::new();
    for source in 1..=3000 {
        let weight = 1 + u64::from(source) * u64::from(source) % 977;
        deltas.push(EdgeDelta {
            source,
            target: 0,
            weight,
        });
        if source % 3 == 0 {
            deltas.push(EdgeDelta {
                source,
                target: source + 1,
                weight: 500,
            });
        }
    }
    graph.apply(&deltas).unwrap();
    graph
}

/// SHA-256 that the page gives for the masses: the device holds the nodes by falling out-degree, then ascending.
fn digest_on_the_page(graph: &Graph, ranking: &Ranking) -> String {
    let mut order: Vec<u32> = (0..graph.node_count()).collect();
    order.sort_by_key(|&node| (std::cmp::Reverse(graph.out_degree(node)), node));
    let masses = order.iter().map(|&node| ranking.mass[node as usize]);
    let words: Vec<u32> = masses
        .flat_map(|mass| [mass as u32, (mass >> 32) as u32])
        .collect();
    sha256(&words)
}

/// π as the oracle has it, on a device that holds no graph yet.
fn rank_in(browser: &Arc<Browser>, name: &str, graph: &Graph) -> Ranking {
    let params = FocusParams::default();
    let expected = oracle::focus::rank(graph, &params, None).unwrap();
    let job = FocusJob {
        graph,
        params,
        start: None,
    };
    let backend = WgpuCoprocessor::on(open(browser));
    let found = backend.focus(&job).unwrap();
    assert_eq!(found, expected, "{name}");
    let (words, digest) = browser.digests().pop().unwrap();
    assert_eq!(words, 2 * u64::from(graph.node_count()));
    assert_eq!(digest, digest_on_the_page(graph, &expected), "{name}");
    browser.show(&format!("π of {name}"), &digest, true);
    println!("{name}: {digest}");
    found
}

#[test]
fn the_page_gives_the_digests_of_golden_graphs() {
    in_browser(|browser| {
        for (name, format) in [
            ("six.el", Format::EdgeList),
            ("workspace.Cargo.lock", Format::CargoLock),
        ] {
            let path = golden("graphs").join(name);
            let graph = read_path(&path, Some(format), &ffcm_formats::Limits::default())
                .unwrap()
                .graph;
            let ranking = rank_in(browser, name, &graph);
            let digest = blake3::Hash::from_bytes(ranking.digest())
                .to_hex()
                .to_string();
            assert_eq!(digest, pinned(name.trim_end_matches(".el")), "{name}");
        }
        rank_in(browser, "a hub", &hub());
    });
}

//! The machine's jobs on the page's device.

use std::path::PathBuf;
use std::sync::Arc;

use ffcm::conformance::Suite;
use ffcm::coprocessor::{
    Coprocessor, FocusJob, OracleCoprocessor, RewriteJob, ending, rewrite_digest,
};
use ffcm::cpu::CpuCoprocessor;
use ffcm::focus::{FocusParams, Ranking};
use ffcm::graph::{EdgeDelta, Graph};
use ffcm::net::{Book, Call, Limits, Outcome};
use ffcm::oracle;
use ffcm::spec::word::{Class, Term};
use ffcm_formats::{Format, read_path};
use ffcm_wgsl::{WgpuCoprocessor, kernels};

use crate::page::Browser;
use crate::{in_browser, open, sha256};

/// Runs a suite of the machine's conformance, case by case against the oracle, there and on the CPU.
fn conforms(suite: Suite) {
    let digest = |backend: &dyn Coprocessor| {
        let report = suite.run(backend).unwrap();
        println!("{report}");
        let digest = report.digest.expect("the backend has the job");
        blake3::Hash::from_bytes(digest).to_string()
    };
    let expected = digest(&CpuCoprocessor::new(1).unwrap());
    in_browser(|browser| {
        let backend = WgpuCoprocessor::on(open(browser));
        browser.show(suite.name(), &digest(&backend), &expected);
        println!("{:?}", backend.gpu().stats());
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

/// SHA-256 of the masses as they lie on the device, which has the nodes by falling out-degree, then ascending.
fn expected_digest(graph: &Graph, ranking: &Ranking) -> String {
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
    // Label 0 is nobody's.
    let digest = browser.digest(&[("mass", 2, 2 * u64::from(graph.node_count()))]);
    let expected = expected_digest(graph, &expected);
    browser.show(&format!("π of {name}"), &digest, &expected);
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

/// Where the parallel engine's kernels count, as their text says: eight low words by opcode, then eight high words.
fn counts_at() -> u64 {
    let main = kernels::all()
        .into_iter()
        .find(|source| source.name == "net.main");
    let text = main.unwrap().text;
    let rest = text.split_once("const COUNTS: u32 = ").unwrap().1;
    rest.split_once('u').unwrap().0.parse().unwrap()
}

/// The term of a plain number and the interactions by opcode, or these alone, as they lie on the device.
fn words_of(outcome: &Outcome) -> Vec<u32> {
    let low_high = |word: u64| [word as u32, (word >> 32) as u32];
    let mut counts = [0; 16];
    for (op, count) in outcome.counts.iter() {
        [counts[op as usize], counts[8 + op as usize]] = low_high(count);
    }
    let number = outcome.number.into_iter().flat_map(|term| low_high(term.0));
    number.chain(counts).collect()
}

/// The wire at the end of those that begin at the root.
fn end_of_root(browser: &Browser) -> u64 {
    let mut wire = 0;
    loop {
        let found = browser.words("net.payloads", 2 * wire, 2);
        let term = Term(u64::from(found[1]) << 32 | u64::from(found[0]));
        if term.class() != Class::Var {
            return wire;
        }
        wire = u64::from(term.offset());
    }
}

#[test]
fn golden_programs_have_the_results_and_counts_of_the_machine() {
    let mut names: Vec<String> = std::fs::read_dir(golden("nets"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".hvm"))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    in_browser(|browser| {
        let backend = WgpuCoprocessor::on(open(browser));
        let numbers = names
            .iter()
            .filter(|name| reduce_in(browser, &backend, name))
            .count();
        assert!(numbers > 2, "{numbers}");
        println!("{:?}", backend.gpu().stats());
    });
}

/// The sum of a tree of a depth.
const CALLS: &str = "
@main = r & @sum ~ (3 r)
@sum = (?((1 @both) r) r)
@both = ({a b} r) & @sum ~ (a $([+] $(c r))) & @sum ~ (b c)
";

#[test]
fn small_calls_have_the_results_and_counts_of_the_machine() {
    let book = Arc::new(Book::parse(CALLS).unwrap());
    let sum = book.find("sum").unwrap();
    let call = |index: u32| Call {
        entry: sum,
        arguments: vec![match index % 7 {
            6 => Term::ERA,
            depth => Term::u24(depth),
        }],
    };
    let limits = Limits {
        gas: 300,
        ..Limits::default()
    };
    let calls = (0..500).map(call).collect();
    let job = RewriteJob {
        book,
        calls,
        limits,
    };
    let expected = OracleCoprocessor.rewrite(&job).unwrap();
    let ended = |kind: &str| {
        expected
            .iter()
            .filter(|result| ending(result) == kind)
            .count()
    };
    assert!(
        ended("ok") > 100 && ended("out of gas") > 50,
        "{} {}",
        ended("ok"),
        ended("out of gas")
    );
    in_browser(|browser| {
        let backend = WgpuCoprocessor::on(open(browser));
        let found = backend.rewrite(&job).unwrap();
        let digest = |output| blake3::Hash::from_bytes(rewrite_digest(output)).to_string();
        browser.show("500 small calls", &digest(&found), &digest(&expected));
        assert_eq!(found, expected);
        println!("{:?}", backend.gpu().stats());
    });
}

/// Reduces a golden program as the oracle does, and compares the page's digest of the counts, and of the result if it is
/// a number. Whether it is.
fn reduce_in(browser: &Arc<Browser>, backend: &WgpuCoprocessor, name: &str) -> bool {
    let text = std::fs::read_to_string(golden("nets").join(name)).unwrap();
    let book = Arc::new(Book::parse(&text).unwrap());
    let job = RewriteJob {
        calls: vec![book.main().unwrap()],
        book,
        limits: Limits::default(),
    };
    let expected = OracleCoprocessor.rewrite(&job).unwrap();
    let found = backend.rewrite(&job).unwrap();
    assert_eq!(found, expected, "{name}");
    let outcome = expected[0].as_ref().unwrap();
    let is_number = outcome.number.is_some();
    let mut parts = vec![("net.control", counts_at(), 16)];
    if is_number {
        parts.insert(0, ("net.payloads", 2 * end_of_root(browser), 2));
    }
    let digest = browser.digest(&parts);
    browser.show(name, &digest, &sha256(&words_of(outcome)));
    is_number
}

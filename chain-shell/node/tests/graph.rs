//! `focus graph`: what each operator prints, the same on every number of threads, and every bad input.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod command;

use std::fs;
use std::path::PathBuf;

use command::{assert_fails, json, run, stdout, text};
use serde_json::Value;
use tempfile::TempDir;

const OPERATORS: [&str; 7] = ["bfs", "wcc", "sssp", "cdlp", "lcc", "walk", "triangles"];

/// A triangle with a tail, and a pair.
const LINKS: &str = "ana ben 5\nben cleo 5\nana cleo 20\ncleo dan 1\neve finn 2\n";

fn file(name: &str, content: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    (folder, path)
}

/// Nodes and values of the table in JSON.
fn top(value: &Value) -> Vec<(&str, &Value)> {
    let lines = value["top"].as_array().unwrap().iter();
    lines
        .map(|line| (line["node"].as_str().unwrap(), &line["value"]))
        .collect()
}

#[test]
fn answers_are_those_of_the_definitions() {
    let (_folder, path) = file("links.tsv", LINKS);
    let ask = |arguments: &[&str]| {
        json(
            &[
                &["graph", arguments[0], text(&path), "--json"],
                &arguments[1..],
            ]
            .concat(),
        )
    };

    let bfs = ask(&["bfs", "--source", "ana"]);
    assert_eq!(
        (&bfs["found"]["reached"], &bfs["found"]["depth"]),
        (&4.into(), &2.into())
    );
    assert_eq!(top(&bfs)[0], ("dan", &2.into()));
    assert_eq!(bfs["nodes"], 6);
    // The first node of the file is the source unless another is named.
    assert_eq!(ask(&["bfs"])["top"], bfs["top"]);

    let sssp = ask(&["sssp", "--source", "ana"]);
    assert_eq!(
        top(&sssp)[..2],
        [("dan", &"11".into()), ("cleo", &"10".into())]
    );
    assert_eq!(sssp["found"]["longest"], "11");

    let wcc = ask(&["wcc", "--top", "1"]);
    assert_eq!(wcc["found"]["components"], 2);
    assert_eq!(top(&wcc), [("ana", &4.into())]);

    let none = ask(&["cdlp", "--iterations", "0"]);
    assert_eq!(none["found"]["communities"], 6);
    let cdlp = ask(&["cdlp"]);
    assert_eq!(cdlp["operator"], "cdlp");
    assert!(cdlp["found"]["communities"].as_u64().unwrap() < 6);

    let lcc = ask(&["lcc"]);
    assert_eq!(
        top(&lcc)[..3],
        [
            ("ana", &"1/2".into()),
            ("ben", &"1/2".into()),
            ("cleo", &"1/6".into())
        ]
    );

    let triangles = ask(&["triangles"]);
    assert_eq!(triangles["found"]["triangles"], "1");
    assert_eq!(top(&triangles)[3], ("dan", &0.into()));

    let walk = ask(&["walk", "--source", "eve", "--walks", "3"]);
    assert_eq!(
        (&walk["found"]["walks"], &walk["found"]["steps"]),
        (&3.into(), &3.into())
    );
    assert_eq!(top(&walk)[..2], [("eve", &3.into()), ("finn", &3.into())]);
}

#[test]
fn threads_change_nothing() {
    let mut links = String::new();
    for i in 0..6000u64 {
        let (a, b) = (i * 2_654_435_761 % 1701, i * i * 40_503 % 1691);
        links += &format!("{a} {b} {}\n", 1 + i % 13);
    }
    let (folder, path) = file("links.tsv", &links);
    for operator in OPERATORS {
        let outs = ["1", "2", "3"].map(|threads| {
            let out = folder.path().join(format!("{operator}-{threads}.tsv"));
            let table = stdout(&[
                "graph",
                operator,
                text(&path),
                "--threads",
                threads,
                "--out",
                text(&out),
            ]);
            let mut lines = table.lines();
            assert!(lines.next().unwrap().starts_with("1 7"), "{table}");
            assert!(lines.next().unwrap().starts_with(operator), "{table}");
            let lines: Vec<String> = lines.map(str::to_owned).collect();
            assert!((2..=11).contains(&lines.len()), "{table}");
            (lines, fs::read_to_string(out).unwrap())
        });
        assert!(outs.iter().all(|out| *out == outs[0]), "{operator}");
        assert!(outs[0].1.lines().count() > 1690, "{operator}");
    }
}

#[test]
fn all_values_are_written_with_labels() {
    let (folder, path) = file("links.tsv", LINKS);
    let out = folder.path().join("out.tsv");
    let written = |arguments: &[&str]| {
        stdout(
            &[
                &["graph", arguments[0], text(&path), "--out", text(&out)],
                &arguments[1..],
            ]
            .concat(),
        );
        fs::read_to_string(&out).unwrap()
    };
    let levels =
        "ana\t0\nben\t1\ncleo\t1\ndan\t2\neve\t9223372036854775807\nfinn\t9223372036854775807\n";
    assert_eq!(written(&["bfs"]), levels);
    let distances = "ana\t0\nben\t5\ncleo\t10\ndan\t11\neve\tinfinity\nfinn\tinfinity\n";
    assert_eq!(written(&["sssp"]), distances);
    let components = "ana\tana\nben\tana\ncleo\tana\ndan\tana\neve\teve\nfinn\teve\n";
    assert_eq!(written(&["wcc"]), components);
    let coefficients = "ana\t1/2\nben\t1/2\ncleo\t1/6\ndan\t0/1\neve\t0/1\nfinn\t0/1\n";
    assert_eq!(written(&["lcc"]), coefficients);
    let walks = written(&["walk", "--source", "cleo", "--walks", "2", "--steps", "1"]);
    assert_eq!(walks, "cleo\tdan\ncleo\tdan\n");
}

#[test]
fn several_files_and_formats_are_one_graph() {
    let (folder, path) = file("links.tsv", LINKS);
    let lock = folder.path().join("Cargo.lock");
    let package = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\"b\"]\n\n\
                   [[package]]\nname = \"b\"\nversion = \"2.0.0\"\n";
    fs::write(&lock, format!("version = 4\n\n{package}")).unwrap();
    let wcc = json(&["graph", "wcc", text(&path), text(&lock), "--json"]);
    assert_eq!(
        (&wcc["nodes"], &wcc["found"]["components"]),
        (&8.into(), &3.into())
    );
    let bfs = json(&["graph", "bfs", text(&lock), "--source", "a 1.0.0", "--json"]);
    assert_eq!(top(&bfs)[0], ("b 2.0.0", &1.into()));
}

#[test]
fn what_cannot_be_done_is_one_line() {
    let (_folder, path) = file("links.tsv", LINKS);
    let path = text(&path);
    let fails = |arguments: &[&str], code, words: &str| {
        assert_fails(&run(&[&["graph"], arguments].concat()), code, words);
    };
    fails(
        &["bfs", path, "--source", "nobody"],
        1,
        "no node is called nobody",
    );
    fails(&["sssp", path, "--source", ""], 1, "no node is called");
    fails(&["wcc", "/nowhere/at/all.el"], 1, "/nowhere/at/all.el");
    fails(
        &[
            "walk",
            path,
            "--walks",
            "4000000000",
            "--steps",
            "4000000000",
        ],
        1,
        "raise --max-memory",
    );
    let heavy = format!("a b {}\nb c 1\n", u64::MAX);
    let (_folder, heavy) = file("heavy.tsv", &heavy);
    fails(&["sssp", text(&heavy)], 1, "2^64 - 1 or longer");
    let (_folder, empty) = file("empty.el", "");
    for operator in OPERATORS {
        fails(&[operator, text(&empty)], 1, "empty.el");
    }
    for usage in [
        &[][..],
        &["pagerank", path],
        &["bfs"],
        &["cdlp", path, "--iterations", "1048577"],
        &["cdlp", path, "--iterations", "-1"],
        &["wcc", path, "--threads", "2000"],
        &["wcc", path, "--max-memory", "0"],
        &["wcc", path, "--source", "ana"],
        &["walk", path, "--seed", "x"],
    ] {
        let output = run(&[&["graph"], usage].concat());
        assert_eq!(output.status.code(), Some(2), "{usage:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_personal_ranking_is_that_of_the_oracle_with_these_stakes() {
    let (folder, path) = file("links.tsv", LINKS);
    let seeds = folder.path().join("seeds.tsv");
    fs::write(&seeds, "ben\t2\n\neve\n").unwrap();
    let labeled = ffcm_formats::read_path(&path, None, &ffcm_formats::Limits::default()).unwrap();
    let node = |label: &str| labeled.labels.iter().position(|own| own == label).unwrap() as u32;
    let expected = |stakes: &[(&str, u64)]| {
        let mut graph = labeled.graph.clone();
        for (label, stake) in stakes {
            graph.set_stake(node(label), *stake).unwrap();
        }
        let params = ffcm::focus::FocusParams::default();
        ffcm::oracle::focus::rank(&graph, &params, None).unwrap()
    };
    for (arguments, stakes) in [
        (&["--seed", "ana"][..], &[("ana", 1)][..]),
        (&["--seeds", text(&seeds)], &[("ben", 2), ("eve", 1)]),
        (
            &["--seed", "eve", "--seeds", text(&seeds)],
            &[("ben", 2), ("eve", 2)],
        ),
    ] {
        let expected = expected(stakes);
        for threads in ["1", "3"] {
            let out = folder.path().join("out.tsv");
            let words = [
                "graph",
                "ppr",
                text(&path),
                "--threads",
                threads,
                "--out",
                text(&out),
                "--json",
            ];
            let found = json(&[&words[..], arguments].concat());
            assert_eq!(
                found["found"]["digest"],
                hex(&expected.digest()),
                "{found:#}"
            );
            let mass: Vec<u64> = (fs::read_to_string(&out).unwrap().lines())
                .map(|line| line.split_once('\t').unwrap().1.parse().unwrap())
                .collect();
            assert_eq!(mass, expected.mass);
        }
    }
    let table = stdout(&["graph", "ppr", text(&path), "--seed", "eve", "--top", "2"]);
    assert!(
        table.contains("1 seeds") || table.contains("1 seed"),
        "{table}"
    );
    assert!(
        !table.contains("ana"),
        "no path leads from eve to ana: {table}"
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn seeds_that_are_none_are_one_line() {
    let (folder, path) = file("links.tsv", LINKS);
    let seeds = |content: &str| {
        let seeds = folder.path().join("seeds.tsv");
        fs::write(&seeds, content).unwrap();
        run(&["graph", "ppr", text(&path), "--seeds", text(&seeds)])
    };
    assert_fails(
        &seeds("ana\nnobody\n"),
        1,
        "line 2: no node is called nobody",
    );
    assert_fails(&seeds("ana\t-1\n"), 1, "line 1: a stake is");
    assert_fails(&seeds("ana\t0\n"), 1, "no node of interest has a stake");
    assert_fails(&seeds(""), 1, "no node of interest has a stake");
    let most = u64::MAX;
    assert_fails(
        &seeds(&format!("ana\t{most}\nana\t1\n")),
        1,
        "stakes of node 0",
    );
    let missing = run(&["graph", "ppr", text(&path), "--seeds", "/nowhere/seeds"]);
    assert_fails(&missing, 1, "/nowhere/seeds");
    let nobody = run(&["graph", "ppr", text(&path), "--seed", "nobody"]);
    assert_fails(&nobody, 1, "no node is called nobody");
    assert_eq!(run(&["graph", "ppr", text(&path)]).status.code(), Some(2));
}

#[test]
fn every_operator_has_help_with_an_example() {
    for operator in OPERATORS.into_iter().chain(["ppr"]) {
        let help = stdout(&["graph", operator, "--help"]);
        assert!(help.contains(&format!("focus graph {operator} ")), "{help}");
        assert!(help.contains("Example"), "{help}");
    }
}

//! Killed at any moment, a node goes on from a root that store and log agree on.
//!
//! `FOCUS_KILL_RUNS` says how many times to kill, 5 by default.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod command;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use command::{Node, focus, json, stdout, stopped_at, text};

/// Kills per folder, after which a fresh one starts with an empty chain and a full feed.
const KILLS_PER_FOLDER: u64 = 10;

#[test]
fn kill_9_loses_nothing() {
    let runs: u64 = std::env::var("FOCUS_KILL_RUNS").map_or(5, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let edges = folder.path().join("graph.el");
    let mut graph = String::new();
    for i in 0..3000u64 {
        graph += &format!("{} {}\n", i * 31 % 997, i * i * 17 % 991);
    }
    fs::write(&edges, graph).unwrap();
    let mut random = 0x5EED_u64;
    for run in 0..runs {
        let data = folder
            .path()
            .join(format!("data-{}", run / KILLS_PER_FOLDER));
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let after = Duration::from_millis((random >> 33) % 600);
        // Every third kill comes early: while the folder is made, opened or recovered.
        let height = if run % 3 == 2 {
            killed_early(&data, &edges, after / 20);
            0
        } else {
            killed(&data, &edges, after)
        };
        let (stopped, root) = settle(&data, &edges);
        assert!(
            stopped > height,
            "run {run}: height {height} was lost, now {stopped}"
        );
        for source in [
            ["--data", text(&data)],
            ["--log", text(&data.join("chain.jsonl"))],
        ] {
            let mut arguments = vec!["replay", "--json"];
            arguments.extend(source);
            let replayed = json(&arguments);
            assert_eq!(replayed["height"], stopped, "run {run}, {source:?}");
            assert_eq!(
                replayed["state_root"],
                root.as_str(),
                "run {run}, {source:?}"
            );
        }
    }
}

/// Runs a node, kills it, and returns the last height that it printed.
fn killed(data: &Path, edges: &Path, after: Duration) -> u64 {
    use std::io::Read;
    let mut node = Node::start(&[
        "--edges",
        text(edges),
        "--block-ms",
        "0",
        "--data",
        text(data),
    ]);
    std::thread::sleep(after);
    node.child.kill().unwrap();
    node.child.wait().unwrap();
    let mut printed = String::new();
    node.stdout.read_to_string(&mut printed).unwrap();
    let height = |line: &str| line.split_whitespace().nth(1)?.parse().ok();
    let whole = printed.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .filter(|l| l.starts_with("block "))
        .filter_map(height)
        .next_back()
        .unwrap_or(0)
}

/// Starts a node and kills it without waiting for anything.
fn killed_early(data: &Path, edges: &Path, after: Duration) {
    let mut child = focus(&[
        "up",
        "--rpc",
        "0",
        "--edges",
        text(edges),
        "--data",
        text(data),
    ])
    .stdout(Stdio::null())
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// One more block.
fn settle(data: &Path, edges: &Path) -> (u64, String) {
    let (edges, data) = (text(edges), text(data));
    stopped_at(&stdout(&[
        "up",
        "--edges",
        edges,
        "--blocks",
        "1",
        "--rpc",
        "0",
        "--block-ms",
        "0",
        "--data",
        data,
    ]))
}

//! Killed at any moment, a node continues with the last committed block, and its folder replays.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use focus_node::{replay_data, replay_log};
use support::*;

const FOLDER: &str = "FOCUS_NODE_CRASH_TEST_FOLDER";

/// The process that is killed: does nothing unless the parent names a folder.
#[test]
fn child() {
    let Some(data) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let node = create(&data, &genesis());
    for _ in 0..200 {
        next_block(&node);
    }
}

#[test]
fn killed_at_random_moments_it_continues_from_the_same_root() {
    let folder = tempfile::tempdir().unwrap();
    let (data, reference) = (
        folder.path().join("killed"),
        folder.path().join("reference"),
    );
    let mut random = Random(7);
    let mut height = 0;
    for _ in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--test-threads", "1"])
            .env(FOLDER, &data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Wait until it writes, so that slow machines are killed at work too, then a little longer.
        let size =
            |data: &PathBuf| std::fs::metadata(data.join("chain.jsonl")).map_or(0, |m| m.len());
        let (start, before) = (Instant::now(), size(&data));
        while size(&data) == before && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let node = open(&data);
        assert!(node.head().height >= height);
        height = node.head().height;
    }
    let replayed = replay_data(&data, oracle()).unwrap();
    assert_eq!(replayed.height, height);
    assert_eq!(
        replay_log(&data.join("chain.jsonl"), oracle()).unwrap(),
        replayed
    );
    let node = create(&reference, &genesis());
    while node.head().height < height {
        next_block(&node);
    }
    assert_eq!(node.head().hash(), replayed.tip);
}

//! The verbs on the first adapter of this machine: what they print is what they print on the CPU.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod command;

use std::fs;

use command::{focus_with_adapters, stdout, stopped_at, text};
use serde_json::Value;

/// Stdout of a run with adapters that must succeed.
fn on_machine(arguments: &[&str]) -> String {
    let output = focus_with_adapters(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn on_machine_json(arguments: &[&str]) -> Value {
    serde_json::from_str(&on_machine(arguments)).unwrap()
}

/// The same command on the CPU and on WebGPU: all that does not name device or time has to be equal.
fn compare(arguments: &[&str]) {
    let with = |backend| {
        let mut all = arguments.to_vec();
        all.extend(["--json", "--backend", backend]);
        let mut value = on_machine_json(&all);
        let object = value.as_object_mut().unwrap();
        object.remove("seconds").unwrap();
        object.remove("threads").unwrap();
        let device = ["backend", "device"].map(|key| object.remove(key).unwrap());
        (value, device)
    };
    let (expected, [cpu, _]) = with("cpu");
    let (found, [backend, device]) = with("wgpu");
    assert_eq!(found, expected);
    assert_eq!((cpu, backend), ("cpu".into(), "wgpu".into()));
    assert!(device.as_str().unwrap().contains("vulkan") || cfg!(not(target_os = "linux")));
}

#[test]
fn nets_and_graphs_give_the_same_answers() {
    let folder = tempfile::tempdir().unwrap();
    let net = folder.path().join("sum.hvm");
    let sum = "@main = r & @sum ~ (8 r)\n@sum = (?((1 @two) r) r)
        @two = ({a b} r) & @sum ~ (a x) & @sum ~ (b y) & x ~ $([+] $(y r))";
    fs::write(&net, sum).unwrap();
    compare(&["run", text(&net)]);
    let graph = folder.path().join("graph.el");
    let edge = |i: u64| format!("{} {} {}\n", i * 2_654_435_761 % 97, i * i % 89, 1 + i % 5);
    fs::write(&graph, (0..500).map(edge).collect::<String>()).unwrap();
    compare(&["rank", text(&graph), "--top", "5"]);
    let net = folder.path().join("weight.hvm");
    fs::write(&net, "@weight = (stake (* (* stake)))").unwrap();
    let few = folder.path().join("few.el");
    fs::write(&few, "a b 3\nb c 1\nc a 2\n").unwrap();
    compare(&["rank", text(&few), "--weight-net", text(&net)]);
}

#[test]
fn a_net_that_fails_fails_alike() {
    let folder = tempfile::tempdir().unwrap();
    let net = folder.path().join("endless.hvm");
    fs::write(
        &net,
        "@main = r & @loop ~ (1 r) @loop = (a r) & @loop ~ (a r)",
    )
    .unwrap();
    let with = |backend| {
        let arguments = ["run", text(&net), "--gas", "1000", "--backend", backend];
        focus_with_adapters(&arguments).output().unwrap()
    };
    let (cpu, gpu) = (with("cpu"), with("wgpu"));
    command::assert_fails(&gpu, 1, "raise --gas");
    assert_eq!(gpu.stderr, cpu.stderr);
}

#[test]
fn an_adapter_beyond_the_list_is_refused() {
    let output = focus_with_adapters(&["rank", "/dev/null", "--backend", "wgpu:77"]).output();
    command::assert_fails(&output.unwrap(), 1, "there is no adapter 77");
}

/// Runs `up` with each backend on a chain of its own, equal in genesis and key, and compares every block; then replays
/// the CPU's with each.
fn compare_chains(feed: &[&str], blocks: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (key, genesis) = (path("key"), path("genesis.json"));
    fs::write(&key, "07".repeat(32)).unwrap();
    stdout(&["genesis", "--out", text(&genesis), "--key", text(&key)]);
    let count = blocks.to_string();
    let up = |backend: &str| {
        let data = path(backend);
        let mut arguments = vec!["up"];
        arguments.extend(feed);
        arguments.extend(["--blocks", &count, "--block-ms", "0", "--rpc", "0"]);
        arguments.extend(["--genesis", text(&genesis), "--key", text(&key)]);
        arguments.extend(["--data", text(&data), "--backend", backend]);
        let printed = on_machine(&arguments);
        // Of each block the digest of π and the state root.
        let roots: Vec<String> = printed
            .lines()
            .filter_map(|line| line.split_once("  pi "))
            .map(|(_, rest)| rest.split_whitespace().take(3).collect())
            .collect();
        assert_eq!(roots.len(), blocks, "{printed}");
        (roots, stopped_at(&printed))
    };
    assert_eq!(up("wgpu"), up("cpu"));
    let data = path("cpu");
    let replay = ["replay", "--data", text(&data), "--json", "--backend"];
    let with = |backend| {
        let mut arguments = replay.to_vec();
        arguments.push(backend);
        on_machine_json(&arguments)
    };
    assert_eq!(with("wgpu"), with("cpu"));
}

#[test]
fn two_hundred_blocks_of_the_demo_have_the_same_roots() {
    compare_chains(&["--demo"], 200);
}

#[test]
fn a_graph_from_a_file_has_the_same_roots() {
    let folder = tempfile::tempdir().unwrap();
    let graph = folder.path().join("graph.el");
    let edge = |i: u64| format!("{} {} {}\n", i * 31 % 23, i * i % 29, 1 + i % 5);
    fs::write(&graph, (0..60).map(edge).collect::<String>()).unwrap();
    compare_chains(&["--edges", text(&graph)], 20);
}

#[test]
fn doctor_shows_each_adapter_with_digests_limits_and_kernels() {
    let value = on_machine_json(&["doctor", "--json"]);
    let rows = value["backends"].as_array().unwrap();
    let of = |row: &Value| -> Vec<Value> {
        let jobs = row["self_test"].as_array().unwrap();
        jobs.iter().map(|job| job["digest"].clone()).collect()
    };
    let is_adapter = |row: &&Value| row["backend"].as_str().unwrap().starts_with("wgpu:");
    let adapters: Vec<&Value> = rows.iter().filter(is_adapter).collect();
    assert!(!adapters.is_empty(), "no adapter: install a Vulkan driver");
    for (index, row) in adapters.iter().enumerate() {
        assert_eq!(row["backend"], format!("wgpu:{index}"));
        let adapter = &row["adapter"];
        assert_eq!(adapter["index"], index);
        for word in ["name", "driver", "interface", "kind"] {
            assert!(!adapter[word].as_str().unwrap().is_empty(), "{word}");
        }
        assert!(adapter["limits"]["maxBufferSize"].as_u64().unwrap() >= 1 << 28);
        assert!(adapter["timestamps"].is_boolean());
        assert_eq!(row["state"], "ready", "{row:#}");
        assert_eq!(of(row), of(&rows[0]), "the CPU's digests");
        for kernel in row["kernels"].as_array().unwrap() {
            assert!(
                kernel["compile_seconds"].as_f64().unwrap() >= 0.0,
                "{kernel}"
            );
        }
        let names = row["kernels"].as_array().unwrap();
        for family in ["net", "focus.", "memory.", "hash."] {
            let has = |kernel: &Value| kernel["kernel"].as_str().unwrap().starts_with(family);
            assert!(names.iter().any(has), "{family}: {names:?}");
        }
    }
}

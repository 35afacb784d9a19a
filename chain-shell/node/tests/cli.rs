//! The verbs that need no node: shapes of what they print, and every bad input.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod command;

use std::fs;
use std::io::Write;

use command::{assert_fails, focus, json, run, run_with, stdout, text};
use serde_json::Value;

/// A call that calls itself for ever.
const ENDLESS: &str = "@main = r & @loop ~ (1 r) @loop = (a r) & @loop ~ (a r)";

#[test]
fn bad_nets_are_one_line_and_exit_code_1() {
    let deep = format!("@main = {}", "(".repeat(200_000));
    let nested = format!("@main = {}*{}", "(* ".repeat(200_000), ")".repeat(200_000));
    let cases: [(&str, &str, &[&str]); 10] = [
        ("@main = (a a", "line 1", &[]),
        ("@main = (a (a a))", "occurs 3", &[]),
        ("@main = (a *)", "occurs 1", &[]),
        ("@main = @nowhere", "undefined @nowhere", &[]),
        ("@other = *", "no definition @main", &[]),
        ("", "no definition @main", &[]),
        ("@main = * garbage \u{7f}", "line 1", &[]),
        (&deep, "", &[]),
        (ENDLESS, "raise --gas", &["--gas", "1000"]),
        (
            "@main = r & @f ~ (* r) @f = (a r) & @f ~ ((a *) r)",
            "raise --heap",
            &["--heap", "4096"],
        ),
    ];
    for (net, words, options) in cases {
        for threads in ["1", "2"] {
            let mut arguments = vec!["run", "-", "--threads", threads];
            arguments.extend(options);
            let output = run_with(&arguments, net.as_bytes());
            assert_fails(&output, 1, words);
        }
    }
    // Deep but well formed: an answer or a refusal, never a crash.
    let output = run_with(&["run", "-"], nested.as_bytes());
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    let output = run_with(&["run", "-"], b"@main = \xff");
    assert_fails(&output, 1, "UTF-8");
}

#[test]
fn a_huge_file_is_refused_before_it_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.hvm");
    fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    assert_fails(&run(&["run", text(&path)]), 1, "longer than");
}

#[cfg(unix)]
#[test]
fn an_interrupt_stops_a_reduction() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endless.hvm");
    fs::write(&path, ENDLESS).unwrap();
    let mut child = focus(&["run", text(&path), "--gas", "none"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The handler is in place once the thread that waits for signals is there.
    let tasks = format!("/proc/{}/task", child.id());
    let has_watcher = || {
        fs::read_dir(&tasks).unwrap().any(|task| {
            let name = fs::read_to_string(task.unwrap().path().join("comm"));
            name.is_ok_and(|name| name.trim() == "signals")
        })
    };
    while !has_watcher() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    std::thread::sleep(std::time::Duration::from_millis(200));
    let pid = child.id().to_string();
    let kill = std::process::Command::new("kill")
        .args(["-s", "INT", &pid])
        .status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_fails(&output, 1, "stopped after");
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let cases: [&[&str]; 19] = [
        &["run", "-", "--heap", "1073741825"],
        &["run", "-", "--threads", "1000000"],
        &[],
        &["nothing"],
        &["run"],
        &["run", "-", "--gas", "much"],
        &["run", "-", "--threads", "-1"],
        &["run", "-", "--backend", "gpu"],
        &["run", "-", "--oracle", "--backend", "cpu"],
        &["rank"],
        &["rank", "x", "--damping", "1.5"],
        &["rank", "x", "--eps", "tiny"],
        &["rank", "x", "--max-iters", "0"],
        &["rank", "x", "--max-iters", "1048577"],
        &["rank", "x", "--shards", "0"],
        &["rank", "x", "--shards", "5000"],
        &["rank", "x", "--format", "csv"],
        &["replay"],
        &["up", "--rpc", "70000"],
    ];
    for arguments in cases {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn absent_backends_say_so() {
    let graph = tempfile::Builder::new().suffix(".el").tempfile().unwrap();
    fs::write(graph.path(), "a b\n").unwrap();
    let nets = tempfile::Builder::new().suffix(".hvm").tempfile().unwrap();
    fs::write(nets.path(), "@main = *").unwrap();
    let refused = |backend: &str, words: &str| {
        let verbs: [&[&str]; 4] = [
            &["run", text(nets.path())],
            &["rank", text(graph.path())],
            &["up", "--rpc", "0", "--blocks", "0", "--data", "/nowhere/x"],
            &["replay", "--data", "/nowhere/x"],
        ];
        for verb in verbs {
            let mut command = focus(verb);
            command.args(["--backend", backend]);
            assert_fails(&command.output().unwrap(), 1, words);
        }
    };
    for (backend, words) in [
        ("wgpu", "no GPU adapter was found; install"),
        ("wgpu:1", "no GPU adapter was found; install"),
        // No driver, or one whose devices are hidden.
        ("cuda", "CUDA driver"),
        ("cuda:1", "CUDA driver"),
    ] {
        refused(backend, &format!("`{backend}` does not start: "));
        refused(backend, words);
    }
}

#[test]
fn auto_without_an_adapter_is_the_cpu_and_says_so() {
    let nets = tempfile::Builder::new().suffix(".hvm").tempfile().unwrap();
    fs::write(nets.path(), "@main = 7").unwrap();
    let mut command = focus(&["run", text(nets.path()), "--backend", "auto", "--json"]);
    let output = command.env("FOCUS_LOG", "info").output().unwrap();
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&value["result"], &value["backend"]),
        (&"7".into(), &"cpu".into())
    );
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("auto chose cpu: no GPU was found"), "{log}");
}

#[test]
fn run_prints_the_shape() {
    let net = b"@main = a & $([+2] a) ~ 40";
    for options in [&["--threads", "1"][..], &["--threads", "2"], &["--oracle"]] {
        let mut arguments = vec!["run", "-", "--json"];
        arguments.extend(options);
        let output = run_with(&arguments, net);
        assert!(output.status.success(), "{output:?}");
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["result"], "42");
        assert_eq!(value["interactions"], 2);
        assert_eq!(value["by_opcode"]["succ"], 1);
        assert_eq!(value["by_opcode"].as_object().unwrap().len(), 7);
        assert_eq!(value["digest"].as_str().unwrap().len(), 64);
        let native = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
        assert_eq!(value["jit"], native && options[0] != "--oracle");
        assert_eq!(value["jit_functions"], 0);
        for field in ["seconds", "backend", "device", "threads"] {
            assert!(value.get(field).is_some(), "{field}");
        }
    }
    let output = run_with(&["run", "-", "--gas", "none"], net);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.starts_with("Result: 42\n"), "{printed}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let mut child = focus(&["keygen", "--n", "100000"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn bad_graphs_are_one_line_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for i in 0..5000 {
        writeln!(encoder, "{i} {}", i * 7919 % 5003).unwrap();
    }
    let mut cut = encoder.finish().unwrap();
    cut.truncate(cut.len() / 2);
    let cases: [(&str, &[u8]); 9] = [
        ("cut.el.gz", &cut),
        ("garbage.sg", b"\x01\x02\x03"),
        (
            "counts.sg",
            &[
                0, 255, 255, 255, 255, 255, 255, 255, 127, 0, 0, 0, 0, 0, 0, 0, 0,
            ],
        ),
        (
            "header.mtx",
            b"%%MatrixMarket matrix array real general\n1 1\n1\n",
        ),
        ("negative.el", b"-1 2\n"),
        ("weight.el", b"1 2 -3\n"),
        ("overflow.el", b"1 2 99999999999999999999999\n"),
        ("one.el", b"1\n"),
        ("Cargo.lock", b"not = [toml\n"),
    ];
    for (name, bytes) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let output = run(&["rank", text(&path)]);
        assert_fails(&output, 1, name);
    }
    assert_fails(
        &run(&["rank", "/nowhere/at/all.el"]),
        1,
        "/nowhere/at/all.el",
    );
    assert_fails(
        &run(&["run", "/nowhere/at/all.hvm"]),
        1,
        "/nowhere/at/all.hvm",
    );
    assert_fails(&run(&["run", text(folder.path())]), 1, "directory");
    let empty = folder.path().join("empty.el");
    fs::write(&empty, "").unwrap();
    let output = run(&[
        "up",
        "--rpc",
        "0",
        "--edges",
        text(&empty),
        "--data",
        "/nowhere/x",
    ]);
    assert_fails(&output, 1, "empty.el");
    // What a program writes it writes as a whole or not at all.
    let graph = folder.path().join("fine.el");
    fs::write(&graph, "a b\r\n# comment\nb a 2\nb b\nb a\n").unwrap();
    let out = folder.path().join("no").join("such").join("out.tsv");
    assert_fails(
        &run(&["rank", text(&graph), "--out", text(&out)]),
        1,
        "out.tsv",
    );
}

#[test]
fn rank_gives_one_digest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.el");
    let mut graph = String::new();
    for i in 0..3000u64 {
        let (a, b) = (i * 2_654_435_761 % 701, i * i * 40_503 % 691);
        graph += &format!("{a} {b} {}\n", 1 + i % 13);
    }
    fs::write(&path, graph).unwrap();
    let mut digests = Vec::new();
    for threads in ["1", "2"] {
        for shards in ["1", "4", "16"] {
            let value = json(&[
                "rank",
                text(&path),
                "--json",
                "--threads",
                threads,
                "--shards",
                shards,
                "--top",
                "3",
            ]);
            assert_eq!(value["converged"], true);
            assert_eq!(value["top"].as_array().unwrap().len(), 3);
            for field in [
                "nodes",
                "edges",
                "iterations",
                "residual",
                "seconds",
                "backend",
                "device",
            ] {
                assert!(value.get(field).is_some(), "{field}");
            }
            digests.push(value["digest"].as_str().unwrap().to_owned());
        }
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "{digests:?}");
    let fixed = json(&[
        "rank",
        text(&path),
        "--json",
        "--eps",
        "0",
        "--max-iters",
        "5",
    ]);
    assert_eq!(
        (&fixed["iterations"], &fixed["converged"]),
        (&5.into(), &false.into())
    );
}

#[test]
fn rank_writes_all_masses() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("1.el"), folder.path().join("2.el"));
    fs::write(&one, "a b 1\nb c 2\n").unwrap();
    fs::write(&two, "c a 1\na b 2\n").unwrap();
    let both = folder.path().join("both.el");
    fs::write(&both, "a b 3\nb c 2\nc a 1\n").unwrap();
    let out = folder.path().join("pi.tsv");
    let merged = json(&[
        "rank",
        text(&one),
        text(&two),
        "--out",
        text(&out),
        "--json",
    ]);
    let single = json(&["rank", text(&both), "--json"]);
    assert_eq!(merged["digest"], single["digest"]);
    let mut sum = 0u64;
    let table = fs::read_to_string(&out).unwrap();
    for line in table.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        assert_eq!(columns.len(), 3, "{line}");
        sum += columns[2].parse::<u64>().unwrap();
    }
    assert_eq!((table.lines().count(), sum), (3, 1 << 62));
}

#[test]
fn weight_nets_weigh() {
    let folder = tempfile::tempdir().unwrap();
    let graph = folder.path().join("graph.el");
    fs::write(&graph, "a b 1\na c 5\nb a 1\nc a 1\n").unwrap();
    let digest = |net: &str| {
        let path = folder.path().join("weight.hvm");
        fs::write(&path, net).unwrap();
        json(&["rank", text(&graph), "--weight-net", text(&path), "--json"])
    };
    let plain = json(&["rank", text(&graph), "--json"]);
    let stake = digest("@weight = (stake (* (* stake)))");
    assert_eq!(stake["digest"], plain["digest"]);
    let one = digest("@weight = (* (* (* 1u32)))");
    assert_ne!(one["digest"], plain["digest"]);
    let none = digest("@weight = (* (* (* *)))");
    assert_eq!(none["edges"], 0);
    let path = folder.path().join("other.hvm");
    fs::write(&path, "@other = *").unwrap();
    let output = run(&["rank", text(&graph), "--weight-net", text(&path)]);
    assert_fails(&output, 1, "@weight");
}

#[test]
fn genesis_files_are_reproducible() {
    let folder = tempfile::tempdir().unwrap();
    let pair = json(&["keygen", "--n", "1", "--json"]);
    let address = pair[0]["address"].as_str().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, pair[0]["secret"].as_str().unwrap()).unwrap();
    let (one, two) = (folder.path().join("1.json"), folder.path().join("2.json"));
    let first = stdout(&[
        "genesis",
        "--out",
        text(&one),
        "--validator",
        address,
        "--shards",
        "2",
    ]);
    let second = stdout(&[
        "genesis",
        "--out",
        text(&two),
        "--key",
        text(&key),
        "--shards",
        "2",
    ]);
    assert_eq!(first, second);
    assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
    let output = run(&[
        "genesis",
        "--out",
        text(&one),
        "--validator",
        address,
        "--shards",
        "0",
    ]);
    assert_fails(&output, 1, "shards");
    let output = run(&[
        "genesis",
        "--out",
        text(&one),
        "--validator",
        address,
        "--chain-id",
        "",
    ]);
    assert_fails(&output, 1, "chain_id");
    assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
}

#[test]
fn doctor_without_a_device_says_what_to_install() {
    // Without a compiler of kernels either, whatever is installed.
    let doctor = |arguments: &[&str]| {
        let output = focus(arguments).env("FFCM_NVRTC", "/nowhere").output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let value: Value = serde_json::from_str(&doctor(&["doctor", "--json"])).unwrap();
    let rows = value["backends"].as_array().unwrap();
    let states: Vec<_> = rows
        .iter()
        .map(|row| (&row["backend"], &row["state"]))
        .collect();
    assert_eq!(
        states,
        [
            (&"cpu".into(), &"ready".into()),
            (&"wgpu".into(), &"absent".into()),
            (&"cuda".into(), &"absent".into()),
        ]
    );
    assert_eq!(rows[0]["self_test"].as_array().unwrap().len(), 4);
    assert_eq!(rows[0]["missing"], Value::Array(vec![]));
    let missing = |row: &Value| -> Vec<[String; 3]> {
        let of = |entry: &Value, key| entry[key as &str].as_str().unwrap().to_owned();
        let entries = row["missing"].as_array().unwrap().iter();
        entries
            .map(|entry| ["what", "detail", "hint"].map(|key| of(entry, key)))
            .collect()
    };
    let (webgpu, cuda) = (missing(&rows[1]), missing(&rows[2]));
    assert_eq!(webgpu[0][0], "driver");
    assert!(webgpu[0][2].contains("mesa-vulkan-drivers"), "{webgpu:?}");
    // A machine with the driver has its devices hidden from this test.
    assert!(["driver", "device"].contains(&&*cuda[0][0]), "{cuda:?}");
    assert!(cuda[0][2].contains("NVIDIA") || cuda[0][2].contains("nvidia-smi"));
    let [_, [what, detail, hint]] = &cuda[..] else {
        panic!("{cuda:?}");
    };
    assert_eq!(what, "compiler");
    assert!(detail.contains("come as PTX"), "{detail}");
    assert!(hint.contains("NVRTC"), "{hint}");

    let printed = doctor(&["doctor"]);
    let lines: Vec<&str> = printed
        .lines()
        .skip_while(|line| !line.is_empty())
        .collect();
    assert!(lines[1].starts_with("cpu    ready    "), "{printed}");
    assert!(
        lines[1].ends_with(" threads, self-test passed"),
        "{printed}"
    );
    for (line, job) in lines[2..6]
        .iter()
        .zip(["rewrite", "focus", "memory", "hash"])
    {
        assert!(
            line.starts_with(&format!("  self-test  {job:<8} ")),
            "{line}"
        );
        assert!(line.contains(" s, then "), "{line}");
    }
    let mut expected = Vec::new();
    for (row, missing) in [(&rows[1], webgpu), (&rows[2], cuda)] {
        let name = row["backend"].as_str().unwrap();
        expected.push(format!(
            "{name:<6} absent   {}",
            row["detail"].as_str().unwrap()
        ));
        let line =
            |[what, detail, hint]: [String; 3]| format!("  missing    {what}: {detail}; {hint}");
        expected.extend(missing.into_iter().map(line));
    }
    assert_eq!(lines[6..], expected);
}

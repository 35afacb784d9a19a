//! `focus bench`: the matrix with its JSON and page, comparisons, the CPU's table, and every bad input.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod command;

use std::fs;
use std::path::Path;

use command::{assert_fails, focus_with_adapters, json, run, run_with, stdout, text};
use serde_json::Value;

/// Whether every row has a figure and the verifier's word, and judges nothing.
fn assert_quick_rows(report: &Value) {
    assert_eq!(report["quick"], true);
    assert_eq!(report["judged"], 0, "{report:#}");
    let rows = report["rows"].as_array().unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        assert!(row["ours"]["value"].as_f64().unwrap() >= 0.0, "{row:#}");
        assert!(!row["checked"].as_str().unwrap().is_empty(), "{row:#}");
        let has_bar = row["bar"]["must"].is_f64() || row["bar"]["goal"].is_f64();
        let expected = if has_bar { "not_judged" } else { "open" };
        assert_eq!(row["verdict"], expected, "{row:#}");
    }
}

#[test]
fn every_part_is_measured_and_its_rows_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cpu.json");
    let table = stdout(&["bench", "cpu", "--quick", "--json", text(&file)]);
    assert!(table.contains("not measured at size"), "{table}");
    assert!(table.contains("bars met: 0 of 0"), "{table}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_quick_rows(&report);
    let rows = report["rows"].as_array().unwrap();
    for part in ffcm_suite::cpu::Work::ALL {
        let named = serde_json::to_value(part).unwrap();
        assert!(rows.iter().any(|row| row["work"] == named), "no {part}");
        assert!(table.contains(&format!("{part}: ")), "{table}");
    }
}

#[test]
fn parts_and_threads_are_chosen_and_json_replaces_the_table() {
    let words = ["bench", "cpu", "--quick", "--only", "hash,nets"];
    let report = json(&[&words[..], &["--threads", "1", "--json"]].concat());
    assert_quick_rows(&report);
    for row in report["rows"].as_array().unwrap() {
        assert!(row["work"] == "nets" || row["work"] == "hash", "{row:#}");
        assert_eq!(row["threads"], 1, "{row:#}");
    }
}

#[test]
fn wrong_usage_is_2_and_a_file_that_cannot_be_written_1() {
    let cases: [&[&str]; 16] = [
        &["bench", "gpu"],
        &["bench", "--suite", "everything"],
        &["bench", "--backend", "gpu"],
        &["bench", "--size", "0"],
        &["bench", "--size", "1e99"],
        &["bench", "--runs", "0"],
        &["bench", "--runs", "4"],
        &["bench", "--threads", "0"],
        &["bench", "--program", "fib"],
        &["bench", "--edges", "x.tsv", "--size", "10"],
        &["bench", "compare", "one.json"],
        &["bench", "history"],
        &["bench", "cpu", "--only", "everything"],
        &["bench", "cpu", "--threads", "0"],
        &["bench", "cpu", "--threads", "1025"],
        &["bench", "cpu", "--rounds", "0"],
    ];
    for arguments in cases {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    for (path, words) in [("/nowhere/now.json", "No such file"), ("/", "directory")] {
        for option in ["--json", "--html"] {
            let output = run(&["bench", "--quick", option, path]);
            assert_fails(&output, 1, words);
        }
    }
    let quick = ["bench", "cpu", "--quick", "--only", "hash"];
    let output = run(&[&quick[..], &["--json", "/nowhere/cpu.json"]].concat());
    assert_fails(&output, 1, "/nowhere/cpu.json");
}

/// Options that make any run a short one on the CPU.
const SHORT: [&str; 5] = ["--quick", "--runs", "5", "--threads", "1"];

fn bench(words: &[&str]) -> Vec<String> {
    let all = [&["bench"][..], words, &SHORT].concat();
    all.iter().map(|&word| word.to_owned()).collect()
}

fn bench_json(words: &[&str]) -> Value {
    let words = bench(&[words, &["--json"]].concat());
    // `--json` would take the word after it for a file.
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words.retain(|word| *word != "--json");
    words.push("--json");
    json(&words)
}

/// Names of an object's fields, sorted.
fn keys(value: &Value) -> Vec<&str> {
    let object = value.as_object().unwrap_or_else(|| panic!("{value:#}"));
    object.keys().map(String::as_str).collect()
}

#[test]
fn the_report_has_the_fields_of_its_schema_and_every_row_its_parity() {
    let report = bench_json(&["--backend", "cpu,all"]);
    assert_eq!(report["schema"], "focus-bench/1");
    assert_eq!(
        keys(&report),
        [
            "ceilings",
            "created_unix",
            "crossovers",
            "machine",
            "references",
            "rows",
            "schema",
            "settings",
        ]
    );
    let rows = report["rows"].as_array().unwrap();
    for row in rows {
        assert_eq!(
            keys(row),
            [
                "backend", "device", "figures", "input", "item", "items", "parity", "size",
                "state", "suite", "threads", "why", "workload",
            ]
        );
        if row["backend"] != "cpu" {
            // No device can be found here: a row that says so, and no number.
            assert_eq!(row["state"], "unavailable", "{row:#}");
            assert!(!row["why"].as_str().unwrap().is_empty() && row["figures"].is_null());
            continue;
        }
        assert_eq!(row["state"], "ok", "{row:#}");
        assert_eq!(row["parity"]["equal"], true, "{row:#}");
        assert_eq!(row["parity"]["against"], "oracle", "{row:#}");
        assert_eq!(
            keys(&row["figures"]),
            [
                "bytes",
                "bytes_per_second",
                "first",
                "of_atomics",
                "of_copy",
                "operation",
                "operations",
                "rate",
                "seconds",
                "transfers",
            ]
        );
        let seconds = &row["figures"]["seconds"];
        assert_eq!(seconds["samples"].as_array().unwrap().len(), 5);
        let at = |name: &str| seconds[name].as_f64().unwrap();
        assert!(at("min") <= at("median") && at("median") <= at("max"));
        assert_eq!(row["figures"]["transfers"]["told"], "none");
    }
    let of = |suite: &str, backend: &str| {
        let is_of = |row: &&Value| row["suite"] == suite && row["backend"] == backend;
        rows.iter().filter(is_of).count()
    };
    let expected = [
        ("nets", 2),
        ("focus", 1),
        ("memory", 1),
        ("hash", 3),
        ("rows", 1),
        ("operators", 7),
    ];
    for (suite, workloads) in expected {
        for backend in ["cpu", "wgpu", "cuda"] {
            assert_eq!(of(suite, backend), workloads, "{suite} on {backend}");
        }
    }
    assert_eq!(report["references"].as_array().unwrap().len(), 3);
    assert_eq!(report["references"][0]["measured_here"], false);
}

/// Checks that tags of a page are closed in the order in which they are opened.
fn assert_well_formed(page: &str) {
    const VOID: [&str; 2] = ["!DOCTYPE", "meta"];
    let mut open: Vec<&str> = Vec::new();
    let style = page.find("<style>").unwrap() + 1..page.find("</style>").unwrap();
    for (at, _) in page
        .match_indices('<')
        .filter(|(at, _)| !style.contains(at))
    {
        let tag = &page[at + 1..at + 1 + page[at + 1..].find('>').unwrap()];
        let name = tag
            .trim_start_matches('/')
            .split([' ', '/', '\n'])
            .next()
            .unwrap();
        if tag.starts_with('/') {
            assert_eq!(
                open.pop(),
                Some(name),
                "near {}",
                &page[at..page.len().min(at + 80)]
            );
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn the_page_needs_nothing_else_and_shows_what_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let (page, report) = (folder.path().join("a.html"), folder.path().join("a.json"));
    let words = [
        "bench",
        "--suite",
        "focus,memory",
        "--sizes",
        "200,2000",
        "--input",
        "grid,communities",
        "--backend",
        "cpu",
        "--threads",
        "1,2",
        "--runs",
        "5",
        "--quick",
    ];
    let files = ["--html", text(&page), "--json", text(&report)];
    let table = stdout(&[&words[..], &files].concat());
    for words in [
        "focus grid",
        "focus communities",
        "memory mixed",
        "cpu x2",
        "= oracle",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
    assert!(
        table.contains("not measured here") && table.contains("RTX 3060"),
        "{table}"
    );
    let page = fs::read_to_string(page).unwrap();
    assert_well_formed(&page);
    for part in [
        "Throughput",
        "Cost by size",
        "CPU by threads",
        "Roofline",
        "Spread",
        "Rows",
    ] {
        assert!(page.contains(&format!("<h2>{part}</h2>")), "{part}");
    }
    assert!(page.matches("<svg").count() > 8);
    for outside in ["<script", "src=", "href=", "url(", "@import", "NaN"] {
        assert!(!page.contains(outside), "{outside}");
    }
    // Equal inputs give equal digests; a report compares with itself.
    let found: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    let digests = |threads: u64| -> Vec<String> {
        let rows = found["rows"].as_array().unwrap().iter();
        let own = rows.filter(|row| row["threads"] == threads);
        own.map(|row| row["parity"]["digest"].to_string()).collect()
    };
    assert_eq!(digests(1).len(), 6);
    assert_eq!(digests(1), digests(2));
    let same = json(&[
        "bench",
        "compare",
        text(&report),
        text(&report),
        "--fail",
        "--json",
    ]);
    assert!(
        same["rows"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["verdict"] == "same")
    );
}

#[test]
fn files_and_programs_of_ones_own_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let (graph, net) = (folder.path().join("my.tsv"), folder.path().join("my.hvm"));
    fs::write(&graph, "a\tb\nb\tc\t3\nc\ta\n").unwrap();
    fs::write(&net, "@main = a & $([+2] a) ~ 40").unwrap();
    let report = bench_json(&["--edges", text(&graph), "--backend", "cpu"]);
    let row = &report["rows"][0];
    assert_eq!(
        (&row["workload"], &row["items"]),
        (&"my.tsv".into(), &3.into())
    );
    assert_eq!(row["parity"]["against"], "oracle");
    // Every format that is read, told from name and content.
    let matrix = "%%MatrixMarket matrix coordinate pattern general\n3 3 2\n1 2\n2 3\n";
    let package = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\"b\"]\n\n\
                   [[package]]\nname = \"b\"\nversion = \"2.0.0\"\n";
    let lock = format!("version = 4\n\n{package}");
    let debian = "Package: a\nVersion: 1\nDepends: b, c\n\nPackage: b\nVersion: 1\n\nPackage: c\nVersion: 1\n";
    let mut serialized = vec![0];
    // Undirected: 2 neighbours, 2 nodes; where rows end; who is in them.
    for number in [2i64, 2, 0, 1, 2] {
        serialized.extend(number.to_le_bytes());
    }
    for neighbour in [1i32, 0] {
        serialized.extend(neighbour.to_le_bytes());
    }
    let files: [(&str, &[u8], u64); 4] = [
        ("my.mtx", matrix.as_bytes(), 2),
        ("Cargo.lock", lock.as_bytes(), 1),
        ("Packages", debian.as_bytes(), 2),
        ("my.sg", &serialized, 2),
    ];
    let mut words = Vec::new();
    for (name, content, _) in files {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        words.extend(["--edges".to_owned(), text(&path).to_owned()]);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let report = bench_json(&[&words[..], &["--backend", "cpu"]].concat());
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), files.len());
    for (row, (name, _, edges)) in rows.iter().zip(files) {
        assert_eq!(
            (&row["workload"], &row["items"]),
            (&name.into(), &edges.into())
        );
        assert_eq!(
            (&row["state"], &row["parity"]["equal"]),
            (&"ok".into(), &true.into())
        );
    }
    let report = bench_json(&["run", text(&net), "--backend", "cpu"]);
    let row = &report["rows"][0];
    assert_eq!(
        (&row["suite"], &row["state"]),
        (&"nets".into(), &"ok".into())
    );
    assert_eq!(row["figures"]["operations"], row["items"]);
    assert_eq!(row["parity"]["against"], "oracle");
}

#[test]
fn what_cannot_be_measured_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let (none, empty) = (folder.path().join("no.tsv"), folder.path().join("empty.el"));
    fs::write(&none, "no graph at all, really\n\u{1}").unwrap();
    fs::write(&empty, "").unwrap();
    let refused = |words: &[&str], expected: &str| {
        let words = bench(words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_fails(&run(&words), 1, expected);
    };
    refused(
        &["--size", "1e12", "--suite", "focus", "--memory", "1e9"],
        "may be used",
    );
    refused(
        &["--size", "1e18", "--suite", "memory", "--memory", "1e9"],
        "bytes)",
    );
    refused(
        &["--size", "1e8", "--suite", "operators", "--memory", "1e9"],
        "operators bfs of size 100000000 needs about",
    );
    refused(
        &["--size", "1e11", "--suite", "nets", "--memory", "1e11"],
        "the most is",
    );
    refused(&["--edges", text(&none)], "no.tsv");
    refused(&["--edges", text(&empty)], "has no nodes");
    refused(&["--edges", "/nowhere/x.el"], "/nowhere/x.el");
    refused(&["run", text(&none)], "no.tsv: ");
    refused(&["run", "/nowhere/x.hvm"], "/nowhere/x.hvm");
    let endless = b"@main = r & @loop ~ (1 r) @loop = (a r) & @loop ~ (a r)";
    let words = bench(&["run", "-", "--gas", "1000", "--backend", "cpu"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_fails(&run_with(&words, endless), 1, "gas");
}

/// A report with one row for each (workload, samples).
fn report(path: &Path, commit: &str, created: u64, rows: &[(&str, [f64; 5], &str)]) {
    let row = |(workload, samples, digest): &(&str, [f64; 5], &str)| {
        let mut sorted = *samples;
        sorted.sort_by(f64::total_cmp);
        let median = sorted[2];
        let mut distances = samples.map(|sample| (sample - median).abs());
        distances.sort_by(f64::total_cmp);
        serde_json::json!({
            "suite": "focus", "workload": workload, "size": 10, "items": 10, "item": "edges",
            "input": "", "backend": "cpu", "device": "x", "threads": 1, "state": "ok", "why": null,
            "figures": {
                "operations": 10, "operation": "edges visited", "bytes": 1, "first": 1.0,
                "seconds": {
                    "min": sorted[0], "median": median, "max": sorted[4], "mad": distances[2],
                    "cpu": null, "samples": samples,
                },
                "rate": 1.0, "bytes_per_second": 1.0, "of_copy": null, "of_atomics": null,
                "transfers": {
                    "told": "none", "uploaded": 0, "read_back": 0, "upload_seconds": null,
                    "download_seconds": null, "compute_seconds": null,
                },
            },
            "parity": {
                "digest": digest, "against": "oracle", "expected": digest, "oracle_items": 10,
                "oracle_digest": digest, "oracle_expected": digest, "equal": true,
            },
        })
    };
    let report = serde_json::json!({
        "schema": "focus-bench/1", "created_unix": created,
        "machine": {
            "cpu": "a cpu", "cores": 2, "memory_mib": 1, "system": "linux", "commit": commit,
            "rustc": "1",
        },
        "settings": {
            "quick": false, "optimised": true, "runs": 5, "warmup": 1, "seed": 1, "input": "rmat",
            "sizes": [10], "threads": [1],
        },
        "ceilings": [], "rows": rows.iter().map(row).collect::<Vec<_>>(), "crossovers": [],
        "references": [],
    });
    fs::write(path, report.to_string()).unwrap();
}

#[test]
fn comparisons_tell_changes_from_noise_and_other_results() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (before, after) = (path("before.json"), path("after.json"));
    let steady = [1.0, 1.01, 0.99, 1.0, 1.0];
    let slower = steady.map(|sample| sample * 1.5);
    let wild = [1.0, 2.0, 0.5, 1.6, 0.7];
    report(
        &before,
        "aaa",
        2,
        &[
            ("slower", steady, "d"),
            ("faster", slower, "d"),
            ("wild", wild, "d"),
            ("same", steady, "d"),
            ("other", steady, "d"),
            ("gone", steady, "d"),
        ],
    );
    report(
        &after,
        "bbb",
        1,
        &[
            ("slower", slower, "d"),
            ("faster", steady, "d"),
            ("wild", wild.map(|s| s * 1.3), "d"),
            ("same", steady.map(|s| s * 1.02), "d"),
            ("other", steady, "e"),
            ("new", steady, "d"),
        ],
    );
    let words = ["bench", "compare", text(&before), text(&after)];
    let compared = json(&[&words[..], &["--json"]].concat());
    let verdicts: Vec<(&str, &str)> = compared["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["workload"].as_str().unwrap(),
                row["verdict"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        verdicts,
        [
            ("slower", "regression"),
            ("faster", "faster"),
            ("wild", "noise"),
            ("same", "same"),
            ("other", "result"),
            ("gone", "missing"),
            ("new", "missing"),
        ]
    );
    let table = stdout(&words);
    assert!(
        table.contains("REGRESSION") && table.contains("+50 %"),
        "{table}"
    );
    assert!(table.contains("within the noise"), "{table}");
    let output = run(&[&words[..], &["--fail"]].concat());
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let lenient = ["--fail", "--threshold", "80%"];
    let output = run(&[&words[..], &lenient].concat());
    assert_eq!(
        output.status.code(),
        Some(3),
        "another result is never lenient"
    );
    let back = ["bench", "compare", text(&before), text(&before), "--fail"];
    stdout(&back);

    let (history, page) = (
        ["bench", "history", text(&before), text(&after)],
        path("h.html"),
    );
    let lines = json(&[&history[..], &["--html", text(&page), "--json"]].concat());
    // By time, not by the order of the words.
    assert_eq!(lines["commits"], serde_json::json!(["bbb", "aaa"]));
    assert_eq!(lines["lines"].as_array().unwrap().len(), 7);
    assert_well_formed(&fs::read_to_string(page).unwrap());
    assert!(stdout(&history).contains("focus slower"));

    let (other, none) = (path("other.json"), path("none.json"));
    fs::write(&other, r#"{"schema":"focus-bench/2"}"#).unwrap();
    fs::write(&none, "[1, 2]").unwrap();
    assert_fails(
        &run(&["bench", "compare", text(&before), text(&other)]),
        1,
        "`focus-bench/2`",
    );
    #[cfg(unix)]
    assert_fails(&run(&["bench", "history", "/dev/zero"]), 1, "longer than");
    assert_fails(&run(&["bench", "history", text(&none)]), 1, "none.json");
    assert_fails(
        &run(&["bench", "compare", "/nowhere/a.json", text(&other)]),
        1,
        "/nowhere",
    );
}

#[test]
fn a_software_adapter_is_a_contender_with_transfers_where_there_is_one() {
    let words = bench(&["--suite", "memory,hash", "--backend", "cpu,all"]);
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words.push("--json");
    let output = focus_with_adapters(&words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for ceiling in report["ceilings"].as_array().unwrap() {
        let measured = !ceiling["copy"].is_null();
        assert_eq!(measured, ceiling["atomics"].is_f64(), "{ceiling:#}");
        assert_eq!(measured, ceiling["why"].is_null(), "{ceiling:#}");
    }
    for row in report["rows"].as_array().unwrap() {
        let backend = row["backend"].as_str().unwrap();
        if backend == "cpu" || row["state"] != "ok" {
            // What is not there says why; a wrong result would have been exit code 3.
            assert!(backend == "cpu" || row["state"] == "unavailable", "{row:#}");
            continue;
        }
        let transfers = &row["figures"]["transfers"];
        assert_eq!(transfers["told"], "timed", "{row:#}");
        assert_eq!(transfers["timed_runs"], 3, "{row:#}");
        for part in ["upload_seconds", "compute_seconds", "download_seconds"] {
            assert!(transfers[part].as_f64().unwrap() > 0.0, "{part}: {row:#}");
        }
        assert!(
            row["figures"]["transfers"]["read_back"].as_u64().unwrap() > 0,
            "{row:#}"
        );
        assert_eq!(row["parity"]["equal"], true);
    }
}

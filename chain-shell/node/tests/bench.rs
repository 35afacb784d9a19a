//! `focus bench cpu --quick`: the table, its JSON, and wrong usage.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod command;

use command::{assert_fails, json, run, stdout, text};
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
    let cases: [&[&str]; 6] = [
        &["bench"],
        &["bench", "gpu"],
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
    let quick = ["bench", "cpu", "--quick", "--only", "hash"];
    let output = run(&[&quick[..], &["--json", "/nowhere/cpu.json"]].concat());
    assert_fails(&output, 1, "/nowhere/cpu.json");
}

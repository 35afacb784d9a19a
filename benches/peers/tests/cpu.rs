//! `peers cpu --quick`: every part has rows, results of all engines are equal, and what is missing says so.

use std::process::{Command, Output};

use serde_json::Value;

fn peers(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_peers"))
        .args(arguments)
        .env("HVM_BIN", "/no/such/hvm")
        .output()
        .expect("the program starts")
}

#[test]
fn the_table_names_what_is_missing_and_judges_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cpu.json");
    let path = file.to_str().expect("a path in UTF-8");
    let output = peers(&["cpu", "--quick", "--json", path]);
    assert!(output.status.success(), "{output:?}");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.ends_with("bars met: 0 of 0\n"), "{table}");
    let text = std::fs::read_to_string(file).expect("the report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let rows = report["rows"].as_array().expect("rows");
    let find = |against: &str| -> Vec<&Value> {
        rows.iter()
            .filter(|row| row["against"] == against)
            .collect()
    };
    for rival in ["hvm2 run-c", "hvm2 gen-c", "IVM"] {
        let rows = find(rival);
        assert!(!rows.is_empty(), "{rival}");
        for row in rows {
            assert_eq!(row["verdict"], "unavailable", "{row:#}");
            assert!(row["because"].as_str().is_some_and(|why| why.len() > 20));
        }
    }
    // Part of this program, so always there: a row of time for each program, and one of memory.
    let timed = |row: &&Value| row["ours"]["unit"] == "seconds";
    let (times, memory): (Vec<&Value>, Vec<&Value>) = find("hvm2 run").into_iter().partition(timed);
    assert_eq!((times.len(), memory.len()), (6, 6));
    for row in times {
        assert_eq!(row["checked"], "equal results and counts", "{row:#}");
        assert_eq!(row["verdict"], "not_judged", "{row:#}");
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for arguments in [&["cpu", "--rounds", "0"][..], &["cpu", "--only", "x"]] {
        assert_eq!(peers(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

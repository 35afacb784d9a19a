//! `focus run --profile`: what it prints, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod command;

use std::fs;
use std::path::Path;

use command::{assert_fails, json, run, run_with, stdout, text};
use serde_json::{Value, json as value};

const NET: &str = "../../ffcm/golden/nets/sum_tree.hvm";

/// Compares with a file of `tests/golden`, or writes that where `UPDATE_GOLDEN` is set.
fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{}", path.display());
}

/// Without the line that says how long it took.
fn timeless(printed: &str) -> String {
    let lines = printed
        .lines()
        .filter(|line| !line.starts_with("- seconds "));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn tables_for_people() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(NET);
    let all = stdout(&["run", text(&path), "--profile", "--top", "none"]);
    golden("profile.txt", &timeless(&all));
    let few = stdout(&["run", text(&path), "--profile", "--top", "2"]);
    golden("profile_top.txt", &timeless(&few));
}

#[test]
fn one_json_object() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(NET);
    let mut found = json(&["run", text(&path), "--profile", "--top", "none", "--json"]);
    let object = found.as_object_mut().unwrap();
    assert!(object.remove("seconds").unwrap().is_f64());
    assert!(object.remove("device").unwrap().is_string());
    let number = |value: &Value| value.as_u64().unwrap();
    let sum = |rows: &Value| -> u64 {
        let rows = rows.as_array().unwrap();
        rows.iter().map(|row| number(&row["interactions"])).sum()
    };
    let total = number(&found["interactions"]);
    assert_eq!(sum(&found["definitions"]), total);
    assert_eq!(sum(&found["motifs"]), total);
    assert_eq!(
        (&found["version"], &found["backend"]),
        (&value!(1), &value!("cpu"))
    );
    // Nothing but the profile differs from a plain run.
    let plain = json(&["run", text(&path), "--json"]);
    for field in ["result", "digest", "interactions", "by_opcode"] {
        assert_eq!(found[field], plain[field], "{field}");
    }
    golden("profile.json", &format!("{found:#}\n"));
}

#[test]
fn bad_input_is_one_line() {
    let endless = b"@main = r & @loop ~ (1 r) @loop = (a r) & @loop ~ (a r)";
    let output = run_with(&["run", "-", "--profile", "--gas", "1000"], endless);
    assert_fails(&output, 1, "raise --gas");
    let growing = b"@main = r & @f ~ (* r) @f = (a r) & @f ~ ((a *) r)";
    let output = run_with(&["run", "-", "--profile", "--heap", "4096"], growing);
    assert_fails(&output, 1, "raise --heap");
    for wrong in [
        &["--profile", "--threads", "2"][..],
        &["--profile", "--backend", "cpu"],
        &["--profile", "--oracle"],
        &["--profile", "--top", "0"],
        &["--profile", "--top", "many"],
        &["--top", "5"],
    ] {
        let mut arguments = vec!["run", "-"];
        arguments.extend(wrong);
        assert_eq!(run(&arguments).status.code(), Some(2), "{wrong:?}");
    }
}

use serde_json::{Value, json};

use super::record::{Kind, RecordError};
use super::table::State;
use super::*;
use crate::tidy::tests::file;

fn digest(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// Two suites of today, a tree with a CPU, WebGPU and CUDA, and a README whose table is empty.
fn repository(records: &[(&str, Value)]) -> Vec<File> {
    let suites = format!("nets {} 3\nhash {} 1\n", digest('a'), digest('b'));
    let mut files = vec![
        file(
            "Cargo.toml",
            "[workspace]\nmembers = [\"ffcm\", \"wgsl\", \"cuda\"]\n",
        ),
        file("README.md", &format!("# F\n{BEGIN}{END}rest\n")),
        file(suites::PATH, &suites),
        file("cuda/src/kernels/a.cu", "// Adds.\n"),
    ];
    for (name, record) in records {
        let path = format!("{FOLDER}{name}/record.json");
        files.push(file(&path, &record.to_string()));
    }
    files
}

fn passed(digit: char, cases: u64) -> Value {
    json!({ "state": "passed", "digest": digest(digit), "cases": cases })
}

/// A software record of a day, with these rows.
fn software(day: u32, rows: Value) -> Value {
    json!({ "format": 1, "kind": "software", "commit": format!("{day:04x}"),
        "taken": format!("2026-01-{day:02}T00:00:00Z"), "machine": "a CPU, 2 cores", "rows": rows })
}

fn row(backend: &str, driver: &str, suites: Value) -> Value {
    json!({ "backend": backend, "driver": driver, "device": "soft 1.0", "suites": suites })
}

/// A card's record, as the recording script leaves it.
fn card(suites: Value) -> Value {
    let doctor = json!({ "backends": [
        { "backend": "cpu", "adapter": null },
        { "backend": "cuda:0", "adapter": { "name": "Card 9000", "kind": "GPU" } }] });
    let machine = json!({ "cpu": "Host CPU" });
    json!({ "format": 1,
        "facts": [["commit", "abc123"], ["taken", "2026-02-01T00:00:00Z"], ["system", "Linux 6.1 x86_64"]],
        "parts": [
            { "name": "doctor", "state": "ok", "data": doctor },
            { "name": "conformance-cuda", "state": "ok", "reason": null,
              "data": { "backend": "cuda:0", "device": "Card 9000 (sm_90)", "machine": machine, "suites": suites } },
            { "name": "conformance-wgpu", "state": "not-run", "reason": "no adapter was found", "data": null },
            { "name": "nets-cuda", "state": "ok", "data": {} }] })
}

fn card_suite(name: &str, digit: char, cases: u64) -> Value {
    json!({ "suite": name, "digest": digest(digit), "cases": cases, "error": null })
}

/// The words of a line, by backend and driver.
fn cells(files: &[File], backend: &str, driver: &str) -> Vec<String> {
    let matrix = matrix(files).unwrap();
    let line = matrix
        .lines
        .iter()
        .find(|line| line.backend == backend && line.driver == driver);
    let line = line.unwrap_or_else(|| panic!("no line {backend} on {driver}"));
    line.cells
        .iter()
        .map(|state| state.word().to_string())
        .collect()
}

#[test]
fn without_records_every_line_is_not_run() {
    let files = repository(&[]);
    let matrix = matrix(&files).unwrap();
    let lines: Vec<(&str, &str)> = matrix
        .lines
        .iter()
        .map(|line| (line.backend.as_str(), line.driver.as_str()))
        .collect();
    assert_eq!(
        lines,
        [
            ("oracle", CPU),
            ("cpu", CPU),
            ("wgpu", LAVAPIPE),
            ("wgpu", SWIFTSHADER),
            ("wgpu", HARDWARE),
            ("cuda", NVRTC),
            ("cuda", SHIM),
            ("cuda", HARDWARE),
        ]
    );
    let not_run = State::NotRun("no record".into());
    assert!(
        matrix
            .lines
            .iter()
            .flat_map(|line| &line.cells)
            .all(|state| *state == not_run)
    );
    assert!(!matrix.to_markdown().contains("pass"));
}

#[test]
fn cells_say_what_the_records_say() {
    let suites = json!({ "nets": passed('a', 3), "hash": { "state": "not-supported" } });
    let broken =
        json!({ "nets": passed('a', 3), "hash": { "state": "failed", "reason": "case 1" } });
    let compiled = json!({ "backend": "cuda", "driver": NVRTC, "device": "NVRTC 13",
        "compiled": kernels(&repository(&[])) });
    let none = json!({ "backend": "wgpu", "driver": SWIFTSHADER, "device": "none", "not_run": "none here" });
    let rows = json!([
        row("wgpu", LAVAPIPE, suites.clone()),
        row("cpu", CPU, broken),
        compiled,
        none,
        row("cubecl", LAVAPIPE, suites),
    ]);
    let files = repository(&[("software-1", software(1, rows))]);
    assert_eq!(cells(&files, "wgpu", LAVAPIPE), ["pass", "not supported"]);
    assert_eq!(cells(&files, "cpu", CPU), ["pass", "FAILED"]);
    assert_eq!(cells(&files, "cuda", NVRTC), ["compiles", "compiles"]);
    assert_eq!(cells(&files, "wgpu", SWIFTSHADER), ["NOT RUN", "NOT RUN"]);
    // Nobody has to have heard of a backend.
    assert_eq!(cells(&files, "cubecl", LAVAPIPE), ["pass", "not supported"]);
    assert_eq!(cells(&files, "cuda", HARDWARE), ["NOT RUN", "NOT RUN"]);
    let table = matrix(&files).unwrap().to_markdown();
    for line in [
        "| backend | driver | nets | hash | record, or why not |",
        "| wgpu | lavapipe | pass | not supported | software-1 |",
        "| wgpu | SwiftShader | NOT RUN | NOT RUN | none here |",
        "| cpu | CPU | pass | FAILED | hash: case 1; software-1 |",
        "| cuda | hardware | NOT RUN | NOT RUN | no record |",
    ] {
        assert!(table.lines().any(|found| found == line), "{line}\n{table}");
    }
    let json = matrix(&files).unwrap().to_json();
    let rows = json["rows"].as_array().unwrap();
    let cpu = rows.iter().find(|row| row["backend"] == "cpu").unwrap();
    assert_eq!(
        cpu["suites"]["hash"],
        json!({ "state": "FAILED", "reason": "hash: case 1" })
    );
    assert_eq!(json["suites"][0]["digest"], digest('a'));
}

#[test]
fn older_suites_and_kernels_are_stale_and_never_a_pass() {
    let old = json!({ "nets": passed('c', 3), "hash": passed('d', 1) });
    let compiled = json!({ "backend": "cuda", "driver": NVRTC, "device": "NVRTC 13", "compiled": digest('e') });
    let rows = json!([row("cpu", CPU, old), compiled]);
    let files = repository(&[("software-1", software(1, rows))]);
    assert_eq!(cells(&files, "cpu", CPU), ["stale", "stale"]);
    assert_eq!(cells(&files, "cuda", NVRTC), ["stale", "stale"]);
    assert!(
        matrix(&files)
            .unwrap()
            .to_markdown()
            .contains("changed since commit 0001")
    );
    // One character of a kernel is another kernel.
    let same = kernels(&files);
    let mut files = files;
    files
        .iter_mut()
        .find(|file| file.path.ends_with(".cu"))
        .unwrap()
        .bytes[3] ^= 1;
    assert_ne!(kernels(&files), same);
}

#[test]
fn a_digest_that_differs_within_a_record_of_today_is_a_failure() {
    let good = json!({ "nets": passed('a', 3), "hash": passed('b', 1) });
    let bad = json!({ "nets": passed('c', 3), "hash": passed('b', 2) });
    let rows = json!([row("cpu", CPU, good), row("wgpu", LAVAPIPE, bad)]);
    let files = repository(&[("software-1", software(1, rows))]);
    assert_eq!(cells(&files, "cpu", CPU), ["pass", "pass"]);
    assert_eq!(cells(&files, "wgpu", LAVAPIPE), ["FAILED", "FAILED"]);
}

#[test]
fn the_newest_record_that_says_something_counts() {
    let of = |day, suites: Value| software(day, json!([row("cpu", CPU, suites)]));
    let good = || json!({ "nets": passed('a', 3), "hash": passed('b', 1) });
    let bad = || json!({ "nets": { "state": "failed", "reason": "x" }, "hash": passed('b', 1) });
    let old = || json!({ "nets": passed('c', 3), "hash": passed('d', 1) });
    let not = |day| {
        let row =
            json!({ "backend": "cpu", "driver": CPU, "device": "none", "not_run": "no time" });
        software(day, json!([row]))
    };
    let after = |first, second| {
        let files = repository(&[("software-1", first), ("software-2", second)]);
        cells(&files, "cpu", CPU)
    };
    assert_eq!(after(of(1, bad()), of(2, good())), ["pass", "pass"]);
    assert_eq!(after(of(1, good()), of(2, bad())), ["FAILED", "pass"]);
    // Neither a device that was missing nor older suites unsay what ran.
    assert_eq!(after(of(1, good()), not(2)), ["pass", "pass"]);
    assert_eq!(after(of(1, good()), of(2, old())), ["pass", "pass"]);
    assert_eq!(after(of(2, bad()), of(1, good())), ["FAILED", "pass"]);
    // A suite that a record does not have was not run there.
    let part = json!({ "nets": passed('a', 3) });
    assert_eq!(after(not(1), of(2, part)), ["pass", "NOT RUN"]);
}

#[test]
fn a_card_has_a_line_of_its_own() {
    let suites = json!([card_suite("nets", 'a', 3), card_suite("hash", 'b', 1)]);
    let files = repository(&[("card-9000-abc123", card(suites))]);
    assert_eq!(cells(&files, "cuda", HARDWARE), ["pass", "pass"]);
    let found = matrix(&files).unwrap();
    let lines: Vec<_> = found
        .lines
        .iter()
        .filter(|line| line.driver == HARDWARE)
        .collect();
    assert_eq!(lines.len(), 2, "one of WebGPU, one of the card");
    assert_eq!(lines[1].device.as_deref(), Some("Card 9000 (sm_90)"));
    assert_eq!(cells(&files, "wgpu", HARDWARE), ["NOT RUN", "NOT RUN"]);
    let table = found.to_markdown();
    assert!(table.contains("no adapter was found"), "{table}");
    assert!(
        table.contains(": a card; Host CPU, Linux 6.1 x86\\_64"),
        "{table}"
    );
    let wrong = json!([{ "suite": "nets", "digest": null, "cases": 0, "error": "case 7 differs" },
        { "suite": "hash", "digest": null, "cases": 0, "error": "the backend does not support these jobs" }]);
    let files = repository(&[("card-1", card(wrong))]);
    assert_eq!(cells(&files, "cuda", HARDWARE), ["FAILED", "not supported"]);
}

#[test]
fn software_does_not_pass_for_a_card_nor_a_card_for_software() {
    let parse = |name: &str, record: &Value| Record::parse(name, record.to_string().as_bytes());
    let misplaced = |name: &str, record: &Value| {
        let found = parse(name, record);
        assert!(
            matches!(found, Err(RecordError::Misplaced(_))),
            "{name}: {found:?}"
        );
    };
    let good = card(json!([card_suite("nets", 'a', 3)]));
    assert_eq!(
        parse("card-1", &good).map(|record| record.kind),
        Ok(Kind::Card)
    );
    misplaced("software-1", &good);
    misplaced("card-1", &software(1, json!([])));
    let hardware = row("wgpu", HARDWARE, json!({}));
    misplaced("software-1", &software(1, json!([hardware])));
    for fact in [["drivers", "software"], ["inputs", "tiny"]] {
        let mut marked = good.clone();
        marked["facts"].as_array_mut().unwrap().push(json!(fact));
        misplaced("card-1", &marked);
    }
    let mut soft = good.clone();
    soft["parts"][0]["data"]["backends"][1]["adapter"]["kind"] = json!("CPU");
    misplaced("card-1", &soft);
    let mut unknown = good.clone();
    unknown["parts"][0]["state"] = json!("failed");
    unknown["parts"][0]["data"] = Value::Null;
    let found = parse("card-1", &unknown);
    assert!(
        matches!(&found, Err(RecordError::Shape(words)) if words.contains("doctor")),
        "{found:?}"
    );
}

#[test]
fn what_is_no_record_is_refused_with_its_reason() {
    let good = software(
        1,
        json!([row("cpu", CPU, json!({ "nets": passed('a', 3) }))]),
    );
    let parse = |record: &Value| Record::parse("software-1", record.to_string().as_bytes());
    assert!(parse(&good).is_ok());
    let changed = |pointer: &str, value: Value| {
        let mut record = good.clone();
        *record.pointer_mut(pointer).unwrap() = value;
        parse(&record).unwrap_err()
    };
    assert_eq!(changed("/format", json!(2)), RecordError::Format(2));
    for (pointer, value) in [
        ("/commit", json!("main")),
        ("/commit", json!("")),
        ("/taken", json!("<b>")),
        ("/machine", json!("a\nb")),
        ("/machine", json!("x".repeat(401))),
        ("/rows/0/backend", json!("a|b")),
        ("/rows/0/driver", json!("")),
        ("/rows/0/suites/nets/digest", json!("00ff")),
    ] {
        let error = changed(pointer, value);
        assert!(
            matches!(error, RecordError::Value { .. }),
            "{pointer}: {error}"
        );
    }
    for (pointer, value) in [
        ("/format", json!("1")),
        ("/rows", json!(7)),
        ("/rows/0/suites/nets/cases", json!(-1)),
        ("/rows/0/suites/nets/state", json!("green")),
        ("/kind", json!("hardware")),
    ] {
        let error = changed(pointer, value);
        assert!(matches!(error, RecordError::Shape(_)), "{pointer}: {error}");
    }
    let many = software(1, Value::Array(vec![row("cpu", CPU, json!({})); 65]));
    assert!(matches!(
        parse(&many),
        Err(RecordError::TooMany { count: 65, .. })
    ));
    let raw = |bytes: &[u8]| Record::parse("software-1", bytes).unwrap_err();
    assert!(matches!(raw(b"{"), RecordError::Shape(_)));
    assert!(
        matches!(raw(&[b'['; 100_000]), RecordError::Shape(_)),
        "depth"
    );
    assert_eq!(
        raw(&vec![b' '; (1 << 20) + 1]),
        RecordError::TooLarge((1 << 20) + 1)
    );
    let name = Record::parse("software-1\u{202e}", good.to_string().as_bytes());
    assert!(matches!(name, Err(RecordError::Value { .. })));
}

#[test]
fn the_check_finds_a_table_that_is_not_that_of_the_records() {
    let rows = json!([row("cpu", CPU, json!({ "nets": passed('a', 3) }))]);
    let mut files = repository(&[("software-1", software(1, rows))]);
    assert_eq!(check(&files).len(), 1, "the README has no table yet");
    let table = matrix(&files).unwrap().to_markdown();
    files[1] = file("README.md", &format!("# F\n{BEGIN}{table}{END}rest\n"));
    assert!(check(&files).is_empty());
    let edited = table.replacen("NOT RUN", "pass", 1);
    files[1] = file("README.md", &format!("# F\n{BEGIN}{edited}{END}rest\n"));
    assert!(check(&files)[0].contains("matrix --write"));
    files[1] = file("README.md", "# F\n");
    assert!(check(&files)[0].contains("no line"));
    // A record more is another table, a broken one a problem with its name, and so is a stray file.
    files[1] = file("README.md", &format!("# F\n{BEGIN}{table}{END}rest\n"));
    files.push(file("gpu-ci/records/software-2/record.json", "{}"));
    files.push(file("gpu-ci/records/notes.txt", ""));
    let problems = check(&files);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("gpu-ci/records/software-2/record.json: "));
    assert!(check(&[]).len() == 1);
}

#[test]
fn words_of_a_record_cannot_break_the_page() {
    let mut record = software(
        1,
        json!([row("cpu", CPU, json!({ "nets": passed('a', 3) }))]),
    );
    record["rows"][0]["device"] = json!("a | b <script> [x](y) `c`");
    record["machine"] = json!("| pass | <!-- -->");
    let table = matrix(&repository(&[("software-1", record)]))
        .unwrap()
        .to_markdown();
    assert!(
        !table.contains("<script>") && !table.contains("<!--"),
        "{table}"
    );
    assert!(
        table.contains("a \\| b &lt;script> \\[x\\](y) \\`c\\`"),
        "{table}"
    );
}

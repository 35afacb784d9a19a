//! The record as people read it.

use std::fmt::Write;

use serde_json::Value;

use super::tables::{Line, lines, list, unit};
use super::{Part, Record, State, digests};

/// The tables of figures: the name of their parts without the backend.
const SUITES: [&str; 11] = [
    "nets",
    "nets-persistent",
    "nets-local",
    "nets-large",
    "nets-large-persistent",
    "nets-large-local",
    "nets-large-both",
    "focus",
    "focus-large",
    "memory",
    "hash",
];

/// The whole page.
pub(super) fn page(record: &Record) -> String {
    let mut page = format!("# {}\n\n", title(record));
    for warning in warnings(record) {
        page.push_str(&format!("**{warning}**\n\n"));
    }
    let facts = record.facts.iter();
    let facts = facts.map(|(name, value)| vec![name.clone(), value.clone()]);
    table(&mut page, &["", ""], facts.chain(machine(record)));
    page.push_str("\n## Parts\n\n");
    let parts = record.parts.iter().map(|part| {
        let reason = part.reason.clone().unwrap_or_default();
        let seconds = match part.state {
            State::NotRun => String::new(),
            _ => format!("{} s", part.seconds),
        };
        vec![
            part.name.to_owned(),
            part.state.word().to_owned(),
            seconds,
            reason,
        ]
    });
    table(&mut page, &["part", "state", "time", "why"], parts);
    backends(&mut page, record);
    conformance(&mut page, record);
    page.push_str(
        "\n## Speed\n\nEvery result was held against the CPU's before its time counted.\n",
    );
    for suite in SUITES {
        speed(&mut page, record, suite);
    }
    rival(&mut page, record);
    page
}

fn find<'a>(record: &'a Record, name: &str) -> Option<&'a Part> {
    record.parts.iter().find(|part| part.name == name)
}

fn fact<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    let found = record.facts.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str())
}

/// Rows of the doctor.
fn tried(record: &Record) -> impl Iterator<Item = &Value> {
    let data = find(record, "doctor").and_then(|part| part.data.as_ref());
    list(data, "backends")
}

/// The device that the record is about: the first of CUDA that is ready, else of WebGPU.
fn device(record: &Record) -> Option<&Value> {
    let ready = |family: &'static str| {
        tried(record).find(move |row| {
            let name = row["backend"].as_str().unwrap_or("");
            name.starts_with(family) && row["state"] == "ready" && row["adapter"].is_object()
        })
    };
    ready("cuda").or_else(|| ready("wgpu"))
}

fn title(record: &Record) -> String {
    let name = device(record).and_then(|row| row["adapter"]["name"].as_str());
    let commit = fact(record, "commit").unwrap_or("of an unknown commit");
    format!("{}, {commit}", escaped(name.unwrap_or("No device")))
}

fn warnings(record: &Record) -> Vec<String> {
    let mut warnings = Vec::new();
    match device(record) {
        None => warnings.push("No device of this machine is ready.".to_owned()),
        Some(row) if row["adapter"]["kind"] == "CPU" => {
            warnings.push("The device is a software driver: this says nothing about a GPU.".into());
        }
        Some(_) => {}
    }
    if fact(record, "inputs") == Some("tiny") {
        warnings.push("Small inputs: the times say nothing.".into());
    }
    let conflict = |words: &String| format!("Different digests: {}.", escaped(words));
    warnings.extend(record.conflicts.iter().map(conflict));
    warnings
}

/// What the suites say about the machine around the device.
fn machine(record: &Record) -> Vec<Vec<String>> {
    let found = record.parts.iter().find_map(|part| {
        let machine = &part.data.as_ref()?["machine"];
        machine.is_object().then_some(machine)
    });
    let Some(machine) = found else {
        return Vec::new();
    };
    let cores = machine["cores"].as_u64().unwrap_or(0);
    let gib = machine["memory_mib"].as_f64().unwrap_or(0.0) / 1024.0;
    let cpu = machine["cpu"].as_str().unwrap_or("unknown");
    vec![vec![
        "host".into(),
        format!("{cpu}, {cores} cores, {gib:.1} GiB"),
    ]]
}

fn backends(page: &mut String, record: &Record) {
    page.push_str("\n## Backends\n\n");
    let row = |row: &Value| {
        let word = |key: &str| row[key].as_str().unwrap_or("").to_owned();
        let adapter = &row["adapter"];
        let limit = |(name, value): (&String, &Value)| format!("{name} {value}");
        let limits = adapter["limits"].as_object();
        let mut limits: Vec<String> = limits.into_iter().flatten().map(limit).collect();
        for name in ["capability", "compiler"] {
            let value = adapter[name].as_str();
            limits.extend(value.map(|value| format!("{name} {value}")));
        }
        let driver = adapter["driver"].as_str().unwrap_or("").to_owned();
        vec![
            word("backend"),
            word("state"),
            word("detail"),
            driver,
            limits.join(", "),
        ]
    };
    let heads = ["backend", "state", "", "driver", "limits"];
    table(page, &heads, tried(record).map(row));
    let mut kernels = Vec::new();
    for row in tried(record).filter(|row| row["state"] == "ready") {
        let backend = row["backend"].as_str().unwrap_or("");
        for unit in list(Some(row), "kernels") {
            for entry in list(Some(unit), "entries") {
                let number = |key: &str| entry[key].to_string();
                kernels.push(vec![
                    backend.to_owned(),
                    unit["kernel"].as_str().unwrap_or("").to_owned(),
                    entry["entry"].as_str().unwrap_or("").to_owned(),
                    number("registers"),
                    number("local_bytes"),
                    number("shared_bytes"),
                ]);
            }
        }
    }
    if !kernels.is_empty() {
        page.push_str("\nWhat kernels take of a multiprocessor:\n\n");
        let heads = [
            "backend",
            "unit",
            "kernel",
            "registers",
            "local B",
            "shared B",
        ];
        table(page, &heads, kernels);
    }
}

fn conformance(page: &mut String, record: &Record) {
    page.push_str("\n## Conformance\n\n");
    let digests = digests(&record.parts);
    if digests.is_empty() {
        page.push_str("No backend ran the suites.\n");
        return;
    }
    let backends = ["cpu", "cuda", "wgpu"];
    let rows = digests.into_iter().map(|(suite, found)| {
        let of = |backend: &&str| {
            let digest = found.iter().find(|(name, _)| name == backend);
            digest.map_or("NOT RUN".to_owned(), |(_, digest)| format!("`{digest}`"))
        };
        let cells = backends.iter().map(of);
        std::iter::once(suite.clone()).chain(cells).collect()
    });
    table(page, &["suite", "cpu", "cuda", "wgpu"], rows);
}

/// The figures of a suite on each backend.
fn speed(page: &mut String, record: &Record, suite: &str) {
    write!(page, "\n### {suite}\n\n").expect("a String takes everything");
    let base = suite.split('-').next().unwrap_or(suite);
    let mut rows = Vec::new();
    for backend in ["cpu", "cuda", "wgpu"] {
        let Some(part) = find(record, &format!("{suite}-{backend}")) else {
            continue;
        };
        match &part.data {
            Some(data) if part.state == State::Ok => {
                let shared = match (base, backend) {
                    ("nets", "cuda") => shared_memory(record),
                    _ => None,
                };
                let row = |mut line: Line| {
                    let of_shared = |(rate, all)| rate * 1e6 * NODE_BYTES / all;
                    line.share = line.share.or(line.mega_units.zip(shared).map(of_shared));
                    cells(backend, line)
                };
                rows.extend(lines(base, data).into_iter().map(row));
                rows.extend(shared.map(|all| {
                    let rate = format!("{:.1} GB/s", all / 1e9);
                    let what = "shared memory, an estimate".to_owned();
                    vec![backend.into(), what, String::new(), String::new(), rate]
                }));
                let copy = data["device"]["copy_bandwidth"].as_f64();
                rows.extend(copy.map(|copy| {
                    let rate = format!("{:.1} GB/s", copy / 1e9);
                    let what = "copy from buffer to buffer".to_owned();
                    vec![
                        backend.into(),
                        what,
                        String::new(),
                        String::new(),
                        rate,
                        String::new(),
                    ]
                }));
            }
            _ => {
                let reason = part.reason.as_deref().unwrap_or("");
                let words = format!("{}: {reason}", part.state.word());
                rows.push(vec![backend.to_owned(), words]);
            }
        }
    }
    let count = unit(base);
    let heads = ["backend", "workload", count, "best", "rate", "of ceiling"];
    table(page, &heads, rows);
}

/// π on CUDA beside f32 PageRank by cuSPARSE on the same graphs, in edges a second of one iteration.
fn rival(page: &mut String, record: &Record) {
    page.push_str("\n### π against cuSPARSE\n\nSpMV in f32 through CuPy, alone and in a whole iteration of PageRank; its scores were held against the exact π.\n\n");
    let rows = ["focus", "focus-large"].map(|suite| {
        let name = format!("cusparse-{suite}");
        let part = find(record, &name);
        let ours = find(record, &format!("{suite}-cuda"))
            .filter(|part| part.state == State::Ok)
            .and_then(|part| part.data.as_ref())
            .map(|data| lines("focus", data))
            .and_then(|lines| {
                lines
                    .iter()
                    .filter_map(|line| line.mega_units)
                    .reduce(f64::max)
            });
        match part.and_then(|part| Some((part, part.data.as_ref()?))) {
            Some((part, data)) if part.state == State::Ok => {
                let rate = |key: &str| Some(data["edges"].as_f64()? / data[key].as_f64()? / 1e6);
                let shown =
                    |rate: Option<f64>| rate.map_or(String::new(), |rate| format!("{rate:.0} M/s"));
                let spmv = rate("spmv_seconds");
                let ratio = ours
                    .zip(spmv)
                    .map_or(String::new(), |(ours, spmv)| format!("{:.2}", ours / spmv));
                let graph = format!("scale {}, {} edges", data["scale"], data["edges"]);
                vec![
                    graph,
                    shown(spmv),
                    shown(rate("iteration_seconds")),
                    shown(ours),
                    ratio,
                ]
            }
            part => {
                let part = part.map(|(part, _)| part).or_else(|| find(record, &name));
                let (state, why) = part.map_or((State::NotRun, ""), |part| {
                    (part.state, part.reason.as_deref().unwrap_or(""))
                });
                vec![name.clone(), format!("{}: {why}", state.word())]
            }
        }
    });
    let heads = [
        "graph",
        "SpMV",
        "iteration of PageRank",
        "exact π, best",
        "exact π ÷ SpMV",
    ];
    table(page, &heads, rows);
}

/// Bytes of the nodes of an interaction: two are read and two written, of 16 bytes each.
const NODE_BYTES: f64 = 64.0;

/// Bytes per second that the shared memory of a CUDA device gives at its highest clock: 128 bytes a cycle from each
/// multiprocessor.
fn shared_memory(record: &Record) -> Option<f64> {
    let row = device(record)?;
    let processors = row["adapter"]["limits"]["multiprocessors"].as_f64()?;
    // Name, driver and power come before the clock.
    let clock = fact(record, "nvidia-smi")?.split(", ").nth(3)?;
    let megahertz: f64 = clock.strip_suffix(" MHz")?.parse().ok()?;
    Some(processors * 128.0 * megahertz * 1e6)
}

fn cells(backend: &str, line: Line) -> Vec<String> {
    let best = line.best.map(crate::timing::seconds);
    let rate = line.mega_units.map(|mega| format!("{mega:.3} M/s"));
    let share = line.share.map(|share| format!("{:.1} %", share * 100.0));
    vec![
        backend.to_owned(),
        line.what,
        line.count
            .map(|count| count.to_string())
            .unwrap_or_default(),
        best.unwrap_or_default(),
        rate.unwrap_or_default(),
        share.unwrap_or_default(),
    ]
}

fn table(page: &mut String, heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut line = |cells: &[String]| {
        page.push('|');
        for at in 0..heads.len() {
            let cell = cells.get(at).map_or(String::new(), |cell| escaped(cell));
            page.push_str(&format!(" {cell} |"));
        }
        page.push('\n');
    };
    line(
        &heads
            .iter()
            .map(|head| (*head).to_owned())
            .collect::<Vec<_>>(),
    );
    line(&vec!["---".to_owned(); heads.len()]);
    rows.into_iter().for_each(|row| line(&row));
}

/// Text of a driver or an error as one harmless cell.
fn escaped(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('|', "\\|").replace('<', "&lt;")
}

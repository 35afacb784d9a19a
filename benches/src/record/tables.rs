//! Figures of the suites as rows, whichever backend they come from.

use serde_json::Value;

/// A workload's figures.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub what: String,
    pub count: Option<u64>,
    /// Seconds of the best run.
    pub best: Option<f64>,
    /// Millions of units a second.
    pub mega_units: Option<f64>,
    /// Part of the measured ceiling reached: the copy on a device, the triad on the CPU.
    pub share: Option<f64>,
}

/// The entries of a list, none where there is no such list.
pub(super) fn list<'a>(data: Option<&'a Value>, key: &str) -> impl Iterator<Item = &'a Value> {
    let entries = data.and_then(|data| data[key].as_array());
    entries.into_iter().flatten()
}

/// The unit of work of a suite.
pub(super) fn unit(suite: &str) -> &'static str {
    match suite {
        "nets" => "interactions",
        "focus" => "edge visits",
        "memory" => "operations",
        _ => "bytes or nonces",
    }
}

/// The rows of a suite's report. Those of a device have a `device`, those of the CPU each have their own shape.
pub(super) fn lines(suite: &str, data: &Value) -> Vec<Line> {
    if data["device"].is_object() {
        return list(Some(data), "rows").map(of_device).collect();
    }
    match suite {
        "nets" => list(Some(data), "programs").flat_map(of_program).collect(),
        "focus" => {
            let ours = |row: &&Value| row["kernel"] == "exact π";
            let of = |row| of_focus(data, row);
            list(Some(data), "rows").filter(ours).map(of).collect()
        }
        "memory" => {
            let of = |row: &Value| Line {
                what: with_threads(row["how"].as_str().unwrap_or("?"), row),
                count: data["operations"].as_u64(),
                best: row["batch"]["best"].as_f64(),
                mega_units: row["mega_operations"].as_f64(),
                share: row["of_floor"].as_f64(),
            };
            list(Some(data), "rows").map(of).collect()
        }
        _ => {
            let of = |row: &Value| Line {
                what: with_threads(row["what"].as_str().unwrap_or("?"), row),
                count: row["units"].as_u64(),
                best: row["run"]["best"].as_f64(),
                mega_units: row["mega_units"].as_f64(),
                share: None,
            };
            list(Some(data), "rows").map(of).collect()
        }
    }
}

fn of_device(row: &Value) -> Line {
    Line {
        what: row["what"].as_str().unwrap_or("?").to_owned(),
        count: row["units"].as_u64(),
        best: row["run"]["best"].as_f64(),
        mega_units: row["mega_units"].as_f64(),
        share: row["of_copy"].as_f64(),
    }
}

fn of_program(program: &Value) -> impl Iterator<Item = Line> {
    let mut name = program["name"].as_str().unwrap_or("?").to_owned();
    for size in list(Some(program), "sizes") {
        if let (Some(what), Some(value)) = (size[0].as_str(), size[1].as_u64()) {
            name.push_str(&format!(", {what} {value}"));
        }
    }
    list(Some(program), "rows").map(move |row| Line {
        what: with_threads(&name, row),
        count: program["interactions"].as_u64(),
        best: row["reduction"]["best"].as_f64(),
        mega_units: row["mega_interactions"].as_f64(),
        share: None,
    })
}

fn of_focus(data: &Value, row: &Value) -> Line {
    Line {
        what: with_threads("one iteration", row),
        count: data["arcs"].as_u64(),
        best: row["iteration"]["best"].as_f64(),
        mega_units: row["giga_arcs"].as_f64().map(|giga| giga * 1e3),
        share: row["of_floor"].as_f64(),
    }
}

fn with_threads(what: &str, row: &Value) -> String {
    match row["threads"].as_u64() {
        Some(1) => format!("{what}, 1 thread"),
        Some(threads) => format!("{what}, {threads} threads"),
        None => what.to_owned(),
    }
}

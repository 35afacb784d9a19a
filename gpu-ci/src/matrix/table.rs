//! The matrix: what the newest records say of every backend, driver and suite.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::record::{Cell, Kind, Outcome, Record};
use super::suites::{Suite, Suites};

/// What a cell says. Nothing but [`State::Pass`] is a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Equal to the oracle in every case of today's suite.
    Pass,
    /// The kernels as they are today compile; nothing ran.
    Compiles,
    /// The backend has no such jobs.
    NotSupported,
    /// Nothing ran, and why.
    NotRun(String),
    /// It differs or did not end.
    Failed(String),
    /// What was recorded is of older suites or kernels.
    Stale(String),
}

impl State {
    /// As the table shows it.
    pub fn word(&self) -> &'static str {
        match self {
            State::Pass => "pass",
            State::Compiles => "compiles",
            State::NotSupported => "not supported",
            State::NotRun(_) => "NOT RUN",
            State::Failed(_) => "FAILED",
            State::Stale(_) => "stale",
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            State::Pass | State::Compiles | State::NotSupported => None,
            State::NotRun(reason) | State::Failed(reason) | State::Stale(reason) => Some(reason),
        }
    }
}

/// A backend on a driver: one line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `cpu`, `wgpu`, `cuda` and so on.
    pub backend: String,
    /// `lavapipe`, `hardware` and so on.
    pub driver: String,
    /// Which hardware, where there is a record.
    pub device: Option<String>,
    /// In the order of the suites.
    pub cells: Vec<State>,
    /// Records that the cells are taken from.
    pub records: BTreeSet<String>,
}

/// The whole table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// Today's suites.
    pub suites: Suites,
    /// Backends and drivers.
    pub lines: Vec<Line>,
    /// Records with what they were made on.
    pub records: Vec<(String, Record)>,
}

/// What is compared with: the tree as it is.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Today's suites.
    pub suites: Suites,
    /// Lines that are there with and without records: backend and driver.
    pub expected: Vec<(&'static str, &'static str)>,
    /// Digest of the text of the kernels that are compiled and not run.
    pub kernels: String,
}

/// A row of a record, with where it is from.
struct Source<'a> {
    record: &'a str,
    of: &'a Record,
    outcome: &'a Outcome,
}

impl Matrix {
    /// Puts it together.
    pub fn of(tree: Tree, records: Vec<(String, Record)>) -> Matrix {
        let mut keys: Vec<(String, String, Option<String>)> = tree
            .expected
            .iter()
            .map(|(backend, driver)| (backend.to_string(), driver.to_string(), None))
            .collect();
        for (_, record) in &records {
            for row in &record.rows {
                let ran = !matches!(row.outcome, Outcome::NotRun(_));
                let device = (record.kind == Kind::Card && row.driver == super::HARDWARE && ran)
                    .then(|| row.device.clone());
                let key = (row.backend.clone(), row.driver.clone(), device);
                if !keys.contains(&key) {
                    let after = keys
                        .iter()
                        .rposition(|(backend, ..)| *backend == row.backend);
                    keys.insert(after.map_or(keys.len(), |at| at + 1), key);
                }
            }
        }
        // Some hardware stands for the line that says that there is none.
        let known = keys.clone();
        keys.retain(|(backend, driver, device)| {
            let other = |key: &&(String, String, Option<String>)| {
                key.0 == *backend && key.1 == *driver && key.2.is_some()
            };
            device.is_some() || !known.iter().any(|key| other(&key))
        });
        let lines = keys
            .into_iter()
            .map(|key| line(&tree, &records, key))
            .collect();
        Matrix {
            suites: tree.suites,
            lines,
            records,
        }
    }
}

fn line(
    tree: &Tree,
    records: &[(String, Record)],
    (backend, driver, device): (String, String, Option<String>),
) -> Line {
    let mut sources: Vec<Source<'_>> = Vec::new();
    for (name, record) in records {
        let rows = record.rows.iter().filter(|row| {
            row.backend == backend
                && row.driver == driver
                && device.as_ref().is_none_or(|device| row.device == *device)
        });
        sources.extend(rows.map(|row| Source {
            record: name,
            of: record,
            outcome: &row.outcome,
        }));
    }
    // The newest last.
    sources.sort_by(|a, b| (&a.of.taken, a.record).cmp(&(&b.of.taken, b.record)));
    let mut used = BTreeSet::new();
    let cells = tree.suites.iter().map(|suite| {
        let states = sources
            .iter()
            .map(|source| (source.record, state(tree, suite, source)));
        let (record, state) = choose(states.collect());
        used.extend(record.map(str::to_owned));
        state
    });
    Line {
        cells: cells.collect(),
        backend,
        driver,
        device,
        records: used,
    }
}

/// The newest that ran on today's suites; else the newest that ran; else the newest reason for not running.
fn choose(mut states: Vec<(&str, State)>) -> (Option<&str>, State) {
    let rank = |state: &State| match state {
        State::NotRun(_) => 0,
        State::Stale(_) => 1,
        _ => 2,
    };
    // A stable sort: the newest of each rank stays last.
    states.sort_by_key(|(_, state)| rank(state));
    match states.pop() {
        Some((record, state)) => (Some(record), state),
        None => (None, State::NotRun("no record".into())),
    }
}

fn state(tree: &Tree, suite: &Suite, source: &Source<'_>) -> State {
    let stale =
        |what: &str| State::Stale(format!("{what} changed since commit {}", source.of.commit));
    let suites = match source.outcome {
        Outcome::NotRun(reason) => return State::NotRun(reason.clone()),
        Outcome::Failed(reason) => return State::Failed(reason.clone()),
        Outcome::Compiled(kernels) if *kernels == tree.kernels => return State::Compiles,
        Outcome::Compiled(_) => return stale("the kernels"),
        Outcome::Suites(suites) => suites,
    };
    match suites.get(&suite.name) {
        None => State::NotRun("the record has no such suite".into()),
        Some(Cell::NotSupported) => State::NotSupported,
        Some(Cell::Failed { reason }) => State::Failed(format!("{}: {reason}", suite.name)),
        Some(Cell::Passed { digest, cases }) if *digest == suite.digest => {
            match *cases == suite.cases {
                true => State::Pass,
                false => State::Failed(format!("{}: {cases} cases", suite.name)),
            }
        }
        // A record of today's suites has another digest only where a result is wrong.
        Some(Cell::Passed { digest, .. }) if is_of_today(suite, source.of) => {
            State::Failed(format!("{}: digest {digest}", suite.name))
        }
        Some(Cell::Passed { .. }) => stale("the suites"),
    }
}

/// Whether some row of a record has today's digest of a suite.
fn is_of_today(suite: &Suite, record: &Record) -> bool {
    record.rows.iter().any(|row| match &row.outcome {
        Outcome::Suites(suites) => matches!(suites.get(&suite.name),
            Some(Cell::Passed { digest, .. }) if *digest == suite.digest),
        _ => false,
    })
}

impl Matrix {
    /// As Markdown: the table, the suites, the records.
    pub fn to_markdown(&self) -> String {
        let suites: Vec<&str> = self
            .suites
            .iter()
            .map(|suite| suite.name.as_str())
            .collect();
        let mut text = format!(
            "| backend | driver | {} | record, or why not |\n|---|---|{}---|\n",
            suites.join(" | "),
            "---|".repeat(suites.len())
        );
        for line in &self.lines {
            let driver = match &line.device {
                Some(device) => format!("{}: {device}", line.driver),
                None => line.driver.clone(),
            };
            let words: Vec<&str> = line.cells.iter().map(State::word).collect();
            text.push_str(&format!(
                "| {} | {} | {} | {} |\n",
                escaped(&line.backend),
                escaped(&driver),
                words.join(" | "),
                escaped(&line.why().join("; "))
            ));
        }
        text.push_str("\nSuites of today, with the beginning of their digests:");
        for suite in self.suites.iter() {
            let Suite {
                name,
                digest,
                cases,
            } = suite;
            text.push_str(&format!(" {name} `{}` ({cases} cases),", &digest[..16]));
        }
        text.pop();
        text.push_str(".\n");
        for (name, record) in &self.records {
            let kind = match record.kind {
                Kind::Software => "software drivers, which say nothing about a GPU",
                Kind::Card => "a card",
            };
            text.push_str(&format!(
                "\n* [`{name}`](gpu-ci/records/{name}/record.json), {}: {kind}; {}",
                record.taken.split('T').next().unwrap_or(""),
                escaped(&record.machine)
            ));
            let mut seen = BTreeSet::new();
            for row in &record.rows {
                let words = format!("{}: {}", row.driver, row.device);
                if !matches!(row.outcome, Outcome::NotRun(_)) && seen.insert(words.clone()) {
                    text.push_str(&format!("; {}", escaped(&words)));
                }
            }
        }
        if self.records.is_empty() {
            text.push_str("\nThere are no records.");
        }
        text.push('\n');
        text
    }

    /// As JSON for programs.
    pub fn to_json(&self) -> Value {
        let suites: Vec<Value> = self
            .suites
            .iter()
            .map(|s| json!({ "suite": s.name, "digest": s.digest, "cases": s.cases }))
            .collect();
        let lines: Vec<Value> = self.lines.iter().map(|line| self.line_json(line)).collect();
        json!({ "format": 1, "suites": suites, "rows": lines })
    }

    fn line_json(&self, line: &Line) -> Value {
        let cells: BTreeMap<&str, Value> = self
            .suites
            .iter()
            .zip(&line.cells)
            .map(|(suite, state)| {
                let cell = json!({ "state": state.word(), "reason": state.reason() });
                (suite.name.as_str(), cell)
            })
            .collect();
        json!({
            "backend": line.backend,
            "driver": line.driver,
            "device": line.device,
            "suites": cells,
            "records": line.records,
        })
    }
}

impl Line {
    /// Reasons, each once, then the records that the rest is from.
    fn why(&self) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        let mut record = false;
        for state in &self.cells {
            match state.reason() {
                Some(reason) if !words.iter().any(|known| known == reason) => {
                    words.push(reason.to_owned());
                }
                Some(_) => {}
                None => record = true,
            }
        }
        if record {
            words.extend(self.records.iter().cloned());
        }
        words
    }
}

/// Words of a driver, an error or a person as harmless text on one line of a table.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        match c {
            '|' | '[' | ']' | '`' | '*' | '_' | '\\' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            c => escaped.push(c),
        }
    }
    escaped
}

//! The CPU engines side by side: every row holds a figure of ours against a peer or a floor of the same run.
//!
//! The figures come from the suites, which check results first and take turns with what they are held against. A row says
//! what its verifier found, the ratio, and the bar where there is one. A missed bar is a word in the table, never a
//! failure; a wrong result is a failure, never a row. Rivals from other crates add their rows from outside.

mod focus;
mod graph;
mod hash;
mod incremental;
mod memory;
mod nets;
mod row;
mod signatures;
mod state;
mod weights;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::failure::Failure;
use crate::focus::Kernel;
use crate::machine::Machine;
use crate::options::{Options, Turns};
use crate::state::Contenders;
use crate::table::Table;
pub use row::{Bar, Figure, Reading, Row, Verdict};

/// The parts of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Interaction nets: six programs.
    Nets,
    /// π from scratch.
    Focus,
    /// π after a small change.
    Incremental,
    /// Graphs that change by batches of deltas.
    Graph,
    /// Memory Arithmetic.
    Memory,
    /// Weight nets.
    Weights,
    /// The state tree: root and durable commit.
    State,
    /// Batches of Ed25519 signatures.
    Signatures,
    /// BLAKE3, SHA-256 and the nonce search.
    Hash,
}

impl Work {
    /// All of them, in the order of the table.
    pub const ALL: [Work; 9] = [
        Work::Nets,
        Work::Focus,
        Work::Incremental,
        Work::Graph,
        Work::Memory,
        Work::Weights,
        Work::State,
        Work::Signatures,
        Work::Hash,
    ];
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Work::Nets => "nets",
            Work::Focus => "π",
            Work::Incremental => "incremental π",
            Work::Graph => "graph",
            Work::Memory => "memory",
            Work::Weights => "weights",
            Work::State => "state",
            Work::Signatures => "signatures",
            Work::Hash => "hash",
        })
    }
}

/// What to measure, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Plan {
    /// Sizes and rounds that check the results and say nothing about speed
    #[arg(long)]
    pub quick: bool,
    /// Timed runs of each contender, interleaved
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Thread counts; bars compare 1 and 2
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,2",
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub threads: Vec<usize>,
    /// Only these parts
    #[arg(long, value_name = "PART,…", value_delimiter = ',')]
    pub only: Vec<Work>,
    /// Folder on the disk to measure commits on; a sub-folder is made and removed again
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
}

impl Plan {
    /// The parts asked for, in the order of the table.
    pub fn parts(&self) -> impl Iterator<Item = Work> + '_ {
        let asked = |work: &Work| self.only.is_empty() || self.only.contains(work);
        Work::ALL.into_iter().filter(asked)
    }

    fn turns(&self) -> Turns {
        Turns::new(self.rounds, &self.threads)
    }

    fn rounds(&self) -> usize {
        self.turns().rounds(&self.options())
    }

    fn options(&self) -> Options {
        Options::silent(self.quick)
    }

    /// The thread counts that are held against the first, with whether that is 2 against 1.
    fn more_threads(&self) -> impl Iterator<Item = (usize, usize, bool)> + '_ {
        let first = self.threads.first().copied().unwrap_or(1);
        let others = self.threads.iter().skip(1);
        others.map(move |&threads| (first, threads, (first, threads) == (1, 2)))
    }
}

/// Measures one part with nothing but this repository's code.
pub fn rows(work: Work, plan: &Plan) -> Result<Vec<Row>, Failure> {
    match work {
        Work::Nets => nets::rows(plan),
        Work::Focus => focus_rows(plan, |_| Vec::new()),
        Work::Incremental => incremental::rows(plan),
        Work::Graph => graph::rows(plan),
        Work::Memory => memory::rows(plan),
        Work::Weights => weights::rows(plan),
        Work::State => state_rows(plan, |_| Ok(Vec::new())),
        Work::Signatures => signatures::rows(plan),
        Work::Hash => hash::rows(plan),
    }
}

/// Measures π with further kernels, made from the arcs: see [`crate::focus::run`].
pub fn focus_rows(
    plan: &Plan,
    rivals: impl FnOnce(Vec<(u32, u32)>) -> Vec<Box<dyn Kernel>>,
) -> Result<Vec<Row>, Failure> {
    focus::rows(plan, rivals)
}

/// Measures the state tree with further contenders: see [`crate::state::run`].
pub fn state_rows(
    plan: &Plan,
    rivals: impl FnOnce(&Path) -> Result<Contenders, Failure>,
) -> Result<Vec<Row>, Failure> {
    state::rows(plan, rivals)
}

/// The table, ready to be shown.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What it was measured on.
    pub machine: Machine,
    /// Whether sizes were too small for bars.
    pub quick: bool,
    /// Timed runs of each contender.
    pub rounds: u32,
    /// Bars reached, goals not counted.
    pub met: usize,
    /// Bars judged.
    pub judged: usize,
    /// Its lines.
    pub rows: Vec<Row>,
}

impl Report {
    /// Judges the rows of a run.
    pub fn of(plan: &Plan, rows: Vec<Row>) -> Report {
        let machine = Machine::here();
        let unjudged = |row: &Row| {
            if plan.quick {
                Some("not measured at size".to_owned())
            } else if cfg!(debug_assertions) {
                Some("built without optimisation".to_owned())
            } else if row.threads > machine.cores {
                Some(format!("{} cores only", machine.cores))
            } else {
                None
            }
        };
        let judge = |row: Row| {
            let unjudged = unjudged(&row);
            row.judged(unjudged.as_deref())
        };
        let rows: Vec<Row> = rows.into_iter().map(judge).collect();
        let has_bar = |row: &&Row| row.bar.must.is_some();
        let count = |verdicts: &[Verdict]| {
            let with_bar = rows.iter().filter(has_bar);
            with_bar
                .filter(|row| verdicts.contains(&row.verdict))
                .count()
        };
        let met = count(&[Verdict::Met, Verdict::Goal]);
        Report {
            quick: plan.quick,
            rounds: plan.rounds,
            met,
            judged: met + count(&[Verdict::Missed]),
            machine,
            rows,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new([
            "work", "threads", "ours", "rate", "against", "theirs", "ratio", "bar", "verdict",
            "checked",
        ])
        .left(&[0, 4, 7, 8, 9]);
        for row in &self.rows {
            table.row(row.cells());
        }
        writeln!(f, "{}\n{table}", self.machine)?;
        writeln!(f, "bars met: {} of {}", self.met, self.judged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            quick: true,
            rounds: 1,
            threads: vec![1, 2],
            only: vec![],
            folder: std::env::temp_dir(),
        }
    }

    #[test]
    fn every_part_gives_checked_rows() {
        let plan = plan();
        for work in plan.parts() {
            let rows = rows(work, &plan).unwrap_or_else(|error| panic!("{work}: {error}"));
            assert!(!rows.is_empty(), "{work}");
            for row in &rows {
                assert_eq!(row.work, work);
                assert!(!row.checked.is_empty(), "{row:?}");
                assert!(row.ours.is_some(), "{row:?}");
                assert!(row.ratio.is_none_or(f64::is_finite), "{row:?}");
            }
            let report = Report::of(&plan, rows);
            assert_eq!(report.judged, 0, "a quick run judges nothing");
            assert!(report.to_string().contains("bars met: 0 of 0"));
        }
    }

    #[test]
    fn bars_are_counted_where_they_may_be_judged() {
        let row = |ours, must: Option<f64>| {
            Row::new(Work::Nets, "x", 1, Figure::Seconds(ours), "equal results")
                .against("y", Figure::Seconds(1.0), Reading::Cost)
                .bar(must, None)
        };
        let rows = vec![row(0.5, Some(0.7)), row(0.9, Some(0.7)), row(0.9, None)];
        let quick = Report::of(&plan(), rows.clone());
        assert_eq!((quick.met, quick.judged), (0, 0));
        let rows = rows.into_iter().map(|row| row.judged(None));
        let met = rows.filter(|row| row.verdict == Verdict::Met).count();
        assert_eq!(met, 1);
    }

    #[test]
    fn parts_are_chosen() {
        let only = Plan {
            only: vec![Work::Hash, Work::Nets],
            ..plan()
        };
        assert_eq!(only.parts().collect::<Vec<_>>(), [Work::Nets, Work::Hash]);
        assert_eq!(plan().parts().count(), Work::ALL.len());
    }
}

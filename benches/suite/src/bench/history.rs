//! Many reports of one machine, one column each.

use std::fmt;

use serde::Serialize;

use super::compare::signed;
use super::schema::Report;
use crate::failure::Failure;
use crate::table::Table;
use crate::timing::seconds;

/// A row over time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Suite.
    pub suite: String,
    /// Workload within it.
    pub workload: String,
    /// Size asked for.
    pub size: u64,
    /// Backend and threads.
    pub contender: String,
    /// Median seconds in each report; none where it was not measured.
    pub medians: Vec<Option<f64>>,
    /// MAD in each report, in seconds.
    pub mads: Vec<Option<f64>>,
    /// Last over first, less one.
    pub change: Option<f64>,
}

/// Reports in the order in which they were made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct History {
    /// Format of this history.
    pub schema: &'static str,
    /// The machine, as its reports name it.
    pub cpu: String,
    /// Commit of each report.
    pub commits: Vec<String>,
    /// When each was made, in seconds since 1970.
    pub created_unix: Vec<u64>,
    /// Every row that any of them has.
    pub lines: Vec<Line>,
}

impl History {
    /// Sorts the reports by time and joins their rows. All have to come from one machine: times of two do not make a
    /// history.
    pub fn of(mut reports: Vec<Report>) -> Result<History, Failure> {
        reports.sort_by_key(|report| report.created_unix);
        let Some(first) = reports.first() else {
            return Err(Failure::failed("no report is given"));
        };
        let machine = |report: &Report| (report.machine.cpu.clone(), report.machine.cores);
        if let Some(other) = reports
            .iter()
            .find(|other| machine(other) != machine(first))
        {
            return Err(Failure::failed(format!(
                "the reports are of two machines: {}, {} cores, and {}, {} cores",
                first.machine.cpu, first.machine.cores, other.machine.cpu, other.machine.cores
            )));
        }
        let mut lines: Vec<Line> = Vec::new();
        for (at, report) in reports.iter().enumerate() {
            for row in &report.rows {
                let contender = row.contender();
                let is_same = |line: &Line| {
                    (&line.suite, &line.workload, line.size)
                        == (&row.suite, &row.workload, row.size)
                        && line.contender == contender
                };
                let found = match lines.iter().position(is_same) {
                    Some(found) => found,
                    None => {
                        lines.push(Line {
                            suite: row.suite.clone(),
                            workload: row.workload.clone(),
                            size: row.size,
                            contender: contender.clone(),
                            medians: vec![None; reports.len()],
                            mads: vec![None; reports.len()],
                            change: None,
                        });
                        lines.len() - 1
                    }
                };
                lines[found].medians[at] = row.median();
                let figures = row.figures.as_ref();
                lines[found].mads[at] = figures.map(|figures| figures.seconds.mad);
            }
        }
        for line in &mut lines {
            let mut known = line.medians.iter().flatten();
            let first = known.next();
            line.change = first
                .zip(known.last())
                .map(|(first, last)| last / first - 1.0);
        }
        Ok(History {
            schema: "focus-bench-history/1",
            cpu: first.machine.cpu.clone(),
            commits: reports.iter().map(|r| r.machine.commit.clone()).collect(),
            created_unix: reports.iter().map(|r| r.created_unix).collect(),
            lines,
        })
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.cpu)?;
        let heads = ["work", "size", "backend"].map(str::to_owned).into_iter();
        let commits = self.commits.iter().cloned();
        let heads = heads.chain(commits).chain(["change".to_owned()]);
        let mut table = Table::new(heads).left(&[0, 2]);
        for line in &self.lines {
            let mut cells = vec![
                format!("{} {}", line.suite, line.workload),
                line.size.to_string(),
                line.contender.clone(),
            ];
            let none = || "-".to_owned();
            cells.extend(line.medians.iter().map(|m| m.map_or_else(none, seconds)));
            cells.push(line.change.map_or_else(none, signed));
            table.row(cells);
        }
        write!(f, "{table}")
    }
}

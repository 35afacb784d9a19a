//! Two reports against each other: a verdict for each row, with the noise that it was judged by.

use std::fmt;

use serde::Serialize;

use super::schema::{Report, Row, State};
use super::text::percent;
use crate::table::Table;
use crate::timing::seconds;

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Slower by more than the threshold and more than the noise.
    Regression,
    /// Faster by more than both.
    Faster,
    /// Less than the threshold.
    Same,
    /// More than the threshold, but no more than the noise of the two.
    Noise,
    /// Another result: one of the two is wrong, or the definition has changed.
    Result,
    /// Not measured in one of the two.
    Missing,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Regression => "REGRESSION",
            Verdict::Faster => "faster",
            Verdict::Same => "same",
            Verdict::Noise => "noise",
            Verdict::Result => "OTHER RESULT",
            Verdict::Missing => "missing",
        })
    }
}

/// A row of both reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Suite.
    pub suite: String,
    /// Workload within it.
    pub workload: String,
    /// Size asked for.
    pub size: u64,
    /// Backend and threads.
    pub contender: String,
    /// Median seconds before.
    pub before: Option<f64>,
    /// Median seconds after.
    pub after: Option<f64>,
    /// after / before - 1.
    pub change: Option<f64>,
    /// Three standard deviations of the difference, by the MAD of both, as a share of `before`.
    pub noise: Option<f64>,
    /// The judgement.
    pub verdict: Verdict,
    /// Why it is `missing`, or which digests differ.
    pub why: Option<String>,
}

/// Two reports compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Format of this comparison.
    pub schema: &'static str,
    /// Commit of the first.
    pub before: String,
    /// Commit of the second.
    pub after: String,
    /// Whether both come from machines that look the same.
    pub same_machine: bool,
    /// Change above which a row is judged.
    pub threshold: f64,
    /// Rows of the first in its order, then those of the second alone.
    pub rows: Vec<Change>,
}

/// How many standard deviations a change has to exceed.
const SIGMAS: f64 = 3.0;

impl Comparison {
    /// Compares row by row: suite, workload, size, backend and threads are the same.
    pub fn of(before: &Report, after: &Report, threshold: f64) -> Comparison {
        let key = |row: &Row| {
            let named = (row.suite.clone(), row.workload.clone(), row.size);
            (named, row.contender())
        };
        let find = |rows: &[Row], wanted: &Row| {
            let same = rows.iter().find(|row| key(row) == key(wanted));
            same.cloned()
        };
        let both = before.rows.iter().map(|row| {
            let other = find(&after.rows, row);
            change(row, Some(row), other.as_ref(), threshold)
        });
        let alone = after.rows.iter();
        let alone = alone.filter(|row| find(&before.rows, row).is_none());
        let alone = alone.map(|row| change(row, None, Some(row), threshold));
        let rows = both.chain(alone).collect();
        let machine = |report: &Report| {
            let machine = &report.machine;
            (
                machine.cpu.clone(),
                machine.cores,
                machine.memory_mib,
                machine.system.clone(),
            )
        };
        Comparison {
            schema: "focus-bench-comparison/1",
            before: before.machine.commit.clone(),
            after: after.machine.commit.clone(),
            same_machine: machine(before) == machine(after),
            threshold,
            rows,
        }
    }

    /// Rows with a verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        let with = self.rows.iter().filter(|row| row.verdict == verdict);
        with.count()
    }

    /// Whether something got slower or gives another result.
    pub fn is_worse(&self) -> bool {
        self.count(Verdict::Regression) + self.count(Verdict::Result) > 0
    }
}

fn change(named: &Row, before: Option<&Row>, after: Option<&Row>, threshold: f64) -> Change {
    let median = |row: Option<&Row>| row.and_then(Row::median);
    let seconds = (median(before), median(after));
    let ratio = match seconds {
        (Some(before), Some(after)) => Some(after / before.max(1e-9) - 1.0),
        _ => None,
    };
    let noise = noise(before, after);
    let digest = |row: Option<&Row>| Some(row?.parity.as_ref()?.digest.clone());
    let digests = digest(before).zip(digest(after));
    let differ = digests.filter(|(before, after)| before != after);
    let why = |row: Option<&Row>, which: &str| match row {
        None => Some(format!("not in the {which}")),
        Some(row) if row.state != State::Ok => {
            let why = row.why.as_deref().unwrap_or("no reason");
            Some(format!("in the {which}: {}: {why}", row.state))
        }
        Some(_) => None,
    };
    let (verdict, why) = match (differ, ratio, noise) {
        (Some((before, after)), _, _) => {
            let short = |digest: &str| digest.chars().take(12).collect::<String>();
            let words = format!("{} became {}", short(&before), short(&after));
            (Verdict::Result, Some(words))
        }
        (None, Some(ratio), Some(noise)) => (judge(ratio, noise, threshold), None),
        _ => {
            let why = why(before, "first").or_else(|| why(after, "second"));
            (Verdict::Missing, why)
        }
    };
    Change {
        suite: named.suite.clone(),
        workload: named.workload.clone(),
        size: named.size,
        contender: named.contender(),
        before: seconds.0,
        after: seconds.1,
        change: ratio,
        noise,
        verdict,
        why,
    }
}

/// [`SIGMAS`] standard deviations of the difference of two runs, as a share of the first's median.
fn noise(before: Option<&Row>, after: Option<&Row>) -> Option<f64> {
    let before = &before?.figures.as_ref()?.seconds;
    let after = &after?.figures.as_ref()?.seconds;
    let scale = after.median / before.median.max(1e-9);
    Some(SIGMAS * before.sigma().hypot(after.sigma() * scale))
}

fn judge(change: f64, noise: f64, threshold: f64) -> Verdict {
    match change.abs() {
        size if size <= threshold => Verdict::Same,
        size if size <= noise => Verdict::Noise,
        _ if change > 0.0 => Verdict::Regression,
        _ => Verdict::Faster,
    }
}

/// A change with its sign.
pub fn signed(change: f64) -> String {
    let sign = if change >= 0.0 { "+" } else { "" };
    format!("{sign}{}", percent(change))
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} against {}, threshold {}",
            self.after,
            self.before,
            percent(self.threshold)
        )?;
        if !self.same_machine {
            writeln!(f, "the machines differ: changes are not the code's alone")?;
        }
        let mut table = Table::new([
            "work", "size", "backend", "before", "after", "change", "noise", "verdict", "",
        ])
        .left(&[0, 2, 7, 8]);
        let shown = |value: Option<f64>, show: fn(f64) -> String| {
            value.map_or_else(|| "-".to_owned(), show)
        };
        for row in &self.rows {
            table.row([
                format!("{} {}", row.suite, row.workload),
                row.size.to_string(),
                row.contender.clone(),
                shown(row.before, seconds),
                shown(row.after, seconds),
                shown(row.change, signed),
                shown(row.noise, |noise| format!("± {}", percent(noise))),
                row.verdict.to_string(),
                row.why.clone().unwrap_or_default(),
            ]);
        }
        write!(f, "\n{table}\n")?;
        let counts = [
            (Verdict::Regression, "regressions"),
            (Verdict::Result, "other results"),
            (Verdict::Faster, "faster"),
            (Verdict::Same, "same"),
            (Verdict::Noise, "within the noise"),
            (Verdict::Missing, "missing"),
        ];
        let words = counts.map(|(verdict, words)| format!("{} {words}", self.count(verdict)));
        writeln!(f, "{}", words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_judged_by_threshold_and_noise() {
        assert_eq!(judge(0.04, 0.0, 0.05), Verdict::Same);
        assert_eq!(judge(0.2, 0.3, 0.05), Verdict::Noise);
        assert_eq!(judge(0.2, 0.1, 0.05), Verdict::Regression);
        assert_eq!(judge(-0.2, 0.1, 0.05), Verdict::Faster);
        assert_eq!(signed(0.2), "+20 %");
        assert_eq!(signed(-0.031), "-3.1 %");
    }
}

//! `focus bench compare` and `focus bench history`: reports against each other.

use std::path::PathBuf;

use clap::Args;
use ffcm_suite::bench::compare::{Comparison, Verdict};
use ffcm_suite::bench::history::History;
use ffcm_suite::bench::html;
use ffcm_suite::bench::schema::Report;
use serde::Serialize;

use super::super::failure::Failure;
use super::super::output::{print, print_json, write_whole};
use super::failure;

/// Compare two reports row by row
///
/// A change counts if it exceeds both the threshold and the noise, which is three standard deviations of the difference
/// by the median absolute deviations of both. A digest that differs is another result, whatever the times.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  focus bench compare before.json now.json\n  \
                        focus bench compare before.json now.json --threshold 3% --fail --json"
)]
pub(super) struct Compare {
    /// The report to compare with
    before: PathBuf,
    /// The report to judge
    after: PathBuf,
    /// Least change that is judged, as a share or in per cent
    #[arg(long, default_value = "5%", value_name = "SHARE", value_parser = share)]
    threshold: f64,
    /// Exit with code 3 if a row got slower or has another result
    #[arg(long)]
    fail: bool,
    /// Also write the comparison to FILE; without FILE, print JSON instead of the table
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    json: Option<Option<PathBuf>>,
}

/// Many reports of one machine, in the order in which they were made
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  focus bench history results/*.json\n  \
                        focus bench history results/*.json --html history.html")]
pub(super) struct HistoryArguments {
    /// Reports
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Also write the history to FILE; without FILE, print JSON instead of the table
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    json: Option<Option<PathBuf>>,
    /// Also write the history as a page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Reads `5%` or `0.05`.
fn share(text: &str) -> Result<f64, String> {
    let (digits, scale) = match text.strip_suffix('%') {
        Some(digits) => (digits, 0.01),
        None => (text, 1.0),
    };
    match digits.trim().parse::<f64>() {
        Ok(share) if (0.0..=100.0).contains(&(share * scale)) => Ok(share * scale),
        _ => Err("must be a share such as 5% or 0.05".into()),
    }
}

/// Compares two reports.
pub(super) fn compare(arguments: &Compare) -> Result<(), Failure> {
    let read = |path: &PathBuf| Report::read(path).map_err(failure);
    let (before, after) = (read(&arguments.before)?, read(&arguments.after)?);
    let comparison = Comparison::of(&before, &after, arguments.threshold);
    show(&comparison, &comparison.to_string(), &arguments.json)?;
    if arguments.fail && comparison.is_worse() {
        return Err(Failure::mismatch(format!(
            "{} rows got slower by more than the threshold and the noise, {} have another result",
            comparison.count(Verdict::Regression),
            comparison.count(Verdict::Result)
        )));
    }
    Ok(())
}

/// Shows a history.
pub(super) fn history(arguments: &HistoryArguments) -> Result<(), Failure> {
    let reports: Result<Vec<Report>, _> = arguments.files.iter().map(|p| Report::read(p)).collect();
    let history = History::of(reports.map_err(failure)?).map_err(failure)?;
    if let Some(path) = &arguments.html {
        let page = html::history(&history);
        write_whole(path, |out| out.write_all(page.as_bytes()))?;
    }
    show(&history, &history.to_string(), &arguments.json)
}

/// Table or JSON, and JSON into a file.
fn show(
    value: &impl Serialize,
    table: &str,
    json: &Option<Option<PathBuf>>,
) -> Result<(), Failure> {
    let value = || serde_json::to_value(value).map_err(Failure::new);
    match json {
        None => print(table),
        Some(None) => print_json(&value()?),
        Some(Some(path)) => {
            let text = format!("{:#}\n", value()?);
            write_whole(path, |out| out.write_all(text.as_bytes()))?;
            print(table)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_shares() {
        assert_eq!(share("5%"), Ok(0.05));
        assert_eq!(share("0.2"), Ok(0.2));
        for wrong in ["", "%", "-1%", "NaN", "inf", "five"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}

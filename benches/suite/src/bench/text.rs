//! A report as people read it in a terminal, and the numbers in it.

use std::fmt::Write;

use super::schema::{Ceiling, Figures, Report, Row, State, Told};
use crate::table::Table;
use crate::timing::seconds;

/// 1234567.0 as `1.23 M`: three digits and a prefix of ten to a multiple of three.
pub fn si(value: f64) -> String {
    const PREFIXES: [&str; 5] = ["", " k", " M", " G", " T"];
    let mut scaled = value;
    let mut at = 0;
    while scaled.abs() >= 999.5 && at + 1 < PREFIXES.len() {
        scaled /= 1000.0;
        at += 1;
    }
    let digits = match scaled.abs() {
        x if x >= 99.95 => 0,
        x if x >= 9.995 => 1,
        _ => 2,
    };
    format!("{scaled:.digits$}{}", PREFIXES[at])
}

/// The same without zeros at its end, for axes.
pub fn si_short(value: f64) -> String {
    let text = si(value);
    let (number, prefix) = text.split_once(' ').unwrap_or((&text, ""));
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    };
    format!("{number} {prefix}").trim_end().to_owned()
}

/// Bytes with a binary prefix.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut scaled = bytes as f64;
    let mut at = 0;
    while scaled >= 1024.0 && at + 1 < UNITS.len() {
        scaled /= 1024.0;
        at += 1;
    }
    match at {
        0 => format!("{bytes} B"),
        _ => format!("{scaled:.1} {}", UNITS[at]),
    }
}

/// A share as per cent.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent != 0.0 && percent.abs() < 0.05 {
        return "<0.1 %".to_owned();
    }
    match percent.abs() < 9.95 {
        true => format!("{percent:.1} %"),
        false => format!("{percent:.0} %"),
    }
}

const NONE: &str = "-";

fn or_none<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), show)
}

/// The report: machine, ceilings, rows, crossovers, references.
pub fn report(report: &Report) -> String {
    let mut text = format!("{}\n", report.machine);
    let settings = &report.settings;
    if settings.quick || !settings.optimised {
        let why = match settings.optimised {
            true => "quick sizes",
            false => "built without optimisation",
        };
        put(
            &mut text,
            format_args!("{why}: results are checked, times say nothing\n"),
        );
    }
    put(
        &mut text,
        format_args!(
            "median of {} runs after {} more, seed {}\n\n",
            settings.runs,
            1 + settings.warmup,
            settings.seed
        ),
    );
    put(&mut text, format_args!("{}\n", ceilings(report)));
    put(&mut text, format_args!("{}", rows(report)));
    for (words, rows) in reasons(report) {
        let rows = if rows == 1 {
            "1 row".to_owned()
        } else {
            format!("{rows} rows")
        };
        put(&mut text, format_args!("{words} ({rows})\n"));
    }
    text += &footnotes(report);
    text
}

/// Why rows are not `ok`: each reason once for a contender, with how many rows have it.
fn reasons(report: &Report) -> Vec<(String, usize)> {
    let mut found: Vec<(String, usize)> = Vec::new();
    for row in report.rows.iter().filter(|row| row.state != State::Ok) {
        let why = row.why.as_deref().unwrap_or("no reason");
        let words = match row.state {
            // The same for whatever it is asked to do.
            State::Unavailable => format!("{}: {}: {why}", row.contender(), row.state),
            _ => format!(
                "{} {} {}: {}: {why}",
                row.contender(),
                row.suite,
                row.workload,
                row.state
            ),
        };
        match found.iter_mut().find(|(other, _)| *other == words) {
            Some((_, rows)) => *rows += 1,
            None => found.push((words, 1)),
        }
    }
    found
}

/// A string takes everything.
fn put(text: &mut String, words: std::fmt::Arguments<'_>) {
    text.write_fmt(words).expect("a String takes everything");
}

fn ceilings(report: &Report) -> Table {
    let mut table = Table::new([
        "ceiling",
        "copy GB/s",
        "M atomics/s",
        "up GB/s",
        "down GB/s",
    ]);
    let giga = |rate: Option<f64>| or_none(rate, |rate| format!("{:.2}", rate / 1e9));
    for Ceiling {
        backend,
        threads,
        copy,
        atomics,
        upload,
        download,
        ..
    } in &report.ceilings
    {
        table.row([
            super::schema::contender(backend, *threads),
            giga(*copy),
            or_none(*atomics, |rate| format!("{:.1}", rate / 1e6)),
            giga(*upload),
            giga(*download),
        ]);
    }
    table
}

/// Columns up to the parity; those of transfers only where something is transferred.
const HEADS: [&str; 8] = [
    "work",
    "items",
    "backend",
    "median",
    "min … max",
    "± MAD",
    "first",
    "rate",
];

fn rows(report: &Report) -> Table {
    let mut figures = report.rows.iter().filter_map(|row| row.figures.as_ref());
    let has_wire = figures.any(|f| f.transfers.told != Told::None);
    let mut heads = HEADS.to_vec();
    heads.extend(["B/s", "of ceiling"]);
    if has_wire {
        heads.extend(["up", "compute", "down"]);
    }
    let columns = heads.len();
    heads.push("parity");
    let mut table = Table::new(heads).left(&[0, 2, columns]);
    for row in &report.rows {
        let mut cells = vec![
            format!("{} {}", row.suite, row.workload),
            or_none(row.items, |items| si(items as f64)),
            row.contender(),
        ];
        match &row.figures {
            Some(figures) => {
                cells.extend(figure_cells(figures));
                if has_wire {
                    cells.extend(transfer_cells(figures));
                }
            }
            None => {
                cells.push(row.state.to_string());
                cells.resize(columns, String::new());
            }
        }
        cells.push(parity(row));
        table.row(cells);
    }
    table
}

fn figure_cells(figures: &Figures) -> [String; 7] {
    let Figures {
        seconds: spread, ..
    } = figures;
    [
        seconds(spread.median),
        format!("{} … {}", seconds(spread.min), seconds(spread.max)),
        percent(spread.mad / spread.median.max(1e-9)),
        seconds(figures.first),
        format!("{} {}/s", si(figures.rate), figures.operation),
        or_none(figures.bytes_per_second, si),
        match figures.of_atomics {
            Some(share) => format!("{} of atomics", percent(share)),
            None => or_none(figures.of_copy, percent),
        },
    ]
}

fn transfer_cells(figures: &Figures) -> [String; 3] {
    let transfers = &figures.transfers;
    // What is calculated from counted bytes has a mark.
    let told = |value: Option<f64>| match transfers.told {
        Told::None => NONE.to_owned(),
        Told::Timed => or_none(value, seconds),
        Told::Calculated => or_none(value, |value| format!("~{}", seconds(value))),
        Told::Counted => "?".to_owned(),
    };
    let compute = match transfers.told {
        Told::None => or_none(transfers.compute_seconds, seconds),
        _ => told(transfers.compute_seconds),
    };
    [
        told(transfers.upload_seconds),
        compute,
        told(transfers.download_seconds),
    ]
}

/// The first digits of the digest, and whom it equals.
fn parity(row: &Row) -> String {
    match &row.parity {
        None => NONE.to_owned(),
        Some(parity) => {
            let short: String = parity.digest.chars().take(12).collect();
            match parity.equal {
                true => format!("{short} = {}", parity.against),
                false => format!("{short} WRONG, {} differs", parity.against),
            }
        }
    }
}

fn footnotes(report: &Report) -> String {
    let mut text = String::new();
    let rows = || report.rows.iter();
    let told = |told| {
        move |row: &Row| {
            row.figures
                .as_ref()
                .is_some_and(|f| f.transfers.told == told)
        }
    };
    if rows().any(told(Told::Timed)) {
        text += "\nup, compute, down: medians of runs of their own, in which each copy between host and device waits for \
                 what came before and is waited for; a job that hides copies behind its work takes less than their sum\n";
    }
    if rows().any(told(Told::Counted)) {
        text += "\n? bytes are counted, how long they take was not measured\n";
    }
    if rows().any(told(Told::Calculated)) {
        text += "\n~ transfers are bytes counted over the rate measured for such transfers\n";
    }
    let cached = |row: &Row| row.figures.as_ref().is_some_and(|f| f.of_copy > Some(1.0));
    if rows().any(cached) {
        text += "\nof ceiling: above 100 % of the copy bandwidth the data stays in a cache, which copying large arrays does not show\n";
    }
    let beyond = rows().filter_map(|row| Some((row, row.parity.as_ref()?)));
    let mut beyond = beyond.filter(|(_, parity)| parity.against != "oracle");
    if let Some((_, parity)) = beyond.next() {
        put(
            &mut text,
            format_args!(
                "\n= {}: too large for the oracle, so that the digest is the CPU's; each backend also gave the oracle's \
                 digest on a smaller input of the suite\n",
                parity.against
            ),
        );
    }
    if !report.crossovers.is_empty() {
        text += "\nagainst the CPU\n";
        for crossover in &report.crossovers {
            put(&mut text, format_args!("  {crossover}\n"));
        }
    }
    text += "\nnot measured here, expectations that the project set out with\n";
    for reference in &report.references {
        put(
            &mut text,
            format_args!("  {}: {}\n", reference.device, reference.words),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_prefix() {
        let shown = [
            0.0, 1.234, 12.34, 999.6, 1234.0, 123_456.0, 1e6, 9.999e9, 1e15,
        ]
        .map(si);
        let expected = [
            "0.00", "1.23", "12.3", "1.00 k", "1.23 k", "123 k", "1.00 M", "10.0 G", "1000 T",
        ];
        assert_eq!(shown, expected);
        assert_eq!(
            [0.0, 1500.0, 1e6, 100.0].map(si_short),
            ["0", "1.5 k", "1 M", "100"]
        );
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(3 << 29), "1.5 GiB");
        assert_eq!(percent(0.0512), "5.1 %");
        assert_eq!(percent(0.998), "100 %");
    }
}

//! The report as one page that needs nothing else: no script, no network, light, dark and on paper.

use std::fmt::Write;

use super::compare::signed;
use super::history::{History, Line};
use super::plot::{Axis, Bar, Scale, Series, Strip, bars, decades, lines, strips};
use super::schema::{Report, Row, State, Told};
use super::svg::{SERIES, Svg, escape};
use super::text::{bytes, percent, si, si_short};
use crate::timing::seconds;

const STYLE: &str = include_str!("style.css");

/// Page with a title and a body.
fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"/>\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    )
}

/// The page of one report.
pub fn report(report: &Report) -> String {
    let mut body = head(report);
    body += &section(
        "Throughput",
        "Median of each backend at the largest size; the whisker goes from the slowest run to the fastest. Lengths compare within a picture.",
        throughput(report),
    );
    body += &section(
        "Cost by size",
        "Median seconds of one run, transfers included. Both axes are logarithmic: a straight line at 45° is a cost in proportion to the size.",
        by_size(report),
    );
    body += &crossovers(report);
    body += &section(
        "CPU by threads",
        "Speed of the CPU over that of its fewest threads, at the largest size. The thin line is as many times as there are threads.",
        by_threads(report),
    );
    body += &section(
        "Roofline",
        "Work over the least bytes that have to move, against speed. The thin lines are copy bandwidth, measured in the same run; a point on its line is as fast as copying allows.",
        roofline(report),
    );
    let spread = spread(report).into_iter().collect();
    body += &section(
        "Spread",
        "Every timed run at the largest size, by its distance from the row's median. Runs further away than the axis lie at its end.",
        spread,
    );
    body += &table(report);
    body += &references(report);
    page("focus bench", &body)
}

fn put(text: &mut String, words: std::fmt::Arguments<'_>) {
    text.write_fmt(words).expect("a String takes everything");
}

fn head(report: &Report) -> String {
    let machine = escape(&report.machine.to_string());
    let settings = &report.settings;
    let mut text = format!("<p class=\"facts\">{machine}</p>\n");
    let (ok, all) = (
        report.rows.iter().filter(|r| r.state == State::Ok).count(),
        report.rows.len(),
    );
    let wrong = report.wrong().count();
    let verdict = match wrong {
        0 => format!("{ok} of {all} rows measured, every result equal to the reference"),
        _ => format!("{wrong} of {all} rows give a WRONG result"),
    };
    let class = if wrong == 0 { "good" } else { "bad" };
    put(
        &mut text,
        format_args!(
            "<p><strong class=\"{class}\">{verdict}</strong>; median of {} runs after {} more, seed {}.</p>\n",
            settings.runs,
            1 + settings.warmup,
            settings.seed
        ),
    );
    if settings.quick || !settings.optimised {
        text += "<p class=\"note\">Quick sizes or a build without optimisation: results are checked, times say \
                 nothing.</p>\n";
    }
    text + &legend(report)
}

fn legend(report: &Report) -> String {
    let mut text = "<p class=\"legend\">".to_owned();
    for (number, name) in report.contenders().iter().enumerate() {
        let row = report.rows.iter().find(|row| row.contender() == *name);
        let device = row.map_or("", |row| &row.device);
        let is_ok = |row: &&Row| row.contender() == *name && row.state == State::Ok;
        let absent = match report.rows.iter().find(is_ok) {
            Some(_) => "",
            None => " (no row was measured)",
        };
        put(
            &mut text,
            format_args!(
                "<span title=\"{}\">{} {}{absent}</span> ",
                escape(device),
                swatch(number),
                escape(name)
            ),
        );
    }
    text + "</p>\n"
}

fn swatch(number: usize) -> String {
    let mut svg = Svg::new(14.0, 14.0);
    svg.mark(number, (7.0, 7.0), "");
    svg.finish("")
}

/// A heading, what to know, and pictures side by side; nothing without pictures.
fn section(title: &str, words: &str, pictures: Vec<(String, String)>) -> String {
    if pictures.is_empty() {
        return String::new();
    }
    let mut text = format!("<section>\n<h2>{title}</h2>\n<p>{words}</p>\n<div class=\"grid\">\n");
    for (caption, picture) in pictures {
        let caption = escape(&caption);
        put(
            &mut text,
            format_args!("<figure><figcaption>{caption}</figcaption>{picture}</figure>\n"),
        );
    }
    text + "</div>\n</section>\n"
}

fn of_workload<'a>(report: &'a Report, named: (&str, &str)) -> Vec<&'a Row> {
    let is_in = |row: &&Row| (&*row.suite, &*row.workload) == named;
    report.rows.iter().filter(is_in).collect()
}

/// Number of a row's contender, for colours.
fn number(report: &Report, row: &Row) -> usize {
    let name = row.contender();
    let found = report.contenders().iter().position(|other| *other == name);
    found.unwrap_or(0)
}

fn largest(rows: &[&Row]) -> u64 {
    rows.iter().map(|row| row.size).max().unwrap_or(0)
}

type Pictures = Vec<(String, String)>;

fn throughput(report: &Report) -> Pictures {
    let picture = |named: (&str, &str)| {
        let rows = of_workload(report, named);
        let size = largest(&rows);
        let measured: Vec<&Row> = rows.into_iter().filter(|row| row.size == size).collect();
        let bar = |row: &&Row| {
            let figures = row.figures.as_ref()?;
            let rate = |seconds: f64| figures.operations as f64 / seconds.max(1e-9);
            Some(Bar {
                number: number(report, row),
                name: row.contender(),
                value: figures.rate,
                range: (rate(figures.seconds.max), rate(figures.seconds.min)),
                words: format!("{}/s", si(figures.rate)),
            })
        };
        let all: Vec<Bar> = measured.iter().filter_map(bar).collect();
        let figures = measured.iter().find_map(|row| row.figures.as_ref())?;
        let items = measured.first().and_then(|row| row.items).unwrap_or(size);
        let item = &measured.first()?.item;
        let caption = format!(
            "{} {}: {} per second, {} {item}",
            named.0,
            named.1,
            figures.operation,
            si_short(items as f64)
        );
        Some((caption.clone(), bars(&caption, &all)?))
    };
    report.workloads().into_iter().filter_map(picture).collect()
}

fn by_size(report: &Report) -> Pictures {
    let picture = |named: (&str, &str)| {
        let rows = of_workload(report, named);
        let mut sizes: Vec<u64> = rows.iter().map(|row| row.size).collect();
        sizes.dedup();
        if sizes.len() < 2 {
            return None;
        }
        let item = rows.first()?.item.clone();
        let series = joined(report, &rows, |row| {
            Some((row.items? as f64, row.median()?))
        });
        let caption = format!("{} {}", named.0, named.1);
        let x = Axis {
            label: &item,
            scale: Scale::Log,
            show: si_short,
        };
        let y = Axis {
            label: "seconds",
            scale: Scale::Log,
            show: short_seconds,
        };
        Some((caption.clone(), lines(&caption, x, y, &series)?))
    };
    report.workloads().into_iter().filter_map(picture).collect()
}

/// A number of an axis: seconds without digits that say nothing.
fn short_seconds(value: f64) -> String {
    match value {
        v if v >= 1.0 => format!("{v:.0} s"),
        v if v >= 1e-3 => format!("{:.0} ms", v * 1e3),
        v if v >= 1e-6 => format!("{:.0} µs", v * 1e6),
        v => format!("{:.0} ns", v * 1e9),
    }
}

/// A series for each contender of the rows.
fn joined(
    report: &Report,
    rows: &[&Row],
    point: impl Fn(&Row) -> Option<(f64, f64)>,
) -> Vec<Series> {
    let contender = |(number, name): (usize, String)| {
        let own = rows.iter().filter(|row| row.contender() == name);
        let mut points: Vec<(f64, f64)> = own.filter_map(|row| point(row)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        (!points.is_empty()).then_some(Series {
            number,
            name,
            points,
            joined: true,
            marked: true,
        })
    };
    let all = report.contenders().into_iter().enumerate();
    all.filter_map(contender).collect()
}

fn by_threads(report: &Report) -> Pictures {
    let mut all = Vec::new();
    for suite in suites(report) {
        let of_suite = report.workloads().into_iter();
        let scaled: Vec<Scaled<'_>> = of_suite
            .filter(|named| named.0 == suite)
            .filter_map(|named| Some((named.1, speedups(report, named)?)))
            .collect();
        // As many in a picture as there are marks, which the caption names.
        for scaled in scaled.chunks(SHAPES.len()) {
            let caption = scaled.iter().zip(SHAPES);
            let caption = caption.map(|((name, _), shape)| format!("{shape} {name}"));
            let caption = format!("{suite}: {}", caption.collect::<Vec<_>>().join(", "));
            all.extend(threads_picture(&caption, scaled).map(|picture| (caption, picture)));
        }
    }
    all
}

/// A workload, and how many times as fast it is with how many threads.
type Scaled<'a> = (&'a str, Vec<(f64, f64)>);

/// Threads and how many times as fast as the fewest; nothing of one number of threads.
fn speedups(report: &Report, named: (&str, &str)) -> Option<Vec<(f64, f64)>> {
    let rows = of_workload(report, named);
    let size = largest(&rows);
    let cpu = rows
        .iter()
        .filter(|row| row.backend == "cpu" && row.size == size);
    let times: Vec<(f64, f64)> = cpu
        .filter_map(|row| Some((row.threads as f64, row.median()?)))
        .collect();
    let &(_, base) = times.iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
    let faster = times.iter().map(|(threads, s)| (*threads, base / s));
    (times.len() > 1).then(|| faster.collect())
}

fn threads_picture(title: &str, scaled: &[Scaled<'_>]) -> Option<String> {
    let joined = |(number, (name, points)): (usize, &Scaled<'_>)| Series {
        number,
        name: (*name).to_owned(),
        points: points.clone(),
        joined: true,
        marked: true,
    };
    let mut series: Vec<Series> = scaled.iter().enumerate().map(joined).collect();
    let threads = || scaled.iter().flat_map(|(_, points)| points).map(|p| p.0);
    let (fewest, most) = (
        threads().fold(f64::INFINITY, f64::min),
        threads().fold(0.0f64, f64::max),
    );
    series.push(Series {
        number: SERIES - 1,
        name: "in proportion".into(),
        points: vec![(fewest, 1.0), (most, most / fewest)],
        joined: true,
        marked: false,
    });
    let x = Axis {
        label: "threads",
        scale: Scale::Linear,
        show: whole,
    };
    let y = Axis {
        label: "times as fast",
        scale: Scale::Linear,
        show: si_short,
    };
    lines(title, x, y, &series)
}

/// Marks in the order of series, as text.
const SHAPES: [&str; 4] = ["●", "■", "▲", "◆"];

fn whole(value: f64) -> String {
    match value.fract() == 0.0 {
        true => format!("{value:.0}"),
        false => String::new(),
    }
}

fn suites(report: &Report) -> Vec<&str> {
    let mut all: Vec<&str> = report.rows.iter().map(|row| &*row.suite).collect();
    all.dedup();
    all
}

fn roofline(report: &Report) -> Pictures {
    let picture = |suite: &str| {
        let rows: Vec<&Row> = report.rows.iter().filter(|r| r.suite == suite).collect();
        let mut series = joined(report, &rows, |row| {
            let figures = row.figures.as_ref()?;
            Some((
                figures.operations as f64 / figures.bytes? as f64,
                figures.rate,
            ))
        });
        for points in &mut series {
            points.joined = false;
        }
        let xs = || series.iter().flat_map(|s| &s.points).map(|point| point.0);
        let (least, most) = (
            xs().fold(f64::INFINITY, f64::min),
            xs().fold(0.0f64, f64::max),
        );
        if !least.is_finite() {
            return None;
        }
        // As far as the axis goes.
        let (least, most) = decades(least, most);
        let roofs: Vec<Series> = rows
            .iter()
            .filter(|row| row.state == State::Ok)
            .filter_map(|row| Some((number(report, row), row, report.ceiling(row)?.copy?)))
            .map(|(number, row, copy)| Series {
                number,
                name: row.contender(),
                points: vec![(least, least * copy), (most, most * copy)],
                joined: true,
                marked: false,
            })
            .collect();
        let mut known = Vec::new();
        for roof in roofs {
            if !known.contains(&roof.number) {
                known.push(roof.number);
                series.push(roof);
            }
        }
        let operation = rows
            .iter()
            .find_map(|row| Some(row.figures.as_ref()?.operation.clone()))?;
        let (across, up) = (
            format!("{operation} per byte"),
            format!("{operation} per second"),
        );
        let x = Axis {
            label: &across,
            scale: Scale::Log,
            show: plain,
        };
        let y = Axis {
            label: &up,
            scale: Scale::Log,
            show: si_short,
        };
        Some((suite.to_owned(), lines(suite, x, y, &series)?))
    };
    suites(report).into_iter().filter_map(picture).collect()
}

fn plain(value: f64) -> String {
    match value >= 0.0001 {
        // Without the last bit's rounding: ticks are one digit and a power of ten.
        true => format!("{}", (value * 1e6).round() / 1e6),
        false => format!("{value:e}"),
    }
}

fn spread(report: &Report) -> Option<(String, String)> {
    let strip = |row: &Row| {
        let seconds = &row.figures.as_ref()?.seconds;
        let share = |run: &f64| run / seconds.median.max(1e-9) - 1.0;
        Some(Strip {
            number: number(report, row),
            name: format!(
                "{} {} {} {}",
                row.suite,
                row.workload,
                si_short(row.items.unwrap_or(row.size) as f64),
                row.contender()
            ),
            shares: seconds.samples.iter().map(share).collect(),
        })
    };
    let is_largest = |row: &&Row| {
        let same = of_workload(report, (&row.suite, &row.workload));
        row.size == largest(&same)
    };
    let rows = report.rows.iter().filter(is_largest);
    let all: Vec<Strip> = rows.filter_map(strip).collect();
    let caption = "timed runs at the largest size".to_owned();
    Some((caption.clone(), strips(&caption, &all)?))
}

fn crossovers(report: &Report) -> String {
    if report.crossovers.is_empty() {
        return String::new();
    }
    let line =
        |words: &super::crossover::Crossover| format!("<li>{}</li>\n", escape(&words.to_string()));
    let all: String = report.crossovers.iter().map(line).collect();
    format!("<section>\n<h2>Against the CPU</h2>\n<ul>\n{all}</ul>\n</section>\n")
}

fn table(report: &Report) -> String {
    let mut text = "<section>\n<h2>Rows</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>work</th><th>input</th><th>backend</th>\
                    <th>median</th><th>± MAD</th><th>first</th><th>rate</th><th>of ceiling</th><th>up / compute / down</th>\
                    <th>digest</th></tr></thead>\n<tbody>\n"
        .to_owned();
    for row in &report.rows {
        let input = format!(
            "{} {}; {}",
            si_short(row.items.unwrap_or(row.size) as f64),
            row.item,
            row.input
        );
        put(
            &mut text,
            format_args!(
                "<tr class=\"{}\"><td>{} {}</td><td>{}</td><td title=\"{}\">{}</td>",
                row.state.to_string().to_lowercase(),
                escape(&row.suite),
                escape(&row.workload),
                escape(&input),
                escape(&row.device),
                escape(&row.contender())
            ),
        );
        match &row.figures {
            Some(figures) => {
                let none = || "–".to_owned();
                let cells = [
                    seconds(figures.seconds.median),
                    percent(figures.seconds.mad / figures.seconds.median.max(1e-9)),
                    seconds(figures.first),
                    format!("{} {}/s", si(figures.rate), figures.operation),
                    match figures.of_atomics {
                        Some(share) => format!("{} of atomics", percent(share)),
                        None => figures.of_copy.map_or_else(none, percent),
                    },
                    transfers(figures),
                ];
                for cell in cells {
                    put(
                        &mut text,
                        format_args!("<td class=\"n\">{}</td>", escape(&cell)),
                    );
                }
            }
            None => {
                let why = row.why.as_deref().unwrap_or("no reason");
                put(
                    &mut text,
                    format_args!("<td colspan=\"6\">{}: {}</td>", row.state, escape(why)),
                );
            }
        }
        let parity = row.parity.as_ref().map_or_else(String::new, |parity| {
            let short: String = parity.digest.chars().take(12).collect();
            let sign = if parity.equal { "=" } else { "≠" };
            format!(
                "<code>{}</code> {sign} {}",
                escape(&short),
                escape(&parity.against)
            )
        });
        put(&mut text, format_args!("<td>{parity}</td></tr>\n"));
    }
    text += "</tbody></table></div>\n<p>The ceiling is the backend's own copy bandwidth, above which \
             the data stays in a cache, or the rate of its atomic additions. Transfers and computing are told \
             apart in runs of their own, in which each copy waits for what came before and is waited for: a job that hides \
             copies behind its work takes less than their sum. What is marked ~ is calculated. A digest is \
             compared with the oracle's where the oracle can do the size; beyond that with that of the CPU on one thread, \
             and the oracle's on a smaller input.</p>\n</section>\n";
    text
}

fn transfers(figures: &super::schema::Figures) -> String {
    let transfers = &figures.transfers;
    let shown = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), seconds);
    match transfers.told {
        Told::None => "shared memory".to_owned(),
        Told::Timed | Told::Calculated => format!(
            "{}{} / {} / {}",
            if transfers.told == Told::Timed {
                ""
            } else {
                "~"
            },
            shown(transfers.upload_seconds),
            shown(transfers.compute_seconds),
            shown(transfers.download_seconds)
        ),
        Told::Counted => format!(
            "{} up, {} down",
            bytes(transfers.uploaded),
            bytes(transfers.read_back)
        ),
    }
}

fn references(report: &Report) -> String {
    let mut text = "<section>\n<h2>Not measured here</h2>\n<p>Expectations that the project set out with.</p>\n<ul>\n".to_owned();
    for reference in &report.references {
        put(
            &mut text,
            format_args!(
                "<li>{}: {}</li>\n",
                escape(&reference.device),
                escape(&reference.words)
            ),
        );
    }
    text + "</ul>\n</section>\n"
}

/// Numbers of reports, from one, and medians over the first of them.
fn of_first(line: &Line) -> Vec<(f64, f64)> {
    let first = line.medians.iter().flatten().next();
    let of_first = |(at, median): (i32, &Option<f64>)| {
        let share = (*median)? / first?.max(1e-9);
        Some((f64::from(at), share))
    };
    (1..).zip(&line.medians).filter_map(of_first).collect()
}

/// The page of a history: a picture for each workload and size.
pub fn history(history: &History) -> String {
    let mut contenders: Vec<&str> = Vec::new();
    for line in &history.lines {
        if !contenders.contains(&&*line.contender) {
            contenders.push(&line.contender);
        }
    }
    let mut legend = "<p class=\"legend\">".to_owned();
    for (number, name) in contenders.iter().enumerate() {
        put(
            &mut legend,
            format_args!("<span>{} {}</span> ", swatch(number), escape(name)),
        );
    }
    legend += "</p>\n";
    let mut works: Vec<(&str, &str, u64)> = Vec::new();
    for line in &history.lines {
        let work = (&*line.suite, &*line.workload, line.size);
        if !works.contains(&work) {
            works.push(work);
        }
    }
    let picture = |&(suite, workload, size): &(&str, &str, u64)| {
        let own = history
            .lines
            .iter()
            .filter(|line| (&*line.suite, &*line.workload, line.size) == (suite, workload, size));
        let series: Vec<Series> = own
            .map(|line| Series {
                number: contenders
                    .iter()
                    .position(|name| *name == line.contender)
                    .unwrap_or(0),
                name: line.contender.clone(),
                points: of_first(line),
                joined: true,
                marked: true,
            })
            .collect();
        let caption = format!("{suite} {workload}, {}", si_short(size as f64));
        let x = Axis {
            label: "report",
            scale: Scale::Linear,
            show: whole,
        };
        let y = Axis {
            label: "times the seconds of the first",
            scale: Scale::Linear,
            show: si_short,
        };
        Some((caption.clone(), lines(&caption, x, y, &series)?))
    };
    let pictures = works.iter().filter_map(picture).collect();
    let mut body = format!("<p class=\"facts\">{}</p>\n{legend}", escape(&history.cpu));
    body += "<ol>\n";
    for commit in &history.commits {
        put(
            &mut body,
            format_args!("<li>commit {}</li>\n", escape(commit)),
        );
    }
    body += "</ol>\n";
    body += &section(
        "Median by report",
        "Over the first report's, in the order in which the reports were made: 2 is twice as slow.",
        pictures,
    );
    body += "<section>\n<h2>Rows</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>work</th><th>size</th><th>backend</th>";
    for commit in &history.commits {
        put(&mut body, format_args!("<th>{}</th>", escape(commit)));
    }
    body += "<th>change</th></tr></thead>\n<tbody>\n";
    for line in &history.lines {
        put(
            &mut body,
            format_args!(
                "<tr><td>{} {}</td><td class=\"n\">{}</td><td>{}</td>",
                escape(&line.suite),
                escape(&line.workload),
                line.size,
                escape(&line.contender)
            ),
        );
        let none = || "–".to_owned();
        let cells = line.medians.iter().map(|m| m.map_or_else(none, seconds));
        for cell in cells.chain([line.change.map_or_else(none, signed)]) {
            put(&mut body, format_args!("<td class=\"n\">{cell}</td>"));
        }
        body += "</tr>\n";
    }
    body += "</tbody></table></div>\n</section>\n";
    page("focus bench history", &body)
}

//! Where a device begins to win against the CPU.

use std::fmt;

use ffcm::coprocessor::Crossover::{From, Never, Unknown};
use ffcm::coprocessor::{Crossovers, JobKind};
use serde::{Deserialize, Serialize};

use super::schema::{Row, State};

/// How a device stands to the CPU over the sizes measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Faster at every size.
    Always,
    /// Slower at every size.
    Never,
    /// Faster from some size on.
    From,
    /// Now one, now the other.
    Mixed,
}

/// One workload on one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Crossover {
    /// Suite.
    pub suite: String,
    /// Workload within it.
    pub workload: String,
    /// The device's backend.
    pub backend: String,
    /// The fastest CPU contender at the largest size: the one it is held against.
    pub against: String,
    /// How it stands.
    pub standing: Standing,
    /// Items from which the device wins, interpolated between two sizes on logarithmic axes.
    pub items: Option<f64>,
    /// What an item is.
    pub item: String,
    /// Least and most items compared.
    pub range: (u64, u64),
}

impl fmt::Display for Crossover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = self.range;
        write!(f, "{} {}: {} ", self.suite, self.workload, self.backend)?;
        match (self.standing, self.items) {
            (Standing::Always, _) => write!(f, "wins against {} at every size", self.against)?,
            (Standing::Never, _) => write!(f, "never wins against {}", self.against)?,
            (Standing::From, Some(items)) => write!(
                f,
                "wins against {} from about {items:.1e} {}",
                self.against, self.item
            )?,
            _ => write!(f, "and {} win in turn", self.against)?,
        }
        match least == most {
            true => write!(f, " (one size: {least} {})", self.item),
            false => write!(f, " ({least} to {most} {})", self.item),
        }
    }
}

/// Items and median seconds.
type Point = (u64, f64);

fn points(rows: &[&Row], contender: &str) -> Vec<Point> {
    let of = rows.iter().filter(|row| row.contender() == contender);
    of.filter_map(|row| Some((row.items?, row.median()?)))
        .collect()
}

/// The crossovers of all workloads and devices. The CPU is the contender `cpu` that is fastest at the largest size.
pub fn crossovers(rows: &[Row]) -> Vec<Crossover> {
    let mut found: Vec<Crossover> = Vec::new();
    for row in rows {
        let known = |c: &Crossover| {
            (&c.suite, &c.workload, &c.backend) == (&row.suite, &row.workload, &row.backend)
        };
        if row.backend == "cpu" || row.state != State::Ok || found.iter().any(known) {
            continue;
        }
        let same: Vec<&Row> = rows
            .iter()
            .filter(|other| (&other.suite, &other.workload) == (&row.suite, &row.workload))
            .collect();
        found.extend(crossover(&same, row));
    }
    found
}

/// What a report says of a backend, for choosing where jobs run: only workloads of several sizes count. Where there are
/// several of one kind of job, the device has to win all of them.
pub fn known(all: &[Crossover], backend: &str) -> Crossovers {
    let mut known = Crossovers::default();
    let several = |one: &&Crossover| one.backend == backend && one.range.0 < one.range.1;
    for one in all.iter().filter(several) {
        let kind = match (one.suite.as_str(), one.workload.as_str()) {
            ("nets", _) => JobKind::Rewrite,
            ("rows", _) => JobKind::Evaluate,
            ("focus", _) => JobKind::Focus,
            ("memory", _) => JobKind::Memory,
            ("hash", "nonces") => JobKind::Search,
            ("hash", _) => JobKind::Hash,
            _ => continue,
        };
        let from = match (one.standing, one.items) {
            (Standing::Always, _) => From(one.range.0),
            (Standing::From, Some(items)) => From(items.ceil() as u64),
            _ => Never,
        };
        let from = match (known.get(kind), from) {
            (From(one), From(other)) => From(one.max(other)),
            (Unknown, from) => from,
            _ => Never,
        };
        known.set(kind, from);
    }
    known
}

fn crossover(rows: &[&Row], device: &Row) -> Option<Crossover> {
    let is_cpu = |row: &&&Row| row.backend == "cpu" && row.state == State::Ok;
    let largest = rows
        .iter()
        .filter(is_cpu)
        .filter_map(|row| row.items)
        .max()?;
    let at_largest = rows.iter().filter(is_cpu);
    let cpu = at_largest
        .filter(|row| row.items == Some(largest))
        .min_by(|a, b| f64::total_cmp(&a.median().unwrap_or(0.0), &b.median().unwrap_or(0.0)))?;
    let against = points(rows, &cpu.contender());
    // log(device / CPU) by size.
    let mut gaps: Vec<(u64, f64)> = Vec::new();
    for (items, seconds) in points(rows, &device.contender()) {
        if let Some((_, cpu)) = against.iter().find(|(other, _)| *other == items) {
            gaps.push((items, (seconds / cpu).ln()));
        }
    }
    gaps.sort_by_key(|(items, _)| *items);
    let (first, last) = (gaps.first()?, gaps.last()?);
    let (standing, items) = standing(&gaps);
    Some(Crossover {
        suite: device.suite.clone(),
        workload: device.workload.clone(),
        backend: device.backend.clone(),
        against: cpu.contender(),
        standing,
        items,
        item: device.item.clone(),
        range: (first.0, last.0),
    })
}

fn standing(gaps: &[(u64, f64)]) -> (Standing, Option<f64>) {
    let wins = |(_, gap): &(u64, f64)| *gap < 0.0;
    let from = gaps.iter().position(wins);
    match from {
        None => (Standing::Never, None),
        Some(0) if gaps.iter().all(wins) => (Standing::Always, None),
        Some(at) if at > 0 && gaps[at..].iter().all(wins) => {
            let ((x0, y0), (x1, y1)) = (gaps[at - 1], gaps[at]);
            let (x0, x1) = ((x0.max(1) as f64).ln(), (x1.max(1) as f64).ln());
            let x = x0 + (x1 - x0) * y0 / (y0 - y1);
            (Standing::From, Some(x.exp()))
        }
        Some(_) => (Standing::Mixed, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_to_win_every_workload_of_a_kind_over_several_sizes() {
        let one = |suite: &str, workload: &str, standing, items, range| Crossover {
            suite: suite.into(),
            workload: workload.into(),
            backend: "wgpu:0".into(),
            against: "cpu x2".into(),
            standing,
            items,
            item: "items".into(),
            range,
        };
        let (sizes, size) = ((100, 10_000), (100, 100));
        let all = [
            one("focus", "rmat", Standing::From, Some(1234.5), sizes),
            one("focus", "grid", Standing::From, Some(99.0), sizes),
            one("hash", "blake3", Standing::Always, None, sizes),
            one("hash", "sha256", Standing::Mixed, None, sizes),
            one("hash", "nonces", Standing::Always, None, sizes),
            one("memory", "mixed", Standing::Always, None, size),
            one("nets", "sum_rec", Standing::Never, None, sizes),
        ];
        let known = known(&all, "wgpu:0");
        let expected = [
            (JobKind::Focus, From(1235)),
            (JobKind::Hash, Never),
            (JobKind::Search, From(100)),
            (JobKind::Memory, Unknown),
            (JobKind::Rewrite, Never),
            (JobKind::Evaluate, Unknown),
        ];
        for (kind, crossover) in expected {
            assert_eq!(known.get(kind), crossover, "{kind:?}");
        }
        assert_eq!(super::known(&all, "wgpu:1"), Crossovers::default());
    }

    #[test]
    fn the_crossover_lies_between_the_sizes_where_it_happens() {
        assert_eq!(standing(&[(10, 1.0), (100, 0.1)]).0, Standing::Never);
        assert_eq!(standing(&[(10, -1.0), (100, -2.0)]).0, Standing::Always);
        assert_eq!(standing(&[(10, -1.0), (100, 2.0)]).0, Standing::Mixed);
        let (from, items) = standing(&[(10, 2.0), (100, 1.0), (10_000, -1.0)]);
        assert_eq!(from, Standing::From);
        // Halfway between 100 and 10 000 on a logarithmic axis.
        assert!((items.unwrap() - 1000.0).abs() < 1e-6, "{items:?}");
    }
}

//! Suite `weights`: weight nets on the CPU coprocessor against the same arithmetic as a plain loop.

use ffcm::coprocessor::Coprocessor;
use ffcm::cpu::CpuCoprocessor;
use ffcm_sandboxes::weight::{AGE_DECAY, EdgeAttributes, STAKE, WeightNet, WeightVerdict};
use serde::Serialize;

use crate::failure::Failure;
use crate::machine::Machine;
use crate::options::{Options, Turns};
use crate::random::SplitMix64;
use crate::table::Table;
use crate::timing::{Sample, Summary, interleave, seconds, time};

/// Arguments of the suite.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Links to weigh.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=1 << 26))]
    calls: u32,
    /// Most links of one batch; a block has at most as many.
    #[arg(long, default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Seed of the links.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    turns: Turns,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    seed: u64,
    calls: usize,
    batch: usize,
    rows: Vec<Row>,
}

/// One way to weigh all links.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The rule.
    pub rule: &'static str,
    /// Net or loop.
    pub how: &'static str,
    /// Worker threads.
    pub threads: usize,
    /// Seconds for all calls.
    pub all: Summary,
    /// Millions of calls per second, best run.
    pub mega_calls: f64,
    /// Interactions of one call; none for the loop.
    pub interactions: Option<f64>,
}

/// A weight net, and the rule it states as ordinary code.
struct Rule {
    name: &'static str,
    text: &'static str,
    weight: fn(&EdgeAttributes) -> u64,
}

const RULES: [Rule; 2] = [
    Rule {
        name: "stake",
        text: STAKE,
        weight: |edge| edge.stake.min(U32_MAX),
    },
    Rule {
        name: "age-decay",
        text: AGE_DECAY,
        weight: |edge| edge.stake.min(U32_MAX) / (1 + edge.age.min(U32_MAX) / 1024),
    },
];

/// Nets see 32 bits.
const U32_MAX: u64 = u32::MAX as u64;
/// Gas of one call, as a genesis file has it unless told otherwise.
const GAS: u64 = 10_000;

/// One way to weigh the links: a device, or the plain loop.
type Contender = Option<CpuCoprocessor>;

/// Checks and measures.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let options = &arguments.options;
    let machine = Machine::here();
    println!("{machine}");
    let calls = if options.tiny {
        1000
    } else {
        arguments.calls as usize
    };
    let batch = arguments.batch as usize;
    let rounds = arguments.turns.rounds(options);
    let rows = rows(
        arguments.seed,
        calls,
        batch,
        &arguments.turns.threads,
        rounds,
    )?;
    let report = Report {
        machine,
        seed: arguments.seed,
        calls,
        batch,
        rows,
    };
    print(&report);
    options.write(&report)
}

/// Weighs `calls` seeded links in batches of at most `batch` with every rule, as a loop and as nets with every number of
/// threads; each run's weights must be those of the loop.
pub fn rows(
    seed: u64,
    calls: usize,
    batch: usize,
    threads: &[usize],
    rounds: usize,
) -> Result<Vec<Row>, Failure> {
    let edges = edges(seed, calls);
    let mut contenders: Vec<Contender> = vec![None];
    for &threads in threads {
        let device = CpuCoprocessor::new(threads).map_err(Failure::failed)?;
        contenders.push(Some(device));
    }
    let mut rows = vec![];
    for rule in &RULES {
        rows.extend(measure(rule, &mut contenders, &edges, batch, rounds)?);
    }
    Ok(rows)
}

/// Times every contender; each run's weights must be those of the plain loop.
fn measure(
    rule: &Rule,
    contenders: &mut [Contender],
    edges: &[EdgeAttributes],
    batch: usize,
    rounds: usize,
) -> Result<Vec<Row>, Failure> {
    let net = WeightNet::parse(rule.text, 0).map_err(Failure::failed)?;
    let expected: Vec<u64> = edges.iter().map(rule.weight).collect();
    let mut interactions = 0;
    let mut run = |contender: &mut Contender| {
        let (weights, sample) = match contender {
            None => time(|| Ok(plain(rule, edges))),
            Some(device) => {
                interactions = 0;
                time(|| weigh(&net, device, edges, batch, &mut interactions))
            }
        };
        check(rule.name, edges, &expected, &weights?)?;
        Ok(sample)
    };
    interleave(contenders, 1, &mut run)?;
    let samples = interleave(contenders, rounds, &mut run)?;
    let row = |(contender, samples): (&Contender, Vec<Sample>)| {
        let all = Summary::of(&samples);
        let per_call = interactions as f64 / edges.len() as f64;
        Row {
            rule: rule.name,
            how: contender.as_ref().map_or("plain loop", |_| "weight net"),
            threads: contender.as_ref().map_or(1, CpuCoprocessor::threads),
            mega_calls: edges.len() as f64 / all.best / 1e6,
            all,
            interactions: contender.as_ref().map(|_| per_call),
        }
    };
    Ok(contenders.iter().zip(samples).map(row).collect())
}

/// The rule as a loop that the compiler may not skip.
fn plain(rule: &Rule, edges: &[EdgeAttributes]) -> Vec<u64> {
    let edges = std::hint::black_box(edges);
    std::hint::black_box(edges.iter().map(rule.weight).collect())
}

/// The rule as a net; adds up the interactions made.
fn weigh(
    net: &WeightNet,
    device: &dyn Coprocessor,
    edges: &[EdgeAttributes],
    batch: usize,
    interactions: &mut u64,
) -> Result<Vec<u64>, Failure> {
    let mut weights = Vec::with_capacity(edges.len());
    for edges in edges.chunks(batch) {
        let weighed = net.evaluate_metered(device, edges, GAS);
        for edge in weighed.map_err(Failure::failed)? {
            let WeightVerdict::Weight(weight) = edge.verdict else {
                return Err(Failure::Mismatch(format!(
                    "a weight net gives {:?}",
                    edge.verdict
                )));
            };
            weights.push(weight);
            *interactions += edge.interactions;
        }
    }
    Ok(weights)
}

fn check(
    rule: &str,
    edges: &[EdgeAttributes],
    expected: &[u64],
    found: &[u64],
) -> Result<(), Failure> {
    if expected == found {
        return Ok(());
    }
    let first = expected.iter().zip(found).position(|(a, b)| a != b);
    Err(Failure::Mismatch(match first {
        Some(at) => format!(
            "{rule} gives {} for {:?}, expected {}",
            found[at], edges[at], expected[at]
        ),
        None => format!("{rule} gives {} weights", found.len()),
    }))
}

/// Stakes of every magnitude up to 2^36, so that some saturate; ages up to 2^24 blocks.
fn edges(seed: u64, count: usize) -> Vec<EdgeAttributes> {
    let mut random = SplitMix64::new(seed);
    let edge = |_| {
        let bits = 1 + random.below(36);
        EdgeAttributes {
            stake: random.below(1 << bits),
            age: random.below(1 << 24),
            kind: random.below(4) as u32,
        }
    };
    (0..count).map(edge).collect()
}

fn print(report: &Report) {
    println!(
        "{} links in batches of {}, seed {}",
        report.calls, report.batch, report.seed
    );
    let mut table = Table::new([
        "rule",
        "how",
        "threads",
        "best",
        "median",
        "CPU",
        "M calls/s",
        "interactions",
    ]);
    for row in &report.rows {
        table.row([
            row.rule.to_owned(),
            row.how.to_owned(),
            row.threads.to_string(),
            seconds(row.all.best),
            seconds(row.all.median),
            seconds(row.all.cpu),
            format!("{:.3}", row.mega_calls),
            row.interactions
                .map_or(String::new(), |per_call| format!("{per_call:.1}")),
        ]);
    }
    println!("{table}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nets_and_loop_agree_and_a_wrong_rule_is_noticed() {
        let edges = edges(3, 300);
        assert!(edges.iter().any(|edge| edge.stake > U32_MAX));
        let mut contenders = [None, CpuCoprocessor::new(2).ok()];
        assert!(contenders[1].is_some());
        for rule in &RULES {
            let rows = measure(rule, &mut contenders, &edges, 128, 1).unwrap();
            assert!(rows[0].interactions.is_none());
            assert!(rows[1].interactions.is_some_and(|made| made > 1.0));
        }
        let [stake, decay] = RULES;
        let wrong = Rule {
            text: decay.text,
            ..stake
        };
        let outcome = measure(&wrong, &mut contenders, &edges, 128, 1);
        assert!(matches!(outcome, Err(Failure::Mismatch(_))));
    }
}

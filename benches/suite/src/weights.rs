//! Suite `weights`: weight nets on the CPU coprocessor, with and without native code, against the same arithmetic as a
//! plain loop that leaves the same array of verdicts.

use std::sync::Arc;

use ffcm::coprocessor::Coprocessor;
use ffcm::cpu::CpuCoprocessor;
use ffcm_jit::native::{Native, Options as NativeOptions};
use ffcm_sandboxes::weight::{AGE_DECAY, EdgeAttributes, STAKE, Weighed, WeightNet, WeightVerdict};
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
    pub calls: u32,
    /// Most links of one batch; a block has at most as many.
    #[arg(long, default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,
    /// Seed of the links.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Rounds and thread counts.
    #[command(flatten)]
    pub turns: Turns,
    /// Size and report.
    #[command(flatten)]
    pub options: Options,
}

/// What the suite found.
#[derive(Debug, Serialize)]
pub struct Report {
    machine: Machine,
    seed: u64,
    /// Links weighed.
    pub calls: usize,
    batch: usize,
    /// For each rule the plain loop first, then nets at every thread count.
    pub rows: Vec<Row>,
}

/// One rule weighed one way.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Name of the rule.
    pub rule: &'static str,
    /// Plain loop, or weight net with native code or without.
    pub how: &'static str,
    /// Workers.
    pub threads: usize,
    /// Seconds for all calls.
    pub all: Summary,
    /// Millions of calls per second, best run.
    pub mega_calls: f64,
    /// Processor time, best run, over that of the loop.
    pub ratio: f64,
    /// Interactions of one call; none for the loop.
    pub interactions: Option<f64>,
}

/// A weight net, and the rule it states as ordinary code: the verdicts on links, each of which takes so many interactions.
struct Rule {
    name: &'static str,
    text: &'static str,
    weigh: fn(&[EdgeAttributes], u64) -> Vec<Weighed>,
}

const RULES: [Rule; 2] = [
    Rule {
        name: "stake",
        text: STAKE,
        weigh: |edges, interactions| each(edges, interactions, |edge| edge.stake.min(U32_MAX)),
    },
    Rule {
        name: "age-decay",
        text: AGE_DECAY,
        weigh: |edges, interactions| {
            each(edges, interactions, |edge| {
                edge.stake.min(U32_MAX) / (1 + edge.age.min(U32_MAX) / 1024)
            })
        },
    },
];

/// The plain loop.
fn each(
    edges: &[EdgeAttributes],
    interactions: u64,
    weight: impl Fn(&EdgeAttributes) -> u64,
) -> Vec<Weighed> {
    let weigh = |edge| Weighed {
        verdict: WeightVerdict::Weight(weight(edge)),
        interactions,
    };
    edges.iter().map(weigh).collect()
}

/// Nets see 32 bits.
const U32_MAX: u64 = u32::MAX as u64;
/// Gas of one call, as a genesis file has it unless told otherwise.
const GAS: u64 = 10_000;

/// One way to weigh the links: a device and what it is called, or the plain loop.
type Contender = Option<(&'static str, CpuCoprocessor)>;

/// Checks, measures and prints.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let report = report(arguments)?;
    println!("{}", report.machine);
    print(&report);
    arguments.options.write(&report)
}

/// Checks and measures.
pub fn report(arguments: &Arguments) -> Result<Report, Failure> {
    let options = &arguments.options;
    let machine = Machine::here();
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
    Ok(Report {
        machine,
        seed: arguments.seed,
        calls,
        batch,
        rows,
    })
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
    let mut contenders = contenders(threads)?;
    let mut rows = vec![];
    for rule in &RULES {
        rows.extend(measure(rule, &mut contenders, &edges, batch, rounds)?);
    }
    Ok(rows)
}

/// The loop, and devices with native code and without for every number of threads.
fn contenders(threads: &[usize]) -> Result<Vec<Contender>, Failure> {
    let native = Native::new(NativeOptions::default()).map_err(Failure::failed)?;
    let native = Arc::new(native);
    let mut contenders = vec![None];
    for &threads in threads {
        let device = CpuCoprocessor::with_fuser(threads, Arc::clone(&native) as _);
        contenders.push(Some(("native code", device.map_err(Failure::failed)?)));
        let device = CpuCoprocessor::new(threads).map_err(Failure::failed)?;
        contenders.push(Some(("weight net", device)));
    }
    Ok(contenders)
}

/// Times every contender; each run's verdicts and interactions must be those of the plain loop.
fn measure(
    rule: &Rule,
    contenders: &mut [Contender],
    edges: &[EdgeAttributes],
    batch: usize,
    rounds: usize,
) -> Result<Vec<Row>, Failure> {
    let net = WeightNet::parse(rule.text, 0).map_err(Failure::failed)?;
    // Every call takes as many interactions as the first; that they do is checked with the rest.
    let reference = CpuCoprocessor::new(1).map_err(Failure::failed)?;
    let first = weigh(&net, &reference, &edges[..1], batch)?;
    let interactions = first.first().map_or(0, |edge| edge.interactions);
    let expected = (rule.weigh)(edges, interactions);
    let mut run = |contender: &mut Contender| {
        let (weighed, sample) = match contender {
            None => time(|| Ok(plain(rule, edges, batch, interactions))),
            Some((_, device)) => time(|| weigh(&net, device, edges, batch)),
        };
        check(rule.name, edges, &expected, &weighed?)?;
        Ok(sample)
    };
    interleave(contenders, 1, &mut run)?;
    let samples = interleave(contenders, rounds, &mut run)?;
    let loops: Vec<f64> = samples
        .iter()
        .map(|samples| Summary::of(samples).cpu)
        .collect();
    let row = |(contender, samples): (&Contender, Vec<Sample>)| {
        let all = Summary::of(&samples);
        Row {
            rule: rule.name,
            how: contender.as_ref().map_or("plain loop", |(how, _)| how),
            threads: contender.as_ref().map_or(1, |(_, device)| device.threads()),
            mega_calls: edges.len() as f64 / all.best / 1e6,
            ratio: all.cpu / loops[0],
            all,
            interactions: contender.as_ref().map(|_| interactions as f64),
        }
    };
    Ok(contenders.iter().zip(samples).map(row).collect())
}

/// The rule as a loop that the compiler may not skip, in the same batches.
fn plain(rule: &Rule, edges: &[EdgeAttributes], batch: usize, interactions: u64) -> Vec<Weighed> {
    let mut all = Vec::with_capacity(edges.len());
    for edges in std::hint::black_box(edges).chunks(batch) {
        all.extend((rule.weigh)(edges, interactions));
    }
    std::hint::black_box(all)
}

/// The verdicts that a net gives, in batches of at most `batch` links.
pub fn weigh(
    net: &WeightNet,
    device: &dyn Coprocessor,
    edges: &[EdgeAttributes],
    batch: usize,
) -> Result<Vec<Weighed>, Failure> {
    let mut all = Vec::with_capacity(edges.len());
    for edges in edges.chunks(batch) {
        let weighed = net.evaluate_metered(device, edges, GAS);
        all.extend(weighed.map_err(Failure::failed)?);
    }
    Ok(all)
}

fn check(
    rule: &str,
    edges: &[EdgeAttributes],
    expected: &[Weighed],
    found: &[Weighed],
) -> Result<(), Failure> {
    if expected == found {
        return Ok(());
    }
    let first = expected.iter().zip(found).position(|(a, b)| a != b);
    Err(Failure::Mismatch(match first {
        Some(at) => format!(
            "{rule} gives {:?} for {:?}, expected {:?}",
            found[at], edges[at], expected[at]
        ),
        None => format!("{rule} gives {} verdicts", found.len()),
    }))
}

/// Stakes of every magnitude up to 2^36, so that some saturate; ages up to 2^24 blocks.
pub fn edges(seed: u64, count: usize) -> Vec<EdgeAttributes> {
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
        "x loop",
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
            format!("{:.2}", row.ratio),
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
        let mut contenders = contenders(&[1, 2]).unwrap();
        assert_eq!(contenders.len(), 5);
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

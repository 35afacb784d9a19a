//! Suite `hash`: BLAKE3 and SHA-256 of batches, and the search for a nonce.
//!
//! Digests of a batch are held against those of one input at a time; a search must find what trying one nonce after the
//! other finds. The search that is timed has no answer, so that it tries every nonce.

use ffcm::coprocessor::{HashJob, HashOutput, hash_digest};
use ffcm::hash;
use rayon::ThreadPool;
use serde::Serialize;

use crate::failure::Failure;
use crate::machine::Machine;
use crate::options::{Options, Turns, pool};
use crate::random::SplitMix64;
use crate::table::{Table, hex};
use crate::timing::{Sample, Summary, interleave, seconds, time};

/// Arguments of the suite.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Inputs of a batch, 1024 bytes each; together they are the one long input.
    #[arg(long, default_value_t = 16384, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub inputs: u32,
    /// Nonces of the search.
    #[arg(long, default_value_t = 1 << 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub nonces: u64,
    /// Seed of the inputs.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Rounds and thread counts.
    #[command(flatten)]
    pub turns: Turns,
    /// Size and report.
    #[command(flatten)]
    pub options: Options,
}

/// Bytes of an input of a batch.
const INPUT: usize = 1024;
/// Bytes of the header whose nonce is searched: 16 lie beyond its first block.
const HEADER: usize = 80;

/// The bytes that the workloads are made of.
pub struct Inputs {
    /// All inputs, one after the other.
    pub data: Vec<u8>,
    /// Nonces of a search.
    pub nonces: u64,
}

/// A job, and what to say about it.
pub struct Workload<'a> {
    /// Name in tables.
    pub name: &'static str,
    /// The job.
    pub job: HashJob<'a>,
    /// Bytes hashed, or nonces tried.
    pub units: u64,
    /// What `units` counts.
    pub unit: &'static str,
    /// Computed one at a time.
    pub expected: HashOutput,
}

impl Inputs {
    /// The bytes that the arguments ask for.
    pub fn new(arguments: &Arguments) -> Inputs {
        let (inputs, nonces) = match arguments.options.tiny {
            true => (40, 500),
            false => (arguments.inputs, arguments.nonces),
        };
        let mut random = SplitMix64::new(arguments.seed);
        let words = inputs as usize * INPUT / 8;
        Inputs {
            data: (0..words)
                .flat_map(|_| random.next_u64().to_le_bytes())
                .collect(),
            nonces,
        }
    }

    /// The short inputs.
    pub fn batch(&self) -> Vec<&[u8]> {
        self.data.chunks(INPUT).collect()
    }

    fn header(&self) -> &[u8] {
        &self.data[..HEADER]
    }
}

/// The jobs that are timed. `batch` are the short inputs, `whole` is the long one.
pub fn workloads<'a>(
    inputs: &'a Inputs,
    batch: &'a [&'a [u8]],
    whole: &'a [&'a [u8]],
) -> [Workload<'a>; 4] {
    let digests = |inputs: &[&[u8]], hash: fn(&[&[u8]]) -> Vec<[u8; 32]>| {
        let one = |input: &&[u8]| hash(&[*input]);
        HashOutput::Digests(inputs.iter().flat_map(one).collect())
    };
    let bytes = inputs.data.len() as u64;
    let workload = |name, job, units, unit, expected| Workload {
        name,
        job,
        units,
        unit,
        expected,
    };
    [
        workload(
            "BLAKE3, short inputs",
            HashJob::Blake3(batch),
            bytes,
            "bytes",
            digests(batch, hash::blake3),
        ),
        workload(
            "BLAKE3, one long input",
            HashJob::Blake3(whole),
            bytes,
            "bytes",
            digests(whole, hash::blake3),
        ),
        workload(
            "SHA-256, short inputs",
            HashJob::Sha256(batch),
            bytes,
            "bytes",
            digests(batch, hash::sha256),
        ),
        workload(
            "nonce search",
            search(inputs, inputs.nonces, [0; 32]),
            inputs.nonces,
            "nonces",
            HashOutput::Nonce(None),
        ),
    ]
}

fn search(inputs: &Inputs, count: u64, target: [u8; 32]) -> HashJob<'_> {
    HashJob::PowSearch {
        header: inputs.header(),
        start: 0,
        count,
        target,
    }
}

/// Lets `run` search for nonces that exist; the answers come from trying one after the other.
pub fn check_searches(
    inputs: &Inputs,
    mut run: impl FnMut(&HashJob<'_>) -> Result<HashOutput, Failure>,
) -> Result<(), Failure> {
    for bits in [0, 4, 8, 12] {
        let mut target = [0xff; 32];
        target[..8].copy_from_slice(&(u64::MAX >> bits).to_be_bytes());
        let lowest = (0..u64::MAX).find(|nonce| hash::pow_hash(inputs.header(), *nonce) < target);
        let found = run(&search(inputs, u64::MAX, target))?;
        same("nonce search", &HashOutput::Nonce(lowest), &found)?;
    }
    Ok(())
}

/// The same output, or what differs.
pub fn same(name: &str, expected: &HashOutput, found: &HashOutput) -> Result<(), Failure> {
    if expected == found {
        return Ok(());
    }
    Err(Failure::Mismatch(format!(
        "{name}: {} instead of {} one at a time",
        hex(&hash_digest(found)),
        hex(&hash_digest(expected))
    )))
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    seed: u64,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    what: &'static str,
    threads: usize,
    units: u64,
    unit: &'static str,
    digest: String,
    run: Summary,
    /// Millions of units per second, best run.
    mega_units: f64,
}

/// Checks and measures.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let options = &arguments.options;
    let machine = Machine::here();
    println!("{machine}");
    let inputs = Inputs::new(arguments);
    let (batch, whole) = (inputs.batch(), [inputs.data.as_slice()]);
    let mut pools = Vec::new();
    for &threads in &arguments.turns.threads {
        pools.push(pool(threads)?);
    }
    for pool in &pools {
        pool.install(|| check_searches(&inputs, |job| Ok(on_cpu(job))))?;
    }
    let mut rows = Vec::new();
    for workload in workloads(&inputs, &batch, &whole) {
        let mut run = |pool: &mut ThreadPool| {
            let (found, sample) = pool.install(|| time(|| on_cpu(&workload.job)));
            same(workload.name, &workload.expected, &found)?;
            Ok::<_, Failure>(sample)
        };
        // One round to warm up.
        interleave(&mut pools, 1, &mut run)?;
        let samples = interleave(&mut pools, arguments.turns.rounds(options), &mut run)?;
        let row = |(pool, samples): (&ThreadPool, Vec<Sample>)| {
            let run = Summary::of(&samples);
            Row {
                what: workload.name,
                threads: pool.current_num_threads(),
                units: workload.units,
                unit: workload.unit,
                digest: hex(&hash_digest(&workload.expected)),
                mega_units: workload.units as f64 / run.best / 1e6,
                run,
            }
        };
        rows.extend(pools.iter().zip(samples).map(row));
    }
    let report = Report {
        machine,
        seed: arguments.seed,
        rows,
    };
    print(&report);
    options.write(&report)
}

fn on_cpu(job: &HashJob<'_>) -> HashOutput {
    match job {
        HashJob::Blake3(inputs) => HashOutput::Digests(hash::blake3(inputs)),
        HashJob::Sha256(inputs) => HashOutput::Digests(hash::sha256(inputs)),
        HashJob::PowSearch {
            header,
            start,
            count,
            target,
        } => HashOutput::Nonce(hash::pow_search(header, *start, *count, target)),
    }
}

fn print(report: &Report) {
    let mut table = Table::new([
        "job", "threads", "best", "median", "CPU", "M/s", "", "digest",
    ]);
    for row in &report.rows {
        table.row([
            row.what.to_owned(),
            row.threads.to_string(),
            seconds(row.run.best),
            seconds(row.run.median),
            seconds(row.run.cpu),
            format!("{:.2}", row.mega_units),
            row.unit.to_owned(),
            row.digest[..16].to_owned(),
        ]);
    }
    println!("{table}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> Inputs {
        Inputs {
            data: (0..4096_u32).map(|i| (i * 7) as u8).collect(),
            nonces: 10,
        }
    }

    #[test]
    fn wrong_digests_and_nonces_are_noticed() {
        let inputs = inputs();
        let (batch, whole) = (inputs.batch(), [inputs.data.as_slice()]);
        for workload in workloads(&inputs, &batch, &whole) {
            assert!(same("", &workload.expected, &on_cpu(&workload.job)).is_ok());
            let wrong = HashOutput::Nonce(Some(3));
            let mismatch = same("", &workload.expected, &wrong);
            assert!(matches!(mismatch, Err(Failure::Mismatch(_))));
        }
        assert!(check_searches(&inputs, |job| Ok(on_cpu(job))).is_ok());
        let late = |job: &HashJob<'_>| match on_cpu(job) {
            HashOutput::Nonce(nonce) => Ok(HashOutput::Nonce(nonce.map(|nonce| nonce + 1))),
            other => Ok(other),
        };
        assert!(check_searches(&inputs, late).is_err());
    }
}

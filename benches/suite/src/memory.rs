//! Suite `memory`: a batch of Memory Arithmetic against the same operations one at a time.
//!
//! Both orders of work must give one digest. The floor is the time that the bytes every operation must touch take at
//! the measured streaming bandwidth of main memory; a tensor that fits a cache may be faster than that.

use std::collections::BTreeMap;

use ffcm::memory::{
    DECAY_MAX, DECAY_MIN, DIMENSION, LAYERS, Memory, MemoryError, MemoryOp, SCALAR_ONE, SLOTS,
    SlotId,
};
use rayon::ThreadPool;
use serde::Serialize;

use crate::bandwidth;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::options::{Options, Turns, pool};
use crate::random::SplitMix64;
use crate::table::Table;
use crate::timing::{Sample, Summary, interleave, seconds, time};

/// Arguments of the suite.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Operations of the batch.
    #[arg(long, default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    pub operations: u32,
    /// Shards of the tensor, 128 KiB each.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub shards: u16,
    /// Seed of the operations.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Rounds and thread counts.
    #[command(flatten)]
    pub turns: Turns,
    /// Size and report.
    #[command(flatten)]
    pub options: Options,
}

impl Arguments {
    /// Operations of the batch.
    pub fn count(&self) -> usize {
        if self.options.tiny {
            256
        } else {
            self.operations as usize
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    shards: u16,
    seed: u64,
    operations: usize,
    refused: usize,
    bytes: usize,
    digest: String,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    how: &'static str,
    threads: usize,
    batch: Summary,
    /// Millions of operations per second, best run.
    mega_operations: f64,
    /// The floor's time over the best time.
    of_floor: f64,
    /// Bytes per second of the triad at this thread count.
    bandwidth: f64,
}

/// A slot and what to do to it.
pub type Operation = (SlotId, MemoryOp);
/// What each operation gave.
pub type Results = Vec<Result<(), MemoryError>>;

/// One way to apply the operations.
struct Contender {
    how: &'static str,
    pool: ThreadPool,
    apply: fn(&mut Memory, &[Operation]) -> Results,
}

/// Checks and measures.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let options = &arguments.options;
    let machine = Machine::here();
    println!("{machine}");
    let count = arguments.count();
    let operations = operations(arguments.seed, arguments.shards, count);
    let start = Memory::from_seed(arguments.shards, [7; 32]);
    let mut expected = start.clone();
    let results = one_by_one(&mut expected, &operations);
    let digest = expected.digest();

    let mut contenders = contenders(&arguments.turns.threads)?;
    let mut run = |contender: &mut Contender| {
        let mut memory = start.clone();
        let (found, sample) = contender
            .pool
            .install(|| time(|| (contender.apply)(&mut memory, &operations)));
        if memory.digest() != digest || found != results {
            return Err(Failure::Mismatch(format!(
                "{} with {} thread(s) leaves another tensor than one operation at a time",
                contender.how,
                contender.pool.current_num_threads()
            )));
        }
        Ok(sample)
    };
    interleave(&mut contenders, 1, &mut run)?;
    let samples = interleave(&mut contenders, arguments.turns.rounds(options), &mut run)?;
    let bytes = operations.iter().map(|(_, op)| compulsory_bytes(op)).sum();
    let triads = triads(&contenders, options.tiny);
    let row = |(contender, samples): (&Contender, Vec<Sample>)| {
        let threads = contender.pool.current_num_threads();
        let batch = Summary::of(&samples);
        let bandwidth = triads.get(&threads).copied().unwrap_or(f64::NAN);
        Row {
            how: contender.how,
            threads,
            mega_operations: count as f64 / batch.best / 1e6,
            of_floor: bytes as f64 / bandwidth / batch.best,
            batch,
            bandwidth,
        }
    };
    let report = Report {
        machine,
        shards: arguments.shards,
        seed: arguments.seed,
        operations: count,
        refused: results.iter().filter(|result| result.is_err()).count(),
        bytes,
        digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        rows: contenders.iter().zip(samples).map(row).collect(),
    };
    print(&report);
    options.write(&report)
}

fn contenders(threads: &[usize]) -> Result<Vec<Contender>, Failure> {
    let mut contenders = vec![Contender {
        how: "one at a time",
        pool: pool(1)?,
        apply: one_by_one,
    }];
    for &threads in threads {
        contenders.push(Contender {
            how: "batch",
            pool: pool(threads)?,
            apply: |memory, operations| memory.apply_batch(operations),
        });
    }
    Ok(contenders)
}

/// Applies every operation by itself, in order.
pub fn one_by_one(memory: &mut Memory, operations: &[Operation]) -> Results {
    let apply = |(slot, op): &Operation| memory.apply(*slot, op);
    operations.iter().map(apply).collect()
}

/// Triad bandwidth by thread count.
fn triads(contenders: &[Contender], tiny: bool) -> BTreeMap<usize, f64> {
    let mut triads = BTreeMap::new();
    for Contender { pool, .. } in contenders {
        triads
            .entry(pool.current_num_threads())
            .or_insert_with(|| pool.install(|| bandwidth::floor(tiny)));
    }
    triads
}

/// Bytes that an operation reads and writes, its own operands included.
fn compulsory_bytes(op: &MemoryOp) -> usize {
    const SLOT: usize = 4 * DIMENSION;
    match op {
        MemoryOp::Add { vector } => 2 * SLOT + 2 * vector.len(),
        MemoryOp::Mix { .. } => 3 * SLOT,
        MemoryOp::Decay { .. } | MemoryOp::Clip => 2 * SLOT,
    }
}

/// Mostly additions, two in a hundred of everything refused.
pub fn operations(seed: u64, shards: u16, count: usize) -> Vec<Operation> {
    let mut random = SplitMix64::new(seed);
    let mut below = move |bound: u64| random.below(bound);
    let operation = |_| {
        let target = SlotId {
            shard: below(u64::from(shards)) as u16,
            layer: below(u64::from(LAYERS)) as u8,
            slot: below(u64::from(SLOTS)) as u8,
        };
        let op = match below(100) {
            0..60 => MemoryOp::Add {
                vector: (0..DIMENSION).map(|_| below(512) as i16 - 256).collect(),
            },
            60..75 => MemoryOp::Decay {
                factor: DECAY_MIN + below(u64::from(DECAY_MAX - DECAY_MIN) + 1) as u16,
            },
            75..90 => MemoryOp::Mix {
                alpha: below(u64::from(SCALAR_ONE) + 1) as u16,
                source: below(u64::from(SLOTS)) as u8,
            },
            90..98 => MemoryOp::Clip,
            98 => MemoryOp::Decay { factor: 1 },
            _ => MemoryOp::Add { vector: vec![0] },
        };
        (target, op)
    };
    (0..count).map(operation).collect()
}

fn print(report: &Report) {
    println!(
        "{} operations ({} refused) on {} shards, seed {}, digest {}",
        report.operations, report.refused, report.shards, report.seed, report.digest
    );
    let mut table = Table::new([
        "whole batch",
        "threads",
        "best",
        "median",
        "CPU",
        "M ops/s",
        "of floor",
        "triad GB/s",
    ]);
    for row in &report.rows {
        table.row([
            row.how.to_owned(),
            row.threads.to_string(),
            seconds(row.batch.best),
            seconds(row.batch.median),
            seconds(row.batch.cpu),
            format!("{:.2}", row.mega_operations),
            format!("{:.0} %", row.of_floor * 100.0),
            format!("{:.1}", row.bandwidth / 1e9),
        ]);
    }
    println!("{table}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_seeded_and_of_every_kind() {
        let ops = operations(1, 4, 2000);
        assert_eq!(ops, operations(1, 4, 2000));
        assert_ne!(ops, operations(2, 4, 2000));
        let mut memory = Memory::from_seed(4, [7; 32]);
        let before = memory.digest();
        let refused = one_by_one(&mut memory, &ops);
        let refused = refused.iter().filter(|result| result.is_err()).count();
        assert!((1..200).contains(&refused), "{refused} refused");
        assert_ne!(memory.digest(), before);
        for kind in [
            |op: &MemoryOp| matches!(op, MemoryOp::Clip),
            |op: &MemoryOp| matches!(op, MemoryOp::Mix { .. }),
            |op: &MemoryOp| matches!(op, MemoryOp::Decay { .. }),
        ] {
            assert!(ops.iter().any(|(_, op)| kind(op)));
        }
    }
}

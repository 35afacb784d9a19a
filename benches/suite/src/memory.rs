//! Suite `memory`: a batch of Memory Arithmetic against the same operations one at a time, and against the bandwidth of
//! main memory.
//!
//! Both orders of work must give one digest. The floor is the time that the bytes which must move take at the streaming
//! bandwidth measured in the same run: every operation, its vector and its result once, every slot that is read once in,
//! every slot that is written once out, however often it is touched. A clip moves no slot, since no tensor is beyond its bounds.
//! Beside it stands the same for the bytes that the operations touch, one by one. A tensor or batch that fits a cache
//! may be faster than that.

use std::collections::{BTreeMap, BTreeSet};

use ffcm::memory::{
    CheckedOp, DECAY_MAX, DECAY_MIN, DIMENSION, LAYERS, Memory, MemoryError, MemoryOp, SCALAR_ONE,
    SLOTS, SlotId,
};
use rayon::ThreadPool;
use serde::Serialize;

use crate::bandwidth;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::options::{Options, Turns, pool};
use crate::random::SplitMix64;
use crate::table::{Table, hex};
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
    kinds: Vec<Measured>,
}

/// Which operations a batch holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Mostly additions, two in a hundred of everything refused.
    Mixed,
    /// Additions of vectors above the L1 bound, which are scaled.
    Add,
    /// Decays.
    Decay,
    /// Mixes.
    Mix,
    /// Clips.
    Clip,
}

impl Kind {
    /// All of them, the mixed batch first.
    pub const ALL: [Kind; 5] = [Kind::Mixed, Kind::Add, Kind::Decay, Kind::Mix, Kind::Clip];

    /// As in a table.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Mixed => "mixed",
            Kind::Add => "add",
            Kind::Decay => "decay",
            Kind::Mix => "mix",
            Kind::Clip => "clip",
        }
    }
}

/// What one batch gave.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Its operations.
    pub kind: Kind,
    /// How many.
    pub operations: usize,
    /// How many of them are refused.
    pub refused: usize,
    /// Bytes that must move between memory and processor: the floor.
    pub floor_bytes: usize,
    /// Bytes that the operations read and write, one by one.
    pub touched_bytes: usize,
    /// BLAKE3 of the tensor after the batch, the same for every row.
    pub digest: String,
    /// One at a time, then the batch by thread count.
    pub rows: Vec<Row>,
}

/// What single operations are called in [`Row::how`].
pub const SINGLE: &str = "one at a time";

/// One way to apply a batch.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// `one at a time` or `batch`.
    pub how: &'static str,
    /// Worker threads.
    pub threads: usize,
    /// Times of the whole batch.
    pub batch: Summary,
    /// Millions of operations per second, best run.
    pub mega_operations: f64,
    /// The floor's time over the best time.
    pub of_floor: f64,
    /// The same for the bytes touched.
    pub of_touched: f64,
    /// Bytes per second of the triad at this thread count.
    pub bandwidth: f64,
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Seed of the operations.
    pub seed: u64,
    /// Shards of the tensor, 128 KiB each.
    pub shards: u16,
    /// Operations of each batch.
    pub operations: usize,
    /// Thread counts of the batches.
    pub threads: Vec<usize>,
    /// Timed runs of each way, interleaved.
    pub rounds: usize,
    /// Small arrays for the bandwidth too: times say nothing.
    pub tiny: bool,
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
    let workload = Workload {
        seed: arguments.seed,
        shards: arguments.shards,
        operations: arguments.count(),
        threads: arguments.turns.threads.clone(),
        rounds: arguments.turns.rounds(options),
        tiny: options.tiny,
    };
    let report = Report {
        machine,
        shards: arguments.shards,
        seed: arguments.seed,
        kinds: measure(&workload, &Kind::ALL)?,
    };
    print(&report);
    options.write(&report)
}

/// Measures a batch of each of `kinds`; the bandwidth is measured once, between the first batch and the others.
/// [`Failure::Mismatch`] if a way leaves another tensor or other results than one operation at a time.
pub fn measure(workload: &Workload, kinds: &[Kind]) -> Result<Vec<Measured>, Failure> {
    let mut contenders = contenders(&workload.threads)?;
    let mut triads = BTreeMap::new();
    let mut measured = Vec::with_capacity(kinds.len());
    for &kind in kinds {
        measured.push(measure_kind(workload, kind, &mut contenders, &mut triads)?);
    }
    Ok(measured)
}

fn measure_kind(
    workload: &Workload,
    kind: Kind,
    contenders: &mut [Contender],
    triads: &mut BTreeMap<usize, f64>,
) -> Result<Measured, Failure> {
    let count = workload.operations;
    let operations = operations_of(kind, workload.seed, workload.shards, count);
    let start = Memory::from_seed(workload.shards, [7; 32]);
    let mut expected = start.clone();
    let results = one_by_one(&mut expected, &operations);
    let mut memory = start.clone();
    let mut run = |contender: &mut Contender| {
        // Into the same pages every time: new ones would be timed too.
        memory.clone_from(&start);
        let (found, sample) = contender
            .pool
            .install(|| time(|| (contender.apply)(&mut memory, &operations)));
        if memory != expected || found != results {
            return Err(Failure::Mismatch(format!(
                "{} ({}) with {} thread(s) leaves another tensor than one operation at a time",
                contender.how,
                kind.name(),
                contender.pool.current_num_threads()
            )));
        }
        Ok(sample)
    };
    interleave(contenders, 1, &mut run)?;
    let samples = interleave(contenders, workload.rounds, &mut run)?;
    let floor_bytes = floor_bytes(&operations);
    let touched_bytes = operations.iter().map(touched_bytes).sum();
    let mut row = |(contender, samples): (&Contender, Vec<Sample>)| {
        let threads = contender.pool.current_num_threads();
        let batch = Summary::of(&samples);
        let triad = || contender.pool.install(|| bandwidth::floor(workload.tiny));
        let bandwidth = *triads.entry(threads).or_insert_with(triad);
        Row {
            how: contender.how,
            threads,
            mega_operations: count as f64 / batch.best / 1e6,
            of_floor: floor_bytes as f64 / bandwidth / batch.best,
            of_touched: touched_bytes as f64 / bandwidth / batch.best,
            batch,
            bandwidth,
        }
    };
    Ok(Measured {
        kind,
        operations: count,
        refused: results.iter().filter(|result| result.is_err()).count(),
        floor_bytes,
        touched_bytes,
        digest: hex(&expected.digest()),
        rows: contenders.iter().zip(samples).map(&mut row).collect(),
    })
}

fn contenders(threads: &[usize]) -> Result<Vec<Contender>, Failure> {
    let mut contenders = vec![Contender {
        how: SINGLE,
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

const SLOT: usize = 4 * DIMENSION;

/// Bytes that an operation reads and writes, its vector included; none of one that is refused.
fn touched_bytes((_, op): &Operation) -> usize {
    match op.check() {
        Ok(CheckedOp::Add(vector)) => 2 * SLOT + size_of_val(vector),
        Ok(CheckedOp::Mix { .. }) => 3 * SLOT,
        Ok(CheckedOp::Decay(_) | CheckedOp::Clip) => 2 * SLOT,
        Err(_) => 0,
    }
}

/// Bytes that must move whatever the order of work: operations, vectors and results once, slots once in and once out.
pub fn floor_bytes(operations: &[Operation]) -> usize {
    let own = size_of::<Operation>() + size_of::<Result<(), MemoryError>>();
    let mut bytes = operations.len() * own;
    let (mut read, mut written) = (BTreeSet::new(), BTreeSet::new());
    for (target, op) in operations {
        match op.check() {
            Ok(CheckedOp::Add(vector)) => bytes += size_of_val(vector),
            Ok(CheckedOp::Mix { source, .. }) => {
                read.insert(SlotId {
                    slot: source,
                    ..*target
                });
            }
            Ok(CheckedOp::Decay(_)) => {}
            Ok(CheckedOp::Clip) | Err(_) => continue,
        }
        read.insert(*target);
        written.insert(*target);
    }
    bytes + (read.len() + written.len()) * SLOT
}

/// The mixed batch.
pub fn operations(seed: u64, shards: u16, count: usize) -> Vec<Operation> {
    operations_of(Kind::Mixed, seed, shards, count)
}

fn operations_of(kind: Kind, seed: u64, shards: u16, count: usize) -> Vec<Operation> {
    let mut random = SplitMix64::new(seed);
    let mut below = move |bound: u64| random.below(bound);
    let operation = |_| {
        let target = SlotId {
            shard: below(u64::from(shards)) as u16,
            layer: below(u64::from(LAYERS)) as u8,
            slot: below(u64::from(SLOTS)) as u8,
        };
        let choice = below(100);
        let choice = match kind {
            Kind::Mixed => choice,
            Kind::Add => 0,
            Kind::Decay => 60,
            Kind::Mix => 75,
            Kind::Clip => 90,
        };
        let op = match choice {
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
    for measured in &report.kinds {
        println!(
            "{}: {} operations ({} refused) on {} shards, seed {}, digest {}",
            measured.kind.name(),
            measured.operations,
            measured.refused,
            report.shards,
            report.seed,
            measured.digest
        );
    }
    let mut table = Table::new([
        "whole batch",
        "threads",
        "best",
        "median",
        "CPU",
        "M ops/s",
        "of floor",
        "of touched",
        "triad GB/s",
    ]);
    for Measured { kind, rows, .. } in &report.kinds {
        for row in rows {
            table.row([
                format!("{}, {}", kind.name(), row.how),
                row.threads.to_string(),
                seconds(row.batch.best),
                seconds(row.batch.median),
                seconds(row.batch.cpu),
                format!("{:.2}", row.mega_operations),
                format!("{:.0} %", row.of_floor * 100.0),
                format!("{:.0} %", row.of_touched * 100.0),
                format!("{:.1}", row.bandwidth / 1e9),
            ]);
        }
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

    #[test]
    fn the_floor_counts_every_byte_once() {
        let at = |slot| SlotId {
            shard: 0,
            layer: 0,
            slot,
        };
        let own = size_of::<Operation>() + 1;
        let add = || MemoryOp::Add {
            vector: vec![1; DIMENSION],
        };
        let mix = MemoryOp::Mix {
            alpha: 1,
            source: 9,
        };
        let refused = MemoryOp::Decay { factor: 1 };
        assert_eq!(
            floor_bytes(&[(at(1), MemoryOp::Clip), (at(2), refused)]),
            2 * own
        );
        assert_eq!(floor_bytes(&[(at(1), add())]), own + 256 + 1024);
        assert_eq!(
            floor_bytes(&[(at(1), add()), (at(1), add())]),
            2 * own + 512 + 1024
        );
        assert_eq!(
            floor_bytes(&[(at(1), add()), (at(1), mix)]),
            2 * own + 256 + 1536
        );
        assert_eq!(touched_bytes(&(at(1), add())), 1280);
    }

    #[test]
    fn every_kind_is_measured_and_agrees() {
        let workload = Workload {
            seed: 1,
            shards: 2,
            operations: 600,
            threads: vec![1, 2],
            rounds: 1,
            tiny: true,
        };
        let measured = measure(&workload, &Kind::ALL).unwrap();
        assert_eq!(measured.len(), Kind::ALL.len());
        for Measured {
            kind,
            rows,
            refused,
            ..
        } in &measured
        {
            assert_eq!(rows.len(), 3);
            assert_eq!(*refused > 0, *kind == Kind::Mixed);
            assert!(rows.iter().all(|row| row.of_floor > 0.0));
        }
    }
}

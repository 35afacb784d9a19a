//! Suite `signatures`: Ed25519 under ZIP-215 rules, one by one and in batches.
//!
//! Before anything is timed, every way must give the verdicts of single verification on a batch with wrong signatures
//! of each kind in it; while it is timed, every signature must be found good.

use focus_types::{Address, Keypair, Signature, SignatureError, SignedMessage};
use focus_types::{verify, verify_batch, verify_each};
use serde::Serialize;

use crate::failure::Failure;
use crate::machine::Machine;
use crate::options::{Options, Turns, pool};
use crate::random::SplitMix64;
use crate::table::Table;
use crate::timing::{Sample, Summary, interleave, time};

/// Arguments of the suite.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Signatures to verify.
    #[arg(long, default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..=1 << 22))]
    signatures: u32,
    /// Who signed them, in turn.
    #[arg(long, default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..=1 << 22))]
    senders: u32,
    /// Seed of keys and messages.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    turns: Turns,
    #[command(flatten)]
    options: Options,
}

/// What is verified; equal values give equal signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Workload {
    /// Signatures; at least 1.
    pub signatures: u32,
    /// Who signed them, in turn; at least 1.
    pub senders: u32,
    /// Seed of keys and messages.
    pub seed: u64,
}

/// One way to verify all signatures.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The way.
    pub how: &'static str,
    /// Signatures handed over at once.
    pub batch: usize,
    /// Worker threads.
    pub threads: usize,
    /// Seconds for all signatures.
    pub all: Summary,
    /// Signatures per second of CPU time, all threads together.
    pub per_cpu_second: f64,
    /// How many times as fast as the first number of threads this is, if no thread waits for another: threads over
    /// threads, times CPU time over CPU time.
    pub scaling: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    workload: Workload,
    rows: Vec<Row>,
}

/// A way to verify, and how many at once.
#[derive(Clone, Copy, Debug)]
struct Contender {
    how: How,
    batch: usize,
}

#[derive(Clone, Copy, Debug)]
enum How {
    /// On one thread, whatever the pool.
    OneByOne,
    Batch,
    Each,
}

/// Bytes of a message: a transaction's hash with its domain.
const MESSAGE: usize = 96;
/// Batches timed, small to large; those above the number of signatures are left out.
const BATCHES: [usize; 5] = [4, 64, 1024, 2048, 8192];

/// Checks and measures.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let options = &arguments.options;
    let machine = Machine::here();
    println!("{machine}");
    let most = if options.tiny { 100 } else { u32::MAX };
    let workload = Workload {
        signatures: arguments.signatures.min(most),
        senders: arguments.senders.min(most),
        seed: arguments.seed,
    };
    let rounds = arguments.turns.rounds(options);
    let rows = rows(workload, &arguments.turns.threads, rounds)?;
    let report = Report {
        machine,
        workload,
        rows,
    };
    print(&report);
    options.write(&report)
}

/// Measures every way with every number of threads, of which the first is what others are compared with.
pub fn rows(workload: Workload, threads: &[usize], rounds: usize) -> Result<Vec<Row>, Failure> {
    let signed = signed(workload);
    let items: Vec<SignedMessage<'_>> = { signed.iter() }
        .map(|(sender, message, signature)| (*sender, &message[..], *signature))
        .collect();
    check_verdicts(&items[..items.len().min(500)], threads)?;
    let batches = BATCHES.into_iter().filter(|&batch| batch <= items.len());
    let mut contenders: Vec<Contender> = [How::Batch, How::Each]
        .into_iter()
        .flat_map(|how| batches.clone().map(move |batch| Contender { how, batch }))
        .collect();
    contenders.insert(
        0,
        Contender {
            how: How::OneByOne,
            batch: 1,
        },
    );
    let mut rows: Vec<Row> = vec![];
    for &threads in threads {
        let pool = pool(threads)?;
        let run = |contender: &mut Contender| {
            let (good, sample) = time(|| pool.install(|| contender.all_good(&items)));
            good.then_some(sample)
                .ok_or_else(|| Failure::Mismatch(format!("{contender:?} refuses a good signature")))
        };
        let samples = interleave(&mut contenders, rounds, run)?;
        for (place, (contender, samples)) in contenders.iter().zip(&samples).enumerate() {
            let first = rows.get(place).map(|row| (row.threads, row.all.cpu));
            rows.push(contender.row(items.len(), threads, samples, first));
        }
    }
    Ok(rows)
}

impl Contender {
    fn all_good(self, items: &[SignedMessage<'_>]) -> bool {
        items.chunks(self.batch).all(|items| match self.how {
            How::OneByOne => items.iter().all(|(a, m, s)| verify(a, m, s).is_ok()),
            How::Batch => verify_batch(items).is_ok(),
            How::Each => verify_each(items).iter().all(Result::is_ok),
        })
    }

    fn row(
        self,
        signatures: usize,
        threads: usize,
        samples: &[Sample],
        first: Option<(usize, f64)>,
    ) -> Row {
        let all = Summary::of(samples);
        let (first_threads, first_cpu) = first.unwrap_or((threads, all.cpu));
        Row {
            how: match self.how {
                How::OneByOne => "one by one",
                How::Batch => "batch",
                How::Each => "batch, a verdict for each",
            },
            batch: self.batch,
            threads: match self.how {
                How::OneByOne => 1,
                _ => threads,
            },
            per_cpu_second: signatures as f64 / all.cpu,
            scaling: match self.how {
                How::OneByOne => 1.0,
                _ => threads as f64 / first_threads as f64 * first_cpu / all.cpu,
            },
            all,
        }
    }
}

/// Seeded keys and messages, signed.
fn signed(workload: Workload) -> Vec<(Address, Vec<u8>, Signature)> {
    let mut random = SplitMix64::new(workload.seed);
    let mut bytes = |count: usize| -> Vec<u8> {
        let words = (0..count.div_ceil(8)).flat_map(|_| random.next_u64().to_le_bytes());
        words.take(count).collect()
    };
    let senders = workload.senders.min(workload.signatures) as usize;
    let key = |seed: Vec<u8>| {
        let mut exact = [0; 32];
        exact.copy_from_slice(&seed);
        Keypair::from_seed(exact)
    };
    let keys: Vec<Keypair> = (0..senders).map(|_| key(bytes(32))).collect();
    let sign = |number: usize| {
        let key = &keys[number % senders];
        let message = bytes(MESSAGE);
        let signature = key.sign(&message);
        (key.address(), message, signature)
    };
    (0..workload.signatures as usize).map(sign).collect()
}

/// Spoils every eleventh signature, each in another way, and compares the verdicts of all ways.
fn check_verdicts(items: &[SignedMessage<'_>], threads: &[usize]) -> Result<(), Failure> {
    let mut items = items.to_vec();
    let other = items[0].0;
    for (number, item) in items.iter_mut().skip(2).step_by(11).enumerate() {
        match number % 4 {
            0 => item.2.0[7] ^= 4,
            1 => item.2.0[63] = 0xff,
            2 => item.1 = &item.1[1..],
            _ => item.0 = other,
        }
    }
    let single: Vec<Result<(), SignatureError>> =
        items.iter().map(|(a, m, s)| verify(a, m, s)).collect();
    let first = single.iter().position(Result::is_err);
    let expected = first.map_or(Ok(()), |at| single[at].map_err(|error| (at, error)));
    for &threads in threads {
        let pool = pool(threads)?;
        let (batch, each) = pool.install(|| (verify_batch(&items), verify_each(&items)));
        if batch != expected || each != single {
            let what = format!("{threads} threads judge a batch otherwise than its signatures");
            return Err(Failure::Mismatch(what));
        }
    }
    Ok(())
}

fn print(report: &Report) {
    let Workload {
        signatures,
        senders,
        seed,
    } = report.workload;
    println!("{signatures} signatures of {senders} senders, seed {seed}");
    let mut table = Table::new([
        "how",
        "batch",
        "threads",
        "1/CPU s",
        "scaling",
        "best wall 1/s",
    ]);
    for row in &report.rows {
        table.row([
            row.how.to_owned(),
            row.batch.to_string(),
            row.threads.to_string(),
            format!("{:.0}", row.per_cpu_second),
            format!("{:.2}", row.scaling),
            format!("{:.0}", f64::from(signatures) / row.all.best),
        ]);
    }
    println!("{table}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_there_and_a_wrong_signature_is_noticed() {
        let workload = Workload {
            signatures: 70,
            senders: 9,
            seed: 2,
        };
        let rows = rows(workload, &[1, 2], 1).unwrap();
        assert_eq!(rows.len(), 2 * (1 + 2 * 2));
        assert!(rows.iter().all(|row| row.per_cpu_second > 0.0));
        let mut signed = signed(workload);
        signed[69].1[0] ^= 1;
        let items: Vec<SignedMessage<'_>> = { signed.iter() }
            .map(|(sender, message, signature)| (*sender, &message[..], *signature))
            .collect();
        for how in [How::OneByOne, How::Batch, How::Each] {
            let contender = Contender { how, batch: 64 };
            assert!(!contender.all_good(&items), "{how:?}");
            assert!(contender.all_good(&items[..69]), "{how:?}");
        }
    }
}

//! `peers differential`: random nets through the published runtime, the oracle and the CPU engine; results, interaction
//! counts by opcode and errors must agree.

use std::collections::BTreeMap;

use ffcm::cpu::NetEngine;
use ffcm::net::{Book, Limits, Outcome, ReduceError};
use ffcm::oracle;

use crate::failure::Failure;
use crate::hvm2::{self, Refusal};
use crate::random_net;

/// Arguments of `peers differential`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How many nets.
    #[arg(long, default_value_t = 2000)]
    cases: u64,
    /// Seed of the first net; net i has seed SEED + i.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Interactions a net may take.
    #[arg(long, default_value_t = 20_000)]
    gas: u64,
    /// Print the nets with their outcome.
    #[arg(long)]
    show: bool,
    /// A quick run of few cases.
    #[arg(long)]
    tiny: bool,
}

/// How a case ended.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// All engines agree, the published runtime among them.
    Agreed {
        /// How many there were.
        interactions: u64,
    },
    /// Our engines agree; the published runtime has nothing to say, for this reason.
    OursOnly(&'static str),
    /// Somebody differs.
    Differs(String),
}

/// Runs all cases, prints what was compared, and fails if any differ or too few could be compared.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let cases = if arguments.tiny { 50 } else { arguments.cases };
    let mut tally: BTreeMap<&str, u64> = BTreeMap::new();
    let mut differing = 0;
    let mut interactions = 0;
    for seed in arguments.seed..arguments.seed.saturating_add(cases) {
        let text = random_net::text(seed);
        let verdict = compare(&text, arguments.gas);
        if arguments.show {
            println!("seed {seed}: {verdict:?}\n{text}");
        }
        let key = match verdict {
            Verdict::Agreed { interactions: some } => {
                interactions += some;
                "agreed"
            }
            Verdict::OursOnly(reason) => reason,
            Verdict::Differs(how) => {
                differing += 1;
                println!("seed {seed} differs: {how}\n{text}");
                "differs"
            }
        };
        *tally.entry(key).or_default() += 1;
    }
    println!(
        "{cases} nets from seed {}, at most {} interactions each",
        arguments.seed, arguments.gas
    );
    for (key, count) in &tally {
        println!("{count:>8}  {key}");
    }
    println!("{interactions} interactions in nets that agreed");
    let agreed = tally.get("agreed").copied().unwrap_or(0);
    if differing > 0 {
        return Err(Failure::Mismatch(format!(
            "{differing} of {cases} nets differ"
        )));
    }
    if agreed * 2 < cases {
        return Err(Failure::Failed(format!(
            "only {agreed} of {cases} nets could be compared"
        )));
    }
    Ok(())
}

fn compare(text: &str, gas: u64) -> Verdict {
    let book = match Book::parse(text) {
        Ok(book) => book,
        Err(error) => return Verdict::Differs(format!("the loader refuses it: {error}")),
    };
    let call = match book.main() {
        Ok(call) => call,
        Err(error) => return Verdict::Differs(format!("no main: {error}")),
    };
    let limits = Limits {
        gas,
        nodes: 1 << 20,
        result_bytes: 1 << 16,
    };
    let ours = oracle::reduce(&book, &call, &limits);
    let engine = NetEngine::new(&book);
    for threads in [1, 2] {
        let found = engine.reduce(&call, &limits, threads, None);
        if found != ours {
            let (ours, found) = (show(&ours), show(&found));
            return Verdict::Differs(format!(
                "oracle\n{ours}\nCPU engine, {threads} thread(s)\n{found}"
            ));
        }
    }
    against_published(&ours, hvm2::reduce(text, gas, 1 << 16))
}

/// Holds our outcome against the published runtime's.
fn against_published(
    ours: &Result<Outcome, ReduceError>,
    theirs: Result<hvm2::Reduced, Refusal>,
) -> Verdict {
    match (ours, theirs) {
        (_, Err(Refusal::Parse(error))) => {
            Verdict::Differs(format!("{} cannot parse it: {error}", hvm2::VERSION))
        }
        (_, Err(Refusal::ClonesNonAffine)) => {
            Verdict::OursOnly("duplicates a reference with duplicators: refused there")
        }
        (_, Err(Refusal::Panicked(_))) => Verdict::OursOnly("arithmetic that panics there"),
        (Ok(ours), Ok(theirs)) if ours.result == theirs.result && ours.counts == theirs.counts => {
            Verdict::Agreed {
                interactions: ours.counts.total(),
            }
        }
        (Err(ReduceError::OutOfGas { .. }), Err(Refusal::OutOfGas(_))) => {
            Verdict::OursOnly("out of gas on both")
        }
        (Err(ReduceError::ViciousCircle), Ok(_) | Err(Refusal::Unreadable(_))) => {
            Verdict::OursOnly("vicious circle: an error here, undefined there")
        }
        (Err(ReduceError::ResultTooLong { .. }), Err(Refusal::Unreadable(_))) => {
            Verdict::OursOnly("result too long on both")
        }
        (ours, theirs) => {
            let theirs = match theirs {
                Ok(theirs) => describe(&theirs.result, &theirs.counts),
                Err(refusal) => refusal.to_string(),
            };
            Verdict::Differs(format!("ours\n{}\n{}\n{theirs}", show(ours), hvm2::VERSION))
        }
    }
}

fn show(outcome: &Result<Outcome, ReduceError>) -> String {
    match outcome {
        Ok(outcome) => describe(&outcome.result, &outcome.counts),
        Err(error) => error.to_string(),
    }
}

fn describe(result: &str, counts: &ffcm::spec::rules::Counts) -> String {
    let by_opcode: Vec<String> = counts
        .iter()
        .map(|(op, n)| format!("{} {n}", op.name()))
        .collect();
    format!(
        "  {result}\n  {} interactions: {}",
        counts.total(),
        by_opcode.join(", ")
    )
}

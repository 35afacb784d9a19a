//! `peers differential`: random nets through the published runtime, the oracle and the CPU engine; results, interaction
//! counts by opcode and errors must agree.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use ffcm::cpu::NetEngine;
use ffcm::net::{Book, Limits, Outcome, ReduceError};
use ffcm::oracle;

use crate::hvm2::{self, Refusal};
use crate::random_net;
use ffcm_suite::failure::Failure;

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
    /// Compare the nets in these files instead of random ones.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    files: Vec<PathBuf>,
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
        /// NaNs of the published runtime that were made canonical.
        foreign_nans: u64,
    },
    /// Our engines agree; the published runtime has nothing to say, for this reason.
    OursOnly(&'static str),
    /// Somebody differs.
    Differs(String),
}

/// Runs all cases, prints what was compared, and fails if any differ or too few could be compared.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let nets = nets(arguments)?;
    let mut tally: BTreeMap<&str, usize> = BTreeMap::new();
    let mut differing = 0;
    let (mut interactions, mut foreign_nans) = (0, 0);
    for (name, text) in &nets {
        let verdict = compare(text, arguments.gas);
        if arguments.show {
            println!("{name}: {verdict:?}\n{text}");
        }
        let key = match verdict {
            Verdict::Agreed {
                interactions: some,
                foreign_nans: nans,
            } => {
                interactions += some;
                foreign_nans += nans;
                "agreed"
            }
            Verdict::OursOnly(reason) => reason,
            Verdict::Differs(how) => {
                differing += 1;
                println!("{name} differs: {how}\n{text}");
                "differs"
            }
        };
        *tally.entry(key).or_default() += 1;
    }
    let cases = nets.len();
    println!("{cases} nets, at most {} interactions each", arguments.gas);
    for (key, count) in &tally {
        println!("{count:>8}  {key}");
    }
    println!(
        "{interactions} interactions in nets that agreed; {foreign_nans} NaNs in {} made canonical",
        hvm2::VERSION
    );
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

/// Names and texts of the nets to compare.
fn nets(arguments: &Arguments) -> Result<Vec<(String, String)>, Failure> {
    if !arguments.files.is_empty() {
        let read = |path: &PathBuf| {
            let text = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
            Ok((path.display().to_string(), text))
        };
        return arguments.files.iter().map(read).collect();
    }
    let cases = if arguments.tiny { 50 } else { arguments.cases };
    let seeds = arguments.seed..arguments.seed.saturating_add(cases);
    Ok(seeds
        .map(|seed| (format!("seed {seed}"), random_net::text(seed)))
        .collect())
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
                foreign_nans: theirs.foreign_nans,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn both(text: &str) -> (Result<Outcome, ReduceError>, hvm2::Reduced) {
        let book = Book::parse(text).expect("a valid book");
        let call = book.main().expect("it has a main");
        let ours = oracle::reduce(&book, &call, &Limits::default());
        let theirs = hvm2::reduce(text, 1000, 1000).expect("it runs");
        (ours, theirs)
    }

    #[test]
    fn equal_outcomes_agree_and_any_difference_is_seen() {
        let (ours, theirs) = both("@main = (x y) & 2 ~ $([+] $(3 x)) & * ~ (y *)");
        let agreed = Verdict::Agreed {
            interactions: 5,
            foreign_nans: 0,
        };
        assert_eq!(against_published(&ours, Ok(theirs.clone())), agreed);
        let mut other = theirs.clone();
        other.result.push(' ');
        assert!(matches!(
            against_published(&ours, Ok(other)),
            Verdict::Differs(_)
        ));
        let mut other = theirs;
        other.counts.add(ffcm::spec::rules::Opcode::Apply, 1);
        assert!(matches!(
            against_published(&ours, Ok(other)),
            Verdict::Differs(_)
        ));
        let stuck = against_published(&ours, Err(Refusal::Stuck));
        assert!(matches!(stuck, Verdict::Differs(_)));
    }

    #[test]
    fn a_hundred_random_nets_agree() {
        for seed in 0..100 {
            let verdict = compare(&random_net::text(seed), 5000);
            assert!(
                !matches!(verdict, Verdict::Differs(_)),
                "seed {seed}: {verdict:?}"
            );
        }
    }
}

//! Runs the matrix: every workload of every size on every contender, in turns, with digests compared.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ffcm::coprocessor::{Coprocessor, OracleCoprocessor};
use ffcm::cpu::CpuCoprocessor;
use ffcm::device::meter::{Meter, Transfers};

use super::ceilings;
use super::crossover::crossovers;
use super::generate::Shape;
use super::schema::{
    Ceiling, Figures, Parity, Report, Row, SCHEMA, Settings, State, contender, references,
};
use super::spread::Spread;
use super::wire::{self, Timed};
use super::work::{Broken, Case, Done, Suite, Workload};
use crate::failure::Failure;
use crate::machine::Machine;
use crate::table::hex;
use crate::timing::Sample;

/// A backend that was started.
pub struct Started {
    /// Runs the jobs.
    pub coprocessor: Arc<dyn Coprocessor>,
    /// Counts and times what a device does besides; none for the CPU.
    pub meter: Option<Arc<dyn Meter>>,
}

/// Who takes part.
pub struct Contender {
    /// Backend as the command line names it.
    pub backend: String,
    /// Worker threads; 0 where that means nothing.
    pub threads: usize,
    /// The backend, or why there is none.
    pub started: Result<Started, String>,
}

impl Contender {
    /// The CPU with so many workers.
    pub fn cpu(threads: usize) -> Contender {
        let started = CpuCoprocessor::new(threads).map(|cpu| Started {
            coprocessor: Arc::new(cpu),
            meter: None,
        });
        Contender {
            backend: "cpu".into(),
            threads,
            started: started.map_err(|error| error.to_string()),
        }
    }

    fn name(&self) -> String {
        contender(&self.backend, self.threads)
    }

    fn device(&self) -> String {
        match &self.started {
            Ok(started) => started.coprocessor.info().device,
            Err(_) => "none".into(),
        }
    }
}

/// What to measure, and how.
pub struct Plan {
    /// Workloads that are made in every size.
    pub workloads: Vec<Workload>,
    /// Workloads of one size, from files.
    pub cases: Vec<Case>,
    /// Sizes in items.
    pub sizes: Vec<u64>,
    /// Timed runs of each row.
    pub runs: u32,
    /// Runs after the first and before those.
    pub warmup: u32,
    /// Small arrays for ceilings: no figure says anything about speed.
    pub quick: bool,
    /// Seed of all inputs.
    pub seed: u64,
    /// Where graphs come from, in words.
    pub input: String,
    /// Thread counts of the CPU, for the report.
    pub threads: Vec<usize>,
}

/// A step that begins.
pub struct Step<'a> {
    /// What it is.
    pub words: &'a str,
    /// Rows done.
    pub done: usize,
    /// Rows there will be.
    pub all: usize,
}

/// Runs the plan. A device that is missing, lost or wrong is a row that says so; the others go on.
///
/// # Errors
/// Where an input cannot be made or the CPU cannot run it.
pub fn run(
    plan: Plan,
    contenders: &[Contender],
    observer: &dyn Fn(Step<'_>),
) -> Result<Report, Failure> {
    let made = plan.workloads.len() * plan.sizes.len() + plan.cases.len();
    let reference = CpuCoprocessor::new(1).map_err(Failure::failed)?;
    let mut matrix = Matrix {
        contenders,
        reference,
        ceilings: Vec::new(),
        rows: Vec::new(),
        runs: plan.runs,
        warmup: plan.warmup,
        all: made * contenders.len(),
        observer,
    };
    for contender in contenders {
        matrix.say(&format!("the ceilings of {}", contender.name()));
        matrix.ceilings.push(ceiling(contender, plan.quick)?);
    }
    for workload in &plan.workloads {
        let (suite, name) = workload.named();
        // Beyond what the oracle can do, one input that it can do stands for all sizes.
        let mut shared = None;
        for &size in &plan.sizes {
            matrix.say(&format!("{suite} {name} {size}: making the input"));
            let case = workload.case(size, plan.seed)?;
            if size <= suite.oracle_items() {
                matrix.measure(&case, &Check::new(&case, contenders)?, true)?;
                continue;
            }
            let check = match shared.take() {
                Some(check) => check,
                None => {
                    let small = workload.case(suite.oracle_items(), plan.seed)?;
                    Check::new(&small, contenders)?
                }
            };
            matrix.measure(&case, &check, false)?;
            shared = Some(check);
        }
    }
    for case in &plan.cases {
        matrix.say(&format!("{} {} against the oracle", case.suite, case.name));
        let (check, itself) = check_of(case, contenders, plan.seed)?;
        matrix.measure(case, &check, itself)?;
    }
    let rows = matrix.rows;
    Ok(Report {
        schema: SCHEMA.into(),
        created_unix: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_secs()),
        machine: Machine::here(),
        settings: Settings {
            quick: plan.quick,
            optimised: !cfg!(debug_assertions),
            runs: plan.runs,
            warmup: plan.warmup,
            seed: plan.seed,
            input: plan.input,
            sizes: plan.sizes,
            threads: plan.threads,
        },
        ceilings: matrix.ceilings,
        crossovers: crossovers(&rows),
        rows,
        references: references(),
    })
}

fn ceiling(contender: &Contender, quick: bool) -> Result<Ceiling, Failure> {
    let mut ceiling = Ceiling {
        backend: contender.backend.clone(),
        threads: contender.threads,
        copy: None,
        atomics: None,
        upload: None,
        download: None,
        why: None,
    };
    match &contender.started {
        Err(reason) => ceiling.why = Some(reason.clone()),
        Ok(Started { meter: None, .. }) => return ceilings::cpu(contender.threads, quick),
        Ok(Started {
            meter: Some(meter), ..
        }) => wire::ceilings(&**meter, quick, &mut ceiling),
    }
    Ok(ceiling)
}

/// The oracle's result on a small input, and what each contender made of it.
struct Check {
    items: u64,
    expected: [u8; 32],
    /// By contender; none where it could not be asked.
    found: Vec<Option<[u8; 32]>>,
}

impl Check {
    fn new(case: &Case, contenders: &[Contender]) -> Result<Check, Failure> {
        let expected = case
            .run(&OracleCoprocessor)
            .map_err(words(case, "oracle"))?;
        let ask = |contender: &Contender| {
            let started = contender.started.as_ref().ok()?;
            // What a device fails at here it fails at again when it is measured, and there the row says why.
            let done = case.run(&*started.coprocessor).ok()?;
            Some(done.digest)
        };
        Ok(Check {
            // A net from a file has as many items as interactions.
            items: match case.items {
                0 => expected.operations,
                items => items,
            },
            expected: expected.digest,
            found: contenders.iter().map(ask).collect(),
        })
    }
}

/// The check of a workload from a file: itself where the oracle can do it, else a small one of its suite. Whether it is
/// itself comes with it.
fn check_of(case: &Case, contenders: &[Contender], seed: u64) -> Result<(Check, bool), Failure> {
    let most = case.suite.oracle_items();
    let (can, stand_in) = match case.with_gas(most) {
        // A net's size shows when it is run: the oracle tries, under gas.
        Some(job) => {
            let tried = OracleCoprocessor.rewrite(&job).map_err(Failure::failed)?;
            let can = tried.iter().all(Result::is_ok);
            (can, Workload::Net(crate::programs::PROGRAMS[0]))
        }
        None => (case.items <= most, Workload::Graph(Shape::Rmat)),
    };
    let check = match can {
        true => Check::new(case, contenders)?,
        // The programs double with each level, so that half is certain to stay below.
        false => Check::new(&stand_in.case(most / 2, seed)?, contenders)?,
    };
    Ok((check, can))
}

fn words<'a>(case: &'a Case, who: &'a str) -> impl FnOnce(Broken) -> Failure + 'a {
    move |broken| {
        let (Broken::Unsupported(reason) | Broken::Failed(reason)) = broken;
        Failure::failed(format!("{} {} on {who}: {reason}", case.suite, case.name))
    }
}

struct Matrix<'a> {
    contenders: &'a [Contender],
    /// Whose results hold where the oracle takes too long.
    reference: CpuCoprocessor,
    ceilings: Vec<Ceiling>,
    rows: Vec<Row>,
    runs: u32,
    warmup: u32,
    all: usize,
    observer: &'a dyn Fn(Step<'_>),
}

/// A contender while a case is measured.
struct Turn<'a> {
    contender: &'a Contender,
    first: Option<Done>,
    samples: Vec<Sample>,
    sent: Transfers,
    /// Runs in which copies were timed.
    timed: Vec<Timed>,
    broken: Option<Broken>,
    /// The first digest that differed from what was expected.
    wrong: Option<[u8; 32]>,
}

impl Turn<'_> {
    /// Runs once, unless it has come to its end.
    fn run(&mut self, case: &Case, expected: &[u8; 32], timed: bool) {
        let Ok(started) = &self.contender.started else {
            return;
        };
        if self.broken.is_some() || self.wrong.is_some() {
            return;
        }
        let sent = || {
            started
                .meter
                .as_ref()
                .map(|m| m.transfers())
                .unwrap_or_default()
        };
        let before = sent();
        match case.run(&*started.coprocessor) {
            Err(broken) => self.broken = Some(broken),
            Ok(done) => {
                if done.digest != *expected {
                    self.wrong = Some(done.digest);
                }
                if timed {
                    self.sent = sent().since(before);
                    self.samples.push(done.sample);
                }
                self.first.get_or_insert(done);
            }
        }
    }

    /// Runs once more with each copy between host and device timed. These runs count for nothing else: they wait
    /// where others overlap.
    fn run_timed(&mut self, case: &Case, expected: &[u8; 32]) {
        let Ok(Started {
            coprocessor,
            meter: Some(meter),
        }) = &self.contender.started
        else {
            return;
        };
        if self.broken.is_some() || self.wrong.is_some() {
            return;
        }
        match wire::run_timed(case, &**coprocessor, &**meter) {
            None => {}
            Some(Err(broken)) => self.broken = Some(broken),
            Some(Ok((done, timed))) => {
                if done.digest != *expected {
                    self.wrong = Some(done.digest);
                }
                self.timed.push(timed);
            }
        }
    }
}

impl Matrix<'_> {
    fn say(&self, words: &str) {
        (self.observer)(Step {
            words,
            done: self.rows.len(),
            all: self.all,
        });
    }

    /// Measures a case on everybody, in turns; a row each. `itself` says that the check is of this very case.
    fn measure(&mut self, case: &Case, check: &Check, itself: bool) -> Result<(), Failure> {
        let what = format!("{} {} {}", case.suite, case.name, case.size);
        self.say(&format!("{what}: the result to compare with"));
        let (against, expected, items) = match itself {
            true => ("oracle".to_owned(), check.expected, check.items),
            false => {
                let done = case.run(&self.reference).map_err(words(case, "the CPU"))?;
                // A net from a file has as many items as interactions.
                let items = match case.suite {
                    Suite::Nets => done.operations,
                    _ => case.items,
                };
                (contender("cpu", 1), done.digest, items)
            }
        };
        let mut turns: Vec<Turn<'_>> = self
            .contenders
            .iter()
            .map(|contender| Turn {
                contender,
                first: None,
                samples: Vec::new(),
                sent: Transfers::default(),
                timed: Vec::new(),
                broken: None,
                wrong: None,
            })
            .collect();
        let untimed = 1 + self.warmup;
        for round in 0..untimed + self.runs {
            for turn in &mut turns {
                let name = turn.contender.name();
                match round < untimed {
                    true => self.say(&format!("{what} on {name}: warming up")),
                    false => {
                        let run = round - untimed + 1;
                        self.say(&format!("{what} on {name}: run {run} of {}", self.runs));
                    }
                }
                turn.run(case, &expected, round >= untimed);
            }
        }
        for turn in &mut turns {
            let name = turn.contender.name();
            self.say(&format!("{what} on {name}: timing its copies"));
            (0..wire::RUNS).for_each(|_| turn.run_timed(case, &expected));
        }
        for (turn, (ceiling, small)) in turns.iter().zip(self.ceilings.iter().zip(&check.found)) {
            let digests = Digests {
                against: &against,
                expected,
                items: check.items,
                small_expected: check.expected,
                small: *small,
            };
            self.rows.push(row(case, items, turn, ceiling, &digests));
        }
        Ok(())
    }
}

/// What a contender's results are held against.
struct Digests<'a> {
    against: &'a str,
    expected: [u8; 32],
    items: u64,
    small_expected: [u8; 32],
    small: Option<[u8; 32]>,
}

impl Digests<'_> {
    /// The comparison, if there was a result at both sizes.
    fn parity(&self, turn: &Turn<'_>) -> Option<Parity> {
        let found = turn.wrong.or(turn.first.as_ref().map(|done| done.digest))?;
        let small = self.small?;
        Some(Parity {
            digest: hex(&found),
            against: self.against.to_owned(),
            expected: hex(&self.expected),
            oracle_items: self.items,
            oracle_digest: hex(&small),
            oracle_expected: hex(&self.small_expected),
            equal: found == self.expected && small == self.small_expected,
        })
    }
}

fn row(case: &Case, items: u64, turn: &Turn<'_>, ceiling: &Ceiling, digests: &Digests<'_>) -> Row {
    let parity = digests.parity(turn);
    let wrong = parity.as_ref().is_some_and(|parity| !parity.equal);
    let (state, why) = match (&turn.contender.started, &turn.broken) {
        (Err(reason), _) => (State::Unavailable, Some(reason.clone())),
        (Ok(_), _) if wrong => (
            State::Wrong,
            Some("its digest is not the expected one; it cannot be trusted".to_owned()),
        ),
        (Ok(_), Some(Broken::Unsupported(reason))) => (State::Unavailable, Some(reason.clone())),
        (Ok(_), Some(Broken::Failed(reason))) => (State::Failed, Some(reason.clone())),
        (Ok(_), None) if parity.is_none() => (
            State::Failed,
            Some("it did not do the small input of the oracle".to_owned()),
        ),
        (Ok(_), None) => (State::Ok, None),
    };
    let figures = match state {
        State::Ok => figures(case, turn, ceiling),
        _ => None,
    };
    Row {
        suite: case.suite.name().to_owned(),
        workload: case.name.clone(),
        size: if case.size == 0 { items } else { case.size },
        items: Some(items),
        item: case.item().to_owned(),
        input: case.input.clone(),
        backend: turn.contender.backend.clone(),
        device: turn.contender.device(),
        threads: turn.contender.threads,
        state,
        why: why.map(|why| why.split_whitespace().collect::<Vec<_>>().join(" ")),
        figures,
        parity,
    }
}

fn figures(case: &Case, turn: &Turn<'_>, ceiling: &Ceiling) -> Option<Figures> {
    let first = turn.first.as_ref()?;
    let seconds = Spread::of(&turn.samples)?;
    // A clock may show nothing for the smallest of jobs.
    let median = seconds.median.max(1e-9);
    let rate = first.operations as f64 / median;
    let bytes = case.least_bytes();
    let bytes_per_second = bytes.map(|bytes| bytes as f64 / median);
    Some(Figures {
        operations: first.operations,
        operation: case.operation().to_owned(),
        bytes,
        first: first.sample.wall,
        rate,
        bytes_per_second,
        of_copy: bytes_per_second
            .zip(ceiling.copy)
            .map(|(rate, copy)| rate / copy),
        of_atomics: match case.suite {
            Suite::Nets => ceiling.atomics.map(|most| rate / most),
            _ => None,
        },
        transfers: transfers(turn, median),
        seconds,
    })
}

fn transfers(turn: &Turn<'_>, median: f64) -> super::schema::Transfers {
    let metered = turn.contender.started.as_ref();
    match metered.is_ok_and(|started| started.meter.is_some()) {
        true => wire::transfers(turn.sent, &turn.timed),
        false => wire::shared(median),
    }
}

#[cfg(test)]
mod tests;

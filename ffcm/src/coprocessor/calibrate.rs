//! What `auto` chooses by: a few milliseconds of real work, timed on each device.

mod crossovers;

use std::cell::LazyCell;
use std::sync::Arc;
use std::time::Duration;

pub use crossovers::measure_crossovers;

use super::fallback::one_line;
use super::{
    Accelerator, AcceleratorError, Coprocessor, Crossovers, DeviceInfo, FocusJob, HashJob,
    JobError, ProvidedDevice, Provider, RewriteJob, SELF_TEST_JOBS, hash_digest, ranking_digest,
    rewrite_digest, self_test,
};
use crate::focus::FocusParams;
use crate::graph::{EdgeDelta, Graph};
use crate::net::{Book, Call, Limits};
use crate::spec::word::Term;

/// Times a job is run when it counts; the best is taken.
const REPEATS: usize = 2;

/// Time since some moment.
pub(super) type Clock<'a> = dyn Fn() -> Duration + 'a;

/// Where a device was measured before to begin to win.
pub type Known<'a> = dyn Fn(&DeviceInfo) -> Option<Crossovers> + 'a;

/// How many times faster than the CPU a program on the CPU's own cores has to be: it takes them from everything else, and
/// a busy moment must not decide for it.
const SOFTWARE_GAIN: u32 = 2;

/// What is timed. Each takes some milliseconds on one CPU core.
struct Work {
    graph: LazyCell<Graph, fn() -> Graph>,
    rewrite: LazyCell<RewriteJob, fn() -> RewriteJob>,
}

/// The jobs, those that a kernel is compiled for fastest first.
const JOBS: [&str; 3] = ["search", "focus", "rewrite"];

/// About so many edges among 2^`scale` nodes, 1 to 31.
fn graph(scale: u32, edges: u32) -> Graph {
    let mut graph = Graph::new();
    graph.add_nodes(1 << scale).expect("2^31 nodes fit");
    // Two multiplicative sequences: spread over the nodes, a few pairs twice.
    let edge = |i: u32| EdgeDelta {
        source: i.wrapping_mul(0x9e37_79b1) >> (32 - scale),
        target: i.wrapping_mul(0x85eb_ca77) >> (32 - scale),
        weight: 1 + u64::from(i % 7),
    };
    graph
        .apply(&(0..edges).map(edge).collect::<Vec<_>>())
        .expect("every index is below 2^scale and the weights are small");
    graph
}

/// π of a graph in a few iterations, always as many.
fn rank(coprocessor: &dyn Coprocessor, graph: &Graph) -> Result<[u8; 32], JobError> {
    Ok(ranking_digest(&coprocessor.focus(&FocusJob {
        graph,
        params: FocusParams {
            epsilon: 0,
            max_iterations: 8,
            ..FocusParams::default()
        },
        start: None,
    })?))
}

/// A search among so many nonces that finds none.
fn search(coprocessor: &dyn Coprocessor, count: u64) -> Result<[u8; 32], JobError> {
    Ok(hash_digest(&coprocessor.hash(&HashJob::PowSearch {
        header: &[0x5a; 80],
        start: 0,
        count,
        target: [0; 32],
    })?))
}

/// 2^`depth` by recursion.
fn sum(depth: u32) -> RewriteJob {
    let text = "@sum = (?((1 @both) r) r)
        @both = ({a b} r) & @sum ~ (a $([+] $(c r))) & @sum ~ (b c)";
    let book = Arc::new(Book::parse(text).expect("the program is part of this file"));
    let entry = book.find("sum").expect("the program has a sum");
    let calls = vec![Call {
        entry,
        arguments: vec![Term::u24(depth)],
    }];
    RewriteJob {
        book,
        calls,
        limits: Limits::default(),
    }
}

impl Work {
    fn new() -> Work {
        Work {
            graph: LazyCell::new(|| graph(14, 1 << 17)),
            rewrite: LazyCell::new(|| sum(14)),
        }
    }

    /// Digest of what the job gives.
    fn run(&self, job: &str, coprocessor: &dyn Coprocessor) -> Result<[u8; 32], JobError> {
        match job {
            "search" => search(coprocessor, 1 << 16),
            "focus" => rank(coprocessor, &self.graph),
            _ => Ok(rewrite_digest(&coprocessor.rewrite(&self.rewrite)?)),
        }
    }

    /// As [`best`].
    fn time(
        &self,
        job: &str,
        coprocessor: &dyn Coprocessor,
        enough: Duration,
        clock: &Clock<'_>,
    ) -> Result<([u8; 32], Duration), JobError> {
        best(|| self.run(job, coprocessor), enough, clock)
    }
}

/// Digest and best time of a job, after a first run that compiles, uploads and allocates. A run that takes `enough` is the
/// last.
fn best(
    run: impl Fn() -> Result<[u8; 32], JobError>,
    enough: Duration,
    clock: &Clock<'_>,
) -> Result<([u8; 32], Duration), JobError> {
    let digest = run()?;
    let mut best = Duration::MAX;
    for _ in 0..REPEATS {
        let start = clock();
        run()?;
        let time = clock().saturating_sub(start);
        best = best.min(time);
        if time >= enough {
            break;
        }
    }
    Ok((digest, best))
}

/// What the CPU gives for each job and how long it takes, measured when first needed.
struct Reference<'a> {
    work: &'a Work,
    cpu: &'a dyn Coprocessor,
    clock: &'a Clock<'a>,
    done: Vec<([u8; 32], Duration)>,
}

impl Reference<'_> {
    /// Digest of the job with this index in [`JOBS`].
    fn digest(&mut self, job: usize) -> Result<[u8; 32], AcceleratorError> {
        for name in JOBS.iter().take(job + 1).skip(self.done.len()) {
            let timed = self.work.time(name, self.cpu, Duration::MAX, self.clock);
            self.done
                .push(timed.map_err(|source| AcceleratorError::Start {
                    accelerator: Accelerator::Cpu,
                    source,
                })?);
        }
        Ok(self.done[job].0)
    }

    /// Time of the jobs up to this one.
    fn time(&mut self, job: usize) -> Result<Duration, AcceleratorError> {
        self.digest(job)?;
        Ok(self.done.iter().take(job + 1).map(|(_, time)| *time).sum())
    }
}

/// A device, started and measured faster than the CPU.
struct Faster {
    accelerator: Accelerator,
    name: String,
    coprocessor: Arc<dyn Coprocessor>,
    time: Duration,
}

/// The fastest of `cpu` and what the providers that take every job have, and the line that says why. A device is chosen only if it was
/// measured faster than the CPU on the sum of the jobs, gave the CPU's answers, and passed its self-test. The CPU has
/// passed its own already.
///
/// Where none is faster, the first device of its own is chosen that was measured earlier to win from some size on
/// (`known`): it is for such jobs, and the CPU for all others, see [`BySize`](super::BySize).
///
/// A device is dropped as soon as its sum exceeds what it may be, so that a slow one costs little: a device of its own
/// may take what the CPU takes for all jobs, software what the CPU takes for the jobs so far, by [`SOFTWARE_GAIN`].
pub(super) fn choose(
    cpu: Arc<dyn Coprocessor>,
    providers: &[&dyn Provider],
    clock: &Clock<'_>,
    known: &Known<'_>,
) -> Result<(Accelerator, Arc<dyn Coprocessor>, String), AcceleratorError> {
    let takes_all = |provider: &&&dyn Provider| {
        let takes = provider.jobs();
        SELF_TEST_JOBS.iter().all(|job| takes.contains(job))
    };
    let providers: Vec<&dyn Provider> = providers.iter().filter(takes_all).copied().collect();
    if providers.is_empty() {
        let line = "auto chose cpu: this version has no GPU backend".to_string();
        return Ok((Accelerator::Cpu, cpu, line));
    }
    let mut found: Vec<(&dyn Provider, Accelerator, ProvidedDevice)> = Vec::new();
    for provider in providers {
        for device in provider.devices() {
            let accelerator = format!("{}:{}", provider.name(), device.index).parse()?;
            found.push((provider, accelerator, device));
        }
    }
    if found.is_empty() {
        let line = "auto chose cpu: no GPU was found".to_string();
        return Ok((Accelerator::Cpu, cpu, line));
    }
    let work = &Work::new();
    let mut reference = Reference {
        work,
        cpu: &*cpu,
        clock,
        done: Vec::new(),
    };
    let mut faster = Vec::new();
    let mut slower = Vec::new();
    let mut notes = Vec::new();
    for (provider, accelerator, device) in found {
        let kind = if device.software { ", software" } else { "" };
        let name = format!("{accelerator} ({}{kind})", device.name);
        let opened = match device.refused {
            Some(reason) => Err(reason),
            None => provider
                .open(Some(device.index))
                .map_err(|error| format!("does not start: {error}")),
        };
        let measured = match opened {
            Ok(coprocessor) => {
                let measured = measure(&mut reference, &*coprocessor, device.software)?;
                match measured {
                    Err(Out::Slow(reason)) if !device.software => {
                        let known = known(&coprocessor.info()).filter(Crossovers::wins);
                        slower.extend(known.map(|known| (accelerator, coprocessor, known)));
                        Err(reason)
                    }
                    Err(Out::Slow(reason) | Out::Broken(reason)) => Err(reason),
                    Ok(time) => Ok((coprocessor, time)),
                }
            }
            Err(reason) => Err(reason),
        };
        match measured {
            Ok((coprocessor, time)) => faster.push(Faster {
                accelerator,
                name,
                coprocessor,
                time,
            }),
            Err(reason) => notes.push(format!("{name}: {}", one_line(&reason))),
        }
    }
    // The sort is stable: among equals the provider's order decides.
    faster.sort_by_key(|candidate| candidate.time);
    let mut chosen = None;
    for candidate in faster {
        if chosen.is_some() {
            let took = milliseconds(candidate.time);
            notes.push(format!("{}: {took}", candidate.name));
        } else if let Err(error) = self_test(&*candidate.coprocessor) {
            let reason = one_line(&error.to_string());
            notes.push(format!("{}: {reason}", candidate.name));
        } else {
            chosen = Some(candidate);
        }
    }
    // Who loses on jobs of this size may have been measured to win on larger ones.
    let larger =
        |(_, coprocessor, _): &(_, Arc<dyn Coprocessor>, _)| self_test(&**coprocessor).is_ok();
    let (accelerator, coprocessor, head) = match (chosen, slower.into_iter().find(larger)) {
        (Some(winner), _) => {
            let cpu_took = milliseconds(reference.time(JOBS.len() - 1)?);
            let took = milliseconds(winner.time);
            let head = format!("auto chose {}: {took}, cpu {cpu_took}", winner.name);
            (winner.accelerator, winner.coprocessor, head)
        }
        (None, Some((accelerator, coprocessor, known))) => {
            let head = format!("auto chose {accelerator} for large jobs: {known}");
            (accelerator, coprocessor, head)
        }
        (None, None) => (Accelerator::Cpu, cpu, "auto chose cpu".to_string()),
    };
    notes.insert(0, head);
    Ok((accelerator, coprocessor, notes.join("; ")))
}

/// Why a device is out.
enum Out {
    /// It is right, but not faster.
    Slow(String),
    /// It is wrong, or does not do a job.
    Broken(String),
}

/// Time of all jobs together if it is less than the CPU's, or why the device is out. Fails only where the CPU does.
fn measure(
    reference: &mut Reference<'_>,
    coprocessor: &dyn Coprocessor,
    software: bool,
) -> Result<Result<Duration, Out>, AcceleratorError> {
    let mut sum = Duration::ZERO;
    for (index, job) in JOBS.into_iter().enumerate() {
        let expected = reference.digest(index)?;
        let last = if software { index } else { JOBS.len() - 1 };
        let bound = reference.time(last)?;
        let most = if software {
            bound / SOFTWARE_GAIN
        } else {
            bound
        };
        let enough = most.saturating_sub(sum);
        let timed = reference
            .work
            .time(job, coprocessor, enough, reference.clock);
        let (digest, time) = match timed {
            Ok(timed) => timed,
            Err(error) => return Ok(Err(Out::Broken(format!("{job}: {error}")))),
        };
        if digest != expected {
            let wrong = format!("wrong {job} result, it cannot be trusted");
            return Ok(Err(Out::Broken(wrong)));
        }
        sum += time;
        if sum >= most {
            return Ok(Err(Out::Slow(format!(
                "too slow, {} up to {job}, cpu {} up to {}",
                milliseconds(sum),
                milliseconds(bound),
                JOBS[last]
            ))));
        }
    }
    Ok(Ok(sum))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests;

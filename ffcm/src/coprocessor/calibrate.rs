//! What `auto` chooses by: a few milliseconds of real work, timed on each device.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Accelerator, AcceleratorError, Coprocessor, FocusJob, HashJob, JobError, Provider, RewriteJob,
    hash_digest, ranking_digest, rewrite_digest, self_test,
};
use crate::focus::FocusParams;
use crate::graph::{EdgeDelta, Graph};
use crate::net::{Book, Call, Limits};
use crate::spec::word::Term;

/// Times a job is run when it counts; the best is taken.
const REPEATS: usize = 2;

/// Time since some moment.
pub(super) type Clock<'a> = dyn Fn() -> Duration + 'a;

/// What is timed. Each takes some milliseconds on one CPU core.
struct Work {
    graph: Graph,
    rewrite: RewriteJob,
}

/// The jobs, those that a kernel is compiled for fastest first.
const JOBS: [&str; 3] = ["search", "focus", "rewrite"];

impl Work {
    fn new() -> Work {
        const NODES: u32 = 1 << 14;
        const EDGES: u32 = 1 << 17;
        let mut graph = Graph::new();
        graph.add_nodes(NODES).expect("2^14 nodes fit");
        // Two multiplicative sequences: spread over the nodes, a few pairs twice.
        let edge = |i: u32| EdgeDelta {
            source: i.wrapping_mul(0x9e37_79b1) >> 18,
            target: i.wrapping_mul(0x85eb_ca77) >> 18,
            weight: 1 + u64::from(i % 7),
        };
        graph
            .apply(&(0..EDGES).map(edge).collect::<Vec<_>>())
            .expect("every index is below 2^14 and the weights are small");
        let text = "@sum = (?((1 @both) r) r)
            @both = ({a b} r) & @sum ~ (a $([+] $(c r))) & @sum ~ (b c)";
        let book = Arc::new(Book::parse(text).expect("the program is part of this file"));
        let entry = book.find("sum").expect("the program has a sum");
        let calls = vec![Call {
            entry,
            arguments: vec![Term::u24(14)],
        }];
        let limits = Limits::default();
        Work {
            graph,
            rewrite: RewriteJob {
                book,
                calls,
                limits,
            },
        }
    }

    /// Digest of what the job gives.
    fn run(&self, job: &str, coprocessor: &dyn Coprocessor) -> Result<[u8; 32], JobError> {
        match job {
            "search" => Ok(hash_digest(&coprocessor.hash(&HashJob::PowSearch {
                header: &[0x5a; 80],
                start: 0,
                count: 1 << 16,
                target: [0; 32],
            })?)),
            "focus" => Ok(ranking_digest(&coprocessor.focus(&FocusJob {
                graph: &self.graph,
                params: FocusParams {
                    epsilon: 0,
                    max_iterations: 8,
                    ..FocusParams::default()
                },
                start: None,
            })?)),
            _ => Ok(rewrite_digest(&coprocessor.rewrite(&self.rewrite)?)),
        }
    }

    /// Digest and best time of a job, after a first run that compiles, uploads and allocates. A run that takes `enough`
    /// is the last.
    fn time(
        &self,
        job: &str,
        coprocessor: &dyn Coprocessor,
        enough: Duration,
        clock: &Clock<'_>,
    ) -> Result<([u8; 32], Duration), JobError> {
        let digest = self.run(job, coprocessor)?;
        let mut best = Duration::MAX;
        for _ in 0..REPEATS {
            let start = clock();
            self.run(job, coprocessor)?;
            let time = clock().saturating_sub(start);
            best = best.min(time);
            if time >= enough {
                break;
            }
        }
        Ok((digest, best))
    }
}

/// A device, started.
struct Faster {
    accelerator: Accelerator,
    name: String,
    coprocessor: Arc<dyn Coprocessor>,
    time: Duration,
}

/// The fastest of `cpu` and what the providers have, and the line that says why. A device is chosen only if it was
/// measured faster than the CPU on the sum of the jobs, gave the CPU's answers, and passed its self-test. It is dropped
/// as soon as its sum exceeds the CPU's, so a slow one costs little. The CPU has passed its self-test already.
pub(super) fn choose(
    cpu: Arc<dyn Coprocessor>,
    providers: &[&dyn Provider],
    clock: &Clock<'_>,
) -> Result<(Accelerator, Arc<dyn Coprocessor>, String), AcceleratorError> {
    if providers.is_empty() {
        let line = "auto chose cpu: this version has no GPU backend".to_string();
        return Ok((Accelerator::Cpu, cpu, line));
    }
    let mut found = Vec::new();
    for provider in providers {
        for device in provider.devices() {
            let accelerator = format!("{}:{}", provider.name(), device.index).parse()?;
            found.push((*provider, accelerator, device));
        }
    }
    if found.is_empty() {
        let line = "auto chose cpu: no GPU was found".to_string();
        return Ok((Accelerator::Cpu, cpu, line));
    }
    let work = Work::new();
    let mut reference = Vec::with_capacity(JOBS.len());
    for job in JOBS {
        let timed = work.time(job, &*cpu, Duration::MAX, clock);
        reference.push(timed.map_err(|source| AcceleratorError::Start {
            accelerator: Accelerator::Cpu,
            source,
        })?);
    }
    let cpu_time: Duration = reference.iter().map(|(_, time)| *time).sum();
    let mut faster = Vec::new();
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
        let measured = opened.and_then(|coprocessor| {
            let time = measure(&work, &*coprocessor, &reference, clock)?;
            Ok((coprocessor, time))
        });
        match measured {
            Ok((coprocessor, time)) => faster.push(Faster {
                accelerator,
                name,
                coprocessor,
                time,
            }),
            Err(reason) => notes.push(format!("{name}: {reason}")),
        }
    }
    // The sort is stable: among equals the provider's order decides.
    faster.sort_by_key(|candidate| candidate.time);
    let mut chosen = None;
    for candidate in faster {
        let took = milliseconds(candidate.time);
        if chosen.is_some() {
            notes.push(format!("{}: {took}", candidate.name));
        } else if let Err(error) = self_test(&*candidate.coprocessor) {
            notes.push(format!("{}: {error}", candidate.name));
        } else {
            chosen = Some(candidate);
        }
    }
    let cpu_took = milliseconds(cpu_time);
    let rest: String = notes.iter().map(|note| format!("; {note}")).collect();
    Ok(match chosen {
        Some(winner) => {
            let (name, took) = (winner.name, milliseconds(winner.time));
            let line = format!("auto chose {name}: {took}, cpu {cpu_took}{rest}");
            (winner.accelerator, winner.coprocessor, line)
        }
        None => {
            let line = format!("auto chose cpu: {cpu_took}{rest}");
            (Accelerator::Cpu, cpu, line)
        }
    })
}

/// Time of all jobs together if it is less than the reference's, or why the device is out.
fn measure(
    work: &Work,
    coprocessor: &dyn Coprocessor,
    reference: &[([u8; 32], Duration)],
    clock: &Clock<'_>,
) -> Result<Duration, String> {
    let bound: Duration = reference.iter().map(|(_, time)| *time).sum();
    let mut sum = Duration::ZERO;
    for (job, (expected, _)) in JOBS.into_iter().zip(reference) {
        let (digest, time) = work
            .time(job, coprocessor, bound, clock)
            .map_err(|error| format!("{job}: {error}"))?;
        if digest != *expected {
            return Err(format!("wrong {job} result, it cannot be trusted"));
        }
        sum += time;
        if sum >= bound {
            return Err(format!("slower, {} up to {job}", milliseconds(sum)));
        }
    }
    Ok(sum)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests;

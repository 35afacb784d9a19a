//! Copies between host and device: how fast they are at most, and what those of a job take.

use std::time::Duration;

use ffcm::coprocessor::{Coprocessor, JobError};
use ffcm::device::meter::{ADDITIONS, Meter, Transfers, timed};

use super::schema::{self, Ceiling, Told};
use super::spread::median;
use super::work::{Broken, Case, Done};

/// Runs of a case in which copies are timed.
pub(super) const RUNS: u32 = 3;

/// Most words of a buffer that is copied on a device, 256 MiB, and of a quick one.
const COPY: [u64; 2] = [64 << 20, 1 << 16];
/// Copies that are submitted together.
const COPIES: u32 = 16;
/// Most words that are sent over the wire, 16 MiB, and of a quick run.
const WIRE: [u64; 2] = [4 << 20, 1 << 16];
/// Threads that make atomic additions, and of a quick run.
const THREADS: [u32; 2] = [1 << 18, 1 << 10];
/// Times that each is timed; the best counts.
const ROUNDS: [u32; 2] = [5, 1];

/// Measures what a device reaches. What it does not do leaves its figure out and the reason in.
pub(super) fn ceilings(meter: &dyn Meter, quick: bool, ceiling: &mut Ceiling) {
    let at = usize::from(quick);
    let rounds = ROUNDS[at];
    let words = meter.most_words().clamp(1, COPY[at]);
    let mut why = None;
    let mut told = |found: Result<f64, JobError>| match found {
        Ok(rate) => Some(rate),
        Err(error) => {
            why.get_or_insert(error.to_string());
            None
        }
    };
    // Read and written bytes.
    let bytes = 2 * 4 * words * u64::from(COPIES);
    let copies = meter.time_copies(words, COPIES, rounds);
    ceiling.copy = told(copies.map(|time| per_second(bytes, time)));
    let additions = u64::from(THREADS[at]) * u64::from(ADDITIONS);
    let atomics = meter.time_atomics(THREADS[at], rounds);
    ceiling.atomics = told(atomics.map(|time| per_second(additions, time)));
    let words = words.min(WIRE[at]);
    match meter.time_wire(words, rounds) {
        Ok((up, down)) => {
            ceiling.upload = Some(per_second(4 * words, up));
            ceiling.download = Some(per_second(4 * words, down));
        }
        Err(error) => _ = told(Err(error)),
    }
    ceiling.why = why;
}

fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}

/// A run in which copies were timed, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Timed {
    up: f64,
    down: f64,
    compute: f64,
}

/// Runs a case with each copy timed; nothing where the device cannot tell copies apart.
pub(super) fn run_timed(
    case: &Case,
    coprocessor: &dyn Coprocessor,
    meter: &dyn Meter,
) -> Option<Result<(Done, Timed), Broken>> {
    let mut broken = None;
    let run = || {
        case.run(coprocessor).map_err(|error| {
            let (Broken::Failed(words) | Broken::Unsupported(words)) = &error;
            let words = JobError::Device(words.clone());
            broken = Some(error);
            words
        })
    };
    match timed(meter, run) {
        Ok((done, sent)) => {
            let (up, down) = (sent.upload_time.as_secs_f64(), sent.read_time.as_secs_f64());
            let compute = (done.sample.wall - up - down).max(0.0);
            Some(Ok((done, Timed { up, down, compute })))
        }
        Err(_) => broken.map(Err),
    }
}

/// Transfers of a device: seconds only where they were measured.
pub(super) fn transfers(sent: Transfers, runs: &[Timed]) -> schema::Transfers {
    let middle = |part: fn(&Timed) -> f64| median(&runs.iter().map(part).collect::<Vec<_>>());
    schema::Transfers {
        told: match runs.is_empty() {
            true => Told::Counted,
            false => Told::Timed,
        },
        uploaded: sent.uploaded,
        read_back: sent.read_back,
        upload_seconds: middle(|run| run.up),
        download_seconds: middle(|run| run.down),
        compute_seconds: middle(|run| run.compute),
        timed_runs: runs.len() as u32,
    }
}

/// Transfers where memory is shared: none.
pub(super) fn shared(median: f64) -> schema::Transfers {
    schema::Transfers {
        told: Told::None,
        uploaded: 0,
        read_back: 0,
        upload_seconds: None,
        download_seconds: None,
        compute_seconds: Some(median),
        timed_runs: 0,
    }
}

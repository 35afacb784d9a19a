//! Interleaved timing: every contender runs once per round, so that a busy moment hits all of them alike.

use std::time::Instant;

use cpu_time::ProcessTime;
use serde::Serialize;

/// Seconds of one run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Elapsed.
    pub wall: f64,
    /// User and system time of all threads of this process.
    pub cpu: f64,
}

/// Times one call.
pub fn time<T>(run: impl FnOnce() -> T) -> (T, Sample) {
    let cpu = ProcessTime::now();
    let wall = Instant::now();
    let value = run();
    let sample = Sample {
        wall: wall.elapsed().as_secs_f64(),
        cpu: cpu.elapsed().as_secs_f64(),
    };
    (value, sample)
}

/// What several runs of one contender gave, in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Number of runs.
    pub runs: usize,
    /// Shortest elapsed time.
    pub best: f64,
    /// Median elapsed time (of an even number of runs, the mean of the middle two).
    pub median: f64,
    /// Least CPU time.
    pub cpu: f64,
}

impl Summary {
    /// Summarises at least one sample.
    ///
    /// # Panics
    /// When `samples` is empty.
    pub fn of(samples: &[Sample]) -> Summary {
        assert!(!samples.is_empty(), "a summary needs a sample");
        let mut wall: Vec<f64> = samples.iter().map(|s| s.wall).collect();
        wall.sort_by(f64::total_cmp);
        let middle = wall.len() / 2;
        let median = if wall.len() % 2 == 1 {
            wall[middle]
        } else {
            (wall[middle - 1] + wall[middle]) / 2.0
        };
        Summary {
            runs: wall.len(),
            best: wall[0],
            median,
            cpu: samples.iter().map(|s| s.cpu).fold(f64::INFINITY, f64::min),
        }
    }
}

/// Runs every contender `rounds` times, one round after the other, and returns the samples per contender.
/// The first failure ends it.
pub fn interleave<C, E>(
    contenders: &mut [C],
    rounds: usize,
    mut run: impl FnMut(&mut C) -> Result<Sample, E>,
) -> Result<Vec<Vec<Sample>>, E> {
    let mut samples = vec![Vec::with_capacity(rounds); contenders.len()];
    for _ in 0..rounds {
        for (contender, samples) in contenders.iter_mut().zip(&mut samples) {
            samples.push(run(contender)?);
        }
    }
    Ok(samples)
}

/// Seconds as people read them: `1.234 s`, `56.7 ms`, `8.9 µs`.
pub fn seconds(seconds: f64) -> String {
    if seconds >= 1.0 {
        format!("{seconds:.3} s")
    } else if seconds >= 1e-3 {
        format!("{:.2} ms", seconds * 1e3)
    } else {
        format!("{:.1} µs", seconds * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(wall: f64) -> Sample {
        Sample {
            wall,
            cpu: wall * 2.0,
        }
    }

    #[test]
    fn summary_takes_best_and_median() {
        let odd = Summary::of(&[sample(3.0), sample(1.0), sample(2.0)]);
        assert_eq!(
            (odd.best, odd.median, odd.cpu, odd.runs),
            (1.0, 2.0, 2.0, 3)
        );
        let even = Summary::of(&[sample(4.0), sample(1.0), sample(2.0), sample(3.0)]);
        assert_eq!(even.median, 2.5);
    }

    #[test]
    fn contenders_take_turns() {
        let mut order = Vec::new();
        let samples = interleave(&mut ['a', 'b'], 3, |c| {
            order.push(*c);
            Ok::<_, ()>(sample(1.0))
        });
        assert_eq!(order, ['a', 'b', 'a', 'b', 'a', 'b']);
        assert_eq!(samples.map(|s| s.len()), Ok(2));
    }

    #[test]
    fn a_failure_ends_the_run() {
        let result = interleave(&mut [1, 2], 3, |c| {
            if *c == 2 { Err(*c) } else { Ok(sample(1.0)) }
        });
        assert_eq!(result, Err(2));
    }

    #[test]
    fn work_takes_time() {
        let (sum, sample) = time(|| (0..3_000_000u64).map(std::hint::black_box).sum::<u64>());
        assert_eq!(sum, 4_499_998_500_000);
        assert!(sample.wall > 0.0 && sample.cpu > 0.0);
    }

    #[test]
    fn seconds_choose_their_unit() {
        assert_eq!(seconds(1.5), "1.500 s");
        assert_eq!(seconds(0.0123), "12.30 ms");
        assert_eq!(seconds(0.000_004_5), "4.5 µs");
    }
}

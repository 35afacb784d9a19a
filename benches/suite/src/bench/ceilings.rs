//! What the CPU reaches at most, measured in the same run: copying, and atomic additions.

use std::sync::atomic::{AtomicU64, Ordering};

use super::schema::Ceiling;
use crate::bandwidth::triad;
use crate::failure::Failure;
use crate::options::pool;
use crate::random::SplitMix64;
use crate::timing::time;

/// Elements of each of the triad's three arrays: 192 MiB in all, beyond any cache.
const ELEMENTS: usize = 1 << 23;
/// Words that are added to, 8 MiB.
const WORDS: usize = 1 << 20;

/// Measures the CPU with `threads` workers; small arrays for a `quick` run, whose figures say nothing.
pub fn cpu(threads: usize, quick: bool) -> Result<Ceiling, Failure> {
    let (elements, rounds, additions) = match quick {
        true => (1 << 16, 1, 1 << 14),
        false => (ELEMENTS, 5, 1 << 22),
    };
    let pool = pool(threads)?;
    let copy = pool.install(|| triad(elements, rounds));
    let atomics = pool.install(|| atomics(additions, rounds));
    Ok(Ceiling {
        backend: "cpu".into(),
        threads,
        copy: Some(copy),
        atomics: Some(atomics),
        upload: None,
        download: None,
        why: None,
    })
}

/// Atomic additions per second of all workers of the current pool, each adding to random words of one table, best of
/// `rounds`.
fn atomics(each: u64, rounds: usize) -> f64 {
    let workers = rayon::current_num_threads().max(1) as u64;
    let table: Vec<AtomicU64> = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
    let mut best = f64::INFINITY;
    for _ in 0..rounds {
        let (_, sample) = time(|| {
            rayon::broadcast(|worker| {
                let mut random = SplitMix64::new(worker.index() as u64);
                for _ in 0..each {
                    let at = random.next_u64() as usize % WORDS;
                    table[at].fetch_add(1, Ordering::Relaxed);
                }
            });
        });
        best = best.min(sample.wall);
    }
    let sum: u64 = table.iter().map(|word| word.load(Ordering::Relaxed)).sum();
    assert_eq!(sum, workers * each * rounds as u64, "an addition was lost");
    (workers * each) as f64 / best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_are_rates() {
        let ceiling = cpu(2, true).unwrap();
        assert!(ceiling.copy.unwrap() > 0.0 && ceiling.atomics.unwrap() > 0.0);
        assert_eq!(ceiling.threads, 2);
    }
}

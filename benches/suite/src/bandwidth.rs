//! The floor under every memory-bound kernel: streaming bandwidth, measured in the same run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rayon::prelude::*;

use crate::timing::time;

/// Bytes per second of the STREAM triad `a[i] = b[i] + s·c[i]` over three `f64` arrays of `elements` each, best of
/// `rounds`, on the current rayon pool. Counts 24 bytes per element, without the read for ownership of `a`.
pub fn triad(elements: usize, rounds: usize) -> f64 {
    let chunk = elements
        .div_ceil(rayon::current_num_threads().max(1))
        .max(1);
    let fill = |value: f64| -> Vec<f64> {
        let mut array = vec![0.0; elements];
        array
            .par_chunks_mut(chunk)
            .for_each(|part| part.fill(value));
        array
    };
    let (b, c) = (fill(1.0), fill(2.0));
    let mut a = fill(0.0);
    let mut best = f64::INFINITY;
    for round in 0..rounds.max(1) {
        let scale = std::hint::black_box(round as f64);
        let ((), sample) = time(|| {
            a.par_chunks_mut(chunk)
                .zip(b.par_chunks(chunk))
                .zip(c.par_chunks(chunk))
                .for_each(|((a, b), c)| {
                    for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
                        *a = b + scale * c;
                    }
                });
        });
        assert!(
            a.iter().step_by(4096).all(|&a| a == 1.0 + 2.0 * scale),
            "the triad computed something else"
        );
        best = best.min(sample.wall);
    }
    24.0 * elements as f64 / best
}

/// The triad over arrays of 320 MB each, far beyond any cache, or over small ones for a `tiny` run.
pub fn floor(tiny: bool) -> f64 {
    match tiny {
        true => triad(100_000, 1),
        false => triad(40_000_000, 5),
    }
}

/// A counter alone in its cache lines.
#[repr(align(128))]
struct Alone(AtomicU64);

/// Seconds in which one thread sees what another has written, and answers: half of a turn of `turns` in which two threads
/// count up in the same cache line, each what the other has counted. Two threads of one net meet at such lines. On a
/// virtual machine it depends on which cores of the host are its own at the moment.
pub fn handover(turns: u64) -> f64 {
    let counter = Alone(AtomicU64::new(0));
    let count = |first: u64| {
        for turn in 0..turns {
            let mine = 2 * turn + first;
            let mut looks = 0_u32;
            while counter.0.load(Ordering::Acquire) != mine {
                looks += 1;
                match looks.is_multiple_of(1 << 12) {
                    // Perhaps there is only one core.
                    true => thread::yield_now(),
                    false => std::hint::spin_loop(),
                }
            }
            counter.0.store(mine + 1, Ordering::Release);
        }
    };
    let ((), sample) = time(|| {
        thread::scope(|scope| {
            scope.spawn(|| count(1));
            count(0);
        });
    });
    assert_eq!(counter.0.into_inner(), 2 * turns, "a turn was lost");
    sample.wall / (2 * turns.max(1)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_turn_of_a_handover_is_taken() {
        let seconds = handover(100);
        assert!(seconds.is_finite() && seconds > 0.0);
    }

    #[test]
    fn triad_checks_itself_and_gives_a_rate() {
        let rate = triad(10_000, 2);
        assert!(rate.is_finite() && rate > 0.0);
    }
}

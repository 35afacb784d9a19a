//! How long one invocation may loop, and how much is submitted at a time.
//!
//! Some drivers stop the loops of an invocation, silently, once they have made a fixed number of trips in sum. The number
//! is found by trying; kernels count their trips and stay below. Where there is no such number, a lane that is alone with
//! a deep, narrow net may go on for as long as a dispatch should take.

use std::sync::Arc;
use std::time::Duration;

use super::sources;
use crate::device::{Gpu, GpuError, Groups};

/// Trips that are tried, outer and inner: first a few, then as many as are ever made.
const TRIED: [[u32; 2]; 2] = [[512, 256], [4096, 1024]];
/// Trips that a lane may make in the first dispatches of a reduction.
const FIRST: u32 = TRIED[0][0] * TRIED[0][1];
/// With less the kernels get nothing done.
const LEAST: u32 = 8192;

/// Some time in which a batch of rounds should end.
const BATCH: Duration = Duration::from_millis(500);
/// Some time in which a round should end. The watchdogs of drivers wait for seconds.
pub(super) const ROUND: Duration = Duration::from_millis(50);
/// The same where a processor does the work: nothing watches it, and it is slow.
pub(super) const ROUND_ON_PROCESSOR: Duration = Duration::from_secs(2);

/// Most trips that all loops of an invocation may make in one dispatch.
pub(super) fn probe(gpu: &Arc<Gpu>) -> Result<u32, GpuError> {
    let kernel = gpu.kernel(&sources::probe())?;
    let data = gpu.buffer("net.probe", 4)?;
    let bound = gpu.bind(&kernel, &[(&data).into()])?;
    let mut fuel = 0;
    for [outer, inner] in TRIED {
        gpu.upload(&data, 0, &[outer, inner, 0, 0])?;
        let mut commands = gpu.commands("net.probe");
        commands.dispatch(&bound, Groups::Count(1));
        let made = commands.submit_and_read(&data, 2, 1)?[0];
        tracing::debug!(made, of = outer * inner, "trips of loops in one invocation");
        if made != outer * inner {
            fuel = fuel.max(made.min(outer * inner) / 4 * 3);
            break;
        }
        fuel = made;
    }
    if fuel < LEAST {
        return Err(GpuError::Driver {
            message: format!("loops of a kernel are stopped early: {fuel} trips are safe"),
        });
    }
    Ok(fuel)
}

/// How much is submitted at a time. Timing decides that, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Rounds of a batch.
    pub(super) rounds: u32,
    /// Trips of all loops of a lane in a round.
    pub(super) fuel: u32,
    rounds_most: u32,
    fuel_most: u32,
    /// Some time in which a round should end.
    patience: Duration,
}

impl Pace {
    /// That of the first batch.
    pub(super) fn new(rounds_most: u32, fuel_most: u32, patience: Duration) -> Pace {
        Pace {
            patience,
            rounds: 1,
            fuel: FIRST.min(fuel_most),
            rounds_most: rounds_most.max(1),
            fuel_most,
        }
    }

    /// Adapts to a batch that took so long for `ran` rounds; `parched` if a lane stopped for want of fuel.
    pub(super) fn adapt(&mut self, took: Duration, ran: u32, parched: bool) {
        let round = took / ran.max(1);
        if round > self.patience {
            self.fuel = (self.fuel / 2).max(FIRST.min(self.fuel_most));
        }
        if took > BATCH.max(self.patience) {
            self.rounds = (self.rounds / 2).max(1);
        } else if parched && round < self.patience / 2 && self.fuel < self.fuel_most {
            // One at a time: a batch takes twice as long at most.
            self.fuel = self.fuel.saturating_mul(2).min(self.fuel_most);
        } else if took < BATCH / 2 {
            self.rounds = self.rounds.saturating_mul(2).min(self.rounds_most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn fuel_grows_while_rounds_are_short_and_need_it() {
        let most = FIRST * 8;
        let mut pace = Pace::new(4, most, ROUND);
        assert_eq!((pace.rounds, pace.fuel), (1, FIRST));
        pace.adapt(MILLISECOND, 1, false);
        assert_eq!((pace.rounds, pace.fuel), (2, FIRST));
        for times in [2, 4, 8, 8] {
            pace.adapt(2 * MILLISECOND, 2, true);
            assert_eq!(pace.fuel, FIRST * times);
        }
        assert_eq!(pace.rounds, 4, "rounds grow when fuel cannot");
        // Long rounds, long batches.
        for fuel in [4, 2, 1, 1] {
            pace.adapt(4 * 60 * MILLISECOND, 4, true);
            assert_eq!(pace.fuel, FIRST * fuel);
            assert_eq!(pace.rounds, 4);
        }
        for rounds in [2, 1, 1] {
            pace.adapt(600 * MILLISECOND, 1, true);
            assert_eq!((pace.rounds, pace.fuel), (rounds, FIRST));
        }
    }

    #[test]
    fn a_driver_that_stops_loops_early_gets_no_more_than_it_can_take() {
        let mut pace = Pace::new(32, LEAST, ROUND);
        for _ in 0..10 {
            assert_eq!(pace.fuel, LEAST);
            pace.adapt(MILLISECOND, pace.rounds, true);
        }
        pace.adapt(60 * MILLISECOND, 1, true);
        assert_eq!(pace.fuel, LEAST);
        assert_eq!(pace.rounds, 32);
    }

    #[test]
    fn a_batch_without_a_round_changes_no_more_than_others() {
        let mut pace = Pace::new(32, FIRST, ROUND);
        pace.adapt(MILLISECOND, 0, false);
        assert_eq!((pace.rounds, pace.fuel), (2, FIRST));
    }
}

//! How much work is submitted to a device at a time.

use std::time::Duration;

/// Some time in which a batch of rounds should end.
const BATCH: Duration = Duration::from_millis(500);

/// How much is submitted at a time. Timing decides that, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Rounds of a batch.
    pub rounds: u32,
    /// Trips of all loops of a lane in a round.
    pub fuel: u32,
    rounds_most: u32,
    fuel_first: u32,
    fuel_most: u32,
    /// Some time in which a round should end.
    patience: Duration,
}

impl Pace {
    /// Some time in which a round should end. The watchdogs of drivers wait for seconds.
    pub const ROUND: Duration = Duration::from_millis(50);

    /// That of the first batch: one round with `fuel_first`, or with `fuel_most` if that is less. Later at most so many
    /// rounds, with at most so much.
    pub fn new(rounds_most: u32, fuel_first: u32, fuel_most: u32) -> Pace {
        let fuel_first = fuel_first.min(fuel_most);
        Pace {
            rounds: 1,
            fuel: fuel_first,
            rounds_most: rounds_most.max(1),
            fuel_first,
            fuel_most,
            patience: Pace::ROUND,
        }
    }

    /// The same with another time in which a round should end.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Pace {
        Pace { patience, ..self }
    }

    /// Adapts to a batch that took so long for `ran` rounds; `parched` if a lane stopped for want of fuel.
    pub fn adapt(&mut self, took: Duration, ran: u32, parched: bool) {
        let round = took / ran.max(1);
        if round > self.patience {
            self.fuel = (self.fuel / 2).max(self.fuel_first);
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

    const FIRST: u32 = 1 << 17;
    const LEAST: u32 = 1 << 13;
    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn fuel_grows_while_rounds_are_short_and_need_it() {
        let most = FIRST * 8;
        let mut pace = Pace::new(4, FIRST, most);
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
        let mut pace = Pace::new(32, FIRST, LEAST);
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
        let mut pace = Pace::new(32, FIRST, FIRST);
        pace.adapt(MILLISECOND, 0, false);
        assert_eq!((pace.rounds, pace.fuel), (2, FIRST));
    }
}

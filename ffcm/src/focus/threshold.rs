//! Which nodes take part in an iteration of a warm run: those that move by more than a threshold per out-edge.

use super::{FocusParams, MASS};

/// Out-edges of a node count to this many: what fits beside a ratio in 64 bits.
pub const DEGREE_MAX: u32 = (1 << 26) - 1;

/// The first threshold is that of a residual of so many ε; if the first residual is not clearly below, all take part.
const FIRST: u64 = 128;

/// Above this residual all take part, so that what waits is below (1 − d)·M and cannot make more arrive than M.
fn residual_max(damping: u32) -> u64 {
    ((1 << 32) - u64::from(damping)) * (MASS >> 33)
}

/// A residual that falls by less than its part of 2^-`FALL_BITS` is a failure.
const FALL_BITS: u32 = 5;

/// After so many failures all take part.
const FAILURES_MAX: u32 = 4;

/// θ from one iteration to the next: an integer function of exact integers. Not all backends use this one: devices
/// decide for themselves.
#[derive(Clone, Copy, Debug)]
pub struct Threshold {
    /// Edges of the graph, at least 1.
    edges: u64,
    /// Whether θ is 0 throughout.
    off: bool,
    residual_max: u64,
    /// Residual of the last iteration; before the first, what it has to be below.
    before: u64,
    /// Whether no iteration has been made yet.
    first: bool,
    failures: u32,
    per_edge: u64,
}

impl Threshold {
    /// For a run with these parameters on a graph of so many edges; `cold`: from an empty start vector.
    pub fn new(edges: u64, params: &FocusParams, cold: bool) -> Threshold {
        let mut threshold = Threshold {
            edges: edges.max(1),
            off: cold || params.epsilon == 0,
            residual_max: residual_max(params.damping),
            before: params.epsilon.saturating_mul(FIRST),
            first: true,
            failures: 0,
            per_edge: 0,
        };
        threshold.set(threshold.before);
        threshold
    }

    /// Whether θ may be other than 0 in some iteration.
    pub fn is_on(&self) -> bool {
        !self.off
    }

    /// θ of the iteration to come: what a node may keep back per out-edge.
    pub fn per_edge(&self) -> u64 {
        self.per_edge
    }

    /// Edges to divide a residual by, at least 1.
    pub fn edges(&self) -> u64 {
        self.edges
    }

    /// Above this residual θ is 0.
    pub fn residual_max(&self) -> u64 {
        self.residual_max
    }

    /// Residual of the last iteration; before the first, what it has to be below.
    pub fn before(&self) -> u64 {
        self.before
    }

    /// Takes note of an iteration's residual.
    pub fn follow(&mut self, residual: u64) {
        if residual > self.before - (self.before >> FALL_BITS) {
            self.failures += if self.first { FAILURES_MAX } else { 1 };
        }
        (self.before, self.first) = (residual, false);
        self.set(residual);
    }

    fn set(&mut self, residual: u64) {
        let none = self.off || residual > self.residual_max || self.failures >= FAILURES_MAX;
        let each = residual / self.edges;
        self.per_edge = match none {
            true => 0,
            false => (each + each / 4) >> self.failures,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_halve_the_threshold_and_end_it() {
        let params = FocusParams::default();
        let mut threshold = Threshold::new(1 << 20, &params, false);
        let each = (params.epsilon * 128) >> 20;
        assert_eq!(threshold.per_edge(), each + each / 4);
        for (residual, per_edge) in [
            (64 << 30, 80 << 10),
            // Falls by 1/32, then by less.
            (62 << 30, 79_360),
            ((62 << 30) - (62 << 25) + 1, 38_440),
            (1 << 40, 655_360 * 2 / 4),
            (1 << 41, 2_621_440 / 8),
            (1 << 40, 1_310_720 / 8),
            (1 << 40, 0),
            (1, 0),
        ] {
            threshold.follow(residual);
            assert_eq!(threshold.per_edge(), per_edge, "after {residual}");
        }
    }

    #[test]
    fn far_from_the_end_and_in_cold_runs_all_take_part() {
        let params = FocusParams::default();
        for (epsilon, cold) in [(params.epsilon, true), (0, false), (0, true)] {
            let params = FocusParams { epsilon, ..params };
            let mut threshold = Threshold::new(10, &params, cold);
            assert!(!threshold.is_on() && threshold.per_edge() == 0);
            threshold.follow(1 << 40);
            assert_eq!(threshold.per_edge(), 0);
        }
        for damping in [0, params.damping, u32::MAX] {
            let epsilon = u64::MAX / 2;
            let params = FocusParams {
                damping,
                epsilon,
                ..params
            };
            let mut threshold = Threshold::new(10, &params, false);
            let most = threshold.residual_max();
            threshold.follow(most);
            assert_eq!(threshold.per_edge(), most / 10 + most / 10 / 4);
            threshold.follow(most + 1);
            assert_eq!(threshold.per_edge(), 0);
        }
        let first = params.epsilon * 128;
        for (residual, off) in [(first / 32 * 31, false), (first, true)] {
            let mut threshold = Threshold::new(10, &params, false);
            threshold.follow(residual);
            threshold.follow(1 << 30);
            assert_eq!(threshold.per_edge() == 0, off, "after {residual}");
        }
        let all = FocusParams {
            epsilon: u64::MAX,
            ..params
        };
        assert_eq!(Threshold::new(0, &all, false).per_edge(), 0);
    }
}

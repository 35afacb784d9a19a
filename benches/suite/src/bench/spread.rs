//! The middle of some runs, and how far they lie from it.

use serde::{Deserialize, Serialize};

use crate::timing::Sample;

/// Seconds of several runs of one thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Shortest.
    pub min: f64,
    /// Middle one; of an even number the mean of the two in the middle.
    pub median: f64,
    /// Longest.
    pub max: f64,
    /// Median of the distances from the median.
    pub mad: f64,
    /// Least user and system time of all threads; nothing where only others' clocks are known.
    pub cpu: Option<f64>,
    /// All runs, in the order in which they were made.
    pub samples: Vec<f64>,
}

/// One median absolute deviation of a normal distribution is so many of its standard deviations (1 / Φ⁻¹(3/4)).
pub const MAD_TO_SIGMA: f64 = 1.4826;

impl Spread {
    /// None without runs.
    pub fn of(samples: &[Sample]) -> Option<Spread> {
        let wall: Vec<f64> = samples.iter().map(|sample| sample.wall).collect();
        let median = median(&wall)?;
        let distances: Vec<f64> = wall.iter().map(|wall| (wall - median).abs()).collect();
        Some(Spread {
            min: wall.iter().copied().fold(f64::INFINITY, f64::min),
            median,
            max: wall.iter().copied().fold(0.0, f64::max),
            mad: self::median(&distances)?,
            cpu: samples.iter().map(|sample| sample.cpu).reduce(f64::min),
            samples: wall,
        })
    }

    /// Standard deviation of one run by the MAD, as a share of the median.
    pub fn sigma(&self) -> f64 {
        match self.median > 0.0 {
            true => MAD_TO_SIGMA * self.mad / self.median,
            false => 0.0,
        }
    }
}

/// The middle of some numbers; none of none.
pub fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => Some(sorted[middle]),
        _ if sorted.is_empty() => None,
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_late_run_moves_the_maximum_alone() {
        let sample = |wall| Sample { wall, cpu: wall };
        let runs = [1.0, 1.2, 0.9, 1.1, 50.0].map(sample);
        let spread = Spread::of(&runs).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (0.9, 1.1, 50.0));
        assert!((spread.mad - 0.1).abs() < 1e-9, "{}", spread.mad);
        assert_eq!(spread.samples.len(), 5);
        assert_eq!(spread.cpu, Some(0.9));
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(median(&[2.0, 1.0]), Some(1.5));
    }
}

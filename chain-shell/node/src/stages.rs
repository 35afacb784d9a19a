//! Wall time per stage of a block. Telemetry only.

use std::time::{Duration, Instant};

/// Stages in the order they ended.
#[derive(Clone, Debug)]
pub struct Stages {
    last: Instant,
    /// Name and duration.
    pub list: Vec<(&'static str, Duration)>,
}

impl Stages {
    /// Starts the clock.
    pub fn start() -> Stages {
        Stages {
            last: Instant::now(),
            list: Vec::new(),
        }
    }

    /// Ends the stage `name`, which began when the one before ended.
    pub fn done(&mut self, name: &'static str) {
        let now = Instant::now();
        self.list.push((name, now - self.last));
        self.last = now;
    }
}

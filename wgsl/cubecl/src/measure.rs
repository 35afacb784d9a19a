//! An adapter under measurement, as far as cubecl lets it be seen.

use std::time::{Duration, Instant};

use ffcm::coprocessor::JobError;
use ffcm::device::meter::{Meter, Transfers, check_last, pattern, shortest};

use crate::device::Gpu;

fn unknown(job: &'static str) -> JobError {
    JobError::NotSupported {
        backend: "cubecl".into(),
        job,
    }
}

impl Meter for Gpu {
    fn transfers(&self) -> Transfers {
        let (uploaded, read_back) = self.sent();
        Transfers {
            uploaded,
            read_back,
            ..Transfers::default()
        }
    }

    /// Copies are part of cubecl's stream: where one ends cannot be seen.
    fn time_transfers(&self, _: bool) -> bool {
        false
    }

    fn most_words(&self) -> u64 {
        self.buffer_bytes().min(64 << 20) / 4
    }

    /// By a kernel that copies word by word, and the host's clock, with one wait a round.
    fn time_copies(&self, words: u64, copies: u32, rounds: u32) -> Result<Duration, JobError> {
        let from = self.upload("copy: from", &pattern(words))?;
        let to = self.buffer("copy: to", words)?;
        shortest(rounds, || {
            let start = Instant::now();
            for _ in 0..copies {
                self.copy(&from, &to)?;
            }
            let last = self.read(&to, words.saturating_sub(1) as usize, 1)?;
            let time = start.elapsed();
            check_last(last.first(), words)?;
            Ok(time)
        })
    }

    fn time_wire(&self, _: u64, _: u32) -> Result<(Duration, Duration), JobError> {
        Err(unknown("timing of copies"))
    }

    fn time_atomics(&self, _: u32, _: u32) -> Result<Duration, JobError> {
        Err(unknown("timing of atomics"))
    }
}

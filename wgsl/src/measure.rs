//! A WebGPU device under measurement.

use std::time::{Duration, Instant};

use ffcm::coprocessor::JobError;
use ffcm::device::meter::{
    ADDITIONS, Meter, TABLE_WORDS, Transfers, check_additions, check_last, pattern, shortest, timed,
};

use crate::device::{Binding, Gpu, Groups, Source};

/// Invocations of a workgroup.
const WORKGROUP: u32 = 64;

pub(crate) fn sources() -> Vec<Source> {
    vec![atomics()]
}

fn atomics() -> Source {
    Source {
        name: "measure.atomics",
        text: include_str!("kernels/measure/atomics.wgsl").to_owned(),
        entry: "main",
        bindings: &[Binding::Write],
    }
}

impl Meter for Gpu {
    fn transfers(&self) -> Transfers {
        let stats = self.stats();
        let (upload_time, read_time) = self.transfer_times();
        Transfers {
            uploaded: stats.uploaded,
            read_back: stats.read_back,
            upload_time,
            read_time,
        }
    }

    fn time_transfers(&self, on: bool) -> bool {
        self.set_timing(on)
    }

    /// What every implementation takes in one buffer with room to spare, and what a software driver copies soon.
    fn most_words(&self) -> u64 {
        self.profile().binding_bytes.min(64 << 20) / 4
    }

    /// By the host's clock, with one submission and one wait a round: devices need not have time stamps of copies.
    fn time_copies(&self, words: u64, copies: u32, rounds: u32) -> Result<Duration, JobError> {
        let from = self.buffer_of("copy: from", &pattern(words))?;
        let to = self.buffer("copy: to", words)?;
        shortest(rounds, || {
            let mut commands = self.commands("copy");
            for _ in 0..copies {
                commands.copy(&from, 0, &to, 0, words);
            }
            let start = Instant::now();
            let last = commands.submit_and_read(&to, words.saturating_sub(1), 1)?;
            let time = start.elapsed();
            check_last(last.first(), words)?;
            Ok(time)
        })
    }

    fn time_wire(&self, words: u64, rounds: u32) -> Result<(Duration, Duration), JobError> {
        let (buffer, data) = (self.buffer("wire", words)?, pattern(words));
        let up = shortest(rounds, || {
            let ((), sent) = timed(self, || Ok(self.upload(&buffer, 0, &data)?))?;
            Ok(sent.upload_time)
        })?;
        let down = shortest(rounds, || {
            let (found, sent) = timed(self, || Ok(self.read(&buffer, 0, words)?))?;
            check_last(found.last(), words)?;
            Ok(sent.read_time)
        })?;
        Ok((up, down))
    }

    /// By the host's clock, with one submission and one wait a round.
    fn time_atomics(&self, threads: u32, rounds: u32) -> Result<Duration, JobError> {
        let words = u64::from(TABLE_WORDS);
        let kernel = self.unkept_kernel(&atomics())?;
        let table = self.buffer("atomics", words)?;
        let bound = self.bind(&kernel, &[(&table).into()])?;
        let groups = threads.div_ceil(WORKGROUP);
        let mut launches = 0u64;
        let best = shortest(rounds, || {
            launches += 1;
            let mut commands = self.commands("atomics");
            commands.dispatch(&bound, Groups::Count(groups));
            let start = Instant::now();
            commands.submit_and_read(&table, 0, 1)?;
            Ok(start.elapsed())
        })?;
        let each = u64::from(groups) * u64::from(WORKGROUP) * u64::from(ADDITIONS);
        check_additions(&self.read(&table, 0, words)?, each * launches)?;
        Ok(best)
    }
}

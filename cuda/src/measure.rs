//! A CUDA device under measurement.

use std::time::Duration;

use ffcm::coprocessor::JobError;
use ffcm::device::meter::{
    ADDITIONS, Meter, TABLE_WORDS, Transfers, check_additions, check_last, pattern, shortest, timed,
};

use crate::device::{CudaError, Gpu, Grid, Source};

/// Threads of a block.
const THREADS: u32 = 256;

pub(crate) fn sources() -> Vec<Source> {
    vec![atomics()]
}

fn atomics() -> Source {
    Source {
        name: "measure/atomics",
        text: include_str!("kernels/measure/atomics.cu"),
        entries: &["measure_atomics"],
        defines: &[],
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
        self.set_timing(on);
        true
    }

    /// A quarter of what is left for each of two buffers, beside what the engines hold.
    fn most_words(&self) -> u64 {
        let left = self.memory_limit().saturating_sub(self.memory_in_use());
        (left / 4 / 4).max(1)
    }

    /// By the device's clock.
    fn time_copies(&self, words: u64, copies: u32, rounds: u32) -> Result<Duration, JobError> {
        let from = self.buffer_of("copy: from", &pattern(words))?;
        let to = self.buffer::<u32>("copy: to", words)?;
        shortest(rounds, || {
            let all = || (0..copies).try_for_each(|_| self.copy((&from, 0), (&to, 0), words));
            let ((), time) = self.timed(all)?;
            let last = self.read(&to, words.saturating_sub(1), 1)?;
            check_last(last.first(), words)?;
            Ok(time)
        })
    }

    fn time_wire(&self, words: u64, rounds: u32) -> Result<(Duration, Duration), JobError> {
        let (buffer, data) = (self.buffer::<u32>("wire", words)?, pattern(words));
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

    /// By the device's clock.
    fn time_atomics(&self, threads: u32, rounds: u32) -> Result<Duration, JobError> {
        let words = u64::from(TABLE_WORDS);
        let kernels = self.kernels(&atomics())?;
        let [kernel] = &kernels[..] else {
            return Err(JobError::from(CudaError::Driver {
                message: format!("{} kernels in a unit of one", kernels.len()),
            }));
        };
        let table = self.buffer::<u32>("atomics", words)?;
        let grid = Grid::covering(threads.into(), THREADS);
        let mut launches = 0u64;
        let best = shortest(rounds, || {
            launches += 1;
            let launch = || self.launch(kernel, grid, &[(&table).into()]);
            let ((), time) = self.timed(launch)?;
            Ok(time)
        })?;
        let each = u64::from(grid.blocks) * u64::from(THREADS) * u64::from(ADDITIONS);
        check_additions(&self.read(&table, 0, words)?, each * launches)?;
        Ok(best)
    }
}

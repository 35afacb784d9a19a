//! A WebGPU device under measurement.

use std::sync::Arc;

use ffcm_wgsl::device::{Gpu, Options};

use super::{Description, Device, Traffic};
use crate::failure::Failure;
use crate::timing::time;

impl Device for Gpu {
    type Options = Options;

    fn open(options: &Options) -> Result<Arc<Gpu>, Failure> {
        Ok(Arc::new(Gpu::open(options).map_err(Failure::failed)?))
    }

    fn describe(&self) -> Description {
        let adapter = self.adapter();
        let times = self.compile_times().into_iter();
        Description {
            adapter: adapter.name.clone(),
            kind: adapter.kind,
            driver: adapter.driver.clone(),
            copy_bandwidth: None,
            pipelines: times
                .map(|(name, time)| (name, time.as_secs_f64()))
                .collect(),
        }
    }

    fn sent(&self) -> Traffic {
        let stats = self.stats();
        Traffic {
            submissions: Some(stats.submissions),
            launches: stats.dispatches,
            round_trips: stats.round_trips,
            uploaded: stats.uploaded,
            read_back: stats.read_back,
        }
    }

    fn most_words(&self) -> u64 {
        // What every implementation takes in one buffer with room to spare, and what a software driver copies soon.
        self.profile().binding_bytes.min(64 << 20) / 4
    }

    fn time_copies(&self, words: u64, copies: u32, rounds: u32) -> Result<f64, Failure> {
        let pattern: Vec<u32> = (1..=words as u32).collect();
        let from = self
            .buffer_of("copy: from", &pattern)
            .map_err(Failure::failed)?;
        let to = self.buffer("copy: to", words).map_err(Failure::failed)?;
        let mut best = f64::INFINITY;
        // One more, to warm up.
        for _ in 0..=rounds {
            let mut commands = self.commands("copy");
            for _ in 0..copies {
                commands.copy(&from, 0, &to, 0, words);
            }
            let (last, sample) = time(|| commands.submit_and_read(&to, words - 1, 1));
            if last.map_err(Failure::failed)? != [words as u32] {
                return Err(Failure::Mismatch("a copy on the device".into()));
            }
            best = best.min(sample.wall);
        }
        Ok(best)
    }
}

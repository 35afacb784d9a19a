//! A CUDA device under measurement.

use std::sync::Arc;

use ffcm_cuda::device::{Buffer, CudaError, Gpu, Options};

use super::{Description, Device, Traffic};
use crate::failure::Failure;

impl Device for Gpu {
    type Options = Options;

    fn open(options: &Options) -> Result<Arc<Gpu>, Failure> {
        Ok(Arc::new(Gpu::open(options).map_err(Failure::failed)?))
    }

    fn describe(&self) -> Description {
        let device = self.summary();
        let (major, minor) = device.capability;
        let times = self.compile_times().into_iter();
        Description {
            adapter: format!("{} (sm_{major}{minor})", device.name),
            kind: "GPU",
            driver: format!("CUDA driver {}", device.driver),
            copy_bandwidth: None,
            pipelines: times
                .map(|(name, time)| (name, time.as_secs_f64()))
                .collect(),
        }
    }

    fn sent(&self) -> Traffic {
        let stats = self.stats();
        Traffic {
            submissions: None,
            launches: stats.launches,
            round_trips: stats.round_trips,
            uploaded: stats.uploaded,
            read_back: stats.read_back,
        }
    }

    fn most_words(&self) -> u64 {
        // Two buffers, beside what the engines hold.
        let left = self.memory_limit().saturating_sub(self.memory_in_use());
        (left / 4 / 4).max(1)
    }

    fn time_copies(&self, words: u64, copies: u32, rounds: u32) -> Result<f64, Failure> {
        let buffers = || -> Result<[Buffer<u32>; 2], CudaError> {
            let pattern: Vec<u32> = (1..=words as u32).collect();
            let from = self.buffer_of("copy: from", &pattern)?;
            Ok([from, self.buffer("copy: to", words)?])
        };
        let [from, to] = buffers().map_err(Failure::failed)?;
        let mut best = f64::INFINITY;
        // One more, to warm up.
        for _ in 0..=rounds {
            let copied = || (0..copies).try_for_each(|_| self.copy((&from, 0), (&to, 0), words));
            let ((), elapsed) = self.timed(copied).map_err(Failure::failed)?;
            let last = self.read(&to, words - 1, 1).map_err(Failure::failed)?;
            if last != [words as u32] {
                return Err(Failure::Mismatch("a copy on the device".into()));
            }
            best = best.min(elapsed.as_secs_f64());
        }
        Ok(best)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;
    use ffcm_cuda::device::shim::{self, ShimOptions};
    use serde_json::Value;

    use crate::{focus, gpu, hash, memory, nets};

    #[derive(Parser)]
    enum Cli {
        Nets(nets::Arguments),
        Focus(focus::Arguments),
        Memory(memory::Arguments),
        Hash(hash::Arguments),
    }

    /// The report of a tiny run with the kernels on the CPU.
    fn report(words: &[&str]) -> Value {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.json");
        let path: &Path = &file;
        let options = ["--tiny", "--json", path.to_str().unwrap()];
        let cli = Cli::parse_from([&["suite"], words, &options].concat());
        let gpu = shim::open(&ShimOptions::default()).unwrap();
        let done = match cli {
            Cli::Nets(arguments) => gpu::nets::on_cuda(&arguments, gpu),
            Cli::Focus(arguments) => gpu::focus::on_cuda(&arguments, gpu),
            Cli::Memory(arguments) => gpu::memory::on_cuda(&arguments, gpu),
            Cli::Hash(arguments) => gpu::hash::on_cuda(&arguments, gpu),
        };
        done.unwrap();
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
    }

    #[test]
    fn every_suite_runs_on_the_kernels_of_cuda() {
        for (words, rows) in [
            (&["nets", "--only", "sum_rec,cnots"][..], 2),
            (&["nets", "--only", "stress", "--persistent"], 1),
            (&["nets", "--only", "sum_tree", "--local"], 1),
            (&["focus", "--iterations", "3", "--degree", "4"], 2),
            (&["memory"], 1),
            (&["hash"], 4),
        ] {
            let report = report(words);
            let found = report["rows"].as_array().unwrap();
            assert!(found.len() >= rows, "{words:?}: {report:#}");
            for row in found {
                assert!(row["mega_units"].as_f64().unwrap() > 0.0, "{row:#}");
                assert!(row["traffic"]["launches"].as_u64().unwrap() > 0, "{row:#}");
            }
            assert!(report["device"]["copy_bandwidth"].as_f64().unwrap() > 0.0);
        }
    }
}

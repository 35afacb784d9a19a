//! A CUDA device under measurement.

use std::sync::Arc;

use ffcm_cuda::device::{Gpu, Options};

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

//! A WebGPU device under measurement.

use std::sync::Arc;

use ffcm_wgsl::device::{Gpu, Options};

use super::{Description, Device, Traffic};
use crate::failure::Failure;

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
}

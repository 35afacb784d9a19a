//! What the suites share on devices: which one, what goes over the wire, and the copy that is the floor.

mod cuda;
pub mod focus;
pub mod hash;
pub mod memory;
pub mod nets;
mod wgpu;

use std::sync::Arc;
use std::time::Duration;

use ffcm::coprocessor::{Accelerator, Provider};
use ffcm::device::meter::Meter;
use ffcm_cuda::CudaProvider;
use ffcm_wgsl::WgpuProvider;
use serde::Serialize;

use crate::failure::Failure;
use crate::machine::Machine;
use crate::options::Options;
pub use crate::table::hex;

use crate::table::Table;
use crate::timing::{Summary, seconds};

/// Families of devices besides the CPU.
pub const PROVIDERS: [&dyn Provider; 2] = [
    &WgpuProvider { row_kernels: true },
    &CudaProvider { row_kernels: true },
];

/// Where the engines of a suite run.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Backend {
    /// `cpu`; a WebGPU adapter: `wgpu` for the first usable one, `wgpu:N`; or a CUDA device: `cuda`, `cuda:N`. Thread
    /// counts are the CPU's.
    #[arg(long, value_name = "BACKEND", default_value = "cpu", value_parser = parse)]
    backend: Accelerator,
}

fn parse(text: &str) -> Result<Accelerator, String> {
    match text.parse() {
        Ok(Accelerator::Auto | Accelerator::Cubecl(_)) => {
            Err("measured are cpu, wgpu, wgpu:N, cuda and cuda:N".into())
        }
        Ok(backend) => Ok(backend),
        Err(error) => Err(error.to_string()),
    }
}

/// A device by its family, and how to open it.
#[derive(Clone, Debug)]
pub enum Choice {
    /// A WebGPU adapter.
    Wgpu(ffcm_wgsl::device::Options),
    /// A CUDA device.
    Cuda(ffcm_cuda::device::Options),
}

impl Backend {
    /// The backend as the command line names it.
    pub fn accelerator(&self) -> Accelerator {
        self.backend
    }

    /// How to open the device, if it is one.
    pub fn device(&self) -> Option<Choice> {
        match self.backend {
            Accelerator::Wgpu(adapter) => Some(Choice::Wgpu(ffcm_wgsl::device::Options {
                adapter,
                ..ffcm_wgsl::device::Options::default()
            })),
            Accelerator::Cuda(device) => Some(Choice::Cuda(ffcm_cuda::device::Options {
                device,
                ..ffcm_cuda::device::Options::default()
            })),
            Accelerator::Cpu | Accelerator::Auto | Accelerator::Cubecl(_) => None,
        }
    }
}

/// An open device, whoever drives it.
pub trait Device: Meter {
    /// How it is opened.
    type Options;

    /// Opens it.
    fn open(options: &Self::Options) -> Result<Arc<Self>, Failure>;

    /// What it is, and what compiling its kernels took so far.
    fn describe(&self) -> Description;

    /// What went over the wire since it was opened.
    fn sent(&self) -> Traffic;
}

/// A device as a report shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// Adapter's name.
    pub adapter: String,
    /// `discrete GPU` and the like.
    pub kind: &'static str,
    /// Driver and its version.
    pub driver: String,
    /// Bytes per second of a copy between two buffers, read and written bytes counted; nothing before it is measured.
    pub copy_bandwidth: Option<f64>,
    /// Seconds that creating each pipeline took. Some drivers compile at the first dispatch instead.
    pub pipelines: Vec<(&'static str, f64)>,
}

impl Description {
    /// Two lines and a table.
    fn print(&self) {
        let copy = self.copy_bandwidth.unwrap_or(f64::NAN);
        println!(
            "device: {} ({}), {}; copy {:.2} GB/s",
            self.adapter,
            self.kind,
            self.driver,
            copy / 1e9
        );
        let mut table = Table::new(["kernel", "pipeline"]);
        for (name, time) in &self.pipelines {
            table.row([(*name).to_owned(), seconds(*time)]);
        }
        println!("{table}");
    }
}

/// Bytes per second of a copy from buffer to buffer, best of some rounds; read and written bytes are counted, as the
/// bytes of a kernel are.
fn copy_bandwidth(device: &impl Device, tiny: bool) -> Result<f64, Failure> {
    // Larger than any cache.
    let (words, copies, rounds) = match tiny {
        true => (1 << 18, 2, 1),
        false => (1 << 28, 16, 5),
    };
    let words = words.min(device.most_words());
    let best = device.time_copies(words, copies, rounds);
    let best = best.map_err(Failure::failed)?;
    Ok((2 * 4 * words * u64::from(copies)) as f64 / best.as_secs_f64())
}

/// What went over the wire in one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Submissions to the queue, where there are any.
    pub submissions: Option<u64>,
    /// Kernels launched.
    pub launches: u64,
    /// Times the host waited for the device.
    pub round_trips: u64,
    /// Bytes written by the host.
    pub uploaded: u64,
    /// Bytes read back by the host.
    pub read_back: u64,
}

impl Traffic {
    /// What went over the wire between two looks.
    pub fn between(before: Traffic, after: Traffic) -> Traffic {
        let submissions = after.submissions.zip(before.submissions);
        Traffic {
            submissions: submissions.map(|(after, before)| after.saturating_sub(before)),
            launches: after.launches.saturating_sub(before.launches),
            round_trips: after.round_trips.saturating_sub(before.round_trips),
            uploaded: after.uploaded.saturating_sub(before.uploaded),
            read_back: after.read_back.saturating_sub(before.read_back),
        }
    }
}

/// Runs something and says what went over the wire.
pub fn watched<T>(device: &impl Device, run: impl FnOnce() -> T) -> (T, Traffic) {
    let before = device.sent();
    let value = run();
    (value, Traffic::between(before, device.sent()))
}

/// What an engine has counted of its kernels, as far as it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    /// Bytes that they address.
    pub bytes: Option<u64>,
    /// Time that the device spent in them.
    pub time: Option<Duration>,
}

impl Counted {
    /// What was added since an earlier look.
    #[must_use]
    pub fn since(self, before: Counted) -> Counted {
        let bytes = self.bytes.zip(before.bytes);
        let time = self.time.zip(before.time);
        Counted {
            bytes: bytes.map(|(after, before)| after.saturating_sub(before)),
            time: time.map(|(after, before)| after.saturating_sub(before)),
        }
    }

    /// Of two runs of the same work, the one whose kernels took less time.
    #[must_use]
    pub fn or_faster(self, other: Counted) -> Counted {
        match other.time {
            Some(time) if self.time.is_some_and(|own| time < own) => other,
            _ => self,
        }
    }
}

/// Figures of one workload on the device.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The workload.
    pub what: String,
    /// Units of work of one run: operations, interactions, edge visits, bytes, nonces.
    pub units: u64,
    /// Seconds of one run, transfers included.
    pub run: Summary,
    /// Millions of units per second, best run.
    pub mega_units: f64,
    /// What one run sends over the wire: the last one, and the same for each unless the device remembers the one before.
    pub traffic: Traffic,
    /// Bytes that the kernels of one run address, where the engine counts them.
    pub kernel_bytes: Option<u64>,
    /// Seconds that the device spent in the kernels of one run, the shortest, where the engine measures them.
    pub kernel_seconds: Option<f64>,
    /// Part of the copy's speed reached: those bytes over the measured copy bandwidth and the kernels' time, or the best
    /// run's where that is not measured.
    pub of_copy: Option<f64>,
}

impl Row {
    /// The figures of one workload.
    pub fn new(what: String, units: u64, run: Summary, traffic: Traffic, kernels: Counted) -> Row {
        Row {
            what,
            units,
            mega_units: units as f64 / run.best / 1e6,
            run,
            traffic,
            kernel_bytes: kernels.bytes,
            kernel_seconds: kernels.time.map(|time| time.as_secs_f64()),
            of_copy: None,
        }
    }
}

/// A suite's figures on a device.
#[derive(Debug, Serialize)]
pub struct Report {
    machine: Machine,
    device: Description,
    /// What a unit of work is.
    unit: &'static str,
    /// Input, and digests equal to the CPU's.
    facts: Vec<(&'static str, String)>,
    rows: Vec<Row>,
}

impl Report {
    /// Finishes a suite: measures the floor, prints, writes.
    pub fn finish(
        gpu: &impl Device,
        options: &Options,
        unit: &'static str,
        facts: Vec<(&'static str, String)>,
        mut rows: Vec<Row>,
    ) -> Result<(), Failure> {
        let mut device = gpu.describe();
        let copy = copy_bandwidth(gpu, options.tiny)?;
        device.copy_bandwidth = Some(copy);
        for row in &mut rows {
            let seconds = row.kernel_seconds.unwrap_or(row.run.best);
            row.of_copy = row.kernel_bytes.map(|bytes| bytes as f64 / copy / seconds);
        }
        let report = Report {
            machine: Machine::here(),
            device,
            unit,
            facts,
            rows,
        };
        report.print();
        options.write(&report)
    }

    fn print(&self) {
        println!("{}", self.machine);
        self.device.print();
        for (name, value) in &self.facts {
            println!("{name}: {value}");
        }
        let rate = format!("M {}/s", self.unit);
        let mut table = Table::new([
            self.unit,
            "count",
            "best",
            "median",
            "CPU",
            &rate,
            "kernels",
            "kernel B each",
            "up B each",
            "down B each",
            "launches",
            "round trips",
            "of copy",
        ]);
        for row in &self.rows {
            let each = |bytes: u64| format!("{:.2}", bytes as f64 / row.units as f64);
            let uncounted = || "-".to_owned();
            table.row([
                row.what.clone(),
                row.units.to_string(),
                seconds(row.run.best),
                seconds(row.run.median),
                seconds(row.run.cpu),
                format!("{:.3}", row.mega_units),
                row.kernel_seconds.map_or_else(uncounted, seconds),
                row.kernel_bytes.map_or_else(uncounted, each),
                each(row.traffic.uploaded),
                each(row.traffic.read_back),
                row.traffic.launches.to_string(),
                row.traffic.round_trips.to_string(),
                row.of_copy
                    .map_or_else(uncounted, |part| format!("{:.1} %", part * 100.0)),
            ]);
        }
        println!("{table}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_are_those_that_are_measured() {
        assert!(parse("cpu").is_ok_and(|b| Backend { backend: b }.device().is_none()));
        let device = |text: &str| {
            let backend = parse(text).unwrap();
            match (Backend { backend }).device().unwrap() {
                Choice::Wgpu(options) => ("wgpu", options.adapter),
                Choice::Cuda(options) => ("cuda", options.device),
            }
        };
        assert_eq!(device("wgpu:3"), ("wgpu", Some(3)));
        assert_eq!(device("wgpu"), ("wgpu", None));
        assert_eq!(device("cuda:1"), ("cuda", Some(1)));
        assert_eq!(device("cuda"), ("cuda", None));
        for wrong in ["auto", "cuda:", "wgpu:", "gpu", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn traffic_is_what_came_in_between() {
        let at = |n: u64, submissions| Traffic {
            submissions,
            launches: 2 * n,
            round_trips: 3 * n,
            uploaded: 4 * n,
            read_back: 5 * n,
        };
        assert_eq!(
            Traffic::between(at(1, Some(1)), at(3, Some(7))),
            at(2, Some(6))
        );
        assert_eq!(Traffic::between(at(1, None), at(3, None)), at(2, None));
    }

    #[test]
    fn what_is_not_counted_stays_unknown() {
        let at = |bytes, seconds: Option<u64>| Counted {
            bytes,
            time: seconds.map(Duration::from_secs),
        };
        assert_eq!(
            at(Some(9), Some(5)).since(at(Some(2), Some(1))),
            at(Some(7), Some(4))
        );
        assert_eq!(
            at(Some(9), None).since(at(Some(2), None)),
            at(Some(7), None)
        );
        assert_eq!(
            at(None, Some(5)).since(at(None, Some(1))),
            at(None, Some(4))
        );
    }
}

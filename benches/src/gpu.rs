//! What the suites share on WebGPU: the device, what goes over the wire, and the copy that is the floor.

use std::sync::Arc;

use ffcm::coprocessor::Accelerator;
use ffcm_wgsl::device::{self, Gpu, GpuError, Stats};
use serde::Serialize;

use crate::failure::Failure;
use crate::machine::Machine;
use crate::options::Options;
use crate::table::Table;
use crate::timing::{Summary, seconds, time};

/// Where the engines of a suite run.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Backend {
    /// `cpu`, or a WebGPU adapter: `wgpu` for the first usable one, `wgpu:N`. Thread counts are the CPU's.
    #[arg(long, value_name = "BACKEND", default_value = "cpu", value_parser = parse)]
    backend: Accelerator,
}

fn parse(text: &str) -> Result<Accelerator, String> {
    match text.parse() {
        Ok(backend @ (Accelerator::Cpu | Accelerator::Wgpu(_))) => Ok(backend),
        Ok(_) => Err("measured are cpu, wgpu and wgpu:N".into()),
        Err(error) => Err(error.to_string()),
    }
}

impl Backend {
    /// How to open the device, if it is one.
    pub fn device(&self) -> Option<device::Options> {
        match self.backend {
            Accelerator::Wgpu(adapter) => Some(device::Options {
                adapter,
                ..device::Options::default()
            }),
            _ => None,
        }
    }
}

/// A device, and the speed of its memory.
#[derive(Clone, Debug, Serialize)]
pub struct Device {
    /// Adapter's name.
    pub adapter: String,
    /// `discrete GPU` and the like.
    pub kind: &'static str,
    /// Driver and its version.
    pub driver: String,
    /// Bytes per second of a copy between two buffers, read and written bytes counted.
    pub copy_bandwidth: f64,
    /// Seconds that creating each pipeline took. Some drivers compile at the first dispatch instead.
    pub pipelines: Vec<(&'static str, f64)>,
}

impl Device {
    /// Describes a device after its kernels were used.
    pub fn of(gpu: &Gpu, tiny: bool) -> Result<Device, Failure> {
        let adapter = gpu.adapter();
        let times = gpu.compile_times();
        Ok(Device {
            adapter: adapter.name.clone(),
            kind: adapter.kind,
            driver: adapter.driver.clone(),
            copy_bandwidth: copy_bandwidth(gpu, tiny)?,
            pipelines: times
                .into_iter()
                .map(|(name, time)| (name, time.as_secs_f64()))
                .collect(),
        })
    }

    /// Two lines and a table.
    pub fn print(&self) {
        println!(
            "device: {} ({}), {}; copy {:.2} GB/s",
            self.adapter,
            self.kind,
            self.driver,
            self.copy_bandwidth / 1e9
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
fn copy_bandwidth(gpu: &Gpu, tiny: bool) -> Result<f64, Failure> {
    let (bytes, copies, rounds) = if tiny {
        (1 << 20, 2, 1)
    } else {
        (64 << 20, 16, 5)
    };
    let bytes = gpu.profile().binding_bytes.min(bytes);
    let words = bytes / 4;
    let pattern: Vec<u32> = (1..=words as u32).collect();
    let from = gpu
        .buffer_of("copy: from", &pattern)
        .map_err(Failure::failed)?;
    let to = gpu.buffer("copy: to", words).map_err(Failure::failed)?;
    let mut best = f64::INFINITY;
    // One more, to warm up.
    for _ in 0..=rounds {
        let mut commands = gpu.commands("copy");
        for _ in 0..copies {
            commands.copy(&from, 0, &to, 0, words);
        }
        let (last, sample) = time(|| commands.submit_and_read(&to, words - 1, 1));
        if last.map_err(Failure::failed)? != [words as u32] {
            return Err(Failure::Mismatch("a copy on the device".into()));
        }
        best = best.min(sample.wall);
    }
    Ok((2 * bytes * copies) as f64 / best)
}

/// What went over the wire in one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Submissions to the queue.
    pub submissions: u64,
    /// Dispatches in them.
    pub dispatches: u64,
    /// Times the host waited for the device.
    pub round_trips: u64,
    /// Bytes written by the host.
    pub uploaded: u64,
    /// Bytes read back by the host.
    pub read_back: u64,
}

impl Traffic {
    /// What went over the wire between two looks.
    pub fn between(before: Stats, after: Stats) -> Traffic {
        Traffic {
            submissions: after.submissions - before.submissions,
            dispatches: after.dispatches - before.dispatches,
            round_trips: after.round_trips - before.round_trips,
            uploaded: after.uploaded - before.uploaded,
            read_back: after.read_back - before.read_back,
        }
    }
}

/// Runs something and says what went over the wire.
pub fn watched<T>(gpu: &Gpu, run: impl FnOnce() -> T) -> (T, Traffic) {
    let before = gpu.stats();
    let value = run();
    (value, Traffic::between(before, gpu.stats()))
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
    /// Part of the copy's speed reached: those bytes over the best time and the measured copy bandwidth.
    pub of_copy: Option<f64>,
}

impl Row {
    /// The figures of one workload.
    pub fn new(
        what: String,
        units: u64,
        run: Summary,
        traffic: Traffic,
        kernel_bytes: Option<u64>,
    ) -> Row {
        Row {
            what,
            units,
            mega_units: units as f64 / run.best / 1e6,
            run,
            traffic,
            kernel_bytes,
            of_copy: None,
        }
    }
}

/// A suite's figures on a device.
#[derive(Debug, Serialize)]
pub struct Report {
    machine: Machine,
    device: Device,
    /// What a unit of work is.
    unit: &'static str,
    /// Input, and digests equal to the CPU's.
    facts: Vec<(&'static str, String)>,
    rows: Vec<Row>,
}

impl Report {
    /// Finishes a suite: measures the floor, prints, writes.
    pub fn finish(
        gpu: &Gpu,
        options: &Options,
        unit: &'static str,
        facts: Vec<(&'static str, String)>,
        mut rows: Vec<Row>,
    ) -> Result<(), Failure> {
        let device = Device::of(gpu, options.tiny)?;
        for row in &mut rows {
            row.of_copy = row
                .kernel_bytes
                .map(|bytes| bytes as f64 / device.copy_bandwidth / row.run.best);
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
            "kernel B each",
            "up B each",
            "down B each",
            "dispatches",
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
                row.kernel_bytes.map_or_else(uncounted, each),
                each(row.traffic.uploaded),
                each(row.traffic.read_back),
                row.traffic.dispatches.to_string(),
                row.traffic.round_trips.to_string(),
                row.of_copy
                    .map_or_else(uncounted, |part| format!("{:.1} %", part * 100.0)),
            ]);
        }
        println!("{table}");
    }
}

/// Opens a device.
pub fn open(options: &device::Options) -> Result<Arc<Gpu>, Failure> {
    let gpu: Result<Gpu, GpuError> = Gpu::open(options);
    Ok(Arc::new(gpu.map_err(Failure::failed)?))
}

/// A digest as people read it.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_are_those_that_are_measured() {
        assert!(parse("cpu").is_ok_and(|b| Backend { backend: b }.device().is_none()));
        let device = |text: &str| {
            Backend {
                backend: parse(text).unwrap(),
            }
            .device()
        };
        assert_eq!(device("wgpu:3").unwrap().adapter, Some(3));
        assert_eq!(device("wgpu").unwrap().adapter, None);
        for wrong in ["auto", "cuda", "wgpu:", "gpu", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

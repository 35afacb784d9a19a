//! Suite `nets` on a device.

use std::sync::Arc;

use ffcm::coprocessor::{
    Coprocessor, JobError, OracleCoprocessor, RewriteJob, RewriteOutput, rewrite_digest,
};
use ffcm::net::{Book, Limits};
use ffcm_cuda::CudaCoprocessor;
use ffcm_cuda::net::{Local, Schedule};
use ffcm_wgsl::{NetOptions, WgpuCoprocessor};

use crate::failure::Failure;
use crate::gpu::{Choice, Counted, Device, Report, Row, Traffic, hex, watched};
use crate::nets::{Arguments, reduce, selected};
use crate::programs::Program;
use crate::timing::{Sample, Summary, time};

/// Checks and measures.
pub fn run(arguments: &Arguments, choice: &Choice) -> Result<(), Failure> {
    match choice {
        Choice::Wgpu(_) if arguments.persistent || arguments.local => Err(Failure::Failed(
            "--persistent and --local are for CUDA".into(),
        )),
        Choice::Wgpu(options) => {
            let counting = NetOptions { count_bytes: true };
            let counting = WgpuCoprocessor::open(options)
                .map_err(Failure::failed)?
                .with_net_options(counting);
            let device = WgpuCoprocessor::open(options).map_err(Failure::failed)?;
            let mut bytes_before = 0;
            // Nothing is timed in the build that counts.
            let bytes = |job: &RewriteJob| {
                let found = counting.rewrite(job)?;
                let counted = counting.net_stats().kernel_bytes;
                let bytes = counted.map(|all| all - bytes_before);
                bytes_before = counted.unwrap_or(0);
                Ok(Some((found, bytes)))
            };
            measure(arguments, &device, &**device.gpu(), bytes)
        }
        Choice::Cuda(options) => {
            let gpu = ffcm_cuda::device::Gpu::open(options).map_err(Failure::failed)?;
            on_cuda(arguments, gpu)
        }
    }
}

/// The suite on an open CUDA device.
pub(crate) fn on_cuda(arguments: &Arguments, gpu: ffcm_cuda::device::Gpu) -> Result<(), Failure> {
    let schedule = match arguments.persistent {
        true => Schedule::Persistent,
        false => Schedule::Rounds,
    };
    let local = match arguments.local {
        true => Local::Auto,
        false => Local::Off,
    };
    let options = ffcm_cuda::net::NetOptions { schedule, local };
    let device = CudaCoprocessor::on(gpu).with_net_options(options);
    measure(arguments, &device, &**device.gpu(), |_| Ok(None))
}

/// `bytes` runs a job again and says how many bytes its kernels addressed, where the backend has a build that counts.
fn measure(
    arguments: &Arguments,
    device: &dyn Coprocessor,
    gpu: &impl Device,
    mut bytes: impl FnMut(&RewriteJob) -> Result<Option<(RewriteOutput, Option<u64>)>, JobError>,
) -> Result<(), Failure> {
    let options = &arguments.options;
    let programs = selected(&arguments.only)?;
    let mut facts = Vec::new();
    for program in &programs {
        let job = job(&program.text(program.tiny))?;
        let expected = OracleCoprocessor.rewrite(&job).map_err(Failure::failed)?;
        let (found, ..) = rewrite(device, gpu, &job)?;
        same(program, &expected, &found)?;
    }
    let mut rows = Vec::new();
    for program in &programs {
        let sizes = &arguments.sizes(program);
        let text = program.text(sizes);
        let cpu = reduce(&text, arguments.turns.threads.first().copied().unwrap_or(1))?.0;
        let result = program.expected(sizes);
        if cpu.result != result {
            return Err(Failure::Mismatch(format!(
                "{}: {} on the CPU, expected {result}",
                program.name, cpu.result
            )));
        }
        let interactions = cpu.counts.total();
        let expected = vec![Ok(cpu)];
        let job = job(&text)?;
        let mut samples = Vec::new();
        let mut traffic = Traffic::default();
        // One more, to warm up.
        for round in 0..=arguments.turns.rounds(options) {
            let (found, sample, wire) = rewrite(device, gpu, &job)?;
            same(program, &expected, &found)?;
            traffic = wire;
            if round > 0 {
                samples.push(sample);
            }
        }
        let mut kernels = Counted::default();
        if let Some((found, counted)) = bytes(&job).map_err(Failure::failed)? {
            same(program, &expected, &found)?;
            kernels.bytes = counted;
        }
        facts.push((program.name, hex(&rewrite_digest(&expected))));
        let sizes = sizes.iter().map(|(name, size)| format!(", {name} {size}"));
        let what = program.name.to_owned() + &sizes.collect::<String>();
        let run = Summary::of(&samples);
        rows.push(Row::new(what, interactions, run, traffic, kernels));
    }
    Report::finish(gpu, options, "interactions", facts, rows)
}

fn job(text: &str) -> Result<RewriteJob, Failure> {
    let book = Book::parse(text).map_err(Failure::failed)?;
    let call = book.main().map_err(Failure::failed)?;
    Ok(RewriteJob {
        book: Arc::new(book),
        calls: vec![call],
        limits: Limits::default(),
    })
}

fn rewrite(
    device: &dyn Coprocessor,
    gpu: &impl Device,
    job: &RewriteJob,
) -> Result<(RewriteOutput, Sample, Traffic), Failure> {
    let ((found, sample), traffic) = watched(gpu, || time(|| device.rewrite(job)));
    Ok((found.map_err(Failure::failed)?, sample, traffic))
}

/// Result and interactions by opcode.
fn same(program: &Program, expected: &RewriteOutput, found: &RewriteOutput) -> Result<(), Failure> {
    if rewrite_digest(expected) == rewrite_digest(found) {
        return Ok(());
    }
    Err(Failure::Mismatch(format!(
        "{}: {found:?} on the device, expected {expected:?}",
        program.name
    )))
}

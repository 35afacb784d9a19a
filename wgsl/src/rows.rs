//! Rows of numbers on the device: a kernel for each definition that is asked for, rendered by `ffcm-jit`.

use std::sync::Arc;

use ffcm::coprocessor::{EvaluateJob, JobError};
use ffcm_jit::Target;
use ffcm_jit::lane::{self, Answers, Batch, Kernels, LaneDevice, LaneStats, Partial};

use crate::device::{Binding, Gpu, GpuError, Groups, Kernel, Scratch, Source};
use crate::kernels::{NUMBER, RULES};

/// No buffer of a batch is larger than this, on any device.
const BUFFER_BYTES: u64 = 32 << 20;

/// Runs lane functions.
#[derive(Debug)]
pub(crate) struct RowsEngine {
    device: Device,
    kernels: Kernels<Arc<Kernel>>,
}

#[derive(Debug)]
struct Device {
    gpu: Arc<Gpu>,
    job: Scratch,
    columns: Scratch,
    answers: Scratch,
    totals: Scratch,
}

impl RowsEngine {
    pub(crate) fn new(gpu: &Arc<Gpu>) -> RowsEngine {
        RowsEngine {
            device: Device {
                gpu: Arc::clone(gpu),
                job: Scratch::new("rows: job"),
                columns: Scratch::new("rows: columns"),
                answers: Scratch::new("rows: answers"),
                totals: Scratch::new("rows: totals"),
            },
            kernels: Kernels::default(),
        }
    }

    pub(crate) fn stats(&self) -> LaneStats {
        self.kernels.stats()
    }

    /// Runs the rows that lanes can run; none if that is not worth while.
    pub(crate) fn evaluate(&mut self, job: &EvaluateJob<'_>) -> Result<Option<Partial>, JobError> {
        let RowsEngine { device, kernels } = self;
        kernels.evaluate(device, job, &lane::of_book)
    }
}

impl LaneDevice for Device {
    type Kernel = Arc<Kernel>;

    fn target(&self) -> Target {
        Target::Wgsl
    }

    fn compile(&mut self, text: String) -> Result<Option<Arc<Kernel>>, JobError> {
        match self.gpu.unkept_kernel(&source(&text)) {
            Ok(kernel) => Ok(Some(kernel)),
            Err(error @ GpuError::Kernel { .. }) => {
                tracing::warn!(%error, "rows of numbers are rewritten one by one");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn buffer_words(&self) -> usize {
        (self.gpu.profile().binding_bytes.min(BUFFER_BYTES) / 4) as usize
    }

    fn run(&mut self, kernel: &Arc<Kernel>, batch: &Batch) -> Result<Answers, JobError> {
        let gpu = &*self.gpu;
        let job = self.job.filled(gpu, &[batch.rows, batch.gas, 0, 0])?;
        let columns = self.columns.filled(gpu, &batch.columns)?;
        let answers = self.answers.at_least(gpu, batch.answer_words() as u64)?;
        let totals = self.totals.at_least(gpu, batch.total_words() as u64)?;
        let buffers = [job.into(), columns.into(), answers.into(), totals.into()];
        let bound = gpu.bind(kernel, &buffers)?;
        let mut commands = gpu.commands("rows");
        commands.dispatch(&bound, Groups::Count(batch.groups()));
        let rows = commands.submit_and_read(answers, 0, batch.answer_words() as u64)?;
        let totals = gpu.read(totals, 0, batch.total_words() as u64)?;
        Ok(Answers { rows, totals })
    }
}

/// A rendered kernel with what it stands on.
pub(crate) fn source(text: &str) -> Source {
    Source {
        name: "rows",
        text: [RULES, NUMBER, text].concat(),
        entry: "main",
        bindings: &[
            Binding::Uniform,
            Binding::Read,
            Binding::Write,
            Binding::Write,
        ],
    }
}

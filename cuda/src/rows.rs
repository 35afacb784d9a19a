//! Rows of numbers on the device: a kernel for each definition that is asked for, rendered by `ffcm-jit`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ffcm::coprocessor::{EvaluateJob, JobError};
use ffcm_jit::Target;
use ffcm_jit::lane::{self, Answers, Batch, GROUP_LANES, Kernels, LaneDevice, LaneStats, Partial};

use crate::device::{CudaError, Gpu, Grid, Kernel, Scratch, Source};

/// Words of the largest buffer of a batch, on any device.
const BUFFER_WORDS: u64 = 8 << 20;

/// Runs lane functions.
#[derive(Debug)]
pub(crate) struct RowsEngine {
    device: Device,
    kernels: Kernels<Arc<Kernel>>,
}

#[derive(Debug)]
struct Device {
    gpu: Arc<Gpu>,
    columns: Scratch<u32>,
    answers: Scratch<u32>,
    totals: Scratch<u32>,
}

impl RowsEngine {
    pub(crate) fn new(gpu: &Arc<Gpu>) -> RowsEngine {
        RowsEngine {
            device: Device {
                gpu: Arc::clone(gpu),
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
        Target::Cuda
    }

    fn compile(&mut self, text: String) -> Result<Option<Arc<Kernel>>, JobError> {
        let Some(source) = source(text) else {
            tracing::warn!(
                "rows of numbers are rewritten one by one: {TEXTS_MAX} kernels are loaded"
            );
            return Ok(None);
        };
        match self.gpu.kernels(&source) {
            Ok(kernels) => Ok(kernels.into_iter().next()),
            Err(error @ CudaError::Kernel { .. }) => {
                tracing::warn!(%error, "rows of numbers are rewritten one by one");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn buffer_words(&self) -> usize {
        // Columns, answers and totals are three; others have to have room too.
        (self.gpu.memory_limit() / 4 / 8).min(BUFFER_WORDS) as usize
    }

    fn run(&mut self, kernel: &Arc<Kernel>, batch: &Batch) -> Result<Answers, JobError> {
        let gpu = &*self.gpu;
        let columns = self.columns.filled(gpu, &batch.columns)?;
        let answers = self.answers.at_least(gpu, batch.answer_words() as u64)?;
        let totals = self.totals.at_least(gpu, batch.total_words() as u64)?;
        let arguments = [
            columns.into(),
            answers.into(),
            totals.into(),
            batch.rows.into(),
            batch.gas.into(),
        ];
        gpu.launch(kernel, Grid::new(batch.groups(), GROUP_LANES), &arguments)?;
        Ok(Answers {
            rows: gpu.read(answers, 0, batch.answer_words() as u64)?,
            totals: gpu.read(totals, 0, batch.total_words() as u64)?,
        })
    }
}

/// Most texts of a process. A device keeps what it has loaded.
const TEXTS_MAX: usize = 256;

/// The unit of a rendered text; none if there are too many. Texts of units live as long as the process.
pub(crate) fn source(text: String) -> Option<Source> {
    static TEXTS: Mutex<Option<HashMap<String, &'static str>>> = Mutex::new(None);
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    let texts = texts.get_or_insert_default();
    let text = match texts.get(&text) {
        Some(text) => *text,
        None if texts.len() == TEXTS_MAX => return None,
        None => {
            let kept: &'static str = Box::leak(text.clone().into_boxed_str());
            texts.insert(text, kept);
            kept
        }
    };
    Some(Source {
        name: "rows",
        text,
        entries: &["lane_rows"],
        defines: &[],
    })
}

//! π on the device.
//!
//! The definition is that of [`ffcm::focus`]; the bits are its bits. An iteration is a gather of what edges carry, the
//! parts of the pool where stakes differ, and one kernel that settles the new mass, records the residual and decides how
//! to go on. Iterations run in batches, each a recorded graph of launches; those behind the last change nothing, and the
//! host reads a few words per batch.
//!
//! A gather is *dense* (every edge), *frontier* (rows follow the difference of changed shares, and only shares that have
//! changed are read), or left out where no share changed. The choice is made on the device from exact counts and never
//! changes a bit.
//!
//! The graph stays on the device from one job to the next and follows its changes by lists of single words.

mod device_graph;
mod kernels;
mod plan;

use std::sync::Arc;

use crate::device::{CudaError, Gpu};
use ffcm::coprocessor::{FocusJob, JobError};
use ffcm::focus::{Ranking, Threshold, missing_mass};
use ffcm::graph::Graph;

use device_graph::DeviceGraph;
use kernels::{Kernels, control};

pub(crate) use kernels::sources;

/// Which gathers an engine may choose from. Never changes a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounds {
    /// As the number of changed shares says.
    #[default]
    Auto = 0,
    /// Every edge, every time.
    Dense = 1,
    /// Only what changed shares change, after the first gather.
    Frontier = 2,
}

/// How an engine lays graphs out and goes through them. Never changes a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FocusOptions {
    /// Gathers to choose from.
    pub rounds: Rounds,
    /// In-edges that one thread adds up at most, from 1 to 4096: longer rows are the work of several.
    pub segment_slots: u32,
    /// Sources per block, at least 1: within a tile of rows, edges are gathered block by block. As the device's cache and
    /// the graph's degrees say, if not given.
    pub block_labels: Option<u32>,
    /// Rows per tile, at least 1; chosen likewise.
    pub tile_rows: Option<u32>,
    /// Bytes of one buffer of edges at most, from 2^10 to 2^34 - 2^24.
    pub buffer_bytes: u64,
    /// Iterations of a batch, from 1 to 1024.
    pub batch: u32,
}

impl Default for FocusOptions {
    /// Chosen rounds, blocks and tiles; 128 edges a thread; the largest buffers; batches of 16.
    fn default() -> FocusOptions {
        FocusOptions {
            rounds: Rounds::Auto,
            segment_slots: 128,
            block_labels: None,
            tile_rows: None,
            buffer_bytes: u64::MAX,
            batch: 16,
        }
    }
}

/// What an engine has done, and the shape of the graph it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FocusStats {
    /// Times a graph was laid out and uploaded in full.
    pub uploads: u64,
    /// Times the device followed the changes of a graph.
    pub updates: u64,
    /// Gathers of every edge.
    pub dense_rounds: u64,
    /// Gathers of what changed shares change.
    pub frontier_rounds: u64,
    /// Iterations that needed no gather.
    pub still_rounds: u64,
    /// Nodes of the graph.
    pub nodes: u64,
    /// Edges of the graph.
    pub edges: u64,
    /// Whether edges have quotas.
    pub weighted: bool,
    /// Buffers that the edges are spread over, the spare one included.
    pub parts: u64,
    /// Sources per block and rows per tile; `u32::MAX` where they are not cut.
    pub cut: (u32, u32),
    /// Slots visited by a dense gather: edges and padding.
    pub slots: u64,
    /// Rows that are one segment.
    pub whole_rows: u64,
    /// Segments of longer rows.
    pub split_segments: u64,
    /// Bytes that a dense iteration in which every share changes cannot do without: each element of each array that a
    /// kernel reads or writes, once per kernel, shares once per tile of rows. Gathers that miss the caches come on top.
    pub bytes_per_iteration: u64,
}

/// Ranks graphs on a device.
#[derive(Debug)]
pub struct FocusEngine {
    gpu: Arc<Gpu>,
    kernels: Kernels,
    options: FocusOptions,
    held: Option<DeviceGraph>,
    stats: FocusStats,
}

impl FocusEngine {
    /// An engine with default options. Compiles the kernels.
    ///
    /// # Errors
    ///
    /// What the device says.
    pub fn new(gpu: &Arc<Gpu>) -> Result<FocusEngine, CudaError> {
        FocusEngine::with_options(gpu, FocusOptions::default())
    }

    /// An engine with these options, brought into their ranges.
    ///
    /// # Errors
    ///
    /// What the device says.
    pub fn with_options(gpu: &Arc<Gpu>, options: FocusOptions) -> Result<FocusEngine, CudaError> {
        Ok(FocusEngine {
            gpu: Arc::clone(gpu),
            kernels: Kernels::new(gpu)?,
            options: FocusOptions {
                batch: options.batch.clamp(1, 1024),
                ..options
            },
            held: None,
            stats: FocusStats::default(),
        })
    }

    /// π as [`ffcm::focus::rank`] gives it, bit for bit. The graph is uploaded, or only what has changed in it since the
    /// last call; a start vector equal to the last result is on the device already.
    ///
    /// # Errors
    ///
    /// [`JobError::Focus`] as everywhere, [`JobError::NotSupported`] for a graph beyond the device's memory,
    /// [`JobError::Device`] for what else the device says. After the last two the engine starts over with the next job.
    pub fn rank(&mut self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        job.params.check()?;
        let start = job.start.unwrap_or(&[]);
        let missing = missing_mass(job.graph.node_count(), start)?;
        if job.graph.node_count() == 0 {
            return Ok(Ranking::of_empty_graph());
        }
        // What fails half-way is not used again.
        let mut held = self.refreshed(job.graph)?;
        let ranking = self.run(&mut held, job, start, missing)?;
        held.last = Some(ranking.mass.clone());
        self.held = Some(held);
        Ok(ranking)
    }

    /// What has been done, and the shape of the graph held.
    pub fn stats(&self) -> FocusStats {
        let mut stats = self.stats;
        if let Some(held) = &self.held {
            let shape = held.layout.shape();
            stats.nodes = held.layout.labels.of.len() as u64;
            stats.edges = held.layout.edges;
            stats.weighted = held.layout.weighted;
            stats.parts = held.layout.parts.len() as u64;
            stats.cut = (held.cuts().block_labels, held.cuts().tile_rows);
            stats.slots = shape.slots;
            stats.whole_rows = shape.whole_rows;
            stats.split_segments = shape.split_segments;
            stats.bytes_per_iteration = held.sizes().bytes_per_iteration();
        }
        stats
    }

    /// The graph on the device.
    fn refreshed(&mut self, graph: &Graph) -> Result<DeviceGraph, CudaError> {
        if let Some(mut held) = self.held.take()
            && held.refresh(&self.gpu, &self.kernels, graph)?
        {
            self.stats.updates += 1;
            return Ok(held);
        }
        self.stats.uploads += 1;
        let cuts = plan::cuts(graph, &self.options, self.gpu.summary().l2);
        DeviceGraph::new(&self.gpu, graph, cuts, self.options.batch)
    }

    fn run(
        &mut self,
        held: &mut DeviceGraph,
        job: &FocusJob<'_>,
        start: &[u64],
        missing: u64,
    ) -> Result<Ranking, CudaError> {
        let gpu = Arc::clone(&self.gpu);
        let limit = job.params.max_iterations;
        let mut words = vec![0; control::RESIDUALS];
        held.describe(&mut words);
        words[control::LIMIT] = u64::from(limit);
        words[control::DAMPING] = u64::from(job.params.damping);
        words[control::EPSILON] = job.params.epsilon;
        words[control::ROUNDS] = self.options.rounds as u64;
        words[control::START] = 1;
        let threshold = Threshold::new(held.layout.edges, &job.params, start.is_empty());
        if threshold.is_on() {
            words[control::EDGES] = threshold.edges();
            words[control::THRESHOLD] = threshold.per_edge();
            words[control::RESIDUAL_MAX] = threshold.residual_max();
            words[control::BEFORE] = threshold.before();
        }
        gpu.upload(&held.control, 0, &words)?;
        held.start(&gpu, &self.kernels, start, missing)?;

        let mut residuals: Vec<u64> = Vec::new();
        loop {
            let before = residuals.len();
            gpu.upload(&held.control, control::BATCH as u64, &[before as u64])?;
            let left = limit - before as u32;
            if left < self.options.batch {
                let iteration = held.iteration(&gpu, &self.kernels)?;
                for _ in 0..left {
                    iteration.iter().try_for_each(|launch| gpu.run(launch))?;
                }
            } else {
                held.replay(&gpu, &self.kernels, self.options.batch)?;
            }
            let found = gpu.read(&held.control, 0, held.control.len())?;
            let made = found[control::ITERATION].wrapping_sub(before as u64);
            if found[control::FAULT] != 0 || made > u64::from(left.min(self.options.batch)) {
                return Err(CudaError::Driver {
                    message: "mass was not conserved: the device computes wrong".into(),
                });
            }
            residuals.extend(&found[control::RESIDUALS..][..made as usize]);
            if found[control::DONE] != 0 {
                self.stats.dense_rounds += found[control::COUNTS];
                self.stats.frontier_rounds += found[control::COUNTS + 1];
                self.stats.still_rounds += found[control::COUNTS + 2];
                if threshold.is_on() {
                    held.commit(&gpu, &self.kernels)?;
                }
                return Ok(Ranking {
                    mass: held.read_mass(&gpu)?,
                    iterations: residuals.len() as u32,
                    residual: residuals.last().copied().unwrap_or(0),
                    residuals,
                    converged: found[control::CONVERGED] != 0,
                });
            }
            if residuals.len() as u32 >= limit || made == 0 {
                return Err(CudaError::Driver {
                    message: "the device does not end a run".into(),
                });
            }
        }
    }
}

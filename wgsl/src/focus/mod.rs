//! π on the device.
//!
//! The definition is that of [`ffcm::focus`]; the bits are its bits. An iteration is a gather per part of the graph, a
//! sum of what arrived, the parts of the pool, one kernel that settles the new mass, and one invocation that records the
//! residual and decides how to go on. Some iterations make a submission; those behind the last change nothing.
//!
//! A gather is *dense* (every edge), *frontier* (rows none of whose sources changed its share keep what arrived; equal
//! shares carry equal amounts, so nothing is lost), or left out where no share changed. The choice is made on the device
//! from exact counts and never changes a bit.
//!
//! The graph stays on the device from one job to the next and follows its changes by lists of single words.

mod device_graph;
mod kernels;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ffcm::coprocessor::{FocusJob, JobError};
use ffcm::device::focus::{Cuts, LANES, Shape};
use ffcm::focus::prepare::Teleport;
use ffcm::focus::{Ranking, Threshold, missing_mass};
use ffcm::graph::Graph;

use crate::device::{Gpu, GpuError};
use device_graph::{BATCH, DeviceGraph};
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
    /// Only rows with a changed source, after the first gather.
    Frontier = 2,
}

/// How an engine lays graphs out and goes through them. Never changes a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FocusOptions {
    /// Gathers to choose from.
    pub rounds: Rounds,
    /// In-edges that one lane adds up at most, from 1 to 4096: longer rows are the work of several.
    pub segment_slots: u32,
    /// Sources per block, at least 1: edges are gathered block by block, so that the shares read at a time stay close.
    pub block_labels: u32,
}

impl Default for FocusOptions {
    /// Chosen rounds; 128 edges a lane; blocks of 2^20 sources, whose shares are 4 MiB.
    fn default() -> FocusOptions {
        FocusOptions {
            rounds: Rounds::Auto,
            segment_slots: 128,
            block_labels: 1 << 20,
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
    /// Gathers of rows with changed sources.
    pub frontier_rounds: u64,
    /// Iterations that needed no gather.
    pub still_rounds: u64,
    /// Nodes of the graph.
    pub nodes: u64,
    /// Edges of the graph.
    pub edges: u64,
    /// Whether edges have quotas.
    pub weighted: bool,
    /// Bindings that the edges are spread over, the spare one included.
    pub parts: u64,
    /// Slots visited by a dense gather: edges and padding.
    pub slots: u64,
    /// Rows that are one segment.
    pub whole_rows: u64,
    /// Segments of longer rows.
    pub split_segments: u64,
    /// Bytes that the kernels of one dense iteration address in which every share changes: each access to a buffer
    /// counted with its size, caches or not; the few words that all lanes share are left out.
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
    pub fn new(gpu: &Arc<Gpu>) -> Result<FocusEngine, GpuError> {
        FocusEngine::with_options(gpu, FocusOptions::default())
    }

    /// An engine with these options, brought into their ranges.
    ///
    /// # Errors
    ///
    /// What the device says.
    pub fn with_options(gpu: &Arc<Gpu>, options: FocusOptions) -> Result<FocusEngine, GpuError> {
        Ok(FocusEngine {
            gpu: Arc::clone(gpu),
            kernels: Kernels::new(gpu)?,
            options: FocusOptions {
                segment_slots: options.segment_slots.clamp(1, 4096),
                block_labels: options.block_labels.max(1),
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
    /// [`JobError::Focus`] as everywhere, [`JobError::NotSupported`] for a graph beyond the device's limits,
    /// [`JobError::Device`] for what else the device says. After the last two the engine starts over with the next job.
    pub fn rank(&mut self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        job.params.check()?;
        let start = job.start.unwrap_or(&[]);
        missing_mass(job.graph.node_count(), start)?;
        if job.graph.node_count() == 0 {
            return Ok(Ranking::of_empty_graph());
        }
        // What fails half-way is not used again.
        let mut held = self.refreshed(job.graph)?;
        let ranking = self.run(&held, job, start)?;
        held.last = Some(ranking.mass.clone());
        self.held = Some(held);
        Ok(ranking)
    }

    /// What has been done, and the shape of the graph held.
    pub fn stats(&self) -> FocusStats {
        let mut stats = self.stats;
        if let Some(held) = &self.held {
            let shape = held.layout.shape();
            let stakes = matches!(held.teleport, Teleport::Stakes(_));
            stats.nodes = held.layout.labels.of.len() as u64;
            stats.edges = held.layout.edges;
            stats.weighted = held.layout.weighted;
            stats.parts = held.layout.parts.len() as u64;
            stats.slots = shape.slots;
            stats.whole_rows = shape.whole_rows;
            stats.split_segments = shape.split_segments;
            stats.bytes_per_iteration =
                gather_bytes(&shape, stats.weighted) + settle_bytes(stats.nodes, stakes);
        }
        stats
    }

    /// The graph on the device.
    fn refreshed(&mut self, graph: &Graph) -> Result<DeviceGraph, GpuError> {
        if let Some(mut held) = self.held.take()
            && held.refresh(&self.gpu, &self.kernels, graph)?
        {
            self.stats.updates += 1;
            return Ok(held);
        }
        self.stats.uploads += 1;
        let cuts = Cuts {
            segment_slots: self.options.segment_slots,
            block_labels: self.options.block_labels,
            tile_rows: u32::MAX,
            buffer_bytes: self.gpu.profile().binding_bytes,
        };
        DeviceGraph::new(&self.gpu, &self.kernels, graph, cuts)
    }

    fn run(
        &mut self,
        held: &DeviceGraph,
        job: &FocusJob<'_>,
        start: &[u64],
    ) -> Result<Ranking, GpuError> {
        let gpu = &self.gpu;
        let params = &job.params;
        let mut words = vec![0; control::RESIDUALS];
        held.describe(&mut words);
        words[control::DAMPING] = params.damping;
        words[control::EPSILON] = params.epsilon as u32;
        words[control::EPSILON + 1] = (params.epsilon >> 32) as u32;
        words[control::ROUNDS] = self.options.rounds as u32;
        words[control::START] = 1;
        let threshold = Threshold::new(held.layout.edges, params, start.is_empty());
        if threshold.is_on() {
            // A layout has fewer than 2^32 edges.
            words[control::EDGES] = threshold.edges() as u32;
            let pairs = [
                (control::THRESHOLD, threshold.per_edge()),
                (control::RESIDUAL_MAX, threshold.residual_max()),
                (control::BEFORE, threshold.before()),
            ];
            for (at, pair) in pairs {
                words[at] = pair as u32;
                words[at + 1] = (pair >> 32) as u32;
            }
        }
        gpu.upload(&held.control, 0, &words)?;

        let mut commands = gpu.commands("focus");
        held.start(gpu, &mut commands, start)?;
        let mut residuals: Vec<u64> = Vec::new();
        loop {
            let before = residuals.len() as u32;
            gpu.upload(&held.control, control::BATCH as u64, &[before])?;
            for _ in 0..batch(held, params.max_iterations - before) {
                held.iterate(&mut commands);
            }
            let found = commands.submit_and_read(&held.control, 0, held.control.words())?;
            if found[control::FAULT] != 0 {
                return Err(GpuError::Driver {
                    message: "mass was not conserved: the device computes wrong".into(),
                });
            }
            let made = found[control::ITERATION] - before;
            let pairs = found[control::RESIDUALS..].chunks_exact(2);
            let pairs = pairs.take(made as usize);
            residuals.extend(pairs.map(|pair| u64::from(pair[0]) | u64::from(pair[1]) << 32));
            let converged = found[control::DONE] != 0;
            if converged || residuals.len() as u32 == params.max_iterations {
                self.stats.dense_rounds += u64::from(found[control::COUNTS]);
                self.stats.frontier_rounds += u64::from(found[control::COUNTS + 1]);
                self.stats.still_rounds += u64::from(found[control::COUNTS + 2]);
                if threshold.is_on() {
                    let mut commands = gpu.commands("focus");
                    held.commit(&mut commands);
                    commands.submit()?;
                }
                return Ok(Ranking {
                    mass: held.read_mass(gpu)?,
                    iterations: residuals.len() as u32,
                    residual: residuals.last().copied().unwrap_or(0),
                    residuals,
                    converged,
                });
            }
            commands = gpu.commands("focus");
        }
    }
}

/// Bytes of a dense gather: per slot its source, its share and its quota; per lane the row; per segment the slice and what
/// arrived, stored once, or read and written along with the segment's own sum.
fn gather_bytes(shape: &Shape, weighted: bool) -> u64 {
    let slot = if weighted { 12 } else { 8 };
    shape.slots * slot
        + shape.slices * LANES as u64 * 4
        + shape.whole_rows * (8 + 8)
        + shape.split_segments * (8 + 16 + 16)
}

/// Bytes of the kernels after the gather: per node what arrived, read twice; mass and share, read and written; ratio,
/// node, and a bit of the map; the teleport share twice where nodes have their own.
fn settle_bytes(nodes: u64, stakes: bool) -> u64 {
    let teleport = if stakes { 16 } else { 0 };
    nodes * (16 + 16 + 8 + 8 + 4 + teleport) + nodes.div_ceil(8)
}

/// Iterations of the next submission: few where each takes long, so that no driver takes the device for hung.
fn batch(held: &DeviceGraph, left: u32) -> u32 {
    let work = held.layout.edges + held.layout.labels.of.len() as u64;
    let most = ((1 << 28) / work.max(1)).clamp(1, u64::from(BATCH));
    left.min(most as u32)
}

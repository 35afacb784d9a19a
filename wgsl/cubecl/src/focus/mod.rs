//! π on the device.
//!
//! The definition is that of [`ffcm::focus`]; the bits are its bits. An iteration is a gather per part of the graph, a sum
//! of what arrived, the parts of the pool, one kernel that settles the new mass, and one unit that records the residual and
//! decides how to go on. Some iterations are launched at a time; those behind the last change nothing.
//!
//! Every gather is of every edge. A graph stays on the device until another one comes.

mod kernels;

use cubecl::prelude::CubeDim;
use ffcm::coprocessor::{FocusJob, JobError};
use ffcm::device::focus::{Cuts, Layout, MAX_EDGES, TooManyEdges, ratio_words};
use ffcm::focus::prepare::Teleport;
use ffcm::focus::{FocusParams, Ranking, Threshold, missing_mass};
use ffcm::graph::Graph;

use crate::device::{Buffer, DeviceError, Gpu, guarded};
use kernels::{LABELS_PER_CUBE, LANES, RunLaunch, UNITS, state, sums};

/// Iterations launched at a time.
const BATCH: u32 = 16;
/// In-edges that one unit adds up at most: longer rows are the work of several.
const SEGMENT_SLOTS: u32 = 128;
/// Sources per block, whose shares are 4 MiB.
const BLOCK_LABELS: u32 = 1 << 20;

/// Ranks graphs on a device.
pub(crate) struct FocusEngine {
    gpu: Gpu,
    held: Option<DeviceGraph>,
}

/// Buffers of one part of the layout.
struct DevicePart {
    slices: Buffer,
    segments: Buffer,
    /// Sum of each segment of a row with several.
    sums: Buffer,
    sources: Buffer,
    quotas: Buffer,
}

/// A graph on the device.
struct DeviceGraph {
    graph: Graph,
    /// Node of each label.
    labels: Vec<u32>,
    weighted: bool,
    parts: Vec<DevicePart>,
    sums: Buffer,
    arrived: Buffer,
    mass: Buffer,
    shares: Buffer,
    ratios: Buffer,
    order: Buffer,
    teleport: Teleport,
    /// The shares where stakes differ.
    teleport_shares: Buffer,
}

impl FocusEngine {
    pub(crate) fn new(gpu: &Gpu) -> FocusEngine {
        FocusEngine {
            gpu: gpu.clone(),
            held: None,
        }
    }

    /// π as [`ffcm::focus::rank`] gives it, bit for bit.
    pub(crate) fn rank(&mut self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        job.params.check()?;
        let start = job.start.unwrap_or(&[]);
        missing_mass(job.graph.node_count(), start)?;
        if job.graph.node_count() == 0 {
            return Ok(Ranking::of_empty_graph());
        }
        // What fails half-way is not used again.
        let held = self.held.take().filter(|held| held.is_of(job.graph));
        let (held, ranking) = guarded(|| {
            let held = match held {
                Some(held) => held,
                None => DeviceGraph::new(&self.gpu, job.graph)?,
            };
            let ranking = held.rank(&self.gpu, &job.params, start)?;
            Ok((held, ranking))
        })?;
        self.held = Some(held);
        Ok(ranking)
    }
}

/// Words of pairs.
fn words(values: impl Iterator<Item = u64>) -> Vec<u32> {
    values
        .flat_map(|value| [value as u32, (value >> 32) as u32])
        .collect()
}

impl DeviceGraph {
    /// Lays `graph` out and uploads all of it.
    fn new(gpu: &Gpu, graph: &Graph) -> Result<DeviceGraph, DeviceError> {
        let cuts = Cuts {
            segment_slots: SEGMENT_SLOTS,
            block_labels: BLOCK_LABELS,
            tile_rows: u32::MAX,
            buffer_bytes: gpu.buffer_bytes,
        };
        let (layout, quotas) = Layout::new(graph, cuts).map_err(too_many)?;
        let order = &layout.labels.order;
        let labels = order.len() as u64;
        let ratios: Vec<u32> = std::iter::once([0, 0])
            .chain(
                order[1..]
                    .iter()
                    .map(|&node| ratio_words(graph.row(node).1)),
            )
            .flatten()
            .collect();
        let teleport = Teleport::new(graph, &order[1..]);
        let shares = match &teleport {
            Teleport::Uniform { .. } => vec![0],
            Teleport::Stakes(shares) => words(std::iter::once(0).chain(shares.iter().copied())),
        };
        let mut parts = Vec::new();
        // The last part is room for changes.
        let filled = layout.parts.len() - 1;
        for (part, quotas) in layout.parts[..filled].iter().zip(&quotas) {
            parts.push(DevicePart {
                slices: gpu.upload("slices", part.slices.as_flattened())?,
                segments: gpu.upload("segments", &part.segments)?,
                sums: gpu.buffer("segment sums", 2 * part.segments.len() as u64)?,
                sources: gpu.upload("edges", &part.sources)?,
                quotas: gpu.upload("quotas", quotas)?,
            });
        }
        Ok(DeviceGraph {
            graph: graph.clone(),
            weighted: layout.weighted,
            parts,
            sums: gpu.buffer("sums", sums::WORDS as u64)?,
            arrived: gpu.buffer("what arrived", 2 * labels)?,
            mass: gpu.buffer("masses", 2 * labels)?,
            shares: gpu.buffer("shares", labels)?,
            ratios: gpu.upload("ratios", &ratios)?,
            order: gpu.upload("nodes", order)?,
            teleport_shares: gpu.upload("teleport shares", &shares)?,
            teleport,
            labels: layout.labels.order,
        })
    }

    /// Whether this is that graph, unchanged.
    fn is_of(&self, graph: &Graph) -> bool {
        graph.node_count() == self.graph.node_count()
            && graph.edge_count() == self.graph.edge_count()
            && graph.changed_since(&self.graph).next().is_none()
    }

    fn rank(&self, gpu: &Gpu, params: &FocusParams, start: &[u64]) -> Result<Ranking, DeviceError> {
        let threshold = Threshold::new(self.graph.edge_count(), params, start.is_empty());
        let state = self.start(gpu, params, start, &threshold)?;
        let mut residuals: Vec<u64> = Vec::new();
        loop {
            // Both at most `max_iterations`.
            let before = residuals.len() as u32;
            for _ in 0..self.batch(params.max_iterations - before) {
                for part in &self.parts {
                    self.gather(gpu, &state, part);
                }
                self.settle(gpu, &state, params, &threshold, before);
            }
            let found = gpu.read(&state, 0, STATE_WORDS)?;
            if found[state::FAULT] != 0 {
                return Err(DeviceError::Wrong {
                    what: "mass was not conserved",
                });
            }
            let made = found[state::ITERATION].saturating_sub(before) as usize;
            let pairs = found[2 * state::RESIDUALS as usize..].as_chunks::<2>().0;
            let pairs = pairs.iter().take(made);
            residuals.extend(pairs.map(|pair| u64::from(pair[0]) | u64::from(pair[1]) << 32));
            let converged = found[state::DONE] != 0;
            if made == 0 {
                return Err(DeviceError::Wrong {
                    what: "an iteration did not count",
                });
            }
            if converged || residuals.len() as u32 >= params.max_iterations {
                if threshold.is_on() {
                    self.commit(gpu, &state, params, &threshold);
                }
                return Ok(Ranking {
                    mass: self.read_mass(gpu)?,
                    iterations: residuals.len() as u32,
                    residual: residuals.last().copied().unwrap_or(0),
                    residuals,
                    converged,
                });
            }
        }
    }

    /// Makes the start vector, with its missing mass as its pool, the mass; gives the state.
    fn start(
        &self,
        gpu: &Gpu,
        params: &FocusParams,
        start: &[u64],
        threshold: &Threshold,
    ) -> Result<Buffer, DeviceError> {
        let mut first = vec![0; STATE_WORDS];
        first[state::START] = 1;
        let pairs = [
            (state::THRESHOLD, threshold.per_edge()),
            (state::BEFORE, threshold.before()),
        ];
        for (pair, value) in pairs.into_iter().filter(|_| threshold.is_on()) {
            first[2 * pair as usize] = value as u32;
            first[2 * pair as usize + 1] = (value >> 32) as u32;
        }
        let state = gpu.upload("state", &first)?;
        let cleared = [&self.sums, &self.mass, &self.shares];
        let cleared = cleared
            .into_iter()
            .chain(self.parts.iter().map(|part| &part.sums));
        cleared.for_each(|buffer| clear(gpu, buffer));
        clear(gpu, &self.arrived);
        if start.is_empty() {
            self.settle(gpu, &state, params, threshold, 0);
        } else {
            let of = |&node: &u32| start.get(node as usize).copied().unwrap_or(0);
            let given = gpu.upload("the start vector", &words(self.labels.iter().map(of)))?;
            self.settle_from(gpu, &state, &given, params, threshold, 0);
        }
        Ok(state)
    }

    /// The parameters of a run as the kernels take them.
    fn run(&self, params: &FocusParams, threshold: &Threshold) -> RunLaunch {
        let (each, more) = match self.teleport {
            Teleport::Uniform { each, more } => (each, more),
            Teleport::Stakes(_) => (0, 0),
        };
        // A layout has fewer than 2^32 edges.
        let edges = if threshold.is_on() {
            threshold.edges() as u32
        } else {
            0
        };
        let most = threshold.residual_max();
        RunLaunch::new(
            self.graph.node_count() + 1,
            params.damping,
            each as u32,
            (each >> 32) as u32,
            more,
            params.epsilon as u32,
            (params.epsilon >> 32) as u32,
            most as u32,
            (most >> 32) as u32,
            edges,
        )
    }

    fn gather(&self, gpu: &Gpu, state: &Buffer, part: &DevicePart) {
        kernels::gather::launch(
            &gpu.client,
            gpu.cubes(part.slices.words() / 2),
            CubeDim::new_1d(LANES),
            state.arg(),
            self.shares.arg(),
            self.arrived.arg(),
            part.slices.arg(),
            part.segments.arg(),
            part.sums.arg(),
            part.sources.arg(),
            part.quotas.arg(),
            self.weighted,
        );
    }

    fn settle(
        &self,
        gpu: &Gpu,
        state: &Buffer,
        params: &FocusParams,
        threshold: &Threshold,
        batch: u32,
    ) {
        self.settle_from(gpu, state, &self.arrived, params, threshold, batch);
    }

    /// Everything behind the gather: what `arrived`, and its pool, becomes the mass.
    fn settle_from(
        &self,
        gpu: &Gpu,
        state: &Buffer,
        arrived: &Buffer,
        params: &FocusParams,
        threshold: &Threshold,
        batch: u32,
    ) {
        let (client, cubes) = (&gpu.client, || gpu.cubes(self.label_cubes()));
        let run = || self.run(params, threshold);
        let (units, one) = (CubeDim::new_1d(UNITS), CubeDim::new_1d(1));
        let stakes = self.has_stakes();
        let (sums, teleport) = (&self.sums, &self.teleport_shares);
        kernels::sum::launch(
            client,
            cubes(),
            units,
            run(),
            state.arg(),
            sums.arg(),
            arrived.arg(),
        );
        if stakes {
            let teleport = teleport.arg();
            kernels::pool_stakes::launch(
                client,
                cubes(),
                units,
                run(),
                state.arg(),
                sums.arg(),
                teleport,
            );
        } else {
            kernels::pool_equal::launch(client, gpu.cubes(1), one, run(), state.arg(), sums.arg());
        }
        kernels::settle::launch(
            client,
            cubes(),
            units,
            run(),
            state.arg(),
            sums.arg(),
            arrived.arg(),
            self.mass.arg(),
            teleport.arg(),
            self.ratios.arg(),
            self.order.arg(),
            self.shares.arg(),
            stakes,
        );
        kernels::finish::launch(
            client,
            gpu.cubes(1),
            one,
            run(),
            state.arg(),
            sums.arg(),
            batch,
        );
    }

    /// Makes the last y of a warm run, which is over, the mass.
    fn commit(&self, gpu: &Gpu, state: &Buffer, params: &FocusParams, threshold: &Threshold) {
        kernels::commit::launch(
            &gpu.client,
            gpu.cubes(self.label_cubes()),
            CubeDim::new_1d(UNITS),
            self.run(params, threshold),
            state.arg(),
            self.arrived.arg(),
            self.mass.arg(),
            self.teleport_shares.arg(),
            self.order.arg(),
            self.has_stakes(),
        );
    }

    /// The mass of each node.
    fn read_mass(&self, gpu: &Gpu) -> Result<Vec<u64>, DeviceError> {
        let found = gpu.read(&self.mass, 0, 2 * self.labels.len())?;
        let mut mass = vec![0; self.labels.len() - 1];
        let pairs = found.as_chunks::<2>().0;
        for (&node, pair) in self.labels.iter().zip(pairs).skip(1) {
            mass[node as usize] = u64::from(pair[0]) | u64::from(pair[1]) << 32;
        }
        Ok(mass)
    }

    /// Iterations to launch: few where each takes long, so that no driver takes the device for hung.
    fn batch(&self, left: u32) -> u32 {
        let work = self.graph.edge_count() + self.labels.len() as u64;
        let most = ((1 << 28) / work).clamp(1, u64::from(BATCH));
        left.min(most as u32)
    }

    fn has_stakes(&self) -> bool {
        matches!(self.teleport, Teleport::Stakes(_))
    }

    fn label_cubes(&self) -> u64 {
        (self.labels.len() as u64).div_ceil(u64::from(LABELS_PER_CUBE))
    }
}

const STATE_WORDS: usize = 2 * (state::RESIDUALS + BATCH) as usize;

fn clear(gpu: &Gpu, buffer: &Buffer) {
    let cubes = buffer.words().div_ceil(u64::from(UNITS));
    let units = CubeDim::new_1d(UNITS);
    kernels::clear::launch(&gpu.client, gpu.cubes(cubes), units, buffer.arg());
}

fn too_many(error: TooManyEdges) -> DeviceError {
    DeviceError::TooLarge {
        what: format!("{} edges", error.edges),
        needs: error.edges.saturating_mul(4),
        limit: MAX_EDGES * 4,
    }
}

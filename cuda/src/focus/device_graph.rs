//! A graph on the device, and how it follows its changes.

use std::collections::BTreeMap;

use ffcm::device::focus::{
    Changes, Cuts, LANES, Layout, MAX_EDGES, PartChanges, SPLIT, TooManyEdges, ratio_words,
};
use ffcm::focus::prepare::Teleport;
use ffcm::graph::Graph;
use rayon::prelude::*;

use super::kernels::{Kernels, LABELS_PER_BLOCK, SUM_WORDS, THREADS, control};
use super::plan::Sizes;
use crate::device::{Argument, Buffer, CudaError, Gpu, Graph as Recorded, Grid, Launch};

/// Buffers of one part of the layout.
#[derive(Debug)]
struct DevicePart {
    slices: Buffer<u32>,
    segments: Buffer<u32>,
    sources: Buffer<u32>,
    quotas: Option<Buffer<u32>>,
}

/// Buffers with a word or more per label.
#[derive(Debug)]
struct LabelBuffers {
    /// Two halves.
    arrived: Buffer<u64>,
    mass: Buffer<u64>,
    /// Ratio, scale and out-degree, as `ratio_words` gives them.
    ratios: Buffer<u64>,
    order: Buffer<u32>,
    /// Two halves.
    shares: Buffer<u32>,
    /// Map of shares that have changed.
    changed: Buffer<u32>,
    /// Map of rows of several segments.
    split: Buffer<u32>,
    /// Only while stakes differ.
    teleport: Option<Buffer<u64>>,
}

/// A recorded batch of iterations.
#[derive(Debug)]
struct Batch {
    /// What its launches depend on, beyond buffers that stay.
    of: Vec<u32>,
    iterations: u32,
    recorded: Recorded,
}

/// A graph on the device.
#[derive(Debug)]
pub(super) struct DeviceGraph {
    /// What the device holds.
    graph: Graph,
    pub(super) layout: Layout,
    cuts: Cuts,
    /// Labels that the buffers have room for.
    capacity: u32,
    /// No label from here on has ever had out-edges.
    sources: u32,
    /// Map of rows of several segments, as on the device.
    split: Vec<u32>,
    pub(super) teleport: Teleport,
    pub(super) control: Buffer<u64>,
    sums: Buffer<u64>,
    labels: LabelBuffers,
    parts: Vec<DevicePart>,
    batch: Option<Batch>,
    /// Masses by node of the last ranking, where the device still has them by label.
    pub(super) last: Option<Vec<u64>>,
}

impl DeviceGraph {
    /// Lays `graph` out and uploads all of it. A batch has `batch` iterations.
    pub(super) fn new(
        gpu: &Gpu,
        graph: &Graph,
        cuts: Cuts,
        batch: u32,
    ) -> Result<DeviceGraph, CudaError> {
        let capacity = capacity(graph.node_count())?;
        let (layout, quotas) = Layout::new(graph, cuts).map_err(too_many)?;
        let split = split_rows(&layout, capacity);
        let sources = layout.labels.sources as u32;
        let teleport = Teleport::new(graph, &layout.labels.order[1..]);
        let sizes = Sizes {
            layout: &layout,
            capacity: u64::from(capacity),
            sources: u64::from(sources),
            split_rows: count(&split),
            stakes: matches!(teleport, Teleport::Stakes(_)),
            tile_rows: cuts.tile_rows,
        };
        let limit = room(gpu);
        if sizes.buffer_bytes() > limit {
            return Err(CudaError::TooLarge {
                what: format!(
                    "a graph of {} nodes and {} edges",
                    graph.node_count(),
                    graph.edge_count()
                ),
                needs: sizes.buffer_bytes(),
                limit,
            });
        }
        let labels = LabelBuffers::new(gpu, graph, &layout, capacity, &split)?;
        let mut parts = Vec::with_capacity(layout.parts.len());
        for (part, quotas) in (0..).zip(quotas) {
            parts.push(DevicePart::new(gpu, &layout, part, &quotas)?);
        }
        let mut device = DeviceGraph {
            graph: graph.clone(),
            layout,
            cuts,
            capacity,
            sources,
            split,
            teleport: Teleport::Uniform { each: 0, more: 0 },
            control: gpu.buffer("control", control::RESIDUALS as u64 + u64::from(batch))?,
            sums: gpu.buffer("sums", SUM_WORDS as u64)?,
            labels,
            parts,
            batch: None,
            last: None,
        };
        device.replace_teleport(gpu, None, teleport)?;
        Ok(device)
    }

    /// Makes the device follow `graph`; false where it must be laid out anew and this is not to be used again.
    pub(super) fn refresh(
        &mut self,
        gpu: &Gpu,
        kernels: &Kernels,
        graph: &Graph,
    ) -> Result<bool, CudaError> {
        if graph.node_count() >= self.capacity {
            return Ok(false);
        }
        let known = self.layout.labels.order.len();
        let Some(changes) = self.layout.follow(&self.graph, graph) else {
            return Ok(false);
        };
        self.graph = graph.clone();
        let split = self.follow_split_rows(&changes);
        for &[address, ..] in &changes.ratios {
            self.sources = self.sources.max(address / 2 + 1);
        }
        let lists = self.lists(&changes, &split);
        let order = &self.layout.labels.order;
        let teleport = changes.teleport.then(|| Teleport::new(graph, &order[1..]));
        let more = match (&teleport, &self.labels.teleport) {
            (Some(Teleport::Stakes(_)), None) => 8 * u64::from(self.capacity),
            _ => 0,
        };
        if lists.bytes() + more > room(gpu) {
            return Ok(false);
        }
        gpu.upload(&self.labels.order, known as u64, &order[known..])?;
        lists.write(gpu, kernels)?;
        if let (Some(part), Some(layout)) = (self.parts.last(), self.layout.parts.last()) {
            let start = changes.spare.start as u64;
            gpu.upload(
                &part.segments,
                start,
                &layout.segments[changes.spare.clone()],
            )?;
        }
        if let Some(teleport) = teleport {
            self.replace_teleport(gpu, Some(kernels), teleport)?;
        }
        Ok(true)
    }

    /// Marks the rows that have got several segments; the words of the map that have changed, with their addresses.
    fn follow_split_rows(&mut self, changes: &Changes) -> Vec<[u32; 2]> {
        let spare = self.layout.parts.last();
        let spare = spare.map_or(&[][..], |part| &part.segments[changes.spare.clone()]);
        let named = changes.parts.iter().flat_map(|part| &part.segments);
        let named = named.map(|&[_, entry]| entry);
        let mut words = BTreeMap::new();
        for entry in named.chain(spare.iter().copied()) {
            if entry & SPLIT != 0 {
                let row = entry & !SPLIT;
                let word = &mut self.split[row as usize / 32];
                *word |= 1 << (row % 32);
                words.insert(row / 32, *word);
            }
        }
        words.into_iter().map(|(at, word)| [at, word]).collect()
    }

    /// The changes as lists.
    fn lists(&self, changes: &Changes, split: &[[u32; 2]]) -> Lists {
        let mut lists = Lists::default();
        lists.add(&self.labels.ratios, &changes.ratios);
        lists.add(&self.labels.split, split);
        for (part, changes) in self.parts.iter().zip(&changes.parts) {
            let PartChanges {
                emptied,
                sources,
                quotas,
                segments,
            } = changes;
            lists.add(&part.sources, emptied);
            lists.add(&part.sources, sources);
            lists.add(&part.segments, segments);
            if let Some(buffer) = &part.quotas {
                lists.add(buffer, quotas);
            }
        }
        lists
    }

    /// Uploads the teleport shares where nodes have their own, only those that differ where there are kernels to do that.
    fn replace_teleport(
        &mut self,
        gpu: &Gpu,
        kernels: Option<&Kernels>,
        teleport: Teleport,
    ) -> Result<(), CudaError> {
        let before = std::mem::replace(&mut self.teleport, teleport);
        let Teleport::Stakes(stakes) = &self.teleport else {
            return Ok(());
        };
        let buffer = match &self.labels.teleport {
            Some(buffer) => buffer.clone(),
            None => gpu.buffer("teleport", u64::from(self.capacity))?,
        };
        self.labels.teleport = Some(buffer.clone());
        let before = match &before {
            Teleport::Stakes(before) => &before[..],
            Teleport::Uniform { .. } => &[],
        };
        let changed: Vec<[u32; 3]> = (1u32..)
            .zip(stakes)
            .filter(|&(label, share)| before.get(label as usize - 1) != Some(share))
            .map(|(label, &share)| [2 * label, share as u32, (share >> 32) as u32])
            .collect();
        // An entry of a list takes half as much again as a share.
        let mut lists = Lists::default();
        lists.add(&buffer, &changed);
        let few = changed.len() <= stakes.len() / 2 && lists.bytes() <= room(gpu);
        let Some(kernels) = kernels.filter(|_| few) else {
            return gpu.upload(&buffer, 1, stakes);
        };
        lists.write(gpu, kernels)
    }

    /// Words of the control buffer that describe the graph.
    pub(super) fn describe(&self, words: &mut [u64]) {
        let nodes = u64::from(self.graph.node_count());
        words[control::LABELS] = nodes + 1;
        words[control::SOURCES] = u64::from(self.sources);
        words[control::NODES] = nodes;
        // A frontier round spares the gathers of what has not changed, and pays two for what has: no slot is dearer
        // where it is at most one of eight.
        words[control::FRONTIER_BELOW] = self.layout.edges / 8;
        match self.teleport {
            Teleport::Uniform { each, more } => {
                words[control::EACH] = each;
                words[control::MORE] = u64::from(more);
            }
            Teleport::Stakes(_) => words[control::STAKES] = 1,
        }
    }

    /// Queues what makes the start vector, which misses `missing` to the mass, the mass. The control buffer is written.
    pub(super) fn start(
        &self,
        gpu: &Gpu,
        kernels: &Kernels,
        start: &[u64],
        missing: u64,
    ) -> Result<(), CudaError> {
        let LabelBuffers { arrived, mass, .. } = &self.labels;
        // The first settle clears this half again, and what has to be of the other one.
        if start.is_empty() {
            gpu.fill(arrived, 0, u64::from(self.capacity), 0)?;
        } else if self.last.as_deref() == Some(start) {
            gpu.copy((mass, 0), (arrived, 0), u64::from(self.capacity))?;
        } else {
            let of = |&node: &u32| start.get(node as usize).copied().unwrap_or(0);
            let by_label: Vec<u64> = self.layout.labels.order.par_iter().map(of).collect();
            gpu.upload(arrived, 0, &by_label)?;
        }
        // The start vector "arrives", and what is missing is its pool.
        let mut sums = [0; SUM_WORDS];
        sums[0] = ffcm::focus::MASS - missing;
        gpu.upload(&self.sums, 0, &sums)?;
        self.tail(gpu, kernels)?
            .iter()
            .try_for_each(|launch| gpu.run(launch))
    }

    /// Queues a batch of so many iterations, recorded when first asked for.
    pub(super) fn replay(
        &mut self,
        gpu: &Gpu,
        kernels: &Kernels,
        iterations: u32,
    ) -> Result<(), CudaError> {
        let parts = 0..self.parts.len();
        let mut of: Vec<u32> = parts.map(|part| self.layout.used_slices(part)).collect();
        of.push(self.graph.node_count());
        of.push(u32::from(matches!(self.teleport, Teleport::Stakes(_))));
        let batch = match self.batch.take() {
            Some(batch) if batch.of == of && batch.iterations == iterations => batch,
            _ => {
                let one = self.iteration(gpu, kernels)?;
                let all = std::iter::repeat_n(&one, iterations as usize);
                Batch {
                    of,
                    iterations,
                    recorded: gpu.graph(all.flatten().cloned().collect())?,
                }
            }
        };
        gpu.replay(&batch.recorded)?;
        self.batch = Some(batch);
        Ok(())
    }

    /// The launches of one iteration.
    pub(super) fn iteration(&self, gpu: &Gpu, kernels: &Kernels) -> Result<Vec<Launch>, CudaError> {
        let mut launches = Vec::with_capacity(self.parts.len() + 2);
        for (index, part) in self.parts.iter().enumerate() {
            let segments = self.layout.used_slices(index) * LANES as u32;
            if segments > 0 {
                launches.push(self.gather(gpu, kernels, part, segments)?);
            }
        }
        launches.extend(self.tail(gpu, kernels)?);
        Ok(launches)
    }

    fn gather(
        &self,
        gpu: &Gpu,
        kernels: &Kernels,
        part: &DevicePart,
        segments: u32,
    ) -> Result<Launch, CudaError> {
        let mut arguments: Vec<Argument> = vec![
            (&self.control).into(),
            (&self.sums).into(),
            (&self.labels.arrived).into(),
            (&self.labels.shares).into(),
            (&self.labels.changed).into(),
            (&part.slices).into(),
            (&part.segments).into(),
            segments.into(),
            (&part.sources).into(),
        ];
        let kernel = match &part.quotas {
            Some(quotas) => {
                arguments.push(quotas.into());
                &kernels.gather_quota
            }
            None => &kernels.gather_equal,
        };
        arguments.push(self.capacity.into());
        gpu.prepare(kernel, Grid::covering(segments.into(), THREADS), &arguments)
    }

    /// The launches behind the gathers.
    fn tail(&self, gpu: &Gpu, kernels: &Kernels) -> Result<Vec<Launch>, CudaError> {
        let grid = self.label_grid();
        let of = &self.labels;
        let mut launches = Vec::with_capacity(2);
        if let (Teleport::Stakes(_), Some(teleport)) = (&self.teleport, &of.teleport) {
            let arguments = [(&self.control).into(), (&self.sums).into(), teleport.into()];
            launches.push(gpu.prepare(&kernels.pool_stakes, grid, &arguments)?);
        }
        // Where stakes are equal the kernel reads no teleport share.
        let teleport = of.teleport.as_ref().unwrap_or(&of.ratios);
        let arguments = [
            (&self.control).into(),
            (&self.sums).into(),
            (&of.arrived).into(),
            (&of.mass).into(),
            teleport.into(),
            (&of.ratios).into(),
            (&of.order).into(),
            (&of.shares).into(),
            (&of.changed).into(),
            (&of.split).into(),
            self.capacity.into(),
        ];
        launches.push(gpu.prepare(&kernels.settle, grid, &arguments)?);
        Ok(launches)
    }

    /// Queues what makes the last y of a warm run, which is over, the mass.
    pub(super) fn commit(&self, gpu: &Gpu, kernels: &Kernels) -> Result<(), CudaError> {
        let of = &self.labels;
        // Where stakes are equal the kernel reads no teleport share.
        let teleport = of.teleport.as_ref().unwrap_or(&of.ratios);
        let arguments = [
            (&self.control).into(),
            (&of.arrived).into(),
            (&of.mass).into(),
            teleport.into(),
            (&of.order).into(),
            self.capacity.into(),
        ];
        gpu.run(&gpu.prepare(&kernels.commit, self.label_grid(), &arguments)?)
    }

    /// Blocks that go through all labels.
    fn label_grid(&self) -> Grid {
        let labels = u64::from(self.graph.node_count()) + 1;
        Grid::new(Grid::covering(labels, LABELS_PER_BLOCK).blocks, THREADS)
    }

    /// The mass of each node.
    pub(super) fn read_mass(&self, gpu: &Gpu) -> Result<Vec<u64>, CudaError> {
        let labels = &self.layout.labels.of;
        let by_label = gpu.read(&self.labels.mass, 0, labels.len() as u64 + 1)?;
        Ok(labels
            .par_iter()
            .map(|&label| by_label[label as usize])
            .collect())
    }

    /// What decides how much there is to keep and to move.
    pub(super) fn sizes(&self) -> Sizes<'_> {
        Sizes {
            layout: &self.layout,
            capacity: u64::from(self.capacity),
            sources: u64::from(self.sources),
            split_rows: count(&self.split),
            stakes: matches!(self.teleport, Teleport::Stakes(_)),
            tile_rows: self.cuts.tile_rows,
        }
    }

    /// Where it is cut.
    pub(super) fn cuts(&self) -> Cuts {
        self.cuts
    }
}

/// Bytes that more buffers may take.
fn room(gpu: &Gpu) -> u64 {
    gpu.memory_limit().saturating_sub(gpu.memory_in_use())
}

fn too_many(error: TooManyEdges) -> CudaError {
    CudaError::TooLarge {
        what: format!("{} edges", error.edges),
        needs: error.edges.saturating_mul(4),
        limit: MAX_EDGES * 4,
    }
}

/// Labels to make room for, with some to spare. A row's number leaves a bit for [`SPLIT`].
fn capacity(nodes: u32) -> Result<u32, CudaError> {
    let block = u64::from(LABELS_PER_BLOCK);
    let most = u64::from(SPLIT) - block;
    let needed = (u64::from(nodes) + 1).next_multiple_of(block);
    if needed > most {
        return Err(CudaError::TooLarge {
            what: format!("the mass of {nodes} nodes"),
            needs: needed * 8,
            limit: most * 8,
        });
    }
    let wanted = needed + (needed / 16).next_multiple_of(block);
    Ok(wanted.min(most) as u32)
}

/// Map of rows of several segments.
fn split_rows(layout: &Layout, capacity: u32) -> Vec<u32> {
    let mut words = vec![0u32; capacity as usize / 32];
    for entry in layout.parts.iter().flat_map(|part| &part.segments) {
        if entry & SPLIT != 0 {
            let row = entry & !SPLIT;
            words[row as usize / 32] |= 1 << (row % 32);
        }
    }
    words
}

/// Bits set in a map.
fn count(map: &[u32]) -> u64 {
    map.iter().map(|word| u64::from(word.count_ones())).sum()
}

impl LabelBuffers {
    fn new(
        gpu: &Gpu,
        graph: &Graph,
        layout: &Layout,
        capacity: u32,
        split: &[u32],
    ) -> Result<LabelBuffers, CudaError> {
        let order = &layout.labels.order;
        let room = u64::from(capacity);
        let buffers = LabelBuffers {
            arrived: gpu.buffer("arrived", 2 * room)?,
            mass: gpu.buffer("mass", room)?,
            ratios: gpu.buffer("ratios", room)?,
            order: gpu.buffer("order", room)?,
            shares: gpu.buffer("shares", 2 * room)?,
            changed: gpu.buffer("changed shares", room / 32)?,
            split: gpu.buffer_of("split rows", split)?,
            teleport: None,
        };
        // What is not written is zero: nobody's, and those of nodes without out-edges.
        let ratio = |&node: &u32| {
            let [ratio, rest] = ratio_words(graph.row(node).1);
            u64::from(ratio) | u64::from(rest) << 32
        };
        let ratios: Vec<u64> = order[..layout.labels.sources]
            .par_iter()
            .map(ratio)
            .collect();
        gpu.upload(&buffers.ratios, 0, &ratios)?;
        gpu.upload(&buffers.order, 0, order)?;
        Ok(buffers)
    }
}

impl DevicePart {
    fn new(
        gpu: &Gpu,
        layout: &Layout,
        index: usize,
        quotas: &[u32],
    ) -> Result<DevicePart, CudaError> {
        let part = &layout.parts[index];
        let slots = part.sources.len() as u64;
        let device = DevicePart {
            slices: gpu.buffer_of("slices", part.slices.as_flattened())?,
            segments: gpu.buffer("segments", part.segments.len() as u64)?,
            sources: gpu.buffer("edges", slots)?,
            quotas: match layout.weighted {
                true => Some(gpu.buffer("quotas", slots)?),
                false => None,
            },
        };
        // Fresh buffers are zero, and so is what is spare.
        if index + 1 < layout.parts.len() {
            gpu.upload(&device.segments, 0, &part.segments)?;
            gpu.upload(&device.sources, 0, &part.sources)?;
            if let Some(buffer) = &device.quotas {
                gpu.upload(buffer, 0, quotas)?;
            }
        }
        Ok(device)
    }
}

/// Lists for `patch`, behind one another.
#[derive(Default)]
struct Lists {
    words: Vec<u32>,
    targets: Vec<List>,
}

struct List {
    target: Argument,
    start: u64,
    entries: u32,
    /// Words of an entry, without its address.
    words: u32,
}

impl Lists {
    /// Bytes of device memory that writing takes.
    fn bytes(&self) -> u64 {
        4 * self.words.len() as u64
    }

    /// Queues the writing of what the lists say, all of them in one upload.
    fn write(&self, gpu: &Gpu, kernels: &Kernels) -> Result<(), CudaError> {
        if self.targets.is_empty() {
            return Ok(());
        }
        let buffer = gpu.buffer_of("changes", &self.words)?;
        for list in &self.targets {
            let arguments = [
                (&buffer).into(),
                list.start.into(),
                list.entries.into(),
                list.words.into(),
                list.target.clone(),
            ];
            let grid = Grid::covering(list.entries.into(), THREADS);
            gpu.launch(&kernels.patch, grid, &arguments)?;
        }
        Ok(())
    }

    /// Entries of an address, counted in words of 32 bits, and N - 1 such words for it.
    fn add<T: bytemuck::Pod, const N: usize>(&mut self, target: &Buffer<T>, entries: &[[u32; N]]) {
        if entries.is_empty() {
            return;
        }
        self.targets.push(List {
            target: target.into(),
            start: self.words.len() as u64,
            entries: entries.len() as u32,
            words: N as u32 - 1,
        });
        self.words.extend(entries.as_flattened());
    }
}

//! A graph on the device, and how it follows its changes.

use ffcm::device::focus::{
    Changes, Cuts, Layout, MAX_EDGES, PartChanges, TooManyEdges, ratio_words,
};
use ffcm::focus::prepare::Teleport;
use ffcm::graph::Graph;

use super::kernels::{ENTRIES_PER_GROUP, Kernels, LABELS_PER_GROUP, SUM_WORDS, control};
use crate::device::{Bound, Buffer, Gpu, GpuError, Groups};

/// Iterations of one submission at most.
pub(super) const BATCH: u32 = 16;

/// Words of a binding's alignment.
const ALIGNMENT: usize = 64;

/// Words before the entries of a list for `patch`.
const LIST_HEADER: usize = 4;

/// Buffers of one part of the layout.
#[derive(Debug)]
struct DevicePart {
    segments: Buffer,
    /// Sum of each segment of a row with several.
    sums: Buffer,
    sources: Buffer,
    quotas: Option<Buffer>,
    gather: Bound,
}

/// Buffers with a word or more per label.
#[derive(Debug)]
struct LabelBuffers {
    arrived: Buffer,
    mass: Buffer,
    ratios: Buffer,
    order: Buffer,
    /// Shares, then the bitmap of changed ones.
    shares: Buffer,
    /// Only while stakes differ.
    teleport: Option<Buffer>,
}

/// The kernels of an iteration, in order after the gathers.
#[derive(Debug)]
struct Tail {
    sum: Bound,
    pool_equal: Bound,
    pool_stakes: Option<Bound>,
    settle: Bound,
    finish: Bound,
    commit: Bound,
}

/// A graph on the device.
#[derive(Debug)]
pub(super) struct DeviceGraph {
    /// What the device holds.
    graph: Graph,
    pub(super) layout: Layout,
    /// Labels that the buffers have room for.
    capacity: u32,
    pub(super) teleport: Teleport,
    pub(super) control: Buffer,
    sums: Buffer,
    labels: LabelBuffers,
    parts: Vec<DevicePart>,
    tail: Tail,
    /// Masses by node of the last ranking, where the device still has them by label.
    pub(super) last: Option<Vec<u64>>,
}

/// Words of pairs.
fn words(values: impl Iterator<Item = u64>) -> Vec<u32> {
    values
        .flat_map(|value| [value as u32, (value >> 32) as u32])
        .collect()
}

impl DeviceGraph {
    /// Lays `graph` out and uploads all of it.
    pub(super) fn new(
        gpu: &Gpu,
        kernels: &Kernels,
        graph: &Graph,
        cuts: Cuts,
    ) -> Result<DeviceGraph, GpuError> {
        let capacity = capacity(graph.node_count(), cuts.buffer_bytes)?;
        let (layout, quotas) = Layout::new(graph, cuts).map_err(too_large)?;
        let labels = LabelBuffers::new(gpu, graph, &layout, capacity)?;
        let control = gpu.buffer("control", control::RESIDUALS as u64 + 2 * u64::from(BATCH))?;
        let sums = gpu.buffer("sums", SUM_WORDS)?;
        let mut parts = Vec::with_capacity(layout.parts.len());
        for (part, quotas) in (0..).zip(quotas) {
            parts.push(DevicePart::new(
                gpu, kernels, &layout, part, &quotas, &control, &labels,
            )?);
        }
        let mut device = DeviceGraph {
            graph: graph.clone(),
            tail: Tail::new(gpu, kernels, &control, &sums, &labels)?,
            layout,
            capacity,
            teleport: Teleport::Uniform { each: 0, more: 0 },
            control,
            sums,
            labels,
            parts,
            last: None,
        };
        device.upload_teleport(gpu, kernels)?;
        Ok(device)
    }

    /// Makes the device follow `graph`; false where it must be laid out anew and this is not to be used again.
    pub(super) fn refresh(
        &mut self,
        gpu: &Gpu,
        kernels: &Kernels,
        graph: &Graph,
    ) -> Result<bool, GpuError> {
        if graph.node_count() >= self.capacity {
            return Ok(false);
        }
        let known = self.layout.labels.order.len();
        let Some(changes) = self.layout.follow(&self.graph, graph) else {
            return Ok(false);
        };
        self.graph = graph.clone();
        let appended = &self.layout.labels.order[known..];
        gpu.upload(&self.labels.order, known as u64, appended)?;
        let lists = self.lists(&changes);
        if lists.words.len() as u64 * 4 > gpu.profile().binding_bytes {
            return Ok(false);
        }
        lists.write(gpu, kernels)?;
        if let (Some(part), Some(layout)) = (self.parts.last(), self.layout.parts.last()) {
            let start = changes.spare.start as u64;
            gpu.upload(&part.segments, start, &layout.segments[changes.spare])?;
        }
        if changes.teleport {
            self.upload_teleport(gpu, kernels)?;
        }
        Ok(true)
    }

    /// The changes as lists.
    fn lists(&self, changes: &Changes) -> Lists<'_> {
        let mut lists = Lists::default();
        lists.add(&self.labels.ratios, &changes.ratios);
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

    /// Uploads the teleport shares that differ from those on the device, where nodes have their own.
    fn upload_teleport(&mut self, gpu: &Gpu, kernels: &Kernels) -> Result<(), GpuError> {
        let teleport = Teleport::new(&self.graph, &self.layout.labels.order[1..]);
        let before = std::mem::replace(&mut self.teleport, teleport);
        let Teleport::Stakes(stakes) = &self.teleport else {
            return Ok(());
        };
        if self.labels.teleport.is_none() {
            let buffer = gpu.buffer("teleport", 2 * u64::from(self.capacity))?;
            self.labels.teleport = Some(buffer);
            self.tail = Tail::new(gpu, kernels, &self.control, &self.sums, &self.labels)?;
        }
        let Some(buffer) = &self.labels.teleport else {
            return Ok(());
        };
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
        if changed.len() > stakes.len() / 2 {
            return gpu.upload(buffer, 2, &words(stakes.iter().copied()));
        }
        let mut lists = Lists::default();
        lists.add(buffer, &changed);
        lists.write(gpu, kernels)
    }

    /// Words of the control buffer that describe the graph.
    pub(super) fn describe(&self, words: &mut [u32]) {
        let nodes = self.graph.node_count();
        words[control::LABELS] = nodes + 1;
        words[control::NODES] = nodes;
        words[control::FRONTIER_BELOW] = self.layout.frontier_below();
        words[control::CHANGED] = self.capacity;
        match self.teleport {
            Teleport::Uniform { each, more } => {
                words[control::EACH] = each as u32;
                words[control::EACH + 1] = (each >> 32) as u32;
                words[control::MORE] = more;
            }
            Teleport::Stakes(_) => words[control::STAKES] = 1,
        }
    }

    /// Adds what makes the start vector, with its missing mass as its pool, the mass. The control buffer is written.
    pub(super) fn start<'a>(
        &'a self,
        gpu: &Gpu,
        commands: &mut crate::device::Commands<'a>,
        start: &[u64],
    ) -> Result<(), GpuError> {
        let arrived = &self.labels.arrived;
        let same = self.last.as_deref() == Some(start);
        if start.is_empty() {
            commands.clear(arrived, 0, arrived.words());
        } else if same {
            commands.copy(&self.labels.mass, 0, arrived, 0, arrived.words());
        } else {
            let of = |&node: &u32| start.get(node as usize).copied().unwrap_or(0);
            gpu.upload(arrived, 0, &words(self.layout.labels.order.iter().map(of)))?;
        }
        commands.clear(&self.sums, 0, SUM_WORDS);
        self.settle(commands);
        commands.clear(arrived, 0, arrived.words());
        for part in &self.parts {
            commands.clear(&part.sums, 0, part.sums.words());
        }
        Ok(())
    }

    /// Adds one iteration.
    pub(super) fn iterate<'a>(&'a self, commands: &mut crate::device::Commands<'a>) {
        for (index, part) in self.parts.iter().enumerate() {
            commands.dispatch(&part.gather, Groups::Count(self.layout.used_slices(index)));
        }
        self.settle(commands);
    }

    /// Adds what makes the last y of a warm run, which is over, the mass.
    pub(super) fn commit<'a>(&'a self, commands: &mut crate::device::Commands<'a>) {
        let groups = (self.graph.node_count() + 1).div_ceil(LABELS_PER_GROUP);
        commands.dispatch(&self.tail.commit, Groups::Count(groups));
    }

    fn settle<'a>(&'a self, commands: &mut crate::device::Commands<'a>) {
        let groups = (self.graph.node_count() + 1).div_ceil(LABELS_PER_GROUP);
        let tail = &self.tail;
        commands.dispatch(&tail.sum, Groups::Count(groups));
        match (&self.teleport, &tail.pool_stakes) {
            (Teleport::Stakes(_), Some(pool)) => commands.dispatch(pool, Groups::Count(groups)),
            _ => commands.dispatch(&tail.pool_equal, Groups::Count(1)),
        };
        commands
            .dispatch(&tail.settle, Groups::Count(groups))
            .dispatch(&tail.finish, Groups::Count(1));
    }

    /// The mass of each node.
    pub(super) fn read_mass(&self, gpu: &Gpu) -> Result<Vec<u64>, GpuError> {
        let order = &self.layout.labels.order;
        let found = gpu.read(&self.labels.mass, 2, 2 * (order.len() as u64 - 1))?;
        let mut mass = vec![0; order.len() - 1];
        for (&node, pair) in order[1..].iter().zip(found.chunks_exact(2)) {
            mass[node as usize] = u64::from(pair[0]) | u64::from(pair[1]) << 32;
        }
        Ok(mass)
    }
}

fn too_large(error: TooManyEdges) -> GpuError {
    GpuError::TooLarge {
        what: format!("{} edges", error.edges),
        needs: error.edges.saturating_mul(4),
        limit: MAX_EDGES * 4,
    }
}

/// Labels to make room for, with some to spare where the device allows it.
fn capacity(nodes: u32, binding_bytes: u64) -> Result<u32, GpuError> {
    let group = u64::from(LABELS_PER_GROUP);
    let needed = (u64::from(nodes) + 1).next_multiple_of(group);
    let most = binding_bytes / 8 / group * group;
    if needed > most {
        return Err(GpuError::TooLarge {
            what: format!("the mass of {nodes} nodes"),
            needs: needed * 8,
            limit: binding_bytes,
        });
    }
    let wanted = needed + (needed / 16).next_multiple_of(group);
    // A binding is below 2^31 bytes.
    Ok(wanted.min(most) as u32)
}

impl LabelBuffers {
    fn new(
        gpu: &Gpu,
        graph: &Graph,
        layout: &Layout,
        capacity: u32,
    ) -> Result<LabelBuffers, GpuError> {
        let order = &layout.labels.order;
        let room = u64::from(capacity);
        let buffers = LabelBuffers {
            arrived: gpu.buffer("arrived", 2 * room)?,
            mass: gpu.buffer("mass", 2 * room)?,
            ratios: gpu.buffer("ratios", 2 * room)?,
            order: gpu.buffer("order", room)?,
            shares: gpu.buffer("shares", room + room / 32)?,
            teleport: None,
        };
        // What is not written is zero: nobody's, and those of nodes without out-edges.
        let ratios: Vec<u32> = order[..layout.labels.sources]
            .iter()
            .flat_map(|&node| ratio_words(graph.row(node).1))
            .collect();
        gpu.upload(&buffers.ratios, 0, &ratios)?;
        gpu.upload(&buffers.order, 0, order)?;
        Ok(buffers)
    }
}

impl DevicePart {
    fn new(
        gpu: &Gpu,
        kernels: &Kernels,
        layout: &Layout,
        part: usize,
        quotas: &[u32],
        control: &Buffer,
        labels: &LabelBuffers,
    ) -> Result<DevicePart, GpuError> {
        let index = part;
        let part = &layout.parts[index];
        // Fresh buffers are zero, and so is what is spare.
        let spare = index + 1 == layout.parts.len();
        let slots = part.sources.len() as u64;
        let slices = gpu.buffer_of("slices", part.slices.as_flattened())?;
        let segments = gpu.buffer("segments", part.segments.len() as u64)?;
        let sums = gpu.buffer("segment sums", 2 * part.segments.len() as u64)?;
        let sources = gpu.buffer("edges", slots)?;
        let quotas_buffer = match layout.weighted {
            true => Some(gpu.buffer("quotas", slots)?),
            false => None,
        };
        if !spare {
            gpu.upload(&segments, 0, &part.segments)?;
            gpu.upload(&sources, 0, &part.sources)?;
        }
        let mut bindings = vec![
            control.into(),
            (&labels.shares).into(),
            (&labels.arrived).into(),
            (&slices).into(),
            (&segments).into(),
            (&sums).into(),
            (&sources).into(),
        ];
        let mut kernel = &kernels.gather_equal;
        if let Some(buffer) = &quotas_buffer {
            gpu.upload(buffer, 0, quotas)?;
            bindings.push(buffer.into());
            kernel = &kernels.gather_quota;
        }
        let gather = gpu.bind(kernel, &bindings)?;
        Ok(DevicePart {
            segments,
            sums,
            sources,
            quotas: quotas_buffer,
            gather,
        })
    }
}

impl Tail {
    fn new(
        gpu: &Gpu,
        kernels: &Kernels,
        control: &Buffer,
        sums: &Buffer,
        labels: &LabelBuffers,
    ) -> Result<Tail, GpuError> {
        let (control, sums) = (control.into(), sums.into());
        let arrived = (&labels.arrived).into();
        // Where stakes are equal the kernel reads no teleport; the binding wants a buffer all the same.
        let teleport = labels.teleport.as_ref().unwrap_or(&labels.ratios);
        let pool_stakes = match &labels.teleport {
            Some(teleport) => {
                Some(gpu.bind(&kernels.pool_stakes, &[control, sums, teleport.into()])?)
            }
            None => None,
        };
        let settle = [
            control,
            sums,
            arrived,
            (&labels.mass).into(),
            teleport.into(),
            (&labels.ratios).into(),
            (&labels.order).into(),
            (&labels.shares).into(),
        ];
        let commit = [
            control,
            arrived,
            (&labels.mass).into(),
            (&labels.order).into(),
            teleport.into(),
        ];
        Ok(Tail {
            sum: gpu.bind(&kernels.sum, &[control, sums, arrived])?,
            pool_equal: gpu.bind(&kernels.pool_equal, &[control, sums])?,
            pool_stakes,
            settle: gpu.bind(&kernels.settle, &settle)?,
            finish: gpu.bind(&kernels.finish, &[control, sums])?,
            commit: gpu.bind(&kernels.commit, &commit)?,
        })
    }
}

/// Lists for `patch`, behind one another.
#[derive(Default)]
struct Lists<'a> {
    words: Vec<u32>,
    targets: Vec<List<'a>>,
}

struct List<'a> {
    target: &'a Buffer,
    start: usize,
    words: usize,
    entries: usize,
}

impl<'a> Lists<'a> {
    /// Writes what the lists say, all of them in one upload.
    fn write(&self, gpu: &Gpu, kernels: &Kernels) -> Result<(), GpuError> {
        if self.targets.is_empty() {
            return Ok(());
        }
        let buffer = gpu.buffer_of("changes", &self.words)?;
        let mut bound = Vec::with_capacity(self.targets.len());
        for list in &self.targets {
            let slice = buffer.slice(list.start as u64, list.words as u64);
            bound.push(gpu.bind(&kernels.patch, &[slice, list.target.into()])?);
        }
        let mut commands = gpu.commands("changes");
        for (bound, list) in bound.iter().zip(&self.targets) {
            let groups = (list.entries as u32).div_ceil(ENTRIES_PER_GROUP);
            commands.dispatch(bound, Groups::Count(groups));
        }
        commands.submit()
    }

    /// Entries of an address and N - 1 words for it.
    fn add<const N: usize>(&mut self, target: &'a Buffer, entries: &[[u32; N]]) {
        if entries.is_empty() {
            return;
        }
        let start = self.words.len().next_multiple_of(ALIGNMENT);
        self.words.resize(start, 0);
        let header: [u32; LIST_HEADER] = [entries.len() as u32, N as u32 - 1, 0, 0];
        self.words.extend(header);
        self.words.extend(entries.as_flattened());
        self.targets.push(List {
            target,
            start,
            words: self.words.len() - start,
            entries: entries.len(),
        });
    }
}

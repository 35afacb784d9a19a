//! The parallel engine's memory on the device, and how it grows.

use std::sync::Arc;

use super::control::*;
use crate::device::{Buffer, CudaError, Gpu, Graph, Grid, Kernel, Launch};

/// How many nodes and pairs the buffers hold: powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    pub(crate) nodes: u64,
    pub(crate) pairs: u64,
}

impl Capacity {
    /// The most that numbers of nodes allow, and memory of so many bytes: 16 bytes for a node and 8 for its places in the
    /// ring, 16 bytes for a pair.
    pub(super) fn most(bytes: u64) -> Capacity {
        let power = |most: u64| 1 << most.clamp(1, 1 << 29).ilog2();
        Capacity {
            nodes: power(bytes / 24),
            pairs: power(bytes / 16),
        }
    }

    /// Enough to start with on a device of so many blocks.
    pub(super) fn start(blocks: u32, threads: u32) -> Capacity {
        let pairs = u64::from(blocks) * slack(threads) * 2;
        Capacity {
            nodes: (u64::from(blocks) * u64::from(threads) * 64)
                .next_power_of_two()
                .clamp(1 << 14, 1 << 24),
            pairs: pairs.next_power_of_two().clamp(1 << 14, 1 << 24),
        }
    }
}

/// A pair of terms, or a node.
pub(super) type Terms = [u64; 2];

/// The buffers; see `heap.cuh`.
pub(super) struct Buffers {
    pub(super) capacity: Capacity,
    pub(super) nodes: Buffer<Terms>,
    pub(super) bag: Buffer<Terms>,
    ring: Buffer<u32>,
    pub(super) control: Buffer<u64>,
    local: Local,
}

/// What blocks with nodes in shared memory keep from round to round; next to nothing if they have none.
struct Local {
    /// Pairs that lead to their nodes.
    over: Buffer<Terms>,
    /// How many each block has.
    kept: Buffer<u32>,
    /// Their words of free nodes.
    unused: Buffer<u32>,
    /// Their nodes.
    image: Buffer<Terms>,
}

impl Local {
    /// For so many threads.
    fn new(gpu: &Gpu, blocks: u64, threads: u64) -> Result<Local, CudaError> {
        let nodes = threads * u64::from(LOCAL_NODES);
        Ok(Local {
            over: gpu.buffer("net.over", nodes * u64::from(LOCAL_PAIRS))?,
            kept: gpu.buffer("net.kept", blocks)?,
            unused: gpu.buffer("net.unused", threads)?,
            image: gpu.buffer("net.image", nodes)?,
        })
    }
}

/// Bytes of shared memory for the nodes of a block of so many threads, and for a bit of each.
pub(super) fn local_bytes(threads: u32) -> u32 {
    threads * (LOCAL_NODES * 16 + LOCAL_NODES / 8)
}

impl Buffers {
    /// For the launches of a grid whose blocks have nodes in the shared memory that it asks for.
    pub(super) fn new(gpu: &Gpu, capacity: Capacity, grid: Grid) -> Result<Buffers, CudaError> {
        let blocks = if grid.shared > 0 {
            u64::from(grid.blocks)
        } else {
            0
        };
        Ok(Buffers {
            local: Local::new(gpu, blocks, blocks * u64::from(grid.threads))?,
            capacity,
            nodes: gpu.buffer("net.nodes", capacity.nodes)?,
            bag: gpu.buffer("net.bag", capacity.pairs)?,
            ring: gpu.buffer("net.ring", 2 * capacity.nodes)?,
            control: gpu.buffer("net.control", u64::from(CONTROL_WORDS))?,
        })
    }

    /// Sets the words of `control` that say how large the buffers are.
    pub(super) fn describe(&self, control: &mut [u64], node_limit: u64) {
        control[NODE_MASK as usize] = 2 * self.capacity.nodes - 1;
        control[NODE_CAPACITY as usize] = self.capacity.nodes.min(node_limit);
        control[BAG_CAPACITY as usize] = self.capacity.pairs;
    }

    /// Makes the blocks forget what they kept.
    pub(super) fn reset(&self, gpu: &Gpu) -> Result<(), CudaError> {
        gpu.fill(&self.local.kept, 0, self.local.kept.len(), 0)
    }

    /// Moves everything to buffers of `capacity`, which is nowhere smaller. The control words, as the last round left
    /// them, change with the ring. When there is not enough memory nothing has changed.
    pub(super) fn grow(
        &mut self,
        gpu: &Gpu,
        capacity: Capacity,
        control: &mut [u64],
    ) -> Result<(), CudaError> {
        let old = self.capacity;
        let nodes = if capacity.nodes > old.nodes {
            let nodes = gpu.buffer("net.nodes", capacity.nodes)?;
            Some((nodes, gpu.buffer("net.ring", 2 * capacity.nodes)?))
        } else {
            None
        };
        if capacity.pairs > old.pairs {
            let bag = gpu.buffer("net.bag", capacity.pairs)?;
            gpu.copy((&self.bag, 0), (&bag, 0), old.pairs)?;
            self.bag = bag;
        }
        if let Some((nodes, ring)) = nodes {
            gpu.copy((&self.nodes, 0), (&nodes, 0), old.nodes)?;
            let free = Window::of(control);
            free.copy(gpu, &self.ring, &ring)?;
            control[NODE_HEAD as usize] = 0;
            control[NODE_SEEN as usize] = free.length();
            control[NODE_TAIL as usize] = free.length();
            self.nodes = nodes;
            self.ring = ring;
        }
        self.capacity = capacity;
        Ok(())
    }
}

/// The free nodes in the ring.
struct Window {
    head: u64,
    tail: u64,
    mask: u64,
}

impl Window {
    fn of(control: &[u64]) -> Window {
        let word = |at: u32| control[at as usize];
        Window {
            // The head may have run ahead of what it could take.
            head: word(NODE_HEAD).min(word(NODE_SEEN)),
            tail: word(NODE_TAIL),
            mask: word(NODE_MASK),
        }
    }

    fn length(&self) -> u64 {
        self.tail.saturating_sub(self.head)
    }

    /// Copies the window to the beginning of `new`.
    fn copy(&self, gpu: &Gpu, old: &Buffer<u32>, new: &Buffer<u32>) -> Result<(), CudaError> {
        let start = self.head & self.mask;
        let before_end = self.length().min(self.mask + 1 - start);
        let rest = self.length() - before_end;
        for (from, to, count) in [(start, 0, before_end), (0, before_end, rest)] {
            if count > 0 {
                gpu.copy((old, from), (new, to), count)?;
            }
        }
        Ok(())
    }
}

/// Free nodes in the ring.
pub(super) fn window_length(control: &[u64]) -> u64 {
    Window::of(control).length()
}

/// How many nodes are free: in the ring, and never used.
pub(super) fn free_nodes(control: &[u64]) -> u64 {
    let word = |at: u32| control[at as usize];
    let unused = word(NODE_CAPACITY).saturating_sub(word(NODE_BUMP));
    window_length(control).saturating_add(unused)
}

/// The compiled kernels.
pub(super) struct Kernels {
    pub(super) plan: Arc<Kernel>,
    pub(super) spread: Arc<Kernel>,
    pub(super) round: Arc<Kernel>,
    pub(super) persistent: Arc<Kernel>,
}

/// Rounds of a recorded graph.
const RECORDED: u32 = 8;

/// The launches of a batch, with their buffers.
pub(super) struct Launches {
    plan: Launch,
    spread: Launch,
    round: Launch,
    /// None if rounds are launched one by one.
    persistent: Option<Launch>,
    /// Several rounds. Made when first needed.
    recorded: Option<Graph>,
}

impl Launches {
    /// Launches of so many blocks and threads.
    pub(super) fn new(
        gpu: &Gpu,
        kernels: &Kernels,
        buffers: &Buffers,
        book: &Buffer<u64>,
        grid: Grid,
    ) -> Result<Launches, CudaError> {
        let common = [
            (&buffers.nodes).into(),
            (&buffers.bag).into(),
            (&buffers.ring).into(),
            (&buffers.control).into(),
            book.into(),
        ];
        let mut planned = common.to_vec();
        planned.push(grid.threads.into());
        let apart = Grid::new(grid.blocks, grid.threads);
        let local = &buffers.local;
        let mut reducing = common.to_vec();
        reducing.extend([
            (&local.over).into(),
            (&local.kept).into(),
            (&local.unused).into(),
            (&local.image).into(),
        ]);
        Ok(Launches {
            plan: gpu.prepare(&kernels.plan, Grid::new(1, 1), &planned)?,
            spread: gpu.prepare(&kernels.spread, apart, &common)?,
            round: gpu.prepare(&kernels.round, apart.shared(grid.shared), &reducing)?,
            persistent: if grid.cooperative {
                Some(gpu.prepare(&kernels.persistent, grid, &reducing)?)
            } else {
                None
            },
            recorded: None,
        })
    }

    /// Queues so many rounds, after a plan of the first if there is none yet.
    pub(super) fn queue(&mut self, gpu: &Gpu, rounds: u32, plans: bool) -> Result<(), CudaError> {
        if plans {
            gpu.run(&self.plan)?;
            gpu.run(&self.spread)?;
        }
        if let Some(persistent) = &self.persistent {
            return gpu.run(persistent);
        }
        if rounds >= RECORDED {
            let graph = match self.recorded.take() {
                Some(graph) => graph,
                None => {
                    let pair = || [self.round.clone(), self.spread.clone()];
                    gpu.graph((0..RECORDED).flat_map(|_| pair()).collect())?
                }
            };
            for _ in 0..rounds / RECORDED {
                gpu.replay(&graph)?;
            }
            self.recorded = Some(graph);
        }
        for _ in 0..rounds % RECORDED {
            gpu.run(&self.round)?;
            gpu.run(&self.spread)?;
        }
        Ok(())
    }
}

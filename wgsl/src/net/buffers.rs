//! The parallel engine's memory on the device, and how it grows.

use std::sync::Arc;

use super::control::*;
use super::sources::{self, Build};
use crate::device::{Bound, Buffer, Commands, Gpu, GpuError, Kernel, Slice};

/// How many nodes, wires and pairs the buffers hold: powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    pub(crate) nodes: u32,
    pub(crate) wires: u32,
    pub(crate) pairs: u32,
}

impl Capacity {
    /// The most that fits bindings of `bytes`: 16 bytes a node and a pair, 8 a wire; the rings of free numbers, 8 bytes a
    /// node and a wire, lie in one buffer.
    pub(crate) fn most(bytes: u64) -> Capacity {
        let each = (bytes / 16).clamp(1, 1 << 30);
        let each = 1 << each.ilog2();
        Capacity {
            nodes: each,
            wires: each,
            pairs: each,
        }
    }

    /// Enough to start with.
    pub(crate) fn start() -> Capacity {
        Capacity {
            nodes: 1 << 14,
            wires: 1 << 14,
            pairs: 1 << 15,
        }
    }

    pub(crate) fn min(self, other: Capacity) -> Capacity {
        Capacity {
            nodes: self.nodes.min(other.nodes),
            wires: self.wires.min(other.wires),
            pairs: self.pairs.min(other.pairs),
        }
    }
}

/// Nodes, wires and words of control in a report.
pub(super) const REPORT_HEAP: u64 = 256;
/// Words of a report: control, nodes, stamps, payloads.
pub(super) const REPORT_WORDS: u64 = WORDS as u64 + REPORT_HEAP * 7;

/// The compiled kernels.
pub(super) struct Kernels {
    plan: Arc<Kernel>,
    spread: Arc<Kernel>,
    main: Arc<Kernel>,
    /// In the place of `main` where it is.
    calls: Option<Arc<Kernel>>,
}

impl Kernels {
    pub(super) fn new(gpu: &Gpu, build: Build) -> Result<Kernels, GpuError> {
        Ok(Kernels {
            plan: gpu.kernel(&sources::plan())?,
            spread: gpu.kernel(&sources::spread(build))?,
            main: gpu.kernel(&sources::main(build, None))?,
            calls: None,
        })
    }

    /// Has a reducer with lane functions in the place of the usual one, or the usual one. Whether that is another than before.
    pub(super) fn choose(&mut self, calls: Option<Arc<Kernel>>) -> bool {
        let same = match (&self.calls, &calls) {
            (Some(now), Some(then)) => Arc::ptr_eq(now, then),
            (None, None) => true,
            _ => false,
        };
        self.calls = calls;
        !same
    }
}

/// The kernels with their buffers.
pub(super) struct Bindings {
    pub(super) plan: Bound,
    pub(super) spread: Bound,
    pub(super) main: Bound,
}

/// The buffers; see `heap.wgsl`.
pub(super) struct Buffers {
    pub(super) capacity: Capacity,
    pub(super) nodes: Buffer,
    pub(super) stamps: Buffer,
    pub(super) payloads: Buffer,
    pub(super) bag: Buffer,
    rings: Buffer,
    /// One word for each entry of the others, in the build that looks for races.
    pub(super) shadows: Option<Buffer>,
    pub(super) control: Buffer,
    /// Arguments of the indirect dispatches: those of the reducer, then those of `spread`.
    pub(super) arguments: Buffer,
    pub(super) report: Buffer,
}

fn ring_words(capacity: Capacity) -> u64 {
    2 * (u64::from(capacity.nodes) + u64::from(capacity.wires))
}

/// A word for each node, payload, pair and entry of a ring.
fn shadow_words(capacity: Capacity) -> u64 {
    let entries = [capacity.nodes, capacity.wires, capacity.pairs].map(u64::from);
    entries.iter().sum::<u64>() + ring_words(capacity)
}

/// A buffer of `words` words that begins as `old` does.
fn enlarged(
    gpu: &Gpu,
    label: &'static str,
    old: &Buffer,
    words: u64,
) -> Result<Option<Buffer>, GpuError> {
    if words == old.words() {
        return Ok(None);
    }
    gpu.buffer(label, words).map(Some)
}

impl Buffers {
    /// At least what a report shows of the heap.
    pub(super) fn new(gpu: &Gpu, capacity: Capacity, build: Build) -> Result<Buffers, GpuError> {
        let capacity = Capacity {
            nodes: capacity.nodes.max(REPORT_HEAP as u32),
            wires: capacity.wires.max(REPORT_HEAP as u32),
            ..capacity
        };
        let least = 2 * u64::from(SLACK);
        if u64::from(capacity.pairs) < least {
            return Err(GpuError::TooLarge {
                what: "the pairs of one workgroup".into(),
                needs: least * 16,
                limit: u64::from(capacity.pairs) * 16,
            });
        }
        let (nodes, wires) = (u64::from(capacity.nodes), u64::from(capacity.wires));
        Ok(Buffers {
            capacity,
            nodes: gpu.buffer("net.nodes", nodes * 4)?,
            stamps: gpu.buffer("net.stamps", wires)?,
            payloads: gpu.buffer("net.payloads", wires * 2)?,
            bag: gpu.buffer("net.bag", u64::from(capacity.pairs) * 4)?,
            rings: gpu.buffer("net.rings", ring_words(capacity))?,
            shadows: if build.looks_for_races() {
                Some(gpu.buffer("net.shadows", shadow_words(capacity))?)
            } else {
                None
            },
            control: gpu.buffer("net.control", u64::from(CONTROL_WORDS))?,
            arguments: gpu.buffer("net.arguments", 6)?,
            report: gpu.buffer("net.report", REPORT_WORDS)?,
        })
    }

    pub(super) fn bind(
        &self,
        gpu: &Gpu,
        kernels: &Kernels,
        book: &Buffer,
    ) -> Result<Bindings, GpuError> {
        let mut main: Vec<Slice<'_>> = vec![
            (&self.nodes).into(),
            (&self.stamps).into(),
            (&self.payloads).into(),
            (&self.bag).into(),
            (&self.rings).into(),
            (&self.control).into(),
            book.into(),
        ];
        main.extend(self.shadows.as_ref().map(Slice::from));
        Ok(Bindings {
            plan: gpu.bind(
                &kernels.plan,
                &[
                    (&self.control).into(),
                    (&self.arguments).into(),
                    book.into(),
                ],
            )?,
            spread: gpu.bind(
                &kernels.spread,
                &[
                    (&self.nodes).into(),
                    (&self.bag).into(),
                    (&self.rings).into(),
                    (&self.control).into(),
                    book.into(),
                ],
            )?,
            main: gpu.bind(kernels.calls.as_ref().unwrap_or(&kernels.main), &main)?,
        })
    }

    /// Sets the words of `control` that say how large the buffers are.
    pub(super) fn describe(&self, control: &mut [u32], node_limit: u32, wire_limit: u32) {
        let Capacity {
            nodes,
            wires,
            pairs,
        } = self.capacity;
        control[NODE_MASK as usize] = 2 * nodes - 1;
        control[NODE_CAPACITY as usize] = nodes.min(node_limit);
        control[NODE_RING_BASE as usize] = 0;
        control[WIRE_MASK as usize] = 2 * wires - 1;
        control[WIRE_CAPACITY as usize] = wires.min(wire_limit);
        control[WIRE_RING_BASE as usize] = 2 * nodes;
        control[BAG_CAPACITY as usize] = pairs;
    }

    /// Moves everything to buffers of `capacity`, which is nowhere smaller. The control words, as the last round left
    /// them, change with the rings. After an error nothing has changed.
    pub(super) fn grow(
        &mut self,
        gpu: &Gpu,
        capacity: Capacity,
        control: &mut [u32],
    ) -> Result<(), GpuError> {
        let (nodes, wires) = (u64::from(capacity.nodes), u64::from(capacity.wires));
        let new_nodes = enlarged(gpu, "net.nodes", &self.nodes, nodes * 4)?;
        let new_stamps = enlarged(gpu, "net.stamps", &self.stamps, wires)?;
        let new_payloads = enlarged(gpu, "net.payloads", &self.payloads, wires * 2)?;
        let new_bag = enlarged(gpu, "net.bag", &self.bag, u64::from(capacity.pairs) * 4)?;
        let new_rings = enlarged(gpu, "net.rings", &self.rings, ring_words(capacity))?;
        // What is in the buffers was written by earlier dispatches: nothing is known of it, or need be.
        let new_shadows = match &self.shadows {
            Some(_) => Some(gpu.buffer("net.shadows", shadow_words(capacity))?),
            None => None,
        };
        let mut commands = gpu.commands("net.grow");
        for (old, new) in [
            (&self.nodes, &new_nodes),
            (&self.stamps, &new_stamps),
            (&self.payloads, &new_payloads),
            (&self.bag, &new_bag),
        ] {
            if let Some(new) = new {
                commands.copy(old, 0, new, 0, old.words());
            }
        }
        let mut rings = Vec::new();
        if let Some(new) = &new_rings {
            for (words, base) in [(0, 0), (POOL_WORDS, 2 * nodes)] {
                let ring = Window::of(control, words);
                ring.copy(&mut commands, &self.rings, new, base);
                rings.push((words, ring.length()));
            }
        }
        commands.submit()?;
        for (words, length) in rings {
            control[(NODE_HEAD + words) as usize] = 0;
            control[(NODE_SEEN + words) as usize] = length;
            control[(NODE_TAIL + words) as usize] = length;
        }
        for (old, new) in [
            (&mut self.nodes, new_nodes),
            (&mut self.stamps, new_stamps),
            (&mut self.payloads, new_payloads),
            (&mut self.bag, new_bag),
            (&mut self.rings, new_rings),
        ] {
            if let Some(new) = new {
                *old = new;
            }
        }
        if new_shadows.is_some() {
            self.shadows = new_shadows;
        }
        self.capacity = capacity;
        Ok(())
    }
}

/// The free numbers of a ring.
struct Window {
    head: u32,
    tail: u32,
    mask: u32,
    base: u32,
}

impl Window {
    fn of(control: &[u32], words: u32) -> Window {
        let word = |at: u32| control[(at + words) as usize];
        // The head may have run ahead of what it could take.
        let (head, seen) = (word(NODE_HEAD), word(NODE_SEEN));
        let ahead = (seen.wrapping_sub(head) as i32) < 0;
        Window {
            head: if ahead { seen } else { head },
            tail: word(NODE_TAIL),
            mask: word(NODE_MASK),
            base: word(NODE_RING_BASE),
        }
    }

    fn length(&self) -> u32 {
        self.tail.wrapping_sub(self.head)
    }

    /// Copies the window to the beginning of the ring at `to`.
    fn copy<'a>(&self, commands: &mut Commands<'a>, old: &'a Buffer, new: &'a Buffer, to: u64) {
        let start = self.head & self.mask;
        let before_end = self.length().min(self.mask + 1 - start);
        let base = u64::from(self.base);
        let (first, rest) = (u64::from(before_end), u64::from(self.length() - before_end));
        commands
            .copy(old, base + u64::from(start), new, to, first)
            .copy(old, base, new, to + first, rest);
    }
}

/// Free numbers in the ring of a pool.
pub(super) fn window_length(control: &[u32], words: u32) -> u32 {
    Window::of(control, words).length()
}

/// How many entries of a pool are free: in its ring, and never used.
pub(super) fn free_entries(control: &[u32], words: u32) -> u32 {
    let word = |at: u32| control[(at + words) as usize];
    Window::of(control, words).length() + word(NODE_CAPACITY).saturating_sub(word(NODE_BUMP))
}

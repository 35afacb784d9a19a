//! Memory Arithmetic on a device: cuts a batch into waves, and a wave into lists that run side by side.
//!
//! A mix reads a slot at its place in the batch, so slots tied by a mix of which the source is written in the same wave
//! belong together: their operations are one list, in batch order. Lists have no slot in common that any of them
//! writes.

use crate::memory::{CheckedOp, SlotId};

/// A checked operation and its target's position in the tensor.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    target: u32,
    op: CheckedOp<'a>,
}

impl<'a> Operation<'a> {
    /// An operation that [`Memory::check`](crate::memory::Memory::check) let pass.
    pub fn new(target: SlotId, op: CheckedOp<'a>) -> Operation<'a> {
        Operation {
            // Below 2^24.
            target: target.position() as u32,
            op,
        }
    }

    /// Position of the slot that a mix reads besides its target: the same layer, maybe the same slot.
    fn source(&self) -> Option<u32> {
        match self.op {
            CheckedOp::Mix { source, .. } => {
                let layer = SlotId::at(self.target as usize);
                let source = SlotId {
                    slot: source,
                    ..layer
                };
                Some(source.position() as u32)
            }
            _ => None,
        }
    }
}

/// How much one wave may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Slots touched, at least 2: what one operation may touch.
    pub slots: usize,
    /// Vectors of additions, at least 1.
    pub vectors: usize,
    /// Operations, at least 1.
    pub operations: usize,
}

/// An operation in its place in a wave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed<'a> {
    /// What to do.
    pub op: CheckedOp<'a>,
    /// Number of the target within the wave.
    pub target: u32,
    /// Number of the slot that a mix reads; the target's own for everything else.
    pub source: u32,
}

/// Operations that a device takes at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wave<'a> {
    /// Positions in the tensor of the slots touched, by their number within the wave. Those written come first, and the
    /// slots that a list writes follow each other, in the order of the lists.
    pub slots: Vec<u32>,
    /// How many of them are written.
    pub written: usize,
    /// The operations, list after list, in batch order within each.
    pub operations: Vec<Placed<'a>>,
    /// Where each list ends in `operations`. None is empty.
    pub ends: Vec<usize>,
}

impl<'a> Wave<'a> {
    /// The lists, in order.
    pub fn lists(&self) -> impl Iterator<Item = &[Placed<'a>]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.operations[start..*end])
    }
}

const ABSENT: u32 = u32::MAX;

/// Makes waves; keeps what is as large as the tensor between them.
#[derive(Debug, Default)]
pub struct Planner {
    /// Number of a slot among those touched by its position in the tensor; [`ABSENT`] between waves.
    numbers: Vec<u32>,
}

/// A slot of a wave in the making.
struct Touched {
    position: u32,
    written: bool,
    /// Union-find over slots whose operations belong together.
    parent: u32,
}

impl Planner {
    /// The first wave of `operations` (at least one), and how many of them it takes (at least one too).
    pub fn wave<'a>(&mut self, operations: &[Operation<'a>], bounds: &Bounds) -> (Wave<'a>, usize) {
        debug_assert!(bounds.slots >= 2 && bounds.vectors >= 1 && bounds.operations >= 1);
        let (mut touched, taken) = self.touch(operations, bounds);
        let operations = &operations[..taken];
        let (order, ends) = self.lists(operations, &mut touched);

        let mut wave = Wave {
            ends,
            ..Wave::default()
        };
        wave.operations.reserve(operations.len());
        // The number within the wave by the number among those touched.
        let mut at = vec![ABSENT; touched.len()];
        let mut place = |number: u32, wave: &mut Wave<'_>| {
            let at = &mut at[number as usize];
            if *at == ABSENT {
                *at = wave.slots.len() as u32;
                wave.slots.push(touched[number as usize].position);
            }
            *at
        };
        for &index in &order {
            let target = operations[index as usize].target;
            place(self.numbers[target as usize], &mut wave);
        }
        wave.written = wave.slots.len();
        for &index in &order {
            let operation = &operations[index as usize];
            let source = operation.source().unwrap_or(operation.target);
            let placed = Placed {
                op: operation.op,
                target: place(self.numbers[operation.target as usize], &mut wave),
                source: place(self.numbers[source as usize], &mut wave),
            };
            wave.operations.push(placed);
        }
        for slot in &touched {
            self.numbers[slot.position as usize] = ABSENT;
        }
        (wave, taken)
    }

    /// Numbers the slots of as many operations as fit.
    fn touch(&mut self, operations: &[Operation<'_>], bounds: &Bounds) -> (Vec<Touched>, usize) {
        let mut touched = Vec::new();
        let mut vectors = 0;
        let mut taken = 0;
        for operation in operations.iter().take(bounds.operations) {
            vectors += usize::from(matches!(operation.op, CheckedOp::Add(_)));
            let absent = |position: &u32| {
                let number = self.numbers.get(*position as usize);
                number.is_none_or(|number| *number == ABSENT)
            };
            let source = operation.source().filter(|at| *at != operation.target);
            let fresh = [Some(operation.target), source].into_iter().flatten();
            let fresh = fresh.filter(absent).count();
            if vectors > bounds.vectors || touched.len() + fresh > bounds.slots {
                break;
            }
            self.number(operation.target, &mut touched).written = true;
            if let Some(source) = source {
                self.number(source, &mut touched);
            }
            taken += 1;
        }
        (touched, taken)
    }

    fn number<'t>(&mut self, position: u32, touched: &'t mut Vec<Touched>) -> &'t mut Touched {
        let at = position as usize;
        if at >= self.numbers.len() {
            self.numbers.resize(at + 1, ABSENT);
        }
        if self.numbers[at] == ABSENT {
            let number = touched.len() as u32;
            self.numbers[at] = number;
            touched.push(Touched {
                position,
                written: false,
                parent: number,
            });
        }
        &mut touched[self.numbers[at] as usize]
    }

    /// Indices of the operations, those that belong together side by side and in batch order, and where each list of them
    /// ends. Lists are in the order of their first operations.
    fn lists(
        &self,
        operations: &[Operation<'_>],
        touched: &mut [Touched],
    ) -> (Vec<u32>, Vec<usize>) {
        for operation in operations {
            let Some(source) = operation.source() else {
                continue;
            };
            let source = self.numbers[source as usize];
            if touched[source as usize].written {
                let a = root(touched, self.numbers[operation.target as usize]);
                let b = root(touched, source);
                touched[a.max(b) as usize].parent = a.min(b);
            }
        }
        // Counted, then placed.
        let mut list_of = vec![ABSENT; touched.len()];
        let mut counts: Vec<usize> = Vec::new();
        let mut list = |operation: &Operation<'_>| {
            let root = root(touched, self.numbers[operation.target as usize]) as usize;
            if list_of[root] == ABSENT {
                list_of[root] = counts.len() as u32;
                counts.push(0);
            }
            counts[list_of[root] as usize] += 1;
            list_of[root]
        };
        let lists: Vec<u32> = operations.iter().map(&mut list).collect();
        let mut end = 0;
        let ends: Vec<usize> = counts
            .iter()
            .map(|count| {
                end += count;
                end
            })
            .collect();
        let mut next: Vec<usize> = ends.iter().zip(&counts).map(|(e, c)| e - c).collect();
        let mut order = vec![0; operations.len()];
        for (index, list) in (0..).zip(lists) {
            let next = &mut next[list as usize];
            order[*next] = index;
            *next += 1;
        }
        (order, ends)
    }
}

/// The representative of a slot's set; halves the path to it.
fn root(touched: &mut [Touched], mut number: u32) -> u32 {
    loop {
        let parent = touched[number as usize].parent;
        if parent == number {
            return number;
        }
        let above = touched[parent as usize].parent;
        touched[number as usize].parent = above;
        number = above;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::DIMENSION;

    const BOUNDS: Bounds = Bounds {
        slots: 64,
        vectors: 64,
        operations: 1 << 16,
    };

    fn id(slot: u8) -> SlotId {
        SlotId {
            shard: 1,
            layer: 2,
            slot,
        }
    }

    fn decay(slot: u8) -> Operation<'static> {
        Operation::new(id(slot), CheckedOp::Decay(9_000))
    }

    fn mix(slot: u8, source: u8) -> Operation<'static> {
        Operation::new(id(slot), CheckedOp::Mix { alpha: 1, source })
    }

    #[test]
    fn slots_tied_by_a_mix_are_one_list() {
        // {5, 3, 9} by way of 9; {8}; {7}: slot 60 is only read and ties nothing.
        let operations = [
            decay(5),
            decay(8),
            mix(3, 5),
            decay(9),
            mix(7, 60),
            mix(9, 3),
            mix(8, 60),
            decay(5),
        ];
        let mut planner = Planner::default();
        for _ in 0..2 {
            let (wave, taken) = planner.wave(&operations, &BOUNDS);
            assert_eq!(taken, 8);
            let positions: Vec<u32> = [5, 3, 9, 8, 7, 60].map(|s| id(s).position() as u32).into();
            assert_eq!((&wave.slots, wave.written), (&positions, 5));
            let lists: Vec<Vec<(u32, u32)>> = wave
                .lists()
                .map(|list| list.iter().map(|one| (one.target, one.source)).collect())
                .collect();
            let expected = [
                vec![(0, 0), (1, 0), (2, 2), (2, 1), (0, 0)],
                vec![(3, 3), (3, 5)],
                vec![(4, 5)],
            ];
            assert_eq!(lists, expected);
        }
    }

    #[test]
    fn a_wave_ends_where_a_bound_is_reached() {
        let small = Bounds {
            slots: 2,
            vectors: 4,
            operations: 85,
        };
        let mut planner = Planner::default();
        let slots = [mix(0, 1), mix(1, 1), decay(0), mix(0, 2)];
        assert_eq!(planner.wave(&slots, &small).1, 3);
        assert_eq!(planner.wave(&[decay(1); 100], &small).1, 85);
        let vector = [1; DIMENSION];
        let adds = [Operation::new(id(0), CheckedOp::Add(&vector)); 7];
        assert_eq!(planner.wave(&adds, &small).1, 4);
    }
}

//! Which values are needed later.

use std::collections::BTreeSet;

use crate::ir::{Block, End, Function, Inst, ValueId};

/// Values that an instruction reads.
fn read(inst: &Inst) -> Vec<ValueId> {
    let of = |slots: &[Option<ValueId>; 2]| slots.iter().flatten().copied().collect::<Vec<_>>();
    match inst {
        Inst::Load { .. } | Inst::Reserve { .. } | Inst::Allocate { .. } | Inst::Wire { .. } => {
            Vec::new()
        }
        Inst::Open { from, .. } | Inst::Copy { from, .. } | Inst::Erase { from } => vec![*from],
        Inst::Operate { number, left, .. } => vec![*number, *left],
        Inst::Link { a, b } => vec![*a, *b],
        Inst::Write { at, slots, .. } => [vec![*at], of(slots)].concat(),
        Inst::Node { slots, .. } => of(slots),
        Inst::Cell { node, .. } => vec![*node],
        Inst::Call { ins, .. } => ins.clone(),
        Inst::Apply {
            from,
            first,
            second,
        } => vec![*from, *first, *second],
        Inst::Defer { leaves, .. } => leaves.clone(),
    }
}

/// For each block the values that it or a block below it reads, those that it writes itself included.
pub(super) fn read_below(function: &Function) -> Vec<BTreeSet<ValueId>> {
    let mut sets = vec![BTreeSet::new(); function.blocks.len()];
    // A block is named by one with a smaller number.
    for (index, block) in function.blocks.iter().enumerate().rev() {
        let mut set = end(block, &sets);
        set.extend(block.insts.iter().flat_map(read));
        sets[index] = set;
    }
    sets
}

/// The values that a block's end and the blocks below read.
fn end(block: &Block, below: &[BTreeSet<ValueId>]) -> BTreeSet<ValueId> {
    let mut set = BTreeSet::new();
    let mut blocks = Vec::new();
    match &block.end {
        End::Switch {
            from,
            zero,
            successor,
            other,
            ..
        } => {
            set.insert(*from);
            blocks.extend([*zero, *successor, *other]);
        }
        End::Match { from, cases, other } => {
            set.insert(*from);
            blocks.extend(cases.iter().map(|(_, block)| *block));
            blocks.push(*other);
        }
        End::Take {
            from, then, other, ..
        } => {
            set.insert(*from);
            blocks.extend([*then, *other]);
        }
        End::Return { outs } => set.extend(outs),
        End::Tail { ins, .. } => set.extend(ins),
    }
    for block in blocks {
        if let Some(more) = below.get(block.0 as usize) {
            set.extend(more);
        }
    }
    set
}

/// The values read after the instruction number `at` of a block.
pub(super) fn read_after(
    block: &Block,
    at: usize,
    below: &[BTreeSet<ValueId>],
) -> BTreeSet<ValueId> {
    let mut set = end(block, below);
    set.extend(block.insts[at + 1..].iter().flat_map(read));
    set
}

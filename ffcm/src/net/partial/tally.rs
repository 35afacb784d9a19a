//! Counting many interactions at once.

use crate::spec::rules::{Counts, Opcode};

/// Most interactions that are counted at once, so that sixteen bits last between two looks at the gas meter.
pub const TALLY_MAX: u64 = 4096;

/// Interactions by opcode, packed into eight lanes of sixteen bits, so that a block is counted by one addition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally(pub u128);

impl Tally {
    /// `n` interactions of one kind.
    #[inline(always)]
    pub const fn of(opcode: Opcode, n: u64) -> Tally {
        Tally((n as u128) << (16 * opcode as u32))
    }

    /// Adds the lanes of `other`.
    #[inline(always)]
    pub fn add(&mut self, other: Tally) {
        self.0 = self.0.wrapping_add(other.0);
    }

    /// Takes the lanes of `other` away; some may be below zero until more is added.
    #[inline(always)]
    pub fn subtract(&mut self, other: Tally) {
        self.0 = self.0.wrapping_sub(other.0);
    }

    /// The lanes as counts. None of them is negative.
    pub fn counts(self) -> Counts {
        let mut counts = Counts::default();
        for opcode in Opcode::COUNTED {
            counts.add(opcode, u64::from((self.0 >> (16 * opcode as u32)) as u16));
        }
        counts
    }
}

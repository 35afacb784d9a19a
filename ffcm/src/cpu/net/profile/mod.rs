//! Where the interactions of a call come from: by definition, and by chains of three opcodes, each the cause of the next.
//!
//! # Attribution
//! The call is reduced by a reducer of its own ([`reducer`]), in which every interaction is made one by one and nothing is
//! compiled. Each node there knows its **origin**, and each connection between two ports its **cause**.
//!
//! * The *origin* of a node is the definition whose expansion made it. Nodes that an interaction makes out of another
//!   node (copies, the constructors of a switch, operands that change places) have the origin of that node.
//! * The *cause* of a connection is the latest of the interactions that made one of its two ends or joined wires to it.
//!   The *depth* of an interaction is one more than that of the cause of the redex it consumes; latest is what has the
//!   greatest depth, as if all redexes were reduced in rounds, each as soon as it is there. Of interactions of one depth
//!   any fixed order decides: here the opcodes, then the definition.
//!
//! An interaction belongs to the definition that it expands, or else to the origin of its nodes, of two the later expanded
//! one, or else (two atoms vanish) to the definition that its cause belongs to. A **motif** is the opcode of an
//! interaction, after that of its cause, after that of the cause of that.
//!
//! # All of this is a property of the net
//! It depends on neither schedule nor engine. An interaction reads and consumes the origins of its two nodes and the cause
//! of the connection between them, which no other interaction can reach. It changes the causes of connections at its
//! ports, by a maximum, which is the same in any order and however often it is taken. So two redexes of a net with
//! such marks still reduce to the same marked net in either order, and the argument by which results and counts are equal
//! for all schedules (strong confluence) holds for the marks. The test `any_order_gives_the_same_profile` reduces in several.
//!
//! The price is the origins and causes, 24 bytes for each node, and the interpretation. The engine proper knows nothing of it.

mod reducer;
#[cfg(test)]
mod tests;

use self::reducer::{AtRest, Reducer};
use super::heap::Heap;
use super::pool::Stop;
use super::{NetEngine, Progress, out_of_heap, reserve};
use crate::net::readback::readback;
use crate::net::{Call, Limits, Outcome, ReduceError};
use crate::spec::rules::{Counts, Opcode};
use crate::spec::word::Term;

/// What one definition led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefinitionProfile {
    /// How often it was expanded.
    pub expansions: u64,
    /// Interactions that belong to it, its expansions among them.
    pub interactions: u64,
}

/// A chain of three interactions, each the cause of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Motif {
    /// The opcodes, first to last. [`Opcode::Link`], which is no interaction, stands where the chain begins later: before
    /// what the call itself set off.
    pub opcodes: [Opcode; 3],
    /// Interactions that end such a chain.
    pub count: u64,
}

/// How the interactions of a call are spread. The same for every schedule; the module documentation says what belongs
/// where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// One for each definition of the book. Interactions sum up to the total.
    pub definitions: Vec<DefinitionProfile>,
    /// The greatest depth: interactions that can only be made one after the other.
    pub span: u64,
    /// Interactions by opcode, behind that of the cause, behind that of the cause of that; three bits each.
    chains: Box<[u64; CHAINS]>,
}

/// Chains of three opcodes.
const CHAINS: usize = 8 * 8 * 8;
/// [`Opcode::Link`] and the opcodes that are counted, by their numbers.
const OPCODES: [Opcode; 8] = {
    let mut opcodes = [Opcode::Link; 8];
    let mut i = 0;
    while i < 7 {
        opcodes[i + 1] = Opcode::COUNTED[i];
        i += 1;
    }
    opcodes
};

impl Profile {
    /// Every motif that occurs, the most frequent first; equals in the order of their opcodes.
    pub fn motifs(&self) -> Vec<Motif> {
        let opcode = |chain: usize, shift: u32| OPCODES[(chain >> shift) & 7];
        let occurring = self
            .chains
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        let motif = |(chain, &count): (usize, &u64)| Motif {
            opcodes: [6, 3, 0].map(|shift| opcode(chain, shift)),
            count,
        };
        let mut motifs: Vec<Motif> = occurring.map(motif).collect();
        motifs.sort_by_key(|motif| (std::cmp::Reverse(motif.count), motif.opcodes));
        motifs
    }

    /// How often this chain occurs.
    pub fn count(&self, opcodes: [Opcode; 3]) -> u64 {
        let chain = opcodes
            .iter()
            .fold(0, |chain, &opcode| 8 * chain + opcode as usize);
        self.chains[chain]
    }

    /// Interactions by opcode: the same as those of the outcome.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (chain, &count) in self.chains.iter().enumerate() {
            counts.add(OPCODES[chain & 7], count);
        }
        counts
    }
}

impl NetEngine<'_> {
    /// Reduces one call on the calling thread, and says where its interactions come from. The outcome is that of
    /// [`NetEngine::reduce`]; it takes several times as long, and 24 bytes more for each node.
    pub fn profile(
        &self,
        call: &Call,
        limits: &Limits,
        progress: Option<&Progress>,
    ) -> Result<(Outcome, Profile), ReduceError> {
        self.profile_in_order(call, limits, progress, Vec::pop)
    }

    /// The same, `next` choosing the redex to reduce.
    fn profile_in_order(
        &self,
        call: &Call,
        limits: &Limits,
        progress: Option<&Progress>,
        next: impl FnMut(&mut Vec<reducer::Redex>) -> Option<reducer::Redex>,
    ) -> Result<(Outcome, Profile), ReduceError> {
        call.check(self.book)?;
        let heap = reserve(limits)?;
        let mut reducer = Reducer::new(&heap, &self.compiled.lowered, limits.gas, progress);
        let root = reducer.boot(call).and_then(|root| {
            reducer.run(next)?;
            Ok(root)
        });
        let root = root.map_err(|stop| reducer.error(stop, &heap, limits))?;
        let profile = reducer.finish();
        let form = readback(
            self.book,
            &AtRest(&heap),
            Term::var(root),
            limits.result_bytes,
        )?;
        let outcome = Outcome {
            result: form.text,
            number: form.number,
            counts: profile.counts(),
        };
        Ok((outcome, profile))
    }
}

impl Reducer<'_> {
    fn error(&self, stop: Stop, heap: &Heap, limits: &Limits) -> ReduceError {
        match stop {
            Stop::Gas => ReduceError::OutOfGas { limit: limits.gas },
            Stop::Heap => out_of_heap(&Limits {
                nodes: u64::from(heap.nodes()),
                ..*limits
            }),
            Stop::Cancelled => ReduceError::Cancelled {
                interactions: self.made(),
            },
        }
    }
}

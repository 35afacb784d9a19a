//! Fusion: the entries of a book in direct style.
//!
//! An entry is compiled by reducing its definition, applied to an argument of the entry's shape, as far as that is known
//! ([`ffcm::net::partial`]). What comes in at a leaf is in a register; a leaf that goes out is the free end of a wire.
//! Where a register meets a node of the definition an instruction is written, and the reduction goes on with its outcome.
//! When nothing else is left to do a call is written: what its results meet is known, so the reduction goes on again. In
//! the end what is at the leaves that go out is built and returned.
//!
//! * *Calls* are written in an order in which what produces a term comes before what consumes it. A call whose results are
//!   those of the function is the end of it.
//! * *Switches and matches* end a block; the reduction goes on for each outcome. Where the outcome is one that programs
//!   are not written for, what is left is compiled without further branches.
//! * *Data* built from lambda-encoded constructors is matched as references to these, or as the trees that they give when they
//!   have arguments, which are taken apart with one look: what the arms make of it is known then, as if the constructor
//!   had been compiled in. A function that matches its argument is called for the shape of the whole call.
//! * *Definitions met on the way* are compiled in, as far as that is bounded: the arms of switches, definitions that do
//!   not lead to themselves, and calls that a number known to be zero ends. So are, once, calls of the definition itself
//!   that begin with a switch on a number: both of a recursion over a tree then depend on one switch, and the leaves of
//!   the tree need no calls.
//! * *Constructors and duplicators* that met pass through each other in advance.
//!
//! # Modes
//! Which leaves go out is found by assuming that all do, and compiling: a leaf at which the function waits for something
//! comes in. That is repeated until nothing changes. Of two leaves connected with each other the first comes in. Any choice
//! is right; this one finds for functions of functional programs what is their argument and what their result. What a match
//! makes of a constructor that may be one of other data is believed only where nothing else is known.

mod block;
mod book;
mod call;
mod draft;
mod unfold;

use std::collections::{BTreeMap, BTreeSet};

use ffcm::net::Definition;
use ffcm::net::partial::{ARGUMENTS_MAX, Shape, Value};
use ffcm::spec::rules::Opcode;

use crate::ir::{Function, Mode, Module, Tree, Type};
use book::Choice;
use draft::{Draft, Leaves, Path, TooLarge};

/// Most instructions, blocks, and values on one path of a function.
const INSTS_MAX: usize = 4096;
const BLOCKS_MAX: usize = 256;
const REGISTERS_MAX: usize = 250;
/// Most nodes handled on a path.
const NODES_MAX: usize = 1024;
/// Most nodes of a definition that is compiled into another, and of one that is compiled at all.
const INLINE_MAX: usize = 32;
const DEFINITION_MAX: usize = 256;
/// Most definitions compiled into each other on a path.
const CHAIN_MAX: usize = 16;
/// Most switches and matches decided one after the other.
const SWITCHES_MAX: usize = 4;
const MATCHES_MAX: usize = 3;
/// Most calls of the definition itself that are compiled in.
const UNROLLED_MAX: usize = 2;
/// Most instructions of a function with such calls.
const UNROLLED_INSTS_MAX: usize = 512;
/// Most pairs of nodes on a path that pass through each other.
const COMMUTES_MAX: usize = 8;
/// Most constructors that are matched.
const CONSTRUCTORS_MAX: usize = 8;
/// Most trees that constructors give which are matched.
const TREES_MAX: usize = 4;

/// What fusing a book may cost, in instructions written and nodes handled: so much, and so much more for each node of its
/// definitions.
const EFFORT: (usize, usize) = (1 << 20, 1024);

/// Compiles the entries of a book: definitions and the shapes of their arguments, the base entries first. The function with
/// the index of an entry is one for it; there is none where it would be too large, and none at all where the entries do
/// not begin with the base entries.
pub fn fuse(definitions: &[Definition], entries: &[(u32, Shape)]) -> Module {
    let effort = definitions.iter().fold(EFFORT.0, |effort, definition| {
        effort.saturating_add(EFFORT.1.saturating_mul(definition.nodes.len()))
    });
    fuse_within(definitions, entries, effort)
}

/// The same with so much effort, see [`EFFORT`].
fn fuse_within(definitions: &[Definition], entries: &[(u32, Shape)], effort: usize) -> Module {
    let base = |&(i, entry): &(u32, &(u32, Shape))| *entry == (i, Shape::base());
    let bases = (0u32..).zip(entries).take(definitions.len());
    if entries.len() < definitions.len() || !bases.into_iter().all(|entry| base(&entry)) {
        return Module {
            functions: vec![None; entries.len()],
        };
    }
    let mut fuser = Fuser::new(definitions, entries, effort);
    fuser.settle();
    fuser.withdraw();
    Module {
        functions: fuser.functions,
    }
}

/// How much is compiled into a function.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// What cannot be left out without losing the thread: arms of switches.
    Arms,
    /// Also every definition that does not lead to itself.
    Calls,
    /// Also a case for each constructor that a register may refer to.
    Matches,
    /// Also some calls of the definition itself.
    Unrolled,
}

struct Fuser<'b> {
    definitions: &'b [Definition],
    entries: &'b [(u32, Shape)],
    /// The entries of each definition, those with most leaves first.
    shapes: Vec<Vec<u32>>,
    recursive: Vec<bool>,
    constructors: Vec<u32>,
    /// What constructors give that have arguments.
    trees: Vec<Tree>,
    /// What the constructors choose, and those that give the trees.
    choices: [Vec<Option<Choice>>; 2],
    modes: Vec<Vec<Mode>>,
    functions: Vec<Option<Function>>,
    /// Entries that are too large: all of their leaves come in, and calls are left for later.
    absent: Vec<bool>,
    /// The entries whose functions call an entry.
    callers: Vec<BTreeSet<u32>>,
    /// Entries to be compiled, again or for the first time.
    dirty: BTreeSet<u32>,
    /// Leaves that should come in if nothing more certain is found.
    doubtful: BTreeMap<u32, Leaves>,
    level: Level,
    effort: usize,
}

impl<'b> Fuser<'b> {
    fn new(definitions: &'b [Definition], entries: &'b [(u32, Shape)], effort: usize) -> Fuser<'b> {
        let mut shapes = vec![Vec::new(); definitions.len()];
        for (i, (definition, _)) in (0u32..).zip(entries) {
            if let Some(list) = shapes.get_mut(*definition as usize) {
                list.push(i);
            }
        }
        for list in &mut shapes {
            list.sort_by_key(|&i: &u32| std::cmp::Reverse(entries[i as usize].1.leaves()));
        }
        let modes = entries.iter().map(|(_, shape)| {
            let mode = if shape.leaves() > ARGUMENTS_MAX {
                Mode::In
            } else {
                Mode::Out
            };
            vec![mode; shape.leaves()]
        });
        let trees = book::trees(definitions);
        let constructors = book::constructors(definitions, &trees);
        let plain = constructors
            .iter()
            .map(|&i| book::nullary(&definitions[i as usize]));
        Fuser {
            definitions,
            entries,
            shapes,
            recursive: book::recursive(definitions),
            choices: [plain.collect(), trees.iter().map(book::chosen).collect()],
            constructors,
            trees,
            modes: modes.collect(),
            functions: vec![None; entries.len()],
            absent: vec![false; entries.len()],
            callers: vec![BTreeSet::new(); entries.len()],
            dirty: (0..entries.len() as u32).collect(),
            doubtful: BTreeMap::new(),
            level: Level::Matches,
            effort,
        }
    }

    /// Compiles until the modes are what the functions make of them. Each turn but the last makes a leaf come in, so there
    /// are few.
    fn settle(&mut self) {
        loop {
            while let Some(entry) = self.dirty.pop_first() {
                if self.effort == 0 {
                    self.dirty.insert(entry);
                    return;
                }
                self.compile(entry);
            }
            let doubtful = std::mem::take(&mut self.doubtful);
            if doubtful.is_empty() {
                return;
            }
            for (entry, leaves) in doubtful {
                self.comes_in(entry, leaves);
            }
        }
    }

    /// Gives up what could not be compiled to the end, and what relies on that.
    fn withdraw(&mut self) {
        let mut withdrawn = vec![false; self.entries.len()];
        while let Some(entry) = self.dirty.pop_first() {
            self.functions[entry as usize] = None;
            withdrawn[entry as usize] = true;
            let callers = self.callers[entry as usize].iter();
            self.dirty
                .extend(callers.filter(|&&i| !withdrawn[i as usize]));
        }
    }

    /// Some leaves of an entry come in: it and those that call it have to be compiled again.
    fn comes_in(&mut self, entry: u32, leaves: Leaves) {
        let modes = &mut self.modes[entry as usize];
        for (leaf, mode) in modes.iter_mut().enumerate() {
            if leaves.checked_shr(leaf as u32).unwrap_or(1) & 1 == 1 {
                *mode = Mode::In;
            }
        }
        self.dirty.insert(entry);
        self.dirty.extend(&self.callers[entry as usize]);
    }

    fn compile(&mut self, entry: u32) {
        if self.absent[entry as usize] {
            return;
        }
        let (definition, shape) = &self.entries[entry as usize];
        self.functions[entry as usize] = None;
        self.doubtful.remove(&entry);
        let mut written = None;
        for level in [Level::Unrolled, Level::Matches, Level::Calls, Level::Arms] {
            self.level = level;
            let mut draft = Draft::default();
            let done = self.write(&mut draft, entry, *definition, shape).is_ok();
            if done && (level < Level::Unrolled || draft.insts <= UNROLLED_INSTS_MAX) {
                written = Some(draft);
                break;
            }
        }
        let Some(mut draft) = written else {
            self.absent[entry as usize] = true;
            return self.comes_in(entry, Leaves::MAX);
        };
        draft.believe();
        for &callee in &draft.callees {
            self.callers[callee as usize].insert(entry);
        }
        let out = self.modes[entry as usize]
            .iter()
            .enumerate()
            .filter(|&(_, &mode)| mode == Mode::Out)
            .fold(0, |leaves, (leaf, _)| leaves | 1 << leaf);
        if draft.consumed & out != 0 {
            return self.comes_in(entry, draft.consumed);
        }
        let doubtful = (draft.passed | !draft.produced) & out;
        if doubtful != 0 {
            self.doubtful.insert(entry, doubtful);
        }
        self.functions[entry as usize] = Some(Function {
            definition: *definition,
            name: self.definitions[*definition as usize].name.clone(),
            shape: shape.clone(),
            modes: self.modes[entry as usize].clone(),
            types: draft.types,
            blocks: draft.blocks.into_iter().flatten().collect(),
        });
    }

    fn write(
        &mut self,
        draft: &mut Draft,
        entry: u32,
        definition: u32,
        shape: &Shape,
    ) -> Result<(), TooLarge> {
        let Some(body) = self.definitions.get(definition as usize) else {
            return Err(TooLarge);
        };
        let modes = self.modes[entry as usize].clone();
        if body.nodes.len() > DEFINITION_MAX || modes.len() > ARGUMENTS_MAX || self.effort == 0 {
            return Err(TooLarge);
        }
        let mut path = Path::default();
        path.chain.push(definition);
        for _ in modes.iter().filter(|&&mode| mode == Mode::In) {
            let value = draft.value(Type::Term);
            path.code.hold(value)?;
            path.code.owe(value, 1);
        }
        let (mut leaf, mut register) = (0, 0);
        let outs = &mut path.outs;
        let argument = shape.put_together(&mut path.net, &mut |net| {
            leaf += 1;
            if modes[leaf - 1] == Mode::Out {
                let wire = net.wire();
                outs.push((leaf - 1, wire));
                return Value::Wire(wire);
            }
            register += 1;
            Value::Register(register - 1)
        });
        path.net.count(Opcode::Specialize, 1);
        let root = path.net.instantiate(body, 0);
        path.net.link(root, argument);
        self.block(draft, path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;

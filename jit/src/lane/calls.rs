//! The lane functions of a book that nets call.
//!
//! Where a net applies a definition to numbers, a lane function may take the place of the expansion: a lane of the device
//! runs it in registers, and the net gets the number that comes out. Which definitions that is worth while for is seen from
//! the calls in the book.

use std::collections::{BTreeMap, BTreeSet};

use ffcm::cpu::Compiled;
use ffcm::net::Book;
use ffcm::net::partial::Shape;
use ffcm::spec::number::{Kind, Number};
use ffcm::spec::word::{Class, Term};

use super::facts::meta;
use super::program::{Body, Column, End, Program, Segment};
use super::{lower, shape};
use crate::fuse;
use crate::ir::{self, FunctionId, Inst, Module};

/// Most arguments of a lane function that nets call.
pub const CALL_ARGUMENTS: usize = 4;
/// Most lane functions of a book.
const CALLS_MAX: usize = 8;
/// Most segments of all of them: drivers compile them in a moment.
const SEGMENTS_MAX: usize = 96;
/// Most nodes of a book that is looked at.
const BOOK_NODES_MAX: usize = 1 << 14;

/// A lane function that nets call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Index of the definition in the book.
    pub definition: u32,
    /// The lane function. Its columns are all of one kind, which is that of all of the book.
    pub program: Program,
}

/// The lane functions of a book that nets call, by ascending definition; at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Calls {
    /// The meta word of every argument.
    pub meta: u32,
    /// The functions.
    pub calls: Vec<Call>,
}

impl Calls {
    /// Those of a book; none if there is none of use.
    pub fn of_book(book: &Book) -> Option<Calls> {
        let definitions = book.definitions().iter();
        let nodes: usize = definitions.map(|definition| definition.nodes.len()).sum();
        if nodes > BOOK_NODES_MAX {
            return None;
        }
        let kind = usual_kind(book) as u8;
        let compiled = Compiled::new(book);
        let mut entries = compiled.entries().to_vec();
        for (definition, arity) in sites(book) {
            let site = (definition, shape(arity));
            if !entries.contains(&site) {
                entries.push(site);
            }
        }
        let module = fuse(book.definitions(), &entries);
        let mut calls: BTreeMap<u32, (FunctionId, Program)> = BTreeMap::new();
        for (index, (definition, found)) in (0..).zip(&entries) {
            let Some(arity) = arity(found) else { continue };
            let columns = vec![Column::Plain(kind); arity];
            if let Ok(program) = lower(&module, FunctionId(index), &columns) {
                // Of several arities the first one that the book has.
                let entry = calls.entry(*definition);
                entry.or_insert((FunctionId(index), program));
            }
        }
        let calls = chosen(&module, calls);
        (!calls.is_empty()).then(|| Calls {
            meta: meta(kind),
            calls,
        })
    }

    /// All functions as one list of segments, and the first segment of each.
    pub(super) fn segments(&self) -> (Vec<Segment>, Vec<u32>) {
        let mut segments = Vec::new();
        let mut firsts = Vec::new();
        for call in &self.calls {
            let base = segments.len() as u32;
            firsts.push(base);
            segments.extend(call.program.segments.iter().cloned().map(|mut segment| {
                move_targets(&mut segment.body, base);
                segment
            }));
        }
        (segments, firsts)
    }
}

fn move_targets(body: &mut Body, base: u32) {
    match &mut body.end {
        End::Switch {
            zero, successor, ..
        } => {
            move_targets(zero, base);
            move_targets(successor, base);
        }
        End::Match { cases, other, .. } => {
            for (_, body) in cases {
                move_targets(body, base);
            }
            move_targets(other, base);
        }
        End::Call { to, resume, .. } => {
            *to += base;
            *resume += base;
        }
        End::Jump { to, .. } => *to += base,
        End::Return { .. } | End::Stop(_) => {}
    }
}

/// How many arguments a definition of this shape is applied to, if they are few and nothing but arguments.
fn arity(found: &Shape) -> Option<usize> {
    (1..=CALL_ARGUMENTS).find(|&arity| *found == shape(arity))
}

/// What definitions are applied to in the bodies of others: how many terms, if they are few. Nets have such calls even where
/// a compiler would have none left.
fn sites(book: &Book) -> BTreeSet<(u32, usize)> {
    let mut found = BTreeSet::new();
    for definition in book.definitions() {
        let ends = definition
            .redexes
            .iter()
            .flat_map(|(a, b)| [(a, b), (b, a)]);
        for (called, &given) in ends.filter(|(called, _)| called.class() == Class::Ref) {
            let (mut spine, mut arity) = (given, 0);
            while spine.class() == Class::Con && arity <= CALL_ARGUMENTS {
                let node = definition.nodes.get(spine.offset() as usize);
                let Some([_, rest]) = node else { break };
                spine = *rest;
                arity += 1;
            }
            if (1..=CALL_ARGUMENTS).contains(&arity) {
                found.insert((called.offset(), arity));
            }
        }
    }
    found
}

/// The kind of most numbers in a book; of as many, the first in the order of kinds.
fn usual_kind(book: &Book) -> Kind {
    let mut found: BTreeMap<u8, u64> = BTreeMap::new();
    let mut look = |term: Term| {
        if let Some(Number::Plain(kind, _)) = Number::from_term(term) {
            *found.entry(kind as u8).or_default() += 1;
        }
    };
    for definition in book.definitions() {
        look(definition.root);
        definition
            .nodes
            .iter()
            .flatten()
            .copied()
            .for_each(&mut look);
        for (a, b) in &definition.redexes {
            look(*a);
            look(*b);
        }
    }
    let most = found.into_iter().rev().max_by_key(|(_, count)| *count);
    most.and_then(|(ext, _)| Kind::from_ext(ext))
        .unwrap_or(Kind::U24)
}

/// The functions that a function calls, itself only if it is called in turn.
fn reach(module: &Module, from: FunctionId) -> BTreeSet<u32> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![from.0];
    while let Some(next) = waiting.pop() {
        let Some(Some(function)) = module.functions.get(next as usize) else {
            continue;
        };
        for block in &function.blocks {
            let calls = block.insts.iter().filter_map(|inst| match inst {
                Inst::Call { function, .. } => Some(function.0),
                _ => None,
            });
            let tail = match &block.end {
                ir::End::Tail { function, .. } => Some(function.0),
                _ => None,
            };
            waiting.extend(calls.chain(tail).filter(|&to| reached.insert(to)));
        }
    }
    reached
}

/// Which of them nets call: those that call themselves, one of each group that call each other, and those that call none
/// of these. What leads to a recursion is left to the net, which comes to the recursion itself.
fn chosen(module: &Module, found: BTreeMap<u32, (FunctionId, Program)>) -> Vec<Call> {
    let reached: BTreeMap<u32, BTreeSet<u32>> = found
        .iter()
        .map(|(definition, (function, _))| (*definition, reach(module, *function)))
        .collect();
    let calls_itself = |definition: &u32| reached[definition].contains(&found[definition].0.0);
    let mut heads: Vec<u32> = Vec::new();
    for definition in found.keys().filter(|definition| calls_itself(definition)) {
        let function = found[definition].0.0;
        let leads = |head: &u32| {
            reached[definition].contains(&found[head].0.0) && reached[head].contains(&function)
        };
        if !heads.iter().any(leads) {
            heads.push(*definition);
        }
    }
    let others = found.keys().filter(|definition| {
        let leads = |head: &u32| reached[definition].contains(&found[head].0.0);
        !calls_itself(definition) && !heads.iter().any(leads)
    });
    let mut room = SEGMENTS_MAX;
    let order: Vec<u32> = heads.iter().chain(others).copied().collect();
    let mut kept = BTreeSet::new();
    for definition in order {
        let segments = found[&definition].1.segments.len();
        if kept.len() < CALLS_MAX && segments <= room {
            room -= segments;
            kept.insert(definition);
        }
    }
    let found = found.into_iter();
    found
        .filter(|(definition, _)| kept.contains(definition))
        .map(|(definition, (_, program))| Call {
            definition,
            program,
        })
        .collect()
}

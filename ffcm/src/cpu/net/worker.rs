//! One worker: a stack of redexes, a list of free nodes, and the interactions.

use super::exec::frame;
use super::fused::Native;
use super::heap::Heap;
use super::pool::{Patience, Pool, Redex, Stop, Work};
use super::program::{NOTHING, Program, REGISTERS};
use super::template::{self, FIRST, Lowered, NODES, SECOND, Slot, Template};
use super::wires::{Period, TRAILING};
use crate::net::partial::{CON, Tally};
use crate::spec::number;
use crate::spec::rules::{Counts, Opcode, Rule, TABLE};
use crate::spec::word::{Class, Term, variant};

/// Interactions after which a worker among others looks up from its work. In tests small nets are to be shared, too.
const STEP: i64 = if cfg!(test) { 1 } else { 256 };
/// Free nodes fetched at once: the first time, and at most.
const FETCH: (u32, u32) = (8, 1024);
/// A worker that holds more free nodes than this gives half of them back, if there are others.
const HOARD_MAX: usize = 1 << 16;
/// Free nodes that change hands at once.
const CHUNK: usize = 1024;
/// Pairs on a stack beyond two for each node of the heap.
const STACK_SLACK: usize = 1024;

/// Codes of the rule table, flat: `class(a) * 8 + class(b)`.
const CODES: [u8; 64] = {
    let mut codes = [0; 64];
    let mut i = 0;
    while i < 64 {
        codes[i] = TABLE[i / 8][i % 8].code();
        i += 1;
    }
    codes
};

const LINK: u8 = Opcode::Link as u8;
const APPLY: u8 = Opcode::Apply as u8;
const DUPLICATE: u8 = Opcode::Duplicate as u8;
const DISTRIBUTE: u8 = Opcode::Distribute as u8;
const SUCC: u8 = Opcode::Succ as u8;
const SWITCH: u8 = Opcode::Switch as u8;
const COLLAPSE: u8 = Opcode::Collapse as u8;
const SPECIALIZE: u8 = Opcode::Specialize as u8;
const BY_LABEL: u8 = Rule::ByLabel.code();
const BY_COPYABLE: u8 = Rule::ByCopyable.code();

/// The buffers of a worker, kept from one call of a batch to the next.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) free: Vec<u32>,
    stack: Vec<Redex>,
    pending: Vec<Redex>,
    aside: Vec<Redex>,
    values: Vec<u64>,
    registers: Option<Box<[Term; REGISTERS]>>,
}

impl Buffers {
    /// Memory that they take.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Redex>()
            * (self.stack.capacity() + self.pending.capacity() + self.aside.capacity())
            + size_of::<u64>() * self.values.capacity()
            + size_of::<u32>() * self.free.capacity()
    }
}

/// The run must stop: a reason has been given to the pool.
pub(super) struct Halt;

/// One worker. `SHARED` says that there may be others on the same heap. It writes to itself at every step, so nothing that
/// others read may be in the same cache line.
#[repr(align(128))]
pub(super) struct Worker<'w, const SHARED: bool> {
    pub(super) heap: &'w Heap,
    pub(super) lowered: &'w [Lowered],
    pub(super) program: &'w Program,
    pub(super) pool: &'w Pool<'w>,
    /// Offsets of free nodes, last in first out.
    pub(super) free: Vec<u32>,
    /// Redexes and frames, newest last. Those below `bottom` have been given away.
    pub(super) stack: Vec<Redex>,
    pub(super) bottom: usize,
    /// A redex to be reduced when there is nothing else to do; see [`super::copy`].
    pub(super) later: Option<Redex>,
    /// Frames whose arguments other workers make, see [`super::share`].
    pub(super) aside: Vec<Redex>,
    /// Whether frames are put aside: others may still make arguments.
    pub(super) expects: bool,
    /// Redexes that the entry being run has led to.
    pub(super) pending: Vec<Redex>,
    pub(super) registers: Box<[Term; REGISTERS]>,
    /// What template terms are relative to; see [`Slot`].
    values: Vec<u64>,
    pub(super) counts: Counts,
    /// What compiled entries have counted since the last report.
    pub(super) tally: Tally,
    /// Interactions in `counts` that the pool knows of.
    pub(super) reported: u64,
    /// Interactions until it looks up from its work, and from then on until it has to report.
    pub(super) ticks: i64,
    pub(super) quantum: i64,
    fetch: u32,
    patience: Patience,
    /// Whether another worker may have redexes. As long as none has, an arrival at a cell needs no atomic exchange.
    pub(super) others: bool,
    pub(super) period: Period,
    /// Whether arrivals may be put off, see [`wires`](super::wires).
    pub(super) puts_off: bool,
    /// How often in a row it had nothing ripe for others.
    pub(super) refusals: u32,
    /// Exchanges made since the last report.
    pub(super) exchanged: u64,
    pub(super) native: Native<'w>,
}

/// Class code of a term: 0 for VAR, 1 to 3 for atoms, 4 to 7 for nodes.
#[inline(always)]
pub(super) fn class(term: Term) -> u32 {
    (term.w0() >> 28) & 7
}

#[inline(always)]
pub(super) fn is_var(term: Term) -> bool {
    class(term) == Class::Var as u32
}

#[inline(always)]
pub(super) fn is_num(term: Term) -> bool {
    class(term) == Class::Num as u32
}

impl<'w, const SHARED: bool> Worker<'w, SHARED> {
    /// A worker with nothing to do yet.
    pub(super) fn new(
        heap: &'w Heap,
        lowered: &'w [Lowered],
        program: &'w Program,
        pool: &'w Pool<'w>,
        buffers: Buffers,
    ) -> Self {
        let Buffers {
            mut free,
            mut stack,
            mut pending,
            mut aside,
            mut values,
            registers,
        } = buffers;
        free.clear();
        stack.clear();
        pending.clear();
        aside.clear();
        let mut registers = registers.unwrap_or_else(|| Box::new([Term::ABSENT; REGISTERS]));
        registers[NOTHING as usize] = Period::NONE.absent();
        values.resize(NODES as usize + template::most_nodes(lowered), 0);
        Worker {
            heap,
            lowered,
            program,
            pool,
            free,
            stack,
            bottom: 0,
            later: None,
            aside,
            expects: true,
            pending,
            registers,
            values,
            counts: Counts::default(),
            tally: Tally::default(),
            reported: 0,
            ticks: 0,
            quantum: pool.report(0) as i64,
            fetch: FETCH.0,
            patience: Patience::default(),
            others: false,
            period: Period::NONE,
            puts_off: true,
            refusals: 0,
            exchanged: 0,
            native: Native::NONE,
        }
    }

    /// Ready for the next call, after [`Heap::reset`] and [`Pool::reset`].
    pub(super) fn reset(&mut self) {
        self.free.clear();
        self.stack.clear();
        self.pending.clear();
        self.aside.clear();
        self.bottom = 0;
        self.later = None;
        self.registers[NOTHING as usize] = Period::NONE.absent();
        self.counts = Counts::default();
        self.tally = Tally::default();
        self.reported = 0;
        self.ticks = 0;
        self.quantum = self.pool.report(0) as i64;
        self.fetch = FETCH.0;
        self.patience = Patience::default();
        self.others = false;
        self.period = Period::NONE;
        self.refusals = 0;
        self.exchanged = 0;
        self.native.reset();
    }

    /// The interactions made, and the buffers for the next worker.
    pub(super) fn finish(self) -> (Counts, Buffers) {
        let Worker {
            counts,
            free,
            stack,
            pending,
            aside,
            registers,
            values,
            ..
        } = self;
        let kept = Buffers {
            free,
            stack,
            pending,
            aside,
            values,
            registers: Some(registers),
        };
        (counts, kept)
    }

    /// Builds the net of a call, `entry` applied to `arguments`, and expands `entry`, which counts: a reference that
    /// meets the root is otherwise left alone. Returns the root cell.
    pub(super) fn boot(&mut self, entry: Term, arguments: &[Term]) -> Result<u32, Halt> {
        self.reserve(1)?;
        let root = self.allocate();
        // The other end of this wire is whoever reads the result.
        self.heap.store(root, TRAILING);
        let mut spine = Term::var(root);
        for &argument in arguments.iter().rev() {
            self.reserve(1)?;
            spine = self.node(Class::Con, argument, spine);
        }
        if arguments.is_empty() {
            if let Some(redex) = self.expand_template(entry.offset(), spine)? {
                self.push(redex)?;
            }
        } else {
            self.push((entry, spine))?;
        }
        Ok(root)
    }

    /// Reduces until no redex is left anywhere or the run is stopped.
    pub(super) fn run(&mut self) {
        loop {
            while let Some(redex) = self.next_redex() {
                if self.reduce(redex).is_err() {
                    self.settle();
                    return;
                }
            }
            self.stack.clear();
            self.bottom = 0;
            self.settle();
            if !SHARED {
                return;
            }
            if self.take_ripe() {
                continue;
            }
            match self.pool.wait(&mut self.patience, !self.aside.is_empty()) {
                Some(Work::Bag(bag)) => self.accept(bag),
                Some(Work::Again { rests, alone }) => self.look_again(rests, alone),
                None => return,
            }
        }
    }

    /// The newest redex; when there is none left, the one that has been left until then.
    #[inline(always)]
    fn next_redex(&mut self) -> Option<Redex> {
        if self.stack.len() > self.bottom {
            self.stack.pop()
        } else {
            self.later.take()
        }
    }

    /// Reduces one redex and whatever follows from it directly.
    #[inline(always)]
    fn reduce(&mut self, (a, b): Redex) -> Result<(), Halt> {
        let mut next = match frame(b) {
            Some(entry) => {
                self.pop_frame(entry, a);
                self.execute(entry)?
            }
            None => Some((a, b)),
        };
        while let Some((a, b)) = next {
            self.ticks -= 1;
            self.attend()?;
            next = self.interact(a, b)?;
        }
        Ok(())
    }

    /// Before each redex and entry: every few interactions obeys a stop, shares work, reports gas.
    #[inline(always)]
    pub(super) fn attend(&mut self) -> Result<(), Halt> {
        if self.ticks <= 0 {
            self.look_up()
        } else {
            Ok(())
        }
    }

    #[cold]
    fn look_up(&mut self) -> Result<(), Halt> {
        if SHARED && self.pool.signalled(self.others) {
            self.share()?;
        }
        if self.quantum <= 0 {
            return self.settle_and_check();
        }
        self.take_ticks(STEP);
        Ok(())
    }

    /// Looks up again after so many interactions, if there are others, or else when it has to report.
    pub(super) fn take_ticks(&mut self, step: i64) {
        let step = if SHARED {
            step.min(self.quantum)
        } else {
            self.quantum
        };
        self.quantum -= step;
        self.ticks += step;
    }

    #[cold]
    fn settle_and_check(&mut self) -> Result<(), Halt> {
        self.settle();
        if SHARED && self.free.len() > self.hoard_max() {
            let surplus = self.free.len() - self.hoard_max() / 2;
            let surplus = self.free.drain(..surplus);
            self.heap.give(surplus.as_slice().chunks(CHUNK));
        }
        if self.pool.stopped() {
            Err(Halt)
        } else {
            Ok(())
        }
    }

    fn hoard_max(&self) -> usize {
        HOARD_MAX.min(self.heap.nodes() as usize / 16)
    }

    /// Tells the pool of the interactions made since it last heard.
    fn settle(&mut self) {
        let tally = std::mem::take(&mut self.tally);
        self.counts.merge(&tally.counts());
        let total = self.counts.total();
        let made = total - self.reported;
        self.reported = total;
        self.patience.reduced += made;
        self.patience.exchanged += std::mem::take(&mut self.exchanged);
        self.ticks = 0;
        self.quantum = self.pool.report(made) as i64;
        self.take_ticks(STEP);
    }

    #[cold]
    pub(super) fn stop(&self, reason: Stop) -> Halt {
        self.pool.stop(reason);
        Halt
    }

    // ---- memory -----------------------------------------------------------------------------------------------

    /// Makes sure that `nodes` nodes can be allocated.
    #[inline(always)]
    pub(super) fn reserve(&mut self, nodes: usize) -> Result<(), Halt> {
        if self.free.len() < nodes {
            self.fetch(nodes)
        } else {
            Ok(())
        }
    }

    #[cold]
    fn fetch(&mut self, nodes: usize) -> Result<(), Halt> {
        while self.free.len() < nodes {
            let most = (self.heap.nodes() / 16).clamp(1, FETCH.1);
            self.fetch = (2 * self.fetch).min(most);
            if !self.heap.take(&mut self.free, self.fetch) {
                return Err(self.stop(Stop::Heap));
            }
        }
        Ok(())
    }

    /// Takes a node that [`Worker::reserve`] has made sure of.
    #[inline(always)]
    pub(super) fn allocate(&mut self) -> u32 {
        debug_assert!(!self.free.is_empty());
        self.free.pop().unwrap_or_default()
    }

    /// A new node of `class`, which [`Worker::reserve`] has made sure of.
    #[inline(always)]
    pub(super) fn node(&mut self, class: Class, first: Term, second: Term) -> Term {
        let at = self.allocate();
        self.pair(at, first, second);
        Term::node(class, 0, at)
    }

    /// Frees the node that slot `at` belongs to.
    #[inline(always)]
    pub(super) fn free(&mut self, at: u32) {
        let node = at & !1;
        self.heap.retire(node);
        self.free.push(node);
    }

    /// Takes both terms out of a node whose principal port the caller holds, and frees it unless one of its slots is
    /// a cell that the wire's other end has not reached yet. That cell then belongs to the wire alone, and whoever
    /// arrives there second frees it.
    #[inline(always)]
    pub(super) fn open(&mut self, node: Term) -> (Term, Term) {
        let at = node.offset();
        let (mut first, mut second) = (self.heap.load(at), self.heap.load(at + 1));
        debug_assert!(
            !(first.is_absent() && second.is_absent()),
            "a node has at most one cell"
        );
        if first.is_absent() {
            first = Term::var(at);
        } else if second.is_absent() {
            second = Term::var(at + 1);
        } else {
            self.free(at);
        }
        (first.without_sub(), second.without_sub())
    }

    #[inline(always)]
    pub(super) fn push(&mut self, redex: Redex) -> Result<(), Halt> {
        if self.stack.len() == self.stack.capacity() {
            self.grow()?;
        }
        self.stack.push(redex);
        Ok(())
    }

    /// Most pairs on the stack, and as many put aside: redexes and the nodes that frames spare are limited as if they were in
    /// the heap.
    pub(super) fn pairs_max(&self) -> usize {
        2 * self.heap.nodes() as usize + STACK_SLACK
    }

    #[cold]
    fn grow(&mut self) -> Result<(), Halt> {
        if self.stack.len() > self.pairs_max() {
            return Err(self.stop(Stop::Heap));
        }
        self.stack
            .try_reserve(self.stack.len().max(256))
            .map_err(|_| self.stop(Stop::Heap))
    }

    // ---- wiring -----------------------------------------------------------------------------------------------

    /// Connects two terms and puts the redex that results, if any, on the stack.
    #[inline(always)]
    fn link(&mut self, a: Term, b: Term) -> Result<(), Halt> {
        match self.join(a, b) {
            Some(redex) => self.push(redex),
            None => Ok(()),
        }
    }

    /// The same for a term that is no wire end.
    #[inline(always)]
    pub(super) fn link_to(&mut self, a: Term, b: Term) -> Result<(), Halt> {
        match self.attach(a, b) {
            Some(redex) => self.push(redex),
            None => Ok(()),
        }
    }

    /// Connects two terms and returns the redex that results, if any.
    #[inline(always)]
    pub(super) fn join(&mut self, mut a: Term, mut b: Term) -> Option<Redex> {
        loop {
            if !is_var(a) {
                return self.attach(a, b);
            }
            if !is_var(b) {
                return self.attach(b, a);
            }
            if a == b {
                // Both ends of one wire: a loop, gone with its cell.
                self.free(a.offset());
                return None;
            }
            let (at, met, left) = self.splice(a, b)?;
            self.free(at.offset());
            (a, b) = (met, left);
        }
    }

    /// Connects what has been put off, see [`wires`](super::wires).
    #[cold]
    fn join_now(&mut self, a: Term, b: Term) -> Option<Redex> {
        self.puts_off = false;
        let redex = self.join(a, b);
        self.puts_off = true;
        redex
    }

    /// Connects a term that is no wire end with another and returns the redex that results, if any. Meetings that need
    /// no memory beyond the nodes at hand, two atoms or an arithmetic step, are made at once.
    #[inline(always)]
    pub(super) fn attach(&mut self, mut a: Term, mut b: Term) -> Option<Redex> {
        loop {
            if is_var(b) {
                let met = self.arrive(b.offset(), a.with_sub());
                if met.is_absent() {
                    return None;
                }
                self.free(b.offset());
                b = met.without_sub();
                continue;
            }
            let (x, y) = (class(a), class(b));
            if x & y & 4 != 0 {
                return Some((a, b));
            }
            if (x | y) & 4 == 0 {
                self.counts.add(Opcode::Collapse, 1);
                return None;
            }
            if x == Class::Opr as u32 && y == Class::Num as u32 {
                std::mem::swap(&mut a, &mut b);
            } else if !(x == Class::Num as u32 && y == Class::Opr as u32) {
                return Some((a, b));
            }
            let left = self.left_operand(b.offset());
            if !is_num(left) {
                return Some((a, b));
            }
            // A variable that a number has come to stands for two steps: the operands change places, then meet.
            self.counts.add(Opcode::Succ, 1 + u64::from(left.is_sub()));
            a = number::operate(a, left.without_sub());
            b = self.open(b).1;
        }
    }

    /// What is in the first slot of an arithmetic node in hand. What waits at a wire there is fetched; the slot then
    /// keeps the mark that there was a variable.
    #[inline(always)]
    fn left_operand(&mut self, at: u32) -> Term {
        let left = self.heap.load(at);
        if !is_var(left) || left.is_absent() {
            return left;
        }
        let left = self.resolve(left.without_sub()).with_sub();
        self.heap.store(at, left);
        left
    }

    // ---- interactions -----------------------------------------------------------------------------------------

    /// One interaction between two principal ports. Returns one of the redexes that it leads to.
    #[inline(always)]
    fn interact(&mut self, mut a: Term, mut b: Term) -> Result<Option<Redex>, Halt> {
        if class(a) > class(b) {
            std::mem::swap(&mut a, &mut b);
        }
        let code = CODES[((class(a) << 3) | class(b)) as usize];
        match code {
            LINK => Ok(self.join_now(a, b)),
            APPLY => self.annihilate(Opcode::Apply, a, b),
            DUPLICATE => self.copy(Opcode::Duplicate, a, b),
            COLLAPSE => self.copy(Opcode::Collapse, a, b),
            DISTRIBUTE if self.fuses() && a.w0() == CON && class(b) == Class::Dup as u32 => {
                self.copy_spine(a, b)
            }
            DISTRIBUTE => self.commute(a, b),
            SUCC => self.operate(a, b),
            SWITCH => self.switch(a, b),
            SPECIALIZE => self.expand(a, b),
            BY_LABEL if a.label() == b.label() => self.annihilate(Opcode::Duplicate, a, b),
            BY_LABEL => self.commute(a, b),
            BY_COPYABLE if a.variant() == variant::COPYABLE => self.copy(Opcode::Duplicate, a, b),
            BY_COPYABLE => self.expand(a, b),
            _ => unreachable!("every code of the table is named above"),
        }
    }

    /// Two nodes of one kind: their ports are connected pairwise.
    #[inline(always)]
    fn annihilate(&mut self, opcode: Opcode, a: Term, b: Term) -> Result<Option<Redex>, Halt> {
        self.counts.add(opcode, 1);
        let (a1, a2) = self.open(a);
        let (b1, b2) = self.open(b);
        self.link(a1, b1)?;
        Ok(self.join(a2, b2))
    }

    /// An atom meets a node: it goes to both of the node's ports.
    #[inline(always)]
    fn copy(&mut self, opcode: Opcode, a: Term, b: Term) -> Result<Option<Redex>, Halt> {
        self.counts.add(opcode, 1);
        if class(b) < 4 {
            return Ok(None);
        }
        let (b1, b2) = self.open(b);
        self.link_to(a, b1)?;
        Ok(self.attach(a, b2))
    }

    /// Two nodes of different kinds pass through each other. None of the new nodes gets two cells.
    ///
    /// A duplicator that would meet an atom next is not made: the atom is copied at once, which counts. Nodes with
    /// atoms in them, such as applied Church booleans, are then copied without a node that stays behind as a cell.
    #[inline(always)]
    fn commute(&mut self, a: Term, b: Term) -> Result<Option<Redex>, Halt> {
        self.reserve(4)?;
        self.counts.add(Opcode::Distribute, 1);
        let (a1, a2) = self.open(a);
        let (b1, b2) = self.open(b);
        let (a1, a2) = (self.resolve(a1), self.resolve(a2));
        let copies = class(b) == Class::Dup as u32;
        let (first, second) = (copies && self.copied(a1), copies && self.copied(a2));
        let [r, s] = [(); 2].map(|()| self.allocate());
        let at = |node: Term, offset: u32| Term(u64::from(node.w0()) | (u64::from(offset) << 32));
        let absent = self.period.absent();
        // b's kind at p and q, a's kind at r and s; wires p.0-r.0, p.1-s.0, q.0-r.1, q.1-s.1.
        let (mut p, mut q) = (None, None);
        let (left, right) = match (first, second) {
            (false, false) => {
                let [x, y] = [(); 2].map(|()| self.allocate());
                self.pair(x, absent, Term::var(s));
                self.pair(y, Term::var(r + 1), absent);
                (p, q) = (Some(x), Some(y));
                let right = (absent, Term::var(y + 1));
                ((Term::var(x), absent), right)
            }
            (true, false) => {
                let y = self.allocate();
                self.pair(y, Term::var(r + 1), Term::var(s + 1));
                q = Some(y);
                ((a1, absent), (a1, absent))
            }
            (false, true) => {
                let x = self.allocate();
                self.pair(x, Term::var(r), Term::var(s));
                p = Some(x);
                ((absent, a2), (absent, a2))
            }
            (true, true) => ((a1, a2), (a1, a2)),
        };
        self.pair(r, left.0, left.1);
        self.pair(s, right.0, right.1);
        self.link_to(at(a, s), b2)?;
        if let Some(q) = q {
            self.link_to(at(b, q), a2)?;
        }
        if let Some(p) = p {
            self.link_to(at(b, p), a1)?;
        }
        Ok(self.attach(at(a, r), b1))
    }

    /// Whether a duplicator copies this term, which is counted then.
    #[inline(always)]
    pub(super) fn copied(&mut self, term: Term) -> bool {
        let opcode = match CODES[((class(term) << 3) | Class::Dup as u32) as usize] {
            DUPLICATE => Opcode::Duplicate,
            COLLAPSE => Opcode::Collapse,
            BY_COPYABLE if term.variant() == variant::COPYABLE => Opcode::Duplicate,
            _ => return false,
        };
        self.counts.add(opcode, 1);
        true
    }

    #[inline(always)]
    pub(super) fn pair(&mut self, at: u32, first: Term, second: Term) {
        self.heap.store(at, first);
        self.heap.store(at + 1, second);
    }

    /// A number meets an arithmetic node.
    #[inline(always)]
    fn operate(&mut self, a: Term, b: Term) -> Result<Option<Redex>, Halt> {
        self.reserve(1)?;
        let at = b.offset();
        let left = self.heap.load(at);
        if is_num(left) {
            // Resolved by the time it is reduced: as in `join`.
            return Ok(self.join(a, b));
        }
        self.counts.add(Opcode::Succ, 1);
        if left.is_absent() {
            // The old node stays behind as the left operand's cell.
            let right = self.heap.load(at + 1);
            let swapped = self.node(Class::Opr, a, right.without_sub());
            return Ok(self.join(Term::var(at), swapped));
        }
        self.heap.store(at, a);
        Ok(self.join(left.without_sub(), b))
    }

    /// A number meets a switch. The constructor this makes usually finds the one that holds the two arms, and the arm
    /// for other numbers is usually a reference: then these meetings are made at once, and count.
    #[inline(always)]
    fn switch(&mut self, a: Term, b: Term) -> Result<Option<Redex>, Halt> {
        self.reserve(2)?;
        self.counts.add(Opcode::Switch, 1);
        let (arms, out) = self.open(b);
        let before = number::predecessor(a);
        if arms.w0() != CON {
            let taken = match before {
                None => self.node(Class::Con, out, Term::ERA),
                Some(before) => {
                    let inner = self.node(Class::Con, before, out);
                    self.node(Class::Con, Term::ERA, inner)
                }
            };
            return Ok(self.join(arms, taken));
        }
        self.counts.add(Opcode::Apply, 1);
        let (zero, other) = self.open(arms);
        let Some(before) = before else {
            self.link_to(Term::ERA, other)?;
            return Ok(self.join(zero, out));
        };
        self.link_to(Term::ERA, zero)?;
        if class(other) == Class::Ref as u32 {
            (self.registers[0], self.registers[1]) = (before, out);
            return self.execute(self.program.bases[other.offset() as usize]);
        }
        self.reserve(1)?;
        let inner = self.node(Class::Con, before, out);
        Ok(self.join(other, inner))
    }

    /// A reference meets a node, or starts the net: its definition is expanded.
    #[inline(always)]
    fn expand(&mut self, a: Term, b: Term) -> Result<Option<Redex>, Halt> {
        if b.w0() == CON {
            if self.fuses()
                && let Some(selector) = self.selector(a)
                && self.applied(selector, b)
            {
                return self.select(selector, b);
            }
            (self.registers[0], self.registers[1]) = self.open(b);
            return self.execute(self.program.bases[a.offset() as usize]);
        }
        self.expand_template(a.offset(), b)
    }

    /// The same by copying the definition.
    pub(super) fn expand_template(
        &mut self,
        definition: u32,
        b: Term,
    ) -> Result<Option<Redex>, Halt> {
        let lowered = self.lowered;
        let definition = &lowered[definition as usize];
        if b.w0() == definition.opens {
            return self.expand_open(definition, |worker| worker.open(b));
        }
        self.reserve(definition.plain.nodes.len())?;
        self.counts.add(Opcode::Specialize, 1);
        self.place(&definition.plain);
        self.values[FIRST as usize] = b.0;
        self.write(&definition.plain)
    }

    /// Expands a definition in its opened form: a node of its root's kind, with the given two ports, annihilates with
    /// that root.
    #[inline(always)]
    fn expand_open(
        &mut self,
        definition: &Lowered,
        ports: impl FnOnce(&mut Self) -> (Term, Term),
    ) -> Result<Option<Redex>, Halt> {
        self.reserve(definition.opened.nodes.len())?;
        self.counts.add(Opcode::Specialize, 1);
        self.counts.add(definition.opening, 1);
        self.place(&definition.opened);
        let (first, second) = ports(self);
        self.values[FIRST as usize] = first.0;
        self.values[SECOND as usize] = second.0;
        self.write(&definition.opened)
    }

    /// Allocates the nodes of a template; [`Worker::reserve`] has made sure of them.
    #[inline(always)]
    fn place(&mut self, template: &Template) {
        let count = template.nodes.len();
        let left = self.free.len() - count;
        let values = &mut self.values[NODES as usize..][..count];
        for (value, &at) in values.iter_mut().zip(self.free[left..].iter().rev()) {
            *value = u64::from(at) << 32;
        }
        self.free.truncate(left);
    }

    /// Writes the nodes of a template that has been placed, and connects it.
    #[inline(always)]
    fn write(&mut self, template: &Template) -> Result<Option<Redex>, Halt> {
        let nodes = &self.values[NODES as usize..];
        for (pair, &at) in template.nodes.iter().zip(nodes) {
            let at = (at >> 32) as u32;
            self.heap.store(at, self.term(pair[0]));
            self.heap.store(at + 1, self.term(pair[1]));
        }
        self.counts.add(Opcode::Collapse, template.collapses);
        for &[a, b] in &template.redexes {
            self.push((self.term(a), self.term(b)))?;
        }
        let mut last = None;
        for &[a, b] in &template.joins {
            if let Some(redex) = last.take() {
                self.push(redex)?;
            }
            last = self.join(self.term(a), self.term(b));
        }
        Ok(last)
    }

    #[inline(always)]
    fn term(&self, slot: Slot) -> Term {
        Term(slot.word + self.values[slot.value as usize])
    }
}

//! The contract of native code, kept by functions of Rust: each runs the instructions of an entry, on a [`Context`] alone.
//!
//! Which leaves go out is chosen at random, and so is which way is taken where there are several: whether a call is made or left
//! for later, whether memory is touched or the runtime called. All of that has to give what the oracle gives.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use proptest::prelude::*;

use super::program::{Op, REGISTERS};
use super::worker::{Buffers, Worker, is_num, is_var};
use super::*;
use crate::cpu::native::{Code, Context, Function, Runtime, TICKS_MIN};
use crate::net::partial::{ARGUMENTS_MAX, CON, Tally};
use crate::net::sample::{self, Dialect};
use crate::oracle;
use crate::spec::number;

/// The functions of a book.
struct Mirror {
    compiled: Arc<Compiled>,
    /// For each entry, which leaves go out, or none for an entry without a function.
    outs: Vec<Option<u8>>,
    seed: u64,
}

/// The mirror in use: a function is told nothing but the worker.
static CURRENT: RwLock<Option<Arc<Mirror>>> = RwLock::new(None);
/// One test uses it at a time.
static TURN: Mutex<()> = Mutex::new(());

thread_local!(static COINS: Cell<u64> = const { Cell::new(0) });

fn current() -> Arc<Mirror> {
    let current = CURRENT.read().unwrap();
    Arc::clone(current.as_ref().expect("a test has set it"))
}

/// SplitMix64 of a thread's own.
fn coin(seed: u64) -> u64 {
    let next = COINS.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    COINS.set(next);
    let mut z = next ^ seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

unsafe extern "C" fn code<const ENTRY: u32>(
    context: *mut Context,
    ins: *const u64,
    outs: *mut u64,
) {
    let mirror = current();
    let frame = Frame {
        context,
        mirror: &mirror,
    };
    // SAFETY: the engine calls, or another function of this file.
    unsafe { frame.run(ENTRY, ins, outs) }
}

macro_rules! codes {
    ($($entry:literal)*) => { [$(code::<$entry>),*] };
}

const CODES: [Code; 32] =
    codes!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);

// SAFETY: what this file is there to show.
unsafe impl Fused for Mirror {
    fn digest(&self) -> [u8; 32] {
        self.compiled.digest()
    }

    fn function(&self, entry: u32) -> Option<Function> {
        let outs = self.outs[entry as usize]?;
        let code = *CODES.get(entry as usize)?;
        Some(Function { code, outs })
    }

    fn sampled(&self, entry: u32) {
        assert!((entry as usize) < self.outs.len());
    }
}

impl Mirror {
    /// Functions for most entries.
    fn new(compiled: &Arc<Compiled>, seed: u64) -> Arc<Mirror> {
        let program = &compiled.program;
        let outs = program.entries.iter().map(|entry| {
            let ops = &program.ops[entry.at as usize..];
            let last = |op: &&Op| matches!(op, Op::End | Op::Expand { .. });
            let compiled = matches!(ops.iter().find(last), Some(Op::End));
            let outs = coin(seed) as u8 & ((1_u32 << entry.arguments) - 1) as u8;
            (compiled && !coin(seed).is_multiple_of(8)).then_some(outs)
        });
        Arc::new(Mirror {
            compiled: Arc::clone(compiled),
            outs: outs.collect(),
            seed,
        })
    }
}

/// A running function.
struct Frame<'m> {
    context: *mut Context,
    mirror: &'m Mirror,
}

/// The run is over.
struct Over;

impl Frame<'_> {
    fn coin(&self, n: u64) -> bool {
        coin(self.mirror.seed).is_multiple_of(n)
    }

    #[allow(
        clippy::mut_from_ref,
        reason = "as native code does: the context is behind a pointer"
    )]
    fn context(&self) -> &mut Context {
        // SAFETY: nobody else uses it while this function runs, and no reference is kept across a call.
        unsafe { &mut *self.context }
    }

    fn runtime(&self) -> Runtime {
        // SAFETY: the engine's table.
        unsafe { *self.context().runtime }
    }

    fn load(&self, at: u32) -> Term {
        // SAFETY: a slot of the heap.
        let slot = unsafe { &*self.context().heap.add(at as usize).cast::<AtomicU64>() };
        Term(slot.load(std::sync::atomic::Ordering::Acquire))
    }

    fn store(&self, at: u32, term: Term) {
        // SAFETY: a slot of a node of this function's own.
        let slot = unsafe { &*self.context().heap.add(at as usize).cast::<AtomicU64>() };
        slot.store(term.0, std::sync::atomic::Ordering::Relaxed);
    }

    fn reserve(&self, nodes: u32) -> Result<(), Over> {
        if self.context().free_length >= u64::from(nodes) && !self.coin(8) {
            return Ok(());
        }
        // SAFETY: the runtime's own context.
        match unsafe { (self.runtime().reserve)(self.context, nodes) } {
            0 => Err(Over),
            _ => Ok(()),
        }
    }

    fn allocate(&self) -> Result<u32, Over> {
        self.reserve(1)?;
        let context = self.context();
        context.free_length -= 1;
        // SAFETY: below the length.
        Ok(unsafe { *context.free.add(context.free_length as usize) })
    }

    fn free(&self, at: u32) {
        let context = self.context();
        if context.free_length < context.free_capacity && !self.coin(8) {
            // SAFETY: below the capacity.
            unsafe { *context.free.add(context.free_length as usize) = at & !1 };
            context.free_length += 1;
        } else {
            // SAFETY: the runtime's own context.
            unsafe { (self.runtime().free)(self.context, at & !1) };
        }
    }

    fn resolve(&self, term: Term) -> Term {
        if is_var(term) && !self.coin(4) {
            let met = self.load(term.offset());
            if met.is_absent() {
                return term;
            }
            if !is_var(met.without_sub()) {
                self.free(term.offset());
                return met.without_sub();
            }
        }
        // SAFETY: the runtime's own context.
        Term(unsafe { (self.runtime().resolve)(self.context, term.0) })
    }

    fn link(&self, a: Term, b: Term) {
        // SAFETY: the runtime's own context.
        unsafe { (self.runtime().link)(self.context, a.0, b.0) };
    }

    fn open(&self, term: Term) -> Result<[Term; 2], Over> {
        let term = self.resolve(term);
        let slots = [0, 1].map(|side| match term.w0() == CON {
            true => self.load(term.offset() + side),
            false => Term::ABSENT,
        });
        if !slots.iter().any(|slot| slot.is_absent()) && !self.coin(4) {
            self.free(term.offset());
            return Ok(slots.map(Term::without_sub));
        }
        self.reserve(2)?;
        let mut ports = [0; 2];
        // SAFETY: the runtime's own context.
        unsafe { (self.runtime().open)(self.context, term.0, &raw mut ports) };
        Ok(ports.map(Term))
    }

    fn operate(&self, number: Term, left: Term, steps: u8, swapped: bool) -> Result<Term, Over> {
        let (number, left) = (self.resolve(number), self.resolve(left));
        if is_num(number) && is_num(left) && !self.coin(4) {
            return Ok(number::operate(number, left));
        }
        self.reserve(1)?;
        let how = u32::from(steps) | u32::from(swapped) << 8;
        // SAFETY: the runtime's own context.
        let result = unsafe { (self.runtime().operate)(self.context, number.0, left.0, how) };
        Ok(Term(result))
    }

    /// A call, made or left for later.
    fn call(&self, entry: u32, arguments: &[Term]) {
        let words: Vec<u64> = arguments.iter().map(|term| term.0).collect();
        let function = self.mirror.function(entry).filter(|_| !self.coin(6));
        let Some(function) = function else {
            // SAFETY: a word for each leaf.
            return unsafe { (self.runtime().defer)(self.context, entry, words.as_ptr()) };
        };
        let goes_out = |leaf: &usize| function.outs >> leaf & 1 == 1;
        let leaves = 0..arguments.len();
        let ins: Vec<u64> = leaves
            .clone()
            .filter(|l| !goes_out(l))
            .map(|l| words[l])
            .collect();
        let mut outs = [0; ARGUMENTS_MAX];
        // SAFETY: a word for each leaf.
        unsafe { (function.code)(self.context, ins.as_ptr(), outs.as_mut_ptr()) };
        for (leaf, result) in leaves.filter(goes_out).zip(outs) {
            self.link(Term(result), arguments[leaf]);
        }
    }

    /// # Safety
    /// A word for each leaf that comes in or goes out.
    unsafe fn run(&self, entry: u32, ins: *const u64, outs: *mut u64) {
        let here = 0u8;
        let at = (&raw const here).addr() as u64;
        let (ticks, limit) = (self.context().ticks, self.context().stack_limit);
        let asks = ticks <= 0 || at < limit || self.coin(32);
        // SAFETY: passed on.
        if asks && unsafe { (self.runtime().enter)(self.context, entry, ins, outs) } == 0 {
            return;
        }
        let mask = self.mirror.outs[entry as usize].expect("it has a function");
        let mut results = [Term::ERA; ARGUMENTS_MAX];
        // SAFETY: passed on.
        let _ = unsafe { self.body(entry, mask, ins, &mut results) };
        for (i, result) in results[..mask.count_ones() as usize].iter().enumerate() {
            let result = if self.coin(2) {
                self.resolve(*result)
            } else {
                *result
            };
            // SAFETY: passed on.
            unsafe { *outs.add(i) = result.0 };
        }
    }

    /// Runs the instructions of an entry. What goes out is one end of a wire, the other end of which the entry has.
    unsafe fn body(
        &self,
        entry: u32,
        mask: u8,
        ins: *const u64,
        results: &mut [Term],
    ) -> Result<(), Over> {
        let program = &self.mirror.compiled.program;
        let entry = program.entries[entry as usize];
        let mut registers = [Term::ABSENT; REGISTERS];
        let (mut given, mut wires) = (0, Vec::new());
        for leaf in 0..entry.arguments {
            registers[leaf as usize] = if mask >> leaf & 1 == 1 {
                self.reserve(1)?;
                // SAFETY: the runtime's own context.
                wires.push(Term(unsafe { (self.runtime().wire)(self.context) }));
                wires[wires.len() - 1]
            } else {
                given += 1;
                // SAFETY: as many as come in.
                Term(unsafe { *ins.add(given - 1) })
            };
        }
        let mut pc = entry.at as usize;
        loop {
            let op = program.ops[pc];
            pc += 1;
            let at = |register: u8| registers[register as usize];
            match op {
                Op::Count { tally } => self.count(program.tallies[tally as usize])?,
                Op::Open {
                    from,
                    first,
                    second,
                    w0,
                    ..
                } => {
                    assert_eq!(w0, CON);
                    let ports = self.open(at(from))?;
                    (registers[first as usize], registers[second as usize]) = (ports[0], ports[1]);
                }
                Op::Copy {
                    from,
                    first,
                    second,
                    w0,
                } => {
                    let mut copies = [self.resolve(at(from)).0; 2];
                    if !is_num(Term(copies[0])) || self.coin(4) {
                        self.reserve(2)?;
                        let copy = self.runtime().copy;
                        // SAFETY: the runtime's own context.
                        unsafe { copy(self.context, copies[0], w0, &raw mut copies) };
                    }
                    registers[first as usize] = Term(copies[0]);
                    registers[second as usize] = Term(copies[1]);
                }
                Op::Constant {
                    from,
                    out,
                    steps,
                    swapped,
                    left,
                } => {
                    registers[out as usize] = self.operate(at(from), left, steps, swapped)?;
                }
                Op::Operate {
                    from,
                    left,
                    out,
                    steps,
                } => {
                    registers[out as usize] = self.operate(at(from), at(left), steps, false)?;
                }
                Op::Switch {
                    from,
                    before,
                    zero,
                    miss,
                } => {
                    let term = self.resolve(at(from));
                    registers[from as usize] = term;
                    if !is_num(term) {
                        pc = miss as usize;
                    } else if let Some(number) = number::predecessor(term) {
                        registers[before as usize] = number;
                    } else {
                        pc = zero as usize;
                    }
                }
                // SAFETY: the runtime's own context.
                Op::Erase { from } => unsafe { (self.runtime().erase)(self.context, at(from).0) },
                Op::Link { a, b } => self.link(at(a), at(b)),
                Op::Load { to, term } => registers[to as usize] = term,
                Op::Move { to, from } => registers[to as usize] = at(from),
                Op::Allocate { to, w0 } => {
                    let node = self.allocate()?;
                    registers[to as usize] = Term(u64::from(w0) | u64::from(node) << 32);
                }
                Op::Write {
                    at: node,
                    first,
                    second,
                    variable,
                } => {
                    self.write(at(node).offset(), at(first), at(second), variable);
                }
                Op::Node {
                    to,
                    first,
                    second,
                    w0,
                    variable,
                } => {
                    let node = self.allocate()?;
                    self.write(node, at(first), at(second), variable);
                    registers[to as usize] = Term(u64::from(w0) | u64::from(node) << 32);
                }
                Op::Cell { to, node, side } => {
                    registers[to as usize] = Term::var(at(node).offset() + u32::from(side));
                }
                Op::Wire { to } => {
                    self.reserve(1)?;
                    // SAFETY: the runtime's own context.
                    registers[to as usize] = Term(unsafe { (self.runtime().wire)(self.context) });
                }
                Op::Apply {
                    from,
                    first,
                    second,
                }
                | Op::ApplyLast {
                    from,
                    first,
                    second,
                } => {
                    self.reserve(1)?;
                    let [from, first, second] = [from, first, second].map(|r| at(r).0);
                    // SAFETY: the runtime's own context.
                    unsafe { (self.runtime().apply)(self.context, from, first, second) };
                    if matches!(op, Op::ApplyLast { .. }) {
                        break;
                    }
                }
                Op::Push {
                    entry,
                    count,
                    arguments,
                }
                | Op::Call {
                    entry,
                    count,
                    arguments,
                } => {
                    let arguments: Vec<Term> =
                        arguments[..count as usize].iter().map(|&r| at(r)).collect();
                    self.call(entry, &arguments);
                    if matches!(op, Op::Call { .. }) {
                        break;
                    }
                }
                Op::End => break,
                Op::Known { .. } | Op::Jump { .. } | Op::Expand { .. } => {
                    unreachable!("parts of misses, or of entries without a function")
                }
            }
        }
        results[..wires.len()].copy_from_slice(&wires);
        Ok(())
    }

    fn count(&self, (tally, total): (Tally, i64)) -> Result<(), Over> {
        let context = self.context();
        let [low, high] = context.tally.map(u128::from);
        let mut sum = Tally(high << 64 | low);
        sum.add(tally);
        context.tally = [sum.0 as u64, (sum.0 >> 64) as u64];
        context.ticks -= total;
        if context.ticks < TICKS_MIN {
            self.reserve(0)
        } else {
            Ok(())
        }
    }

    fn write(&self, node: u32, first: Term, second: Term, variable: bool) {
        let slot = |term: Term| {
            if term.is_absent() {
                Term(self.context().absent)
            } else {
                term
            }
        };
        let first = slot(first);
        self.store(node, if variable { first.with_sub() } else { first });
        self.store(node + 1, slot(second));
    }
}

// ---- tests --------------------------------------------------------------------------------------------------------

/// A book run by its mirror.
struct Mirrored<'b> {
    engine: NetEngine<'b>,
    plain: NetEngine<'b>,
    call: Call,
    _turn: MutexGuard<'static, ()>,
}

/// Bytes of stack: none, a few calls, many calls. Frames of the mirror take some thousand bytes.
const STACKS: [u64; 3] = [0, 32 << 10, 512 << 10];

impl<'b> Mirrored<'b> {
    fn new(book: &'b Book, seed: u64) -> Mirrored<'b> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let plain = NetEngine::new(book);
        let mirror = Mirror::new(&plain.compiled, seed);
        *CURRENT.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&mirror));
        let engine = plain.clone().with_fused(mirror);
        let engine = engine.expect("the same book");
        let engine = engine.with_stack(STACKS[seed as usize % 3]);
        Mirrored {
            engine,
            plain,
            call: book.main().unwrap(),
            _turn: turn,
        }
    }

    fn run(&self, limits: &Limits, threads: usize) -> Result<Outcome, ReduceError> {
        self.engine.reduce(&self.call, limits, threads, None)
    }

    fn interpreted(&self, limits: &Limits) -> Result<Outcome, ReduceError> {
        self.plain.reduce(&self.call, limits, 1, None)
    }
}

fn book(text: &str) -> Book {
    Book::parse(text).expect("test programs are valid")
}

const PLENTY: Limits = Limits {
    gas: 1 << 40,
    nodes: 1 << 20,
    result_bytes: 1 << 16,
};

const SUM: &str = "@sum = (?((1 @more) r) r)
    @more = ({n m} r) & @sum ~ (n $([+] $(x r))) & @sum ~ (m x)";
/// A list of numbers is made and folded.
const FOLD: &str = "@gen = (?((0 @link) l) l)
    @link = ({n m} (m l)) & @gen ~ (n l)
    @fold = (?(((x x) @add) k) k)
    @add = (n ((h t) r)) & @fold ~ (n (t $([+] $(h r))))";
/// Counts down, and up beside it.
const LOOP: &str = "@loop = (?(((x x) @next) k) k)
    @next = (n ($([+3] m) r)) & @loop ~ (n (m r))";
const TREE: &str = "@build = (?((1 @both) t) t)
    @both = ({n m} (l r)) & @build ~ (n l) & @build ~ (m r)
    @fold = (?(((x x) @more) k) k)
    @more = ({n m} ((l r) s)) & @fold ~ (n (l $([+] $(q s)))) & @fold ~ (m (r q))";
/// Numerals of functions: what is called is not known, duplicators commute.
const CHURCH: &str = "@two = ({(a b) (b c)} (a c))\n@due = ({#1 (a b) (b c)} (a c))
    @inc = ($([+1] r) r)";

fn programs(size: u32) -> [Book; 5] {
    [
        book(&format!("{SUM}\n@main = r & @sum ~ ({size} r)")),
        book(&format!(
            "{FOLD}\n@main = r & @gen ~ ({size} l) & @fold ~ ({size} (l r))"
        )),
        book(&format!("{LOOP}\n@main = r & @loop ~ ({size} (0 r))")),
        book(&format!(
            "{TREE}\n@main = s & @fold ~ ({size} (t s)) & @build ~ ({size} t)"
        )),
        book(&format!("{CHURCH}\n@main = r & @two ~ (@due (@inc (0 r)))")),
    ]
}

#[test]
fn mirrored_programs_agree_with_the_oracle() {
    for book in &programs(6) {
        let expected = oracle::reduce(book, &book.main().unwrap(), &PLENTY);
        assert!(expected.is_ok());
        for seed in 0..30 {
            let mirrored = Mirrored::new(book, seed);
            for threads in [1, 2, 4] {
                assert_eq!(mirrored.run(&PLENTY, threads), expected, "seed {seed}");
            }
        }
    }
}

/// Every limit, also those between what has been counted and what has been made.
#[test]
fn gas_runs_out_exactly_where_it_does_without_native_code() {
    for book in &programs(4) {
        let needed = oracle::reduce(book, &book.main().unwrap(), &PLENTY)
            .unwrap()
            .counts
            .total();
        for seed in 0..6 {
            let mirrored = Mirrored::new(book, seed);
            for gas in 0..needed + 2 {
                let limits = Limits { gas, ..PLENTY };
                let expected = mirrored.interpreted(&limits);
                assert_eq!(expected.is_ok(), gas >= needed);
                for threads in [1, 2] {
                    assert_eq!(
                        mirrored.run(&limits, threads),
                        expected,
                        "{gas}, seed {seed}"
                    );
                }
            }
        }
    }
}

/// Any heap: the result, or that there is no memory. What is small enough says so at every place where nodes are taken.
#[test]
fn memory_runs_out_anywhere() {
    for book in &programs(5) {
        for seed in 0..6 {
            let mirrored = Mirrored::new(book, seed);
            let expected = mirrored.interpreted(&PLENTY);
            // How many nodes it takes depends on which calls are left for later. The last is enough in any case.
            for nodes in (1..200).chain([1 << 12]) {
                let limits = Limits { nodes, ..PLENTY };
                let got = mirrored.run(&limits, 1);
                if nodes == 1 << 12 || got != Err(ReduceError::OutOfHeap { limit: nodes }) {
                    assert_eq!(got, expected, "{nodes} nodes, seed {seed}");
                }
                for threads in [2, 4] {
                    let got = mirrored.run(&limits, threads);
                    assert!(got == expected || got == Err(ReduceError::OutOfHeap { limit: nodes }));
                }
            }
        }
    }
}

/// Deeper than any stack, and longer than what is made without a report.
#[test]
fn deep_recursions_and_long_loops_end() {
    let [_, fold, long, ..] = programs(100_000);
    for (book, seed) in [(&fold, 0), (&fold, 1), (&fold, 2), (&long, 1), (&long, 2)] {
        let mirrored = Mirrored::new(book, seed);
        let expected = mirrored.interpreted(&PLENTY);
        assert!(expected.is_ok());
        for threads in [1, 2] {
            assert_eq!(mirrored.run(&PLENTY, threads), expected);
        }
    }
}

/// No node is lost, and none is free twice.
#[test]
fn all_nodes_are_free_in_the_end() {
    for book in &programs(6) {
        for seed in 0..30 {
            let mirrored = Mirrored::new(book, seed);
            let heap = Heap::reserve(1 << 12).unwrap();
            let pool = Pool::new(1, 1 << 40, None);
            let Compiled {
                lowered, program, ..
            } = &*mirrored.engine.compiled;
            let mut worker =
                Worker::<false>::new(&heap, lowered, program, &pool, Buffers::default());
            worker.native = mirrored.engine.native(fused::STACK);
            let root = worker.boot(Term::reference(mirrored.call.entry, false), &[]);
            worker.run();
            let mut free = worker.finish().1.free;
            free.sort_unstable();
            let before = free.len();
            free.dedup();
            assert_eq!(free.len(), before, "none twice, seed {seed}");
            // Wires between the root and the result, which nothing moves along.
            let mut at = root.ok().expect("it fits");
            let mut live = 1;
            while let Some(end) = Some(heap.load(at).without_sub()).filter(|&end| is_var(end)) {
                at = end.offset();
                live += 1;
            }
            assert_eq!(free.len() + live, heap.touched() as usize, "seed {seed}");
            assert!(!free.contains(&(at & !1)));
        }
    }
}

#[test]
fn cancelled_native_code_ends() {
    let endless = book("@loop = (a r) & @loop ~ (b r) & a ~ $([+1] b)\n@main = r & @loop ~ (0 r)");
    for seed in 0..4 {
        let mirrored = Mirrored::new(&endless, seed);
        let progress = Progress::default();
        progress
            .cancel
            .store(true, std::sync::atomic::Ordering::Relaxed);
        for threads in [1, 2] {
            let got = mirrored
                .engine
                .reduce(&mirrored.call, &PLENTY, threads, Some(&progress));
            assert!(matches!(got, Err(ReduceError::Cancelled { .. })), "{got:?}");
        }
        let limits = Limits {
            gas: 3_000_000,
            ..PLENTY
        };
        assert_eq!(
            mirrored.run(&limits, 1),
            Err(ReduceError::OutOfGas { limit: 3_000_000 })
        );
    }
}

#[test]
fn native_code_is_for_its_book() {
    let [one, other, ..] = programs(3);
    let mirror = Mirror::new(NetEngine::new(&one).compiled(), 1);
    assert!(NetEngine::new(&other).with_fused(mirror).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Wild nets: nothing is what it was written for.
    #[test]
    fn random_nets_agree_with_the_oracle(net: u64, seed: u64, gas in 0..3000_u64, floats: bool) {
        let dialect = if floats { Dialect::Floats } else { Dialect::Integers };
        let book = book(&sample::book(net, dialect));
        let limits = Limits { gas, nodes: 1 << 18, result_bytes: 1 << 12 };
        let expected = oracle::reduce(&book, &book.main().unwrap(), &limits);
        let mirrored = Mirrored::new(&book, seed);
        for threads in [1, 2, 4] {
            prop_assert_eq!(&mirrored.run(&limits, threads), &expected);
        }
    }
}

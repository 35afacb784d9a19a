//! Calling native code instead of running an entry, and what native code calls; see [`crate::cpu::native`].
//!
//! While a function runs, its [`Context`] has the list of free nodes, the tally and the ticks of the worker. What it calls takes
//! them back first and hands them out again in the end ([`with`]), so a worker is whole whenever code of this crate works on
//! it. A panic in what it calls ends the process: it cannot unwind through native code.
//!
//! # Leaving calls for later
//! A call that is not entered becomes a frame, with a fresh wire for each of its results; the caller goes on with the other
//! ends, and takes back what it has counted too much. So the calls that wait natively can be turned into frames at any time:
//! the next function that is entered is *held*, and so is every other until the outermost call has returned. The frames come
//! innermost first then; they are reversed, so that the outermost one is the oldest: who asks for work gets the
//! largest part, and what is reduced next is what would have been. Calls are held
//!
//! * while redexes are pending, as the calls of a compiled entry: they come first;
//! * when another worker asks for work and the stack has nothing to give. If it then still has not, which is so in a
//!   loop, the next attempt is made after a while only;
//! * when the run is to stop, or the gas has to be looked at. A block counts before it calls what it takes back if that
//!   leaves it for later. So the counts say what was made only when no native call is waiting, and nothing is reported
//!   before; but a worker makes no more without a report than its part of the gas left, nor more than [`UNREPORTED_MAX`].
//!
//! A call for which there is no room on the machine's stack is left for later alone.
//!
//! # Whether it is worth it
//! To call a function from outside takes about as long as to run an entry of some interactions. It pays where calls are made
//! within native code, and does not where they lead to redexes which hold up the others again and again: so a worker
//! goes back to running an entry whose calls did not pay.

use std::ffi::c_void;

use super::pool::QUANTUM_MAX;
use super::worker::{Halt, Worker, class, is_num, is_var};
use crate::cpu::native::{Context, Function, Fused, Pair, Runtime};
use crate::net::partial::{ARGUMENTS_MAX, CON, Tally};
use crate::spec::number;
use crate::spec::rules::{Counts, Opcode};
use crate::spec::word::Term;

/// Most interactions that a worker makes in native code without telling the pool.
const UNREPORTED_MAX: u64 = 1 << 20;
/// Interactions in native code after which a worker among others looks up from its work: they take as long as the fewer that the
/// interpreter makes. In tests small nets are to be shared, too.
const NATIVE_STEP: i64 = if cfg!(test) { 1 } else { 2048 };
/// Bytes of the machine's stack that native code may take on a thread of unknown size, of which the smallest have 2 MiB.
pub(super) const STACK: u64 = 512 << 10;
/// The stack of a thread that the engine starts for native code, and how much of that it may take.
pub(super) const OWN_THREAD: usize = 16 << 20;
pub(super) const OWN_STACK: u64 = 15 << 20;
/// Interactions that a call of native code has to make to be worth more than running the entry.
const WORTH: i64 = 24;
/// How much more often a call was not worth it than it was, until the worker runs its entry instead for good. In tests small
/// nets are to be run natively, too.
const UNWORTHY: i8 = if cfg!(test) { 127 } else { 32 };
/// How much it may be the other way round.
const WORTHY: i8 = 32;
/// Interactions in native code, a third of a millisecond and more, between two times that its calls are held for others. Held more
/// often, a short run ends up in pieces that wait for each other: `sort_bitonic` took more than twice as long. In tests small nets are to be shared, too.
const GRAIN: i64 = if cfg!(test) { 0 } else { 1 << 21 };
/// Looks at the board without an attempt to find work for others, at most.
const REST_MAX: u32 = 1 << 10;

/// What a worker knows of its native code.
pub(super) struct Native<'w> {
    /// The code of the book, if there may be some.
    pub(super) code: Option<&'w dyn Fused>,
    /// Bytes of stack that it may take.
    stack: u64,
    /// Calls below this stack pointer are left for later.
    limit: u64,
    /// Calls are held: the length that the worker's stack had when that began.
    held: Option<usize>,
    /// What [`Worker::made`] was when calls were last held for others.
    shared: i64,
    /// Whether that is for others who ask for work.
    for_others: bool,
    /// No call has looked at the stack limit since the outermost one began. The first goes on whatever the limit is.
    fresh: bool,
    /// There is no memory: the run is over.
    halted: bool,
    /// The list of free nodes is presented as empty since then.
    emptied: bool,
    /// For each entry, how much more often calling its function was worth it than not, see [`WORTH`].
    scores: Vec<i8>,
    /// Ticks that were granted while native calls were waiting.
    granted: i64,
    /// Looks at the board until the next attempt to find work for others, and as many after the next that fails.
    rest: (u32, u32),
}

impl<'w> Native<'w> {
    /// No code.
    pub(super) const NONE: Native<'w> = Native {
        code: None,
        stack: 0,
        limit: 0,
        held: None,
        shared: 0,
        for_others: false,
        fresh: false,
        halted: false,
        emptied: false,
        scores: Vec::new(),
        granted: 0,
        rest: (0, 0),
    };

    /// The code of a book of so many entries, and how many bytes it may take of the stack of the thread that will call it.
    pub(super) fn new(code: Option<&'w dyn Fused>, entries: usize, stack: u64) -> Native<'w> {
        Native {
            code,
            stack,
            scores: vec![0; if code.is_some() { entries } else { 0 }],
            ..Native::NONE
        }
    }

    /// Forgets the run before, but for what is worth being called.
    pub(super) fn reset(&mut self) {
        *self = Native {
            code: self.code,
            stack: self.stack,
            scores: std::mem::take(&mut self.scores),
            ..Native::NONE
        };
    }

    /// Whether a function has to ask before it goes on.
    fn limit(&self) -> u64 {
        match self.held {
            Some(_) => u64::MAX,
            None => self.limit,
        }
    }
}

/// About where the stack pointer is.
#[inline(always)]
fn stack_pointer() -> u64 {
    let here = 0u8;
    std::hint::black_box(&raw const here).addr() as u64
}

impl<const SHARED: bool> Worker<'_, SHARED> {
    const RUNTIME: &'static Runtime = &Runtime {
        enter: enter::<SHARED>,
        reserve: reserve::<SHARED>,
        free: free::<SHARED>,
        resolve: resolve::<SHARED>,
        open: open::<SHARED>,
        copy: copy::<SHARED>,
        operate: operate::<SHARED>,
        erase: erase::<SHARED>,
        link: link::<SHARED>,
        apply: apply::<SHARED>,
        wire: wire::<SHARED>,
        defer: defer::<SHARED>,
    };

    /// The function for an entry, if there is one that is worth being called.
    #[inline(always)]
    pub(super) fn function(&self, entry: u32) -> Option<Function> {
        let code = self.code(entry)?;
        let worth = self.native.scores[entry as usize] > -UNWORTHY;
        worth.then_some(code)
    }

    fn code(&self, entry: u32) -> Option<Function> {
        self.native.code?.function(entry)
    }

    /// Tells the code which entry is about to run, if it is time to look up from work; among others at every look for which the
    /// pool has to be asked, so that a sample stands for as many interactions as it does alone.
    #[inline(always)]
    pub(super) fn sample(&self, entry: u32) {
        if self.ticks <= 0
            && self.quantum <= 0
            && let Some(code) = self.native.code
        {
            code.sampled_among(entry, self.pool.workers());
        }
    }

    /// Calls a function instead of running its entry, whose leaves are in the first registers, and connects what it returns.
    pub(super) fn call(&mut self, entry: u32, function: Function) -> Result<(), Halt> {
        let leaves = self.program.entries[entry as usize].arguments;
        let (mut ins, mut outs) = ([0; ARGUMENTS_MAX], [Term::ERA.0; ARGUMENTS_MAX]);
        let mut given = 0;
        for leaf in 0..leaves {
            if function.outs >> leaf & 1 == 0 {
                ins[given] = self.registers[leaf as usize].0;
                given += 1;
            }
        }
        self.native.limit = stack_pointer().saturating_sub(self.native.stack);
        (self.native.held, self.native.fresh) = (None, true);
        let worker = (&raw mut *self).cast::<c_void>();
        let mut context = Context {
            heap: self.heap.words(),
            free: std::ptr::null_mut(),
            free_length: 0,
            free_capacity: 0,
            tally: [0; 2],
            ticks: 0,
            stack_limit: 0,
            absent: 0,
            runtime: Self::RUNTIME,
            worker,
        };
        self.hand_out(&mut context);
        let before = self.made();
        debug_assert!(self.pending.is_empty() && !self.native.halted);
        // SAFETY: `Fused` promises that this is code for the entry which keeps to the contract. The leaves that come in are
        // given to it, the context is this worker's, whom nobody else touches until it returns.
        unsafe { (function.code)(&raw mut context, ins.as_ptr(), outs.as_mut_ptr()) };
        self.take_back(&context);
        let made = self.made() - before;
        self.judge(entry, made);
        if self.native.held.is_some() {
            self.release();
        }
        if self.native.halted {
            self.forget();
            return Err(Halt);
        }
        let mut results = outs.into_iter();
        for leaf in 0..leaves {
            if function.outs >> leaf & 1 == 1 {
                let result = results.next().unwrap_or(Term::ERA.0);
                self.connect(Term(result), self.registers[leaf as usize]);
            }
        }
        Ok(())
    }

    /// Interactions made so far, but for what makes no difference.
    fn made(&self) -> i64 {
        self.native.granted - self.ticks
    }

    /// Whether a call that made so many interactions was worth it. One that led to redexes which held up others was if it
    /// made many. While others have work, nothing is said against a call: it may wait for what is theirs.
    fn judge(&mut self, entry: u32, made: i64) {
        let excused = SHARED && (self.others || !self.aside.is_empty());
        let least = if self.pending.is_empty() {
            WORTH
        } else {
            8 * WORTH
        };
        let score = &mut self.native.scores[entry as usize];
        if made < least {
            *score = score.saturating_sub(i8::from(!excused));
        } else {
            *score = score.saturating_add(8).min(WORTHY);
        }
    }

    /// Leaves all calls for later from now on.
    fn hold(&mut self) {
        if self.native.held.is_none() {
            self.native.held = Some(self.stack.len());
        }
    }

    /// Gives native code what it works on.
    #[inline(always)]
    fn hand_out(&mut self, context: &mut Context) {
        if !self.pending.is_empty() {
            self.hold();
        }
        context.free = self.free.as_mut_ptr();
        context.free_length = self.free.len() as u64;
        context.free_capacity = self.free.capacity() as u64;
        context.tally = [self.tally.0 as u64, (self.tally.0 >> 64) as u64];
        context.ticks = self.ticks;
        context.stack_limit = self.native.limit();
        context.absent = self.period.absent().0;
        if self.native.halted {
            context.ticks = i64::MIN / 2;
        }
        if self.native.emptied {
            (context.free_length, context.free_capacity) = (0, 0);
        }
    }

    /// Takes it back.
    #[inline(always)]
    fn take_back(&mut self, context: &Context) {
        let [low, high] = context.tally.map(u128::from);
        self.tally = Tally(high << 64 | low);
        self.ticks = context.ticks;
        if !self.native.emptied {
            let length = context.free_length as usize;
            debug_assert!(length <= self.free.capacity());
            // SAFETY: native code has put offsets into this list below its capacity, so that many are written.
            unsafe { self.free.set_len(length) };
        }
    }

    /// Whether to enter a function now. Called when it is time to look up, when calls are held, or when the stack is full.
    fn enters(&mut self, entry: u32, at: u64) -> bool {
        if self.ticks <= 0 && self.native.held.is_none() {
            let before = self.ticks;
            self.look_up_within(entry);
            self.native.granted += self.ticks - before;
        }
        let full = at < self.native.limit && !std::mem::take(&mut self.native.fresh);
        self.native.held.is_none() && !full
    }

    /// What [`Worker::attend`] does, while native calls are waiting.
    fn look_up_within(&mut self, entry: u32) {
        self.sample(entry);
        if SHARED && self.pool.signalled(self.others) && !self.pool.stopped() {
            self.share_within();
        }
        if self.quantum > 0 {
            return self.take_ticks(NATIVE_STEP);
        }
        self.settle_tally();
        let unreported = self.counts.total() - self.reported;
        let most = self.pool.allowance().min(UNREPORTED_MAX);
        if unreported >= most || self.pool.stops() {
            self.hold();
        } else {
            self.quantum = (most - unreported).min(QUANTUM_MAX) as i64;
            self.ticks = 0;
            self.take_ticks(NATIVE_STEP);
        }
    }

    /// Gives others work, or prepares for that.
    fn share_within(&mut self) {
        if self.offers() {
            self.offer();
        } else if self.pool.asked() {
            let made = self.made();
            match &mut self.native.rest.0 {
                0 if made - self.native.shared < GRAIN => {}
                0 => {
                    self.native.shared = made;
                    self.hold();
                    self.native.for_others = true;
                }
                more => *more -= 1,
            }
        }
    }

    /// The outermost call has returned, and calls have been held.
    fn release(&mut self) {
        if let Some(from) = self.native.held.take() {
            self.reverse_frames(from);
        }
        // To look up at once, with all that waited natively on the stack.
        self.ticks = self.ticks.min(0);
        if std::mem::take(&mut self.native.for_others) {
            let rest = match self.oldest().len() {
                0 => (2 * self.native.rest.1 + 1).min(REST_MAX),
                _ => 0,
            };
            self.native.rest = (rest, rest);
        }
    }

    /// Reverses the order of the frames above a place of the stack.
    pub(super) fn reverse_frames(&mut self, from: usize) {
        self.stack[from..].reverse();
        let mut at = from;
        // What was the last pair of a frame is its first one now.
        while let Some(&(_, last)) = self.stack.get(at) {
            let size = self.size(last);
            self.stack[at..at + size].reverse();
            at += size;
        }
    }

    /// The run is over for want of memory, and what was made in native code since the last report is not known exactly.
    fn forget(&mut self) {
        self.tally = Tally::default();
        self.counts = Counts::default();
        self.reported = 0;
    }

    /// What is no constructor meets one whose ports are the two ends; the APPLY is still to come.
    fn open_other(&mut self, term: Term) -> (Term, Term) {
        self.uncount(Opcode::Apply, 1);
        let (node, first, second) = self.build_open(CON);
        self.connect(term, node);
        (first, second)
    }

    /// Leaves a call for later: puts it on the stack, and fresh wires for its results into `outs`.
    fn leave(&mut self, entry: u32, ins: *const u64, outs: *mut u64) -> Result<(), Halt> {
        let function = self.code(entry).expect("it is its code that asks");
        self.reserve(function.outs.count_ones() as usize)?;
        let leaves = usize::from(self.program.entries[entry as usize].arguments);
        let mut terms = [Term::ERA; ARGUMENTS_MAX];
        let (mut given, mut left) = (0, 0);
        for (leaf, term) in terms[..leaves].iter_mut().enumerate() {
            if function.outs >> leaf & 1 == 0 {
                // SAFETY: there is a word for each leaf that comes in.
                *term = Term(unsafe { *ins.add(given) });
                given += 1;
            } else {
                *term = self.bare_wire();
                // SAFETY: there is a word for each leaf that goes out.
                unsafe { *outs.add(left) = term.0 };
                left += 1;
            }
        }
        self.push_frame(entry, &terms[..leaves])
    }

    /// A new wire; [`Worker::reserve`] has made sure of its node.
    fn bare_wire(&mut self) -> Term {
        let (at, absent) = (self.allocate(), self.period.absent());
        self.heap.store(at, absent);
        self.heap.store(at + 1, absent);
        Term::var(at)
    }

    /// There is no memory: erasers for all results, and no nodes from now on.
    fn halt_within(&mut self, entry: u32, outs: *mut u64) {
        (self.native.halted, self.native.emptied) = (true, true);
        let function = self.code(entry).expect("it is its code that asks");
        for i in 0..function.outs.count_ones() as usize {
            // SAFETY: there is a word for each leaf that goes out.
            unsafe { *outs.add(i) = Term::ERA.0 };
        }
    }

    /// What a push says: whether there was memory for it. If not, the run is over at the next call.
    fn note(&mut self, pushed: Result<(), Halt>) {
        self.native.halted |= pushed.is_err();
    }

    /// Counts the tally, so that it is empty.
    fn settle_tally(&mut self) {
        let tally = std::mem::take(&mut self.tally);
        self.counts.merge(&tally.counts());
    }

    /// Does what may take back interactions: of a tally that has been settled meanwhile, so not from its lanes.
    fn taking_back<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        self.settle_tally();
        let answer = act(self);
        let taken = std::mem::take(&mut self.tally);
        self.counts.remove(&Tally(taken.0.wrapping_neg()).counts());
        answer
    }
}

/// Does something to the worker that native code belongs to.
///
/// # Safety
/// The context is the one that [`Worker::call`] made for a worker with this `SHARED`, in a call from the code it called.
#[inline(always)]
unsafe fn with<const SHARED: bool, T>(
    context: *mut Context,
    act: impl FnOnce(&mut Worker<'_, SHARED>) -> T,
) -> T {
    // SAFETY: native code does not touch the context while it waits for this.
    let context = unsafe { &mut *context };
    // SAFETY: as the caller of native code waits, this is the only use of the worker.
    let worker = unsafe { &mut *context.worker.cast::<Worker<'_, SHARED>>() };
    worker.take_back(context);
    let answer = act(worker);
    worker.hand_out(context);
    answer
}

unsafe extern "C" fn enter<const SHARED: bool>(
    context: *mut Context,
    entry: u32,
    ins: *const u64,
    outs: *mut u64,
) -> u32 {
    let at = stack_pointer();
    let enters = |worker: &mut Worker<'_, SHARED>| {
        if !worker.native.halted {
            if worker.enters(entry, at) {
                return true;
            }
            if worker.leave(entry, ins, outs).is_ok() {
                return false;
            }
        }
        worker.halt_within(entry, outs);
        false
    };
    // SAFETY: the contract of native code.
    u32::from(unsafe { with(context, enters) })
}

unsafe extern "C" fn reserve<const SHARED: bool>(context: *mut Context, nodes: u32) -> u32 {
    let reserve = |worker: &mut Worker<'_, SHARED>| {
        worker.settle_tally();
        let halted = worker.native.halted || worker.reserve(nodes as usize).is_err();
        if halted {
            (worker.native.halted, worker.native.emptied) = (true, true);
        }
        !halted
    };
    // SAFETY: the contract of native code.
    u32::from(unsafe { with(context, reserve) })
}

unsafe extern "C" fn free<const SHARED: bool>(context: *mut Context, node: u32) {
    // SAFETY: the contract of native code.
    unsafe { with(context, |worker: &mut Worker<'_, SHARED>| worker.free(node)) };
}

unsafe extern "C" fn resolve<const SHARED: bool>(context: *mut Context, term: u64) -> u64 {
    let resolve = |worker: &mut Worker<'_, SHARED>| worker.resolve(Term(term));
    // SAFETY: the contract of native code.
    unsafe { with(context, resolve) }.0
}

unsafe extern "C" fn open<const SHARED: bool>(context: *mut Context, term: u64, ports: *mut Pair) {
    let open = |worker: &mut Worker<'_, SHARED>| {
        if worker.native.halted {
            return (Term::ERA, Term::ERA);
        }
        let term = worker.resolve(Term(term));
        if term.w0() == CON {
            return worker.open(term);
        }
        if is_var(term) && worker.awaits(term) {
            // What is to be called with what is not there is left for later.
            worker.hold();
        }
        worker.taking_back(|worker| worker.open_other(term))
    };
    // SAFETY: the contract of native code.
    let (first, second) = unsafe { with(context, open) };
    // SAFETY: native code has made room there.
    unsafe { *ports = [first.0, second.0] };
}

unsafe extern "C" fn copy<const SHARED: bool>(
    context: *mut Context,
    term: u64,
    w0: u32,
    copies: *mut Pair,
) {
    let copy = |worker: &mut Worker<'_, SHARED>| {
        if worker.native.halted {
            return (Term::ERA, Term::ERA);
        }
        let term = worker.resolve(Term(term));
        if is_num(term) {
            return (term, term);
        }
        worker.taking_back(|worker| worker.copy_other(term, w0))
    };
    // SAFETY: the contract of native code.
    let (first, second) = unsafe { with(context, copy) };
    // SAFETY: native code has made room there.
    unsafe { *copies = [first.0, second.0] };
}

unsafe extern "C" fn operate<const SHARED: bool>(
    context: *mut Context,
    number: u64,
    left: u64,
    how: u32,
) -> u64 {
    let operate = |worker: &mut Worker<'_, SHARED>| {
        if worker.native.halted {
            return Term::ERA;
        }
        let (number, left) = (worker.resolve(Term(number)), worker.resolve(Term(left)));
        if is_num(number) && is_num(left) {
            return number::operate(number, left);
        }
        let (steps, swapped) = ((how & 255) as u8, how & 256 != 0);
        worker.taking_back(|worker| match (swapped, steps) {
            // An exchange has been made, or there is none.
            (true, _) | (false, 1) => worker.operate_later(number, left, 1),
            // The operands change places when a number comes: the mark stands for that.
            (false, _) => worker.operate_later(number, left.with_sub(), steps),
        })
    };
    // SAFETY: the contract of native code.
    unsafe { with(context, operate) }.0
}

unsafe extern "C" fn erase<const SHARED: bool>(context: *mut Context, term: u64) {
    let erase = |worker: &mut Worker<'_, SHARED>| {
        if worker.native.halted {
            return;
        }
        let term = worker.resolve(Term(term));
        if is_var(term) || class(term) >= 4 {
            worker.taking_back(|worker| worker.uncount(Opcode::Collapse, 1));
            worker.connect(term, Term::ERA);
        }
    };
    // SAFETY: the contract of native code.
    unsafe { with(context, erase) };
}

unsafe extern "C" fn link<const SHARED: bool>(context: *mut Context, a: u64, b: u64) {
    let link = |worker: &mut Worker<'_, SHARED>| {
        if !worker.native.halted {
            worker.connect(Term(a), Term(b));
        }
    };
    // SAFETY: the contract of native code.
    unsafe { with(context, link) };
}

unsafe extern "C" fn apply<const SHARED: bool>(
    context: *mut Context,
    term: u64,
    first: u64,
    second: u64,
) {
    let apply = |worker: &mut Worker<'_, SHARED>| {
        if worker.native.halted {
            return;
        }
        let pair = [Term(first), Term(second)];
        if let Some(entry) = worker.apply(Term(term), pair[0], pair[1]) {
            let pushed = worker.push_frame(entry, &pair);
            worker.note(pushed);
        }
    };
    // SAFETY: the contract of native code.
    unsafe { with(context, apply) };
}

unsafe extern "C" fn wire<const SHARED: bool>(context: *mut Context) -> u64 {
    // SAFETY: the contract of native code.
    unsafe {
        with(context, |worker: &mut Worker<'_, SHARED>| {
            worker.bare_wire()
        })
    }
    .0
}

unsafe extern "C" fn defer<const SHARED: bool>(
    context: *mut Context,
    entry: u32,
    leaves: *const u64,
) {
    let defer = |worker: &mut Worker<'_, SHARED>| {
        if worker.native.halted {
            return;
        }
        let count = usize::from(worker.program.entries[entry as usize].arguments);
        let mut terms = [Term::ERA; ARGUMENTS_MAX];
        for (i, term) in terms[..count].iter_mut().enumerate() {
            // SAFETY: there is a word for each leaf of the shape.
            *term = Term(unsafe { *leaves.add(i) });
        }
        let pushed = worker.push_frame(entry, &terms[..count]);
        worker.note(pushed);
    };
    // SAFETY: the contract of native code.
    unsafe { with(context, defer) };
}

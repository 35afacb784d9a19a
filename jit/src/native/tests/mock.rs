//! A worker of a few nodes, which writes down what it is asked for.

use std::cell::RefCell;
use std::ffi::c_void;

use ffcm::cpu::native::{Context, Pair, Runtime};
use ffcm::net::partial::{CON, Tally};
use ffcm::spec::number;
use ffcm::spec::rules::Opcode;
use ffcm::spec::word::{Class, Term};

use crate::ir::Module;
use crate::native::abi::Service;
use crate::native::{Placed, Renderer};

/// Marks slots that nobody may look at.
pub const POISON: u64 = 0xdead_0000_0000_0000;
/// What an absent slot holds here: a period in the upper half.
pub const ABSENT: u64 = 7 << 32;

/// What was asked for, with the terms that were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked(pub &'static str, pub Vec<u64>);

/// The worker.
pub struct Mock {
    pub heap: Vec<u64>,
    pub list: Vec<u32>,
    pub context: Context,
    pub asked: Vec<Asked>,
    /// What `enter` answers, next one last; goes on with `true` where there is none.
    pub enters: Vec<bool>,
    /// What `reserve` answers when it is asked for.
    pub memory: bool,
    /// Ticks that `enter` and `reserve` hand out.
    pub quantum: i64,
}

thread_local! {
    static NAMES: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

fn of<'a>(context: *mut Context) -> &'a mut Mock {
    // SAFETY: `worker` is the mock that runs the code, which does not touch it meanwhile.
    unsafe { &mut *(*context).worker.cast::<Mock>() }
}

unsafe extern "C" fn enter(c: *mut Context, entry: u32, ins: *const u64, outs: *mut u64) -> u32 {
    let mock = of(c);
    // SAFETY: the tests' functions have an argument at least, and there is room for each leaf.
    let first = unsafe { *ins };
    mock.ask("enter", &[u64::from(entry), first]);
    let ticks = &mut mock.context.ticks;
    if *ticks <= 0 {
        *ticks = mock.quantum;
    }
    if mock.enters.pop().unwrap_or(true) {
        return 1;
    }
    // SAFETY: as above.
    unsafe { *outs = Term::u24(4242).0 };
    0
}

unsafe extern "C" fn reserve(c: *mut Context, nodes: u32) -> u32 {
    let mock = of(c);
    mock.ask("reserve", &[u64::from(nodes)]);
    mock.context.ticks = mock.context.ticks.max(0);
    u32::from(mock.memory)
}

unsafe extern "C" fn free(c: *mut Context, node: u32) {
    of(c).ask("free", &[u64::from(node)]);
}

unsafe extern "C" fn resolve(c: *mut Context, term: u64) -> u64 {
    let mock = of(c);
    mock.ask("resolve", &[term]);
    mock.follow(Term(term)).0
}

unsafe extern "C" fn open(c: *mut Context, term: u64, ports: *mut Pair) {
    let mock = of(c);
    mock.ask("open", &[term]);
    let term = mock.follow(Term(term));
    let found = if term.w0() == CON {
        let at = term.offset() as usize;
        [at, at + 1].map(|slot| match Term(mock.heap[slot]) {
            absent if absent.is_absent() => Term::var(slot as u32).0,
            present => present.without_sub().0,
        })
    } else {
        mock.uncount(Opcode::Apply, 1);
        [Term::u24(100).0, Term::u24(101).0]
    };
    // SAFETY: there is room for a pair.
    unsafe { *ports = found };
}

unsafe extern "C" fn copy(c: *mut Context, term: u64, w0: u32, copies: *mut Pair) {
    let mock = of(c);
    mock.ask("copy", &[term, u64::from(w0)]);
    // SAFETY: there is room for a pair.
    unsafe { *copies = [Term::u24(200).0, Term::u24(201).0] };
}

unsafe extern "C" fn operate(c: *mut Context, number: u64, left: u64, how: u32) -> u64 {
    let mock = of(c);
    mock.ask("operate", &[number, left, u64::from(how)]);
    let (a, b) = (mock.follow(Term(number)), mock.follow(Term(left)));
    if a.class() == Class::Num && b.class() == Class::Num {
        return number::operate(a, b).0;
    }
    mock.uncount(Opcode::Succ, u64::from(how & 255));
    Term::var(2).0
}

unsafe extern "C" fn erase(c: *mut Context, term: u64) {
    of(c).ask("erase", &[term]);
}

unsafe extern "C" fn link(c: *mut Context, a: u64, b: u64) {
    of(c).ask("link", &[a, b]);
}

unsafe extern "C" fn apply(c: *mut Context, term: u64, first: u64, second: u64) {
    of(c).ask("apply", &[term, first, second]);
}

unsafe extern "C" fn wire(c: *mut Context) -> u64 {
    let mock = of(c);
    mock.ask("wire", &[]);
    let offset = mock.take();
    mock.heap[offset as usize] = ABSENT;
    Term::var(offset).0
}

unsafe extern "C" fn defer(c: *mut Context, entry: u32, leaves: *const u64) {
    // SAFETY: the tests' shapes have two leaves.
    let leaves = unsafe { [*leaves, *leaves.add(1)] };
    of(c).ask("defer", &[u64::from(entry), leaves[0], leaves[1]]);
}

static RUNTIME: Runtime = Runtime {
    enter,
    reserve,
    free,
    resolve,
    open,
    copy,
    operate,
    erase,
    link,
    apply,
    wire,
    defer,
};

impl Mock {
    /// A heap of so many nodes, all free; the one at the lowest offset is taken first.
    pub fn new(nodes: u32) -> Box<Mock> {
        let mut mock = Box::new(Mock {
            heap: vec![POISON; 2 * nodes as usize],
            list: (0..nodes).rev().map(|node| 2 * node).collect(),
            context: Context {
                heap: std::ptr::null_mut(),
                free: std::ptr::null_mut(),
                free_length: u64::from(nodes),
                free_capacity: u64::from(nodes),
                tally: [0; 2],
                ticks: 1 << 20,
                stack_limit: 0,
                absent: ABSENT,
                runtime: &raw const RUNTIME,
                worker: std::ptr::null_mut(),
            },
            asked: Vec::new(),
            enters: Vec::new(),
            memory: true,
            quantum: 1 << 20,
        });
        mock.context.heap = mock.heap.as_mut_ptr();
        mock.context.free = mock.list.as_mut_ptr();
        let this: *mut Mock = &raw mut *mock;
        mock.context.worker = this.cast::<c_void>();
        mock
    }

    fn ask(&mut self, what: &'static str, terms: &[u64]) {
        NAMES.with_borrow_mut(|names| names.push(what));
        self.asked.push(Asked(what, terms.to_vec()));
    }

    /// The names of what was asked for, in order.
    pub fn names(&self) -> Vec<&'static str> {
        self.asked.iter().map(|asked| asked.0).collect()
    }

    fn follow(&self, mut term: Term) -> Term {
        while term.class() == Class::Var {
            let met = Term(self.heap[term.offset() as usize]);
            if met.is_absent() || !met.is_sub() {
                break;
            }
            term = met.without_sub();
        }
        term
    }

    fn uncount(&mut self, opcode: Opcode, n: u64) {
        let [low, high] = self.context.tally.map(u128::from);
        let mut tally = Tally(high << 64 | low);
        tally.subtract(Tally::of(opcode, n));
        self.context.tally = [tally.0 as u64, (tally.0 >> 64) as u64];
        self.context.ticks += n as i64;
    }

    /// Takes a free node.
    pub fn take(&mut self) -> u32 {
        self.context.free_length -= 1;
        self.list[self.context.free_length as usize]
    }

    /// A node of these slots.
    pub fn node(&mut self, w0: u32, slots: [Term; 2]) -> Term {
        let offset = self.take();
        for (side, slot) in slots.into_iter().enumerate() {
            self.heap[offset as usize + side] = slot.0;
        }
        Term(u64::from(offset) << 32 | u64::from(w0))
    }

    /// Free nodes, the next to be taken first.
    pub fn free_nodes(&self) -> Vec<u32> {
        let length = self.context.free_length as usize;
        self.list[..length].iter().rev().copied().collect()
    }

    /// Interactions of an opcode.
    pub fn counted(&self, opcode: Opcode) -> u64 {
        let [low, high] = self.context.tally.map(u128::from);
        Tally(high << 64 | low).counts().get(opcode)
    }

    /// Calls a function.
    pub fn call(&mut self, code: &Placed, entry: u32, ins: &[Term]) -> Vec<Term> {
        let function = code.function(entry).expect("there is code");
        let ins: Vec<u64> = ins.iter().map(|term| term.0).collect();
        let mut outs = vec![POISON; 8];
        // SAFETY: the code belongs to `code`; the context is this mock's; there is a word for each leaf.
        unsafe { (function.code)(&raw mut self.context, ins.as_ptr(), outs.as_mut_ptr()) };
        outs.truncate(function.outs.count_ones() as usize);
        outs.into_iter().map(Term).collect()
    }
}

/// The code of a module.
pub fn placed(module: &Module) -> Placed {
    let mut renderer = Renderer::new().expect("this machine has native code");
    let image = renderer
        .render(module, || true)
        .expect("the module is right");
    Placed::new(&image).expect("there is memory for code")
}

const _: () = assert!(Service::COUNT == 12);

//! Rendered code against the interpreter and the oracle: results, counts, errors, whatever the schedule.

#![cfg(feature = "native")]
#![allow(clippy::unwrap_used, reason = "all of it is tests")]

use std::path::Path;
use std::sync::Arc;
use std::{fs, thread};

use ffcm::cpu::NetEngine;
use ffcm::cpu::native::{Function, Fused};
use ffcm::net::sample::{self, Dialect};
use ffcm::net::{Book, Limits, Outcome, ReduceError};
use ffcm::oracle;
use ffcm_jit::fuse;
use ffcm_jit::native::{Placed, Renderer};
use proptest::prelude::*;

/// Code that is ready from the start.
struct Ready {
    digest: [u8; 32],
    placed: Placed,
}

// SAFETY: the module was fused from the book with this digest, and what was placed lives as long as this.
unsafe impl Fused for Ready {
    fn digest(&self) -> [u8; 32] {
        self.digest
    }

    fn function(&self, entry: u32) -> Option<Function> {
        self.placed.function(entry)
    }

    fn sampled(&self, _entry: u32) {}
}

/// A book with and without native code.
struct Both<'b> {
    plain: NetEngine<'b>,
    native: NetEngine<'b>,
    functions: usize,
}

/// Bytes of stack: next to none, some calls, as usual.
const STACKS: [u64; 3] = [0, 4 << 10, 512 << 10];
const PLENTY: Limits = Limits {
    gas: 1 << 40,
    nodes: 1 << 22,
    result_bytes: 1 << 20,
};

impl<'b> Both<'b> {
    fn new(book: &'b Book) -> Both<'b> {
        let plain = NetEngine::new(book);
        let module = fuse(book.definitions(), plain.compiled().entries());
        let image = Renderer::new().unwrap().render(&module, || true).unwrap();
        let placed = Placed::new(&image).unwrap();
        let functions = placed.functions();
        let digest = book.digest();
        let native = plain.clone().with_fused(Arc::new(Ready { digest, placed }));
        Both {
            plain,
            native: native.unwrap(),
            functions,
        }
    }

    /// What native code gives, the same with every number of threads and every stack.
    fn run(&self, book: &Book, limits: &Limits) -> Result<Outcome, ReduceError> {
        let call = book.main().unwrap();
        let expected = self.plain.reduce(&call, limits, 1, None);
        for stack in STACKS {
            let native = self.native.clone().with_stack(stack);
            for threads in [1, 2, 4] {
                let got = native.reduce(&call, limits, threads, None);
                assert_eq!(
                    got, expected,
                    "{threads} threads, {stack} bytes, {limits:?}"
                );
            }
        }
        expected
    }
}

/// The golden programs: names and texts.
fn golden() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ffcm/golden/nets");
    let files = fs::read_dir(folder).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let programs = paths.filter(|path| path.extension().is_some_and(|e| e == "hvm"));
    let mut programs: Vec<(String, String)> = programs
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    programs.sort();
    programs
}

#[test]
fn golden_programs() {
    let mut functions = 0;
    for (name, text) in golden() {
        let book = Book::parse(&text).unwrap();
        let both = Both::new(&book);
        functions += both.functions;
        let expected = oracle::reduce(&book, &book.main().unwrap(), &PLENTY);
        assert_eq!(both.run(&book, &PLENTY), expected, "{name}");
    }
    assert!(functions > 100, "{functions}");
}

const SUM: &str = "@sum = (?((1 @more) r) r)
    @more = ({n m} r) & @sum ~ (n $([+] $(x r))) & @sum ~ (m x)
    @main = r & @sum ~ (SIZE r)";
/// A list of numbers is made and folded.
const FOLD: &str = "@gen = (?((0 @link) l) l)
    @link = ({n m} (m l)) & @gen ~ (n l)
    @fold = (?(((x x) @add) k) k)
    @add = (n ((h t) r)) & @fold ~ (n (t $([+] $(h r))))
    @main = r & @gen ~ (SIZE l) & @fold ~ (SIZE (l r))";
/// Counts down, and up beside it.
const LOOP: &str = "@loop = (?(((x x) @next) k) k)
    @next = (n ($([+3] m) r)) & @loop ~ (n (m r))
    @main = r & @loop ~ (SIZE (0 r))";
/// The sum is counted before its operands are called, and one of them is none.
const PROMISES: &str = "@sum = (?((@odd @more) r) r)
    @more = ({n m} r) & @sum ~ (n $([+] $(x r))) & @sum ~ (m x)
    @odd = (a (* a))
    @main = r & @sum ~ (SIZE r)";
/// A switch on the outcome of a call: interactions are counted when many calls return.
const RETURNS: &str = "@down = (?((0 @more) r) r)
    @more = (n r) & @down ~ (n x) & x ~ ?((1 @next) r)
    @next = ($([+2] r) r)
    @main = r & @down ~ (SIZE r)";
/// Data built from lambda-encoded constructors: lists are made, joined and folded.
const LISTS: &str = "@Nil = (nil (* nil))
    @Cons = (head (tail (* ((head (tail out)) out))))
    @range = (?((@Nil @next) k) k)
    @next = ({n head} out) & @Cons ~ (head (tail out)) & @range ~ (n tail)
    @join = ((@join_nil (@join_cons k)) k)
    @join_nil = (b b)
    @join_cons = (head (rest (b out))) & @Cons ~ (head (tail out)) & @join ~ (rest (b tail))
    @sum = ((0 (@sum_cons k)) k)
    @sum_cons = (head (rest out)) & @sum ~ (rest $([+] $(head out)))
    @main = r & @range ~ (SIZE a) & @range ~ (3 b) & @join ~ (a (b c)) & @sum ~ (c r)";
/// Tries of the numbers that a recursion over a tree makes, merged and counted; one of them is given as a net.
const TRIES: &str = "@Free = (free (* (* free)))
    @Used = (* (used (* used)))
    @Both = (zero (one (* (* ((zero (one out)) out)))))
    @insert = (?((@one @two) k) k)
    @one = (i trie) & @path ~ (4 (i trie))
    @two = ({n m} ({$([*2] i) $([*2] $([+1] j))} out))
      & @merge ~ (a (b out)) & @insert ~ (n (i a)) & @insert ~ (m (j b))
    @path = (?((@end @bit) k) k)
    @end = (* @Used)
    @bit = (n ({$([&1] ?((@zero @one_bit) (trie out))) $([:>>1] rest)} out)) & @path ~ (n (rest trie))
    @zero = (trie out) & @Both ~ (trie (@Free out))
    @one_bit = (* (trie out)) & @Both ~ (@Free (trie out))
    @merge = ((@merge_free (@merge_used (@merge_both k))) k)
    @merge_free = (b b)
    @merge_used = ((@Used (@Used (@clash out))) out)
    @clash = (* (* @Used))
    @merge_both = (zero (one ((@Both (@clash (@deep (zero (one out))))) out)))
    @deep = (p (q (zero (one out)))) & @Both ~ (r (s out)) & @merge ~ (zero (p r)) & @merge ~ (one (q s))
    @count = ((0 (1 (@count_both k))) k)
    @count_both = (a (b out)) & @count ~ (a $([+] $(y out))) & @count ~ (b y)
    @main = r & @insert ~ (SIZE (0 a)) & @merge ~ ((* (* ((@Used (@Free o)) o))) (a b)) & @count ~ (b r)";
/// Data of two kinds with as many constructors each.
const KINDS: &str = "@Nil = (nil (* nil))
    @Cons = (head (tail (* ((head (tail out)) out))))
    @Left = (a ((a out) (* out)))
    @Right = (a (* ((a out) out)))
    @range = (?((@Nil @next) k) k)
    @next = ({n head} out) & @Cons ~ (head (tail out)) & @range ~ (n tail)
    @split = ((@Nil (@split_cons k)) k)
    @split_cons = ({h $([&1] ?((@even @odd) (h x)))} (t out)) & @Cons ~ (x (u out)) & @split ~ (t u)
    @even = (h x) & @Left ~ (h x)
    @odd = (* (h x)) & @Right ~ (h x)
    @fold = ((@fold_nil (@fold_cons k)) k)
    @fold_nil = (acc acc)
    @fold_cons = (h (t (acc out))) & @value ~ (h $([+] $(acc new))) & @fold ~ (t (new out))
    @value = ((@left (@right k)) k)
    @left = (x x)
    @right = ($([*3] x) x)
    @main = r & @range ~ (SIZE a) & @split ~ (a b) & @fold ~ (b (0 r))";
const PROGRAMS: [&str; 8] = [SUM, FOLD, LOOP, PROMISES, RETURNS, LISTS, TRIES, KINDS];

fn program(text: &str, size: u32) -> Book {
    Book::parse(&text.replace("SIZE", &size.to_string())).unwrap()
}

/// Every limit, also those between what has been counted and what has been made.
#[test]
fn gas_runs_out_exactly_where_it_does_without_native_code() {
    for text in PROGRAMS {
        let book = program(text, if text == TRIES { 2 } else { 4 });
        let both = Both::new(&book);
        let needed = both.run(&book, &PLENTY).unwrap().counts.total();
        for gas in 0..needed + 2 {
            let got = both.run(&book, &Limits { gas, ..PLENTY });
            assert_eq!(got.is_ok(), gas >= needed);
        }
    }
}

/// Any heap: the result, or that there is no memory.
#[test]
fn memory_runs_out_anywhere() {
    for text in PROGRAMS {
        let book = program(text, if text == TRIES { 3 } else { 6 });
        let both = Both::new(&book);
        let call = book.main().unwrap();
        let expected = both.run(&book, &PLENTY);
        for nodes in 1..300 {
            let limits = Limits { nodes, ..PLENTY };
            for threads in [1, 2] {
                let got = both.native.reduce(&call, &limits, threads, None);
                let none = Err(ReduceError::OutOfHeap { limit: nodes });
                assert!(got == expected || got == none, "{got:?}");
            }
        }
    }
}

/// Deeper than the stack, and longer than what is made without a report.
#[test]
fn deep_recursions_and_long_loops() {
    for (text, size) in [
        (SUM, 16),
        (FOLD, 200_000),
        (LOOP, 1_000_000),
        (RETURNS, 200_000),
        (LISTS, 100_000),
        (TRIES, 8),
        (KINDS, 20_000),
    ] {
        let book = program(text, size);
        let both = Both::new(&book);
        assert!(both.functions > 0 && both.run(&book, &PLENTY).is_ok());
        // A thread of its own with room for all of it.
        let deep = || {
            let native = both.native.clone().with_stack(60 << 20);
            native.reduce(&book.main().unwrap(), &PLENTY, 1, None)
        };
        let got = thread::scope(|scope| {
            let deep = thread::Builder::new()
                .stack_size(64 << 20)
                .spawn_scoped(scope, deep);
            deep.unwrap().join().unwrap()
        });
        assert_eq!(got, both.run(&book, &PLENTY));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Wild nets: nothing is what it was written for.
    #[test]
    fn random_nets(seed: u64, gas in 0..3000_u64, dialect in 0..3) {
        let dialect = [Dialect::Integers, Dialect::Floats, Dialect::Hvm2][dialect as usize];
        let book = Book::parse(&sample::book(seed, dialect)).unwrap();
        let limits = Limits { gas, nodes: 1 << 18, result_bytes: 1 << 12 };
        let expected = oracle::reduce(&book, &book.main().unwrap(), &limits);
        prop_assert_eq!(Both::new(&book).run(&book, &limits), expected);
    }
}

//! The engine against the oracle, and its own promises: gas, memory, isolation, templates, the wire protocol.

use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::template::{Slot, Template, ZERO};
use super::*;
use crate::oracle;
use crate::spec::rules::Opcode;
use crate::spec::word::Class;

const THREADS: [usize; 3] = [1, 2, 4];

fn book(text: &str) -> Book {
    Book::parse(text).expect("test programs are valid")
}

fn limits(gas: u64, nodes: u64) -> Limits {
    Limits {
        gas,
        nodes,
        result_bytes: 1 << 20,
    }
}

const PLENTY: u64 = 1 << 40;

/// Sum of 2^depth ones, by recursion on the depth.
fn sum(depth: u32) -> Book {
    book(&format!(
        "@sum = (?((1 @more) r) r)
         @more = ({{n m}} r) & @sum ~ (n $([+] $(x r))) & @sum ~ (m x)
         @main = r & @sum ~ ({depth} r)"
    ))
}

/// Builds a tree of 2^depth ones, then adds them up.
fn tree(depth: u32) -> Book {
    book(&format!(
        "@build = (?((1 @both) t) t)
         @both = ({{n m}} (l r)) & @build ~ (n l) & @build ~ (m r)
         @fold = (?(((x x) @more) k) k)
         @more = ({{n m}} ((l r) s)) & @fold ~ (n (l $([+] $(q s)))) & @fold ~ (m (r q))
         @main = s & @fold ~ ({depth} (t s)) & @build ~ ({depth} t)"
    ))
}

/// Counts up for ever.
const ENDLESS: &str = "@loop = (a r) & @loop ~ (b r) & a ~ $([+1] b)\n@main = r & @loop ~ (0 r)";

/// Programs with every kind of interaction, and their results.
pub(super) const PROGRAMS: &[(&str, &str)] = &[
    ("@main = 7", "7"),
    ("@main = (a a)", "(x0 x0)"),
    ("@main = ((a b) (b a))", "((x0 x1) (x1 x0))"),
    ("@main = @id\n@id = (x x)", "@id"),
    ("@main = a & @id ~ (5 a)\n@id = (x x)", "5"),
    ("@main = a & @id ~ (@id a)\n@id = (x x)", "@id"),
    ("@main = r & 3 ~ $([*] $(4 r))", "12"),
    ("@main = r & 3 ~ $(x $(4 r)) & x ~ [*]", "12"),
    ("@main = (a b) & (a b) ~ {1 2}", "({1 2} {1 2})"),
    ("@main = (a b) & {#3 a b} ~ {#4 1 2}", "({#4 1 2} {#4 1 2})"),
    ("@main = (a b) & {#3 a b} ~ {#3 1 2}", "(1 2)"),
    ("@main = r & ?((10 (* 20)) r) ~ 0", "10"),
    ("@main = r & ?((10 (* 20)) r) ~ 3", "20"),
    ("@main = r & ?((10 (p p)) r) ~ 3", "2"),
    ("@main = (a (b c)) & {a {b c}} ~ 9", "(9 (9 9))"),
    ("@main = (a b) & {a b} ~ @k\n@k = (x (* x))", "(@k @k)"),
    (
        "@main = (a b) & {a b} ~ @k\n@k = ({x x} *)",
        "((x0 *) (x0 *))",
    ),
    ("@main = r & * ~ (* {* $(* r)})", "*"),
    ("@main = 1 & * ~ 2 & @main ~ 3 & a ~ b & a ~ b", "1"),
    ("@main = r & a ~ b & b ~ c & c ~ r & a ~ 5", "5"),
    (
        // (2 2) applied to a successor and zero, with a duplicator of its own for each numeral
        "@two = ({(a b) (b c)} (a c))\n@due = ({#1 (a b) (b c)} (a c))\n@inc = ($([+1] r) r)
         @main = r & @two ~ (@due (@inc (0 r)))",
        "4",
    ),
];

#[test]
fn programs_give_their_results_and_the_oracles_counts() {
    for (text, result) in PROGRAMS {
        let book = book(text);
        let call = book.main().unwrap();
        let limits = limits(10_000, 10_000);
        let expected = oracle::reduce(&book, &call, &limits);
        assert_eq!(
            expected.as_ref().map(|o| o.result.as_str()),
            Ok(*result),
            "{text}"
        );
        for threads in THREADS {
            let got = NetEngine::new(&book).reduce(&call, &limits, threads, None);
            assert_eq!(got, expected, "{threads} threads: {text}");
        }
    }
}

#[test]
fn recursion_and_trees_agree_with_the_oracle() {
    for book in [sum(10), tree(10)] {
        let call = book.main().unwrap();
        let expected = oracle::reduce(&book, &call, &limits(PLENTY, 1 << 20)).unwrap();
        assert_eq!(expected.result, "1024");
        for threads in THREADS {
            let got = NetEngine::new(&book).reduce(&call, &limits(PLENTY, 1 << 20), threads, None);
            assert_eq!(got.as_ref(), Ok(&expected), "{threads} threads");
        }
    }
}

/// Compiled tests that miss in every way, on either side of an operator, in patterns within patterns, before a switch.
#[test]
fn what_is_not_there_yet_counts_as_if_it_had_been_a_node() {
    let definitions = [
        "@f = (x r) & 3 ~ $(x r)",
        "@f = (x r) & x ~ $([-3] r)",
        "@f = (x (y r)) & x ~ $(y r)",
        "@f = ((a (b a)) b)",
        "@f = ({a b} (b a))",
        "@f = ({#2 a $([+1] b)} (b a))",
        "@f = (?((@g (@h k)) k) *)",
        "@f = ((@g (@h k)) k)",
        "@f = (* ((* x) x))",
    ];
    let arguments = [
        "1",
        "0",
        "(1 2)",
        "{1 2}",
        "*",
        "@g",
        "@h",
        "$([+1] *)",
        "?((1 2) *)",
    ];
    for definition in definitions {
        for argument in arguments {
            let book = book(&format!(
                "@main = (r s) & @id ~ (x {argument}) & @f ~ (x r) & @f ~ (y s) & @id ~ (y {argument})
                 @id = (x x)\n@g = (x (* x))\n@h = (* (x x))\n{definition}"
            ));
            let call = book.main().unwrap();
            let expected = oracle::reduce(&book, &call, &limits(PLENTY, 1 << 16));
            assert!(expected.is_ok());
            for threads in THREADS {
                let got =
                    NetEngine::new(&book).reduce(&call, &limits(PLENTY, 1 << 16), threads, None);
                assert_eq!(got, expected, "{threads} threads: {definition}, {argument}");
            }
        }
    }
}

/// An endless recursion whose frames hold no node at all.
#[test]
fn frames_are_limited_like_the_nodes_they_spare() {
    let book = book(
        "@main = r & @f ~ (1 r)
         @f = (a r) & @h ~ (a r) & @f ~ (1 *)
         @h = (x y) & @h ~ (x y)",
    );
    let call = book.main().unwrap();
    let got = NetEngine::new(&book).reduce(&call, &limits(1_000_000, 1000), 1, None);
    assert_eq!(got, Err(ReduceError::OutOfHeap { limit: 1000 }));
}

#[test]
fn frames_of_every_size_come_back_whole() {
    for leaves in 2..12 {
        let spine = |name: &str, last: &str| {
            let open: String = (1..leaves).map(|i| format!("({name}{i} ")).collect();
            open + last + &")".repeat(leaves - 1)
        };
        let sum: String = (2..leaves)
            .map(|i| format!(" & s{} ~ $([+] $(x{i} s{i}))", i - 1))
            .collect();
        let book = book(&format!(
            "@main = (a (b c)) & @f ~ {} & @f ~ {} & @f ~ {}
             @f = {} & x1 ~ $([*7] s1){sum}",
            spine("", "a"),
            spine("1", "b"),
            spine("2", "c"),
            spine("x", &format!("s{}", leaves - 1)),
        ));
        let call = book.main().unwrap();
        let expected = oracle::reduce(&book, &call, &limits(PLENTY, 1 << 16)).unwrap();
        for threads in THREADS {
            let got = NetEngine::new(&book).reduce(&call, &limits(PLENTY, 1 << 16), threads, None);
            assert_eq!(
                got.as_ref(),
                Ok(&expected),
                "{threads} threads, {leaves} leaves"
            );
        }
    }
}

/// The newest redex goes first, so what joins the wires is written last.
pub(super) const TAIL_STEPS: [&str; 7] = [
    "@loop ~ (n r)",
    "@loop ~ (n a) & @id ~ (a r)",
    "@loop ~ (n a) & @id ~ (r a)",
    "@loop ~ (n a) & @two ~ (r a)",
    "@loop ~ (n a) & @two ~ (a r)",
    "@loop ~ (n a) & @id ~ (a b) & @id ~ (r b)",
    "@loop ~ (n a) & @id ~ (b r) & @id ~ (c b) & @two ~ (a c)",
];

/// Loops whose output is handed on, by wires joined in either direction, behind an end that never moves.
#[test]
fn a_tail_loop_needs_constant_memory() {
    let outputs = ["r", "(1 r)", "({5 r} *)"];
    for output in outputs {
        for step in TAIL_STEPS {
            let book = book(&format!(
                "@main = {output} & @loop ~ (20000 r)\n@loop = (?((@done @next) r) r)\n@done = 42
                 @next = (n r) & {step}\n@id = (x x)\n@two = (x y) & @id ~ (x y)"
            ));
            let call = book.main().unwrap();
            let expected = oracle::reduce(&book, &call, &limits(PLENTY, 1 << 20)).unwrap();
            for threads in THREADS {
                let got = NetEngine::new(&book).reduce(&call, &limits(PLENTY, 2000), threads, None);
                assert_eq!(
                    got.as_ref(),
                    Ok(&expected),
                    "{threads} threads: {output}, {step}"
                );
            }
        }
    }
}

#[test]
fn a_producer_and_a_consumer_race_on_every_cell() {
    let book = book(
        "@gen = (?((0 @link) l) l)
         @link = ({n m} (m l)) & @gen ~ (n l)
         @fold = (?(((x x) @add) k) k)
         @add = (n ((h t) r)) & @fold ~ (n (t $([+] $(h r))))
         @main = r & @gen ~ (3000 l) & @fold ~ (3000 (l r))",
    );
    let call = book.main().unwrap();
    let engine = NetEngine::new(&book);
    let expected = oracle::reduce(&book, &call, &limits(PLENTY, 1 << 16)).unwrap();
    assert_eq!(expected.result, "4498500");
    for i in 0..60 {
        let got = engine.reduce(&call, &limits(PLENTY, 1 << 16), 2 + i % 3, None);
        assert_eq!(got.as_ref(), Ok(&expected));
    }
}

#[test]
fn four_workers_on_one_net_again_and_again() {
    let book = tree(11);
    let call = book.main().unwrap();
    let engine = NetEngine::new(&book);
    let expected = engine
        .reduce(&call, &limits(PLENTY, 1 << 16), 1, None)
        .unwrap();
    assert_eq!(expected.result, "2048");
    for _ in 0..100 {
        assert_eq!(
            engine
                .reduce(&call, &limits(PLENTY, 1 << 16), 4, None)
                .as_ref(),
            Ok(&expected)
        );
    }
}

#[test]
fn gas_is_exact_whatever_the_number_of_workers() {
    for book in [sum(9), book("@main = 7")] {
        let call = book.main().unwrap();
        let total = oracle::reduce(&book, &call, &limits(PLENTY, 1 << 20))
            .unwrap()
            .counts
            .total();
        let engine = NetEngine::new(&book);
        for threads in THREADS {
            let enough = engine
                .reduce(&call, &limits(total, 1 << 20), threads, None)
                .unwrap();
            assert_eq!(enough.counts.total(), total);
            let short = engine.reduce(&call, &limits(total - 1, 1 << 20), threads, None);
            assert_eq!(short, Err(ReduceError::OutOfGas { limit: total - 1 }));
        }
    }
}

#[test]
fn an_endless_net_stops_soon_after_its_gas() {
    let book = book(ENDLESS);
    let call = book.main().unwrap();
    let engine = NetEngine::new(&book);
    for threads in THREADS {
        for gas in [0, 1, 1000, 100_000] {
            let progress = Progress::default();
            let got = engine.reduce(&call, &limits(gas, 1 << 20), threads, Some(&progress));
            assert_eq!(got, Err(ReduceError::OutOfGas { limit: gas }));
            let made = progress.interactions.load(Ordering::Relaxed);
            // A worker reports after at most its share of what is left, in redexes of a few interactions each.
            assert!(
                made > gas && made < 8 * gas + 1000,
                "{made} interactions for {gas}"
            );
        }
    }
}

#[test]
fn the_heap_limit_is_an_error_not_a_crash() {
    let book = tree(12);
    let call = book.main().unwrap();
    let engine = NetEngine::new(&book);
    for threads in THREADS {
        for nodes in [0, 1, 2, 10, 50] {
            let got = engine.reduce(&call, &limits(PLENTY, nodes), threads, None);
            assert_eq!(
                got,
                Err(ReduceError::OutOfHeap { limit: nodes }),
                "{threads} threads"
            );
        }
    }
}

#[test]
fn a_heap_hands_out_each_node_once_and_surplus_first() {
    let heap = Heap::reserve(10).unwrap();
    for _ in 0..2 {
        let mut free = Vec::new();
        while heap.take(&mut free, 4) {}
        let mut nodes = free.clone();
        nodes.sort_unstable();
        assert_eq!(nodes, (0..10).map(|n| 2 * n).collect::<Vec<_>>());
        assert_eq!(heap.touched(), 10);
        heap.give([4, 6].chunks(2));
        free.clear();
        assert!(heap.take(&mut free, 4) && !heap.take(&mut free, 4));
        assert_eq!(free, [4, 6]);
        heap.reset();
    }
    assert!(Heap::reserve(u64::MAX).is_none_or(|heap| heap.nodes() == 1 << 30));
}

#[test]
fn freed_nodes_are_used_again() {
    let book = sum(16);
    let call = book.main().unwrap();
    let got = NetEngine::new(&book)
        .reduce(&call, &limits(PLENTY, 256), 1, None)
        .unwrap();
    assert_eq!(got.result, "65536");
}

#[test]
fn a_watcher_can_cancel() {
    let book = book(ENDLESS);
    let call = book.main().unwrap();
    let engine = NetEngine::new(&book);
    for threads in THREADS {
        let progress = Progress::default();
        let got = thread::scope(|scope| {
            scope.spawn(|| {
                while progress.interactions.load(Ordering::Relaxed) == 0 {
                    thread::yield_now();
                }
                progress.cancel.store(true, Ordering::Relaxed);
            });
            engine.reduce(&call, &limits(PLENTY, 1 << 10), threads, Some(&progress))
        });
        assert!(matches!(got, Err(ReduceError::Cancelled { interactions }) if interactions > 0));
    }
}

fn batch_on(
    threads: usize,
    engine: &NetEngine<'_>,
    calls: &[Call],
    limits: &Limits,
) -> Vec<Result<Outcome, ReduceError>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    let pool = pool.build().unwrap();
    pool.install(|| engine.reduce_batch(calls, limits))
}

#[test]
fn calls_of_a_batch_do_not_touch_each_other() {
    let book = book(
        "@weight = (stake (age out)) & age ~ $([*] $(stake out))
         @loop = (n r) & @loop ~ (n r)
         @fat = (n r) & @fat ~ ((n n2) (n2 r))
         @main = 0",
    );
    let calls: Vec<Call> = (0..300)
        .map(|i| match i % 5 {
            0 => book.call("loop", vec![Term::u24(i)]).unwrap(),
            1 => book.call("fat", vec![Term::u24(i)]).unwrap(),
            2 => Call {
                entry: 99,
                arguments: Vec::new(),
            },
            3 => Call {
                entry: 0,
                arguments: vec![Term::ERA],
            },
            _ => book
                .call("weight", vec![Term::u24(i), Term::u24(3)])
                .unwrap(),
        })
        .collect();
    let engine = NetEngine::new(&book);
    let limits = limits(2000, 500);
    for threads in [1, 2, 4, 100] {
        let results = batch_on(threads, &engine, &calls, &limits);
        assert_eq!(results.len(), calls.len());
        for (i, (call, result)) in (0..).zip(calls.iter().zip(results)) {
            assert_eq!(result, engine.reduce(call, &limits, 1, None));
            match i % 5 {
                0 => assert_eq!(result, Err(ReduceError::OutOfGas { limit: 2000 })),
                1 => assert_eq!(result, Err(ReduceError::OutOfHeap { limit: 500 })),
                2 | 3 => assert!(matches!(result, Err(ReduceError::InvalidCall(_)))),
                _ => assert_eq!(result.unwrap().number, Some(Term::u24(3 * i))),
            }
        }
    }
    assert!(batch_on(4, &engine, &[], &limits).is_empty());
}

// ---- random nets ----------------------------------------------------------------------------------------------------

/// Turns a stream of bytes, zeros once it ends, into the text of a valid book.
struct Writer<'b> {
    bytes: std::slice::Iter<'b, u8>,
    text: String,
}

impl Writer<'_> {
    fn pick(&mut self, below: u8) -> u8 {
        self.bytes.next().copied().unwrap_or(0) % below
    }

    /// A tree in which every `~` at a leaf stands for the end of some wire.
    fn tree(&mut self, depth: u8, current: u8, definitions: u8) {
        const OPEN: [&str; 6] = ["(", "(", "{", "{#1 ", "$(", "?("];
        const ATOMS: [&str; 7] = ["*", "0", "1", "3", "[+]", "[*3]", "-2"];
        match self.pick(if depth == 0 { 7 } else { 16 }) {
            0..=3 => self.text.push('~'),
            4 => {
                let atom = self.pick(ATOMS.len() as u8);
                self.text.push_str(ATOMS[atom as usize]);
            }
            5 | 6 => {
                // Mostly a later definition: few nets should be endless.
                let from = if self.pick(16) == 1 { 0 } else { current + 1 };
                match definitions.checked_sub(from) {
                    None | Some(0) => self.text.push('*'),
                    Some(later) => {
                        let definition = from + self.pick(later);
                        self.text.push_str(&format!("@d{definition}"));
                    }
                }
            }
            kind => {
                let open = OPEN[(kind - 7) as usize % OPEN.len()];
                self.text.push_str(open);
                self.tree(depth - 1, current, definitions);
                self.text.push(' ');
                self.tree(depth - 1, current, definitions);
                self.text
                    .push(if open.starts_with('{') { '}' } else { ')' });
            }
        }
    }

    /// Gives the ends of wires their names, in pairs; an end left over becomes an eraser.
    fn name_wires(&mut self, tree: &str) -> String {
        let ends = tree.matches('~').count();
        let mut names: Vec<String> = (0..ends / 2 * 2).map(|i| format!("w{}", i / 2)).collect();
        names.resize(ends, "*".to_owned());
        for i in (1..ends).rev() {
            let other = usize::from(self.pick(u8::MAX)) % (i + 1);
            names.swap(i, other);
        }
        let mut names = names.iter();
        tree.split('~')
            .map(|part| part.to_owned() + names.next().map_or("", String::as_str))
            .collect()
    }
}

pub(super) fn random_book(bytes: &[u8]) -> String {
    let mut writer = Writer {
        bytes: bytes.iter(),
        text: String::new(),
    };
    let mut book = String::new();
    let definitions = 1 + writer.pick(5);
    for i in 0..definitions {
        writer.tree(3, i, definitions);
        for _ in 0..writer.pick(3) {
            writer.text.push_str(" & ");
            writer.tree(3, i, definitions);
            writer.text.push_str(" = ");
            writer.tree(2, i, definitions);
        }
        let trees = std::mem::take(&mut writer.text);
        let named = writer.name_wires(&trees).replace(" = ", " ~ ");
        book.push_str(&format!("@d{i} = {named}\n"));
    }
    book + "@main = r & @d0 ~ (1 (2 r))\n@bare = a & @d0 ~ a\n"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_nets_agree_with_the_oracle(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let text = random_book(&bytes);
        let book = book(&text);
        let engine = NetEngine::new(&book);
        let limits = Limits { gas: 2000, nodes: 1 << 20, result_bytes: 10_000 };
        for name in ["main", "bare", "d0"] {
            let call = book.call(name, Vec::new()).unwrap();
            let expected = oracle::reduce(&book, &call, &limits);
            for threads in THREADS {
                prop_assert_eq!(&engine.reduce(&call, &limits, threads, None), &expected);
            }
        }
    }

    #[test]
    fn no_node_of_a_template_has_two_cells(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let book = book(&random_book(&bytes));
        for lowered in template::lower(book.definitions()) {
            check_template(&lowered.plain);
            check_template(&lowered.opened);
        }
    }
}

/// Each node has at most one cell; each cell has exactly one other end if it is a node's, two if it stands alone.
fn check_template(template: &Template) {
    let absent = |slot: &Slot| slot.word == 0 && slot.value == ZERO;
    let ends = |at: usize| {
        let end = (Term::var(at as u32 & 1).0, template::NODES + at as u32 / 2);
        let slots = template
            .nodes
            .iter()
            .chain(&*template.redexes)
            .chain(&*template.joins);
        slots
            .flatten()
            .filter(|slot| (slot.word, slot.value) == end)
            .count()
    };
    for (i, pair) in template.nodes.iter().enumerate() {
        match [absent(&pair[0]), absent(&pair[1])] {
            [false, false] => assert_eq!((ends(2 * i), ends(2 * i + 1)), (0, 0)),
            [true, false] => assert_eq!((ends(2 * i), ends(2 * i + 1)), (1, 0)),
            [false, true] => assert_eq!((ends(2 * i), ends(2 * i + 1)), (0, 1)),
            // A cell with a node of its own: both ends are outside.
            [true, true] => assert_eq!((ends(2 * i), ends(2 * i + 1)), (2, 0)),
        }
    }
}

#[test]
fn what_is_done_on_the_spot_is_what_the_table_says() {
    use crate::spec::rules::opcode;
    let atoms = [
        Term::reference(0, false),
        Term::reference(0, true),
        Term::ERA,
        Term::u24(1),
    ];
    for a in atoms {
        for b in atoms {
            assert_eq!(opcode(a, b), Opcode::Collapse);
        }
    }
    assert_eq!(
        opcode(Term::u24(1), Term::node(Class::Opr, 0, 0)),
        Opcode::Succ
    );
}

// ---- the wire protocol, every interleaving --------------------------------------------------------------------------

/// One end of a wire in the model: its next step on the cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// Holds the node and opens it: reads the cell.
    Opening,
    /// Arrives: reads the cell.
    Arriving,
    /// Found the cell absent: exchanges.
    Exchanging,
    Done,
}

/// A wire in the model.
#[derive(Clone, Copy)]
struct Wire {
    /// Whether a term waits in the cell.
    full: bool,
    freed: bool,
    ends: [End; 2],
}

/// Runs every interleaving from `wire` on; returns how many there are.
fn interleave(wire: Wire) -> u32 {
    if wire.ends == [End::Done; 2] {
        assert!(wire.freed, "the two ends have met and the cell is free");
        return 1;
    }
    let mut runs = 0;
    for i in 0..2 {
        if wire.ends[i] == End::Done {
            continue;
        }
        assert!(!wire.freed, "nobody touches a cell after it was freed");
        let mut next = wire;
        if wire.full {
            // Whatever the step, it finds the other's term: they meet, and the cell is freed.
            (next.ends[i], next.freed) = (End::Done, true);
        } else {
            next.ends[i] = match wire.ends[i] {
                End::Opening => End::Arriving,
                End::Arriving => End::Exchanging,
                End::Exchanging | End::Done => End::Done,
            };
            next.full = wire.ends[i] == End::Exchanging;
        }
        runs += interleave(next);
    }
    runs
}

#[test]
fn a_wire_is_freed_once_and_last_in_every_interleaving() {
    for ends in [
        [End::Opening, End::Arriving],
        [End::Arriving, End::Arriving],
    ] {
        assert!(
            interleave(Wire {
                full: false,
                freed: false,
                ends
            }) >= 6
        );
    }
}

#[test]
fn an_engine_runs_no_other_book_than_its_compiled_form_was_made_from() {
    let [book, other] = [sum(4), sum(5)];
    let engine = NetEngine::new(&book);
    let again = sum(4);
    let shared = NetEngine::of(&again, Arc::clone(engine.compiled())).unwrap();
    let call = book.main().unwrap();
    let run = |engine: &NetEngine<'_>| engine.reduce(&call, &limits(PLENTY, 1 << 16), 1, None);
    assert_eq!(run(&shared), run(&engine));
    assert!(NetEngine::of(&other, Arc::clone(engine.compiled())).is_none());
}

#[test]
fn what_there_is_no_effort_left_for_expands_its_template() {
    let expands = |program: &program::Program| {
        let expand = |op: &&program::Op| matches!(op, program::Op::Expand { .. });
        program.ops.iter().filter(expand).count()
    };
    let books = [sum(6), tree(6)];
    for book in &books {
        let call = book.main().unwrap();
        let expected = oracle::reduce(book, &call, &limits(PLENTY, 1 << 16));
        let expected = expected.unwrap();
        let mut found = Vec::new();
        for effort in [0, 50, 100, 200, usize::MAX] {
            let program = compile::compile_within(book.definitions(), effort);
            // The entry under way when the effort ends is the last.
            assert!(program.ops.len() <= effort.saturating_add(4096));
            found.push(expands(&program));
            let mut compiled = Compiled::new(book);
            compiled.program = program;
            let engine = NetEngine::of(book, Arc::new(compiled)).unwrap();
            for threads in THREADS {
                let outcome = engine.reduce(&call, &limits(PLENTY, 1 << 16), threads, None);
                assert_eq!(outcome.as_ref(), Ok(&expected), "effort {effort}");
            }
        }
        assert!(
            found.is_sorted_by(|a, b| a >= b) && found[0] > 0,
            "{found:?}"
        );
        assert_eq!(found.last(), Some(&0));
    }
}

#[test]
fn a_program_that_leads_out_of_itself_is_noticed() {
    use super::program::{Entry, Op, Program};
    let closed = |ops: &[Op], entry: u32, table: u32| {
        let entry = Entry {
            at: entry,
            nodes: 0,
            arguments: 0,
            inputs: 0,
        };
        let program = Program {
            ops: ops.to_vec(),
            entries: vec![entry],
            tables: vec![table, super::program::NONE],
            ..Program::default()
        };
        program.is_closed()
    };
    let open = |miss| Op::Open {
        from: 0,
        first: 0,
        second: 1,
        w0: 0,
        miss,
    };
    let switch = |zero, miss| Op::Switch {
        from: 0,
        before: 1,
        zero,
        miss,
    };
    assert!(closed(&[open(1), switch(0, 2), Op::End], 2, 1));
    assert!(!closed(&[open(1), switch(0, 2), Op::End], 3, 1));
    assert!(!closed(&[open(1), switch(0, 2), Op::End], 2, 3));
    assert!(!closed(&[open(3), Op::End], 0, 0));
    assert!(!closed(&[switch(2, 0), Op::End], 0, 0));
    assert!(!closed(&[switch(0, 2), Op::End], 0, 0));
    assert!(!closed(&[Op::End, Op::Jump { to: 2 }], 0, 0));
    assert!(!closed(&[Op::End, open(0)], 0, 0));
    assert!(!closed(&[], 0, 0));
}

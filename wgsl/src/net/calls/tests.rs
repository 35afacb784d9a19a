use std::sync::OnceLock;

use ffcm::net::sample::{self, Dialect};
use ffcm::oracle;
use ffcm::testing::Rng;

use super::*;
use crate::device::Options;

fn open(binding_bytes_max: Option<u64>) -> Arc<Gpu> {
    let options = Options {
        binding_bytes_max,
        ..Options::default()
    };
    Arc::new(Gpu::open(&options).expect("an adapter"))
}

fn run(engine: &mut CallsEngine, book: &Arc<Book>, calls: &[Call], limits: &Limits) -> Vec<Ending> {
    engine.run(book, calls, limits).expect("the device works")
}

/// On one device for all tests, so that the kernel is compiled once.
fn engine() -> CallsEngine {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    CallsEngine::new(GPU.get_or_init(|| open(None)), LaneFunctions::Off)
        .expect("the kernel compiles")
}

/// Runs `calls` and compares what is finished with the oracle. How many are not.
fn unfinished(
    engine: &mut CallsEngine,
    book: &Arc<Book>,
    calls: &[Call],
    limits: &Limits,
) -> usize {
    let endings = run(engine, book, calls, limits);
    assert_eq!(endings.len(), calls.len());
    let mut unfinished = 0;
    for (index, (ending, call)) in endings.into_iter().zip(calls).enumerate() {
        match ending {
            Some(found) => {
                let expected = oracle::reduce(book, call, limits);
                assert_eq!(
                    found,
                    expected,
                    "call {index}, {limits:?}\n{}",
                    book.to_text()
                );
            }
            None => {
                // Only where half of a lane's memory would not do for the oracle either.
                let half = Limits {
                    nodes: limits.nodes.min(u64::from(NODES) / 2),
                    ..*limits
                };
                let found = oracle::reduce(book, call, &half);
                let too_large = matches!(found, Err(ReduceError::OutOfHeap { .. }));
                assert!(
                    too_large,
                    "call {index}: {found:?}, {limits:?}\n{}",
                    book.to_text()
                );
                unfinished += 1;
            }
        }
    }
    unfinished
}

fn limits(gas: u64) -> Limits {
    Limits {
        gas,
        ..Limits::default()
    }
}

fn parse(text: &str) -> Arc<Book> {
    Arc::new(Book::parse(text).expect("a valid book"))
}

#[test]
fn host_and_kernel_agree_on_their_constants() {
    let constant = |name: &str| {
        let line = format!("const {name}: u32 = ");
        let (_, rest) = CALLS.split_once(&line).expect(name);
        let (value, _) = rest.split_once("u;").expect(name);
        value.parse::<u32>().expect(name)
    };
    for (name, value) in [
        ("LANES_PER_GROUP", LANES_PER_GROUP),
        ("FUEL", FUEL),
        ("STATUS_NEW", STATUS_NEW),
        ("STATUS_RUNNING", STATUS_RUNNING),
        ("STATUS_DONE", STATUS_DONE),
        ("STATUS_OUT_OF_GAS", STATUS_OUT_OF_GAS),
        ("STATE_ROOT", STATE_ROOT),
        ("STATE_NODES_USED", STATE_NODES_USED),
        ("STATE_WIRES_USED", STATE_WIRES_USED),
        ("STATE_COUNTS", STATE_COUNTS),
    ] {
        assert_eq!(constant(name), value, "{name}");
    }
    assert!(CALLS_LANE.contains(&format!("const CALL_FUEL: u32 = {CALL_FUEL}u;")));
    assert_eq!(constant("STATE_FREE_NODE"), RESULT_WORDS);
    assert_eq!(constant("STATE_GAS") + 2, STATE_WORDS);
}

#[test]
fn random_nets_end_as_those_of_the_oracle() {
    let mut engine = engine();
    let (mut all, mut left) = (0, 0);
    for seed in 0..150 {
        for dialect in [Dialect::Integers, Dialect::Floats] {
            let book = parse(&sample::book(seed, dialect));
            let main = book.main().expect("main");
            let applied = Call {
                arguments: vec![Term::u24(3), Term::i32(-7)],
                ..main.clone()
            };
            let limits = Limits {
                gas: if seed % 2 == 0 { 60 } else { 400 },
                result_bytes: 1000,
                ..Limits::default()
            };
            left += unfinished(&mut engine, &book, &[main, applied], &limits);
            all += 2;
        }
    }
    println!("{left} of {all} calls are left to another engine");
    assert!(left > 0 && left < all / 2, "{left} of {all}");
}

#[test]
fn gas_is_exact() {
    let book = parse(
        "@fact = (?((1 @fact.s) r) r)\n\
         @fact.s = ({a b} r) & @fact ~ (a $([*] $(c r))) & b ~ $([+1] c)\n",
    );
    let calls: Vec<Call> = (0..20)
        .map(|n| book.call("fact", vec![Term::u24(n)]).unwrap())
        .collect();
    let mut engine = engine();
    let total = |call| match oracle::reduce(&book, call, &limits(10_000)) {
        Ok(outcome) => outcome.counts.total(),
        Err(error) => panic!("{error}"),
    };
    for gas in [
        0,
        1,
        total(&calls[7]) - 1,
        total(&calls[7]),
        10_000,
        u64::MAX,
    ] {
        assert_eq!(unfinished(&mut engine, &book, &calls, &limits(gas)), 0);
    }
}

/// Thousands of interactions: several dispatches, and memory used again and again.
#[test]
fn a_long_call_goes_on_from_dispatch_to_dispatch() {
    let book = parse(
        "@loop = (?((0 @loop.s) r) r)\n\
         @loop.s = (n r) & @loop ~ (n $([+2] r))\n\
         @endless = (a r) & @endless ~ (a r)\n",
    );
    let mut engine = engine();
    let calls = [10, 40, 63].map(|n| book.call("loop", vec![Term::u32(n)]).unwrap());
    assert_eq!(unfinished(&mut engine, &book, &calls, &limits(1 << 20)), 0);
    let endless = [book.call("endless", vec![Term::u24(0)]).unwrap()];
    for gas in [5_000, 20_000, 65_536] {
        assert_eq!(unfinished(&mut engine, &book, &endless, &limits(gas)), 0);
    }
    // One lane alone is not kept for ever.
    let endings = run(&mut engine, &book, &endless, &limits(u64::MAX));
    assert_eq!(endings, [None]);
}

#[test]
fn normal_forms_that_are_no_numbers_are_read_back() {
    let book = parse(
        "@list = (?((* @list.s) r) r)\n\
         @list.s = (n (7 r)) & @list ~ (n r)\n\
         @open = (a (b ({#3 b a} @open)))\n\
         @partial = ($([+] r) r)\n\
         @circle = (* (a b)) & (b x) ~ (x a)\n\
         @nothing = (* a) & b ~ (b a)\n\
         @joined = (* a) & (x (x a)) ~ (y (z (y z)))\n",
    );
    let mut calls: Vec<Call> = (0..60)
        .map(|n| book.call("list", vec![Term::u24(n)]).unwrap())
        .collect();
    for name in ["open", "partial", "circle", "nothing", "joined"] {
        calls.push(book.call(name, vec![Term::f32(1.5)]).unwrap());
        calls.push(book.call(name, vec![Term::i24(4); 3]).unwrap());
        calls.push(book.call(name, vec![]).unwrap());
    }
    let mut engine = engine();
    for result_bytes in [0, 1, 2, 40, 10_000] {
        let limits = Limits {
            result_bytes,
            ..limits(5_000)
        };
        assert_eq!(unfinished(&mut engine, &book, &calls, &limits), 0);
    }
}

#[test]
fn what_does_not_fit_is_left_and_the_rest_is_done() {
    // A tree of 2^n leaves, kept whole; a definition of more nodes than a lane has; small calls among them.
    let mut text = String::from(
        "@tree = (?(((* 1) @tree.s) r) r)\n\
         @tree.s = ({a b} (l r)) & @tree ~ (a l) & @tree ~ (b r)\n\
         @double = ($([*2] r) r)\n\
         @large = (* ",
    );
    text.push_str(&"(1 ".repeat(NODES as usize));
    text.push('0');
    text.push_str(&")".repeat(NODES as usize + 1));
    let book = parse(&text);
    let mut calls = Vec::new();
    for n in 0..40 {
        calls.push(book.call("double", vec![Term::u24(n)]).unwrap());
        let depth = if n % 2 == 0 { 12 } else { 1 };
        calls.push(book.call("tree", vec![Term::u24(depth)]).unwrap());
    }
    calls.push(book.call("large", vec![Term::u24(0)]).unwrap());
    let many = vec![Term::u24(0); NODES as usize + 1];
    calls.push(book.call("double", many).unwrap());
    let mut engine = engine();
    let left = unfinished(&mut engine, &book, &calls, &limits(100_000));
    assert_eq!(left, 22);
    // A heap smaller than a lane's is respected.
    let few = Limits {
        nodes: 4,
        ..limits(100_000)
    };
    let endings = run(&mut engine, &book, &calls[..2], &few);
    assert!(endings[0].is_some() && endings[1].is_none());
    assert_eq!(
        run(&mut engine, &book, &calls[..1], &Limits { nodes: 0, ..few }),
        [None]
    );
}

#[test]
fn calls_that_do_not_fit_the_book_are_named() {
    let book = parse("@main = (x x)\n");
    let call = |entry, arguments: &[Term]| Call {
        entry,
        arguments: arguments.to_vec(),
    };
    let calls = [
        call(1, &[]),
        call(0, &[Term::u24(5)]),
        call(u32::MAX, &[Term::u24(5)]),
        call(0, &[Term::var(0)]),
        call(0, &[]),
    ];
    let mut engine = engine();
    assert_eq!(unfinished(&mut engine, &book, &calls, &limits(100)), 0);
    assert_eq!(unfinished(&mut engine, &book, &[], &limits(100)), 0);
}

#[test]
fn a_small_device_takes_a_batch_in_waves() {
    let book = parse("@mix = (a (b r)) & a ~ $([*] $(b $([^77] r)))\n");
    let mut rng = Rng::new(9);
    let mut number = || Term::u32(rng.next_u64() as u32);
    let calls: Vec<Call> = (0..300)
        .map(|_| book.call("mix", vec![number(), number()]).unwrap())
        .collect();
    // 128 lanes of nodes to a binding.
    let mut engine = CallsEngine::new(&open(Some(512 << 10)), LaneFunctions::Off).unwrap();
    assert_eq!(engine.lanes_max(), Some(128));
    assert_eq!(unfinished(&mut engine, &book, &calls, &limits(100)), 0);
    // Not one workgroup.
    let mut engine = CallsEngine::new(&open(Some(255 << 10)), LaneFunctions::Off).unwrap();
    assert_eq!(engine.lanes_max(), None);
    let endings = run(&mut engine, &book, &calls, &limits(100));
    assert!(endings.iter().all(Option::is_none));
}

#[test]
fn a_net_that_leads_out_of_a_lane_is_noticed() {
    let book = parse("@main = 1");
    // One slot of each kind for every lane of a workgroup; lane 1 has these ports.
    let damaged = |[a, b]: [Term; 2]| {
        let mut nodes = vec![0; 4 * LANES_PER_GROUP as usize];
        nodes[4..8].copy_from_slice(&[a.w0(), a.w1(), b.w0(), b.w1()]);
        let heap = LaneHeap {
            nodes: &nodes,
            wires: &[0; 2 * LANES_PER_GROUP as usize],
            definitions: book.definitions().len(),
            lane: 1,
            damaged: Cell::new(false),
        };
        let found = readback(&book, &heap, Term::node(Class::Con, 0, 0), 1000);
        (found.is_ok(), heap.damaged.get())
    };
    let one = Term::u24(1);
    let at = |term: Term, offset: u32| Term(u64::from(offset) << 32 | u64::from(term.w0()));
    assert_eq!(damaged([one, Term::reference(0, true)]), (true, false));
    for port in [
        Term::reference(1, true),
        at(Term::reference(0, false), u32::MAX),
        Term::node(Class::Con, 0, 1),
        at(Term::node(Class::Dup, 5, 0), u32::MAX),
        Term::var(1),
        at(Term::var(0), u32::MAX),
    ] {
        assert!(damaged([port, one]).1, "{port:?}");
    }
}

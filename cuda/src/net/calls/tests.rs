use std::cell::Cell;
use std::path::Path;
use std::sync::OnceLock;

use ffcm::device::net::Outside;
use ffcm::net::sample::{self, Dialect};
use ffcm::oracle;
use ffcm::testing::Rng;

use super::large::PackedHeap;
use super::*;
use crate::device::shim::{self, ShimOptions};

fn open(options: &ShimOptions) -> Arc<Gpu> {
    Arc::new(shim::open(options).expect("a C++ compiler"))
}

/// On one device for all tests, so that the kernels are compiled once.
fn gpu() -> &'static Arc<Gpu> {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    GPU.get_or_init(|| open(&ShimOptions::default()))
}

fn engine() -> CallsEngine {
    engine_on(gpu())
}

fn engine_on(gpu: &Arc<Gpu>) -> CallsEngine {
    CallsEngine::new(gpu).expect("the kernels compile")
}

fn run(engine: &mut CallsEngine, book: &Arc<Book>, calls: &[Call], limits: &Limits) -> Vec<Ending> {
    engine.run(book, calls, limits).expect("the device works")
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
        let about = || format!("call {index}, {limits:?}\n{}", book.to_text());
        if let Some(found) = ending {
            assert_eq!(found, oracle::reduce(book, call, limits), "{}", about());
            continue;
        }
        // Only where half of a thread's memory would not do for the oracle either.
        let half = Limits {
            nodes: limits.nodes.min(u64::from(NODES_MAX) / 2),
            ..*limits
        };
        let found = oracle::reduce(book, call, &half);
        let too_large = matches!(found, Err(ReduceError::OutOfHeap { .. }));
        assert!(too_large, "{found:?}, {}", about());
        unfinished += 1;
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

/// Programs of a folder of the workspace, by name.
fn programs(folder: &str) -> Vec<(String, Arc<Book>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder);
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let mut programs: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "hvm"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("text");
            (path.display().to_string(), parse(&text))
        })
        .collect();
    programs.sort_by(|a, b| a.0.cmp(&b.0));
    programs
}

#[test]
fn host_and_kernel_agree_on_their_constants() {
    let constant = |name: &str| {
        let line = format!("constexpr u32 {name} = ");
        let (_, rest) = SOURCE.text.split_once(&line).expect(name);
        let (value, _) = rest.split_once(';').expect(name);
        let (radix, digits) = match value.strip_prefix("0x") {
            Some(digits) => (16, digits.trim_end_matches('u')),
            None => (10, value),
        };
        u32::from_str_radix(digits, radix).expect(name)
    };
    for (name, value) in [
        ("WARP", WARP),
        ("NO_ENTRY", NO_ENTRY),
        ("STATUS_NEW", STATUS_NEW as u32),
        ("STATUS_RUNNING", STATUS_RUNNING as u32),
        ("STATUS_DONE", STATUS_DONE as u32),
        ("STATUS_OUT_OF_GAS", STATUS_OUT_OF_GAS as u32),
        ("STATUS_LARGER", STATUS_LARGER as u32),
        ("STATUS_HOST", STATUS_HOST as u32),
        ("SMALL_RESULT", small::RESULT as u32),
        ("LARGE_WIRES", large::WIRES),
        ("LARGE_PAIRS", large::PAIRS),
        ("LARGE_FUEL", large::FUEL),
        ("STATE_STATUS", large::STATE_STATUS),
        ("STATE_ROOT", large::STATE_ROOT),
        ("STATE_USED", large::STATE_USED),
        ("STATE_COUNTS", large::STATE_COUNTS),
        ("STATE_RESULT", large::STATE_RESULT),
        ("STATE_WORDS", large::STATE_WORDS),
    ] {
        assert_eq!(constant(name), value, "{name}");
    }
}

#[test]
fn random_nets_end_as_those_of_the_oracle() {
    let mut engine = engine();
    let (mut all, mut left) = (0, 0);
    for seed in 0..400 {
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

/// Small golden programs as calls, and the gas that each needs exactly.
#[test]
fn golden_programs_end_as_those_of_the_oracle() {
    let mut engine = engine();
    let (mut ended, mut left) = (0, 0);
    for (name, book) in programs("ffcm/golden/nets") {
        let main = book.main().expect(&name);
        let Ok(outcome) = oracle::reduce(&book, &main, &limits(20_000)) else {
            continue;
        };
        let total = outcome.counts.total();
        for gas in [total - 1, total, total + 1] {
            for (index, ending) in run(
                &mut engine,
                &book,
                &[main.clone(), main.clone()],
                &limits(gas),
            )
            .into_iter()
            .enumerate()
            {
                match ending {
                    Some(found) => {
                        assert_eq!(
                            found,
                            oracle::reduce(&book, &main, &limits(gas)),
                            "{name}, call {index}, gas {gas} of {total}"
                        );
                        ended += 1;
                    }
                    None => left += 1,
                }
            }
        }
    }
    println!("{ended} ended, {left} left");
    assert!(ended > 40 && left < ended, "{ended} ended, {left} left");
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
    let middle = total(&calls[7]);
    for gas in [0, 1, middle - 1, middle, 10_000, u64::MAX] {
        assert_eq!(unfinished(&mut engine, &book, &calls, &limits(gas)), 0);
    }
}

/// Thousands of interactions: more than a thread's first memory is for, several launches, and memory used again and
/// again.
#[test]
fn a_long_call_goes_on_from_launch_to_launch() {
    let book = parse(
        "@loop = (?((0 @loop.s) r) r)\n\
         @loop.s = (n r) & @loop ~ (n $([+2] r))\n\
         @down = (?((7 @down) r) r)\n\
         @endless = (a r) & @endless ~ (a r)\n",
    );
    let mut engine = engine();
    let calls = [10, 40, 63].map(|n| book.call("loop", vec![Term::u32(n)]).unwrap());
    assert_eq!(unfinished(&mut engine, &book, &calls, &limits(1 << 20)), 0);
    let calls = [300, 3_000, 9_000].map(|n| book.call("down", vec![Term::u32(n)]).unwrap());
    for gas in [9_000, 1 << 20] {
        assert_eq!(unfinished(&mut engine, &book, &calls, &limits(gas)), 0);
    }
    let endless = [book.call("endless", vec![Term::u24(0)]).unwrap()];
    for gas in [5_000, 20_000, 65_536] {
        assert_eq!(unfinished(&mut engine, &book, &endless, &limits(gas)), 0);
    }
    // One thread alone is not kept for ever.
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

/// A tree of 2^n leaves, kept whole; a definition of more nodes than a thread has; small calls.
fn mixed_sizes() -> Arc<Book> {
    let mut text = String::from(
        "@tree = (?(((* 1) @tree.s) r) r)\n\
         @tree.s = ({a b} (l r)) & @tree ~ (a l) & @tree ~ (b r)\n\
         @double = ($([*2] r) r)\n\
         @sine = (x r) & x ~ $([<<] $(0.5f32 r))\n\
         @large = (* ",
    );
    text.push_str(&"(1 ".repeat(NODES_MAX as usize));
    text.push('0');
    text.push_str(&")".repeat(NODES_MAX as usize + 1));
    parse(&text)
}

#[test]
fn what_does_not_fit_is_left_and_the_rest_is_done() {
    let book = mixed_sizes();
    let mut calls = Vec::new();
    for n in 0..40 {
        calls.push(book.call("double", vec![Term::u24(n)]).unwrap());
        let depth = if n % 2 == 0 { 12 } else { 1 };
        calls.push(book.call("tree", vec![Term::u24(depth)]).unwrap());
    }
    calls.push(book.call("large", vec![Term::u24(0)]).unwrap());
    let many = vec![Term::u24(0); NODES_MAX as usize + 1];
    calls.push(book.call("double", many).unwrap());
    let mut engine = engine();
    let left = unfinished(&mut engine, &book, &calls, &limits(100_000));
    assert_eq!(left, 22);
    // Arithmetic that is not within the device's power.
    let sine = [book.call("sine", vec![Term::f32(1.0)]).unwrap()];
    assert_eq!(run(&mut engine, &book, &sine, &limits(100)), [None]);
    // A heap smaller than a thread's is respected.
    let few = Limits {
        nodes: 4,
        ..limits(100_000)
    };
    let endings = run(&mut engine, &book, &calls[..2], &few);
    assert!(endings[0].is_some() && endings[1].is_none());
    let wrong = Call {
        entry: 100,
        arguments: vec![],
    };
    let expected = oracle::reduce(&book, &wrong, &few).unwrap_err();
    assert_eq!(
        run(
            &mut engine,
            &book,
            &[calls[0].clone(), wrong],
            &Limits { nodes: 0, ..few }
        ),
        [None, Some(Err(expected))]
    );
}

/// Which of `calls` have no ending; the others have the oracle's.
fn left_of(engine: &mut CallsEngine, book: &Arc<Book>, calls: &[Call]) -> Vec<usize> {
    let limits = limits(100_000);
    let endings = run(engine, book, calls, &limits);
    let mut left = Vec::new();
    for (index, (ending, call)) in endings.into_iter().zip(calls).enumerate() {
        match ending {
            Some(found) => assert_eq!(found, oracle::reduce(book, call, &limits), "call {index}"),
            None => left.push(index),
        }
    }
    left
}

/// Nets that take all the pairs, nodes or wires of either memory, and one less and one more.
#[test]
fn a_net_may_take_the_last_slot_and_no_more() {
    let mut engine = engine();
    // A definition of n pairs, and that of its root with the call's argument.
    let mut text = String::new();
    for n in 0..80 {
        let pairs = " & * ~ *".repeat(n);
        text.push_str(&format!("@pairs{n} = (* 7){pairs}\n"));
    }
    let book = parse(&text);
    let argument = |n: u32| vec![Term::u24(n)];
    let calls: Vec<Call> = (0..80)
        .map(|n| book.call(&format!("pairs{n}"), argument(n)).unwrap())
        .collect();
    let left = left_of(&mut engine, &book, &calls);
    // Of 64 pairs none can be reduced: an eraser that met a node would leave two.
    assert_eq!(left, (large::PAIRS as usize - 1..80).collect::<Vec<_>>());

    // As many arguments, of which the last is kept. Each takes a node.
    let mut text = String::new();
    let counts: Vec<usize> = (1..40).chain(250..260).collect();
    for n in &counts {
        let (open, close) = ("(* ".repeat(n - 1), ")".repeat(n - 1));
        text.push_str(&format!("@last{n} = {open}(x x){close}\n"));
    }
    let book = parse(&text);
    let calls: Vec<Call> = counts
        .iter()
        .map(|n| {
            let arguments = (0..*n as u32).map(Term::u24).collect();
            book.call(&format!("last{n}"), arguments).unwrap()
        })
        .collect();
    let left = left_of(&mut engine, &book, &calls);
    let most = NODES_MAX as usize / 2;
    assert!(left.iter().all(|index| counts[*index] > most), "{left:?}");
    assert!(left.iter().any(|index| counts[*index] < NODES_MAX as usize));

    // Two wires an element that nothing else holds, or four numbers in four nodes.
    let book = parse(
        "@wires = (?((* @wires.s) r) r)\n\
         @wires.s = (n (x r)) & 7 ~ x & @wires ~ (n r)\n\
         @nodes = (?((* @nodes.s) r) r)\n\
         @nodes.s = (n (1 (2 (3 (4 r))))) & @nodes ~ (n r)\n",
    );
    for (name, most) in [("wires", large::WIRES / 2), ("nodes", NODES_MAX / 4)] {
        // Enough for every slice to be next to others that are used.
        let lengths: Vec<u32> = (0..3).flat_map(|_| most - 20..most + 12).collect();
        let calls: Vec<Call> = lengths
            .iter()
            .map(|n| book.call(name, argument(*n)).unwrap())
            .collect();
        let left = left_of(&mut engine, &book, &calls);
        println!("{name}: {:?}", left.iter().map(|i| lengths[*i]).min());
        assert!(left.iter().all(|index| lengths[*index] > most - 10));
        assert!((0..calls.len()).all(|i| left.contains(&i) || lengths[i] < most));
    }
}

/// Loops of two wires are closed, and their wires used again.
#[test]
fn loops_without_anything_on_them_vanish() {
    let book = parse(
        "@rings = (?((0 @rings.s) r) r)\n\
         @rings.s = (n r) & @rings ~ (n q) & (x (x q)) ~ (y (y r))\n",
    );
    let calls: Vec<Call> = (0..100)
        .map(|n| book.call("rings", vec![Term::u24(n)]).unwrap())
        .collect();
    assert_eq!(
        unfinished(&mut engine(), &book, &calls, &limits(100_000)),
        0
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
    assert_eq!(
        unfinished(&mut engine, &parse(""), &calls[..1], &limits(100)),
        0
    );
}

/// Weight nets are what the thread's own arrays are for: one launch, whatever the number of calls and the order in which
/// threads take turns.
#[test]
fn weight_nets_take_one_launch() {
    let nets = programs("vm-sandboxes/nets");
    assert!(nets.len() >= 2);
    for seed in 1..4 {
        let gpu = open(&ShimOptions {
            seed,
            multiprocessors: seed as u32,
            ..ShimOptions::default()
        });
        let mut engine = engine_on(&gpu);
        for (name, book) in &nets {
            let mut rng = Rng::new(seed);
            for count in [1, 127, 128, 129, 10_000] {
                let calls: Vec<Call> = (0..count)
                    .map(|_| {
                        let mut word = || rng.next_u64() as u32 >> rng.below(32);
                        let arguments = [word(), word(), word()].map(Term::u32);
                        book.call("weight", arguments.to_vec()).expect(name)
                    })
                    .collect();
                let before = gpu.stats().launches;
                assert_eq!(unfinished(&mut engine, book, &calls, &limits(1 << 16)), 0);
                assert_eq!(gpu.stats().launches, before + 1, "{name}, {count} calls");
            }
        }
    }
}

#[test]
fn a_small_device_takes_a_batch_in_waves() {
    let book = mixed_sizes();
    // Every third is small.
    let calls: Vec<Call> = (0..300)
        .map(|n| {
            let name = if n % 3 == 0 { "double" } else { "tree" };
            book.call(name, vec![Term::u24(n % 6)]).unwrap()
        })
        .collect();
    // Slices of about 7 KiB may take a quarter of the memory.
    let with_memory = |memory| {
        let gpu = open(&ShimOptions {
            memory,
            ..ShimOptions::default()
        });
        let mut engine = engine_on(&gpu);
        let left = left_of(&mut engine, &book, &calls).len();
        (left, gpu.stats().launches)
    };
    let (left, launches) = with_memory(2 << 20);
    assert_eq!(left, 0);
    // Four waves and more, each of a launch at least and one that packs results.
    assert!(launches > 9, "{launches} launches");
    let (left, launches_at_once) = with_memory(64 << 20);
    assert_eq!(left, 0);
    assert!(launches_at_once < launches);
    // Not the slices of one warp, or not the calls themselves: nothing is wrong with the device.
    let (left, launches) = with_memory(400 << 10);
    assert_eq!((left, launches), (200, 1));
    for too_little in [20 << 10, 1 << 10] {
        let (left, launches) = with_memory(too_little);
        assert_eq!((left, launches), (300, 0));
    }
}

/// Waves have as many calls as they may, and calls with many arguments make them shorter.
#[test]
fn waves_are_whole_batches() {
    let book = parse("@main = (x x)\n");
    let limits = limits(1);
    let loaded = engine().load(&book).unwrap();
    let batch = Batch {
        book: &loaded,
        limits: &limits,
        nodes: NODES_MAX,
    };
    let lengths = |arguments: usize, count: usize, most: usize| -> Vec<usize> {
        let call = Call {
            entry: 0,
            arguments: vec![Term::u24(1); arguments],
        };
        let calls = vec![call; count];
        let waves = encode::Waves::new(&batch, &calls, most);
        waves.map(|wave| wave.len()).collect()
    };
    assert_eq!(lengths(1, 5_000, 1 << 18), [5_000]);
    assert_eq!(lengths(0, 5_000, 96), [vec![96; 52], vec![8]].concat());
    assert_eq!(lengths(1, 9_000, 4096), [4096, 4096, 808]);
    assert_eq!(lengths(256, 20_000, 1 << 18), [16_384, 3_616]);
    // Calls that do not fit take no place.
    assert_eq!(lengths(257, 20_000, 1 << 18), [20_000]);
    assert_eq!(lengths(1, 0, 32), [] as [usize; 0]);
}

#[test]
fn large_devices_have_more_slices() {
    let book = parse("@main = (x x)\n");
    let limits = limits(1);
    let loaded = engine().load(&book).unwrap();
    let batch = Batch {
        book: &loaded,
        limits: &limits,
        nodes: NODES_MAX,
    };
    let lanes = |multiprocessors, memory| {
        let options = ShimOptions {
            multiprocessors,
            memory,
            ..ShimOptions::default()
        };
        large::lanes_max(&open(&options), &batch)
    };
    let much = 16 << 30;
    assert_eq!(lanes(2, much), 1 << 14);
    assert_eq!(lanes(132, much), 132 * 4 * THREADS);
    let few = lanes(132, 1 << 24);
    assert!(
        (1..1 << 14).contains(&few) && few.is_multiple_of(WARP),
        "{few}"
    );
}

#[test]
fn a_device_that_is_lost_is_an_error() {
    let gpu = open(&ShimOptions::default());
    let mut engine = engine_on(&gpu);
    let book = parse("@main = (x x)\n");
    let calls = vec![book.call("main", vec![Term::u24(1)]).unwrap(); 3];
    gpu.lose();
    let error = engine.run(&book, &calls, &limits(100)).unwrap_err();
    assert!(matches!(error, CudaError::Lost { .. }), "{error}");
}

#[test]
fn a_result_that_leads_out_of_its_memory_is_noticed() {
    let definitions = 1;
    let damaged = |[a, b]: [Term; 2]| {
        let heap = PackedHeap {
            nodes: &[a.0, b.0],
            wires: &[0],
            definitions,
            damaged: Cell::new(false),
        };
        let book = Book::parse("@main = 1").unwrap();
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
    for (cell, expected) in [
        (Term::ABSENT, Ok(Term::var(0))),
        (Term::var(3).with_sub(), Ok(Term::var(0))),
        (one, Ok(one)),
        (Term::reference(0, false), Ok(Term::reference(0, false))),
        (Term::reference(1, false), Err(Outside)),
    ] {
        assert_eq!(root(cell.0, definitions), expected, "{cell:?}");
    }
}

/// Whatever a device reports of a slice is refused or lies within it.
#[test]
fn no_report_is_trusted() {
    let book = parse("@main = (x x)\n");
    let limits = limits(1);
    let loaded = engine().load(&book).unwrap();
    let batch = Batch {
        book: &loaded,
        limits: &limits,
        nodes: 100,
    };
    let state = |nodes: u64, wires: u64, count: u64| {
        move |word: u32| match word {
            large::STATE_ROOT => Term::u24(7).0,
            large::STATE_USED => wires << 32 | nodes,
            _ => count,
        }
    };
    assert!(large::tree(&batch, 0, state(100, 256, 1 << 59)).is_ok());
    assert!(large::tree(&batch, 0, state(101, 256, 0)).is_err());
    assert!(large::tree(&batch, 0, state(100, 257, 0)).is_err());
    assert!(large::tree(&batch, 0, state(0, 0, 1 << 60)).is_err());
    let small = |root: Term, status: u64| small::ending_of(&batch, &[root.0, status, 0]);
    let one = Term::u24(1);
    assert!(matches!(small(one, STATUS_DONE), Ok(Some(Ok(_)))));
    assert_eq!(small(one, STATUS_HOST), Ok(None));
    for (root, status) in [
        (Term::node(Class::Con, 0, 0), STATUS_DONE),
        (Term::reference(1, true), STATUS_DONE),
        (one, STATUS_NEW),
        (one, STATUS_RUNNING),
        (one, 6),
    ] {
        assert_eq!(small(root, status), Err(Outside), "{root:?}, {status}");
    }
}

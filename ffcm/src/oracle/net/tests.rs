use super::*;
use crate::net::readback::readback;
use crate::net::sample::{self, Dialect};
use crate::spec::number::Kind;
use crate::spec::rules::{Rule, TABLE};
use proptest::prelude::*;

const SMALL: Limits = Limits {
    gas: 10_000,
    nodes: 10_000,
    result_bytes: 100_000,
};

fn run(text: &str) -> Result<Outcome, ReduceError> {
    let book = Book::parse(text).expect("a valid book");
    reduce(&book, &book.main().expect("main"), &SMALL)
}

/// Runs `text` and shows the result with the counts, the expansion of main left out: `42 | succ 2`.
fn shown(text: &str) -> String {
    let outcome = match run(text) {
        Ok(outcome) => outcome,
        Err(error) => return error.to_string(),
    };
    let mut shown = format!("{} |", outcome.result);
    for (op, count) in outcome.counts.iter() {
        let count = if op == Opcode::Specialize {
            count - 1
        } else {
            count
        };
        if count > 0 {
            shown += &format!(" {} {count}", op.name());
        }
    }
    shown
}

#[test]
fn every_rule() {
    for (text, want) in [
        // link
        ("@main = a & a ~ 7", "7 |"),
        ("@main = a & a ~ b & b ~ c & c ~ (d d)", "(x0 x0) |"),
        // apply: two nodes of one kind
        ("@main = a & (a b) ~ (1 b)", "1 | apply 1"),
        ("@main = (a b) & $(a b) ~ $(1 2)", "(1 2) | apply 1"),
        ("@main = (a b) & ?(a b) ~ ?(1 2)", "(1 2) | apply 1"),
        // duplicate: an atom and a node, or duplicators of one label
        ("@main = (a b) & 7 ~ (a b)", "(7 7) | duplicate 1"),
        ("@main = (a b) & 7 ~ {a b}", "(7 7) | duplicate 1"),
        (
            "@main = (a b) & @k ~ {a b} @k = (* *)",
            "(@k @k) | duplicate 1",
        ),
        ("@main = (a b) & {a b} ~ {1 2}", "(1 2) | duplicate 1"),
        ("@main = (a b) & {#9 a b} ~ {#9 1 2}", "(1 2) | duplicate 1"),
        // distribute: different kinds, or duplicators of different labels
        (
            "@main = (a b) & (1 2) ~ {a b}",
            "((1 2) (1 2)) | duplicate 2 distribute 1",
        ),
        (
            "@main = (a b) & {#1 a b} ~ {#2 1 2}",
            "({#2 1 2} {#2 1 2}) | duplicate 2 distribute 1",
        ),
        (
            "@main = (a b) & {a b} ~ {#2 c c}",
            "({#2 x0 x0} {#2 x1 x1}) | duplicate 1 distribute 1",
        ),
        (
            "@main = (a b) & ?(x x) ~ (a b)",
            "(?(x0 x0) ?(x1 x1)) | apply 1 distribute 1",
        ),
        (
            "@main = (a b) & ?(x x) ~ $(a b)",
            "(?(x0 x0) ?(x1 x1)) | apply 1 distribute 1",
        ),
        // succ: the operand's place is changed when the slot is no number
        ("@main = a & 7 ~ $([-] $(2 a))", "5 | succ 2"),
        ("@main = a & 7 ~ $(b a) & b ~ [-2]", "16777211 | succ 2"),
        ("@main = a & 7 ~ $(b a) & b ~ [:-2]", "5 | succ 2"),
        (
            "@main = a & 7 ~ $(@k a) @k = [+2]",
            "9 | succ 2 specialize 1",
        ),
        ("@main = a & 7 ~ $(* a)", "* | succ 1 collapse 2"),
        // switch
        (
            "@main = a & 0 ~ ?((5 (* *)) a)",
            "5 | apply 1 switch 1 collapse 3",
        ),
        (
            "@main = a & 3 ~ ?((* (n n)) a)",
            "2 | apply 2 switch 1 collapse 1",
        ),
        // collapse
        ("@main = 1 & * ~ (2 *)", "1 | collapse 3"),
        (
            "@main = 1 & * ~ * & @main ~ @main & 2 ~ 3 & * ~ 4 & @main ~ 5",
            "1 | collapse 5",
        ),
        ("@main = (a b) & * ~ {a b}", "(* *) | collapse 1"),
        // specialize
        (
            "@main = a & @id ~ (9 a) @id = (x x)",
            "9 | apply 1 specialize 1",
        ),
        ("@main = @k @k = 1", "@k |"),
    ] {
        assert_eq!(shown(text), want, "{text}");
    }
}

#[test]
fn a_reference_that_holds_a_duplicator_is_expanded() {
    let text = "@main = (a b) & @d ~ {a b} @d = ({#3 x y} (x y))";
    assert_eq!(
        shown(text),
        "(({#3 x0 x1} (x0 x1)) ({#3 x2 x3} (x2 x3))) | duplicate 2 distribute 3 specialize 1"
    );
}

#[test]
fn a_call_with_arguments_is_an_application() {
    let book = Book::parse("@sub = ($([-] $(b c)) (b c)) @k = 5").expect("a valid book");
    let seven_less_two = book
        .call("sub", vec![Term::u24(7), Term::u24(2)])
        .expect("sub");
    let outcome = reduce(&book, &seven_less_two, &SMALL).expect("reduces");
    assert_eq!(outcome.result, "5");
    assert_eq!(outcome.number, Some(Term::u24(5)));
    assert_eq!(outcome.counts.get(Opcode::Specialize), 1);
    assert_eq!(outcome.counts.get(Opcode::Apply), 2);
    assert_eq!(outcome.counts.get(Opcode::Succ), 3);

    let five_of_one = book.call("k", vec![Term::u24(1)]).expect("k");
    let outcome = reduce(&book, &five_of_one, &SMALL).expect("reduces");
    assert_eq!(outcome.result, "5");

    for (entry, arguments, want) in [
        (9, vec![], "invalid call: no definition number 9"),
        (
            0,
            vec![Term::u24(1), Term::ERA],
            "invalid call: argument 1 is not a number",
        ),
        (
            0,
            vec![Term(u64::MAX)],
            "invalid call: argument 0 is not a number",
        ),
    ] {
        let error = reduce(&book, &Call { entry, arguments }, &SMALL).expect_err("invalid");
        assert_eq!(error.to_string(), want);
    }
}

#[test]
fn gas_is_exactly_what_the_net_needs() {
    let book = Book::parse("@main = a & 7 ~ $([-] $(2 a))").expect("a valid book");
    let call = book.main().expect("main");
    for gas in 0..6 {
        let result = reduce(&book, &call, &Limits { gas, ..SMALL });
        if gas < 3 {
            assert_eq!(result, Err(ReduceError::OutOfGas { limit: gas }));
        } else {
            assert_eq!(result.map(|o| o.counts.total()), Ok(3));
        }
    }
}

#[test]
fn endless_nets_stop() {
    let gas = Err(ReduceError::OutOfGas { limit: SMALL.gas });
    assert_eq!(
        run("@main = a & @loop ~ (1 a) @loop = (a b) & @loop ~ (a b)"),
        gas
    );
    assert_eq!(
        run("@main = a & @loop ~ (a *) @loop = (a b) & @loop ~ (b a)"),
        gas
    );
    // Redexes between atoms do not pile up.
    let text = "@main = 1 & @l ~ (* *) @l = (* *) & @l ~ (* *) & @k ~ * & @k ~ @k @k = 1";
    assert_eq!(run(text), gas);
    // A net that grows for ever reaches the heap limit.
    let grow =
        run("@main = a & @loop ~ (1 a) @loop = (a (b b)) & @loop ~ ((a *) *) & @loop ~ (1 *)");
    assert!(matches!(
        grow,
        Err(ReduceError::OutOfHeap { .. } | ReduceError::OutOfGas { .. })
    ));
}

#[test]
fn heap_limit_counts_nodes() {
    let book = Book::parse("@main = (1 (2 (3 *)))").expect("a valid book");
    let call = book.main().expect("main");
    let limit = |nodes| reduce(&book, &call, &Limits { nodes, ..SMALL });
    assert_eq!(limit(2), Err(ReduceError::OutOfHeap { limit: 2 }));
    assert_eq!(limit(3).map(|o| o.result), Ok("(1 (2 (3 *)))".to_owned()));
    // Nodes are used again: 10 000 applications in three nodes.
    let text =
        "@main = a & @down ~ (2000 a) @down = (?((0 @next) a) a) @next = (a b) & @down ~ (a b)";
    let book = Book::parse(text).expect("a valid book");
    let few = Limits {
        nodes: 6,
        gas: 100_000,
        ..SMALL
    };
    let outcome = reduce(&book, &book.main().expect("main"), &few).expect("reduces");
    assert_eq!(outcome.result, "0");
}

#[test]
fn vicious_circles_are_found() {
    for text in [
        "@main = a & b ~ (a b)",
        "@main = a & (a b) ~ (c c) & b ~ (d d) & * ~ *",
        "@main = (a 1) & b ~ (a b)",
        "@main = a & (a b) ~ c & {b c} ~ {d d}",
    ] {
        let result = run(text);
        if text.contains("(c c)") {
            assert_eq!(result.map(|o| o.result), Ok("(x0 x0)".to_owned()));
        } else {
            assert_eq!(result, Err(ReduceError::ViciousCircle), "{text}");
        }
    }
    // One that the result does not hang on is dropped, like any garbage.
    assert_eq!(shown("@main = 1 & b ~ (* b)"), "1 |");
    assert_eq!(shown("@main = 1 & a ~ b & b ~ a"), "1 |");
}

#[test]
fn long_results_are_cut_off_and_deep_ones_read_back() {
    let list = "@main = a & @list ~ (4000 a)
        @list = (?(((* *) @cons) a) a) @cons = (n ((1 t) *)) & @list ~ (n t)";
    let book =
        Book::parse(&list.replace("(* *)", "*").replace("((1 t) *)", "(1 t)")).expect("valid");
    let call = book.main().expect("main");
    let limits = Limits {
        gas: 1_000_000,
        nodes: 1_000_000,
        result_bytes: 50_000,
    };
    let outcome = reduce(&book, &call, &limits).expect("reduces");
    assert_eq!(outcome.result.matches('(').count(), 4000);
    let short = reduce(
        &book,
        &call,
        &Limits {
            result_bytes: 999,
            ..limits
        },
    );
    assert_eq!(short, Err(ReduceError::ResultTooLong { limit: 999 }));
}

/// A net with one pair of terms whose 5-bit tags are `a` and `b`, four nodes and four wires to point to.
fn pair_of_tags(book: &Book, a: u8, b: u8) -> Result<Counts, ReduceError> {
    let mut net = Net::new(book, &SMALL);
    let mut term = |tag: u8| -> Result<Term, ReduceError> {
        let (class, variant) = (Class::from_code(tag >> 2), tag & 3);
        let value = match class {
            Class::Var => net.new_wire(),
            class if class.is_node() => {
                let ports = [Term::var(net.new_wire()), Term::u24(1)];
                net.new_node(Class::Con, 0, ports)?.offset()
            }
            _ => 0,
        };
        let ext = if class == Class::Num {
            Kind::U24 as u8
        } else {
            0
        };
        Ok(Term::new(class, variant, 0, ext, value))
    };
    let (a, b) = (term(a)?, term(b)?);
    net.link(a, b);
    while let Some((a, b)) = net.next_pair() {
        net.interact(a, b)?;
    }
    Ok(net.counts)
}

#[test]
fn all_1024_tag_pairs_have_a_rule() {
    let book = Book::parse("@main = (a a)").expect("a valid book");
    for a in 0..32u8 {
        for b in 0..32u8 {
            let counts = pair_of_tags(&book, a, b).expect("small");
            let expected = match TABLE[(a >> 2) as usize][(b >> 2) as usize] {
                Rule::Always(op) => op,
                Rule::ByLabel => Opcode::Duplicate,
                Rule::ByCopyable => {
                    let reference = if Class::from_code(a >> 2) == Class::Ref {
                        a
                    } else {
                        b
                    };
                    if reference & 3 == 1 {
                        Opcode::Duplicate
                    } else {
                        Opcode::Specialize
                    }
                }
            };
            if expected == Opcode::Link {
                assert_eq!(counts.total(), 0, "{a} {b}");
            } else {
                assert!(
                    counts.get(expected) > 0,
                    "{a} {b}: {expected:?} in {counts:?}"
                );
            }
            assert_eq!(Ok(counts), pair_of_tags(&book, b, a), "{a} {b}");
        }
    }
}

#[test]
fn the_64_cells() {
    // One letter for each opcode; r: by copyability, d: by label.
    let cells: Vec<String> = TABLE
        .iter()
        .map(|row| {
            row.iter()
                .map(|rule| match rule {
                    Rule::ByLabel => 'd',
                    Rule::ByCopyable => 'r',
                    Rule::Always(op) => "LADXSWCP".as_bytes()[*op as usize] as char,
                })
                .collect()
        })
        .collect();
    assert_eq!(
        cells,
        [
            "LLLLLLLL", "LCCCPrPP", "LCCCCCCC", "LCCCDDSW", "LPCDAXXX", "LrCDXdXX", "LPCSXXAX",
            "LPCWXXXA",
        ]
    );
}

/// Reduces in a random order.
fn reduce_shuffled(book: &Book, limits: &Limits, seed: u64) -> Result<Outcome, ReduceError> {
    let mut state = seed;
    let mut below = |n: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % n
    };
    let mut net = Net::new(book, limits);
    let root = Term::var(net.new_wire());
    net.pay(Opcode::Specialize)?;
    net.specialize(0, root)?;
    loop {
        let (few, many) = (net.shrinking.len(), net.growing.len());
        if few + many == 0 {
            break;
        }
        let i = below(few + many);
        let (a, b) = if i < few {
            net.shrinking.swap_remove(i)
        } else {
            net.growing.swap_remove(i - few)
        };
        net.interact(a, b)?;
    }
    let result = readback(book, &net, root, limits.result_bytes)?;
    Ok(Outcome {
        result: result.text,
        number: result.number,
        counts: net.counts,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_order_of_interactions_does_not_matter(seed in any::<u64>(), order in any::<u64>()) {
        let text = sample::book(seed, Dialect::Floats);
        let book = Book::parse(&text).expect("a valid book");
        let limits = Limits { gas: 500, nodes: 100_000, result_bytes: 100_000 };
        let first = reduce(&book, &book.main().expect("main"), &limits);
        prop_assert_eq!(first, reduce_shuffled(&book, &limits, order), "{}", text);
    }
}

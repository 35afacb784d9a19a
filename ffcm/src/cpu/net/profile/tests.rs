//! Profiles counted by hand, and their laws on every program there is.

use std::path::Path;
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::super::tests::{PROGRAMS, TAIL_STEPS, random_book};
use super::*;
use crate::net::Book;
use crate::testing::Rng;
use Opcode::{Apply, Collapse, Distribute, Duplicate, Link, Specialize, Succ, Switch};

const PLENTY: Limits = Limits {
    gas: 1 << 40,
    nodes: 1 << 22,
    result_bytes: 1 << 20,
};

/// Definitions as (name, expansions, interactions), the span, and the motifs in the order of their opcodes.
type Shown = (Vec<(String, u64, u64)>, u64, Vec<([Opcode; 3], u64)>);

fn show(book: &Book, profile: &Profile) -> Shown {
    let definitions = book.definitions().iter().zip(&profile.definitions);
    let mut motifs: Vec<_> = profile
        .motifs()
        .iter()
        .map(|m| (m.opcodes, m.count))
        .collect();
    motifs.sort();
    (
        definitions
            .map(|(d, p)| (d.name.clone(), p.expansions, p.interactions))
            .collect(),
        profile.span,
        motifs,
    )
}

/// Profiles `entry` applied to `arguments`, a program with this profile.
fn check(
    text: &str,
    (entry, arguments): (&str, &[u32]),
    definitions: &[(&str, u64, u64)],
    span: u64,
    motifs: &[([Opcode; 3], u64)],
) {
    let book = Book::parse(text).unwrap();
    let arguments = arguments.iter().map(|&n| Term::u24(n)).collect();
    let call = book.call(entry, arguments).unwrap();
    let (_, profile) = NetEngine::new(&book).profile(&call, &PLENTY, None).unwrap();
    let definitions = definitions
        .iter()
        .map(|&(name, e, i)| (name.to_owned(), e, i));
    let mut motifs = motifs.to_vec();
    motifs.sort();
    assert_eq!(
        show(&book, &profile),
        (definitions.collect(), span, motifs),
        "{text}"
    );
}

#[test]
fn small_nets_as_counted_by_hand() {
    let main = ("main", &[][..]);
    check(
        "@main = 7",
        main,
        &[("main", 1, 1)],
        1,
        &[([Link, Link, Specialize], 1)],
    );
    check(
        "@f = (x x)",
        ("f", &[3]),
        &[("f", 1, 2)],
        2,
        &[
            ([Link, Link, Specialize], 1),
            ([Link, Specialize, Apply], 1),
        ],
    );
    // The operator meets the first operand, then the second.
    check(
        "@main = r & 3 ~ $([*] $(4 r))",
        main,
        &[("main", 1, 3)],
        3,
        &[
            ([Link, Link, Specialize], 1),
            ([Link, Specialize, Succ], 1),
            ([Specialize, Succ, Succ], 1),
        ],
    );
    // Both arms' constructors, the eraser and 10, the eraser and 2.
    check(
        "@main = r & ?((10 (* 20)) r) ~ 3",
        main,
        &[("main", 1, 6)],
        5,
        &[
            ([Link, Link, Specialize], 1),
            ([Link, Specialize, Switch], 1),
            ([Specialize, Switch, Apply], 1),
            ([Switch, Apply, Collapse], 1),
            ([Switch, Apply, Apply], 1),
            ([Apply, Apply, Collapse], 1),
        ],
    );
    check(
        "@main = (a b) & (a b) ~ {1 2}",
        main,
        &[("main", 1, 4)],
        3,
        &[
            ([Link, Link, Specialize], 1),
            ([Link, Specialize, Distribute], 1),
            ([Specialize, Distribute, Duplicate], 2),
        ],
    );
}

#[test]
fn interactions_belong_to_the_definition_that_made_the_nodes() {
    let main = ("main", &[][..]);
    // Of the two constructors, that of @id was made later.
    check(
        "@main = a & @id ~ (5 a)\n@id = (x x)",
        main,
        &[("main", 1, 1), ("id", 1, 2)],
        3,
        &[
            ([Link, Link, Specialize], 1),
            ([Link, Specialize, Specialize], 1),
            ([Specialize, Specialize, Apply], 1),
        ],
    );
    // The second addition is made with a number that comes from @g, on a node of @main.
    check(
        "@main = r & @g ~ (1 x) & x ~ $([+2] r)\n@g = (a b) & a ~ $([+1] b)",
        main,
        &[("main", 1, 2), ("g", 1, 3)],
        5,
        &[
            ([Link, Link, Specialize], 1),
            ([Link, Specialize, Specialize], 1),
            ([Specialize, Specialize, Apply], 1),
            ([Specialize, Apply, Succ], 1),
            ([Apply, Succ, Succ], 1),
        ],
    );
    // Atoms come from nowhere: they belong to what brought them together.
    check(
        "@main = r & @g ~ (1 r)\n@g = (* (* 2)) & 3 ~ 4",
        main,
        &[("main", 1, 1), ("g", 1, 4)],
        4,
        &[
            ([Link, Link, Specialize], 1),
            ([Link, Specialize, Specialize], 1),
            ([Specialize, Specialize, Collapse], 1),
            ([Specialize, Specialize, Apply], 1),
            ([Specialize, Apply, Collapse], 1),
        ],
    );
}

/// Checks the laws of a profile, in several orders of reduction, and returns whether the net ends.
fn check_laws(book: &Book, call: &Call, limits: &Limits, orders: u64) -> bool {
    let engine = NetEngine::new(book);
    let expected = engine.reduce(call, limits, 1, None);
    let found = engine.profile(call, limits, None);
    let (outcome, profile) = match found {
        Ok(found) => found,
        Err(error) => {
            assert_eq!(Err(error), expected);
            return false;
        }
    };
    assert_eq!(Ok(&outcome), expected.as_ref());
    assert_eq!(profile.counts(), outcome.counts);
    let total = outcome.counts.total();
    let all = |number: fn(&DefinitionProfile) -> u64| -> u64 {
        profile.definitions.iter().map(number).sum()
    };
    assert_eq!(all(|d| d.interactions), total);
    assert_eq!(all(|d| d.expansions), outcome.counts.get(Specialize));
    assert!(
        profile
            .definitions
            .iter()
            .all(|d| d.expansions <= d.interactions)
    );
    assert!((1..=total).contains(&profile.span));
    let motifs = profile.motifs();
    assert_eq!(motifs.iter().map(|m| m.count).sum::<u64>(), total);
    assert!(motifs.is_sorted_by_key(|m| std::cmp::Reverse(m.count)));
    for motif in motifs {
        assert_eq!(profile.count(motif.opcodes), motif.count);
    }
    for seed in 0..orders {
        let mut rng = Rng::new(seed);
        let any = |stack: &mut Vec<reducer::Redex>| {
            let at = rng.below(stack.len().max(1) as u64) as usize;
            (!stack.is_empty()).then(|| stack.swap_remove(at))
        };
        let other = engine.profile_in_order(call, limits, None, any).unwrap();
        assert_eq!(other, (outcome.clone(), profile.clone()));
    }
    true
}

#[test]
fn any_order_gives_the_same_profile() {
    for (text, _) in PROGRAMS {
        let book = Book::parse(text).unwrap();
        assert!(
            check_laws(&book, &book.main().unwrap(), &PLENTY, 20),
            "{text}"
        );
    }
}

#[test]
fn golden_programs_have_their_outcome_and_one_profile() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/nets");
    let mut programs = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "hvm") {
            let book = Book::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
            assert!(
                check_laws(&book, &book.main().unwrap(), &PLENTY, 2),
                "{path:?}"
            );
            programs += 1;
        }
    }
    assert!(programs > 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_nets_have_their_outcome_and_one_profile(
        bytes in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        let book = Book::parse(&random_book(&bytes)).unwrap();
        let limits = Limits { gas: 2000, ..PLENTY };
        check_laws(&book, &book.main().unwrap(), &limits, 3);
    }
}

#[test]
fn limits_are_those_of_the_engine() {
    let text = "@main = r & @sum ~ (7 r)\n@sum = (?((1 @two) r) r)
        @two = ({a b} r) & @sum ~ (a x) & @sum ~ (b y) & x ~ $([+] $(y r))";
    let book = Book::parse(text).unwrap();
    let (call, engine) = (book.main().unwrap(), NetEngine::new(&book));
    let (outcome, _) = engine.profile(&call, &PLENTY, None).unwrap();
    let total = outcome.counts.total();
    let with = |limits: Limits| {
        engine
            .profile(&call, &limits, None)
            .map(|(outcome, _)| outcome)
    };
    assert_eq!(
        with(Limits {
            gas: total,
            ..PLENTY
        }),
        Ok(outcome)
    );
    for gas in [0, 1, total - 1] {
        let error = ReduceError::OutOfGas { limit: gas };
        assert_eq!(with(Limits { gas, ..PLENTY }), Err(error));
    }
    for nodes in [0, 1, 20] {
        let error = ReduceError::OutOfHeap { limit: nodes };
        assert_eq!(with(Limits { nodes, ..PLENTY }), Err(error));
    }
    let error = ReduceError::ResultTooLong { limit: 1 };
    assert_eq!(
        with(Limits {
            result_bytes: 1,
            ..PLENTY
        }),
        Err(error)
    );
    let nobody = Call {
        entry: 9,
        ..call.clone()
    };
    assert!(matches!(
        engine.profile(&nobody, &PLENTY, None),
        Err(ReduceError::InvalidCall(_))
    ));
}

/// Loops whose output is handed on, by wires joined in either direction, behind an end that never moves.
#[test]
fn a_tail_loop_needs_constant_memory() {
    for output in ["r", "(1 r)", "({5 r} *)"] {
        for step in TAIL_STEPS {
            let text = format!(
                "@main = {output} & @loop ~ (20000 r)\n@loop = (?((@done @next) r) r)\n@done = 42
                 @next = (n r) & {step}\n@id = (x x)\n@two = (x y) & @id ~ (x y)"
            );
            let book = Book::parse(&text).unwrap();
            let limits = Limits {
                nodes: 2000,
                ..PLENTY
            };
            let call = book.main().unwrap();
            let found = NetEngine::new(&book).profile(&call, &limits, None);
            assert!(found.is_ok(), "{output}, {step}: {:?}", found.err());
        }
    }
}

#[test]
fn a_watcher_sees_how_far_it_is_and_can_cancel() {
    let text = "@loop = (a r) & @loop ~ (b r) & a ~ $([+1] b)\n@main = r & @loop ~ (0 r)";
    let book = Book::parse(text).unwrap();
    let call = book.main().unwrap();
    let progress = Progress::default();
    let engine = NetEngine::new(&book);
    let gas = 100_000;
    let got = engine.profile(&call, &Limits { gas, ..PLENTY }, Some(&progress));
    assert_eq!(got, Err(ReduceError::OutOfGas { limit: gas }));
    let seen = progress.interactions.load(Ordering::Relaxed);
    assert!(seen <= gas && seen + 4096 > gas, "{seen}");
    progress.cancel.store(true, Ordering::Relaxed);
    let got = engine.profile(&call, &PLENTY, Some(&progress));
    assert_eq!(got, Err(ReduceError::Cancelled { interactions: 4096 }));
}

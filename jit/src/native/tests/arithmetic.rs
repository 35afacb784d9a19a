//! Every operator on every kind, in line and through the runtime, against [`ffcm::spec::number`].

use ffcm::net::partial::Shape;
use ffcm::spec::number::{Kind, Number, Operator, operate};
use ffcm::spec::word::Term;
use proptest::prelude::*;

use super::mock::{Mock, placed};
use super::programs::{block, function, module, symbol, v};
use crate::ir::{End, Function, Inst, Mode, Module};
use crate::native::Placed;

/// Kinds whose operations are in line.
const INTEGERS: [Kind; 4] = [Kind::U24, Kind::U32, Kind::I24, Kind::I32];

/// Payloads at which operations do something special.
const EDGES: [u32; 12] = [
    0,
    1,
    2,
    3,
    24,
    31,
    33,
    0x7f_ffff,
    0x80_0000,
    0xff_ffff,
    0x7fff_ffff,
    0x8000_0000,
];

fn plain(kind: Kind, bits: u32) -> Term {
    let bits = if kind.is_wide() {
        bits
    } else {
        bits & 0xff_ffff
    };
    Number::Plain(kind, bits).term()
}

fn numbers() -> Vec<Term> {
    let kinds = Kind::ALL.into_iter();
    let each = |kind| {
        let edges = EDGES.into_iter().chain([u32::MAX]);
        edges.map(move |bits| plain(kind, bits))
    };
    kinds.flat_map(each).collect()
}

fn load(to: u32, term: Term) -> Inst {
    Inst::Load { to: v(to), term }
}

fn step(to: u32, [number, left]: [u32; 2], flip: bool) -> Inst {
    let (number, left) = if flip { (left, number) } else { (number, left) };
    Inst::Operate {
        to: v(to),
        number: v(number),
        left: v(left),
        steps: 1,
        swapped: false,
    }
}

/// Has nothing but constants of a kind, so that others are guessed to be of it.
fn with_guess(kind: Kind, mut functions: Vec<Function>) -> Module {
    let insts = (0..1 + functions.len() as u32 * 4)
        .map(|to| load(to, plain(kind, 0)))
        .collect::<Vec<_>>();
    let values = insts.len() as u32;
    let blocks = vec![block(&[], insts, End::Return { outs: vec![v(0)] })];
    let mut witness = function(&[Mode::Out], values, blocks);
    witness.shape = Shape::Leaf;
    functions.push(witness);
    module(functions)
}

/// One function for each operator: applied to two numbers that come in.
fn binary(kind: Kind) -> Module {
    let functions = Operator::ALL.into_iter().enumerate();
    let one = |(at, operator): (usize, Operator)| {
        let insts = vec![
            load(2, symbol(operator)),
            step(3, [0, 2], at % 2 == 0),
            step(4, [3, 1], at % 3 == 0),
        ];
        let blocks = vec![block(&[], insts, End::Return { outs: vec![v(4)] })];
        function(&[Mode::In, Mode::In, Mode::Out], 5, blocks)
    };
    with_guess(kind, functions.map(one).collect())
}

fn check_binary(code: &Placed, guess: Kind, a: Term, b: Term) {
    let mut mock = Mock::new(2);
    for (entry, operator) in Operator::ALL.into_iter().enumerate() {
        let expected = operate(operate(symbol(operator), a), b);
        let found = mock.call(code, entry as u32, &[a, b]);
        assert_eq!(found, [expected], "{a:?} {operator:?} {b:?}");
        let inline = [a, b]
            .map(Term::as_plain)
            .iter()
            .all(|one| one.is_some_and(|(kind, _)| kind == guess));
        assert_eq!(mock.asked.is_empty(), inline, "{a:?} {operator:?} {b:?}");
        mock.asked.clear();
    }
}

#[test]
fn operators_on_edges() {
    for kind in INTEGERS {
        let code = placed(&binary(kind));
        for &a in &numbers() {
            for &b in &numbers() {
                check_binary(&code, kind, a, b);
            }
        }
    }
}

#[test]
fn operators_on_random_numbers() {
    let codes = INTEGERS.map(|kind| placed(&binary(kind)));
    let kinds = (0..Kind::ALL.len(), 0..Kind::ALL.len());
    proptest!(|((i, j) in kinds, a: u32, b: u32)| {
        let (a, b) = (plain(Kind::ALL[i], a), plain(Kind::ALL[j], b));
        for (code, kind) in codes.iter().zip(INTEGERS) {
            check_binary(code, kind, a, b);
        }
    });
}

/// Functions of one number that know the other.
fn with_constant(operator: Operator, kind: Kind, constant: Term, partial: Term) -> Module {
    let right = vec![
        load(1, symbol(operator)),
        load(2, constant),
        step(3, [0, 1], false),
        step(4, [3, 2], false),
    ];
    let left = vec![load(1, partial), step(4, [0, 1], false)];
    let modes = [Mode::In, Mode::Out];
    let whole = |insts| {
        let blocks = vec![block(&[], insts, End::Return { outs: vec![v(4)] })];
        function(&modes, 5, blocks)
    };
    with_guess(kind, vec![whole(right), whole(left)])
}

fn check_constant(operator: Operator, guess: Kind, constant: Term) {
    let partial = operate(symbol(operator), constant);
    let code = placed(&with_constant(operator, guess, constant, partial));
    let mut mock = Mock::new(2);
    for a in numbers() {
        let right = operate(operate(symbol(operator), a), constant);
        let left = operate(partial, a);
        for (entry, expected) in [(0, right), (1, left)] {
            let found = mock.call(&code, entry, &[a]);
            assert_eq!(found, [expected], "{operator:?} {a:?} {constant:?}");
            let inline = a.as_plain().is_some_and(|(kind, _)| kind == guess);
            assert_eq!(mock.asked.is_empty(), inline, "{operator:?} {a:?}");
            mock.asked.clear();
        }
    }
}

#[test]
fn operators_with_a_constant() {
    for operator in Operator::ALL {
        for (at, kind) in INTEGERS.into_iter().enumerate() {
            // Of the guessed kind, and of another.
            let other = INTEGERS[(at + operator as usize) % 4];
            for bits in [0, 1, 3, 10, 0xff_ffff] {
                check_constant(operator, kind, plain(kind, bits));
            }
            check_constant(operator, kind, plain(other, 7));
        }
    }
}

#[test]
fn operators_with_one_operand_are_terms_where_they_are_asked_for() {
    for kind in INTEGERS {
        let insts = vec![load(1, symbol(Operator::Sub)), step(2, [0, 1], false)];
        let blocks = vec![block(&[], insts, End::Return { outs: vec![v(2)] })];
        let code = placed(&with_guess(
            kind,
            vec![function(&[Mode::In, Mode::Out], 3, blocks)],
        ));
        let mut mock = Mock::new(2);
        for a in numbers() {
            let expected = operate(symbol(Operator::Sub), a);
            assert_eq!(mock.call(&code, 0, &[a]), [expected]);
        }
    }
}

#[test]
fn casts() {
    for from in INTEGERS {
        let casts = Kind::ALL.into_iter().map(|to| {
            let insts = vec![load(1, Number::Cast(to).term()), step(2, [0, 1], false)];
            let blocks = vec![block(&[], insts, End::Return { outs: vec![v(2)] })];
            function(&[Mode::In, Mode::Out], 3, blocks)
        });
        let code = placed(&with_guess(from, casts.collect()));
        let mut mock = Mock::new(2);
        for a in numbers() {
            for (entry, to) in Kind::ALL.into_iter().enumerate() {
                let expected = operate(Number::Cast(to).term(), a);
                assert_eq!(
                    mock.call(&code, entry as u32, &[a]),
                    [expected],
                    "{a:?} {to:?}"
                );
            }
        }
    }
}

#[test]
fn what_is_no_number_is_left_to_the_runtime() {
    let code = placed(&binary(Kind::U24));
    let wire = Term::var(3);
    for pair in [[wire, Term::u24(1)], [Term::u24(1), wire], [wire, wire]] {
        let mut mock = Mock::new(8);
        // Nothing waits there.
        mock.heap[3] = super::mock::ABSENT;
        let found = mock.call(&code, 0, &pair);
        assert_eq!(found, [Term::var(2)]);
        assert_eq!(mock.names(), ["operate", "operate"]);
    }
}

//! Whole functions: recursion, loops, last calls.

use ffcm::net::partial::{Shape, Tally};
use ffcm::spec::number::{Number, Operator};
use ffcm::spec::rules::Opcode;
use ffcm::spec::word::{Class, Term};

use super::mock::{Mock, placed};
use crate::ir::{Block, BlockId, End, Function, FunctionId, Inst, Mode, Module, Type, ValueId};

pub fn v(number: u32) -> ValueId {
    ValueId(number)
}

pub fn block(counts: &[(Opcode, u64)], insts: Vec<Inst>, end: End) -> Block {
    let mut tally = Tally::default();
    let mut total = 0;
    for &(opcode, n) in counts {
        tally.add(Tally::of(opcode, n));
        total += n;
    }
    Block {
        tally,
        total,
        insts,
        end,
    }
}

pub fn function(modes: &[Mode], values: u32, blocks: Vec<Block>) -> Function {
    let shape = (2..modes.len()).fold(Shape::base(), |shape, _| {
        Shape::Pair(Box::new(Shape::Leaf), Box::new(shape))
    });
    Function {
        definition: 0,
        name: "test".to_owned(),
        shape,
        modes: modes.to_vec(),
        types: vec![Type::Term; values as usize],
        blocks,
    }
}

pub fn module(functions: Vec<Function>) -> Module {
    Module {
        functions: functions.into_iter().map(Some).collect(),
    }
}

pub fn symbol(operator: Operator) -> Term {
    Number::Operator(operator).term()
}

/// The sum of 2^n ones, one by one.
pub fn sum() -> Module {
    let dup = Term::node(Class::Dup, 0, 0).w0();
    let this = FunctionId(0);
    let blocks = vec![
        block(
            &[
                (Opcode::Specialize, 1),
                (Opcode::Apply, 2),
                (Opcode::Switch, 1),
            ],
            vec![],
            End::Switch {
                from: v(0),
                zero: BlockId(1),
                successor: BlockId(2),
                before: v(1),
                other: BlockId(3),
            },
        ),
        block(
            &[(Opcode::Collapse, 1)],
            vec![Inst::Load {
                to: v(2),
                term: Term::u24(1),
            }],
            End::Return { outs: vec![v(2)] },
        ),
        block(
            &[(Opcode::Duplicate, 1), (Opcode::Succ, 3)],
            vec![
                Inst::Reserve { nodes: 2 },
                Inst::Copy {
                    first: v(3),
                    second: v(4),
                    from: v(1),
                    w0: dup,
                },
                Inst::Call {
                    outs: vec![v(5)],
                    function: this,
                    ins: vec![v(3)],
                },
                Inst::Call {
                    outs: vec![v(6)],
                    function: this,
                    ins: vec![v(4)],
                },
                Inst::Load {
                    to: v(7),
                    term: symbol(Operator::Add),
                },
                Inst::Reserve { nodes: 2 },
                Inst::Operate {
                    to: v(8),
                    number: v(5),
                    left: v(7),
                    steps: 1,
                    swapped: false,
                },
                Inst::Operate {
                    to: v(9),
                    number: v(8),
                    left: v(6),
                    steps: 2,
                    swapped: false,
                },
            ],
            End::Return { outs: vec![v(9)] },
        ),
        block(
            &[],
            vec![
                Inst::Reserve { nodes: 1 },
                Inst::Wire { to: v(10) },
                Inst::Defer {
                    entry: 0,
                    leaves: vec![v(0), v(10)],
                },
            ],
            End::Return { outs: vec![v(10)] },
        ),
    ];
    let mut sum = function(&[Mode::In, Mode::Out], 11, blocks);
    sum.types[1] = Type::Number;
    module(vec![sum])
}

#[test]
fn a_sum_is_made_without_the_runtime() {
    let code = placed(&sum());
    let mut mock = Mock::new(8);
    assert_eq!(mock.call(&code, 0, &[Term::u24(10)]), [Term::u24(1024)]);
    assert!(mock.asked.is_empty(), "{:?}", mock.asked);
    assert_eq!(mock.counted(Opcode::Succ), 3 * 1023);
    assert_eq!(mock.counted(Opcode::Switch), 2047);
}

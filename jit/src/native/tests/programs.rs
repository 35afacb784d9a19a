//! Whole functions: recursion, loops, last calls.

use ffcm::net::partial::{Shape, Tally};
use ffcm::spec::number::{Number, Operator};
use ffcm::spec::rules::Opcode;
use ffcm::spec::word::{Class, Term};

use super::mock::{Asked, Mock, placed};
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

#[test]
fn a_sum_of_other_numbers_is_asked_for() {
    // What is summed are ones of 24 bits; what comes in may be anything.
    let code = placed(&sum());
    let mut mock = Mock::new(8);
    assert_eq!(mock.call(&code, 0, &[Term::u32(3)]), [Term::u24(8)]);
    assert!(mock.asked.is_empty());
    let found = mock.call(&code, 0, &[Term::ERA]);
    assert_eq!(found, [Term::var(0)]);
    assert_eq!(mock.names(), ["wire", "defer"]);
}

#[test]
fn every_call_asks_when_its_ticks_are_used_up() {
    let code = placed(&sum());
    let mut mock = Mock::new(8);
    mock.context.ticks = 0;
    mock.quantum = 1;
    assert_eq!(mock.call(&code, 0, &[Term::u24(4)]), [Term::u24(16)]);
    let entered = mock.names().iter().filter(|name| **name == "enter").count();
    assert_eq!(entered, 31, "each call uses up one tick at least");
    let total =
        [Opcode::Specialize, Opcode::Apply, Opcode::Switch].map(|opcode| mock.counted(opcode));
    assert_eq!(total, [31, 62, 31]);
}

#[test]
fn a_call_that_may_not_go_on_returns_what_it_is_told() {
    let code = placed(&sum());
    let mut mock = Mock::new(8);
    mock.context.ticks = 0;
    // The outermost call goes on, its first one does not.
    mock.enters = vec![false, true];
    mock.quantum = 1;
    // What it is told is 4242; the other call gives 2.
    assert_eq!(mock.call(&code, 0, &[Term::u24(2)]), [Term::u24(4244)]);
}

#[test]
fn the_stack_is_looked_at() {
    let code = placed(&sum());
    let mut mock = Mock::new(8);
    mock.stack = Some(1024);
    mock.context.ticks = 0;
    mock.enters = vec![false; 1 << 12];
    mock.enters.push(true);
    let [found] = mock.call(&code, 0, &[Term::u24(11)])[..] else {
        panic!("one result");
    };
    // The outermost call asked for its ticks. Some calls fit; on each path the first that does not was answered for.
    let left = mock.names().iter().filter(|name| **name == "enter").count() - 1;
    assert!((4..1 << 11).contains(&left), "{left}");
    assert_eq!(found, Term::u24(4242 * left as u32));
}

#[test]
fn a_run_that_is_over_unwinds() {
    let code = placed(&sum());
    let mut mock = Mock::new(1);
    mock.memory = false;
    assert_eq!(mock.call(&code, 0, &[Term::u24(30)]), [Term::ERA]);
    assert_eq!(mock.names(), ["reserve"]);
}

#[test]
fn gas_is_looked_at_after_calls() {
    let code = placed(&sum());
    let mut mock = Mock::new(8);
    mock.quantum = 1;
    // As after many calls that returned without one being entered.
    mock.context.ticks = 1;
    assert_eq!(mock.call(&code, 0, &[Term::u24(1)]), [Term::u24(2)]);
    assert!(!mock.names().contains(&"reserve"));
    mock.asked.clear();
    mock.context.ticks = ffcm::cpu::native::TICKS_MIN;
    mock.quantum = ffcm::cpu::native::TICKS_MIN;
    assert_eq!(mock.call(&code, 0, &[Term::u24(1)]), [Term::u24(2)]);
    assert!(mock.names().contains(&"reserve"));
}

/// Counts down; the sum of what was met is the second argument.
fn countdown(callee: u32) -> Function {
    let blocks = vec![
        block(
            &[(Opcode::Specialize, 1)],
            vec![],
            End::Switch {
                from: v(0),
                zero: BlockId(1),
                successor: BlockId(2),
                before: v(2),
                other: BlockId(1),
            },
        ),
        block(&[], vec![], End::Return { outs: vec![v(1)] }),
        block(
            &[(Opcode::Succ, 1)],
            vec![
                Inst::Load {
                    to: v(3),
                    term: Number::Partial {
                        operator: Operator::Add,
                        bits: 2,
                        wide: false,
                    }
                    .term(),
                },
                Inst::Reserve { nodes: 1 },
                Inst::Operate {
                    to: v(4),
                    number: v(1),
                    left: v(3),
                    steps: 1,
                    swapped: true,
                },
            ],
            End::Tail {
                function: FunctionId(callee),
                ins: vec![v(2), v(4)],
            },
        ),
    ];
    function(&[Mode::In, Mode::In, Mode::Out], 5, blocks)
}

#[test]
fn loops_and_last_calls_take_no_stack() {
    let alone = module(vec![countdown(0)]);
    let three = module(vec![countdown(2), countdown(0), countdown(1)]);
    for code in [placed(&alone), placed(&three)] {
        let mut mock = Mock::new(8);
        let here = 0_u8;
        mock.context.stack_limit = (&raw const here).addr() as u64 - (16 << 10);
        mock.context.ticks = i64::MAX;
        let turns = 1_000_000;
        let found = mock.call(&code, 0, &[Term::u24(turns), Term::u24(5)]);
        assert_eq!(found, [Term::u24(2 * turns + 5)]);
        assert!(mock.asked.is_empty());
        let ticks = u64::try_from(i64::MAX - mock.context.ticks).unwrap();
        assert_eq!(ticks, 2 * u64::from(turns) + 1);
    }
}

#[test]
fn every_turn_of_a_loop_asks_too() {
    let code = placed(&module(vec![countdown(0)]));
    let mut mock = Mock::new(8);
    mock.context.ticks = 0;
    mock.quantum = 1;
    let found = mock.call(&code, 0, &[Term::u24(9), Term::u24(0)]);
    assert_eq!(found, [Term::u24(18)]);
    assert_eq!(mock.names(), ["enter"; 10]);
    mock.asked.clear();
    mock.enters = vec![false, true, true];
    mock.context.ticks = 0;
    let found = mock.call(&code, 0, &[Term::u24(9), Term::u24(0)]);
    assert_eq!(found, [Term::u24(4242)]);
    let seven = Asked("enter", vec![0, Term::u24(7).0]);
    assert_eq!(mock.asked.last(), Some(&seven));
}

/// As many leaves as a shape has: more than registers for arguments, all ways between one in and none.
#[test]
fn leaves_keep_their_order() {
    for ins in 0..=8_u32 {
        let outs = 8 - ins;
        let values = 8 + 9;
        // The second function returns constants and the first of what came in; the first one hands all through.
        let inner: Vec<Inst> = (0..outs)
            .map(|at| Inst::Load {
                to: v(ins + at),
                term: Term::u24(70 + at),
            })
            .chain((0..ins).map(|at| Inst::Link { a: v(at), b: v(at) }))
            .collect();
        let given = (0..outs).map(|at| v(ins + at)).collect();
        let call = Inst::Call {
            outs: (0..outs).map(|at| v(ins + at)).collect(),
            function: FunctionId(1),
            ins: (0..ins).map(v).collect(),
        };
        let mut modes = vec![Mode::In; ins as usize];
        modes.extend(vec![Mode::Out; outs as usize]);
        let returned = (0..outs).rev().map(|at| v(ins + at)).collect();
        let outer = block(&[], vec![call], End::Return { outs: returned });
        let inner = block(&[], inner, End::Return { outs: given });
        let tail = End::Tail {
            function: FunctionId(0),
            ins: (0..ins).map(v).collect(),
        };
        let code = placed(&module(vec![
            function(&modes, values, vec![outer]),
            function(&modes, values, vec![inner]),
            function(&modes, values, vec![block(&[], vec![], tail)]),
        ]));
        for entry in [0, 2] {
            let mut mock = Mock::new(8);
            let terms: Vec<Term> = (0..ins).map(Term::u24).collect();
            let found = mock.call(&code, entry, &terms);
            let expected: Vec<Term> = (0..outs).rev().map(|at| Term::u24(70 + at)).collect();
            assert_eq!(found, expected);
            let links = terms.iter().map(|t| Asked("link", vec![t.0, t.0]));
            assert_eq!(mock.asked, links.collect::<Vec<_>>());
        }
    }
}

//! Instructions that touch memory, each way they can go.

use ffcm::net::partial::CON;
use ffcm::spec::rules::Opcode;
use ffcm::spec::word::{Class, Term};

use super::mock::{ABSENT, Asked, Mock, placed};
use super::programs::{block, function, module, v};
use crate::ir::{Block, BlockId, End, FunctionId, Inst, Mode, Type};
use crate::native::Placed;

const DUP: u32 = Term::node(Class::Dup, 3, 0).w0();

fn returned(outs: &[u32]) -> End {
    End::Return {
        outs: outs.iter().map(|&out| v(out)).collect(),
    }
}

/// A function of one block.
fn one(
    ins: usize,
    values: u32,
    counts: &[(Opcode, u64)],
    insts: Vec<Inst>,
    outs: &[u32],
) -> Placed {
    let mut modes = vec![Mode::In; ins];
    modes.extend(vec![Mode::Out; outs.len()]);
    let blocks = vec![block(counts, insts, returned(outs))];
    placed(&module(vec![function(&modes, values, blocks)]))
}

fn opener() -> Placed {
    let open = Inst::Open {
        first: v(1),
        second: v(2),
        from: v(0),
    };
    let insts = vec![Inst::Reserve { nodes: 2 }, open];
    one(1, 3, &[(Opcode::Apply, 1)], insts, &[1, 2])
}

#[test]
fn a_constructor_is_taken_apart_and_freed() {
    let code = opener();
    let mut mock = Mock::new(4);
    let slots = [Term::u24(5), Term::node(Class::Swi, 0, 6).with_sub()];
    let node = mock.node(CON, slots);
    let found = mock.call(&code, 0, &[node]);
    assert_eq!(found, slots.map(Term::without_sub));
    assert!(mock.asked.is_empty());
    assert_eq!(mock.free_nodes(), [0, 2, 4, 6]);
    assert_eq!(mock.counted(Opcode::Apply), 1);
}

#[test]
fn a_full_list_of_free_nodes_is_the_runtimes() {
    let code = opener();
    let mut mock = Mock::new(4);
    let node = mock.node(CON, [Term::u24(5), Term::u24(6)]);
    mock.context.free_capacity = mock.context.free_length;
    assert_eq!(mock.call(&code, 0, &[node]), [Term::u24(5), Term::u24(6)]);
    assert_eq!(mock.asked, [Asked("free", vec![0])]);
}

#[test]
fn an_open_constructor_and_what_is_none_are_the_runtimes() {
    let code = opener();
    for (slots, expected) in [
        ([ABSENT, Term::u24(6).0], [Term::var(0), Term::u24(6)]),
        ([Term::u24(5).0, ABSENT], [Term::u24(5), Term::var(1)]),
    ] {
        let mut mock = Mock::new(4);
        let node = mock.node(CON, slots.map(Term));
        assert_eq!(mock.call(&code, 0, &[node]), expected);
        assert_eq!(mock.asked, [Asked("open", vec![node.0])]);
        assert_eq!(mock.free_nodes(), [2, 4, 6]);
    }
    let wire = Term::var(3);
    for other in [Term::u24(1), Term::ERA, wire, Term::node(Class::Dup, 0, 0)] {
        let mut mock = Mock::new(4);
        mock.heap[3] = ABSENT;
        let found = mock.call(&code, 0, &[other]);
        assert_eq!(found, [Term::u24(100), Term::u24(101)]);
        assert_eq!(mock.counted(Opcode::Apply), 0);
    }
}

fn copier(number: bool) -> Placed {
    let copy = Inst::Copy {
        first: v(1),
        second: v(2),
        from: v(0),
        w0: DUP,
    };
    let blocks = vec![block(
        &[],
        vec![Inst::Reserve { nodes: 2 }, copy],
        returned(&[1, 2]),
    )];
    let mut copier = function(&[Mode::In, Mode::Out, Mode::Out], 3, blocks);
    if number {
        copier.types[0] = Type::Number;
    }
    placed(&module(vec![copier]))
}

#[test]
fn atoms_are_copied_and_nothing_else() {
    let code = copier(false);
    let mut mock = Mock::new(4);
    let numbers = [Term::u24(7), Term::i32(-7), Term::f24(1.5)];
    for atom in numbers.into_iter().chain([Term::reference(9, true)]) {
        assert_eq!(mock.call(&code, 0, &[atom]), [atom, atom]);
    }
    assert!(mock.asked.is_empty());
    for other in [
        Term::reference(9, false),
        Term::ERA,
        Term::var(3),
        Term::node(Class::Con, 0, 2),
    ] {
        mock.asked.clear();
        let found = mock.call(&code, 0, &[other]);
        assert_eq!(found, [Term::u24(200), Term::u24(201)]);
        assert_eq!(mock.asked, [Asked("copy", vec![other.0, u64::from(DUP)])]);
    }
    let code = copier(true);
    assert_eq!(mock.call(&code, 0, &[numbers[0]]), [numbers[0]; 2]);
}

#[test]
fn atoms_are_erased_and_nothing_else() {
    let code = one(1, 1, &[], vec![Inst::Erase { from: v(0) }], &[]);
    let mut mock = Mock::new(4);
    for atom in [
        Term::u24(7),
        Term::ERA,
        Term::reference(1, true),
        Term::reference(1, false),
    ] {
        mock.call(&code, 0, &[atom]);
    }
    assert!(mock.asked.is_empty());
    for class in [Class::Con, Class::Dup, Class::Opr, Class::Swi] {
        let node = Term::node(class, 0, 4);
        mock.call(&code, 0, &[node]);
        assert_eq!(mock.asked.pop(), Some(Asked("erase", vec![node.0])));
    }
    mock.call(&code, 0, &[Term::var(3)]);
    assert_eq!(mock.names(), ["erase"]);
}

#[test]
fn nodes_and_cells_are_written() {
    let opr = Term::node(Class::Opr, 0, 0).w0();
    let insts = vec![
        Inst::Reserve { nodes: 3 },
        Inst::Allocate { to: v(2), w0: CON },
        Inst::Node {
            to: v(3),
            w0: opr,
            slots: [Some(v(0)), None],
            variable: true,
        },
        Inst::Cell {
            to: v(4),
            node: v(3),
            side: 1,
        },
        Inst::Node {
            to: v(5),
            w0: DUP,
            slots: [Some(v(1)), Some(v(4))],
            variable: false,
        },
        Inst::Write {
            at: v(2),
            slots: [None, Some(v(5))],
            variable: false,
        },
        Inst::Cell {
            to: v(6),
            node: v(2),
            side: 0,
        },
    ];
    let code = one(2, 7, &[], insts, &[2, 3, 6]);
    let mut mock = Mock::new(4);
    let found = mock.call(&code, 0, &[Term::u24(1), Term::u24(2)]);
    let node = |w0: u32, offset: u64| Term(offset << 32 | u64::from(w0));
    assert_eq!(found, [node(CON, 0), node(opr, 2), Term::var(0)]);
    let expected = [
        ABSENT,
        node(DUP, 4).0,
        Term::u24(1).with_sub().0,
        ABSENT,
        Term::u24(2).0,
        Term::var(3).0,
    ];
    assert_eq!(mock.heap[..6], expected);
    assert_eq!(mock.free_nodes(), [6]);
    assert!(mock.asked.is_empty());
}

#[test]
fn memory_is_asked_for_once_and_a_run_that_is_over_ends() {
    let code = opener();
    let mut mock = Mock::new(4);
    mock.context.free_length = 1;
    let node = mock.node(CON, [Term::u24(5), Term::u24(6)]);
    assert_eq!(mock.call(&code, 0, &[node]), [Term::u24(5), Term::u24(6)]);
    assert_eq!(mock.asked, [Asked("reserve", vec![2])]);
    mock.memory = false;
    mock.context.free_length = 0;
    assert_eq!(mock.call(&code, 0, &[node]), [Term::ERA, Term::ERA]);
}

#[test]
fn terms_are_given_to_the_runtime() {
    let insts = vec![
        Inst::Reserve { nodes: 2 },
        Inst::Wire { to: v(3) },
        Inst::Link { a: v(0), b: v(3) },
        Inst::Apply {
            from: v(1),
            first: v(2),
            second: v(3),
        },
        Inst::Load {
            to: v(4),
            term: Term::u24(9),
        },
        Inst::Defer {
            entry: 6,
            leaves: vec![v(4), v(4)],
        },
    ];
    let code = one(3, 5, &[], insts, &[4]);
    let mut mock = Mock::new(4);
    let [a, b, c] = [Term::u24(1), Term::reference(2, false), Term::u24(3)];
    assert_eq!(mock.call(&code, 0, &[a, b, c]), [Term::u24(9)]);
    let wire = Term::var(0).0;
    let nine = Term::u24(9).0;
    let expected = [
        Asked("wire", vec![]),
        Asked("link", vec![a.0, wire]),
        Asked("apply", vec![b.0, c.0, wire]),
        Asked("defer", vec![6, nine, nine]),
    ];
    assert_eq!(mock.asked, expected);
}

fn constant_block(value: u32, number: u32) -> Block {
    let insts = vec![Inst::Load {
        to: v(value),
        term: Term::u24(number),
    }];
    block(&[], insts, returned(&[value, 0]))
}

/// Returns which way was taken, and the number looked at or the one before.
fn switcher() -> Placed {
    let insts = vec![Inst::Load {
        to: v(3),
        term: Term::u24(2),
    }];
    let blocks = vec![
        block(
            &[],
            vec![],
            End::Switch {
                from: v(0),
                zero: BlockId(1),
                successor: BlockId(2),
                before: v(1),
                other: BlockId(3),
            },
        ),
        constant_block(2, 1),
        block(&[], insts, returned(&[3, 1])),
        constant_block(4, 3),
    ];
    placed(&module(vec![function(
        &[Mode::In, Mode::Out, Mode::Out],
        5,
        blocks,
    )]))
}

#[test]
fn a_switch_looks_at_the_payload() {
    let code = switcher();
    let mut mock = Mock::new(4);
    let [zero, successor, other] = [1, 2, 3].map(Term::u24);
    for (number, expected) in [
        (Term::u24(0), [zero, Term::u24(0)]),
        (Term::u24(1), [successor, Term::u24(0)]),
        (Term::u24(0xff_ffff), [successor, Term::u24(0xff_fffe)]),
        (Term::u32(0), [zero, Term::u32(0)]),
        (Term::u32(u32::MAX), [successor, Term::u32(u32::MAX - 1)]),
        (Term::i24(-1), [successor, Term::u24(0xff_fffe)]),
        (Term::i32(-1), [successor, Term::u32(u32::MAX - 1)]),
        (Term::f24(0.0), [zero, Term::f24(0.0)]),
        (Term::ERA, [other, Term::ERA]),
        (Term::reference(3, true), [other, Term::reference(3, true)]),
        (
            Term::node(Class::Con, 0, 2),
            [other, Term::node(Class::Con, 0, 2)],
        ),
    ] {
        assert_eq!(mock.call(&code, 0, &[number]), expected, "{number:?}");
        assert!(mock.asked.is_empty());
    }
    // At the end of a wire, and at one where nothing waits.
    mock.heap[3] = Term::u24(5).with_sub().0;
    let found = mock.call(&code, 0, &[Term::var(3)]);
    assert_eq!(found, [successor, Term::u24(4)]);
    mock.heap[3] = ABSENT;
    let found = mock.call(&code, 0, &[Term::var(3)]);
    assert_eq!(found, [other, Term::var(3)]);
    assert_eq!(mock.names(), ["resolve", "resolve"]);
}

#[test]
fn a_match_finds_each_definition() {
    for count in [1_u32, 2, 3, 4, 9] {
        let cases = (0..count).map(|at| (3 * at + 1, BlockId(1 + at)));
        let end = End::Match {
            from: v(0),
            cases: cases.clone().collect(),
            other: BlockId(count + 1),
        };
        let mut blocks = vec![block(&[], vec![], end)];
        blocks.extend((0..=count).map(|at| constant_block(1 + at, 50 + at)));
        let modes = [Mode::In, Mode::Out, Mode::Out];
        let code = placed(&module(vec![function(&modes, count + 2, blocks)]));
        let mut mock = Mock::new(4);
        for definition in 0..3 * count + 3 {
            let way = match definition % 3 {
                1 if definition / 3 < count => definition / 3,
                _ => count,
            };
            for copyable in [false, true] {
                let reference = Term::reference(definition, copyable);
                let expected = [Term::u24(50 + way), reference];
                assert_eq!(mock.call(&code, 0, &[reference]), expected);
                mock.heap[3] = reference.with_sub().0;
                assert_eq!(mock.call(&code, 0, &[Term::var(3)]), expected);
            }
        }
        let number = Term::u24(1);
        assert_eq!(
            mock.call(&code, 0, &[number]),
            [Term::u24(50 + count), number]
        );
    }
}

#[test]
fn a_function_that_there_is_not_is_an_error() {
    let call = |function, ins: Vec<_>| Inst::Call {
        outs: vec![],
        function: FunctionId(function),
        ins,
    };
    for bad in [
        call(1, vec![]),
        call(7, vec![]),
        call(0, vec![]),
        Inst::Erase { from: v(5) },
        Inst::Load {
            to: v(9),
            term: Term::ERA,
        },
    ] {
        let blocks = vec![block(&[], vec![bad], returned(&[]))];
        let mut wrong = module(vec![function(&[Mode::In], 6, blocks)]);
        wrong.functions.push(None);
        let mut renderer = crate::native::Renderer::new().unwrap();
        let error = renderer.render(&wrong, || true).unwrap_err();
        assert!(matches!(error, crate::native::RenderError::Invalid { .. }));
    }
}

/// A switch on one value in each arm of a switch on another: each arm goes on with its own.
#[test]
fn branches_do_not_see_each_other() {
    let switch = |from: u32, first: u32, before: u32| End::Switch {
        from: v(from),
        zero: BlockId(first),
        successor: BlockId(first + 1),
        before: v(before),
        other: BlockId(first + 2),
    };
    let mut blocks = vec![block(&[], vec![], switch(0, 1, 2))];
    blocks.extend((0..3).map(|arm| block(&[], vec![], switch(1, 4 + 3 * arm, 3 + arm))));
    blocks.extend((0..9).map(|_| block(&[], vec![], returned(&[0, 1]))));
    let modes = [Mode::In, Mode::In, Mode::Out, Mode::Out];
    let code = placed(&module(vec![function(&modes, 6, blocks)]));
    let terms = [
        Term::u24(0),
        Term::u24(5),
        Term::ERA,
        Term::u32(0),
        Term::i32(7),
    ];
    for a in terms {
        for b in terms {
            assert_eq!(Mock::new(1).call(&code, 0, &[a, b]), [a, b]);
        }
    }
}

//! Trees that are taken apart at once, each way they can be built, and what is none.

use ffcm::net::partial::CON;
use ffcm::spec::word::Term;

use super::mock::{ABSENT, Asked, Mock, placed};
use super::programs::{block, function, module, v};
use crate::ir::{BlockId, End, Inst, Mode, Tree, Type};
use crate::native::Placed;

fn pair(first: Tree, second: Tree) -> Tree {
    Tree::Pair(Box::new([first, second]))
}

/// Answers what is in the holes of `((_ w0) (* (_ w0)))`, or its argument and 77.
fn taker() -> Placed {
    let inner = pair(Tree::Hole, Tree::Wire(0));
    let tree = pair(inner.clone(), pair(Tree::Eraser, inner));
    let end = End::Take {
        from: v(0),
        tree,
        holes: vec![v(1), v(2)],
        then: BlockId(1),
        other: BlockId(2),
    };
    let load = Inst::Load {
        to: v(3),
        term: Term::u24(77),
    };
    let answer = |outs: [u32; 2]| End::Return {
        outs: outs.map(v).to_vec(),
    };
    let blocks = vec![
        block(&[], vec![], end),
        block(&[], vec![], answer([1, 2])),
        block(&[], vec![load], answer([0, 3])),
    ];
    let mut function = function(&[Mode::In, Mode::Out, Mode::Out], 4, blocks);
    function.types[3] = Type::Number;
    placed(&module(vec![function]))
}

/// A worker with that tree in nodes 0, 2, 4 and 6, the ends of its wire in slots 1 and 7, and 5 and 6 in its holes.
fn planted(ends: [Term; 2]) -> (Box<Mock>, Term) {
    let mut mock = Mock::new(6);
    let near = mock.node(CON, [Term::u24(5), ends[0]]);
    let root = mock.node(CON, [near, Term::ABSENT]);
    let lower = mock.node(CON, [Term::ERA, Term::ABSENT]);
    let far = mock.node(CON, [Term::u24(6), ends[1]]);
    mock.heap[3] = lower.0;
    mock.heap[5] = far.0;
    (mock, root)
}

/// A wire whose cell is one of its ends.
const NEAR: [Term; 2] = [Term(ABSENT), Term::var(1)];
const FAR: [Term; 2] = [Term::var(7), Term(ABSENT)];

#[test]
fn trees_are_taken_apart_and_freed() {
    let code = taker();
    for ends in [NEAR, FAR] {
        let (mut mock, root) = planted(ends);
        // Some of it has come through wires.
        mock.heap[4] = Term::ERA.with_sub().0;
        mock.heap[6] = Term::u24(8).with_sub().0;
        assert_eq!(mock.call(&code, 0, &[root]), [Term::u24(5), Term::u24(8)]);
        assert!(mock.asked.is_empty());
        let mut free = mock.free_nodes();
        free.sort_unstable();
        assert_eq!(free, [0, 2, 4, 6, 8, 10]);
    }
}

#[test]
fn a_tree_at_the_end_of_a_wire_is_resolved() {
    let code = taker();
    let (mut mock, root) = planted(NEAR);
    let wire = mock.take();
    mock.heap[wire as usize] = root.with_sub().0;
    let end = Term::var(wire);
    assert_eq!(mock.call(&code, 0, &[end]), [Term::u24(5), Term::u24(6)]);
    assert_eq!(mock.asked, [Asked("resolve", vec![end.0])]);
}

#[test]
fn a_full_list_of_free_nodes_is_the_runtimes() {
    let code = taker();
    let (mut mock, root) = planted(FAR);
    mock.context.free_capacity = mock.context.free_length + 3;
    assert_eq!(mock.call(&code, 0, &[root]), [Term::u24(5), Term::u24(6)]);
    assert_eq!(mock.names(), ["free"; 4]);
    let mut freed: Vec<u64> = mock.asked.iter().map(|asked| asked.1[0]).collect();
    freed.sort_unstable();
    assert_eq!(freed, [0, 2, 4, 6]);
}

/// Any slot that is another changes nothing.
#[test]
fn what_is_another_tree_stays() {
    let code = taker();
    let node = Term(u64::from(CON) | 8 << 32);
    let others = [
        // No holes, an open hole, another tree, no tree.
        (0, Term(ABSENT)),
        (6, Term(ABSENT)),
        (2, Term::u24(1)),
        (3, Term::var(9)),
        (4, node),
        (4, Term::u24(0)),
        (5, Term::reference(0, false)),
        // Ends of other wires, and a cell that something waits in.
        (1, Term::var(9)),
        (7, Term::var(9)),
        (7, Term::var(7)),
        (7, Term(ABSENT)),
        (1, Term::u24(3).with_sub()),
    ];
    for (slot, term) in others {
        let (mut mock, root) = planted(NEAR);
        mock.heap[slot] = term.0;
        let before = (mock.heap.clone(), mock.free_nodes());
        assert_eq!(mock.call(&code, 0, &[root]), [root, Term::u24(77)]);
        assert_eq!(
            (mock.heap.clone(), mock.free_nodes()),
            before,
            "{slot} {term:?}"
        );
        assert!(mock.asked.is_empty());
    }
    let mut mock = Mock::new(2);
    for term in [Term::ERA, Term::u24(1), Term::reference(0, true)] {
        assert_eq!(mock.call(&code, 0, &[term]), [term, Term::u24(77)]);
    }
    assert!(mock.asked.is_empty());
}

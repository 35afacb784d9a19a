use ffcm::cpu::Compiled;
use ffcm::net::Book;
use ffcm::net::partial::{CON, Shape, Tally};
use ffcm::spec::rules::Opcode;
use ffcm::spec::word::Term;

use super::*;

const SUM: &str = "@main = out & @sum ~ (3 (0 out))
    @sum = (?(((i i) @both) k) k)
    @both = ({n m} ({$([*2] i) $([*2] $([+1] j))} total))
      &! @sum ~ (n (i $([+] $(rest total))))
      &! @sum ~ (m (j rest))";

/// A module of a few functions, and the function in it that has most to check.
struct Sample {
    module: Module,
    entries: Vec<(u32, Shape)>,
    sum: usize,
}

fn sample() -> Sample {
    let book = Book::parse(SUM).unwrap();
    let compiled = Compiled::new(&book);
    let entries = compiled.entries().to_vec();
    let module = crate::fuse(book.definitions(), &entries);
    let goes_out = |function: &Option<Function>| {
        let function = function.as_ref().unwrap();
        function.name == "sum" && function.modes == [Mode::In, Mode::In, Mode::Out]
    };
    let sum = module.functions.iter().position(goes_out).unwrap();
    Sample {
        module,
        entries,
        sum,
    }
}

/// What is found when a function has been changed.
fn fault(change: impl FnOnce(&mut Function)) -> Option<Fault> {
    let Sample {
        mut module,
        entries,
        sum,
    } = sample();
    change(module.functions[sum].as_mut().unwrap());
    let found = validate(&module, 3, &entries).err()?;
    Some(found.fault)
}

fn inst(function: &mut Function, is: impl Fn(&Inst) -> bool) -> &mut Inst {
    let insts = function
        .blocks
        .iter_mut()
        .flat_map(|block| &mut block.insts);
    insts.into_iter().find(|inst| is(inst)).unwrap()
}

/// Adds instructions at the beginning.
fn prepend(function: &mut Function, insts: impl IntoIterator<Item = Inst>, types: &[Type]) {
    function.types.extend(types);
    function.blocks[0].insts.splice(0..0, insts);
}

#[test]
fn what_the_compiler_writes_is_valid() {
    assert_eq!(fault(|_| {}), None);
}

#[test]
fn functions_are_those_of_their_entries() {
    let Sample {
        module, entries, ..
    } = sample();
    let found = validate(&module, 3, &entries[1..]).unwrap_err();
    assert_eq!(found.fault, Fault::Entries);
    assert_eq!(fault(|f| f.definition = 0), Some(Fault::Entry));
    assert_eq!(fault(|f| f.shape = Shape::base()), Some(Fault::Entry));
    // Not a call of it is right then, either.
    let shorter = fault(|f| f.modes.truncate(1));
    assert!(matches!(shorter, Some(Fault::Call(_))));
    let Sample {
        mut module,
        entries,
        sum,
    } = sample();
    let alone = module.functions[sum].take().unwrap();
    module.functions.fill(None);
    module.functions[sum] = Some(Function {
        modes: vec![Mode::In],
        ..alone
    });
    assert_eq!(
        validate(&module, 3, &entries).unwrap_err().fault,
        Fault::Modes
    );
}

#[test]
fn values_are_written_and_used_as_often_as_they_may_be() {
    let next = ValueId(
        sample().module.functions[sample().sum]
            .as_ref()
            .unwrap()
            .types
            .len() as u32,
    );
    let unknown = |f: &mut Function| prepend(f, [Inst::Erase { from: next }], &[]);
    assert_eq!(fault(unknown), Some(Fault::Unwritten(next.0)));
    let early = |f: &mut Function| prepend(f, [Inst::Erase { from: next }], &[Type::Term]);
    assert_eq!(fault(early), Some(Fault::Unwritten(next.0)));
    let load = Inst::Load {
        to: ValueId(0),
        term: Term::ERA,
    };
    assert_eq!(
        fault(|f| prepend(f, [load], &[])),
        Some(Fault::Rewritten(0))
    );
    let erase = Inst::Erase { from: ValueId(0) };
    let twice = |f: &mut Function| prepend(f, [erase.clone(), erase.clone()], &[]);
    assert_eq!(fault(twice), Some(Fault::Reused(0)));
    // A branch looks at what is not there any more.
    assert_eq!(
        fault(|f| prepend(f, [erase.clone()], &[])),
        Some(Fault::Reused(0))
    );
    let wire = |f: &mut Function| {
        let insts = [
            Inst::Reserve { nodes: 1 },
            Inst::Wire { to: next },
            Inst::Erase { from: next },
        ];
        prepend(f, insts, &[Type::Term]);
    };
    assert_eq!(fault(wire), Some(Fault::Unused(next.0)));
    let load = |term| Inst::Load { to: next, term };
    let number = |f: &mut Function| prepend(f, [load(Term::u24(1))], &[Type::Term]);
    assert_eq!(fault(number), Some(Fault::Mistyped(next.0)));
    let unused = |f: &mut Function| prepend(f, [load(Term::u24(1))], &[Type::Number]);
    assert_eq!(fault(unused), None);
    for term in [Term::var(0), Term::reference(3, true)] {
        let atom = |f: &mut Function| prepend(f, [load(term)], &[Type::Term]);
        assert_eq!(fault(atom), Some(Fault::Atom));
    }
}

#[test]
fn blocks_form_a_tree() {
    let End::Switch {
        zero, successor, ..
    } = sample().module.functions[sample().sum]
        .as_ref()
        .unwrap()
        .blocks[0]
        .end
    else {
        panic!("a switch");
    };
    let named = |to: BlockId| {
        fault(move |f| {
            if let End::Switch { zero, .. } = &mut f.blocks[0].end {
                *zero = to;
            }
        })
    };
    assert_eq!(named(successor), Some(Fault::Tree(successor.0)));
    assert_eq!(named(BlockId(0)), Some(Fault::Tree(0)));
    assert_eq!(named(BlockId(99)), Some(Fault::Tree(99)));
    let alone = fault(|f| {
        let block = f.blocks[zero.0 as usize].clone();
        f.blocks.push(block);
    });
    assert!(matches!(alone, Some(Fault::Tree(_))));
}

#[test]
fn memory_is_made_sure_of_and_counters_are_looked_at() {
    let reserve = |inst: &Inst| matches!(inst, Inst::Reserve { .. });
    let less = fault(|f| *inst(f, reserve) = Inst::Reserve { nodes: 1 });
    assert_eq!(less, Some(Fault::Unreserved));
    let total = fault(|f| f.blocks[0].total += 1);
    assert_eq!(total, Some(Fault::Tally));
    let large = fault(|f| {
        f.blocks[0].tally = Tally::of(Opcode::Apply, 5000);
        f.blocks[0].total = 5000;
    });
    assert_eq!(large, Some(Fault::Tally));
    // The branch comes after a call.
    let late = fault(|f| {
        let at = f
            .blocks
            .iter()
            .position(|b| b.insts.iter().any(|i| matches!(i, Inst::Call { .. })));
        let at = at.unwrap();
        let End::Return { outs } = f.blocks[at].end.clone() else {
            panic!("a return")
        };
        let last = f.blocks.len() as u32;
        let block = |outs: Vec<ValueId>| Block {
            tally: Tally::of(Opcode::Switch, 1),
            total: 1,
            insts: vec![],
            end: End::Return { outs },
        };
        let to = ValueId(f.types.len() as u32);
        f.types.extend([Type::Number, Type::Number]);
        f.blocks[at].insts.push(Inst::Load {
            to,
            term: Term::u24(0),
        });
        f.blocks.extend([
            block(outs.clone()),
            block(outs.clone()),
            block(outs.clone()),
        ]);
        f.blocks[at].end = End::Switch {
            from: to,
            zero: BlockId(last),
            successor: BlockId(last + 1),
            before: ValueId(to.0 + 1),
            other: BlockId(last + 2),
        };
    });
    assert_eq!(late, Some(Fault::Unattended));
}

#[test]
fn nodes_are_written_once_and_have_their_class() {
    let next = ValueId(
        sample().module.functions[sample().sum]
            .as_ref()
            .unwrap()
            .types
            .len() as u32,
    );
    let node = |insts: Vec<Inst>| {
        let mut all = vec![
            Inst::Reserve { nodes: 1 },
            Inst::Allocate { to: next, w0: CON },
        ];
        all.extend(insts);
        fault(|f| prepend(f, all, &[Type::Term, Type::Term, Type::Term]))
    };
    let write = |slots| Inst::Write {
        at: next,
        slots,
        variable: false,
    };
    let cell = |side| Inst::Cell {
        to: ValueId(next.0 + 1),
        node: next,
        side,
    };
    let erase = |value: u32| Inst::Erase {
        from: ValueId(next.0 + value),
    };
    assert_eq!(node(vec![erase(0)]), Some(Fault::Node(next.0)));
    assert_eq!(
        node(vec![write([None; 2]), write([None; 2])]),
        Some(Fault::Node(next.0))
    );
    assert_eq!(node(vec![cell(2)]), Some(Fault::Node(next.0)));
    let filled = [Some(ValueId(1)), None];
    assert_eq!(
        node(vec![cell(0), write(filled)]),
        Some(Fault::Node(next.0))
    );
    let copy = |w0| {
        let (first, second) = (next, ValueId(next.0 + 1));
        let copy = Inst::Copy {
            first,
            second,
            from: ValueId(1),
            w0,
        };
        fault(|f| prepend(f, [Inst::Reserve { nodes: 2 }, copy], &[Type::Term; 2]))
    };
    assert_eq!(copy(CON), Some(Fault::Meta));
    assert_eq!(copy(0), Some(Fault::Meta));
}

#[test]
fn steps_calls_and_cases_fit() {
    let operate = |inst: &Inst| matches!(inst, Inst::Operate { .. });
    let steps = fault(|f| {
        if let Inst::Operate { steps, .. } = inst(f, operate) {
            *steps = 3;
        }
    });
    assert_eq!(steps, Some(Fault::Steps));
    let call = |inst: &Inst| matches!(inst, Inst::Call { .. });
    let target = fault(|f| {
        if let Inst::Call { function, .. } = inst(f, call) {
            *function = FunctionId(0);
        }
    });
    assert_eq!(target, Some(Fault::Call(0)));
    let missing = fault(|f| {
        if let Inst::Call { function, .. } = inst(f, call) {
            *function = FunctionId(77);
        }
    });
    assert_eq!(missing, Some(Fault::Call(77)));
    let defer = fault(|f| {
        let leaves = vec![ValueId(0)];
        prepend(f, [Inst::Defer { entry: 0, leaves }], &[]);
    });
    assert_eq!(defer, Some(Fault::Call(0)));
    let cases = fault(|f| {
        let End::Switch {
            from,
            zero,
            successor,
            other,
            ..
        } = f.blocks[0].end.clone()
        else {
            panic!("a switch");
        };
        let cases = vec![(1, zero), (1, successor)];
        f.blocks[0].end = End::Match { from, cases, other };
    });
    assert_eq!(cases, Some(Fault::Cases));
}

/// What is found when the first block takes its argument apart instead of being a switch.
fn taking(tree: &Tree, holes: u32) -> Option<Fault> {
    fault(|f| {
        let End::Switch {
            from,
            zero,
            successor,
            ..
        } = f.blocks[0].end.clone()
        else {
            panic!("a switch");
        };
        let first = f.types.len() as u32;
        f.types.extend((0..holes).map(|_| Type::Term));
        f.blocks[0].end = End::Take {
            from,
            tree: tree.clone(),
            holes: (first..first + holes).map(ValueId).collect(),
            then: zero,
            other: successor,
        };
    })
}

#[test]
fn what_is_taken_apart_is_a_tree_and_what_is_in_its_holes_is_used() {
    let pair = |a: &Tree, b: &Tree| Tree::Pair(Box::new([a.clone(), b.clone()]));
    let (hole, eraser, wire) = (Tree::Hole, Tree::Eraser, Tree::Wire);
    let option = pair(&pair(&hole, &wire(0)), &pair(&eraser, &wire(0)));
    assert_eq!(option.to_string(), "((_ w0) (* w0))");
    assert_eq!((option.nodes(), option.holes()), (3, 1));
    let large = (0..TREE_NODES_MAX).fold(hole.clone(), |tree, _| pair(&eraser, &tree));
    assert!(large.is_whole());
    for (tree, holes) in [
        (option.clone(), 0),
        (option.clone(), 2),
        (hole.clone(), 1),
        (wire(0), 0),
        (pair(&wire(0), &eraser), 0),
        (pair(&wire(1), &wire(1)), 0),
        (pair(&wire(0), &pair(&wire(0), &wire(0))), 0),
        (pair(&eraser, &large), 1),
    ] {
        assert_eq!(taking(&tree, holes), Some(Fault::Take), "{tree}");
    }
    // The switch's other block is not named any more; before that, what was in the hole is left over.
    let found = taking(&option, 1);
    assert!(matches!(found, Some(Fault::Unused(_))), "{found:?}");
    let found = taking(&pair(&wire(0), &wire(0)), 0);
    assert!(
        matches!(found, Some(Fault::Unwritten(_) | Fault::Tree(_))),
        "{found:?}"
    );
}

#[test]
fn text_names_what_is_there() {
    let Sample { module, sum, .. } = sample();
    let text = module.functions[sum].as_ref().unwrap().to_string();
    for part in [
        "fn @sum(v0 (v1 out))\n",
        "switch v0: 0 -> b1, n2 -> b2, else b",
        "copy #0 v1",
        "[*0x0000002]",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(module.to_string(), sample().module.to_string());
}

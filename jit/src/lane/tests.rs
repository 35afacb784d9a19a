use std::sync::Arc;

use ffcm::coprocessor::{Columns, EvaluateJob, OracleCoprocessor, evaluate_by_rewriting};
use ffcm::net::partial::Tally;
use ffcm::net::{Book, Limits};
use ffcm::spec::number::{Kind, Number, Operator};
use ffcm::spec::rules::Opcode;
use ffcm::spec::word::Term;
use ffcm::testing::Rng;

use super::*;
use crate::ir::{self, Block, BlockId, Function, FunctionId, Inst, Mode, Module, Type, ValueId};

const PROGRAMS: &str = "\
@stake = (stake (* (* stake)))
@decay = (stake (age (* weight))) & age ~ $([:/1024] spans) & spans ~ $([+1] divisor) & stake ~ $([/] $(divisor weight))
@fact = (?((1 @fact.s) r) r)
@fact.s = ({a b} r) & @fact ~ (a $([*] $(c r))) & b ~ $([+1] c)
@gcd = (a (?((@gcd.z @gcd.s) (a r)) r))
@gcd.z = (a a)
@gcd.s = (p (a r)) & p ~ $([+1] {b c}) & a ~ $([%] $(b m)) & @gcd ~ (c (m r))
@fib = (?((0 @fib.s) r) r)
@fib.s = (?((1 @fib.t) r) r)
@fib.t = ({a b} r) & b ~ $([+1] c) & @fib ~ (c $([+] $(x r))) & @fib ~ (a x)
@pow = (b (?((@pow.z @pow.s) (b r)) r))
@pow.z = (* 1)
@pow.s = (e ({a b} r)) & @pow ~ (a (e $([*] $(b r))))
@pair = (a (b (a b)))
@part = (a r) & a ~ $([+] r)
@apply = (a (b r)) & a ~ $(b r)
@spin = (?((7 @spin.s) r) r)
@spin.s = (p r) & p ~ $([+1] q) & @spin ~ (q r)
@op = (a (b r)) & a ~ $([OP] $(b r))
";

fn book(text: &str) -> Arc<Book> {
    Arc::new(Book::parse(text).unwrap())
}

fn words(row: &[Term], columns: &[Column]) -> Vec<u32> {
    let word = |(term, column): (&Term, &Column)| match column {
        Column::Plain(ext) => {
            assert_eq!(term.ext(), *ext);
            vec![term.w1()]
        }
        Column::Any => vec![term.w0(), term.w1()],
    };
    row.iter().zip(columns).flat_map(word).collect()
}

/// Runs a row in both ways, where the lane comes to an end; whether it does.
fn check(book: &Arc<Book>, program: &Program, entry: u32, row: &[Term]) -> bool {
    let Lane::Number { term, counts } = program.run(&words(row, &program.columns)) else {
        return false;
    };
    let columns = Columns::of_rows(row, row.len());
    let job = EvaluateJob {
        book: Arc::clone(book),
        entry,
        arguments: &columns.arguments(),
        limits: Limits::default(),
    };
    let expected = evaluate_by_rewriting(&OracleCoprocessor, &job).unwrap();
    assert_eq!(expected.failures, []);
    let plain = term.as_plain().map_or(Term::ABSENT, |_| term);
    let found = (plain, counts.total(), counts);
    let expected = (
        expected.numbers[0],
        expected.interactions[0],
        expected.counts,
    );
    assert_eq!(found, expected, "{row:?}");
    true
}

fn program(book: &Arc<Book>, name: &str, columns: &[Column]) -> (u32, Program) {
    let entry = book.find(name).unwrap();
    (entry, of_book(book, entry, columns).unwrap())
}

const U24: Column = Column::Plain(1);

#[test]
fn small_programs_run_in_lanes() {
    let book = book(&PROGRAMS.replace("OP", "+"));
    for (name, arity) in [
        ("stake", 3),
        ("decay", 3),
        ("fact", 1),
        ("pow", 2),
        ("part", 1),
    ] {
        for columns in [vec![U24; arity], vec![Column::Any; arity]] {
            let (entry, program) = program(&book, name, &columns);
            for seed in 0..12u32 {
                let row: Vec<Term> = (0..arity as u32)
                    .map(|i| Term::u24(seed * (i + 1)))
                    .collect();
                assert!(check(&book, &program, entry, &row), "@{name} {row:?}");
            }
        }
    }
}

/// Whether these run in lanes is up to how they are fused; what lanes answer is right.
#[test]
fn recursion_that_comes_to_an_end_in_a_lane_is_right() {
    let book = book(&PROGRAMS.replace("OP", "+"));
    for (name, arity) in [("gcd", 2), ("fib", 1)] {
        let entry = book.find(name).unwrap();
        for columns in [vec![U24; arity], vec![Column::Any; arity]] {
            let Ok(program) = of_book(&book, entry, &columns) else {
                continue;
            };
            let ended = (0..12u32).filter(|seed| {
                let numbers = (1..=arity as u32).map(|i| Term::u24(seed * i));
                let row: Vec<Term> = numbers.collect();
                check(&book, &program, entry, &row)
            });
            // Those that make no call.
            assert!(ended.count() > 0, "@{name}");
        }
    }
}

/// A number of this kind, often one where something changes.
fn edge(rng: &mut Rng, kind: Kind) -> Term {
    let bits: u32 = if kind.is_wide() { 32 } else { 24 };
    let value = match rng.below(6) {
        0 => rng.below(3) as u32,
        1 => (rng.below(3) as u32).wrapping_neg(),
        2 => (1 << (bits - 1)) - rng.below(2) as u32,
        3 => rng.below(40) as u32,
        _ => rng.next_u64() as u32,
    };
    Number::Plain(kind, value & u32::MAX >> (32 - bits)).term()
}

#[test]
fn arithmetic_on_known_kinds_is_that_of_the_specification() {
    let kinds = [Kind::U24, Kind::I24, Kind::U32, Kind::I32];
    let mut rng = Rng::new(0x4c41_4e45);
    for operator in Operator::ALL {
        let book = book(&PROGRAMS.replace("OP", operator.name()));
        for (a, b) in kinds.into_iter().flat_map(|a| kinds.map(|b| (a, b))) {
            let columns = [a, b].map(|kind| Column::Plain(kind as u8));
            let (entry, program) = program(&book, "op", &columns);
            assert!(program.is_straight(), "no step is left to be made at large");
            for _ in 0..20 {
                let row = [edge(&mut rng, a), edge(&mut rng, b)];
                assert!(check(&book, &program, entry, &row), "{operator:?} {row:?}");
            }
        }
    }
}

#[test]
fn casts_and_symbols_of_known_kinds_too() {
    let mut rng = Rng::new(0x4341_5354);
    for symbol in ["u24", "i24", "u32", "i32", "+", "+7", "+7u32", ":-"] {
        let text = format!(
            "@one = (a r) & a ~ $([{symbol}] r)\n@two = (a r) & a ~ $([-] x) & x ~ $([{symbol}] r)"
        );
        let book = book(&text);
        for kind in [Kind::U24, Kind::I24, Kind::U32, Kind::I32] {
            for name in ["one", "two"] {
                let (entry, program) = program(&book, name, &[Column::Plain(kind as u8)]);
                for _ in 0..20 {
                    let row = [edge(&mut rng, kind)];
                    assert!(check(&book, &program, entry, &row), "[{symbol}] {row:?}");
                }
            }
        }
    }
}

/// Statements that make one number of some variables, and its name. What may be called are the definitions before this one.
fn statements(rng: &mut Rng, mut vars: Vec<String>, callees: u64) -> (String, String) {
    let mut text = String::new();
    let mut fresh = 0;
    let mut name = || {
        fresh += 1;
        format!("t{fresh}")
    };
    let mut steps = rng.below(9);
    while steps > 0 || vars.len() > 1 {
        steps = steps.saturating_sub(1);
        let operator = Operator::ALL[rng.below(19) as usize].name();
        let at = rng.below(vars.len() as u64) as usize;
        let x = vars.swap_remove(at);
        let out = name();
        match rng.below(6) {
            0 => {
                let other = name();
                text.push_str(&format!(" & {x} ~ {{{out} {other}}}"));
                vars.push(other);
            }
            1 if !vars.is_empty() && rng.below(3) == 0 => {
                text.push_str(&format!(" & {x} ~ *"));
                continue;
            }
            2 if !vars.is_empty() && callees > 0 => {
                let (y, callee) = (vars.remove(0), rng.below(callees));
                text.push_str(&format!(" & @f{callee} ~ ({x} ({y} {out}))"));
            }
            3 | 4 if !vars.is_empty() => {
                let y = vars.remove(0);
                text.push_str(&format!(" & {x} ~ $([{operator}] $({y} {out}))"));
            }
            _ => {
                let kind = ["", "u32"][rng.below(2) as usize];
                let constant = rng.below(40);
                text.push_str(&format!(" & {x} ~ $([{operator}{constant}{kind}] {out})"));
            }
        }
        vars.push(out);
    }
    (text, vars.remove(0))
}

/// Functions of two numbers, with switches, calls of each other, and recursion that ends.
fn functions(rng: &mut Rng) -> String {
    let mut text = String::new();
    for i in 0..4 {
        let (body, out) = statements(rng, vec!["a".into(), "b".into()], i);
        if rng.below(2) == 0 {
            text.push_str(&format!("@f{i} = (a (b {out})){body}\n"));
            continue;
        }
        text.push_str(&format!("@f{i} = (?((@f{i}.z @f{i}.s) k) k)\n"));
        let (zero, end) = statements(rng, vec!["b".into()], i);
        text.push_str(&format!("@f{i}.z = (b {end}){zero}\n"));
        text.push_str(&match rng.below(2) {
            0 => format!("@f{i}.s = (a (b {out})){body}\n"),
            _ => {
                let (body, out) = statements(rng, vec!["c".into(), "d".into()], i);
                let call = format!(" & b ~ {{d e}} & @f{i} ~ (a (e c))");
                format!("@f{i}.s = (a (b {out})){call}{body}\n")
            }
        });
    }
    text
}

#[test]
fn random_functions_run_in_lanes_as_they_reduce() {
    let mut rng = Rng::new(7);
    let (mut programs, mut ended, mut stopped) = (0, 0, 0);
    for seed in 0..120 {
        let book = book(&functions(&mut Rng::new(seed)));
        for name in ["f0", "f1", "f2", "f3"] {
            let entry = book.find(name).unwrap();
            let any = rng.below(2) == 0;
            let columns = vec![if any { Column::Any } else { U24 }; 2];
            let Ok(program) = of_book(&book, entry, &columns) else {
                continue;
            };
            programs += 1;
            for _ in 0..6 {
                let kind = [Kind::U24, Kind::I24, Kind::U32, Kind::I32][rng.below(4) as usize];
                let small = Term::u24(rng.below(9) as u32);
                let row = match any {
                    true => [small, edge(&mut rng, kind)],
                    false => [small, edge(&mut rng, Kind::U24)],
                };
                match check(&book, &program, entry, &row) {
                    true => ended += 1,
                    false => stopped += 1,
                }
            }
        }
    }
    println!("{programs} programs, {ended} rows ended, {stopped} stopped");
    assert!(
        programs > 200 && ended > 1000,
        "{programs} programs, {ended} rows"
    );
}

fn stops(book: &Arc<Book>, name: &str, row: &[u32]) -> Lane {
    let columns = vec![U24; row.len()];
    program(book, name, &columns).1.run(row)
}

#[test]
fn lanes_stop_at_their_bounds() {
    let book = book(&PROGRAMS.replace("OP", "+"));
    assert_eq!(stops(&book, "fact", &[5000]), Lane::Stopped(Reason::Stack));
    assert_eq!(stops(&book, "spin", &[1]), Lane::Stopped(Reason::Trips));
    assert!(matches!(stops(&book, "spin", &[0]), Lane::Number { .. }));
}

#[test]
fn what_is_of_no_use_is_refused() {
    let book = book(&PROGRAMS.replace("OP", "+"));
    let refusal = |name: &str, arity: usize| {
        let entry = book.find(name).unwrap();
        of_book(&book, entry, &vec![U24; arity]).unwrap_err()
    };
    assert_eq!(refusal("pair", 2), Refusal::Heap);
    assert_eq!(refusal("fact", 0), Refusal::Shape);
    assert_eq!(refusal("fact", 40), Refusal::Shape);
    assert_eq!(of_book(&book, 999, &[U24]).unwrap_err(), Refusal::Missing);
}

/// `@f = (n r)`, by these blocks.
fn function(types: usize, blocks: Vec<Block>) -> Module {
    Module {
        functions: vec![Some(Function {
            definition: 0,
            name: "f".into(),
            shape: shape(1),
            modes: vec![Mode::In, Mode::Out],
            types: vec![Type::Term; types],
            blocks,
        })],
    }
}

fn block(insts: Vec<Inst>, end: ir::End) -> Block {
    let tally = Tally::of(Opcode::Apply, 1);
    Block {
        tally,
        total: 1,
        insts,
        end,
    }
}

fn returns(value: u32) -> ir::End {
    ir::End::Return {
        outs: vec![ValueId(value)],
    }
}

#[test]
fn references_choose_a_case() {
    let load = |term| Inst::Load {
        to: ValueId(1),
        term,
    };
    let choose = |from| ir::End::Match {
        from: ValueId(from),
        cases: vec![(3, BlockId(1)), (4, BlockId(2))],
        other: BlockId(3),
    };
    let rest = || {
        let number = |n| block(vec![load(Term::u24(n))], returns(1));
        vec![number(30), number(40), block(vec![], returns(0))]
    };
    let of = |from, first: Vec<Inst>| {
        let module = function(3, [vec![block(first, choose(from))], rest()].concat());
        let program = lower(&module, FunctionId(0), &[Column::Any]).unwrap();
        let found = program.run(&[Term::u24(9).w0(), 9]);
        let Lane::Number { term, counts } = found else {
            panic!("{found:?}");
        };
        assert_eq!(counts.total(), 2);
        term
    };
    let reference = |definition| {
        let to = ValueId(2);
        let term = Term::reference(definition, true);
        vec![Inst::Load { to, term }]
    };
    assert_eq!(of(2, reference(3)), Term::u24(30));
    assert_eq!(of(2, reference(4)), Term::u24(40));
    assert_eq!(of(2, reference(5)), Term::u24(9));
    assert_eq!(of(0, vec![]), Term::u24(9));
}

#[test]
fn malformed_modules_are_refused() {
    let erase = |value| Inst::Erase {
        from: ValueId(value),
    };
    let call = |outs: Vec<u32>, ins: Vec<u32>| Inst::Call {
        outs: outs.into_iter().map(ValueId).collect(),
        function: FunctionId(0),
        ins: ins.into_iter().map(ValueId).collect(),
    };
    let tail = ir::End::Tail {
        function: FunctionId(0),
        ins: vec![],
    };
    let other = ir::End::Match {
        from: ValueId(0),
        cases: vec![],
        other: BlockId(7),
    };
    for blocks in [
        vec![],
        vec![block(vec![erase(5)], returns(0))],
        vec![block(vec![], returns(5))],
        vec![block(vec![call(vec![1], vec![])], returns(1))],
        vec![block(vec![call(vec![], vec![0])], returns(0))],
        vec![block(vec![], ir::End::Return { outs: vec![] })],
        vec![block(vec![], tail)],
        vec![block(vec![], other)],
    ] {
        let module = function(2, blocks);
        let found = lower(&module, FunctionId(0), &[U24]);
        assert_eq!(found, Err(Refusal::Malformed), "{module:?}");
    }
    let endless = ir::End::Match {
        from: ValueId(0),
        cases: vec![],
        other: BlockId(0),
    };
    let module = function(1, vec![block(vec![], endless)]);
    let found = lower(&module, FunctionId(0), &[U24]);
    assert_eq!(found, Err(Refusal::TooLarge));
}

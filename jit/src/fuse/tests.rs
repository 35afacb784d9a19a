use std::fs;
use std::path::Path;

use ffcm::cpu::Compiled;
use ffcm::net::sample::{Dialect, book};
use ffcm::net::{Book, Limits};
use ffcm::oracle;

use super::*;
use crate::ir::run::{Machine, Schedule};
use crate::ir::validate;

const SCHEDULES: [Schedule; 4] = [
    Schedule {
        seed: 1,
        deferred: 0,
        expanded: 0,
    },
    Schedule {
        seed: 2,
        deferred: 20,
        expanded: 0,
    },
    Schedule {
        seed: 3,
        deferred: 50,
        expanded: 50,
    },
    Schedule {
        seed: 4,
        deferred: 100,
        expanded: 10,
    },
];

/// The golden programs: names and texts.
fn golden() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ffcm/golden/nets");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut programs: Vec<(String, String)> = files
        .filter(|path| path.extension().is_some_and(|e| e == "hvm"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    programs.sort();
    programs
}

fn fused(book: &Book) -> (Compiled, Module) {
    let compiled = Compiled::new(book);
    let module = fuse(book.definitions(), compiled.entries());
    if let Err(invalid) = validate(&module, book.definitions().len(), compiled.entries()) {
        panic!("{invalid}\n{}\n{module}", book.to_text());
    }
    (compiled, module)
}

fn agrees(text: &str, limits: &Limits, module: &Module, compiled: &Compiled) -> [u64; 4] {
    let book = Book::parse(text).unwrap();
    let expected = oracle::reduce(&book, &book.main().unwrap(), limits);
    let mut cost = [0; 4];
    for schedule in SCHEDULES {
        let mut machine = Machine::new(&book, compiled.entries(), module, schedule);
        let found = machine.run(limits);
        if schedule.seed == 1
            && let Ok(outcome) = &found
        {
            let [steps, nodes, later] = machine.cost;
            cost = [outcome.counts.total(), steps, nodes, later];
        }
        let same = match (&expected, &found) {
            (Ok(a), Ok(b)) => a == b,
            (Err(a), Err(b)) => a.to_string() == b.to_string(),
            _ => false,
        };
        assert!(
            same,
            "seed {}\n{expected:?}\n{found:?}\n{text}\n{module}",
            schedule.seed
        );
    }
    cost
}

#[test]
fn golden_programs_give_what_the_oracle_gives() {
    for (name, text) in golden() {
        let (compiled, module) = fused(&Book::parse(&text).unwrap());
        let limits = Limits {
            gas: 20_000_000,
            ..Limits::default()
        };
        let [interactions, insts, nodes, later] = agrees(&text, &limits, &module, &compiled);
        println!(
            "{name}: {interactions} interactions, {insts} instructions, {nodes} nodes, {later} left for later"
        );
    }
}

#[test]
fn random_nets_give_what_the_oracle_gives() {
    let limits = Limits {
        gas: 1000,
        nodes: 1 << 20,
        result_bytes: 100_000,
    };
    for dialect in [Dialect::Integers, Dialect::Floats, Dialect::Hvm2] {
        for seed in 0..200 {
            let text = book(seed, dialect);
            let (compiled, module) = fused(&Book::parse(&text).unwrap());
            agrees(&text, &limits, &module, &compiled);
        }
    }
}

/// Books that try to make the compiler take long.
fn hostile() -> Vec<String> {
    let mut books = Vec::new();
    // Each definition doubles the next.
    let doubling = (0..60).map(|i| {
        format!(
            "@f{i} = (a b) & @f{} ~ (a c) & @f{} ~ (c b)\n",
            i + 1,
            i + 1
        )
    });
    books.push(format!(
        "@main = x & @f0 ~ (1 x)\n{}@f60 = (a a)\n",
        doubling.collect::<String>()
    ));
    // Many matches after each other, of many constructors.
    let arms: String = (0..40)
        .map(|i| format!("@C{i} = (a (* a))\n@use{i} = x & @m ~ (@C{i} x)\n"))
        .collect();
    books.push(format!("@main = x & @m ~ (@C0 x)\n{arms}@m = ((@a (@a b)) c) & @m ~ (b (d e)) & d ~ (@a (@a f)) & e ~ (@a (@a g)) & f ~ (g c)\n@a = (x (y (x y)))\n"));
    // Switches within switches.
    let deep = (0..200).map(|i| format!("@s{i} = (?(((a a) @s{}) b) b)\n", (i * 7 + 1) % 200));
    books.push(format!(
        "@main = x & @s0 ~ (1 x)\n{}",
        deep.collect::<String>()
    ));
    // One large definition, and one deep tree.
    let large: String = (0..2000)
        .map(|i| format!(" & @g ~ (x{i} x{})", i + 1))
        .collect();
    books.push(format!("@main = (x0 x2000){large}\n@g = (?((0 @g) a) a)\n"));
    books.push(format!(
        "@main = {}1{}\n",
        "(0 ".repeat(3000),
        ")".repeat(3000)
    ));
    books.push(format!(
        "@main = {}1{}\n",
        "(0 ".repeat(250),
        ")".repeat(250)
    ));
    // Definitions that call each other in circles, with eight leaves.
    let circle = (0..200).map(|i| {
        format!(
            "@c{i} = (a (b (c (d (e (f g)))))) & @c{} ~ (g (a (b (c (d (e f))))))\n",
            (i + 1) % 200
        )
    });
    books.push(format!(
        "@main = x & @c0 ~ (1 (2 (3 (4 (5 (6 x))))))\n{}",
        circle.collect::<String>()
    ));
    books
}

#[test]
fn hostile_books_are_compiled_in_bounded_time() {
    for text in hostile() {
        let book = Book::parse(&text).unwrap();
        let (compiled, module) = fused(&book);
        let limits = Limits {
            gas: 3000,
            nodes: 1 << 20,
            result_bytes: 100_000,
        };
        agrees(&text, &limits, &module, &compiled);
        let insts = |function: &Function| function.blocks.iter().map(|b| b.insts.len()).sum();
        let largest = module.functions.iter().flatten().map(insts).max();
        assert!(largest.unwrap_or(0) <= 2 * INSTS_MAX);
    }
}

/// The functions named so, for people: shapes and modes.
fn heads(text: &str, name: &str) -> Vec<String> {
    let (_, module) = fused(&Book::parse(text).unwrap());
    let named = module.functions.iter().flatten().filter(|f| f.name == name);
    let head = |f: &Function| f.to_string().lines().next().unwrap().to_owned();
    named.map(head).collect()
}

/// A fold has its result in a register, also where other data has as many constructors, of which one would be given it.
#[test]
fn matches_on_data_are_called_for_what_they_answer() {
    let text = "@Nil = (nil (* nil))
        @Cons = (head (tail (* ((head (tail out)) out))))
        @fold = ((@fold_nil (@fold_cons k)) k)
        @fold_nil = (acc acc)
        @fold_cons = (h (t (acc out))) & @fold ~ (t ($([+] $(h acc)) out))
        @main = r & @Cons ~ (1 (@Nil a)) & @fold ~ (a (0 r))";
    let other = "@Left = (a ((a out) (* out)))\n@Right = (a (* ((a out) out)))\n";
    for text in [text.to_owned(), format!("{other}{text}")] {
        assert_eq!(
            heads(&text, "fold").last().unwrap(),
            "fn @fold(v0 (v1 out))"
        );
    }
}

#[test]
fn entries_that_are_no_base_entries_have_no_functions() {
    let book = Book::parse("@main = @next\n@next = (a a)").unwrap();
    let entries = Compiled::new(&book).entries().to_vec();
    assert!(fuse(book.definitions(), &entries).functions[1].is_some());
    for wrong in [&entries[1..], &[entries[1].clone(), entries[0].clone()]] {
        let module = fuse(book.definitions(), wrong);
        assert_eq!(module.functions, vec![None; wrong.len()]);
    }
}

#[test]
fn what_is_compiled_before_the_effort_is_spent_is_right() {
    let limits = Limits {
        gas: 20_000_000,
        ..Limits::default()
    };
    let mut counts = Vec::new();
    for (_, text) in golden().iter().filter(|(name, _)| name == "sort_bitonic") {
        let book = Book::parse(text).unwrap();
        let compiled = Compiled::new(&book);
        for effort in [0, 3000, 10_000, 30_000, 1 << 20] {
            let module = fuse_within(book.definitions(), compiled.entries(), effort);
            validate(&module, book.definitions().len(), compiled.entries()).unwrap();
            agrees(text, &limits, &module, &compiled);
            counts.push(module.functions.iter().flatten().count());
        }
    }
    assert_eq!(counts[0], 0);
    assert!(counts.is_sorted() && counts[4] == 25, "{counts:?}");
}

//! Known interactions ([`super::copy`], [`super::select`]) against the oracle.

use std::sync::Arc;

use super::tests::PROGRAMS;
use super::*;
use crate::cpu::native::Function;
use crate::net::partial::Selector;
use crate::oracle;

/// Code without a function, so that all but the known interactions is interpreted.
struct NoFunctions([u8; 32]);

// SAFETY: there is no function.
unsafe impl Fused for NoFunctions {
    fn digest(&self) -> [u8; 32] {
        self.0
    }

    fn function(&self, _entry: u32) -> Option<Function> {
        None
    }

    fn sampled(&self, _entry: u32) {}
}

fn fused(book: &Book) -> NetEngine<'_> {
    let code = Arc::new(NoFunctions(book.digest()));
    let engine = NetEngine::new(book).with_fused(code);
    engine.expect("the same book")
}

const LIMITS: Limits = Limits {
    gas: 10_000,
    nodes: 10_000,
    result_bytes: 1 << 16,
};

/// The oracle's outcome, with every number of threads.
fn check(text: &str) -> Result<Outcome, ReduceError> {
    let book = Book::parse(text).expect("test programs are valid");
    let call = book.main().unwrap();
    let expected = oracle::reduce(&book, &call, &LIMITS);
    for threads in [1, 2, 4] {
        let got = fused(&book).reduce(&call, &LIMITS, threads, None);
        assert_eq!(got, expected, "{threads} threads: {text}");
    }
    expected
}

#[test]
fn programs_give_their_results_and_the_oracles_counts() {
    for (text, result) in PROGRAMS {
        assert_eq!(check(text).unwrap().result, *result);
    }
}

/// What a duplicator finds in a spine, and at its end, known at once and only later.
#[test]
fn spines_are_copied() {
    let spines = [
        "(1 (2 (3 (4 (5 (6 (7 (8 *))))))))",
        "((1 2) ((3 4) ((5 6) (7 ((8 9) (1 *))))))",
        "(@copied (@copied (* (@expanded (@copied @copied)))))",
        "(@expanded (1 @expanded))",
        "(1 (2 {3 4}))",
        "(1 (2 (3 (4 {#1 3 4}))))",
        "(1 ({3 4} {5 {6 7}}))",
        "({3 4} (1 (2 (3 {#1 {5 6} (7 8)}))))",
        "(1 (2 $([+1] *)))",
        "($([+1] *) (1 (2 (3 (4 ?((1 *) *))))))",
        "(x (1 (2 (3 (4 (5 x))))))",
        "(x ((y 1) ((z 2) ((3 z) (y x)))))",
        "(1 (2 (3 (4 (5 (6 x)))))) & @id ~ (7 x)",
        "(x (y (z (x1 y1)))) & @id ~ (1 x) & @id ~ (2 y) & @id ~ ((3 4) z) & @id ~ (y1 (5 x1))",
        "(x y) & @id ~ (y (1 z)) & @id ~ (z (2 (3 (4 (5 x)))))",
        "(x (1 y)) & @id ~ (y (2 z)) & @id ~ (x {#1 3 (4 5)}) & @id ~ (z (6 {7 8}))",
    ];
    for spine in spines {
        for duplicator in ["{a b}", "{#1 a b}", "{a {b c}}", "{#1 {#2 a c} b}"] {
            let third = if duplicator.contains('c') { "c" } else { "*" };
            let text = format!(
                "@main = (a (b {third})) & {duplicator} ~ {spine}
                 @id = (x x)\n@copied = (x (* x))\n@expanded = ({{x y}} (x y))"
            );
            assert!(check(&text).is_ok(), "{text}");
        }
    }
}

/// The end of a spine leads back to the duplicator.
#[test]
fn a_spine_without_end_takes_all_gas() {
    for text in [
        "@main = b & {a b} ~ (1 (2 a))",
        "@main = b & {b a} ~ (1 (2 (3 (4 (5 a)))))",
        "@main = b & {b a} ~ (a 1)",
    ] {
        assert_eq!(check(text), Err(ReduceError::OutOfGas { limit: 10_000 }));
    }
}

/// With all arguments, with too few, with arguments that come later and with some that have to be erased.
#[test]
fn selectors_are_applied() {
    let arguments = [
        "(1 (2 r))",
        "(@no (@yes (@no (@yes (@no (@yes r))))))",
        "(@yes (@no (@yes (@no (@mid (1 (2 (3 r))))))))",
        "(@id (@id (@id (@id (@id (7 r))))))",
        "((x x) ((y y) r))",
        "({1 2} (* r))",
        "(@id (@yes (1 (@id (2 r)))))",
        "(1 s) & @id ~ (s (2 r))",
        "(s (t r)) & @id ~ (s (1 u)) & @id ~ (t @no) & u ~ *",
        "(1 r)",
        "r",
    ];
    for selector in ["@yes", "@no", "@id", "@mid", "@none"] {
        for argument in arguments {
            let text = format!(
                "@main = r & {selector} ~ {argument}\n@yes = (x (* x))\n@no = (* (x x))\n@id = (x x)
                 @mid = (* (x (* x)))\n@none = (* (* *))"
            );
            assert!(check(&text).is_ok(), "{text}");
        }
    }
}

#[test]
fn selectors_are_known() {
    let selects = |definition: &str| {
        let book = Book::parse(&format!("@main = 1\n@f = {definition}")).unwrap();
        Selector::of(&book.definitions()[1])
    };
    let ninth = "(* ".repeat(8) + "(x x)" + &")".repeat(8);
    for definition in ["(x x)", "(x (* x))", "(* (x x))", "(* (x (* x)))"] {
        assert!(selects(definition).is_some(), "{definition}");
    }
    for definition in [
        "(* (* *))",
        "(x (1 x))",
        "({x x} *)",
        "{x x}",
        "(x {* x})",
        "((x *) x)",
        "(x ((* *) x))",
        "(x r) & x ~ r",
        "1",
        &ninth,
    ] {
        assert_eq!(selects(definition), None, "{definition}");
    }
    assert_ne!(selects("(x (* x))"), selects("(* (x x))"));
}

/// Of a chain of functions that is doubled again and again, a part is made when it is used.
#[test]
fn the_rest_of_a_long_spine_is_left_for_later() {
    let book = Book::parse(
        "@main = out & @double ~ (10 (@not (@true (1 (0 out)))))
         @true = (yes (* yes))\n@false = (* (no no))\n@not = ((@false (@true out)) out)
         @double = (?(((f f) @again) k) k)
         @again = (n ({(x y) (y z)} out)) & @double ~ (n ((x z) out))",
    )
    .unwrap();
    let call = book.main().unwrap();
    let limits = |nodes| Limits {
        gas: 1 << 20,
        nodes,
        ..LIMITS
    };
    let expected = NetEngine::new(&book).reduce(&call, &limits(10_000), 1, None);
    assert_eq!(expected.as_ref().map(|outcome| &*outcome.result), Ok("1"));
    assert_eq!(fused(&book).reduce(&call, &limits(1500), 1, None), expected);
    assert_eq!(
        NetEngine::new(&book).reduce(&call, &limits(1500), 1, None),
        Err(ReduceError::OutOfHeap { limit: 1500 })
    );
}

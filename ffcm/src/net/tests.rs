use super::sample::{self, Dialect};
use super::syntax::{MAX_DEFINITIONS, MAX_NAME, MAX_NODES, MAX_TEXT};
use super::*;
use crate::oracle;
use crate::spec::word::{Class, Term};
use proptest::prelude::*;

fn error(text: &str) -> String {
    match Book::parse(text) {
        Ok(_) => "valid".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn book(text: &str) -> Book {
    Book::parse(text).expect("a valid book")
}

/// The bytes that [`Book::digest`] says it takes, written out for one book.
#[test]
fn a_book_has_the_digest_of_its_definitions() {
    let text = "@main = (a (@id a)) & @id ~ {7 *}\n@id = (x x)";
    let [x, a] = [Term::var(0), Term::var(0)];
    let con = |at| Term::node(Class::Con, 0, at);
    // `main` holds a duplicator, `id` does not.
    let id = Term::reference(1, true);
    let words: [&[Term]; 3] = [
        &[con(0), a, con(1), id, a],
        &[id, Term::node(Class::Dup, 0, 2), Term::u24(7), Term::ERA],
        &[con(0), x, x],
    ];
    let mut bytes = Vec::new();
    let number = |bytes: &mut Vec<u8>, n: u64| bytes.extend(n.to_le_bytes());
    let terms = |bytes: &mut Vec<u8>, terms: &[Term]| {
        terms.iter().for_each(|term| number(bytes, term.0));
    };
    number(&mut bytes, 4);
    bytes.extend(b"main\0");
    number(&mut bytes, 1);
    terms(&mut bytes, &words[0][..1]);
    number(&mut bytes, 3);
    terms(&mut bytes, &words[0][1..]);
    terms(&mut bytes, &words[1][2..]);
    number(&mut bytes, 1);
    terms(&mut bytes, &words[1][..2]);
    number(&mut bytes, 2);
    bytes.extend(b"id\x01");
    number(&mut bytes, 1);
    terms(&mut bytes, &words[2][..1]);
    number(&mut bytes, 1);
    terms(&mut bytes, &words[2][1..]);
    number(&mut bytes, 0);
    assert_eq!(
        book(text).digest(),
        blake3::derive_key("ffcm v1 book", &bytes)
    );
}

#[test]
fn books_have_equal_digests_if_and_only_if_they_are_equal() {
    let texts = [
        "",
        "@main = 1",
        "@main = 1u32",
        "@main = 2",
        "@other = 1",
        "@main = 1\n@other = 1",
        "@main = (1 2)",
        "@main = (2 1)",
        "@main = {1 2}",
        "@main = 0 & 1 ~ 2",
        "@main = 0 & 2 ~ 1",
        "@main = @d @d = 1",
        "@main = @d @d = {1 2}",
    ];
    for (i, a) in texts.iter().enumerate() {
        for (j, b) in texts.iter().enumerate() {
            let equal = book(a).digest() == book(b).digest();
            assert_eq!(equal, i == j, "{a} beside {b}");
        }
    }
    assert_eq!(book("").digest(), Book::default().digest());
    let [renamed, ordered] = ["@b = 1 @a = (x x)", "@a = (y\n y) // same\n@b = 1"].map(book);
    assert_eq!(renamed.digest(), ordered.digest());
}

/// The canonical text of `@main = …`, without the name.
fn canonical(net: &str) -> String {
    let text = book(&format!("@main = {net}")).to_text();
    text.trim_start_matches("@main = ")
        .trim_end()
        .replace("\n  ", " ")
}

#[test]
fn the_grammar() {
    for (text, want) in [
        ("(a a)", "(x0 x0)"),
        ("(*(a a))", "(* (x0 x0))"),
        ("{a a}", "{x0 x0}"),
        ("{#0 a a}", "{x0 x0}"),
        ("{ #262143 a a }", "{#262143 x0 x0}"),
        ("$(a a)", "$(x0 x0)"),
        ("$ ( a a )", "$(x0 x0)"),
        ("?(a a)", "?(x0 x0)"),
        ("@main", "@main"),
        ("@ main", "@main"),
        ("a & a ~ 5", "x0 & x0 ~ 5"),
        ("a &!@main ~ (1 a)", "x0 & @main ~ (1 x0)"),
        ("a & b ~ a & b ~ 1", "x0 & x1 ~ x0 & x1 ~ 1"),
        ("(a//b a//b)", "(x0 x0)"),
        ("(a //b\n a)", "(x0 x0)"),
        ("1// the end", "1"),
        ("(_.-/$a _.-/$a)", "(x0 x0)"),
        (
            "(1 (+2 (-3 (1.5 (7u32 -1i32)))))",
            "(1 (+2 (-3 (1.5 (7u32 -1i32)))))",
        ),
        (
            "([+] ([<<] ([:>>] ([u24] [f32]))))",
            "([+] ([<<] ([:>>] ([u24] [f32]))))",
        ),
        (
            "([ +] 1)",
            "line 1, column 11: expected an operator or a cast, found ` `",
        ),
        (
            "([+5] ([--1] [*1.5]))",
            "([+0x0000005] ([-0x0FFFFFF] [*0x03FC000]))",
        ),
        ("[+ 5 ]", "[+0x0000005]"),
        ("[+5i32]", "[+0x00000005u32]"),
    ] {
        let shown = match Book::parse(&format!("@main = {text}")) {
            Ok(_) => canonical(text),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, want, "{text}");
    }
}

#[test]
fn every_error_says_what_and_where() {
    for (text, want) in [
        ("x", "line 1, column 1: expected `@`, found `x`"),
        (
            "@",
            "line 1, column 2: expected a definition's name, found the end of the text",
        ),
        ("@main 1", "line 1, column 7: expected `=`, found `1`"),
        (
            "@main = (a\n  a",
            "line 2, column 4: expected `)`, found the end of the text",
        ),
        (
            "@main = {a a)",
            "line 1, column 13: expected `}`, found `)`",
        ),
        ("@main = $a", "line 1, column 10: expected `(`, found `a`"),
        (
            "@main = (a a) & 1 2",
            "line 1, column 19: expected `~`, found `2`",
        ),
        (
            "@main = (a λ)",
            "line 1, column 12: expected a tree: `(`, `{`, `$(`, `?(`, `@`, `*`, a number or a name, found `λ`",
        ),
        (
            "@main = 1 # 2",
            "line 1, column 11: expected `@`, found `#`",
        ),
        (
            "@main = [x]",
            "line 1, column 10: expected an operator or a cast, found `x`",
        ),
        ("@main = [+x]", "line 1, column 11: `x` is not a number"),
        (
            "@main = [+ ~]",
            "line 1, column 12: expected a number, found `~`",
        ),
        (
            "@main = [u24 5]",
            "line 1, column 14: expected `]`, found `5`",
        ),
        ("@main = 12x", "line 1, column 9: `12x` is not a number"),
        (
            "@main = 99999999",
            "line 1, column 9: `99999999` does not fit u24 (0 to 16777215)",
        ),
        (
            "@main = {#262144 a a}",
            "line 1, column 11: expected a label from 0 to 262143",
        ),
        (
            "@main = {#7a a a}",
            "line 1, column 11: expected a label from 0 to 262143",
        ),
        (
            "@main = {#+7 a a}",
            "line 1, column 11: expected a label from 0 to 262143",
        ),
        (
            "@main = (a b) & a ~ 1",
            "@main: variable `b` occurs 1 time(s), must occur exactly twice",
        ),
        (
            "@main = (a (a a))",
            "@main: variable `a` occurs 3 time(s), must occur exactly twice",
        ),
        ("@main = (@f @g) @f = 1", "@main: reference to undefined @g"),
        ("@main = 1\n@f = 2\n@f = 3", "line 3: @f is already defined"),
    ] {
        assert_eq!(error(text), want, "{text}");
    }
}

#[test]
fn sizes_are_limited() {
    let name = "n".repeat(MAX_NAME);
    assert_eq!(error(&format!("@{name} = 1")), "valid");
    assert_eq!(
        error(&format!("@{name}n = 1")),
        "length of a name is 257, the limit is 256"
    );
    assert_eq!(
        error(&format!("@main = (x{name} 1)")),
        "length of a name is 257, the limit is 256"
    );
    let digits = "1".repeat(300);
    assert_eq!(
        error(&format!("@main = {digits}")),
        "length of a number is 300, the limit is 256"
    );
    let long = vec![b'('; MAX_TEXT + 1];
    let too_large = "text length is 67108865, the limit is 67108864";
    assert_eq!(
        Book::parse_bytes(&long).expect_err("too long").to_string(),
        too_large
    );
    let nodes = format!("@main = {}", "(*".repeat(MAX_NODES + 1));
    assert_eq!(
        error(&nodes),
        "number of nodes in @main is 16777217, the limit is 16777216"
    );
    let definitions: String = (0..=MAX_DEFINITIONS).map(|i| format!("@{i:x}=1")).collect();
    assert_eq!(
        error(&definitions),
        "number of definitions is 1048577, the limit is 1048576"
    );
}

#[test]
fn bytes_that_are_no_text() {
    let error = Book::parse_bytes(b"@main = \xff").expect_err("not text");
    assert_eq!(error.to_string(), "not valid UTF-8 at byte 8");
    assert_eq!(
        Book::parse_bytes("@main = 1 // ü".as_bytes()),
        Book::parse("@main = 1")
    );
}

#[test]
fn deep_nesting_needs_no_stack() {
    let depth = 200_000;
    let right = format!("{}*{}", "(* ".repeat(depth), ")".repeat(depth));
    let left = format!("{}*{}", "(".repeat(depth), " *)".repeat(depth));
    for net in [right, left] {
        let book = book(&format!("@main = {net}"));
        assert_eq!(book.definitions()[0].nodes.len(), depth);
        assert_eq!(book.to_text(), format!("@main = {net}\n"));
        let outcome = oracle::reduce(&book, &book.main().expect("main"), &Limits::default());
        assert_eq!(outcome.map(|o| o.result), Ok(net));
    }
    for open in ["(", "{", "$(", "?(", "(* ", "@main = ("] {
        let text = format!("@main = {}", open.repeat(depth));
        assert!(matches!(Book::parse(&text), Err(LoadError::Syntax { .. })));
    }
}

#[test]
fn definitions_are_sorted_with_main_first() {
    let book = book("@z = @a @main = @z @a = @main @b = 1");
    let names: Vec<&str> = book.definitions().iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["main", "a", "b", "z"]);
    for (i, name) in (0..).zip(names) {
        assert_eq!(book.find(name), Some(i));
    }
    assert_eq!(book.find("c"), None);
    assert_eq!(book.definitions()[0].root, Term::reference(3, true));
    assert_eq!(
        book.main(),
        Ok(Call {
            entry: 0,
            arguments: vec![]
        })
    );

    let without = Book::parse("@b = 1 @a = 2").expect("a library");
    assert_eq!(
        (without.find("a"), without.find("b"), without.find("main")),
        (Some(0), Some(1), None)
    );
    assert_eq!(
        without.main(),
        Err(LoadError::NoEntry {
            name: "main".to_owned()
        })
    );
    assert_eq!(
        Book::parse(" // nothing\n").map(|b| b.definitions().len()),
        Ok(0)
    );
}

#[test]
fn copyability_spreads_to_users() {
    let book = book(
        "@main = @user @user = (@dup a) & a ~ @leaf @dup = ({a b} (a b)) @leaf = @other
         @other = @leaf @even = (@odd *) @odd = (@even @dup)",
    );
    let copyable: Vec<(&str, bool)> = book
        .definitions()
        .iter()
        .map(|d| (d.name.as_str(), d.copyable))
        .collect();
    assert_eq!(
        copyable,
        [
            ("main", false),
            ("dup", false),
            ("even", false),
            ("leaf", true),
            ("odd", false),
            ("other", true),
            ("user", false),
        ]
    );
    for definition in book.definitions() {
        for term in definition.terms().filter(|t| t.class() == Class::Ref) {
            let target = &book.definitions()[term.offset() as usize];
            assert_eq!(term, Term::reference(term.offset(), target.copyable));
        }
    }
}

#[test]
fn floats_are_found_in_a_book() {
    let named = |text: &str| book(text).float_definition().map(|d| d.name.clone());
    assert_eq!(named("@main = (1 [+]) @f = -5"), None);
    assert_eq!(
        named("@main = 1 @f = (a a) & [f24] ~ 5"),
        Some("f".to_owned())
    );
    assert_eq!(named("@main = (1 (2 1.5f32))"), Some("main".to_owned()));
}

/// Every wire number is used twice, every node is pointed to once, every reference resolves.
fn assert_well_formed(book: &Book) {
    for definition in book.definitions() {
        let mut wires = vec![0; definition.wires as usize];
        let mut nodes = vec![0; definition.nodes.len()];
        for term in definition.terms() {
            match term.class() {
                Class::Var => wires[term.offset() as usize] += 1,
                Class::Ref => assert!((term.offset() as usize) < book.definitions().len()),
                class if class.is_node() => nodes[term.offset() as usize] += 1,
                _ => {}
            }
            assert!(!term.is_absent() && !term.is_sub());
        }
        assert!(wires.iter().all(|n| *n == 2) && nodes.iter().all(|n| *n == 1));
    }
}

const TOKENS: [&str; 40] = [
    "@main", "@f", "=", "(", ")", "{", "}", "$(", "?(", "&", "~", "&!", "*", "a", "b", "c", "1",
    "-2", "+3", "1.5", "7u32", "[+]", "[u24]", "[+5]", "[", "]", "{#3 ", "#", "@", "$", "?", "//",
    "\n", "λ", "0x", "-", "99999999", "+inf", "[f32]", "=(",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(book) = Book::parse_bytes(&bytes) {
            assert_well_formed(&book);
        }
        let mut text = b"@main = ".to_vec();
        text.extend(&bytes);
        let _ = Book::parse_bytes(&text);
    }

    #[test]
    fn random_tokens_never_panic(
        tokens in proptest::collection::vec(proptest::sample::select(&TOKENS[..]), 0..40),
        spaced in any::<bool>(),
    ) {
        let soup = tokens.join(if spaced { " " } else { "" });
        for text in [soup.clone(), format!("@main = {soup}"), format!("@main = (({soup}")] {
            if let Ok(book) = Book::parse(&text) {
                assert_well_formed(&book);
                prop_assert_eq!(Book::parse(&book.to_text()), Ok(book));
            }
        }
    }

    #[test]
    fn books_survive_a_round_trip(seed in any::<u64>()) {
        let book = book(&sample::book(seed, Dialect::Floats));
        assert_well_formed(&book);
        let text = book.to_text();
        let again = Book::parse(&text);
        prop_assert_eq!(again.as_ref().map(Book::to_text), Ok(text));
        prop_assert_eq!(again, Ok(book));
    }

    #[test]
    fn results_are_nets_that_read_back_as_themselves(seed in any::<u64>()) {
        let first = book(&sample::book(seed, Dialect::Floats));
        let limits = Limits { gas: 300, nodes: 10_000, result_bytes: 10_000 };
        if let Ok(outcome) = oracle::reduce(&first, &first.main().expect("main"), &limits) {
            // Definitions of the same names keep references in the result valid.
            let names = first.definitions().iter().map(|d| d.name.as_str());
            let others: String = names.filter(|n| *n != "main").map(|n| format!(" @{n} = *")).collect();
            let result = outcome.result.replace("@main", "@f1");
            let second = book(&format!("@main = {result}{others}"));
            let again = oracle::reduce(&second, &second.main().expect("main"), &limits);
            prop_assert_eq!(again.map(|o| o.result), Ok(result));
        }
    }
}

//! Values survive the way through a net, and what is no value is an error, whatever it is.

use std::fmt::Debug;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::coprocessor::{Coprocessor, OracleCoprocessor, RewriteJob};
use crate::net::{Book, BuildError, Limits, LoadError, NetBuilder, Port};
use crate::spec::word::Term;

/// `@id` applied to the value by the oracle: arguments in, normal form, value out.
fn through_a_net<T: Encode + Decode>(value: &T) -> Result<T, DecodeError> {
    let program = Book::parse("@id = (x x)").unwrap();
    let call = program.with_call("id", |net| Ok(vec![net.value(value)]));
    let (book, call) = call.unwrap();
    // What was built is what its text says, so any engine may have it.
    assert_eq!(Book::parse(&book.to_text()).unwrap(), book);
    let book = Arc::new(book);
    let job = RewriteJob {
        book: Arc::clone(&book),
        calls: vec![call],
        limits: Limits::default(),
    };
    let outcome = OracleCoprocessor.rewrite(&job).unwrap().remove(0).unwrap();
    outcome.decode(&book)
}

fn round_trips<T: Encode + Decode + PartialEq + Debug>(value: T) -> Result<(), TestCaseError> {
    let found = through_a_net(&value);
    prop_assert_eq!(found, Ok(value));
    Ok(())
}

/// A binary tree with more kinds of field than it needs.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Leaf(i16),
    Node(Box<Tree>, String, Box<Tree>),
}

impl Encode for Tree {
    fn encode(&self, net: &mut NetBuilder) -> Port {
        let (tag, fields) = match self {
            Tree::Leaf(value) => (0, vec![net.value(value)]),
            Tree::Node(a, name, b) => (1, vec![net.value(a), net.value(name), net.value(b)]),
        };
        net.constructor(tag, fields)
    }
}

impl Decode for Tree {
    fn decode(value: Value<'_>) -> Result<Tree, DecodeError> {
        let mut fields = value.constructor()?;
        let tree = match fields.tag() {
            0 => Tree::Leaf(fields.decode()?),
            1 => Tree::Node(fields.decode()?, fields.decode()?, fields.decode()?),
            _ => return Err(fields.unknown("Tree")),
        };
        fields.end()?;
        Ok(tree)
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = any::<i16>().prop_map(Tree::Leaf);
    leaf.prop_recursive(6, 40, 2, |tree| {
        (tree.clone(), any::<String>(), tree)
            .prop_map(|(a, name, b)| Tree::Node(Box::new(a), name, Box::new(b)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn numbers_round_trip(bits: u32, float: f32, bytes: (u8, i8, u16, i16), truth: bool) {
        round_trips((U24::wrapping(bits), I24::wrapping(bits as i32), bits, bits as i32))?;
        round_trips(bytes)?;
        round_trips((truth, ()))?;
        // NaN is not equal to itself: by their bits, which are those of the canonical one.
        let wide = through_a_net(&float).unwrap();
        prop_assert_eq!(Term::f32(wide), Term::f32(float));
        let narrow = through_a_net(&F24::rounded(float)).unwrap();
        prop_assert_eq!(Term::f24(narrow.get()), Term::f24(float));
        prop_assert_eq!(narrow.get().is_nan(), float.is_nan());
    }

    #[test]
    fn data_round_trips(
        lists: Vec<Vec<u16>>,
        text: String,
        option: Option<Option<u8>>,
        result: Result<bool, String>,
        pairs: Vec<(i32, Box<u32>)>,
        tree in trees(),
    ) {
        round_trips((lists, text, option, result, pairs, tree))?;
    }

    /// Any normal form, read as any type: a value or an error, and what is a value is one that gives this form again.
    #[test]
    fn any_normal_form_is_read_or_refused(tree in forms()) {
        let book = Book::parse("@Nil = ((0 r) r) @one = 1 @loop = @loop @later = r & 1 ~ $([+] $(1 r))
            @ones = ((1 (1 (@ones r))) r) @deep = (@deep @deep)").unwrap();
        let form = NormalForm::parse(&book, &tree).unwrap();
        let form = form.with_limits(DecodeLimits { depth: 50, steps: 5_000 });
        let refused = |error: DecodeError| {
            prop_assert!(error.to_string().len() < 2_000);
            Ok(())
        };
        form.decode::<Vec<Vec<u8>>>().map_or_else(refused, round_trips)?;
        form.decode::<(u16, (Option<i8>, bool))>().map_or_else(refused, round_trips)?;
        form.decode::<Result<String, U24>>().map_or_else(refused, round_trips)?;
        form.decode::<Tree>().map_or_else(refused, round_trips)?;
    }
}

/// Texts of trees, mostly of constructors, some of them with wires that end nowhere near.
fn forms() -> impl Strategy<Value = String> {
    let names = [
        "@Nil", "@one", "@loop", "@later", "@ones", "@deep", "@gone", "*", "0", "1", "+7", "300",
        "7u32", "1.5", "[+]", "[+1]",
    ];
    let leaf = prop::sample::select(names.to_vec()).prop_map(str::to_owned);
    leaf.prop_recursive(8, 60, 3, |tree| {
        prop_oneof![
            4 => (0..3_u32, prop::collection::vec(tree.clone(), 0..4)).prop_map(|(tag, fields)| {
                let chain = fields.iter().rev().fold("END".to_owned(), |rest, field| format!("({field} {rest})"));
                format!("(({tag} {chain}) END)")
            }),
            2 => (tree.clone(), tree.clone()).prop_map(|(a, b)| format!("({a} {b})")),
            1 => (tree.clone(), tree.clone()).prop_map(|(a, b)| format!("{{{a} {b}}}")),
            1 => (tree.clone(), tree).prop_map(|(a, b)| format!("?({a} $(END {b})) ")),
        ]
    })
    .prop_map(|text| {
        // Each two ends in order are one wire; one left over ends in an eraser.
        let count = text.matches("END").count();
        let mut parts = text.split("END");
        let mut whole = parts.next().unwrap_or("").to_owned();
        let mut open: Vec<usize> = Vec::new();
        for (at, part) in parts.enumerate() {
            let name = match open.pop() {
                Some(wire) => format!("x{wire}"),
                None if at + 1 == count => "*".into(),
                None => {
                    open.push(at);
                    format!("x{at}")
                }
            };
            whole = whole + &name + part;
        }
        whole
    })
}

/// The encodings are a promise to programs that exist.
#[test]
fn values_look_as_bend_has_them() {
    let text = |value: &dyn Fn(&mut NetBuilder) -> Port| {
        let mut book = Book::builder();
        book.define("v", |net| Ok(value(net))).unwrap();
        let text = book.build().unwrap().to_text();
        text.trim_start_matches("@v = ").trim_end().to_owned()
    };
    let list = "((1 (7 (((0 x0) x0) x1))) x1)";
    assert_eq!(text(&|net| net.value(&[7_u8])), list);
    let string = "((1 (97 (((0 x0) x0) x1))) x1)";
    assert_eq!(text(&|net| net.value("a")), string);
    assert_eq!(
        text(&|net| net.value(&(1_u8, -2_i8, 3_u32))),
        "(1 (-2 3u32))"
    );
    assert_eq!(text(&|net| net.value(&Some(true))), "((0 (1 x0)) x0)");
    assert_eq!(text(&|net| net.value(&None::<u8>)), "((1 x0) x0)");
    assert_eq!(
        text(&|net| net.value(&Err::<u8, ()>(()))),
        "((1 (* x0)) x0)"
    );
    assert_eq!(text(&|net| net.value(&F24::rounded(1.5))), "1.5");
}

#[test]
fn what_is_no_value_is_told() {
    let book =
        Book::parse("@Nil = ((@tag r) r) @tag = 0 @loop = @loop @later = r & 1 ~ $([+] $(1 r))")
            .unwrap();
    let error = |text: &str| {
        let form = NormalForm::parse(&book, text).unwrap();
        form.decode::<Vec<u8>>().unwrap_err().to_string()
    };
    assert_eq!(error("3"), "expected a constructor, found `3`");
    assert_eq!(error("(x x)"), "expected a constructor, found a variable");
    assert_eq!(
        error("((0 (* r)) r)"),
        "expected no more fields, found a pair `(a b)`"
    );
    assert_eq!(
        error("((1 (5 r)) r)"),
        "expected another field, found a variable"
    );
    assert_eq!(error("((2 r) r)"), "List has no constructor number 2");
    assert_eq!(
        error("((1 (5 (((1 (256 (@Nil s))) s) r))) r)"),
        "item 1: expected a u24 below 2^8, found `256`"
    );
    assert_eq!(
        error("((1 (@later (@Nil r))) r)"),
        "item 0: @later is not reduced: it stands where nothing has asked for it"
    );
    assert_eq!(error("@loop"), "nested more than 1024 deep");
    assert_eq!(
        error("@gone"),
        "not a normal form: @result: reference to undefined @gone"
    );
    for text in [
        "",
        "(",
        "1 2",
        "x",
        "1 @other = 2",
        "r & 1 ~ r",
        "(a a) & 1 ~ 2",
    ] {
        let refused = NormalForm::parse(&book, text);
        assert!(matches!(refused, Err(DecodeError::Text(_))), "{text}");
    }
}

/// Texts that nest a million deep, lists of a hundred thousand items, and references that stand for far more than there is.
#[test]
fn deep_long_and_endless_results_are_bounded() {
    let book = Book::parse(
        "@ones = ((1 (1 (@ones r))) r) @wide = (@wide @wide) @self = ((1 (@self (* (@self r)))) r)",
    )
    .unwrap();
    let deep = format!("{}1{}", "(1 ".repeat(1_000_000), ")".repeat(1_000_000));
    let form = NormalForm::parse(&book, &deep).unwrap();
    let triple: Result<(u8, (u8, u8)), _> = form.decode();
    assert!(matches!(triple, Err(DecodeError::Unexpected { .. })));

    let form = NormalForm::parse(&book, "@self").unwrap();
    assert_eq!(
        form.decode::<Tree>(),
        Err(DecodeError::TooDeep { limit: 1024 })
    );

    let form = NormalForm::parse(&book, "@ones").unwrap();
    let limits = DecodeLimits {
        steps: 1_000,
        ..DecodeLimits::default()
    };
    let form = form.with_limits(limits);
    let error = form.decode::<Vec<u8>>().unwrap_err();
    assert_eq!(error, DecodeError::TooLarge { limit: 1_000 });

    let long: Vec<u32> = (0..100_000).collect();
    assert_eq!(through_a_net(&long), Ok(long));
}

#[test]
fn nets_built_wrongly_are_refused() {
    let refused = |build: &dyn Fn(&mut NetBuilder) -> Result<Port, BuildError>| {
        let mut book = Book::builder();
        let error = book.define("f", build).unwrap_err();
        // Nothing was added.
        assert_eq!(book.build().unwrap(), Book::default());
        error.to_string()
    };
    assert_eq!(
        refused(&|net| Ok(net.wire().0)),
        "@f: wire 0 is used 1 time(s), must be used 2"
    );
    assert_eq!(
        refused(&|net| {
            let (a, b) = net.wire();
            let _lost = net.pair(a, b);
            Ok(net.eraser())
        }),
        "@f: wire 0 is used 0 time(s), must be used 2"
    );
    assert_eq!(
        refused(&|net| {
            let (a, b) = (net.eraser(), net.eraser());
            let _lost = net.pair(a, b);
            Ok(net.eraser())
        }),
        "@f: node 0 is used 0 time(s), must be used 1"
    );
    // A port of another builder.
    let foreign = || {
        let mut net = NetBuilder::default();
        let (a, b) = (net.eraser(), net.eraser());
        net.pair(a, b)
    };
    assert_eq!(
        refused(&|_| Ok(foreign())),
        "@f: node 0 is used 0 time(s), must be used 1"
    );
    assert_eq!(
        refused(&|net| {
            let (a, b) = (net.eraser(), net.eraser());
            let own = net.pair(a, b);
            Ok(net.pair(own, foreign()))
        }),
        "@f: node 0 is used 2 time(s), must be used 1"
    );
    assert_eq!(
        refused(&|net| {
            let (a, b) = (net.eraser(), net.eraser());
            Ok(net.duplicator(1 << 18, a, b))
        }),
        "@f: the label 262144 is above 262143"
    );
    assert!(refused(&|net| net.number("seven")).contains("is no number"));
    assert!(refused(&|net| net.number("7 @g = 8")).contains("is no number"));
    let long = "x".repeat(300);
    assert!(refused(&|net| Ok(net.reference(&long))).contains("length of a name is 300"));
    assert!(refused(&|net| Ok(net.reference("a b"))).contains("`a b` is no name"));

    let mut book = Book::builder();
    book.text("@f = @g @g = 1").unwrap();
    let twice = book.define("g", |net| Ok(net.eraser())).unwrap_err();
    assert_eq!(twice.to_string(), "line 1: @g is already defined");
    assert!(book.text("@h = 2 @f = 3").is_err());
    book.define("k", |net| Ok(net.reference("h"))).unwrap();
    let missing = book.build().unwrap_err();
    assert_eq!(missing.to_string(), "@k: reference to undefined @h");
}

#[test]
fn calls_fit_their_books() {
    // `main` alone, `main` first, and no `main`: the new definition is last, and whoever parses the text agrees.
    for text in [
        "@main = (x x)",
        "@main = (x x) @a = 1 @z = {x x}",
        "@main.call = 3 @f = (x x)",
    ] {
        let book = Book::parse(text).unwrap();
        let name = if text.contains("@main =") {
            "main"
        } else {
            "f"
        };
        let (with, call) = book
            .with_call(name, |net| {
                let (seven, other) = (net.value(&7_u8), net.reference(name));
                Ok(vec![net.pair(seven, other)])
            })
            .unwrap();
        assert_eq!(call.entry as usize, book.definitions().len());
        assert_eq!(
            &with.definitions()[..call.entry as usize],
            book.definitions()
        );
        assert_eq!(Book::parse(&with.to_text()).unwrap(), with);
    }
    let book = Book::parse("@dup = ({a b} (a b))").unwrap();
    let (with, _) = book
        .with_call("dup", |net| Ok(vec![net.value(&(1_u8, 2_u8))]))
        .unwrap();
    assert!(!with.definitions()[1].copyable);
    assert_eq!(Book::parse(&with.to_text()).unwrap(), with);
    let missing = book.with_call("gone", |_| Ok(vec![])).unwrap_err();
    let expected = LoadError::NoEntry {
        name: "gone".into(),
    };
    assert_eq!(missing, BuildError::Load(expected));
    let missing = book.with_call("dup", |net| Ok(vec![net.reference("gone")]));
    assert!(missing.unwrap_err().to_string().contains("undefined @gone"));
    let name = "n".repeat(256);
    let book = Book::parse(&format!("@{name} = (x x)")).unwrap();
    let error = book
        .with_call(&name, |net| Ok(vec![net.value(&1_u8)]))
        .unwrap_err();
    assert!(
        error.to_string().contains("length of a name is 261"),
        "{error}"
    );
}

#[test]
fn numbers_are_checked_and_wrapped() {
    assert_eq!(U24::try_from(U24::MAX.get()), Ok(U24::MAX));
    let error = U24::try_from(1 << 24).unwrap_err();
    assert_eq!(
        error.to_string(),
        "16777216 does not fit u24, 0 to 16777215"
    );
    assert_eq!(I24::try_from(-(1 << 23)), Ok(I24::MIN));
    let error = I24::try_from(1 << 23).unwrap_err();
    assert_eq!(
        error.to_string(),
        "8388608 does not fit i24, -8388608 to 8388607"
    );
    assert_eq!(I24::wrapping(1 << 23), I24::MIN);
    assert_eq!(U24::wrapping(u32::MAX), U24::MAX);
    assert_eq!(F24::rounded(1.0 + f32::EPSILON).get(), 1.0);
    assert_eq!(
        (U24::MAX.to_string(), I24::MIN.to_string()),
        ("16777215".into(), "-8388608".into())
    );
    // Narrow numbers are read as wide ones, nothing else is converted.
    let book = Book::default();
    let read = |text: &str| NormalForm::parse(&book, text).unwrap().decode::<u32>();
    assert_eq!((read("7"), read("7u32")), (Ok(7), Ok(7)));
    assert_eq!(
        read("+7").unwrap_err().to_string(),
        "expected a u32 or a u24, found `+7`"
    );
}

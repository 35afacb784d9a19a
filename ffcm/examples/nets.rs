//! Call net programs from Rust: data in, data out, every answer compared with plain Rust.

use std::error::Error;
use std::io::Write;

use ffcm::Machine;
use ffcm::machine::{CallError, Program};
use ffcm::net::data::{Decode, DecodeError, Encode, U24, Value};
use ffcm::net::{Limits, NetBuilder, Port};

/// Functions of lists, trees and texts. A value of a data type is applied to a pair of a switch, which gets the number of
/// its constructor, and of what is wanted beside; the switch's branch then gets the fields.
const PROGRAM: &str = "
@Nil = ((0 r) r)

// sort Nil = Nil; sort (Cons head tail) = insert head (sort tail)
@sort = (((?((@Nil @sort.cons) k) k) r) r)
@sort.cons = (* (head (tail r)))
  & @sort ~ (tail sorted)
  & @insert ~ (head (sorted r))

// insert y Nil = [y]; insert y (Cons x tail) = if y < x: y, x, tail; else: x, insert y tail
@insert = (y (((?((@insert.nil @insert.cons) k) k) (y r)) r))
@insert.nil = (y ((1 (y (@Nil r))) r))
@insert.cons = (* ({x x1} (tail ({y $([<] $(x1 ?((@after @before) (y1 (x (tail r))))))} r))))
  & y ~ y1
@after = (y (x (tail ((1 (x (rest r))) r))))
  & @insert ~ (y (tail rest))
@before = (* (y (x (tail ((1 (y (((1 (x (tail s))) s) r))) r)))))

// total (Node left right) = total left + total right; total (Leaf value) = value
@total = (((?((@total.node @total.leaf) k) k) r) r)
@total.node = (left (right r))
  & @total ~ (left $([+] $(sum r)))
  & @total ~ (right sum)
@total.leaf = (* (value value))

// reverse list = its items behind each other, on top of an empty list
@reverse = (list r) & @onto ~ (list (@Nil r))
@onto = (((?((@onto.nil @onto.cons) k) k) (done r)) (done r))
@onto.nil = (done done)
@onto.cons = (* (head (tail (done r))))
  & @onto ~ (tail (((1 (head (done s))) s) r))
";

/// A binary tree with numbers in its leaves.
#[derive(Debug, PartialEq)]
enum Tree {
    Node(Box<Tree>, Box<Tree>),
    Leaf(U24),
}

impl Encode for Tree {
    fn encode(&self, net: &mut NetBuilder) -> Port {
        match self {
            Tree::Node(left, right) => {
                let fields = [net.value(left), net.value(right)];
                net.constructor(0, fields)
            }
            Tree::Leaf(value) => {
                let value = net.value(value);
                net.constructor(1, [value])
            }
        }
    }
}

impl Decode for Tree {
    fn decode(value: Value<'_>) -> Result<Tree, DecodeError> {
        let mut fields = value.constructor()?;
        let tree = match fields.tag() {
            0 => Tree::Node(fields.decode()?, fields.decode()?),
            1 => Tree::Leaf(fields.decode()?),
            _ => return Err(fields.unknown("Tree")),
        };
        fields.end()?;
        Ok(tree)
    }
}

/// Runs it.
pub fn main() -> Result<(), Box<dyn Error>> {
    run(&mut std::io::stdout().lock())
}

/// Says what it finds to `out`.
pub fn run(out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let machine = Machine::auto()?;
    let program = Program::parse(PROGRAM)?;

    // A list of numbers, sorted.
    let numbers: Vec<U24> = (0..200).map(|i| U24::wrapping(i * 7919 % 1009)).collect();
    let sorted: Vec<U24> = machine.call(&program, "sort", (&numbers,))?;
    let mut expected = numbers.clone();
    expected.sort();
    assert_eq!(sorted, expected);
    let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
    writeln!(out, "{} numbers sorted, {least} to {most}", sorted.len())?;

    // A tree of a type of our own, summed and handed back.
    let tree = full(10, 1);
    let total: U24 = machine.call(&program, "total", (&tree,))?;
    writeln!(out, "the leaves sum to {total}")?;
    assert_eq!(total.get(), (1 << 10..2 << 10).sum::<u32>());
    let identity = Program::parse("@same = (x x)")?;
    assert_eq!(machine.call::<Tree>(&identity, "same", (&tree,))?, tree);

    // A text, and how much work it was.
    let word = "stressed";
    let reversed: String = machine.call(&program, "reverse", (word,))?;
    let outcome = machine.outcome(&program, "reverse", (word,))?;
    let steps = outcome.counts.total();
    writeln!(
        out,
        "{word} reversed is {reversed}, in {steps} interactions"
    )?;
    assert_eq!(reversed, word.chars().rev().collect::<String>());

    // A result of another type, and too much work, are errors.
    let wrong = machine.call::<Vec<U24>>(&program, "total", (&tree,));
    let error = wrong.err().ok_or("a number is no list")?;
    writeln!(out, "total as a list: {error}")?;
    assert!(matches!(error, CallError::Decode(_)));
    let gas = Limits {
        gas: 1_000,
        ..Limits::default()
    };
    let short = machine.call::<Vec<U24>>(&program.with_limits(gas), "sort", (&numbers,));
    let error = short.err().ok_or("200 numbers take more")?;
    writeln!(out, "sort with little gas: {error}")?;
    assert!(matches!(error, CallError::Reduce(_)));
    Ok(())
}

/// 2^depth leaves, numbered on from `first` · 2^depth.
fn full(depth: u32, first: u32) -> Tree {
    match depth {
        0 => Tree::Leaf(U24::wrapping(first)),
        _ => {
            let half = |first| Box::new(full(depth - 1, first));
            Tree::Node(half(2 * first), half(2 * first + 1))
        }
    }
}

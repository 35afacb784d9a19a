//! In which order the calls of a body are best reduced: what makes a value before what takes it. Any order gives the same
//! result and the same interactions, but what works on values that are not there yet builds nodes that wait for them.
//!
//! Nets have no directions, so it is a guess: programs put the place for a result last. In `@f ~ (a (b c))`, `a` and `b`
//! are the *elements* 0 and 1 and `c`, if it is a wire, is what the call *makes*.

use std::collections::BTreeMap;

use crate::net::Definition;
use crate::net::partial::{Shape, Value};
use crate::spec::word::{Class, Term};

/// Elements of an argument that are told apart; later ones are nobody's guess.
const ELEMENTS: u32 = 8;

/// For each definition a bit for each element that another call of the same body makes (or a part of it), in any body.
pub(super) fn inputs(definitions: &[Definition]) -> Vec<u8> {
    let mut inputs = vec![0; definitions.len()];
    for body in definitions {
        let calls: Vec<(u32, Term)> = body.redexes.iter().filter_map(call).collect();
        let made = |&(_, argument): &(u32, Term)| Some(elements(body, argument).1?.offset());
        let makers: BTreeMap<u32, usize> = (0..)
            .zip(&calls)
            .filter_map(|(i, call)| Some((made(call)?, i)))
            .collect();
        for (i, &(definition, argument)) in calls.iter().enumerate() {
            let mut todo = elements(body, argument).0;
            while let Some((element, term)) = todo.pop() {
                match term.class() {
                    Class::Var if makers.get(&term.offset()).is_some_and(|&m| m != i) => {
                        inputs[definition as usize] |= 1 << element;
                    }
                    class if class.is_node() => {
                        let ports = body.nodes[term.offset() as usize];
                        todo.extend(ports.map(|port| (element, port)));
                    }
                    _ => {}
                }
            }
        }
    }
    inputs
}

/// The definition and the argument of a call.
fn call(&(a, b): &(Term, Term)) -> Option<(u32, Term)> {
    match (a.class(), b.class()) {
        (Class::Ref, Class::Con) => Some((a.offset(), b)),
        (Class::Con, Class::Ref) => Some((b.offset(), a)),
        _ => None,
    }
}

/// The elements of an argument with their numbers, and the wire that the call makes.
fn elements(body: &Definition, argument: Term) -> (Vec<(u32, Term)>, Option<Term>) {
    let (mut elements, mut rest) = (Vec::new(), argument);
    while rest.class() == Class::Con {
        let [element, more] = body.nodes[rest.offset() as usize];
        if (elements.len() as u32) < ELEMENTS {
            elements.push((elements.len() as u32, element));
        }
        rest = more;
    }
    (
        elements,
        Some(rest).filter(|rest| rest.class() == Class::Var),
    )
}

/// The leaves of a shape that belong to elements of a set, as bits.
pub(super) fn leaves(shape: &Shape, elements: u8) -> u8 {
    let (mut bits, mut leaf, mut rest, mut element) = (0, 0, shape, 0);
    while let Shape::Pair(first, second) = rest {
        for _ in 0..first.leaves() {
            bits |= u8::from(element < ELEMENTS && elements >> element & 1 == 1) << leaf;
            leaf += 1;
        }
        element += 1;
        rest = second;
    }
    bits
}

/// Puts calls with their arguments into an order of which the last is to be reduced first: makers last. Otherwise the order
/// stays, and where calls wait for each other, the first one met waits.
pub(super) fn makers_last(mut calls: Vec<(u32, Vec<Value>)>) -> Vec<(u32, Vec<Value>)> {
    let wire = |leaf: &Value| match *leaf {
        Value::Wire(wire) => Some(wire),
        _ => None,
    };
    let mut makers = BTreeMap::new();
    for (i, (_, leaves)) in calls.iter().enumerate() {
        if let Some(result) = leaves.last().and_then(wire) {
            makers.insert(result, i);
        }
    }
    let (mut seen, mut done) = (vec![false; calls.len()], vec![false; calls.len()]);
    let mut order = Vec::with_capacity(calls.len());
    let mut todo: Vec<usize> = (0..calls.len()).collect();
    while let Some(&i) = todo.last() {
        seen[i] = true;
        let mut taken = calls[i].1.iter().filter_map(wire);
        if let Some(maker) = taken.find_map(|wire| makers.get(&wire).filter(|&&m| !seen[m])) {
            todo.push(*maker);
            continue;
        }
        todo.pop();
        if !std::mem::replace(&mut done[i], true) {
            order.push(i);
        }
    }
    let ordered = order.iter().rev();
    ordered.map(|&i| std::mem::take(&mut calls[i])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Book;

    /// The elements that others make of each definition that has any, by name.
    fn of(text: &str) -> Vec<(String, u8)> {
        let book = Book::parse(text).unwrap();
        let definitions = book.definitions();
        let named = definitions.iter().zip(inputs(definitions));
        let some = named.filter(|(_, elements)| *elements != 0);
        some.map(|(definition, elements)| (definition.name.clone(), elements))
            .collect()
    }

    fn named(expected: &[(&str, u8)]) -> Vec<(String, u8)> {
        let owned = |&(name, elements): &(&str, u8)| (name.to_owned(), elements);
        expected.iter().map(owned).collect()
    }

    #[test]
    fn what_a_call_of_the_same_body_makes_is_an_input() {
        let tree = include_str!("../../../golden/nets/sum_tree.hvm");
        assert_eq!(of(tree), named(&[("sum", 0b10)]));
        let bitonic = include_str!("../../../golden/nets/sort_bitonic.hvm");
        let expected = [("merge", 0b100), ("sort", 0b100), ("weigh", 0b100)];
        let found = of(bitonic);
        for one in named(&expected) {
            assert!(found.contains(&one), "{one:?} in {found:?}");
        }
        assert!(
            !found
                .iter()
                .any(|(name, _)| name == "build" || name == "cross"),
            "{found:?}"
        );
    }

    #[test]
    fn results_and_what_nobody_makes_are_no_inputs() {
        assert_eq!(of("@main = r & @f ~ (1 (2 r))\n@f = (a (b (a b)))"), []);
        // Two calls that wait for each other: an input of each, and no endless search.
        let both = "@main = * & @f ~ (a b) & @g ~ (b a)\n@f = (x x)\n@g = (x x)";
        assert_eq!(of(both), named(&[("f", 1), ("g", 1)]));
        // A wire of its own is none.
        assert_eq!(of("@main = * & @f ~ (a a)\n@f = (x x)"), []);
        // Beyond the eighth element nothing is known.
        let deep = "@main = * & @g ~ (1 w) & @f ~ (1 (2 (3 (4 (5 (6 (7 (8 (w 9)))))))))\n@f = *\n@g = (x x)";
        assert_eq!(of(deep), []);
    }

    #[test]
    fn leaves_belong_to_elements() {
        let leaf = || Box::new(Shape::Leaf);
        let pair = |a, b| Box::new(Shape::Pair(a, b));
        // ((a b) (c (d e)))
        let shape = Shape::Pair(pair(leaf(), leaf()), pair(leaf(), pair(leaf(), leaf())));
        assert_eq!(leaves(&shape, 0b001), 0b00011);
        assert_eq!(leaves(&shape, 0b010), 0b00100);
        assert_eq!(leaves(&shape, 0b110), 0b01100);
        // What the call makes is no element.
        assert_eq!(leaves(&shape, 0b1000), 0);
        assert_eq!(leaves(&Shape::base(), 1), 1);
    }

    #[test]
    fn makers_come_last_and_the_rest_stays() {
        let wire = Value::Wire;
        let order = |calls: &[&[Value]]| {
            let numbered = (0..).zip(calls).map(|(i, leaves)| (i, leaves.to_vec()));
            let ordered = makers_last(numbered.collect());
            ordered.iter().map(|&(i, _)| i).collect::<Vec<_>>()
        };
        assert_eq!(order(&[&[wire(0), wire(1)], &[wire(2), wire(3)]]), [0, 1]);
        // The first makes what the second takes.
        assert_eq!(order(&[&[wire(0), wire(1)], &[wire(1), wire(2)]]), [1, 0]);
        // A chain, made from the end.
        let chain: [&[Value]; 3] = [
            &[wire(0), wire(1)],
            &[wire(1), wire(2)],
            &[wire(2), wire(3)],
        ];
        assert_eq!(order(&chain), [2, 1, 0]);
        // In a circle the first one met waits for the others.
        assert_eq!(order(&[&[wire(0), wire(1)], &[wire(1), wire(0)]]).len(), 2);
    }
}

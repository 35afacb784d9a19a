//! What a caller hands over without building it.

use super::program::ARGUMENTS_MAX;
use super::symbolic::{CON, Net, Value};

/// The constructors of an argument that are not built.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    /// A term.
    Leaf,
    /// A constructor.
    Pair(Box<Shape>, Box<Shape>),
}

impl Shape {
    /// One constructor.
    pub(super) fn base() -> Shape {
        Shape::Pair(Box::new(Shape::Leaf), Box::new(Shape::Leaf))
    }

    /// The constructors at `node`, outer ones first, as many as fit.
    pub(super) fn of(net: &Net, node: u32) -> Shape {
        let mut more = ARGUMENTS_MAX - 2;
        Shape::within(net, node, &mut more)
    }

    fn within(net: &Net, node: u32, more: &mut usize) -> Shape {
        let mut side = |side| match net.port(node, side) {
            Value::Node(child) if net.nodes[child as usize].w0 == CON && *more > 0 => {
                *more -= 1;
                Shape::within(net, child, more)
            }
            _ => Shape::Leaf,
        };
        let (first, second) = (side(0), side(1));
        Shape::Pair(Box::new(first), Box::new(second))
    }

    pub(super) fn leaves(&self) -> usize {
        match self {
            Shape::Leaf => 1,
            Shape::Pair(first, second) => first.leaves() + second.leaves(),
        }
    }

    /// The terms at the leaves of a tree of this shape, in order.
    pub(super) fn take_apart(&self, net: &Net, value: Value, leaves: &mut Vec<Value>) {
        match (self, net.resolve(value)) {
            (Shape::Pair(first, second), Value::Node(node)) => {
                first.take_apart(net, net.port(node, 0), leaves);
                second.take_apart(net, net.port(node, 1), leaves);
            }
            (_, value) => leaves.push(value),
        }
    }

    /// A tree of this shape whose leaves are the registers from `next` on.
    pub(super) fn put_together(&self, net: &mut Net, next: &mut u8) -> Value {
        match self {
            Shape::Leaf => {
                *next += 1;
                Value::Register(*next - 1)
            }
            Shape::Pair(first, second) => {
                let ports = [
                    first.put_together(net, next),
                    second.put_together(net, next),
                ];
                net.node(CON, ports)
            }
        }
    }
}

//! What a caller hands over without building it.

use super::{CON, Net, Value};

/// Most leaves of a shape.
pub const ARGUMENTS_MAX: usize = 8;

/// The constructors of an argument that are not built.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// A term.
    Leaf,
    /// A constructor.
    Pair(Box<Shape>, Box<Shape>),
}

impl Shape {
    /// One constructor.
    pub fn base() -> Shape {
        Shape::Pair(Box::new(Shape::Leaf), Box::new(Shape::Leaf))
    }

    /// The constructors at `node`, outer ones first, as many as fit.
    pub fn of(net: &Net, node: u32) -> Shape {
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

    /// How many leaves there are.
    pub fn leaves(&self) -> usize {
        match self {
            Shape::Leaf => 1,
            Shape::Pair(first, second) => first.leaves() + second.leaves(),
        }
    }

    /// The terms at the leaves of a tree of this shape, in order.
    pub fn take_apart(&self, net: &Net, value: Value, leaves: &mut Vec<Value>) {
        match (self, net.resolve(value)) {
            (Shape::Pair(first, second), Value::Node(node)) => {
                first.take_apart(net, net.port(node, 0), leaves);
                second.take_apart(net, net.port(node, 1), leaves);
            }
            (_, value) => leaves.push(value),
        }
    }

    /// A tree of this shape; `leaf` says what each of its leaves is, in order.
    pub fn put_together(&self, net: &mut Net, leaf: &mut impl FnMut(&mut Net) -> Value) -> Value {
        match self {
            Shape::Leaf => leaf(net),
            Shape::Pair(first, second) => {
                let ports = [
                    first.put_together(net, leaf),
                    second.put_together(net, leaf),
                ];
                net.node(CON, ports)
            }
        }
    }
}

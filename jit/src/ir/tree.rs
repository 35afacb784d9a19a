//! What data looks like: trees of constructors that are told from others by looking at them alone.

use std::fmt;

/// A tree of constructors that leads to nothing else but for its holes. A constructor of lambda-encoded data, given all its
/// arguments, is one: they are the holes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tree {
    /// A constructor.
    Pair(Box<[Tree; 2]>),
    /// An eraser.
    Eraser,
    /// An end of the wire of this number, of which the other end is in the tree too.
    Wire(u8),
    /// Any term.
    Hole,
}

/// Most constructors of a tree.
pub const TREE_NODES_MAX: usize = 16;

impl Tree {
    /// How many constructors it has.
    pub fn nodes(&self) -> usize {
        match self {
            Tree::Pair(ports) => 1 + ports[0].nodes() + ports[1].nodes(),
            Tree::Eraser | Tree::Wire(_) | Tree::Hole => 0,
        }
    }

    /// Its leaves, in order.
    pub fn leaves(&self) -> Vec<&Tree> {
        match self {
            Tree::Pair(ports) => {
                let mut leaves = ports[0].leaves();
                leaves.extend(ports[1].leaves());
                leaves
            }
            leaf => vec![leaf],
        }
    }

    /// How many holes it has.
    pub fn holes(&self) -> usize {
        let leaves = self.leaves();
        leaves.iter().filter(|&&leaf| *leaf == Tree::Hole).count()
    }

    /// Whether it is a constructor at least, of [`TREE_NODES_MAX`] at most, and its wires are numbered from 0 in the order in which they
    /// begin, with two ends each.
    pub fn is_whole(&self) -> bool {
        if !(1..=TREE_NODES_MAX).contains(&self.nodes()) {
            return false;
        }
        let mut ends: Vec<u8> = Vec::new();
        for leaf in self.leaves() {
            if let Tree::Wire(wire) = leaf {
                let wire = usize::from(*wire);
                if wire == ends.len() {
                    ends.push(0);
                }
                match ends.get_mut(wire) {
                    Some(count) => *count = count.saturating_add(1),
                    None => return false,
                }
            }
        }
        ends.iter().all(|&count| count == 2)
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tree::Pair(ports) => write!(f, "({} {})", ports[0], ports[1]),
            Tree::Eraser => f.write_str("*"),
            Tree::Wire(wire) => write!(f, "w{wire}"),
            Tree::Hole => f.write_str("_"),
        }
    }
}

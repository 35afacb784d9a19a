//! π: how a graph lies in device memory, and which single words of it change with the graph.

mod changes;
mod layout;
#[cfg(test)]
mod tests;

pub use changes::{Changes, PartChanges};
pub use layout::{
    Cuts, LANES, Labels, Layout, MAX_EDGES, Part, SPLIT, Shape, TooManyEdges, equal, ratio_words,
};

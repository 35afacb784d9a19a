//! Labels and edges as they come in.

use std::collections::HashMap;

use ffcm::graph::{EdgeDelta, Graph, GraphError};

use crate::decimal::{Decimal, UNITS};
use crate::{FormatError, LabeledGraph, Limits, LineError};

/// Edges of a graph being read.
pub(crate) struct Builder {
    limits: Limits,
    edges: Vec<EdgeDelta>,
    /// Whether weights are in units of 1e-9.
    fractional: bool,
}

/// Numbers labels in order of first appearance. The maps are looked up, never iterated.
pub(crate) struct Interner {
    limit: u32,
    labels: Vec<String>,
    names: HashMap<String, u32>,
    /// Labels that are integers without leading zeros, which is most of them where there are many.
    numbers: HashMap<u64, u32>,
}

impl Interner {
    pub(crate) fn new(limits: &Limits) -> Interner {
        let (labels, names, numbers) = Default::default();
        Interner {
            limit: limits.nodes,
            labels,
            names,
            numbers,
        }
    }

    /// The node called `label`, a new one if none is.
    pub(crate) fn node(&mut self, label: &str) -> Result<u32, FormatError> {
        let number = canonical_number(label);
        let known = match number {
            Some(number) => self.numbers.get(&number),
            None => self.names.get(label),
        };
        if let Some(&node) = known {
            return Ok(node);
        }
        let node = self.labels.len() as u32;
        if node >= self.limit {
            return Err(FormatError::Limit {
                what: "nodes",
                limit: self.limit.into(),
            });
        }
        match number {
            Some(number) => self.numbers.insert(number, node),
            None => self.names.insert(label.to_owned(), node),
        };
        self.labels.push(label.to_owned());
        Ok(node)
    }

    pub(crate) fn into_labels(self) -> Vec<String> {
        self.labels
    }
}

/// The number that `label` is the only spelling of.
fn canonical_number(label: &str) -> Option<u64> {
    let digits = !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits && (label == "0" || !label.starts_with('0'));
    if canonical { label.parse().ok() } else { None }
}

impl Builder {
    pub(crate) fn new(limits: &Limits) -> Builder {
        Builder {
            limits: *limits,
            edges: Vec::new(),
            fractional: false,
        }
    }

    /// Adds an edge of whole weight 1.
    pub(crate) fn link(&mut self, source: u32, target: u32) -> Result<(), FormatError> {
        let weight = if self.fractional { UNITS } else { 1 };
        self.push(EdgeDelta {
            source,
            target,
            weight,
        })
    }

    /// Adds an edge with the weight that `text`, on `line`, gives.
    pub(crate) fn weighted(
        &mut self,
        (source, target): (u32, u32),
        text: &str,
        line: u64,
    ) -> Result<(), FormatError> {
        let refuse = FormatError::at(line);
        let decimal = Decimal::parse(text).map_err(&refuse)?;
        if !self.fractional && decimal.whole().is_none() {
            self.count_in_units(&refuse)?;
        }
        let weight = if self.fractional {
            decimal.units()
        } else {
            decimal.whole()
        };
        let weight = weight.ok_or_else(|| refuse(LineError::WeightTooLarge(text.to_owned())))?;
        self.push(EdgeDelta {
            source,
            target,
            weight,
        })
    }

    /// Turns whole weights into units of 1e-9.
    fn count_in_units(
        &mut self,
        refuse: impl Fn(LineError) -> FormatError,
    ) -> Result<(), FormatError> {
        self.fractional = true;
        for edge in &mut self.edges {
            let whole = edge.weight;
            edge.weight = whole
                .checked_mul(UNITS)
                .ok_or_else(|| refuse(LineError::WeightTooLarge(format!("{whole} (earlier)"))))?;
        }
        Ok(())
    }

    fn push(&mut self, edge: EdgeDelta) -> Result<(), FormatError> {
        let limit = self.limits.edges;
        if self.edges.len() as u64 >= limit {
            return Err(FormatError::Limit {
                what: "edges",
                limit,
            });
        }
        if edge.weight > 0 {
            self.edges.push(edge);
        }
        Ok(())
    }

    /// The graph over these labels.
    pub(crate) fn finish(self, labels: Vec<String>) -> Result<LabeledGraph, FormatError> {
        if labels.is_empty() {
            return Err(FormatError::Empty);
        }
        let nodes = u32::try_from(labels.len()).map_err(|_| FormatError::Limit {
            what: "nodes",
            limit: u32::MAX.into(),
        })?;
        let mut edges = self.edges;
        edges.sort_unstable();
        let mut overflow = None;
        edges.dedup_by(|next, kept| {
            let same = (next.source, next.target) == (kept.source, kept.target);
            if same {
                match kept.weight.checked_add(next.weight) {
                    Some(sum) => kept.weight = sum,
                    None => overflow = Some(*kept),
                }
            }
            same
        });
        let label = |node: u32| labels[node as usize].clone();
        if let Some(edge) = overflow {
            let (from, to) = (label(edge.source), label(edge.target));
            return Err(FormatError::WeightSum { from, to });
        }
        let mut graph = Graph::new();
        graph.add_nodes(nodes).map_err(FormatError::Graph)?;
        graph.apply(&edges).map_err(|error| match error {
            GraphError::WeightOverflow { node } => FormatError::OutWeight { node: label(node) },
            other => FormatError::Graph(other),
        })?;
        Ok(LabeledGraph { graph, labels })
    }
}

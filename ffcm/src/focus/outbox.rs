//! Push-sum messages combined per destination: what shards send each other, and what changed rows send.

use rayon::prelude::*;

use super::arith::edge_term;

/// Messages `(destination, mass)`, ascending, one per destination.
pub(crate) type Messages = Vec<(u32, u64)>;

/// Edges out of some sources, ordered by destination, so that everything for one destination becomes one number.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Destinations, ascending, each once.
    destinations: Vec<u32>,
    /// End of each destination's edges.
    ends: Vec<usize>,
    /// Sources and quotas.
    edges: Vec<(u32, u32)>,
}

/// One edge on its way into an [`Outbox`], in the order it is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Push {
    /// Row that receives.
    pub(crate) destination: u32,
    /// Index into the shares given to [`Outbox::combine`].
    pub(crate) source: u32,
    /// Quota.
    pub(crate) quota: u32,
}

impl Outbox {
    /// Orders `pushes`.
    pub(crate) fn new(mut pushes: Vec<Push>) -> Outbox {
        pushes.par_sort_unstable();
        let mut outbox = Outbox::default();
        for run in pushes.chunk_by(|a, b| a.destination == b.destination) {
            outbox
                .edges
                .extend(run.iter().map(|push| (push.source, push.quota)));
            outbox.destinations.push(run[0].destination);
            outbox.ends.push(outbox.edges.len());
        }
        outbox
    }

    /// The messages, given twice the share of each source.
    pub(crate) fn combine(&self, twice: &[u64]) -> Messages {
        let message = |at: usize| {
            let start = if at == 0 { 0 } else { self.ends[at - 1] };
            let edges = &self.edges[start..self.ends[at]];
            let terms = edges
                .iter()
                .map(|&(source, quota)| edge_term(twice[source as usize], quota));
            (self.destinations[at], terms.sum())
        };
        (0..self.destinations.len())
            .into_par_iter()
            .with_min_len(1024)
            .map(message)
            .collect()
    }
}

/// Adds messages to what has arrived.
pub(crate) fn deliver(messages: &[(u32, u64)], arrived: &mut [u64]) {
    for &(destination, mass) in messages {
        arrived[destination as usize] += mass;
    }
}

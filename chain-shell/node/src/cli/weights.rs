//! Edge weights from a weight net.

use std::path::Path;
use std::sync::Arc;

use ffcm::coprocessor::{Coprocessor, RewriteJob};
use ffcm::graph::{EdgeDelta, Graph};
use ffcm::net::{Book, Call, Limits};
use ffcm::spec::number::Kind;
use ffcm::spec::word::Term;

use super::failure::Failure;
use super::output::read_text;

/// The net of a new chain: an edge weighs its stake.
pub(crate) const STAKE: &str = "@weight = (stake (* (* stake)))\n";

/// Longest text of a weight net.
const TEXT_BYTES: u64 = 64 << 10;

/// Interactions one evaluation may take.
const GAS: u64 = 10_000;

/// Edges evaluated in one job.
const BATCH: usize = 1 << 16;

/// Reads a weight net and checks that it defines `@weight`.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let text = read_text(path, TEXT_BYTES)?;
    let book = Book::parse(&text).map_err(|e| Failure::file(path.display(), e))?;
    match book.find("weight") {
        Some(_) => Ok(text),
        None => Err(Failure::file(path.display(), "no definition @weight")),
    }
}

/// Replaces each weight of `graph` by `@weight stake age kind`, the old weight being the stake (at most 2^32 - 1), age and
/// kind 0. An evaluation that fails, or gives no unsigned number, removes the edge; returns how many did.
pub(crate) fn apply(
    graph: &mut Graph,
    text: &str,
    coprocessor: &dyn Coprocessor,
) -> Result<u64, Failure> {
    let book = Arc::new(Book::parse(text).map_err(Failure::new)?);
    let entry = book
        .find("weight")
        .ok_or_else(|| Failure::new("no definition @weight"))?;
    let edges: Vec<EdgeDelta> = graph.edges().collect();
    let mut failed = 0;
    for batch in edges.chunks(BATCH) {
        let call = |edge: &EdgeDelta| {
            let stake = u32::try_from(edge.weight).unwrap_or(u32::MAX);
            Call {
                entry,
                arguments: vec![Term::u32(stake), Term::u32(0), Term::u32(0)],
            }
        };
        let job = RewriteJob {
            book: Arc::clone(&book),
            calls: batch.iter().map(call).collect(),
            limits: Limits {
                gas: GAS,
                nodes: 1 << 16,
                result_bytes: 1 << 10,
            },
        };
        let results = coprocessor.rewrite(&job)?;
        let mut deltas = Vec::with_capacity(batch.len());
        for (edge, result) in batch.iter().zip(results) {
            let number = result.ok().and_then(|outcome| outcome.number);
            let weight = number.and_then(unsigned).unwrap_or_else(|| {
                failed += 1;
                0
            });
            deltas.push(EdgeDelta { weight, ..*edge });
        }
        graph.apply(&deltas).map_err(Failure::new)?;
    }
    Ok(failed)
}

fn unsigned(number: Term) -> Option<u64> {
    match number.as_plain()? {
        (Kind::U24 | Kind::U32, value) => Some(value.into()),
        _ => None,
    }
}

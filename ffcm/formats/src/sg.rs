//! The serialized graph of the GAP Benchmark Suite.
//!
//! ```text
//! directed u8 (0 or 1) · edges i64 · nodes i64 · offsets i64 × (nodes + 1) · neighbours i32 × edges
//! and, if directed, offsets and neighbours of the transpose
//! ```
//! All little-endian. An undirected graph stores both directions of each edge and counts both. Buffers grow with the
//! bytes that arrive, never with the counts that are claimed.

use crate::builder::Builder;
use crate::input::Input;
use crate::{FormatError, LabeledGraph, Limits};

/// Bytes read at a time.
const PIECE_BYTES: usize = 1 << 16;

pub(crate) fn read(input: &mut Input<'_>, limits: &Limits) -> Result<LabeledGraph, FormatError> {
    let mut header = [0; 17];
    let got = input.read_up_to(&mut header)?;
    if got == 0 {
        return Err(FormatError::Empty);
    }
    if got < header.len() {
        return Err(refuse(format!(
            "the header is 17 bytes, the file has {got}"
        )));
    }
    let directed = match header[0] {
        0 => false,
        1 => true,
        other => return Err(refuse(format!("the directed flag is {other}, not 0 or 1"))),
    };
    let edges = count(&header[1..9], "edges", limits.edges)?;
    let nodes = count(&header[9..17], "nodes", limits.nodes.into())?;

    let out_ends = read_offsets(input, nodes, edges, "offsets")?;
    let neighbours = read_neighbours(input, nodes, edges, "neighbours")?;
    if directed {
        check_transpose(input, nodes, &neighbours)?;
    }
    if input.read_up_to(&mut [0])? > 0 {
        return Err(refuse("bytes follow after the graph".to_owned()));
    }
    let mut builder = Builder::new(limits);
    let mut start = 0;
    for (source, &end) in (0u32..).zip(&out_ends) {
        for &target in &neighbours[start..end] {
            builder.link(source, target)?;
        }
        start = end;
    }
    builder.finish((0..nodes).map(|node| node.to_string()).collect())
}

fn refuse(what: String) -> FormatError {
    FormatError::Serialized(what)
}

/// A count of the header.
fn count(bytes: &[u8], what: &'static str, limit: u64) -> Result<usize, FormatError> {
    let value = bytes
        .iter()
        .rev()
        .fold(0u64, |value, &byte| value << 8 | u64::from(byte));
    if value >> 63 != 0 {
        return Err(refuse(format!("the number of {what} is negative")));
    }
    if value > limit {
        return Err(FormatError::Limit { what, limit });
    }
    usize::try_from(value).map_err(|_| FormatError::Limit {
        what,
        limit: usize::MAX as u64,
    })
}

/// Calls `each` with `total` items of `SIZE` bytes.
fn read_items<const SIZE: usize>(
    input: &mut Input<'_>,
    total: usize,
    what: &str,
    mut each: impl FnMut([u8; SIZE]) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let mut piece = vec![0; PIECE_BYTES.min(total.saturating_mul(SIZE))];
    let mut done = 0;
    while done < total {
        let items = (total - done).min(PIECE_BYTES / SIZE);
        let bytes = &mut piece[..items * SIZE];
        let got = input.read_up_to(bytes)?;
        let (whole, _) = bytes[..got].as_chunks::<SIZE>();
        for &item in whole {
            each(item)?;
        }
        done += whole.len();
        if got < bytes.len() {
            return Err(refuse(format!(
                "the file ends after {done} of {total} {what}"
            )));
        }
    }
    Ok(())
}

/// Ends of the rows: offsets without the first, which is 0.
fn read_offsets(
    input: &mut Input<'_>,
    nodes: usize,
    edges: usize,
    what: &str,
) -> Result<Vec<usize>, FormatError> {
    let mut ends = Vec::new();
    let (mut first, mut last) = (true, 0);
    read_items(input, nodes + 1, what, |bytes| {
        let offset = i64::from_le_bytes(bytes);
        let fits = usize::try_from(offset)
            .ok()
            .filter(|&end| end >= last && end <= edges);
        let Some(end) = fits.filter(|&end| !first || end == 0) else {
            return Err(refuse(format!(
                "{what}: {offset} after {last}, of {edges} edges"
            )));
        };
        if !first {
            ends.push(end);
        }
        (first, last) = (false, end);
        Ok(())
    })?;
    if last != edges {
        return Err(refuse(format!(
            "{what} end at {last}, the header says {edges} edges"
        )));
    }
    Ok(ends)
}

fn read_neighbours(
    input: &mut Input<'_>,
    nodes: usize,
    edges: usize,
    what: &str,
) -> Result<Vec<u32>, FormatError> {
    let mut neighbours = Vec::new();
    read_items(input, edges, what, |bytes| {
        let node = i32::from_le_bytes(bytes);
        match u32::try_from(node) {
            Ok(index) if (index as usize) < nodes => neighbours.push(index),
            _ => return Err(refuse(format!("{what}: node {node} of {nodes}"))),
        }
        Ok(())
    })?;
    Ok(neighbours)
}

/// Reads the transpose and checks that its rows are as long as the targets say.
fn check_transpose(
    input: &mut Input<'_>,
    nodes: usize,
    neighbours: &[u32],
) -> Result<(), FormatError> {
    let ends = read_offsets(input, nodes, neighbours.len(), "offsets of the transpose")?;
    read_neighbours(
        input,
        nodes,
        neighbours.len(),
        "neighbours of the transpose",
    )?;
    let mut in_degrees = vec![0usize; nodes];
    for &target in neighbours {
        in_degrees[target as usize] += 1;
    }
    let mut start = 0;
    for (node, (&end, &degree)) in ends.iter().zip(&in_degrees).enumerate() {
        if end - start != degree {
            let stored = end - start;
            return Err(refuse(format!(
                "the transpose has {stored} edges into node {node}, the graph {degree}"
            )));
        }
        start = end;
    }
    Ok(())
}

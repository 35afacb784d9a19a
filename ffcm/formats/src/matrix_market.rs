//! Matrix Market coordinate files.

use crate::builder::Builder;
use crate::input::Input;
use crate::{FormatError, LabeledGraph, Limits, LineError};

/// Nodes an entry justifies: a declared size beyond this many per entry (and [`NODES_FREE`]) is refused, lest a few
/// bytes ask for gigabytes.
const NODES_PER_ENTRY: u64 = 64;

/// Nodes that need no entry.
const NODES_FREE: u64 = 1 << 16;

/// What the first line says.
struct Header {
    pattern: bool,
    symmetric: bool,
}

pub(crate) fn read(input: &mut Input<'_>, limits: &Limits) -> Result<LabeledGraph, FormatError> {
    let header = match input.next_line()? {
        Some(line) => parse_header(line).map_err(FormatError::at(1))?,
        None => return Err(FormatError::Empty),
    };
    let (nodes, entries) = read_size(input, limits)?;
    let mut builder = Builder::new(limits);
    let mut found = 0;
    loop {
        let line = input.line() + 1;
        let Some(text) = input.next_line()? else {
            break;
        };
        let refuse = FormatError::at(line);
        let mut words = text.split_ascii_whitespace();
        let Some(row) = words.next() else { continue };
        if row.starts_with('%') {
            continue;
        }
        found += 1;
        if found > entries {
            let found = "but more follow".to_owned();
            return Err(refuse(LineError::EntryCount {
                declared: entries,
                found,
            }));
        }
        let (column, weight, more) = (words.next(), words.next(), words.count());
        let (Some(column), 0, true) = (column, more, weight.is_none() == header.pattern) else {
            let found = 1 + usize::from(column.is_some()) + usize::from(weight.is_some()) + more;
            let expected = if header.pattern {
                "row and column"
            } else {
                "row, column and value"
            };
            return Err(refuse(LineError::Columns { expected, found }));
        };
        let row = parse_index(row, nodes).map_err(&refuse)?;
        let column = parse_index(column, nodes).map_err(&refuse)?;
        let mirrored = header.symmetric && row != column;
        for (source, target) in [(row, column), (column, row)]
            .iter()
            .take(1 + usize::from(mirrored))
        {
            match weight {
                Some(weight) => builder.weighted((*source, *target), weight, line)?,
                None => builder.link(*source, *target)?,
            }
        }
    }
    if found < entries {
        let found = format!("but the file ends after {found}");
        return Err(FormatError::at(input.line())(LineError::EntryCount {
            declared: entries,
            found,
        }));
    }
    builder.finish((1..=nodes).map(|node| node.to_string()).collect())
}

fn parse_header(line: &str) -> Result<Header, LineError> {
    let refuse = |what: String| Err(LineError::Header(what));
    let words: Vec<String> = line
        .split_ascii_whitespace()
        .map(str::to_ascii_lowercase)
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [banner, object, layout, field, symmetry] = words[..] else {
        return refuse("expected `%%MatrixMarket matrix coordinate FIELD SYMMETRY`".to_owned());
    };
    if (banner, object) != ("%%matrixmarket", "matrix") {
        return refuse("expected `%%MatrixMarket matrix`".to_owned());
    }
    if layout != "coordinate" {
        return refuse(format!("layout {layout} is not read, only coordinate"));
    }
    if !["pattern", "integer", "real"].contains(&field) {
        return refuse(format!(
            "field {field} is not read, only pattern, integer and real"
        ));
    }
    if !["general", "symmetric"].contains(&symmetry) {
        return refuse(format!(
            "symmetry {symmetry} is not read, only general and symmetric"
        ));
    }
    Ok(Header {
        pattern: field == "pattern",
        symmetric: symmetry == "symmetric",
    })
}

/// Nodes and entries from the size line.
fn read_size(input: &mut Input<'_>, limits: &Limits) -> Result<(u32, u64), FormatError> {
    loop {
        let line = input.line() + 1;
        let refuse = FormatError::at(line);
        let Some(text) = input.next_line()? else {
            let what = "the file ends before the size line".to_owned();
            return Err(refuse(LineError::Header(what)));
        };
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        if words.first().is_none_or(|word| word.starts_with('%')) {
            continue;
        }
        let [rows, columns, entries] = words[..] else {
            let expected = "rows, columns and entries";
            return Err(refuse(LineError::Columns {
                expected,
                found: words.len(),
            }));
        };
        let number = |word: &str| {
            word.parse::<u64>()
                .map_err(|_| refuse(LineError::Header(format!("size {word} is not a number"))))
        };
        let (rows, columns, entries) = (number(rows)?, number(columns)?, number(entries)?);
        if rows != columns {
            let what = format!("the matrix is {rows} by {columns}, not square");
            return Err(refuse(LineError::Header(what)));
        }
        if rows > u64::from(limits.nodes) {
            return Err(FormatError::Limit {
                what: "nodes",
                limit: limits.nodes.into(),
            });
        }
        if entries > limits.edges {
            return Err(FormatError::Limit {
                what: "edges",
                limit: limits.edges,
            });
        }
        if rows > NODES_FREE.max(entries.saturating_mul(NODES_PER_ENTRY)) {
            let what = format!("{rows} nodes for {entries} entries are more than 64 an entry");
            return Err(refuse(LineError::Header(what)));
        }
        // The node limit is a u32.
        return Ok((rows as u32, entries));
    }
}

/// A node from an index that counts from 1.
fn parse_index(word: &str, nodes: u32) -> Result<u32, LineError> {
    if word.starts_with('-') {
        return Err(LineError::NegativeNode(word.to_owned()));
    }
    match word.parse::<u32>() {
        Ok(index) if (1..=nodes).contains(&index) => Ok(index - 1),
        _ => Err(LineError::NodeRange(word.to_owned())),
    }
}

//! `source target [weight]`, a line each.

use crate::builder::{Builder, Interner};
use crate::input::Input;
use crate::{FormatError, LabeledGraph, Limits, LineError};

pub(crate) fn read(input: &mut Input<'_>, limits: &Limits) -> Result<LabeledGraph, FormatError> {
    let mut names = Interner::new(limits);
    let mut builder = Builder::new(limits);
    loop {
        let line = input.line() + 1;
        let Some(text) = input.next_line()? else {
            break;
        };
        let refuse = FormatError::at(line);
        let mut words = text.split_ascii_whitespace();
        let Some(source) = words.next() else { continue };
        if source.starts_with(['#', '%']) {
            continue;
        }
        let (target, weight, more) = (words.next(), words.next(), words.count());
        let Some(target) = target else {
            return Err(refuse(columns(1)));
        };
        if more > 0 {
            return Err(refuse(columns(3 + more)));
        }
        check_node(source)
            .and_then(|()| check_node(target))
            .map_err(&refuse)?;
        let edge = (names.node(source)?, names.node(target)?);
        match weight {
            Some(weight) => builder.weighted(edge, weight, line)?,
            None => builder.link(edge.0, edge.1)?,
        }
    }
    builder.finish(names.into_labels())
}

fn columns(found: usize) -> LineError {
    LineError::Columns {
        expected: "source, target and perhaps a weight",
        found,
    }
}

/// Refuses integers outside `0..2^64`; any other word is a name.
fn check_node(word: &str) -> Result<(), LineError> {
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    if word.starts_with('-') {
        return Err(LineError::NegativeNode(word.to_owned()));
    }
    match digits.parse::<u64>() {
        Ok(_) => Ok(()),
        Err(_) => Err(LineError::NodeRange(word.to_owned())),
    }
}

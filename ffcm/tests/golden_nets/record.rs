//! The golden record beside a program: `key: value` lines, one fact each.

use std::fmt;

use ffcm::spec::rules::{Counts, Opcode};

/// What a program must give, and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Engine the facts came from: `hvm 2.0.22`, or `oracle` for what that one cannot run.
    pub source: String,
    /// Canonical result.
    pub result: String,
    /// Interactions by opcode.
    pub counts: Counts,
}

impl Record {
    /// Parses the text of a `.golden` file: every key exactly once, in order, the counts adding up.
    pub fn parse(text: &str) -> Result<Record, String> {
        let mut lines = text.lines();
        let mut next = |key: &str| {
            let line = lines.next().ok_or_else(|| format!("no line `{key}: …`"))?;
            let value = line
                .strip_prefix(key)
                .and_then(|rest| rest.strip_prefix(": "));
            value.ok_or_else(|| format!("`{key}: …` expected, not `{line}`"))
        };
        let count = |key: &str, value: &str| {
            value
                .parse::<u64>()
                .map_err(|error| format!("{key} `{value}`: {error}"))
        };
        let source = next("source")?.to_owned();
        let result = next("result")?.to_owned();
        let total = count("interactions", next("interactions")?)?;
        let mut counts = Counts::default();
        for opcode in Opcode::COUNTED {
            counts.add(opcode, count(opcode.name(), next(opcode.name())?)?);
        }
        if let Some(line) = lines.next() {
            return Err(format!("unexpected line `{line}`"));
        }
        if counts.total() != total {
            let sum = counts.total();
            return Err(format!(
                "interactions are {total}, the counts by opcode add up to {sum}"
            ));
        }
        Ok(Record {
            source,
            result,
            counts,
        })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "source: {}", self.source)?;
        writeln!(f, "result: {}", self.result)?;
        writeln!(f, "interactions: {}", self.counts.total())?;
        for (opcode, count) in self.counts.iter() {
            writeln!(f, "{}: {count}", opcode.name())?;
        }
        Ok(())
    }
}

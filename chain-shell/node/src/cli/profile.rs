//! `focus run --profile`: where the interactions of a program come from.

use std::time::Duration;

use ffcm::coprocessor::DeviceInfo;
use ffcm::cpu::{DefinitionProfile, Motif, Profile};
use ffcm::net::{Book, Outcome};
use ffcm::spec::rules::Opcode;
use serde_json::{Map, Value, json};

use super::output::grouped;

/// Of the JSON object; raised when a field changes its meaning or goes.
const VERSION: u32 = 1;
/// A name is cut to so many characters in the table.
const NAME_CHARS: usize = 32;

/// A profiled run.
pub(crate) struct Profiled {
    pub(crate) book: Book,
    pub(crate) outcome: Outcome,
    pub(crate) profile: Profile,
    pub(crate) machine: DeviceInfo,
    pub(crate) time: Duration,
    /// Rows shown of either table; all without.
    pub(crate) top: Option<usize>,
}

impl Profiled {
    fn total(&self) -> u64 {
        self.outcome.counts.total()
    }

    fn share(&self, interactions: u64) -> f64 {
        interactions as f64 / self.total().max(1) as f64
    }

    /// The definitions with the most interactions, then expansions, then by their place in the book. None without any.
    fn hottest(&self) -> Vec<(&str, DefinitionProfile)> {
        let names = self.book.definitions().iter().map(|d| d.name.as_str());
        let profiles = self.profile.definitions.iter().copied();
        let mut rows: Vec<_> = names
            .zip(profiles)
            .filter(|(_, p)| p.interactions > 0)
            .collect();
        rows.sort_by_key(|(_, p)| std::cmp::Reverse((p.interactions, p.expansions)));
        rows
    }

    fn shown<T>(&self, mut rows: Vec<T>) -> (Vec<T>, usize) {
        let all = rows.len();
        rows.truncate(self.top.unwrap_or(all));
        let left = all - rows.len();
        (rows, left)
    }

    /// Tables for people.
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("Result: {}\n", self.outcome.result);
        let (total, span) = (self.total(), self.profile.span);
        let parallel = total as f64 / span.max(1) as f64;
        for (name, value) in [
            ("interactions", grouped(total)),
            ("span", grouped(span)),
            ("parallel", format!("{parallel:.1}")),
            ("seconds", format!("{:.3}", self.time.as_secs_f64())),
        ] {
            text += &format!("- {name:<12} {value:>18}\n");
        }
        let (rows, left) = self.shown(self.hottest());
        text += &format!(
            "\n{:<NAME_CHARS$} {:>14} {:>16} {:>7}\n",
            "definition", "expansions", "interactions", "share"
        );
        for (name, profile) in rows {
            let name = cut(&format!("@{name}"));
            let (expansions, interactions) =
                (grouped(profile.expansions), grouped(profile.interactions));
            let share = 100.0 * self.share(profile.interactions);
            text +=
                &format!("{name:<NAME_CHARS$} {expansions:>14} {interactions:>16} {share:>6.2}%\n");
        }
        text += &more(left, "definitions");
        let (rows, left) = self.shown(self.profile.motifs());
        text += &format!("\n{:<47} {:>16} {:>7}\n", "motif", "interactions", "share");
        for motif in rows {
            let (chain, count) = (chain(&motif).join(" > "), grouped(motif.count));
            let share = 100.0 * self.share(motif.count);
            text += &format!("{chain:<47} {count:>16} {share:>6.2}%\n");
        }
        text + &more(left, "motifs")
    }

    /// One JSON object. Shares are of all interactions.
    pub(crate) fn to_json(&self) -> Value {
        let definition = |(name, profile): (&str, DefinitionProfile)| {
            json!({
                "name": name,
                "expansions": profile.expansions,
                "interactions": profile.interactions,
                "share": self.share(profile.interactions),
            })
        };
        let motif = |motif: Motif| {
            json!({
                "opcodes": chain(&motif),
                "interactions": motif.count,
                "share": self.share(motif.count),
            })
        };
        let definitions = self.shown(self.hottest()).0.into_iter().map(definition);
        let motifs = self.shown(self.profile.motifs()).0.into_iter().map(motif);
        json!({
            "version": VERSION,
            "result": self.outcome.result,
            "digest": hex::encode(self.outcome.digest()),
            "interactions": self.total(),
            "span": self.profile.span,
            "by_opcode": by_opcode(&self.outcome),
            "seconds": self.time.as_secs_f64(),
            "backend": self.machine.backend,
            "device": self.machine.device,
            "definitions": definitions.collect::<Vec<_>>(),
            "motifs": motifs.collect::<Vec<_>>(),
        })
    }
}

/// Interactions by the names of the opcodes.
pub(crate) fn by_opcode(outcome: &Outcome) -> Map<String, Value> {
    let counts = outcome.counts.iter();
    counts
        .map(|(opcode, count)| (opcode.name().to_owned(), json!(count)))
        .collect()
}

/// Names of the opcodes; `start` before what the call itself set off.
fn chain(motif: &Motif) -> [&'static str; 3] {
    motif.opcodes.map(|opcode| match opcode {
        Opcode::Link => "start",
        _ => opcode.name(),
    })
}

fn cut(name: &str) -> String {
    match name.char_indices().nth(NAME_CHARS) {
        None => name.to_owned(),
        Some(_) => {
            let mut cut: String = name.chars().take(NAME_CHARS - 1).collect();
            cut.push('…');
            cut
        }
    }
}

fn more(left: usize, what: &str) -> String {
    match left {
        0 => String::new(),
        _ => format!("… {left} more {what}; --top none shows all\n"),
    }
}

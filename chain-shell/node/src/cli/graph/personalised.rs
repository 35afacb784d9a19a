//! `focus graph ppr`: π whose teleport goes to given nodes.

use std::path::PathBuf;

use clap::{Args, value_parser};
use ffcm::focus::{FocusParams, MAX_ITERATIONS};
use ffcm::operators::Operators;
use ffcm_formats::LabeledGraph;
use serde_json::json;

use super::super::decimal;
use super::super::failure::Failure;
use super::super::output::{fraction, grouped, read_text, share};
use super::{Answer, find};

/// Longest list of seeds in bytes.
const SEEDS_BYTES: u64 = 64 << 20;

/// Whom the ranking is for, and how far it goes.
#[derive(Debug, Args)]
pub(super) struct Personal {
    /// Label of a node that teleport goes to, as often as there are such nodes
    #[arg(long = "seed", value_name = "LABEL")]
    seeds: Vec<String>,
    /// File with a label a line, and a stake after a tab where it is not 1; - reads stdin
    #[arg(long = "seeds", value_name = "FILE", required_unless_present = "seeds")]
    file: Option<PathBuf>,
    /// Damping d, below 1
    #[arg(long, default_value = "0.85", value_name = "D", value_parser = decimal::damping)]
    damping: u32,
    /// Stop when the residual falls below this share of the mass; 0 runs exactly --max-iters iterations
    #[arg(long, default_value = "1e-6", value_name = "E", value_parser = decimal::epsilon)]
    eps: u64,
    /// Most iterations
    #[arg(long, default_value_t = 2048, value_name = "N",
          value_parser = value_parser!(u32).range(1..=i64::from(MAX_ITERATIONS)))]
    max_iters: u32,
}

impl Personal {
    /// Nodes and their stakes.
    fn interests(&self, labeled: &LabeledGraph) -> Result<Vec<(u32, u64)>, Failure> {
        let mut all = Vec::new();
        for label in &self.seeds {
            all.push((find(labeled, label)?, 1));
        }
        let Some(path) = &self.file else {
            return Ok(all);
        };
        let text = read_text(path, SEEDS_BYTES)?;
        // Looked up, never iterated.
        let nodes = (0..).zip(&labeled.labels);
        let nodes: std::collections::HashMap<&str, u32> =
            nodes.map(|(node, label)| (&**label, node)).collect();
        for (number, line) in (1..).zip(text.lines()) {
            let wrong =
                |what: &str| Failure::file(path.display(), format_args!("line {number}: {what}"));
            if line.is_empty() {
                continue;
            }
            let (label, stake) = line.split_once('\t').unwrap_or((line, "1"));
            let node = *nodes
                .get(label)
                .ok_or_else(|| wrong(&format!("no node is called {label}")))?;
            let stake = stake
                .parse()
                .map_err(|_| wrong("a stake is a whole number below 2^64"))?;
            all.push((node, stake));
        }
        Ok(all)
    }

    pub(super) fn rank(
        &self,
        operators: &Operators,
        labeled: &LabeledGraph,
    ) -> Result<Answer, Failure> {
        let interests = self.interests(labeled)?;
        let params = FocusParams {
            damping: self.damping,
            epsilon: self.eps,
            max_iterations: self.max_iters,
            ..FocusParams::default()
        };
        let ranking = operators.personalised(&interests, &params)?;
        let words = format!(
            "{} seeds, {} iterations, residual {:.3e}{}, digest {}",
            grouped(interests.len() as u64),
            ranking.iterations,
            share(ranking.residual),
            if ranking.converged {
                ""
            } else {
                ", not converged"
            },
            hex::encode(ranking.digest()),
        );
        let facts = json!({
            "seeds": interests.len(),
            "iterations": ranking.iterations,
            "residual_units": ranking.residual.to_string(),
            "converged": ranking.converged,
            "digest": hex::encode(ranking.digest()),
        });
        let line = |(node, units): (u32, u64)| (fraction(units, 9), json!(units.to_string()), node);
        let all = ranking.top(ranking.mass.len());
        Ok(Answer {
            lines: all.into_iter().map(line).collect(),
            ..Answer::new("ppr", words, facts).values(&ranking.mass)
        })
    }
}

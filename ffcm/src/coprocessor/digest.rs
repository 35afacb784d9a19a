//! One BLAKE3 digest per job output, so that backends, runs and machines compare by 32 bytes.
//!
//! Numbers enter as `u64` little-endian, byte strings after their length.

use blake3::Hasher;

use super::{EvaluateOutput, HashOutput, RewriteOutput};
use crate::focus::Ranking;
use crate::memory::{Memory, MemoryError};
use crate::net::{Outcome, ReduceError};

fn number(hasher: &mut Hasher, value: u64) {
    hasher.update(&value.to_le_bytes());
}

fn bytes(hasher: &mut Hasher, value: &[u8]) {
    number(hasher, value.len() as u64);
    hasher.update(value);
}

/// Over results, plain numbers and interaction counts by opcode, and the kind of each error. What depends on the
/// schedule (interactions of a cancelled call) stays out.
pub fn rewrite_digest(output: &RewriteOutput) -> [u8; 32] {
    let mut hasher = Hasher::new();
    for result in output {
        match result {
            Ok(outcome) => {
                bytes(&mut hasher, b"ok");
                bytes(&mut hasher, outcome.result.as_bytes());
                let plain: &[u8] = match &outcome.number {
                    Some(term) => &term.0.to_le_bytes(),
                    None => &[],
                };
                bytes(&mut hasher, plain);
                for (_, count) in outcome.counts.iter() {
                    number(&mut hasher, count);
                }
            }
            Err(error) => {
                bytes(&mut hasher, error_kind(error).as_bytes());
            }
        }
    }
    *hasher.finalize().as_bytes()
}

/// Over numbers and interactions of all rows, the rows that failed with the kind of each error, and the counts by opcode.
pub fn evaluate_digest(output: &EvaluateOutput) -> [u8; 32] {
    let mut hasher = Hasher::new();
    number(&mut hasher, output.numbers.len() as u64);
    for (term, interactions) in output.numbers.iter().zip(&output.interactions) {
        number(&mut hasher, term.0);
        number(&mut hasher, *interactions);
    }
    for (row, error) in &output.failures {
        number(&mut hasher, *row as u64);
        bytes(&mut hasher, error_kind(error).as_bytes());
    }
    for (_, count) in output.counts.iter() {
        number(&mut hasher, count);
    }
    *hasher.finalize().as_bytes()
}

fn error_kind(error: &ReduceError) -> &'static str {
    match error {
        ReduceError::OutOfGas { .. } => "out of gas",
        ReduceError::OutOfHeap { .. } => "out of heap",
        ReduceError::ViciousCircle => "vicious circle",
        ReduceError::ResultTooLong { .. } => "result too long",
        ReduceError::InvalidCall(_) => "invalid call",
        ReduceError::Cancelled { .. } => "cancelled",
    }
}

/// How a reduction ended, in a word or two: `ok` or the kind of error.
pub fn ending(result: &Result<Outcome, ReduceError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => error_kind(error),
    }
}

/// Over masses, iteration count, residuals and the convergence flag.
pub fn ranking_digest(ranking: &Ranking) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(&ranking.digest());
    number(&mut hasher, ranking.iterations.into());
    number(&mut hasher, ranking.residual);
    for residual in &ranking.residuals {
        number(&mut hasher, *residual);
    }
    number(&mut hasher, ranking.converged.into());
    *hasher.finalize().as_bytes()
}

/// Over the tensor and what became of each operation.
pub fn memory_digest(memory: &Memory, results: &[Result<(), MemoryError>]) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(&memory.digest());
    for result in results {
        let text = result.map_or_else(|error| error.to_string(), |()| "ok".into());
        bytes(&mut hasher, text.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// Over the hashes or the nonce.
pub fn hash_digest(output: &HashOutput) -> [u8; 32] {
    let mut hasher = Hasher::new();
    match output {
        HashOutput::Digests(digests) => {
            for digest in digests {
                hasher.update(digest);
            }
        }
        HashOutput::Nonce(None) => bytes(&mut hasher, b"none"),
        HashOutput::Nonce(Some(nonce)) => {
            bytes(&mut hasher, b"nonce");
            number(&mut hasher, *nonce);
        }
    }
    *hasher.finalize().as_bytes()
}

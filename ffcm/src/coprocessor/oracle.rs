//! The sequential oracles as a coprocessor: what every other one is compared with.

use sha2::{Digest, Sha256};

use super::{
    Coprocessor, DeviceInfo, FocusJob, HashJob, HashOutput, JobError, RewriteJob, RewriteOutput,
};
use crate::focus::Ranking;
use crate::hash::pow_hash;
use crate::memory::{Memory, MemoryError, MemoryOp, SlotId};
use crate::oracle;

/// Runs every job one step after the other on the calling thread. Slow; for tests and for recording digests.
#[derive(Clone, Copy, Debug, Default)]
pub struct OracleCoprocessor;

impl Coprocessor for OracleCoprocessor {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            backend: "oracle".into(),
            device: "sequential reference".into(),
            threads: 1,
        }
    }

    fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        let reduce = |call| oracle::reduce(&job.book, call, &job.limits);
        Ok(job.calls.iter().map(reduce).collect())
    }

    fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        Ok(oracle::focus::rank(job.graph, &job.params, job.start)?)
    }

    fn memory(
        &self,
        memory: &mut Memory,
        ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        Ok(ops
            .iter()
            .map(|(target, op)| oracle::memory::apply(memory, *target, op))
            .collect())
    }

    fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
        Ok(match *job {
            HashJob::Blake3(inputs) => {
                HashOutput::Digests(inputs.iter().map(|i| *blake3::hash(i).as_bytes()).collect())
            }
            HashJob::Sha256(inputs) => {
                HashOutput::Digests(inputs.iter().map(|i| Sha256::digest(i).into()).collect())
            }
            HashJob::PowSearch {
                header,
                start,
                count,
                target,
            } => {
                let nonces = (0..count).map_while(|offset| start.checked_add(offset));
                HashOutput::Nonce({ nonces }.find(|nonce| pow_hash(header, *nonce) < target))
            }
        })
    }
}

//! Making blocks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError};

use focus_consensus::{Engine, Input, Output};
use focus_modules::memory;
use focus_types::{Address, Certificate, Receipt};

use crate::chain::{Executed, Selection};
use crate::commit::{self, BlockRecord};
use crate::log::Log;
use crate::node::{Node, Telemetry, append_missing, lock};
use crate::{BlockReport, NodeError};

impl Node {
    /// Makes and commits one block. `None` if nothing can go into one and empty blocks are off.
    ///
    /// If the error is about the log, the block is committed all the same; its line is written with the next one, or
    /// when the folder is opened again.
    pub fn produce(&self) -> Result<Option<BlockReport>, NodeError> {
        let mut producer = lock(&self.producer);
        let mut outputs = VecDeque::from(input(&mut *producer.engine, Input::Start)?);
        let mut built: Option<Executed> = None;
        let mut report = None;
        let mut logged = Ok(());
        while let Some(output) = outputs.pop_front() {
            let more = match output {
                Output::Propose { height, .. } => match self.build() {
                    Ok(Some(executed)) => {
                        let tip = &executed.tip;
                        let ready = Input::PayloadReady {
                            height,
                            parent: tip.header.parent,
                            block: tip.hash,
                            certificate_bytes: tip.header.certificate_bytes(),
                        };
                        built = Some(executed);
                        input(&mut *producer.engine, ready)?
                    }
                    Ok(None) => input(&mut *producer.engine, Input::PayloadAbsent { height })?,
                    Err(error) => {
                        input(&mut *producer.engine, Input::PayloadAbsent { height })?;
                        return Err(error);
                    }
                },
                Output::Decide {
                    height,
                    block,
                    certificate,
                } => {
                    let executed = built.take().filter(|executed| executed.tip.hash == block);
                    let executed = executed.ok_or_else(|| {
                        NodeError::Consensus(format!("block {height} was decided, not built"))
                    })?;
                    match self.commit(executed, certificate) {
                        Ok((done, record, receipts)) => {
                            let done = self.finish(&mut producer.log, done, record, receipts);
                            report = Some(done.0);
                            logged = done.1;
                        }
                        Err(error) => {
                            input(&mut *producer.engine, Input::CommitFailed { height })?;
                            return Err(error);
                        }
                    }
                    input(&mut *producer.engine, Input::CommitDone { height, block })?
                }
                other => {
                    return Err(NodeError::Consensus(format!(
                        "a chain of one validator has no use for {other:?}"
                    )));
                }
            };
            outputs.extend(more);
        }
        logged?;
        Ok(report)
    }

    /// Builds a block from the mempool. `None` if it would be empty and empty blocks are off.
    fn build(&self) -> Result<Option<Executed>, NodeError> {
        let budget = self.chain.genesis.budgets.transactions;
        let count = usize::try_from(budget.saturating_mul(2)).unwrap_or(usize::MAX);
        let candidates = lock(&self.mempool).candidates(count);
        if candidates.is_empty() && !self.options.empty_blocks {
            return Ok(None);
        }
        let snapshot = self.store.snapshot()?;
        let executed = self.chain.execute(
            &self.tip(),
            &snapshot,
            candidates,
            self.address,
            Selection::Build,
        )?;
        drop(snapshot);
        self.drop_refused(&executed)?;
        let empty = executed.included.is_empty() && !self.options.empty_blocks;
        Ok((!empty).then_some(executed))
    }

    /// Takes transactions that can never run out of the mempool.
    fn drop_refused(&self, executed: &Executed) -> Result<(), NodeError> {
        for (sender, nonce, reason) in &executed.refused {
            let account = self.funds(sender)?.0;
            let mut mempool = lock(&self.mempool);
            mempool.committed(sender, account);
            if *nonce >= account {
                mempool.refuse(sender, *nonce);
            }
            drop(mempool);
            self.count_rejected(*reason);
        }
        Ok(())
    }

    /// Commits an executed block and makes it the tip.
    fn commit(
        &self,
        mut executed: Executed,
        certificate: Certificate,
    ) -> Result<(BlockReport, BlockRecord, Vec<Receipt>), NodeError> {
        executed.tip.header.certificate = certificate;
        let parent = self.tip();
        let (batch, record) = commit::block_batch(&parent.header, &executed);
        self.store.commit(&batch)?;
        executed.stages.done("commit");
        let report = report(&executed);
        let mut nonces: BTreeMap<Address, u64> = BTreeMap::new();
        for task in &executed.included {
            nonces.insert(task.tx.tx.sender, task.tx.tx.nonce + 1);
        }
        let operations = std::mem::take(&mut executed.memory_ops);
        let receipts = std::mem::take(&mut executed.receipts);
        *self.tip.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(executed.tip);
        let mut mempool = lock(&self.mempool);
        for (sender, nonce) in nonces {
            mempool.committed(&sender, nonce);
        }
        drop(mempool);
        let mut telemetry = lock(&self.telemetry);
        for slot in operations {
            telemetry.operations[memory::position(slot)] += 1;
        }
        Ok((report, record, receipts))
    }

    /// Writes the log and keeps the report.
    fn finish(
        &self,
        log: &mut Log,
        mut report: BlockReport,
        record: BlockRecord,
        receipts: Vec<Receipt>,
    ) -> (BlockReport, Result<(), NodeError>) {
        let started = std::time::Instant::now();
        let logged = append_missing(log, &*self.store, record.block.header.height - 1)
            .and_then(|()| log.append(record, receipts));
        report.stages.push(("log", started.elapsed()));
        let mut telemetry = lock(&self.telemetry);
        telemetry.count(&report);
        telemetry.reports.push_back(Arc::new(report.clone()));
        while telemetry.reports.len() > self.options.reports {
            telemetry.reports.pop_front();
        }
        (report, logged)
    }
}

impl Telemetry {
    fn count(&mut self, report: &BlockReport) {
        let metrics = &mut self.metrics;
        metrics.blocks += 1;
        metrics.transactions += u64::from(report.transactions);
        metrics.failed += u64::from(report.failed);
        metrics.links += u64::from(report.links);
        metrics.memory_ops += u64::from(report.memory_ops);
        metrics.gas += report.header.gas_used;
        metrics.iterations += u64::from(report.iterations);
        metrics.not_converged += u64::from(!report.header.converged);
    }
}

fn input(engine: &mut dyn Engine, input: Input) -> Result<Vec<Output>, NodeError> {
    engine
        .handle(input)
        .map_err(|error| NodeError::Consensus(error.to_string()))
}

fn report(executed: &Executed) -> BlockReport {
    let header = executed.tip.header.clone();
    BlockReport {
        hash: executed.tip.hash,
        transactions: executed.included.len() as u32,
        failed: executed
            .receipts
            .iter()
            .filter(|receipt| !receipt.ok)
            .count() as u32,
        rejected: executed.refused.len() as u32,
        links: executed.links,
        edges: header.edges,
        memory_ops: executed.memory_ops.len() as u32,
        iterations: header.iterations,
        residual: header.residual,
        residuals: executed.residuals.clone(),
        pi_digest: pi_digest(&executed.tip.pi),
        state_root: header.state_root,
        stages: executed.stages.list.clone(),
        header,
    }
}

/// As [`ffcm::focus::Ranking::digest`].
fn pi_digest(pi: &[u64]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for run in pi.chunks(8192) {
        let bytes: Vec<u8> = run.iter().flat_map(|mass| mass.to_le_bytes()).collect();
        hasher.update(&bytes);
    }
    *hasher.finalize().as_bytes()
}

//! The node as the HTTP server sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use focus_node::{BlockReport, Node, NodeError};
use focus_rpc::{
    ApiError, BlockSummary, CoprocessorHealth, Health, KeyProof, MemoryActivity, NodeApi, Particle,
    Stage, Submitted,
};
use focus_types::{RejectReason, SignedTx, TxId};
use serde_json::{Value, json};

use crate::cli::{Fusing, Serving};

/// Adapts a [`Node`] to [`NodeApi`].
pub(crate) struct Service {
    node: Arc<Node>,
    serving: Serving,
    fusing: Fusing,
}

impl Service {
    /// Serves `node`, which computes on `serving`, and on the CPU with what `fusing` makes.
    pub(crate) fn new(node: Arc<Node>, serving: Serving, fusing: Fusing) -> Service {
        Service {
            node,
            serving,
            fusing,
        }
    }
}

impl Service {
    /// Reads a transaction, and counts one that cannot be read.
    fn read(&self, tx: &Value) -> Result<SignedTx, RejectReason> {
        let read = SignedTx::from_json_value(tx);
        if let Err(reason) = read {
            self.node.count_rejected(reason);
        }
        read
    }
}

/// The answer for a transaction, whose id is known if it could be read.
fn submitted(verdict: Result<TxId, RejectReason>, txid: Option<TxId>) -> Submitted {
    Submitted {
        ok: verdict.is_ok(),
        reason: verdict.err().map(|reason| reason.to_string()),
        txid: txid.map(|id| id.to_string()),
    }
}

fn internal(error: NodeError) -> ApiError {
    ApiError::Internal(error.to_string())
}

impl NodeApi for Service {
    fn health(&self) -> Result<Health, ApiError> {
        let head = self.node.head();
        let metrics = self.node.metrics();
        let device = self.serving.info();
        let state = self.serving.state();
        let mut counters: BTreeMap<String, u64> = metrics
            .rejected
            .iter()
            .map(|(reason, count)| (format!("rejected_{reason}"), *count))
            .collect();
        for (name, count) in [
            ("admitted", metrics.admitted),
            ("blocks", metrics.blocks),
            ("transactions", metrics.transactions),
            ("failed", metrics.failed),
            ("links", metrics.links),
            ("memory_ops", metrics.memory_ops),
            ("gas", metrics.gas),
            ("iterations", metrics.iterations),
            ("not_converged", metrics.not_converged),
            ("nodes", metrics.nodes),
            ("edges", metrics.edges),
        ] {
            counters.insert(name.to_owned(), count);
        }
        Ok(Health {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            chain_id: self.node.genesis().chain_id.clone(),
            genesis_hash: head.chain.to_string(),
            node_key: self.node.address().to_string(),
            height: head.height,
            round: 0,
            tip: head.hash().to_string(),
            state_root: head.state_root.to_string(),
            mempool: self.node.mempool_len() as u64,
            counters,
            backend: state.backend,
            device: device.device,
            threads: device.threads,
            coprocessor: CoprocessorHealth {
                serving: state.serving,
                failure: state.failure,
                failovers: state.failovers,
                unsupported: state.unsupported,
            },
            jit: self.fusing.health(),
            pid: std::process::id(),
            rss: focus_rpc::resident_bytes(),
        })
    }

    fn submit(&self, tx: Value) -> Result<Submitted, ApiError> {
        Ok(match self.read(&tx) {
            Ok(tx) => {
                let txid = tx.id();
                submitted(self.node.submit(tx), Some(txid))
            }
            Err(reason) => submitted(Err(reason), None),
        })
    }

    fn submit_all(&self, txs: Vec<Value>) -> Result<Vec<Submitted>, ApiError> {
        let read: Vec<Result<SignedTx, RejectReason>> =
            txs.iter().map(|tx| self.read(tx)).collect();
        let ids: Vec<Result<TxId, RejectReason>> = { read.iter() }
            .map(|tx| tx.as_ref().map(SignedTx::id).map_err(|reason| *reason))
            .collect();
        let valid = read.into_iter().flatten().collect();
        let mut verdicts = self.node.submit_all(valid).into_iter();
        let answer = |id| match id {
            Ok(txid) => {
                let verdict = verdicts.next();
                let verdict = verdict.expect("one verdict for each that could be read");
                submitted(verdict, Some(txid))
            }
            Err(reason) => submitted(Err(reason), None),
        };
        Ok(ids.into_iter().map(answer).collect())
    }

    fn block(&self, height: u64) -> Result<Option<Value>, ApiError> {
        let block = self.node.block(height).map_err(internal)?;
        Ok(block.map(|block| {
            json!({
                "hash": block.header.hash(),
                "header": block.header,
                "transactions": block.transactions,
            })
        }))
    }

    fn receipt(&self, txid: [u8; 32]) -> Result<Option<Value>, ApiError> {
        let receipt = self.node.receipt(&TxId(txid)).map_err(internal)?;
        Ok(receipt.map(|receipt| json!(receipt)))
    }

    fn top(&self, count: usize) -> Result<Vec<Particle>, ApiError> {
        let ranks = self.node.top(count).map_err(internal)?;
        let particle = |rank: focus_node::ParticleRank| Particle {
            label: rank.label.unwrap_or_else(|| rank.cid.to_string()),
            id: rank.cid.to_string(),
            pi: share(rank.mass),
            units: rank.mass.to_string(),
        };
        Ok(ranks.into_iter().map(particle).collect())
    }

    fn prove(&self, key: &str) -> Result<KeyProof, ApiError> {
        let key = state_key(key).map_err(ApiError::BadRequest)?;
        let proof = self.node.prove(&key).map_err(internal)?;
        Ok(KeyProof {
            key: hex::encode(&proof.key),
            value: proof.value.map(hex::encode),
            proof: hex::encode(&proof.proof),
            state_root: proof.state_root.to_string(),
            height: proof.height,
        })
    }

    fn memory_activity(&self) -> Result<MemoryActivity, ApiError> {
        let activity = self.node.memory_activity();
        Ok(MemoryActivity {
            shards: activity.shards,
            layers: activity.layers,
            slots: activity.slots,
            counts: activity.operations,
        })
    }
}

/// Longest state key in bytes that is looked up.
const KEY_BYTES_MAX: usize = 1024;

/// The state key of a path: parts divided by `/`, each plain text or, after `0x`, hexadecimal bytes. A key without a
/// leading `/` is all hexadecimal, with or without `0x`.
fn state_key(text: &str) -> Result<Vec<u8>, String> {
    let bytes = |digits: &str| hex::decode(digits).map_err(|e| format!("key: `{digits}`: {e}"));
    if text.len() > 2 * KEY_BYTES_MAX + 2 {
        return Err(format!("key: longer than {KEY_BYTES_MAX} bytes"));
    }
    let key = if text.starts_with('/') {
        let mut parts = Vec::new();
        for part in text.split('/') {
            parts.push(match part.strip_prefix("0x") {
                Some(digits) => bytes(digits)?,
                None => part.as_bytes().to_vec(),
            });
        }
        parts.join(&b'/')
    } else {
        bytes(text.strip_prefix("0x").unwrap_or(text))?
    };
    match key.len() {
        0 => Err("key: empty".to_owned()),
        length if length > KEY_BYTES_MAX => Err(format!("key: longer than {KEY_BYTES_MAX} bytes")),
        _ => Ok(key),
    }
}

/// Units of 2^-62 as a float, for display only.
fn share(units: u64) -> f64 {
    units as f64 / ffcm::focus::MASS as f64
}

/// A block report as events and the page show it.
pub(crate) fn summary(report: &BlockReport) -> BlockSummary {
    BlockSummary {
        height: report.header.height,
        hash: report.hash.to_string(),
        transactions: report.transactions.into(),
        failed: report.failed.into(),
        edges: report.edges,
        iterations: report.iterations,
        converged: report.header.converged,
        residual: share(report.residual),
        residual_units: report.residual.to_string(),
        residuals: report.residuals.iter().map(|r| share(*r)).collect(),
        pi_digest: hex::encode(report.pi_digest),
        state_root: report.state_root.to_string(),
        memory_ops: report.memory_ops.into(),
        gas: report.header.gas_used,
        stages: report
            .stages
            .iter()
            .map(|(name, time)| Stage {
                name: (*name).to_owned(),
                micros: u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::state_key;
    use focus_modules::keys;
    use focus_types::{Address, AssetId};
    use proptest::prelude::*;

    #[test]
    fn paths_name_state_keys() {
        let owner = Address([0xab; 32]);
        let path = format!("/token/bal/0x00000000/0x{owner}");
        let key = keys::balance(AssetId::FOCUS, &owner);
        assert_eq!(state_key(&path), Ok(key.clone()));
        assert_eq!(state_key(&hex::encode(&key)), Ok(key.clone()));
        assert_eq!(state_key(&format!("0x{}", hex::encode(&key))), Ok(key));
        assert_eq!(state_key("/graph/nodes"), Ok(keys::NODES.to_vec()));
        for bad in ["", "0x", "zz", "/token/0xabc", "/token/0xzz", "abc"] {
            assert!(state_key(bad).is_err(), "{bad}");
        }
        assert!(state_key(&format!("/{}", "a".repeat(5000))).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,80}|(/?(0x)?[0-9a-f/]{0,20}){0,4}") {
            let _ = state_key(&text);
        }
    }
}

//! What a block does: a function of the state before it and of its transactions.
//!
//! ```text
//! verify signatures ─▶ transactions ─▶ Memory Arithmetic batch ─▶ weight nets ─▶ graph ─▶ π ─▶ write-set ─▶ state root ─▶ header
//! ```
//! The proposer and everybody who checks a block run the same [`Chain::execute`]; they differ only in what happens to
//! transactions that have no place in the block.

use std::collections::BTreeSet;
use std::sync::Arc;

use ffcm::coprocessor::{Coprocessor, FocusJob};
use ffcm::focus::{FocusParams, Ranking};
use ffcm::graph::Graph;
use ffcm::memory::{Memory, MemoryOp, SlotId};
use ffcm_sandboxes::{EdgeAttributes, Refusal, WeightNet, WeightVerdict};
use ffcm_scheduler::{
    Budget, Cost, CreditError, Credits, Pending, ReadError, StateView, TaskOutcome, TaskView,
    WriteSet,
};
use focus_modules::links::{self, EdgeCall, LinkEffect};
use focus_modules::{ChainExecutor, Effect, Rules, Task, bank, gas, keys, memory};
use focus_state::{StateTree, TreeUpdate};
use focus_store::{Snapshot, Table};
use focus_types::{
    Address, AssetId, Certificate, Domain, Genesis, HEADER_VERSION, Hash32, Header, Outcome,
    Receipt, RejectReason, SignedMessage, TX_BYTES_MAX, hash, merkle, verify_batch,
};
use rayon::prelude::*;

use crate::NodeError;
use crate::stages::Stages;

/// Masses per committed chunk of π.
pub const PI_CHUNK: usize = 1024;

/// What never changes while a chain runs.
pub struct Chain {
    /// What the chain starts from.
    pub genesis: Genesis,
    /// Its hash.
    pub hash: Hash32,
    /// The modules.
    pub executor: ChainExecutor,
    /// What runs the heavy jobs.
    pub coprocessor: Arc<dyn Coprocessor>,
    net: WeightNet,
    budget: Budget,
    focus: FocusParams,
}

/// The state after a block, as far as it is kept in memory.
#[derive(Clone)]
pub struct Tip {
    /// Header of the block.
    pub header: Header,
    /// Its hash.
    pub hash: Hash32,
    /// The graph.
    pub graph: Graph,
    /// Mass of each node.
    pub pi: Vec<u64>,
    /// Hash of each chunk of `pi`.
    pub pi_hashes: Vec<Hash32>,
    /// The Memory Arithmetic tensor.
    pub memory: Arc<Memory>,
    /// Hash of each of its slots.
    pub slot_hashes: Arc<Vec<Hash32>>,
}

/// What happens to transactions that are refused or do not fit the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The block is being built: leave them out. Signatures were verified at admission.
    Build,
    /// The block is given: it is invalid. Verify all signatures.
    Check,
}

/// Sender, nonce and reason of a transaction that can never run.
pub type Refused = (Address, u64, RejectReason);

/// A block executed and not yet committed.
pub struct Executed {
    /// State after it; the header carries no certificate yet.
    pub tip: Tip,
    /// Transactions in it.
    pub included: Vec<Task>,
    /// Their receipts.
    pub receipts: Vec<Receipt>,
    /// Transactions that can never run.
    pub refused: Vec<Refused>,
    /// Changes of state.
    pub writes: WriteSet,
    /// Changes of the state tree.
    pub tree: TreeUpdate,
    /// Chunks of π that changed, with their bytes.
    pub pi_chunks: Vec<(u32, Vec<u8>)>,
    /// Slots that operations were applied to, once per operation.
    pub memory_ops: Vec<SlotId>,
    /// Edge deltas.
    pub links: u32,
    /// Residual after each iteration of π.
    pub residuals: Vec<u64>,
    /// Time per stage.
    pub stages: Stages,
}

/// One transaction on its way through the phases.
struct Running {
    task: Task,
    outcome: Outcome,
    gas: u64,
}

/// What the phases have changed so far.
struct Work {
    running: Vec<Running>,
    writes: WriteSet,
    credits: Credits,
    memory_ops: Vec<(usize, SlotId, MemoryOp)>,
    links: Vec<(usize, LinkEffect)>,
}

/// [`StateView`] of a snapshot.
pub struct StoreView<'a>(pub &'a dyn Snapshot);

impl StateView for StoreView<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.0
            .get(Table::State, key)
            .map_err(|error| ReadError(error.to_string()))
    }
}

impl Chain {
    /// Checks `genesis` and prepares to run it.
    pub fn new(genesis: Genesis, coprocessor: Arc<dyn Coprocessor>) -> Result<Chain, NodeError> {
        genesis.validate()?;
        let net = WeightNet::parse(&genesis.weight_net.text, genesis.weight_net.stake_shift)
            .map_err(|error| NodeError::WeightNet(error.to_string()))?;
        if genesis.weight_net.gas > ffcm_sandboxes::weight::MAX_GAS_PER_EDGE {
            return Err(NodeError::WeightNet(format!(
                "gas is {}, at most {} is allowed",
                genesis.weight_net.gas,
                ffcm_sandboxes::weight::MAX_GAS_PER_EDGE
            )));
        }
        let budgets = genesis.budgets;
        let costliest = gas::LINK.saturating_add(genesis.weight_net.gas);
        let costliest = costliest.max(gas::MEMORY).max(gas::TRANSFER);
        if budgets.gas < costliest || budgets.bytes < TX_BYTES_MAX as u64 {
            // Such a transaction would be admitted and then wait forever.
            return Err(NodeError::Budgets {
                gas: costliest,
                bytes: TX_BYTES_MAX as u64,
            });
        }
        Ok(Chain {
            hash: genesis.hash(),
            executor: ChainExecutor {
                rules: Rules::of(&genesis),
            },
            coprocessor,
            net,
            budget: Budget {
                tasks: budgets.transactions,
                cost: Cost {
                    gas: budgets.gas,
                    edges: budgets.edges,
                    bytes: budgets.bytes,
                },
            },
            focus: FocusParams {
                damping: genesis.focus.damping,
                epsilon: genesis.focus.epsilon,
                max_iterations: genesis.focus.max_iterations,
                shards: 1,
            },
            genesis,
        })
    }

    /// The rules of the modules.
    pub fn rules(&self) -> &Rules {
        &self.executor.rules
    }

    /// Executes `tasks` on top of `parent`, whose committed state is `snapshot`.
    pub fn execute(
        &self,
        parent: &Tip,
        snapshot: &Arc<dyn Snapshot>,
        tasks: Vec<Task>,
        proposer: Address,
        selection: Selection,
    ) -> Result<Executed, NodeError> {
        let height = parent.header.height + 1;
        let base = StoreView(&**snapshot);
        let mut stages = Stages::start();
        if selection == Selection::Check {
            verify_signatures(&tasks, height)?;
            stages.done("signatures");
        }
        let (mut work, refused) = self.run_tasks(&base, tasks, height, selection)?;
        stages.done("transactions");
        let memory = self.run_memory(parent, &mut work)?;
        stages.done("memory");
        let (graph, links) = self.run_links(parent, &base, &mut work, height, &mut stages)?;
        let ranking = self.rank(parent, &graph, links > 0)?;
        let (pi_hashes, pi_chunks) = commit_pi(parent, &ranking.mass, &mut work.writes);
        stages.done("focus");
        let gas_used = self.settle_fees(&base, &mut work, &proposer, ranking.converged)?;
        let tree = StateTree::at(Arc::clone(snapshot)).update(work.writes.iter())?;
        let receipts = receipts(&work.running, height);
        let included: Vec<Task> = work.running.into_iter().map(|one| one.task).collect();
        let ma_root = match work.memory_ops.is_empty() {
            true => parent.header.ma_root,
            false => merkle::root(memory.1.iter().copied()),
        };
        let header = Header {
            version: HEADER_VERSION,
            chain: self.hash,
            height,
            parent: parent.hash,
            state_root: Hash32(tree.root()),
            tx_root: merkle::root(included.iter().map(|task| task.tx.leaf())),
            receipt_root: merkle::root(receipts.iter().map(Receipt::leaf)),
            pi_root: merkle::root(pi_hashes.iter().copied()),
            graph_root: Hash32(graph.digest()),
            ma_root,
            residual: ranking.residual,
            iterations: ranking.iterations,
            converged: ranking.converged,
            gas_used,
            nodes: graph.node_count(),
            edges: graph.edge_count(),
            proposer,
            certificate: Certificate::Genesis,
        };
        stages.done("state");
        Ok(Executed {
            tip: Tip {
                hash: header.hash(),
                header,
                graph,
                pi: ranking.mass,
                pi_hashes,
                memory: memory.0,
                slot_hashes: memory.1,
            },
            included,
            receipts,
            refused,
            writes: work.writes,
            tree,
            pi_chunks,
            memory_ops: work.memory_ops.iter().map(|(_, slot, _)| *slot).collect(),
            links,
            residuals: ranking.residuals,
            stages,
        })
    }

    /// Phase 1: every transaction through the scheduler.
    fn run_tasks(
        &self,
        base: &StoreView<'_>,
        tasks: Vec<Task>,
        height: u64,
        selection: Selection,
    ) -> Result<(Work, Vec<Refused>), NodeError> {
        let execution = ffcm_scheduler::execute(base, &self.executor, &tasks, self.budget)?;
        let mut work = Work {
            running: Vec::with_capacity(tasks.len()),
            writes: execution.writes,
            credits: execution.credits,
            memory_ops: Vec::new(),
            links: Vec::new(),
        };
        let mut refused = Vec::new();
        for (task, outcome) in tasks.into_iter().zip(execution.outcomes) {
            let index = work.running.len();
            let base_gas = gas::most(&task.tx.tx.body, 0);
            let outcome = match outcome {
                TaskOutcome::Done(effect) => {
                    match effect {
                        Effect::None => {}
                        Effect::Memory(slot, op) => work.memory_ops.push((index, slot, op)),
                        Effect::Link(link) => work.links.push((index, link)),
                    }
                    Outcome::Ok
                }
                TaskOutcome::Failed(outcome) => outcome,
                TaskOutcome::Refused(_) | TaskOutcome::Deferred
                    if selection == Selection::Check =>
                {
                    return Err(NodeError::Mismatch {
                        field: "transactions",
                        height,
                    });
                }
                TaskOutcome::Refused(reason) => {
                    refused.push((task.tx.tx.sender, task.tx.tx.nonce, reason));
                    continue;
                }
                TaskOutcome::Deferred => continue,
            };
            work.running.push(Running {
                task,
                outcome,
                gas: base_gas,
            });
        }
        Ok((work, refused))
    }

    /// Phase 2: the Memory Arithmetic batch.
    fn run_memory(
        &self,
        parent: &Tip,
        work: &mut Work,
    ) -> Result<(Arc<Memory>, Arc<Vec<Hash32>>), NodeError> {
        let mut tensor = Arc::clone(&parent.memory);
        let mut hashes = Arc::clone(&parent.slot_hashes);
        if work.memory_ops.is_empty() {
            return Ok((tensor, hashes));
        }
        let ops: Vec<(SlotId, MemoryOp)> = work
            .memory_ops
            .iter()
            .map(|(_, slot, op)| (*slot, op.clone()))
            .collect();
        let results = self.coprocessor.memory(Arc::make_mut(&mut tensor), &ops)?;
        let mut changed = BTreeSet::new();
        for ((index, slot, _), result) in work.memory_ops.iter().zip(results) {
            match result {
                Ok(()) => {
                    changed.insert(*slot);
                }
                Err(error) => work.running[*index].outcome = memory::outcome(error),
            }
        }
        let hashes_mut = Arc::make_mut(&mut hashes);
        for slot in changed {
            let values = tensor
                .slot(slot)
                .map_err(|error| NodeError::Damaged(format!("memory slot: {error}")))?;
            let bytes = memory::encode(values);
            hashes_mut[memory::position(slot)] = hash(Domain::MemorySlot, &bytes);
            work.writes.put(keys::memory(slot), bytes);
        }
        let running = &work.running;
        work.memory_ops
            .retain(|(index, ..)| running[*index].outcome == Outcome::Ok);
        Ok((tensor, hashes))
    }

    /// Phase 3: links, weight nets, graph.
    fn run_links(
        &self,
        parent: &Tip,
        base: &StoreView<'_>,
        work: &mut Work,
        height: u64,
        stages: &mut Stages,
    ) -> Result<(Graph, u32), NodeError> {
        let mut graph = parent.graph.clone();
        if work.links.is_empty() {
            return Ok((graph, 0));
        }
        let pending = Pending {
            base,
            writes: &work.writes,
        };
        let mut view = TaskView::new(&pending);
        let effects: Vec<LinkEffect> = work.links.iter().map(|(_, link)| link.clone()).collect();
        let staged = links::stage(&mut view, &effects, height)?;
        stages.done("links");
        let edges: Vec<EdgeAttributes> = staged.calls.iter().map(attributes).collect();
        let weighed =
            self.net
                .evaluate_metered(&*self.coprocessor, &edges, self.genesis.weight_net.gas)?;
        let mut weights = Vec::with_capacity(weighed.len());
        for ((index, _), edge) in work.links.iter().zip(weighed) {
            let running = &mut work.running[*index];
            running.gas += edge.interactions;
            running.outcome = net_outcome(edge.verdict);
            weights.push(edge.verdict.weight());
        }
        stages.done("weights");
        let change = links::finish(&mut view, &staged, &weights)?;
        let (writes, credits) = view.into_changes();
        work.writes.merge(writes);
        work.credits.merge(credits);
        apply(&mut graph, staged.nodes - staged.nodes_before, &change)?;
        stages.done("graph");
        Ok((graph, staged.calls.len() as u32))
    }

    /// Phase 4: π, from the committed one. Where neither the graph nor convergence asks for work, π stays.
    fn rank(&self, parent: &Tip, graph: &Graph, changed: bool) -> Result<Ranking, NodeError> {
        if !changed && parent.header.converged {
            return Ok(Ranking {
                mass: parent.pi.clone(),
                iterations: 0,
                residual: parent.header.residual,
                residuals: Vec::new(),
                converged: true,
            });
        }
        Ok(self.coprocessor.focus(&FocusJob {
            graph,
            params: self.focus,
            start: Some(&parent.pi),
        })?)
    }

    /// Phase 5: refunds, and fees to the proposer. Fees of a block whose π did not converge are burnt instead: that is
    /// the penalty. Returns the gas used.
    fn settle_fees(
        &self,
        base: &StoreView<'_>,
        work: &mut Work,
        proposer: &Address,
        converged: bool,
    ) -> Result<u64, NodeError> {
        let rules = self.rules();
        let (mut gas_used, mut earned) = (0u64, 0u64);
        for one in &work.running {
            let tx = &one.task.tx.tx;
            let fee = one.gas * rules.fees.gas_price + rules.link_fee(&tx.body);
            let most = rules.most_fee(&tx.body).unwrap_or(fee);
            let balance = keys::balance(AssetId::FOCUS, &tx.sender);
            work.credits.add(balance, most - fee);
            // Fees were taken from balances, which sum to less than 2^64.
            earned += fee;
            gas_used += one.gas;
        }
        if converged {
            work.credits
                .add(keys::balance(AssetId::FOCUS, proposer), earned);
        } else if earned > 0 {
            let key = keys::supply(AssetId::FOCUS);
            let bytes = Pending {
                base,
                writes: &work.writes,
            }
            .get(&key)?;
            let supply = bytes.map_or(Ok(0), |bytes| bank::decode(&key, &bytes))?;
            let rest = supply.checked_sub(earned).ok_or_else(|| {
                NodeError::Damaged("the supply is less than what was paid in fees".into())
            })?;
            work.writes.put(key, rest.to_le_bytes());
        }
        std::mem::take(&mut work.credits)
            .settle(base, &mut work.writes)
            .map_err(|error| match error {
                CreditError::Read(error) => NodeError::from(error),
                other => NodeError::Damaged(other.to_string()),
            })?;
        Ok(gas_used)
    }
}

fn attributes(call: &EdgeCall) -> EdgeAttributes {
    EdgeAttributes {
        stake: call.stake,
        age: call.age,
        kind: call.kind,
    }
}

fn net_outcome(verdict: WeightVerdict) -> Outcome {
    match verdict {
        WeightVerdict::Weight(_) => Outcome::Ok,
        WeightVerdict::Refused(Refusal::OutOfGas) => Outcome::NetOutOfGas,
        WeightVerdict::Refused(Refusal::Negative) => Outcome::NetNegative,
        WeightVerdict::Refused(_) => Outcome::NetNotANumber,
    }
}

fn apply(graph: &mut Graph, new: u32, change: &links::GraphChange) -> Result<(), NodeError> {
    let damaged = |error: ffcm::graph::GraphError| NodeError::Damaged(error.to_string());
    graph.add_nodes(new).map_err(damaged)?;
    graph.apply(&change.deltas).map_err(damaged)?;
    for (node, delta) in &change.stakes {
        let stake = i128::from(graph.stake(*node)) + delta;
        let stake = u64::try_from(stake)
            .map_err(|_| NodeError::Damaged(format!("the stake of node {node} is {stake}")))?;
        graph.set_stake(*node, stake).map_err(damaged)?;
    }
    Ok(())
}

/// Hashes the chunks of π; those that differ from the parent's go into `writes`, and their bytes are returned.
fn commit_pi(
    parent: &Tip,
    mass: &[u64],
    writes: &mut WriteSet,
) -> (Vec<Hash32>, Vec<(u32, Vec<u8>)>) {
    let mut hashes = Vec::with_capacity(mass.len().div_ceil(PI_CHUNK));
    let mut changed = Vec::new();
    for (index, chunk) in (0u32..).zip(mass.chunks(PI_CHUNK)) {
        let position = index as usize;
        let same = parent.pi.get(position * PI_CHUNK..).is_some_and(|old| {
            old.len().min(PI_CHUNK) == chunk.len() && old[..chunk.len()] == *chunk
        });
        if same {
            hashes.push(parent.pi_hashes[position]);
            continue;
        }
        let bytes: Vec<u8> = chunk.iter().flat_map(|mass| mass.to_le_bytes()).collect();
        let digest = hash(Domain::PiChunk, &bytes);
        hashes.push(digest);
        writes.put(keys::pi(index), digest.0);
        changed.push((index, bytes));
    }
    (hashes, changed)
}

fn receipts(running: &[Running], height: u64) -> Vec<Receipt> {
    (0u32..)
        .zip(running)
        .map(|(index, one)| Receipt {
            txid: one.task.id,
            ok: one.outcome == Outcome::Ok,
            reason: one.outcome,
            height,
            index,
            gas: one.gas,
        })
        .collect()
}

/// Verifies all signatures on the current rayon pool.
fn verify_signatures(tasks: &[Task], height: u64) -> Result<(), NodeError> {
    let messages: Vec<Vec<u8>> = tasks.par_iter().map(|t| t.tx.tx.signing_bytes()).collect();
    let items: Vec<SignedMessage<'_>> = tasks
        .iter()
        .zip(&messages)
        .map(|(task, message)| (task.tx.tx.sender, message.as_slice(), task.tx.signature))
        .collect();
    verify_batch(&items).map_err(|_| NodeError::Mismatch {
        field: "signatures",
        height,
    })
}

//! The node.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ffcm::coprocessor::{Coprocessor, DeviceInfo};
use ffcm::memory::{LAYERS, SLOTS};
use focus_consensus::{Engine, Input, Output, Solo};
use focus_modules::links::ParticleRecord;
use focus_modules::{Task, bank, keys, memory};
use focus_state::StateTree;
use focus_store::{Store, Table};
use focus_types::{
    Address, AssetId, Block, Certificate, Cid, Genesis, Hash32, Header, Keypair, Receipt,
    RejectReason, SignatureError, SignedTx, TX_BYTES_MAX, TxId,
};

use crate::chain::{Chain, Executed, Selection, Tip};
use crate::commit::{self, BlockRecord};
use crate::folder::Folder;
use crate::log::{Log, LogReader};
use crate::mempool::{Bounds, Mempool};
use crate::recover::recover;
use crate::replay::check_block;
use crate::{
    AccountView, BlockReport, MemoryActivity, Metrics, NodeError, ParticleRank, ProofView,
};

/// Bounds and habits of one node; none of them changes a committed byte of a given block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeOptions {
    /// Pending transactions in all.
    pub mempool_cap: usize,
    /// Encoded bytes of all pending transactions.
    pub mempool_bytes: u64,
    /// Pending transactions per sender.
    pub sender_cap: usize,
    /// Transaction ids remembered against resubmission.
    pub seen_cap: usize,
    /// How far a nonce may be ahead of the sender's first missing one.
    pub nonce_gap: u64,
    /// Whether [`Node::produce`] makes blocks without transactions.
    pub empty_blocks: bool,
    /// Block reports kept for [`Node::reports`].
    pub reports: usize,
}

impl Default for NodeOptions {
    /// 250 000 pending of 256 MiB together, 20 000 per sender, 500 000 remembered, gaps up to 1024, no empty blocks, 256 reports.
    fn default() -> NodeOptions {
        NodeOptions {
            mempool_cap: 250_000,
            mempool_bytes: 256 << 20,
            sender_cap: 20_000,
            seen_cap: 500_000,
            nonce_gap: 1024,
            empty_blocks: false,
            reports: 256,
        }
    }
}

/// One node on one data folder. All methods may be called from any thread; the folder is locked against other
/// processes while this lives.
pub struct Node {
    chain: Chain,
    store: Arc<dyn Store>,
    options: NodeOptions,
    address: Address,
    tip: RwLock<Arc<Tip>>,
    mempool: Mutex<Mempool>,
    producer: Mutex<Producer>,
    telemetry: Mutex<Telemetry>,
}

/// What only one thread at a time may drive.
struct Producer {
    engine: Box<dyn Engine>,
    log: Log,
}

struct Telemetry {
    metrics: Metrics,
    reports: VecDeque<Arc<BlockReport>>,
    operations: Vec<u64>,
}

/// A panic in another thread leaves these values whole: each is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// Creates a chain in `data`: a new or empty folder, or one that holds this very chain already (then it continues).
    pub fn create(
        data: &Path,
        genesis: &Genesis,
        key: Keypair,
        coprocessor: Arc<dyn Coprocessor>,
        options: NodeOptions,
    ) -> Result<Node, NodeError> {
        let chain = Chain::new(genesis.clone(), coprocessor)?;
        if !genesis.is_validator(&key) {
            return Err(NodeError::NotValidator {
                address: key.address(),
            });
        }
        let folder = Folder::new(data);
        let found = folder.read_genesis()?.map(|found| found.hash());
        if let Some(found) = found
            && found != chain.hash
        {
            return Err(NodeError::OtherGenesis {
                path: data.to_path_buf(),
                found,
                expected: chain.hash,
            });
        }
        folder.create()?;
        match folder.read_key()? {
            Some(found) if found.address() != key.address() => {
                return Err(NodeError::File {
                    path: data.to_path_buf(),
                    message: format!(
                        "holds the key of another validator, {}; use another folder",
                        found.address()
                    ),
                });
            }
            Some(_) => {}
            None => folder.write_key(&key)?,
        }
        if found.is_none() {
            folder.write_genesis(genesis)?;
        }
        let store = Arc::new(folder.open_store()?);
        Node::start(&folder, store, chain, key, options)
    }

    /// Opens the chain in `data`: recovers, verifies, continues. The validator's key is the one kept in the folder.
    pub fn open(
        data: &Path,
        coprocessor: Arc<dyn Coprocessor>,
        options: NodeOptions,
    ) -> Result<Node, NodeError> {
        let folder = Folder::new(data);
        let no_chain = || NodeError::NoChain {
            path: data.to_path_buf(),
        };
        let genesis = folder.read_genesis()?.ok_or_else(no_chain)?;
        let key = folder.read_key()?.ok_or_else(no_chain)?;
        if !genesis.is_validator(&key) {
            return Err(NodeError::NotValidator {
                address: key.address(),
            });
        }
        let chain = Chain::new(genesis, coprocessor)?;
        let store = Arc::new(folder.open_store()?);
        Node::start(&folder, store, chain, key, options)
    }

    /// Recovers state and log, and makes them agree.
    fn start(
        folder: &Folder,
        store: Arc<dyn Store>,
        chain: Chain,
        key: Keypair,
        options: NodeOptions,
    ) -> Result<Node, NodeError> {
        let mut tip = match store.get(Table::Meta, commit::GENESIS)? {
            None => commit::commit_genesis(&chain, &*store)?,
            Some(found) => {
                check_same_chain(folder, &chain, &found)?;
                recover(&chain, &*store)?.ok_or_else(|| {
                    NodeError::Damaged("the store has a genesis and no header".into())
                })?
            }
        };
        let log = open_log(folder, &chain, &*store, &mut tip)?;
        let address = key.address();
        let engine = Solo::new(key, &chain.genesis.validators, tip.header.height, tip.hash)
            .map_err(|_| NodeError::NotValidator { address })?;
        let slots = usize::from(chain.genesis.ma.shards) * memory::SLOTS_PER_SHARD;
        Ok(Node {
            chain,
            store,
            options,
            address,
            tip: RwLock::new(Arc::new(tip)),
            mempool: Mutex::new(Mempool::new(Bounds {
                total: options.mempool_cap,
                bytes: options.mempool_bytes,
                per_sender: options.sender_cap,
                gap: options.nonce_gap,
                seen: options.seen_cap,
            })),
            producer: Mutex::new(Producer {
                engine: Box::new(engine),
                log,
            }),
            telemetry: Mutex::new(Telemetry {
                metrics: Metrics {
                    rejected: RejectReason::ALL.map(|reason| (reason, 0)).into(),
                    ..Metrics::default()
                },
                reports: VecDeque::new(),
                operations: vec![0; slots],
            }),
        })
    }

    fn tip(&self) -> Arc<Tip> {
        Arc::clone(&self.tip.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Admits a transaction to the mempool, or says why not.
    pub fn submit(&self, tx: SignedTx) -> Result<TxId, RejectReason> {
        let result = self.admit(tx);
        match result {
            Ok(_) => lock(&self.telemetry).metrics.admitted += 1,
            Err(reason) => self.count_rejected(reason),
        }
        result
    }

    fn admit(&self, tx: SignedTx) -> Result<TxId, RejectReason> {
        let task = Task::new(tx);
        if task.bytes > TX_BYTES_MAX as u64 {
            return Err(RejectReason::TooLarge);
        }
        self.chain.rules().check(&task.tx)?;
        if lock(&self.mempool).has_seen(&task.id) {
            return Err(RejectReason::Dup);
        }
        let tx = &task.tx.tx;
        // A store that cannot be read will stop the next block; here it only means that nothing can be admitted.
        let (nonce, balance) = self.funds(&tx.sender).map_err(|error| {
            tracing::error!(%error, "cannot read an account");
            RejectReason::MempoolFull
        })?;
        if tx.nonce < nonce {
            return Err(RejectReason::BadNonce);
        }
        if self
            .chain
            .rules()
            .most_fee(&tx.body)
            .is_none_or(|fee| fee > balance)
        {
            return Err(RejectReason::Insufficient);
        }
        task.tx.verify().map_err(|error| match error {
            SignatureError::Encoding => RejectReason::BadSigEncoding,
            SignatureError::Invalid => RejectReason::BadSig,
        })?;
        let id = task.id;
        lock(&self.mempool).insert(task, nonce)?;
        Ok(id)
    }

    /// Nonce and FOCUS balance.
    fn funds(&self, address: &Address) -> Result<(u64, u64), NodeError> {
        let snapshot = self.store.snapshot()?;
        let number = |key: Vec<u8>| match snapshot.get(Table::State, &key)? {
            None => Ok(0),
            Some(bytes) => bank::decode(&key, &bytes).map_err(NodeError::from),
        };
        Ok((
            number(keys::account(address))?,
            number(keys::balance(AssetId::FOCUS, address))?,
        ))
    }

    /// Counts a submission that never became a transaction, such as undecodable bytes.
    pub fn count_rejected(&self, reason: RejectReason) {
        *lock(&self.telemetry)
            .metrics
            .rejected
            .entry(reason)
            .or_default() += 1;
    }

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

    /// Header of the last block.
    pub fn head(&self) -> Header {
        self.tip().header.clone()
    }

    /// What the chain starts from.
    pub fn genesis(&self) -> &Genesis {
        &self.chain.genesis
    }

    /// Genesis hash.
    pub fn chain_hash(&self) -> Hash32 {
        self.chain.hash
    }

    /// Address of the validator whose key this node holds.
    pub fn address(&self) -> Address {
        self.address
    }

    /// What runs the heavy jobs.
    pub fn device(&self) -> DeviceInfo {
        self.chain.coprocessor.info()
    }

    /// A block. Height 0 is genesis, without transactions.
    pub fn block(&self, height: u64) -> Result<Option<Block>, NodeError> {
        Ok(commit::record(&*self.store, height)?.map(|record| record.block))
    }

    /// How a transaction ended.
    pub fn receipt(&self, id: &TxId) -> Result<Option<Receipt>, NodeError> {
        commit::receipt(&*self.store, id)
    }

    /// An account as of the last block; one that never appeared has nonce 0 and no balances.
    pub fn account(&self, address: &Address) -> Result<AccountView, NodeError> {
        let (nonce, balance) = self.funds(address)?;
        let held = (balance > 0).then_some((AssetId::FOCUS, balance));
        Ok(AccountView {
            address: *address,
            nonce,
            balances: held.into_iter().collect(),
        })
    }

    /// The `count` particles with the largest mass, heaviest first, ties by lower index.
    pub fn top(&self, count: usize) -> Result<Vec<ParticleRank>, NodeError> {
        let tip = self.tip();
        let heaviest = top(&tip.pi, count);
        let snapshot = self.store.snapshot()?;
        let damaged = |index: u32| NodeError::Damaged(format!("particle {index}"));
        let mut ranks = Vec::with_capacity(heaviest.len());
        for (index, mass) in heaviest {
            let cid = snapshot.get(Table::State, &keys::index(index))?;
            let cid = cid.and_then(|bytes| bytes.try_into().ok()).map(Cid);
            let cid = cid.ok_or_else(|| damaged(index))?;
            let key = keys::particle(&cid);
            let record = snapshot.get(Table::State, &key)?;
            let record = ParticleRecord::decode(&key, &record.ok_or_else(|| damaged(index))?)?;
            ranks.push(ParticleRank {
                index,
                cid,
                label: record.label(),
                mass,
            });
        }
        Ok(ranks)
    }

    /// Proves the value of a state key, or its absence.
    pub fn prove(&self, key: &[u8]) -> Result<ProofView, NodeError> {
        let snapshot = self.store.snapshot()?;
        let head = commit::head_in(&*snapshot)?
            .ok_or_else(|| NodeError::Damaged("the last header is missing".into()))?;
        let value = snapshot.get(Table::State, key)?;
        let proof = StateTree::at(snapshot).prove(key)?;
        Ok(ProofView {
            key: key.to_vec(),
            value,
            proof: proof.encode(),
            state_root: head.state_root,
            height: head.height,
        })
    }

    /// Memory Arithmetic at a glance.
    pub fn memory_activity(&self) -> MemoryActivity {
        let tip = self.tip();
        let norm = |values: &[i32]| values.iter().map(|v| u64::from(v.unsigned_abs())).sum();
        MemoryActivity {
            shards: tip.memory.shards(),
            layers: LAYERS,
            slots: SLOTS,
            operations: lock(&self.telemetry).operations.clone(),
            norms: tip.memory.iter().map(|(_, values)| norm(values)).collect(),
        }
    }

    /// Pending transactions.
    pub fn mempool_len(&self) -> usize {
        lock(&self.mempool).len()
    }

    /// The last block reports, oldest first.
    pub fn reports(&self) -> Vec<Arc<BlockReport>> {
        lock(&self.telemetry).reports.iter().cloned().collect()
    }

    /// Counters and gauges.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = lock(&self.telemetry).metrics.clone();
        let tip = self.tip();
        metrics.height = tip.header.height;
        metrics.nodes = u64::from(tip.header.nodes);
        metrics.edges = tip.header.edges;
        metrics.mempool = self.mempool_len() as u64;
        metrics
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

/// As [`ffcm::focus::Ranking::top`].
fn top(pi: &[u64], count: usize) -> Vec<(u32, u64)> {
    let order = |&(node, mass): &(u32, u64)| (std::cmp::Reverse(mass), node);
    let mut nodes: Vec<(u32, u64)> = (0u32..).zip(pi.iter().copied()).collect();
    if count < nodes.len() {
        nodes.select_nth_unstable_by_key(count, order);
        nodes.truncate(count);
    }
    nodes.sort_unstable_by_key(order);
    nodes
}

/// The store has to hold the chain that the folder's genesis names.
fn check_same_chain(folder: &Folder, chain: &Chain, found: &[u8]) -> Result<(), NodeError> {
    if found == chain.genesis.canonical() {
        return Ok(());
    }
    Err(NodeError::OtherGenesis {
        path: folder.path().to_path_buf(),
        found: focus_types::hash(focus_types::Domain::Genesis, found),
        expected: chain.hash,
    })
}

/// Opens the log and makes it and the store agree: a log that is behind is completed from the store; blocks of a log
/// that is ahead, as when the store was put back from a copy, are executed and committed.
fn open_log(
    folder: &Folder,
    chain: &Chain,
    store: &dyn Store,
    tip: &mut Tip,
) -> Result<Log, NodeError> {
    let path = folder.log();
    let opened = Log::open(&path, &chain.genesis)?;
    let mut log = opened.log;
    if opened.repaired {
        tracing::warn!(file = %path.display(), "a torn last line was cut off; the store has its block");
    }
    let last = log.next() - 1;
    if let Some(hash) = opened.last
        && last <= tip.header.height
        && commit::record_of(store, last)?.block.header.hash() != hash
    {
        return Err(NodeError::Log {
            path,
            line: last + 1,
            message: "the block is not the one in the store: the log belongs to another history"
                .into(),
        });
    }
    if last > tip.header.height {
        catch_up(&path, chain, store, tip)?;
    }
    append_missing(&mut log, store, tip.header.height)?;
    Ok(log)
}

/// Executes and commits the blocks of the log that the store lacks.
fn catch_up(path: &Path, chain: &Chain, store: &dyn Store, tip: &mut Tip) -> Result<(), NodeError> {
    let mut reader = LogReader::open(path)?;
    reader.genesis()?;
    while let Some(line) = reader.block()? {
        if line.height <= tip.header.height {
            continue;
        }
        let executed = check_block(chain, store, tip, &line.block)?;
        let (batch, _) = commit::block_batch(&tip.header, &executed);
        store.commit(&batch)?;
        tracing::warn!(
            height = line.height,
            "took a block from the log into the store"
        );
        *tip = executed.tip;
    }
    Ok(())
}

/// Appends the blocks up to `height` that the log lacks.
fn append_missing(log: &mut Log, store: &dyn Store, height: u64) -> Result<(), NodeError> {
    while log.next() <= height {
        let record = commit::record_of(store, log.next())?;
        let receipts = commit::receipts_of(store, &record.block)?;
        log.append(record, receipts)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use ffcm::coprocessor::OracleCoprocessor;
    use focus_store::{Batch, MemoryStore, Snapshot, StoreError};
    use focus_types::{Body, GenesisAccount, Transaction};

    use super::*;

    /// A store whose next commits fail.
    #[derive(Default)]
    struct Faulty {
        inner: MemoryStore,
        failures: AtomicU32,
    }

    impl Store for Faulty {
        fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StoreError> {
            self.inner.snapshot()
        }

        fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
            let left = self.failures.load(Ordering::Relaxed);
            if left > 0 {
                self.failures.store(left - 1, Ordering::Relaxed);
                return Err(StoreError::Io {
                    path: "disk".into(),
                    message: "full".into(),
                });
            }
            self.inner.commit(batch)
        }
    }

    fn node(folder: &Path, store: Arc<Faulty>) -> Node {
        let key = |n| Keypair::from_seed([n; 32]);
        let account = GenesisAccount {
            address: key(1).address(),
            balance: 1_000_000,
        };
        let net = ffcm_sandboxes::weight::STAKE.to_owned();
        let genesis = Genesis::solo("test", key(9).address(), vec![account], net);
        let chain = Chain::new(genesis, Arc::new(OracleCoprocessor)).unwrap();
        Node::start(
            &Folder::new(folder),
            store,
            chain,
            key(9),
            NodeOptions::default(),
        )
        .unwrap()
    }

    fn pay(node: &Node, nonce: u64) -> SignedTx {
        let key = Keypair::from_seed([1; 32]);
        Transaction {
            chain: node.chain_hash(),
            sender: key.address(),
            nonce,
            gas_limit: 1_000,
            body: Body::Transfer {
                asset: AssetId::FOCUS,
                to: node.address(),
                amount: 5,
            },
        }
        .sign(&key)
    }

    #[test]
    fn a_failed_commit_changes_nothing_and_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Faulty::default());
        let node = node(folder.path(), Arc::clone(&store));
        let head = node.head();
        node.submit(pay(&node, 0)).unwrap();
        store.failures.store(2, Ordering::Relaxed);
        for _ in 0..2 {
            assert!(matches!(node.produce(), Err(NodeError::Store(_))));
            assert_eq!((node.head(), node.mempool_len()), (head.clone(), 1));
        }
        let report = node.produce().unwrap().unwrap();
        assert_eq!((report.header.height, report.transactions), (1, 1));
        assert_eq!(node.mempool_len(), 0);
    }

    #[test]
    fn a_failed_log_write_is_made_good_by_the_next_block() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Faulty::default());
        let node = node(folder.path(), Arc::clone(&store));
        let path = folder.path().join("chain.jsonl");
        node.submit(pay(&node, 0)).unwrap();
        // A handle without the right to write fails as a full disk does.
        let read_only = std::fs::File::open(&path).unwrap();
        let writable = lock(&node.producer).log.replace_file(read_only);
        assert!(matches!(node.produce(), Err(NodeError::File { .. })));
        assert_eq!(node.head().height, 1);
        lock(&node.producer).log.replace_file(writable);
        node.submit(pay(&node, 1)).unwrap();
        assert_eq!(node.produce().unwrap().unwrap().header.height, 2);
        let replayed = crate::replay_log(&path, Arc::new(OracleCoprocessor)).unwrap();
        assert_eq!((replayed.height, replayed.tip), (2, node.head().hash()));
    }
}

//! The node.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ffcm::coprocessor::Coprocessor;
use focus_consensus::{Engine, Solo};
use focus_modules::{Task, bank, keys, memory};
use focus_store::{Store, Table};
use focus_types::{
    Address, AssetId, Genesis, Keypair, RejectReason, SignatureError, SignedMessage, SignedTx,
    TX_BYTES_MAX, TxId, verify_each,
};
use rayon::prelude::*;

use crate::chain::{Chain, Tip};
use crate::commit;
use crate::folder::Folder;
use crate::log::{Log, LogReader};
use crate::mempool::{Bounds, Mempool};
use crate::recover::recover;
use crate::replay::check_block;
use crate::{BlockReport, Metrics, NodeError};

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
    /// 250 000 pending of 256 MiB together, 20 000 per sender, 500 000 remembered, gaps up to 1024, no empty blocks,
    /// 256 reports.
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
    pub(crate) chain: Chain,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) options: NodeOptions,
    pub(crate) address: Address,
    pub(crate) tip: RwLock<Arc<Tip>>,
    pub(crate) mempool: Mutex<Mempool>,
    pub(crate) producer: Mutex<Producer>,
    pub(crate) telemetry: Mutex<Telemetry>,
}

/// What only one thread at a time may drive.
pub(crate) struct Producer {
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) log: Log,
}

/// A transaction that nothing but its signature and the mempool keeps out.
struct Checked {
    task: Task,
    /// Nonce of the sender's account.
    nonce: u64,
}

/// Counters and the last reports; nothing that a block depends on.
pub(crate) struct Telemetry {
    pub(crate) metrics: Metrics,
    pub(crate) reports: VecDeque<Arc<BlockReport>>,
    pub(crate) operations: Vec<u64>,
}

/// Locks whatever happened in other threads: a panic leaves these values whole, since each is changed in one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
        let genesis = folder.read_genesis()?;
        let Some(key) = folder.read_key()? else {
            // The key is written before everything else, so a folder that has more has lost it.
            return Err(match genesis.is_some() || folder.has_chain() {
                true => folder.key_missing(),
                false => no_chain(),
            });
        };
        let genesis = genesis.ok_or_else(no_chain)?;
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

    pub(crate) fn tip(&self) -> Arc<Tip> {
        Arc::clone(&self.tip.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Admits a transaction to the mempool, or says why not.
    pub fn submit(&self, tx: SignedTx) -> Result<TxId, RejectReason> {
        let result = self.check(tx).and_then(|checked| {
            let verdict = checked.task.tx.verify();
            self.insert(checked, verdict)
        });
        self.count_submitted(&result);
        result
    }

    /// Admits transactions that came together, in their order: the answers that [`Node::submit`] would give, one after the
    /// other. Signatures are verified as a batch, and everything but the insertion on the current rayon pool.
    pub fn submit_all(&self, txs: Vec<SignedTx>) -> Vec<Result<TxId, RejectReason>> {
        let checked: Vec<Result<Checked, RejectReason>> =
            txs.into_par_iter().map(|tx| self.check(tx)).collect();
        let messages: Vec<Vec<u8>> = checked
            .par_iter()
            .flatten()
            .map(|checked| checked.task.tx.tx.signing_bytes())
            .collect();
        let items: Vec<SignedMessage<'_>> = { checked.iter().flatten() }
            .zip(&messages)
            .map(|(checked, message)| {
                let tx = &checked.task.tx;
                (tx.tx.sender, message.as_slice(), tx.signature)
            })
            .collect();
        let mut verdicts = verify_each(&items).into_iter();
        let insert = |checked: Result<Checked, RejectReason>| {
            let result = checked.and_then(|checked| {
                let verdict = verdicts
                    .next()
                    .expect("one verdict for each that was checked");
                self.insert(checked, verdict)
            });
            self.count_submitted(&result);
            result
        };
        checked.into_iter().map(insert).collect()
    }

    /// All that can be said of a transaction before its signature is verified.
    fn check(&self, tx: SignedTx) -> Result<Checked, RejectReason> {
        let task = Task::new(tx);
        if task.bytes > TX_BYTES_MAX as u64 {
            return Err(RejectReason::TooLarge);
        }
        self.chain.rules().check(&task.tx)?;
        if lock(&self.mempool).has_seen(&task.id) {
            return Err(RejectReason::Dup);
        }
        let tx = &task.tx.tx;
        // A store that cannot be read will stop the next block; here it only means that nothing can be judged.
        let (nonce, balance) = self.funds(&tx.sender).map_err(|error| {
            tracing::error!(%error, "cannot read an account");
            RejectReason::Unavailable
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
        Ok(Checked { task, nonce })
    }

    /// The last step of admission, with the `verdict` on the signature.
    fn insert(
        &self,
        Checked { task, nonce }: Checked,
        verdict: Result<(), SignatureError>,
    ) -> Result<TxId, RejectReason> {
        let mut mempool = lock(&self.mempool);
        let id = task.id;
        match verdict {
            Ok(()) => mempool.insert(task, nonce).map(|()| id),
            // An earlier one of the same batch may differ in its signature alone.
            Err(_) if mempool.has_seen(&id) => Err(RejectReason::Dup),
            Err(SignatureError::Encoding) => Err(RejectReason::BadSigEncoding),
            Err(SignatureError::Invalid) => Err(RejectReason::BadSig),
        }
    }

    fn count_submitted(&self, result: &Result<TxId, RejectReason>) {
        match result {
            Ok(_) => lock(&self.telemetry).metrics.admitted += 1,
            Err(reason) => self.count_rejected(*reason),
        }
    }

    /// Nonce and FOCUS balance.
    pub(crate) fn funds(&self, address: &Address) -> Result<(u64, u64), NodeError> {
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
pub(crate) fn append_missing(
    log: &mut Log,
    store: &dyn Store,
    height: u64,
) -> Result<(), NodeError> {
    while log.next() <= height {
        let record = commit::record_of(store, log.next())?;
        let receipts = commit::receipts_of(store, &record.block)?;
        log.append(record, receipts)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use ffcm::coprocessor::OracleCoprocessor;
    use focus_store::{Batch, MemoryStore, Snapshot, StoreError};
    use focus_types::{Body, GenesisAccount, Transaction};

    use super::*;

    /// A store whose next commits fail, or that cannot be read.
    #[derive(Default)]
    struct Faulty {
        inner: MemoryStore,
        failures: AtomicU32,
        unreadable: AtomicBool,
    }

    fn broken(message: &str) -> StoreError {
        StoreError::Io {
            path: "disk".into(),
            message: message.into(),
        }
    }

    impl Store for Faulty {
        fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StoreError> {
            if self.unreadable.load(Ordering::Relaxed) {
                return Err(broken("unreadable"));
            }
            self.inner.snapshot()
        }

        fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
            let left = self.failures.load(Ordering::Relaxed);
            if left > 0 {
                self.failures.store(left - 1, Ordering::Relaxed);
                return Err(broken("full"));
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
    fn a_store_that_cannot_be_read_is_no_full_mempool() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Faulty::default());
        let node = node(folder.path(), Arc::clone(&store));
        store.unreadable.store(true, Ordering::Relaxed);
        let refused = node.submit(pay(&node, 0));
        assert_eq!(refused, Err(RejectReason::Unavailable));
        assert_eq!(node.metrics().rejected[&RejectReason::Unavailable], 1);
        store.unreadable.store(false, Ordering::Relaxed);
        node.submit(pay(&node, 0)).unwrap();
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

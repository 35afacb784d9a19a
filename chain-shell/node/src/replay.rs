//! Executing a chain again, from genesis, and comparing everything.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use ffcm::coprocessor::Coprocessor;
use focus_consensus::Solo;
use focus_modules::Task;
use focus_store::{MemoryStore, Store, Table};
use focus_types::{Block, Genesis, Hash32, Header, Receipt};

use crate::chain::{Chain, Executed, Selection, Tip};
use crate::commit::{self, Transition};
use crate::folder::Folder;
use crate::log::LogReader;
use crate::{NodeError, ReplayReport};

/// Fails unless `computed` equals what the header of `block` says, field by field.
pub fn compare_headers(stated: &Header, computed: &Header) -> Result<(), NodeError> {
    let height = stated.height;
    let fields = [
        ("version", stated.version == computed.version),
        ("chain", stated.chain == computed.chain),
        ("height", stated.height == computed.height),
        ("parent", stated.parent == computed.parent),
        ("tx_root", stated.tx_root == computed.tx_root),
        ("pi_root", stated.pi_root == computed.pi_root),
        ("graph_root", stated.graph_root == computed.graph_root),
        ("ma_root", stated.ma_root == computed.ma_root),
        ("receipt_root", stated.receipt_root == computed.receipt_root),
        ("state_root", stated.state_root == computed.state_root),
        ("residual", stated.residual == computed.residual),
        ("iterations", stated.iterations == computed.iterations),
        ("converged", stated.converged == computed.converged),
        ("gas_used", stated.gas_used == computed.gas_used),
        ("nodes", stated.nodes == computed.nodes),
        ("edges", stated.edges == computed.edges),
        ("proposer", stated.proposer == computed.proposer),
    ];
    for (field, same) in fields {
        if !same {
            return Err(NodeError::Mismatch { field, height });
        }
    }
    if stated.hash() != computed.hash() {
        return Err(NodeError::Mismatch {
            field: "hash",
            height,
        });
    }
    Ok(())
}

/// Executes a given block on `parent` and accepts it only if every header field and the certificate are right. The
/// result carries the block's certificate.
pub fn check_block(
    chain: &Chain,
    store: &dyn Store,
    parent: &Tip,
    block: &Block,
) -> Result<Executed, NodeError> {
    let stated = &block.header;
    let height = stated.height;
    let expect = |same: bool, field: &'static str| match same {
        true => Ok(()),
        false => Err(NodeError::Mismatch { field, height }),
    };
    expect(stated.chain == chain.hash, "chain")?;
    expect(height == parent.header.height + 1, "height")?;
    expect(stated.parent == parent.hash, "parent")?;
    // Judged last: it covers the whole header, and a wrong field is better named than a wrong signature.
    let certified = Solo::verify(stated, &chain.genesis.validators);
    let tasks = block.transactions.iter().cloned().map(Task::new).collect();
    let snapshot = store.snapshot()?;
    let mut executed =
        chain.execute(parent, &snapshot, tasks, stated.proposer, Selection::Check)?;
    compare_headers(stated, &executed.tip.header)?;
    expect(certified.is_ok(), "certificate")?;
    executed.tip.header.certificate = stated.certificate;
    Ok(executed)
}

/// A chain being executed again.
struct Replay {
    chain: Chain,
    store: MemoryStore,
    tip: Tip,
}

impl Replay {
    fn start(genesis: Genesis, coprocessor: Arc<dyn Coprocessor>) -> Result<Replay, NodeError> {
        let chain = Chain::new(genesis, coprocessor)?;
        let store = MemoryStore::new();
        let tip = commit::commit_genesis(&chain, &store)?;
        Ok(Replay { chain, store, tip })
    }

    fn block(
        &mut self,
        block: &Block,
        receipts: &[Receipt],
        transition: &Transition,
    ) -> Result<(), NodeError> {
        let executed = check_block(&self.chain, &self.store, &self.tip, block)?;
        let (batch, record) = commit::block_batch(&self.tip.header, &executed);
        let height = block.header.height;
        for (same, field) in [
            (executed.receipts == receipts, "receipts"),
            (record.transition == *transition, "transition"),
        ] {
            if !same {
                return Err(NodeError::Mismatch { field, height });
            }
        }
        self.store.commit(&batch)?;
        self.tip = executed.tip;
        Ok(())
    }

    fn report(&self) -> ReplayReport {
        ReplayReport {
            height: self.tip.header.height,
            tip: self.tip.hash,
            state_root: self.tip.header.state_root,
        }
    }
}

/// Executes the blocks in a data folder's store from genesis and compares every header field, every receipt, and the
/// whole state.
pub fn replay_data(
    data: &Path,
    coprocessor: Arc<dyn Coprocessor>,
) -> Result<ReplayReport, NodeError> {
    let folder = Folder::new(data);
    let no_chain = || NodeError::NoChain {
        path: data.to_path_buf(),
    };
    let genesis = folder.read_genesis()?.ok_or_else(no_chain)?;
    if !folder.has_store() {
        return Err(no_chain());
    }
    let store = folder.open_store()?;
    let head = commit::head(&store)?.ok_or_else(no_chain)?;
    let mut replay = Replay::start(genesis, coprocessor)?;
    let first = commit::record_of(&store, 0)?;
    compare_headers(&first.block.header, &replay.tip.header)?;
    for height in 1..=head.height {
        let record = commit::record_of(&store, height)?;
        let receipts = commit::receipts_of(&store, &record.block)?;
        replay.block(&record.block, &receipts, &record.transition)?;
    }
    let height = head.height;
    if replay.tip.header != head {
        return Err(NodeError::Mismatch {
            field: "head",
            height,
        });
    }
    for (table, field) in [
        (Table::State, "state values"),
        (Table::Pages, "state pages"),
        (Table::Receipts, "stored receipts"),
    ] {
        if content_digest(&store, table)? != content_digest(&replay.store, table)? {
            return Err(NodeError::Mismatch { field, height });
        }
    }
    Ok(replay.report())
}

/// Hash of all keys and values of a table.
fn content_digest(store: &dyn Store, table: Table) -> Result<Hash32, NodeError> {
    let mut hasher = blake3::Hasher::new();
    store.scan(table, b"", &mut |key, value| {
        for bytes in [key, value] {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
        ControlFlow::Continue(())
    })?;
    Ok(Hash32(*hasher.finalize().as_bytes()))
}

/// Executes a log from the genesis in its first line and compares every header field, receipt and transition. A torn
/// last line counts as not written.
pub fn replay_log(
    file: &Path,
    coprocessor: Arc<dyn Coprocessor>,
) -> Result<ReplayReport, NodeError> {
    let mut reader = LogReader::open(file)?;
    let Some(genesis) = reader.genesis()? else {
        return Err(NodeError::NoChain {
            path: file.to_path_buf(),
        });
    };
    let mut replay = Replay::start(genesis, coprocessor)?;
    while let Some(line) = reader.block()? {
        replay.block(&line.block, &line.receipts, &line.transition)?;
    }
    if reader.torn() {
        tracing::warn!(file = %file.display(), "the last line is torn and was left out");
    }
    Ok(replay.report())
}

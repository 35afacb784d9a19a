//! The modules under the scheduler.

use std::sync::Arc;

use ffcm::memory::{MemoryOp, SlotId};
use ffcm_scheduler::{Cost, Executor, ReadError, TaskView};
use focus_types::{
    Address, AssetId, Body, Fees, Genesis, Hash32, Outcome, RejectReason, SignedTx, TxId,
};

use crate::links::LinkEffect;
use crate::{bank, gas, keys, links, memory};

/// What the modules need to know of the genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Genesis hash.
    pub chain: Hash32,
    /// Prices.
    pub fees: Fees,
    /// Bound on the interactions of one weight-net call.
    pub net_gas: u64,
    /// Shards of Memory Arithmetic.
    pub shards: u16,
}

impl Rules {
    /// The rules of a genesis.
    pub fn of(genesis: &Genesis) -> Rules {
        Rules {
            chain: genesis.hash(),
            fees: genesis.fees,
            net_gas: genesis.weight_net.gas,
            shards: genesis.ma.shards,
        }
    }

    /// The most a transaction with this body can cost in fees: all its gas, and the fee of a link.
    pub fn most_fee(&self, body: &Body) -> Option<u64> {
        let gas = self
            .fees
            .gas_price
            .checked_mul(gas::most(body, self.net_gas))?;
        gas.checked_add(self.link_fee(body))
    }

    /// The fee besides gas.
    pub fn link_fee(&self, body: &Body) -> u64 {
        match body {
            Body::Link { .. } => self.fees.link,
            _ => 0,
        }
    }

    /// Checks everything that does not depend on state or signature.
    pub fn check(&self, tx: &SignedTx) -> Result<(), RejectReason> {
        if tx.tx.chain != self.chain {
            return Err(RejectReason::BadSig);
        }
        if let Body::Memory { target, op } = &tx.tx.body {
            memory::check(*target, op, self.shards)?;
        }
        if tx.tx.gas_limit < gas::most(&tx.tx.body, self.net_gas) {
            return Err(RejectReason::BadGas);
        }
        // A price so high that the fee overflows can be paid by nobody.
        self.most_fee(&tx.tx.body)
            .map(|_| ())
            .ok_or(RejectReason::Insufficient)
    }
}

/// A transaction with what was computed about it once.
#[derive(Clone, Debug)]
pub struct Task {
    /// The transaction.
    pub tx: Arc<SignedTx>,
    /// Its id.
    pub id: TxId,
    /// Length of its encoding.
    pub bytes: u64,
}

impl Task {
    /// Computes id and length.
    pub fn new(tx: SignedTx) -> Task {
        Task {
            id: tx.id(),
            bytes: tx.encode().len() as u64,
            tx: Arc::new(tx),
        }
    }
}

/// What a transaction leaves for later phases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// An operation for the batch.
    Memory(SlotId, MemoryOp),
    /// A link for the edge phase.
    Link(LinkEffect),
}

/// Runs transactions by the modules' rules.
#[derive(Clone, Copy, Debug)]
pub struct ChainExecutor {
    /// The rules.
    pub rules: Rules,
}

impl Executor for ChainExecutor {
    type Task = Task;
    type Lane = Address;
    type Output = Effect;
    type Fault = Outcome;
    type Refusal = RejectReason;

    fn cost(&self, task: &Task) -> Cost {
        Cost {
            gas: gas::most(&task.tx.tx.body, self.rules.net_gas),
            edges: u64::from(matches!(task.tx.tx.body, Body::Link { .. })),
            bytes: task.bytes,
        }
    }

    fn lane(&self, task: &Task) -> Address {
        task.tx.tx.sender
    }

    /// Takes the nonce and the most the transaction can cost; what it does not use is credited at the block's end.
    fn begin(
        &self,
        task: &Task,
        view: &mut TaskView<'_>,
    ) -> Result<Result<(), RejectReason>, ReadError> {
        let tx = &task.tx.tx;
        if let Err(reason) = self.rules.check(&task.tx) {
            return Ok(Err(reason));
        }
        let nonce_key = keys::account(&tx.sender);
        let nonce = bank::number(view, &nonce_key)?;
        let next = nonce.checked_add(1).filter(|_| nonce == tx.nonce);
        let Some(next) = next else {
            return Ok(Err(RejectReason::BadNonce));
        };
        let Some(fee) = self.rules.most_fee(&tx.body) else {
            return Ok(Err(RejectReason::Insufficient));
        };
        if !bank::take(view, AssetId::FOCUS, &tx.sender, fee)? {
            return Ok(Err(RejectReason::Insufficient));
        }
        bank::set_number(view, nonce_key, next);
        Ok(Ok(()))
    }

    fn run(
        &self,
        task: &Task,
        view: &mut TaskView<'_>,
    ) -> Result<Result<Effect, Outcome>, ReadError> {
        let tx = &task.tx.tx;
        match &tx.body {
            Body::Transfer { asset, to, amount } => {
                let done = bank::transfer(view, *asset, &tx.sender, to, *amount)?;
                Ok(done.map(|()| Effect::None))
            }
            Body::Memory { target, op } => {
                Ok(Ok(Effect::Memory(memory::slot(*target), memory::op(op))))
            }
            body @ Body::Link { .. } => {
                let effect = links::lock(view, &tx.sender, body)?;
                Ok(effect.map(|effect| effect.map_or(Effect::None, Effect::Link)))
            }
        }
    }
}

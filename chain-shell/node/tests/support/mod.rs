//! A small chain and a seeded stream of transactions for it.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::Path;
use std::sync::Arc;

use ffcm::coprocessor::{Coprocessor, OracleCoprocessor};
use focus_node::{BlockReport, Node, NodeOptions};
use focus_types::{
    Address, AssetId, Body, Genesis, GenesisAccount, Hash32, Keypair, MaOp, Particle, RejectReason,
    SignedTx, SlotTarget, Transaction, TxId,
};

pub const ACCOUNTS: u8 = 4;
pub const BALANCE: u64 = 1_000_000_000;

pub fn key(n: u8) -> Keypair {
    Keypair::from_seed([n; 32])
}

pub fn address(n: u8) -> Address {
    key(n).address()
}

/// The validator has key 100 and no balance.
pub fn genesis() -> Genesis {
    let account = |n| GenesisAccount {
        address: address(n),
        balance: BALANCE,
    };
    let mut genesis = Genesis::solo(
        "test",
        address(100),
        (1..=ACCOUNTS).map(account).collect(),
        ffcm_sandboxes::weight::STAKE.to_owned(),
    );
    genesis.ma.shards = 2;
    genesis
}

pub fn oracle() -> Arc<dyn Coprocessor> {
    Arc::new(OracleCoprocessor)
}

pub fn create(data: &Path, genesis: &Genesis) -> Node {
    Node::create(data, genesis, key(100), oracle(), NodeOptions::default()).unwrap()
}

pub fn open(data: &Path) -> Node {
    Node::open(data, oracle(), NodeOptions::default()).unwrap()
}

pub fn sign(chain: Hash32, n: u8, nonce: u64, body: Body) -> SignedTx {
    let key = key(n);
    Transaction {
        chain,
        sender: key.address(),
        nonce,
        gas_limit: 1_000_000,
        body,
    }
    .sign(&key)
}

pub fn transfer(to: Address, amount: u64) -> Body {
    Body::Transfer {
        asset: AssetId::FOCUS,
        to,
        amount,
    }
}

pub fn link(source: &str, target: &str, stake: u64) -> Body {
    Body::Link {
        source: Particle::text(source),
        target: Particle::text(target),
        kind: 0,
        stake,
    }
}

pub fn memory(shard: u16, slot: u8, op: MaOp) -> Body {
    Body::Memory {
        target: SlotTarget {
            shard,
            layer: 1,
            slot,
        },
        op,
    }
}

/// A 64-bit linear congruential generator: enough to vary what tests do.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    pub fn body(&mut self) -> Body {
        let slot = self.below(6) as u8;
        let shard = self.below(2) as u16;
        match self.below(8) {
            0 => transfer(address(1 + self.below(6) as u8), self.below(BALANCE / 50)),
            1 => {
                let vector = (0..128).map(|_| self.below(400) as i16 - 200).collect();
                memory(shard, slot, MaOp::Add { vector })
            }
            2 => memory(shard, slot, MaOp::Decay { factor: 9_850 }),
            3 => {
                let source = self.below(6) as u8;
                memory(
                    shard,
                    slot,
                    MaOp::Mix {
                        alpha: 4_321,
                        source,
                    },
                )
            }
            _ => {
                let (a, b) = (self.below(12), self.below(12));
                link(&format!("p{a}"), &format!("p{b}"), self.below(50) * 1_000)
            }
        }
    }
}

/// The next block of a seeded history: it depends on the node's height alone. Returns the report.
pub fn next_block(node: &Node) -> BlockReport {
    let height = node.head().height;
    let mut random = Random(height.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for n in 1..=ACCOUNTS {
        let nonce = node.account(&address(n)).unwrap().nonce;
        for i in 0..1 + random.below(5) {
            let tx = sign(node.genesis().hash(), n, nonce + i, random.body());
            node.submit(tx).unwrap();
        }
    }
    node.produce().unwrap().unwrap()
}

/// Submits, produces one block, and returns the outcome's label and gas.
pub fn run_one(node: &Node, n: u8, body: Body) -> (&'static str, u64) {
    let nonce = node.account(&address(n)).unwrap().nonce;
    let id: TxId = node
        .submit(sign(node.genesis().hash(), n, nonce, body))
        .unwrap();
    node.produce().unwrap().unwrap();
    let receipt = node.receipt(&id).unwrap().unwrap();
    assert_eq!(receipt.ok, receipt.reason.as_str() == "ok");
    assert_eq!(receipt.height, node.head().height);
    (receipt.reason.as_str(), receipt.gas)
}

pub fn balance(node: &Node, n: u8) -> u64 {
    let view = node.account(&address(n)).unwrap();
    view.balances.first().map_or(0, |(_, units)| *units)
}

pub fn rejected(node: &Node, reason: RejectReason) -> u64 {
    node.metrics().rejected[&reason]
}

pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

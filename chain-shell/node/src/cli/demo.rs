//! The demo: a graph as signed links, Memory Arithmetic and transfers, from a few accounts.
//!
//! Nothing is remembered beside the chain. The accounts are derived from the folder's key and the feed's digest, and
//! what each has done is its nonce: link `i` is transaction `i / LINKERS` of linker `i % LINKERS`. Stopped at any
//! moment, the demo goes on where the chain stands.

use focus_modules::gas;
use focus_node::Node;
use focus_types::{
    Address, AssetId, Body, Hash32, Keypair, MaOp, Particle, RejectReason, SlotTarget, Transaction,
};

use super::failure::Failure;
use super::feed::{Feed, Link};

/// Accounts that link.
const LINKERS: usize = 4;
/// Blocks the feed is spread over, if neither bound on a block's links says otherwise.
const FEED_BLOCKS: usize = 16;
/// Fewest links of a block.
const LINKS_MIN: usize = 8;
/// Most links of a block.
const LINKS_MAX: usize = 2000;
/// Memory Arithmetic operations and transfers of a block.
const PULSES: usize = 12;
/// FOCUS units of the account that pulses: more than 10^9 operations at gas price 1.
const PULSE_FUNDS: u64 = 10_000_000_000_000;

/// An account of the demo and its next nonce.
struct Account {
    key: Keypair,
    nonce: u64,
}

impl Account {
    fn open(node: &Node, key: Keypair) -> Result<Account, Failure> {
        let nonce = node.account(&key.address())?.nonce;
        Ok(Account { key, nonce })
    }

    fn address(&self) -> Address {
        self.key.address()
    }

    /// Signs and submits the next transaction; `Ok(false)` if the mempool has no room for it now.
    fn submit(&mut self, node: &Node, chain: Hash32, body: Body) -> Result<bool, Failure> {
        let transaction = Transaction {
            chain,
            sender: self.address(),
            nonce: self.nonce,
            gas_limit: gas::most(&body, node.genesis().weight_net.gas),
            body,
        };
        match node.submit(transaction.sign(&self.key)) {
            Ok(_) => {
                self.nonce += 1;
                Ok(true)
            }
            Err(RejectReason::MempoolFull | RejectReason::SenderCap) => Ok(false),
            Err(reason) => Err(Failure::new(format_args!(
                "the node refuses transaction {} of demo account {}: {reason}",
                self.nonce,
                self.address()
            ))),
        }
    }
}

/// What feeds a node.
pub(crate) struct Demo {
    feed: Feed,
    chain: Hash32,
    shards: u16,
    /// What one unit of weight costs in stake.
    stake_unit: u64,
    linkers: Vec<Account>,
    pulse: Account,
}

/// What one call of [`Demo::submit`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Submitted {
    /// Links submitted.
    pub(crate) links: usize,
    /// Other transactions submitted.
    pub(crate) others: usize,
}

impl Demo {
    /// Prepares the accounts; the ones the chain does not know yet get their funds from `owner`, in transfers that wait
    /// in the mempool when this returns.
    pub(crate) fn start(node: &Node, owner: Keypair, feed: Feed) -> Result<Demo, Failure> {
        let linkers = (0..LINKERS)
            .map(|i| Account::open(node, derive(&owner, &feed, &format!("linker {i}"))?))
            .collect::<Result<Vec<_>, Failure>>()?;
        let pulse = Account::open(node, derive(&owner, &feed, "pulse")?)?;
        let demo = Demo {
            chain: node.genesis().hash(),
            shards: node.genesis().ma.shards,
            stake_unit: 1 << node.genesis().weight_net.stake_shift,
            feed,
            linkers,
            pulse,
        };
        demo.fund(node, owner)?;
        Ok(demo)
    }

    fn fund(&self, node: &Node, owner: Keypair) -> Result<(), Failure> {
        let mut owner = Account::open(node, owner)?;
        let mut wanted = vec![(&self.pulse, u128::from(PULSE_FUNDS))];
        for (index, linker) in self.linkers.iter().enumerate() {
            wanted.push((linker, self.cost(node, index)));
        }
        let total: u128 = wanted.iter().map(|(_, amount)| amount).sum();
        for (account, amount) in wanted {
            let view = node.account(&account.address())?;
            if view.nonce > 0 || !view.balances.is_empty() {
                continue;
            }
            let amount = u64::try_from(amount).map_err(|_| self.too_costly(total))?;
            let body = Body::Transfer {
                asset: AssetId::FOCUS,
                to: account.address(),
                amount,
            };
            owner.submit(node, self.chain, body).map_err(|failure| {
                tracing::debug!(?failure, "funding");
                self.too_costly(total)
            })?;
        }
        Ok(())
    }

    fn too_costly(&self, total: u128) -> Failure {
        Failure::file(
            &self.feed.name,
            format_args!(
                "linking it takes {total} FOCUS units, more than this folder's key can spend; \
                 use smaller weights, or a new folder with --data"
            ),
        )
    }

    /// The most that all links of one linker cost: stakes and fees.
    fn cost(&self, node: &Node, linker: usize) -> u128 {
        let genesis = node.genesis();
        let gas = u128::from(gas::LINK.saturating_add(genesis.weight_net.gas));
        let fee = gas * u128::from(genesis.fees.gas_price) + u128::from(genesis.fees.link);
        let links = self.feed.links.iter().skip(linker).step_by(LINKERS);
        links.map(|link| u128::from(self.stake(link)) + fee).sum()
    }

    /// FOCUS units to lock on a link, so that the weight net sees its weight.
    fn stake(&self, link: &Link) -> u64 {
        link.weight.saturating_mul(self.stake_unit)
    }

    /// Links of the feed that are submitted.
    pub(crate) fn linked(&self) -> usize {
        let sent = |(j, linker): (usize, &Account)| {
            let own = self.feed.links.len().saturating_sub(j).div_ceil(LINKERS);
            usize::try_from(linker.nonce).unwrap_or(usize::MAX).min(own)
        };
        self.linkers.iter().enumerate().map(sent).sum()
    }

    /// Links of the feed.
    pub(crate) fn links(&self) -> usize {
        self.feed.links.len()
    }

    /// Whether every link is submitted.
    pub(crate) fn is_done(&self) -> bool {
        self.linked() == self.links()
    }

    /// Submits what belongs into the next block.
    pub(crate) fn submit(&mut self, node: &Node) -> Result<Submitted, Failure> {
        let per_block = self
            .links()
            .div_ceil(FEED_BLOCKS)
            .clamp(LINKS_MIN, LINKS_MAX);
        let mut done = Submitted::default();
        while done.links < per_block && self.link(node)? {
            done.links += 1;
        }
        done.others = self.pulse(node, PULSES)?;
        Ok(done)
    }

    /// Submits the next link of the feed, if there is one and there is room for it.
    fn link(&mut self, node: &Node) -> Result<bool, Failure> {
        let next = |(j, linker): (usize, &Account)| {
            let index = usize::try_from(linker.nonce).ok()?.checked_mul(LINKERS)? + j;
            (index < self.feed.links.len()).then_some((index, j))
        };
        let Some((index, linker)) = self.linkers.iter().enumerate().filter_map(next).min() else {
            return Ok(false);
        };
        let link = &self.feed.links[index];
        let body = Body::Link {
            source: Particle::text(&link.source),
            target: Particle::text(&link.target),
            kind: 0,
            stake: self.stake(link),
        };
        self.linkers[linker].submit(node, self.chain, body)
    }

    /// Submits `count` Memory Arithmetic operations and small transfers; returns how many there was room for.
    pub(crate) fn pulse(&mut self, node: &Node, count: usize) -> Result<usize, Failure> {
        for sent in 0..count {
            let number = self.pulse.nonce;
            let body = if number % 6 == 5 {
                let linker = usize::try_from(number / 6 % LINKERS as u64).unwrap_or(0);
                Body::Transfer {
                    asset: AssetId::FOCUS,
                    to: self.linkers[linker].address(),
                    amount: 1 + number % 100,
                }
            } else {
                operation(number, self.shards)
            };
            if !self.pulse.submit(node, self.chain, body)? {
                return Ok(sent);
            }
        }
        Ok(count)
    }
}

/// A demo account of `owner` for `feed`.
fn derive(owner: &Keypair, feed: &Feed, role: &str) -> Result<Keypair, Failure> {
    let mut hasher = blake3::Hasher::new_derive_key("focus-flow v1 demo account");
    hasher.update(owner.seed_hex().as_bytes());
    hasher.update(&feed.digest);
    hasher.update(role.as_bytes());
    Ok(Keypair::from_seed(*hasher.finalize().as_bytes()))
}

/// The Memory Arithmetic operation of pulse `number`: mostly additions, more of them to low slots.
fn operation(number: u64, shards: u16) -> Body {
    let hash = blake3::hash(&number.to_le_bytes());
    let bytes = hash.as_bytes();
    let slot = (bytes[0] % 64).min(bytes[1] % 64);
    let target = SlotTarget {
        shard: u16::from_le_bytes([bytes[2], bytes[3]]) % shards.max(1),
        layer: bytes[4] % 4,
        slot,
    };
    let op = match bytes[5] % 8 {
        0 => MaOp::Decay { factor: 9850 },
        1 => MaOp::Mix {
            alpha: 7500,
            source: (slot + 1) % 64,
        },
        2 => MaOp::Clip {},
        _ => {
            let mut noise = hash_stream(number);
            let mut entries = [0; 2 * ffcm::memory::DIMENSION];
            noise.fill(&mut entries);
            let entry = |pair: &[u8]| i16::from_le_bytes([pair[0], pair[1]]) >> 6;
            MaOp::Add {
                vector: entries.chunks_exact(2).map(entry).collect(),
            }
        }
    };
    Body::Memory { target, op }
}

fn hash_stream(number: u64) -> blake3::OutputReader {
    let mut hasher = blake3::Hasher::new_derive_key("focus-flow v1 demo vector");
    hasher.update(&number.to_le_bytes());
    hasher.finalize_xof()
}

//! Transactions waiting for a block.
//!
//! Per sender they wait in nonce order; among those that may run next, the earliest arrival goes first. Everything is
//! bounded: in all, per sender, how far a nonce may be ahead of the sender's unbroken run, and how many ids are
//! remembered against resubmission. Transactions that wait for an earlier nonce may take a quarter of the places: they
//! pay nothing for them, so they must not be able to keep others out.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use focus_modules::Task;
use focus_types::{Address, RejectReason, TxId};

/// Bounds of a mempool.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Pending transactions in all.
    pub total: usize,
    /// Encoded bytes of all pending transactions.
    pub bytes: u64,
    /// Pending transactions per sender.
    pub per_sender: usize,
    /// How far a nonce may be ahead of the first one missing.
    pub gap: u64,
    /// Ids remembered.
    pub seen: usize,
}

/// A sender's pending transactions.
#[derive(Default)]
struct Queue {
    /// Nonce of the account as of the last block that touched it.
    account: u64,
    /// First nonce from `account` on that is not pending.
    missing: u64,
    /// Pending by nonce.
    pending: BTreeMap<u64, Entry>,
}

struct Entry {
    task: Task,
    arrival: u64,
}

/// The mempool.
pub struct Mempool {
    bounds: Bounds,
    queues: BTreeMap<Address, Queue>,
    /// Sender and nonce by arrival.
    arrivals: BTreeMap<u64, (Address, u64)>,
    next_arrival: u64,
    /// Encoded bytes of all pending transactions.
    bytes: u64,
    /// Pending transactions outside their senders' unbroken runs.
    waiting: usize,
    seen: Seen,
}

impl Mempool {
    /// An empty one.
    pub fn new(bounds: Bounds) -> Mempool {
        Mempool {
            bounds,
            queues: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            next_arrival: 0,
            bytes: 0,
            waiting: 0,
            seen: Seen::new(bounds.seen),
        }
    }

    /// Pending transactions.
    pub fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// Whether `id` is pending or was lately.
    pub fn has_seen(&self, id: &TxId) -> bool {
        self.seen.contains(id)
    }

    /// Admits a transaction whose sender's account is at nonce `account`.
    pub fn insert(&mut self, task: Task, account: u64) -> Result<(), RejectReason> {
        let (sender, nonce) = (task.tx.tx.sender, task.tx.tx.nonce);
        if self.seen.contains(&task.id) {
            return Err(RejectReason::Dup);
        }
        let known = self.queues.get(&sender);
        let account = known.map_or(account, |queue| queue.account.max(account));
        let missing = known.map_or(account, |queue| queue.missing.max(account));
        let taken = known.is_some_and(|queue| queue.pending.contains_key(&nonce));
        if nonce < account || taken || nonce > missing.saturating_add(self.bounds.gap) {
            return Err(RejectReason::BadNonce);
        }
        let bytes = self.bytes.saturating_add(task.bytes);
        if self.arrivals.len() >= self.bounds.total || bytes > self.bounds.bytes {
            return Err(RejectReason::MempoolFull);
        }
        if nonce > missing && self.waiting >= self.bounds.total / 4 {
            return Err(RejectReason::MempoolFull);
        }
        if known.is_some_and(|queue| queue.pending.len() >= self.bounds.per_sender) {
            return Err(RejectReason::SenderCap);
        }
        let arrival = self.next_arrival;
        self.next_arrival += 1;
        self.bytes = bytes;
        self.seen.insert(task.id);
        self.arrivals.insert(arrival, (sender, nonce));
        let queue = self.queues.entry(sender).or_default();
        self.waiting -= queue.waiting();
        queue.account = account;
        queue.pending.insert(nonce, Entry { task, arrival });
        queue.advance();
        self.waiting += queue.waiting();
        Ok(())
    }

    /// Up to `count` transactions in the order a block should try them.
    pub fn candidates(&self, count: usize) -> Vec<Task> {
        let mut chosen = Vec::new();
        let mut next: BTreeMap<Address, u64> = BTreeMap::new();
        let mut early: BTreeSet<(Address, u64)> = BTreeSet::new();
        for (sender, nonce) in self.arrivals.values() {
            let Some(queue) = self.queues.get(sender) else {
                continue;
            };
            let expected = next.entry(*sender).or_insert(queue.account);
            if nonce != expected {
                early.insert((*sender, *nonce));
                continue;
            }
            let mut run = *nonce;
            while let Some(entry) = queue.pending.get(&run) {
                if chosen.len() == count {
                    return chosen;
                }
                chosen.push(entry.task.clone());
                run += 1;
                *expected = run;
                if !early.remove(&(*sender, run)) {
                    break;
                }
            }
        }
        chosen
    }

    /// A block brought `sender`'s account to nonce `account`: what is before it is gone.
    pub fn committed(&mut self, sender: &Address, account: u64) {
        let Some(queue) = self.queues.get_mut(sender) else {
            return;
        };
        self.waiting -= queue.waiting();
        let later = queue.pending.split_off(&account);
        let gone = std::mem::replace(&mut queue.pending, later);
        for entry in gone.values() {
            self.arrivals.remove(&entry.arrival);
            self.bytes -= entry.task.bytes;
        }
        queue.account = queue.account.max(account);
        queue.advance();
        self.waiting += queue.waiting();
        self.drop_if_empty(sender);
    }

    /// Takes out a transaction that can never run, and all of its sender's later ones, which cannot run without it. They
    /// may be submitted again. Returns how many.
    pub fn refuse(&mut self, sender: &Address, nonce: u64) -> usize {
        let Some(queue) = self.queues.get_mut(sender) else {
            return 0;
        };
        self.waiting -= queue.waiting();
        let gone = queue.pending.split_off(&nonce);
        for entry in gone.values() {
            self.arrivals.remove(&entry.arrival);
            self.bytes -= entry.task.bytes;
            self.seen.remove(&entry.task.id);
        }
        queue.missing = queue.account;
        queue.advance();
        self.waiting += queue.waiting();
        self.drop_if_empty(sender);
        gone.len()
    }

    fn drop_if_empty(&mut self, sender: &Address) {
        if self
            .queues
            .get(sender)
            .is_some_and(|queue| queue.pending.is_empty())
        {
            self.queues.remove(sender);
        }
    }
}

impl Queue {
    /// Pending transactions beyond the first missing nonce: at most as many as the gap is wide.
    fn waiting(&self) -> usize {
        self.pending.range(self.missing..).count()
    }

    fn advance(&mut self) {
        self.missing = self.missing.max(self.account);
        while self.pending.contains_key(&self.missing) {
            self.missing += 1;
        }
    }
}

/// The last ids seen, first in, first out.
struct Seen {
    bound: usize,
    stamps: HashMap<TxId, u64>,
    order: VecDeque<(TxId, u64)>,
    next: u64,
}

impl Seen {
    fn new(bound: usize) -> Seen {
        Seen {
            bound,
            stamps: HashMap::new(),
            order: VecDeque::new(),
            next: 0,
        }
    }

    fn contains(&self, id: &TxId) -> bool {
        self.stamps.contains_key(id)
    }

    fn insert(&mut self, id: TxId) {
        while self.order.len() >= self.bound.max(1) {
            if let Some((old, stamp)) = self.order.pop_front()
                && self.stamps.get(&old) == Some(&stamp)
            {
                self.stamps.remove(&old);
            }
        }
        self.stamps.insert(id, self.next);
        self.order.push_back((id, self.next));
        self.next += 1;
    }

    fn remove(&mut self, id: &TxId) {
        self.stamps.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use focus_types::{AssetId, Body, Hash32, Signature, SignedTx, Transaction};
    use proptest::prelude::*;

    use super::*;

    fn task(sender: u8, nonce: u64) -> Task {
        Task::new(SignedTx {
            tx: Transaction {
                chain: Hash32::ZERO,
                sender: Address([sender; 32]),
                nonce,
                gas_limit: 0,
                body: Body::Transfer {
                    asset: AssetId::FOCUS,
                    to: Address([0; 32]),
                    amount: 0,
                },
            },
            signature: Signature([0; 64]),
        })
    }

    fn pool(total: usize, per_sender: usize, gap: u64, seen: usize) -> Mempool {
        Mempool::new(Bounds {
            total,
            bytes: 3_000,
            per_sender,
            gap,
            seen,
        })
    }

    fn order(pool: &Mempool, count: usize) -> Vec<(u8, u64)> {
        let tasks = pool.candidates(count);
        let key = |task: &Task| (task.tx.tx.sender.0[0], task.tx.tx.nonce);
        tasks.iter().map(key).collect()
    }

    #[test]
    fn arrival_order_within_nonce_order() {
        let mut pool = pool(100, 100, 10, 100);
        for (sender, nonce) in [(1, 2), (2, 0), (1, 0), (3, 1), (1, 1), (2, 1)] {
            pool.insert(task(sender, nonce), 0).unwrap();
        }
        let all = [(2, 0), (1, 0), (1, 1), (1, 2), (2, 1)];
        assert_eq!(order(&pool, 9), all);
        assert_eq!(order(&pool, 3), all[..3]);
        assert_eq!(pool.refuse(&Address([1; 32]), 1), 2);
        assert_eq!(order(&pool, 9), [(2, 0), (1, 0), (2, 1)]);
        pool.insert(task(1, 1), 0).unwrap();
        pool.committed(&Address([1; 32]), 1);
        assert_eq!(order(&pool, 9), [(2, 0), (2, 1), (1, 1)]);
        assert_eq!(pool.insert(task(1, 0), 0), Err(RejectReason::Dup));
        pool.committed(&Address([1; 32]), 2);
        pool.committed(&Address([2; 32]), 2);
        assert_eq!((pool.len(), order(&pool, 9)), (1, vec![]));
    }

    #[test]
    fn seen_forgets_the_oldest_only() {
        let mut pool = pool(100, 100, 10, 3);
        for sender in 1..=4 {
            pool.insert(task(sender, 0), 0).unwrap();
        }
        assert!(!pool.has_seen(&task(1, 0).id));
        assert!((2..=4).all(|sender| pool.has_seen(&task(sender, 0).id)));
        // Forgotten, but still pending: the nonce is taken.
        assert_eq!(pool.insert(task(1, 0), 0), Err(RejectReason::BadNonce));
    }

    proptest! {
        #[test]
        fn candidates_are_exactly_the_unbroken_runs(
            steps in prop::collection::vec((0u8..4, 0u64..8, 0u8..8), 0..80)
        ) {
            let mut pool = pool(20, 6, 4, 1000);
            let mut accounts = [0u64; 4];
            for (sender, number, kind) in steps {
                let address = Address([sender; 32]);
                let account = &mut accounts[usize::from(sender)];
                match kind {
                    0 => {
                        let run = order(&pool, 99).iter().filter(|(s, _)| *s == sender).count();
                        *account += number.min(run as u64);
                        pool.committed(&address, *account);
                    }
                    1 => {
                        pool.refuse(&address, *account + number);
                    }
                    _ => {
                        let _ = pool.insert(task(sender, *account + number), *account);
                    }
                }
                let list = order(&pool, 99);
                for sender in 0..4u8 {
                    let nonces: Vec<u64> =
                        list.iter().filter(|(s, _)| *s == sender).map(|(_, n)| *n).collect();
                    let queue = pool.queues.get(&Address([sender; 32]));
                    let pending: Vec<u64> =
                        queue.map_or(vec![], |q| q.pending.keys().copied().collect());
                    let first = accounts[usize::from(sender)];
                    let run: Vec<u64> =
                        (first..).take_while(|n| pending.contains(n)).collect();
                    prop_assert_eq!(nonces, run);
                    prop_assert!(pending.len() <= 6);
                }
                let stored: usize = pool.queues.values().map(|q| q.pending.len()).sum();
                prop_assert_eq!(stored, pool.len());
                let runs = list.len();
                prop_assert_eq!(pool.waiting, stored - runs);
                prop_assert!(pool.waiting <= 5);
                prop_assert!(pool.len() <= 20 && pool.bytes <= 3_000);
                let tasks = pool.queues.values().flat_map(|q| q.pending.values());
                prop_assert_eq!(tasks.map(|entry| entry.task.bytes).sum::<u64>(), pool.bytes);
            }
        }
    }
}

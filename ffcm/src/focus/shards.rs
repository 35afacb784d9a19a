//! The gather split over K shards that own disjoint nodes and send each other messages.
//!
//! A node belongs to the shard that the finaliser of MurmurHash3 (64 bit) deals its index to. In an iteration each shard
//! combines what its own sources give to each destination, keeps what is its own and forwards the rest, one message per
//! destination; then each shard adds up what it was sent. Random dealing makes (K − 1)/K of all edges cross shards,
//! hence the combining.

use rayon::prelude::*;

use super::outbox::{Messages, Outbox, Push, deliver};

/// The shard of `node` among `shards`.
pub fn shard_of(node: u32, shards: u32) -> u32 {
    (murmur64(u64::from(node)) % u64::from(shards)) as u32
}

/// Finaliser of MurmurHash3 x64 (fmix64).
fn murmur64(mut key: u64) -> u64 {
    key ^= key >> 33;
    key = key.wrapping_mul(0xff51_afd7_ed55_8ccd);
    key ^= key >> 33;
    key = key.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    key ^ (key >> 33)
}

/// All edges, by shard of the source and shard of the destination.
#[derive(Debug)]
pub(crate) struct Shards {
    shards: Vec<Shard>,
}

#[derive(Debug, Default)]
struct Shard {
    /// Rows this shard owns, ascending; others name them by position in this list.
    rows: Vec<u32>,
    /// What its sources send: shard and messages.
    outboxes: Vec<(u32, Outbox)>,
}

impl Shards {
    /// Deals rows (`owner[row]` is the shard of each) and `edges`, whose destinations are rows.
    pub(crate) fn new(count: u32, owner: &[u32], edges: impl Iterator<Item = Push>) -> Shards {
        let mut shards: Vec<Shard> = (0..count).map(|_| Shard::default()).collect();
        let mut position = Vec::with_capacity(owner.len());
        for (row, &owner) in (0u32..).zip(owner) {
            let rows = &mut shards[owner as usize].rows;
            position.push(rows.len() as u32);
            rows.push(row);
        }
        let mut pushes: Vec<Vec<(u32, Push)>> = vec![Vec::new(); count as usize];
        for push in edges {
            let to = owner[push.destination as usize];
            let destination = position[push.destination as usize];
            pushes[owner[push.source as usize] as usize].push((
                to,
                Push {
                    destination,
                    ..push
                },
            ));
        }
        shards
            .par_iter_mut()
            .zip(pushes)
            .for_each(|(shard, mut pushes)| {
                pushes.sort_unstable();
                for run in pushes.chunk_by(|a, b| a.0 == b.0) {
                    let outbox = Outbox::new(run.iter().map(|&(_, push)| push).collect());
                    shard.outboxes.push((run[0].0, outbox));
                }
            });
        Shards { shards }
    }

    /// Adds to `arrived[row]` what the edges into each row carry, given twice the share of each source.
    pub(crate) fn gather(&self, twice: &[u64], arrived: &mut [u64]) {
        let sent: Vec<Vec<(u32, Messages)>> = self
            .shards
            .par_iter()
            .map(|shard| {
                shard
                    .outboxes
                    .iter()
                    .map(|(to, outbox)| (*to, outbox.combine(twice)))
            })
            .map(Iterator::collect)
            .collect();
        let mut inboxes: Vec<Vec<Messages>> = vec![Vec::new(); self.shards.len()];
        for (to, messages) in sent.into_iter().flatten() {
            inboxes[to as usize].push(messages);
        }
        let received: Vec<Vec<u64>> = (self.shards.par_iter().zip(inboxes))
            .map(|(shard, inbox)| {
                let mut own = vec![0; shard.rows.len()];
                for messages in inbox {
                    deliver(&messages, &mut own);
                }
                own
            })
            .collect();
        for (shard, own) in self.shards.iter().zip(received) {
            for (&row, mass) in shard.rows.iter().zip(own) {
                arrived[row as usize] += mass;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finaliser_is_murmur_hash_3s() {
        // Values of the public reference implementation of MurmurHash3's fmix64.
        assert_eq!(murmur64(0), 0);
        assert_eq!(murmur64(1), 0xb456_bcfc_34c2_cb2c);
        assert_eq!(murmur64(2), 0x3abf_2a20_6506_83e7);
    }

    #[test]
    fn shards_are_dealt_evenly() {
        let mut counts = [0u32; 16];
        for node in 0..16_000 {
            counts[shard_of(node, 16) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
    }
}

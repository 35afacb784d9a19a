//! Whether what a device reports can be: its words become lengths and places on the host.

use super::buffers::window_length;
use super::control::*;
use crate::device::GpuError;

/// Words that no kernel writes.
const FIXED: [u32; 7] = [
    BAG_CAPACITY,
    NODE_MASK,
    NODE_CAPACITY,
    NODE_RING_BASE,
    WIRE_MASK,
    WIRE_CAPACITY,
    WIRE_RING_BASE,
];

/// Fails if the control words `after` some rounds cannot have come from those `before`. What passes overflows nowhere
/// and points into the buffers.
pub(super) fn check(before: &[u32], after: &[u32]) -> Result<(), GpuError> {
    let word = |at: u32| after[at as usize];
    let fixed = FIXED.iter().all(|at| word(*at) == before[*at as usize]);
    let (n, limit, most) = (word(N), word(PUSH_LIMIT), word(BAG_CAPACITY));
    let dumped_fit = word(DUMPED) <= most.saturating_sub(word(DUMP_AT));
    let pairs_fit = n <= limit && limit <= most && dumped_fit;
    let placed_fit = word(EXPAND_PLACED) <= word(EXPAND_WAITING).min(EXPAND_MAX);
    let ring_fits = |words| window_length(after, words) <= word(NODE_MASK + words) / 2 + 1;
    let rings_fit = ring_fits(0) && ring_fits(POOL_WORDS);
    // So that the sum of all counters fits 64 bits.
    let counts_fit = (1..8).all(|op| word(COUNTS + 8 + op) < 1 << 28);
    if fixed && pairs_fit && placed_fit && rings_fit && counts_fit {
        return Ok(());
    }
    Err(GpuError::Driver {
        message: "the device reports what cannot be".into(),
    })
}

#[cfg(test)]
mod tests {
    use ffcm::testing::Rng;

    use super::super::buffers::free_entries;
    use super::super::engine::{counts, pairs, waiting};
    use super::*;

    /// Control words of a small heap after a round.
    fn usual() -> Vec<u32> {
        let mut control = vec![0; WORDS as usize];
        for (at, value) in [
            (BAG_CAPACITY, 1 << 14),
            (PUSH_LIMIT, 1 << 13),
            (DUMP_AT, 1 << 13),
            (DUMPED, 1000),
            (N, 300),
            (TAKEN, 400),
            (PUSHED, 9000),
            (EXPAND_WAITING, 40),
            (EXPAND_PLACED, 32),
            (NODE_MASK, 511),
            (NODE_CAPACITY, 256),
            (WIRE_MASK, 511),
            (WIRE_CAPACITY, 256),
            (WIRE_RING_BASE, 512),
            // Cursors wrap, and the head runs ahead of what it may take.
            (NODE_HEAD, 5),
            (NODE_SEEN, u32::MAX - 3),
            (NODE_TAIL, 20),
            (WIRE_TAIL, 256),
        ] {
            control[at as usize] = value;
        }
        control
    }

    #[test]
    fn what_can_be_passes() {
        let control = usual();
        assert_eq!(check(&control, &control), Ok(()));
        assert_eq!(pairs(&control), (1 << 13) - 300 + 1000);
        assert_eq!(waiting(&control), 0);
        assert_eq!(free_entries(&control, 0), 24 + 256);
    }

    /// Whatever a device reports is refused or can be computed with.
    #[test]
    fn no_report_is_trusted() {
        let before = usual();
        let mut rng = Rng::new(11);
        let mut passed = 0;
        for round in 0..20_000 {
            let mut after = before.clone();
            for _ in 0..1 + round % 3 {
                let at = rng.next_u64() as usize % after.len();
                after[at] = match rng.next_u64() % 4 {
                    0 => u32::MAX,
                    1 => rng.next_u64() as u32 % 512,
                    2 => after[at].wrapping_add(1),
                    _ => rng.next_u64() as u32,
                };
            }
            if check(&before, &after).is_ok() {
                passed += 1;
                assert!(pairs(&after) <= 1 << 14);
                assert!(waiting(&after) <= EXPAND_MAX);
                for words in [0, POOL_WORDS] {
                    assert!(window_length(&after, words) <= 256);
                    assert!(free_entries(&after, words) <= 512);
                }
                assert!(counts(&after).total() < u64::MAX);
            }
        }
        assert!(passed > 0 && passed < 19_000, "{passed}");
        // One word each.
        for (at, value) in [
            (N, (1 << 13) + 1),
            (PUSH_LIMIT, 299),
            (PUSH_LIMIT, (1 << 14) + 1),
            (DUMPED, (1 << 13) + 1),
            (DUMP_AT, u32::MAX),
            (EXPAND_PLACED, 33),
            (EXPAND_WAITING, 31),
            (NODE_TAIL, 256),
            (WIRE_TAIL, 257),
            (WIRE_MASK, u32::MAX),
            (BAG_CAPACITY, 1 << 15),
            (COUNTS + 15, 1 << 28),
        ] {
            let mut after = before.clone();
            after[at as usize] = value;
            assert!(check(&before, &after).is_err(), "word {at} is {value}");
        }
    }
}

//! Whether what a device reports can be: its words become lengths and places on the host.

use super::buffers::window_length;
use super::control::*;
use crate::device::CudaError;

/// Words that no kernel writes.
const FIXED: [u32; 6] = [
    BAG_CAPACITY,
    NODE_MASK,
    NODE_CAPACITY,
    SLACK,
    GAS,
    GROUPS_MAX,
];

/// Fails if the control words `after` some rounds cannot have come from those `before`. What passes overflows nowhere
/// and points into the buffers.
pub(super) fn check(before: &[u64], after: &[u64]) -> Result<(), CudaError> {
    let word = |at: u32| after[at as usize];
    if word(DAMAGE) != 0 {
        return Err(CudaError::Driver {
            message: format!("nodes are used after they were freed ({:#x})", word(DAMAGE)),
        });
    }
    let fixed = FIXED.iter().all(|at| word(*at) == before[*at as usize]);
    let (n, limit, most) = (word(N), word(PUSH_LIMIT), word(BAG_CAPACITY));
    let pairs_fit = n <= limit && limit <= most && word(DUMP_AT) <= most;
    // The plan after the last round has counted everything, and all of it lies below N.
    let counted = [TAKEN, PUSHED, DUMPED].iter().all(|at| word(*at) == 0);
    let lists_fit = word(EXPAND_PLACED) <= word(EXPAND_WAITING)
        && word(EXPAND_WAITING) <= u64::from(EXPAND_MAX);
    let ring_fits = window_length(after) <= word(NODE_MASK) / 2 + 1
        && word(NODE_SEEN) <= word(NODE_TAIL)
        && word(NODE_TAIL) < 1 << 62;
    let kept_fits = word(KEPT) <= word(GROUPS_MAX);
    let bump_fits = word(NODE_BUMP) <= word(NODE_CAPACITY);
    // So that the sum of all counters fits 64 bits.
    let counts_fit = (0..8).all(|op| word(COUNTS + op) < 1 << 60);
    let rounds_fit = before[ROUND as usize] <= word(ROUND);
    if fixed
        && pairs_fit
        && counted
        && lists_fit
        && ring_fits
        && bump_fits
        && kept_fits
        && counts_fit
        && rounds_fit
    {
        return Ok(());
    }
    Err(CudaError::Driver {
        message: "the device reports what cannot be".into(),
    })
}

#[cfg(test)]
mod tests {
    use ffcm::testing::Rng;

    use super::super::buffers::free_nodes;
    use super::super::engine::counts;
    use super::*;

    /// Control words of a small heap after a round.
    fn usual() -> Vec<u64> {
        let mut control = vec![0; WORDS as usize];
        for (at, value) in [
            (BAG_CAPACITY, 1 << 14),
            (PUSH_LIMIT, 1 << 13),
            (DUMP_AT, 1 << 13),
            (N, 300),
            (GROUPS_MAX, 8),
            (EXPAND_WAITING, 20),
            (EXPAND_PLACED, 12),
            (NODE_MASK, 511),
            (NODE_CAPACITY, 256),
            (NODE_BUMP, 100),
            // The head runs ahead of what it may take.
            (NODE_HEAD, 1005),
            (NODE_SEEN, 1000),
            (NODE_TAIL, 1024),
        ] {
            control[at as usize] = value;
        }
        control
    }

    #[test]
    fn what_can_be_passes() {
        let control = usual();
        assert_eq!(check(&control, &control), Ok(()));
        assert_eq!(free_nodes(&control), 24 + 156);
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
                    0 => u64::MAX,
                    1 => rng.next_u64() % 512,
                    2 => after[at].wrapping_add(1),
                    _ => rng.next_u64(),
                };
            }
            if check(&before, &after).is_ok() {
                passed += 1;
                assert!(after[N as usize] <= 1 << 14);
                assert!(window_length(&after) <= 256 && free_nodes(&after) <= 512);
                assert!(counts(&after).total() < u64::MAX);
            }
        }
        assert!(passed > 0 && passed < 19_000, "{passed}");
        // One word each.
        for (at, value) in [
            (N, (1 << 13) + 1),
            (PUSH_LIMIT, 299),
            (PUSH_LIMIT, (1 << 14) + 1),
            (PUSHED, 1),
            (TAKEN, 1),
            (DUMPED, 1),
            (DUMP_AT, u64::MAX),
            (EXPAND_PLACED, 21),
            (EXPAND_WAITING, 33),
            (NODE_TAIL, 999),
            (NODE_TAIL, 1300),
            (NODE_MASK, u64::MAX),
            (NODE_BUMP, 257),
            (BAG_CAPACITY, 1 << 15),
            (COUNTS + 7, 1 << 60),
            (DAMAGE, 1),
            (KEPT, 9),
        ] {
            let mut after = before.clone();
            after[at as usize] = value;
            assert!(check(&before, &after).is_err(), "word {at} is {value}");
        }
    }
}

//! The search for a nonce: what does not depend on the nonce is computed once, and nonces are tried in windows.
//!
//! Windows have increasing nonces, so the lowest of the first window with any is the lowest of all. They grow, so that an
//! easy target costs little beyond its nonce and a hard one few round trips.

use sha2::block_api::compress256;

use super::BLOCK;
use super::sha256::{INITIAL, State};

/// What a device has to know to try a nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// State after the header's whole blocks.
    pub state: State,
    /// The target as big-endian words.
    pub below: State,
    /// The one or two blocks after them as big-endian words, with zeros for the nonce.
    pub tail: [u32; 32],
    /// Blocks of the tail.
    pub blocks: u32,
    /// The word of the tail in which the nonce's eight bytes, lowest first, begin.
    pub word: u32,
    /// Bits into that word, from the top: 0, 8, 16 or 24.
    pub shift: u32,
}

impl Prepared {
    /// For nonces behind this header, and hashes below this target.
    pub fn new(header: &[u8], target: &[u8; 32]) -> Prepared {
        let (whole, rest) = header.as_chunks::<BLOCK>();
        let mut state: State = INITIAL;
        compress256(&mut state, whole);
        // The rest, the nonce, a bit, zeros, and the length.
        let mut tail = [0; 2 * BLOCK];
        tail[..rest.len()].copy_from_slice(rest);
        tail[rest.len() + 8] = 0x80;
        let blocks = (rest.len() + 8 + 9).div_ceil(BLOCK);
        let bits = (header.len() as u64).wrapping_add(8).wrapping_mul(8);
        tail[blocks * BLOCK - 8..blocks * BLOCK].copy_from_slice(&bits.to_be_bytes());
        Prepared {
            state,
            below: words(target),
            tail: words(&tail),
            blocks: blocks as u32,
            word: (rest.len() / 4) as u32,
            shift: 8 * (rest.len() % 4) as u32,
        }
    }
}

fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    debug_assert_eq!(bytes.len(), 4 * N);
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    words
}

/// Nonces `start..start + count`, ending at [`u64::MAX`] at the latest, as windows: the first nonce and how many. The
/// first window has `smallest` nonces, each next one four times as many, up to `largest`.
pub fn windows(
    start: u64,
    count: u64,
    smallest: u32,
    largest: u32,
) -> impl Iterator<Item = (u64, u32)> {
    debug_assert!(smallest >= 1 && largest >= smallest);
    let last = count
        .checked_sub(1)
        .map(|further| start.saturating_add(further));
    let mut next = last.map(|_| start);
    let mut size = smallest;
    std::iter::from_fn(move || {
        let (first, last) = (next?, last?);
        let end = last.min(first.saturating_add(u64::from(size) - 1));
        next = (end < last).then(|| end + 1);
        size = size.saturating_mul(4).min(largest);
        // At most `largest`.
        Some((first, (end - first + 1) as u32))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_every_nonce_once() {
        let all = |start, count| windows(start, count, 4, 20).collect::<Vec<_>>();
        assert_eq!(all(7, 0), []);
        assert_eq!(all(7, 1), [(7, 1)]);
        assert_eq!(all(0, 50), [(0, 4), (4, 16), (20, 20), (40, 10)]);
        assert_eq!(all(u64::MAX, 9), [(u64::MAX, 1)]);
        let ends = [(u64::MAX - 5, 4), (u64::MAX - 1, 2)];
        assert_eq!(all(u64::MAX - 5, u64::MAX), ends);
        assert_eq!(all(u64::MAX - 5, 4), [(u64::MAX - 5, 4)]);
    }

    #[test]
    fn the_tail_has_the_nonce_and_the_padding_behind_the_rest() {
        let header: Vec<u8> = (1..=115).collect();
        let found = Prepared::new(&header, &[0x11; 32]);
        assert_eq!((found.blocks, found.word, found.shift), (2, 12, 24));
        assert_eq!(found.below, [0x1111_1111; 8]);
        assert_eq!(found.tail[11..16], [0x6d6e_6f70, 0x7172_7300, 0, 0x80, 0]);
        assert_eq!(found.tail[31], 123 * 8);
        let mut state = INITIAL;
        let whole: [u8; 64] = header[..64].try_into().unwrap();
        compress256(&mut state, &[whole]);
        assert_eq!(found.state, state);
    }
}

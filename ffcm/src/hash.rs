//! Batch hashing on the current rayon pool.

use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// Inputs handed to one thread at a time: a short hash costs far less than a task switch.
const INPUTS_PER_TASK: usize = 16;
/// Nonces tried by each thread before all look whether one was found.
const NONCES_PER_THREAD: u64 = 1 << 14;

/// BLAKE3 of each input.
pub fn blake3(inputs: &[&[u8]]) -> Vec<[u8; 32]> {
    batch(inputs, |input| *blake3::hash(input).as_bytes())
}

/// SHA-256 of each input.
pub fn sha256(inputs: &[&[u8]]) -> Vec<[u8; 32]> {
    batch(inputs, |input| Sha256::digest(input).into())
}

fn batch(inputs: &[&[u8]], hash: impl Fn(&[u8]) -> [u8; 32] + Sync) -> Vec<[u8; 32]> {
    inputs
        .par_iter()
        .with_min_len(INPUTS_PER_TASK)
        .map(|input| hash(input))
        .collect()
}

/// SHA-256d(header ‖ nonce as `u64` little-endian).
pub fn pow_hash(header: &[u8], nonce: u64) -> [u8; 32] {
    finish_pow(Sha256::new_with_prefix(header), nonce)
}

fn finish_pow(header: Sha256, nonce: u64) -> [u8; 32] {
    Sha256::digest(header.chain_update(nonce.to_le_bytes()).finalize()).into()
}

/// Lowest nonce among the `count` from `start` whose [`pow_hash`], read as a big-endian number, is below `target`.
/// Nonces above `u64::MAX` do not exist, so a range that reaches past it ends there.
///
/// All threads search one window of nonces before any enters the next: the answer is the lowest, and little work lies
/// beyond it.
pub fn pow_search(header: &[u8], start: u64, count: u64, target: &[u8; 32]) -> Option<u64> {
    let window = NONCES_PER_THREAD * rayon::current_num_threads() as u64;
    let last = start.saturating_add(count.checked_sub(1)?);
    let header = Sha256::new_with_prefix(header);
    let mut first = start;
    loop {
        let end = last.min(first.saturating_add(window - 1));
        let found = (first..=end)
            .into_par_iter()
            .find_first(|nonce| finish_pow(header.clone(), *nonce) < *target);
        if found.is_some() || end == last {
            return found;
        }
        first = end + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> [u8; 32] {
        std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
    }

    #[test]
    fn published_vectors() {
        let inputs: [&[u8]; 2] = [b"", b"abc"];
        let blake3 = [
            hex("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
            hex("6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
        ];
        let sha256 = [
            hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ];
        assert_eq!(super::blake3(&inputs), blake3);
        assert_eq!(super::sha256(&inputs), sha256);
        assert!(super::sha256(&[]).is_empty());
    }

    #[test]
    fn batches_keep_their_order() {
        let data: Vec<Vec<u8>> = (0..200_u8).map(|i| vec![i; usize::from(i)]).collect();
        let inputs: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        let expected: Vec<[u8; 32]> = inputs.iter().map(|i| Sha256::digest(i).into()).collect();
        assert_eq!(super::sha256(&inputs), expected);
    }

    /// A target that one hash in `2^bits` meets.
    fn target(bits: u32) -> [u8; 32] {
        let mut target = [0; 32];
        target[..8].copy_from_slice(&(u64::MAX >> bits).to_be_bytes());
        target
    }

    #[test]
    fn the_search_finds_the_lowest_nonce_on_any_number_of_threads() {
        // About two windows of one thread are expected before a hit.
        for (header, bits) in [(&b"a"[..], 15), (b"b", 15), (&[7; 200], 12), (b"", 8)] {
            let target = target(bits);
            let lowest = (0..u64::MAX)
                .find(|n| pow_hash(header, *n) < target)
                .unwrap();
            for threads in [1, 2, 3] {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                let search =
                    |start, count| pool.install(|| pow_search(header, start, count, &target));
                assert_eq!(search(0, u64::MAX), Some(lowest));
                assert_eq!(search(lowest, 1), Some(lowest));
                assert_eq!(search(0, lowest), None);
                assert_eq!(search(0, lowest + 1), Some(lowest));
            }
        }
    }

    #[test]
    fn the_bound_is_exclusive_and_ranges_may_touch_the_end() {
        let hash = pow_hash(b"x", 5);
        assert_eq!(pow_search(b"x", 5, 1, &hash), None);
        let mut above = hash;
        *above.last_mut().unwrap() += 1;
        assert_eq!(pow_search(b"x", 5, 1, &above), Some(5));
        assert_eq!(pow_search(b"x", 0, 0, &[255; 32]), None);
        assert_eq!(pow_search(b"x", u64::MAX, 10, &[255; 32]), Some(u64::MAX));
        assert_eq!(pow_search(b"x", u64::MAX - 3, u64::MAX, &[0; 32]), None);
    }
}

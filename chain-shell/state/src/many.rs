//! BLAKE3 of many short inputs at once.
//!
//! An input of up to 64 bytes is one compression, a long chain of dependent steps that leaves most of a core idle. The
//! compressions of separate inputs have nothing to do with each other: word `i` of sixteen of them shares a vector, so
//! that one pass does sixteen (eight without AVX-512). The digests are those of crate blake3, which also does the rest.

use focus_proof::{Hash, LEAF_KEY, NODE_KEY, digest};

/// Bytes of one compression.
const BLOCK: usize = 64;
/// Most inputs of one pass.
const LANES: usize = 16;

const IV: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// First and last block of the only chunk, and the root: all that short inputs have.
const ONE_BLOCK: u32 = 1 | 2 | 8;
const KEYED: u32 = 16;

/// The message word that each step of each round takes.
const SCHEDULE: [[usize; 16]; 7] = schedule();

const fn schedule() -> [[usize; 16]; 7] {
    const PERMUTATION: [usize; 16] = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
    let mut rounds = [[0; 16]; 7];
    let mut i = 0;
    while i < 16 {
        rounds[0][i] = i;
        i += 1;
    }
    let mut round = 1;
    while round < 7 {
        let mut i = 0;
        while i < 16 {
            rounds[round][i] = rounds[round - 1][PERMUTATION[i]];
            i += 1;
        }
        round += 1;
    }
    rounds
}

/// What to hash the blocks with.
#[derive(Clone, Copy)]
struct Mode {
    key: [u32; 8],
    flags: u32,
}

impl Mode {
    const PLAIN: Mode = Mode {
        key: IV,
        flags: ONE_BLOCK,
    };

    const fn keyed(key: &[u8; 32]) -> Mode {
        let mut words = [0; 8];
        let mut i = 0;
        while i < 8 {
            words[i] =
                u32::from_le_bytes([key[4 * i], key[4 * i + 1], key[4 * i + 2], key[4 * i + 3]]);
            i += 1;
        }
        Mode {
            key: words,
            flags: ONE_BLOCK | KEYED,
        }
    }
}

/// [`focus_proof::leaf_hash`] of each path and value digest.
pub(crate) fn leaf_hashes(pairs: &[[Hash; 2]], out: &mut Vec<Hash>) {
    const MODE: Mode = Mode::keyed(LEAF_KEY);
    keyed(MODE, focus_proof::leaf_hash, pairs, out);
}

/// [`focus_proof::node_hash`] of each left and right half.
pub(crate) fn node_hashes(halves: &[[Hash; 2]], out: &mut Vec<Hash>) {
    const MODE: Mode = Mode::keyed(NODE_KEY);
    keyed(MODE, focus_proof::node_hash, halves, out);
}

/// [`focus_proof::digest`] of each input.
pub(crate) fn digests(inputs: &[&[u8]], out: &mut Vec<Hash>) {
    let Some(passes) = Passes::detect() else {
        out.extend(inputs.iter().map(|input| digest(input)));
        return;
    };
    for inputs in inputs.chunks(LANES) {
        if inputs.iter().any(|input| input.len() > BLOCK) {
            out.extend(inputs.iter().map(|input| digest(input)));
            continue;
        }
        let mut blocks = [[0; BLOCK]; LANES];
        let mut lengths = [0; LANES];
        for ((input, block), length) in inputs.iter().zip(&mut blocks).zip(&mut lengths) {
            block[..input.len()].copy_from_slice(input);
            *length = input.len() as u32;
        }
        out.extend_from_slice(&passes.run(&Mode::PLAIN, &blocks, &lengths)[..inputs.len()]);
    }
}

/// Below this many inputs a pass costs more than hashing them one by one.
const WORTH_A_PASS: usize = 6;

fn keyed(mode: Mode, single: fn(&Hash, &Hash) -> Hash, inputs: &[[Hash; 2]], out: &mut Vec<Hash>) {
    let passes = Passes::detect();
    for inputs in inputs.chunks(LANES) {
        match &passes {
            Some(passes) if inputs.len() >= WORTH_A_PASS => {
                let mut blocks = [[0; BLOCK]; LANES];
                for ([a, b], block) in inputs.iter().zip(&mut blocks) {
                    block[..32].copy_from_slice(a);
                    block[32..].copy_from_slice(b);
                }
                let lengths = [BLOCK as u32; LANES];
                out.extend_from_slice(&passes.run(&mode, &blocks, &lengths)[..inputs.len()]);
            }
            _ => out.extend(inputs.iter().map(|[a, b]| single(a, b))),
        }
    }
}

/// How wide the vectors of this machine are.
#[derive(Clone, Copy)]
enum Passes {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Passes {
    /// `None` where vectors are too narrow to pay.
    fn detect() -> Option<Passes> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") {
            return Some(Passes::Avx512);
        } else if is_x86_feature_detected!("avx2") {
            return Some(Passes::Avx2);
        }
        None
    }

    fn run(
        self,
        mode: &Mode,
        blocks: &[[u8; BLOCK]; LANES],
        lengths: &[u32; LANES],
    ) -> [Hash; LANES] {
        match self {
            #[cfg(target_arch = "x86_64")]
            Passes::Avx512 => {
                debug_assert!(is_x86_feature_detected!("avx512f"));
                // SAFETY: `detect`, which alone makes this variant, found AVX-512F.
                unsafe { pass_avx512(mode, blocks, lengths) }
            }
            #[cfg(target_arch = "x86_64")]
            Passes::Avx2 => {
                debug_assert!(is_x86_feature_detected!("avx2"));
                // SAFETY: `detect`, which alone makes this variant, found AVX2.
                unsafe { pass_avx2(mode, blocks, lengths) }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn pass_avx512(
    mode: &Mode,
    blocks: &[[u8; BLOCK]; LANES],
    lengths: &[u32; LANES],
) -> [Hash; LANES] {
    let mut out = [[0; 32]; LANES];
    pass::<LANES>(mode, blocks, lengths, &mut out);
    out
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn pass_avx2(mode: &Mode, blocks: &[[u8; BLOCK]; LANES], lengths: &[u32; LANES]) -> [Hash; LANES] {
    let mut out = [[0; 32]; LANES];
    let (blocks, lengths) = (blocks.as_chunks::<8>().0, lengths.as_chunks::<8>().0);
    for ((blocks, lengths), out) in blocks.iter().zip(lengths).zip(out.as_chunks_mut::<8>().0) {
        pass(mode, blocks, lengths, out);
    }
    out
}

/// A word of each of `L` compressions; the loops over it become single instructions.
type Words<const L: usize> = [u32; L];

/// `L` compressions side by side: section 2.2 of the BLAKE3 paper, but that every word is `L` words.
#[inline(always)]
#[allow(
    clippy::needless_range_loop,
    reason = "an index into two words at once"
)]
fn pass<const L: usize>(
    mode: &Mode,
    blocks: &[[u8; BLOCK]; L],
    lengths: &Words<L>,
    out: &mut [Hash; L],
) {
    let mut message = [[0; L]; 16];
    for lane in 0..L {
        for (word, bytes) in blocks[lane].as_chunks::<4>().0.iter().enumerate() {
            message[word][lane] = u32::from_le_bytes(*bytes);
        }
    }
    let mut state: [Words<L>; 16] = [[0; L]; 16];
    for i in 0..8 {
        state[i] = [mode.key[i]; L];
    }
    for i in 0..4 {
        state[8 + i] = [IV[i]; L];
    }
    state[14] = *lengths;
    state[15] = [mode.flags; L];
    round::<L, 0>(&mut state, &message);
    round::<L, 1>(&mut state, &message);
    round::<L, 2>(&mut state, &message);
    round::<L, 3>(&mut state, &message);
    round::<L, 4>(&mut state, &message);
    round::<L, 5>(&mut state, &message);
    round::<L, 6>(&mut state, &message);
    for word in 0..8 {
        for lane in 0..L {
            let value = state[word][lane] ^ state[8 + word][lane];
            out[lane][4 * word..4 * word + 4].copy_from_slice(&value.to_le_bytes());
        }
    }
}

/// Round `R`, a constant so that every word it takes is at a known place and the state stays in registers.
#[inline(always)]
fn round<const L: usize, const R: usize>(state: &mut [Words<L>; 16], message: &[Words<L>; 16]) {
    let m = |i: usize| message[SCHEDULE[R][i]];
    mix(state, [0, 4, 8, 12], m(0), m(1));
    mix(state, [1, 5, 9, 13], m(2), m(3));
    mix(state, [2, 6, 10, 14], m(4), m(5));
    mix(state, [3, 7, 11, 15], m(6), m(7));
    mix(state, [0, 5, 10, 15], m(8), m(9));
    mix(state, [1, 6, 11, 12], m(10), m(11));
    mix(state, [2, 7, 8, 13], m(12), m(13));
    mix(state, [3, 4, 9, 14], m(14), m(15));
}

/// The quarter-round.
#[inline(always)]
#[allow(
    clippy::needless_range_loop,
    reason = "an index into two words at once"
)]
fn mix<const L: usize>(
    state: &mut [Words<L>; 16],
    [a, b, c, d]: [usize; 4],
    x: Words<L>,
    y: Words<L>,
) {
    for (message, rotate_d, rotate_b) in [(x, 16, 12), (y, 8, 7)] {
        for l in 0..L {
            state[a][l] = state[a][l]
                .wrapping_add(state[b][l])
                .wrapping_add(message[l]);
        }
        for l in 0..L {
            state[d][l] = (state[d][l] ^ state[a][l]).rotate_right(rotate_d);
        }
        for l in 0..L {
            state[c][l] = state[c][l].wrapping_add(state[d][l]);
        }
        for l in 0..L {
            state[b][l] = (state[b][l] ^ state[c][l]).rotate_right(rotate_b);
        }
    }
}

#[cfg(test)]
mod tests {
    use focus_proof::{leaf_hash, node_hash};

    use super::*;

    #[test]
    fn every_pass_gives_the_digests_of_one_at_a_time() {
        let mut blocks = [[0u8; BLOCK]; LANES];
        for (lane, block) in blocks.iter_mut().enumerate() {
            for (i, byte) in block.iter_mut().enumerate() {
                *byte = (lane * 131 + i * 7 + 3) as u8;
            }
        }
        let halves = blocks.map(|block| {
            let (a, b) = block.split_at(32);
            [a, b].map(|half| <Hash>::try_from(half).unwrap())
        });
        let leaves = halves.map(|[a, b]| leaf_hash(&a, &b));
        let nodes = halves.map(|[a, b]| node_hash(&a, &b));
        let mut plain = [[0; 64]; LANES];
        let lengths: [u32; LANES] = std::array::from_fn(|lane| [0, 1, 31, 64][lane % 4]);
        for ((plain, block), length) in plain.iter_mut().zip(&blocks).zip(lengths) {
            plain[..length as usize].copy_from_slice(&block[..length as usize]);
        }
        let digests: [Hash; LANES] =
            std::array::from_fn(|lane| digest(&plain[lane][..lengths[lane] as usize]));
        let mut passes = 0;
        #[cfg(target_arch = "x86_64")]
        for (pass, here) in [
            (Passes::Avx512, is_x86_feature_detected!("avx512f")),
            (Passes::Avx2, is_x86_feature_detected!("avx2")),
        ] {
            if here {
                let full = [BLOCK as u32; LANES];
                assert_eq!(pass.run(&Mode::keyed(LEAF_KEY), &blocks, &full), leaves);
                assert_eq!(pass.run(&Mode::keyed(NODE_KEY), &blocks, &full), nodes);
                assert_eq!(pass.run(&Mode::PLAIN, &plain, &lengths), digests);
                passes += 1;
            }
        }
        assert_eq!(passes > 0, Passes::detect().is_some());
    }

    #[test]
    fn any_number_of_inputs_of_any_length() {
        for count in [0, 1, WORTH_A_PASS - 1, WORTH_A_PASS, 16, 17, 45] {
            let halves: Vec<[Hash; 2]> = (0..count as u8).map(|i| [[i; 32], [!i; 32]]).collect();
            let (mut leaves, mut nodes) = (vec![[1; 32]], Vec::new());
            leaf_hashes(&halves, &mut leaves);
            node_hashes(&halves, &mut nodes);
            assert_eq!(leaves.len(), count + 1);
            for (i, [a, b]) in halves.iter().enumerate() {
                assert_eq!(
                    (leaves[i + 1], nodes[i]),
                    (leaf_hash(a, b), node_hash(a, b))
                );
            }
            let inputs: Vec<Vec<u8>> = (0..count).map(|i| vec![i as u8; i * 3]).collect();
            let slices: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
            let mut out = Vec::new();
            digests(&slices, &mut out);
            let expected: Vec<Hash> = slices.iter().map(|input| digest(input)).collect();
            assert_eq!(out, expected);
        }
    }
}

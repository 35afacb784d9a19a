//! Eight edges at a time, on machines with AVX-512: the one loop that gains by it. Without quotas a gather instruction is no
//! faster than eight loads, and adding to rows has none.

use std::arch::x86_64::*;

use super::arith::edge_term;
use super::blocks::{BLOCK, Window};

/// Whether this machine can run [`pull_weighted`].
pub(crate) fn is_here() -> bool {
    is_x86_feature_detected!("avx512f")
}

/// Adds to each row of `rows` what its run of `N` edges carries: `sources`, and their `quotas`.
#[target_feature(enable = "avx512f")]
pub(crate) fn pull_weighted<const N: usize>(
    rows: &[u16],
    sources: &[u16],
    quotas: &[u32],
    twice: &[u64; BLOCK],
    window: &mut Window,
) {
    let (sources, quotas) = (sources.as_chunks::<N>().0, quotas.as_chunks::<N>().0);
    for (&row, (sources, quotas)) in rows.iter().zip(sources.iter().zip(quotas)) {
        let (eights, rest) = sources.as_chunks::<8>();
        let (eight_quotas, rest_quotas) = quotas.as_chunks::<8>();
        let mut sums = _mm512_setzero_si512();
        for (sources, quotas) in eights.iter().zip(eight_quotas) {
            sums = _mm512_add_epi64(sums, eight_terms(sources, quotas, twice));
        }
        let rest = rest.iter().zip(rest_quotas);
        let rest: u64 = rest
            .map(|(&at, &quota)| edge_term(twice[usize::from(at)], quota))
            .sum();
        // The bits of a sum are the same, signed or not.
        window[usize::from(row)] += _mm512_reduce_add_epi64(sums) as u64 + rest;
    }
}

/// [`edge_term`] of eight edges: `t · q / 2^32` from the halves of t = 2s, the upper of which gives a whole number.
#[inline]
#[target_feature(enable = "avx512f")]
fn eight_terms(sources: &[u16; 8], quotas: &[u32; 8], twice: &[u64; BLOCK]) -> __m512i {
    const { assert!(BLOCK == 1 << 16) };
    // SAFETY: reads the 16 bytes of `sources` and the 32 bytes of `quotas`, without alignment; the offsets gathered are
    // 8 · u16, within the 2^16 words of `twice`.
    let (shares, quotas) = unsafe {
        let sources = _mm256_cvtepu16_epi32(_mm_loadu_si128(sources.as_ptr().cast()));
        let shares = _mm512_i32gather_epi64::<8>(sources, twice.as_ptr().cast());
        let quotas = _mm256_loadu_si256(quotas.as_ptr().cast());
        (shares, _mm512_cvtepu32_epi64(quotas))
    };
    let upper = _mm512_mul_epu32(_mm512_srli_epi64::<32>(shares), quotas);
    let lower = _mm512_srli_epi64::<32>(_mm512_mul_epu32(shares, quotas));
    _mm512_add_epi64(upper, lower)
}

#[cfg(test)]
mod tests {
    use super::super::arith::QUOTA_ONE;
    use super::*;

    /// The sums of runs of `N` edges, by the portable form and by this one if the machine has it.
    fn compare<const N: usize>(twice: &[u64; BLOCK], random: &mut impl FnMut() -> u64) {
        let rows: Vec<u16> = (0..200).map(|at| at * 300).collect();
        let sources: Vec<u16> = (0..200 * N).map(|_| random() as u16).collect();
        let mut quotas: Vec<u32> = (0..200 * N)
            .map(|at| match at % 5 {
                0 => QUOTA_ONE,
                1 => 0,
                2 => 1,
                _ => random() as u32 % QUOTA_ONE,
            })
            .collect();
        // So that no sum exceeds a word, what has a large share has a small quota.
        for (quota, &source) in quotas.iter_mut().zip(&sources) {
            if twice[usize::from(source)] >= 1 << 58 {
                *quota >>= 5;
            }
        }
        let mut expected = vec![3u64; 1 << 16];
        for ((&row, sources), quotas) in rows.iter().zip(sources.chunks(N)).zip(quotas.chunks(N)) {
            for (&source, &quota) in sources.iter().zip(quotas) {
                expected[usize::from(row)] += edge_term(twice[usize::from(source)], quota);
            }
        }
        let mut window: Box<Window> = vec![3u64; 1 << 16].into_boxed_slice().try_into().unwrap();
        if is_here() {
            // SAFETY: the machine has it.
            unsafe { pull_weighted::<N>(&rows, &sources, &quotas, twice, &mut window) };
            assert!(window[..] == expected[..], "runs of {N}");
        }
    }

    #[test]
    fn eight_at_a_time_give_the_same_bits() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            state ^ state >> 29
        };
        // Doubled shares of any size, up to the largest there is.
        let twice: Box<[u64; BLOCK]> = (0..BLOCK)
            .map(|at| match at % 9 {
                0 => 0,
                1 => ((1 << 27) - 1) << 36,
                _ => (random() >> 37 << (at % 37)) << 1,
            })
            .collect::<Vec<u64>>()
            .into_boxed_slice()
            .try_into()
            .unwrap();
        compare::<8>(&twice, &mut random);
        compare::<9>(&twice, &mut random);
        compare::<15>(&twice, &mut random);
        compare::<16>(&twice, &mut random);
    }
}

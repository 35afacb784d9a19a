//! Operations on words, of each that kernels may use.

use ffcm_cuda::device::{Grid, Source};

use crate::{gpu, kernel};

const WORDS: Source = Source {
    name: "tests/words",
    text: r#"
#include "device.cuh"
// One thread a case: operands `a` and `b`, every operation's result.
extern "C" __global__ void operate(const u64* in, u64* out) {
    u64 a = in[2 * threadIdx.x], b = in[2 * threadIdx.x + 1];
    u32 x = static_cast<u32>(a), y = static_cast<u32>(b);
    u64* results = out + threadIdx.x * RESULTS;
    results[0] = __umulhi(x, y);
    results[1] = __umul64hi(a, b);
    results[2] = static_cast<u64>(__clz(static_cast<i32>(x)));
    results[3] = static_cast<u64>(__clzll(static_cast<i64>(a)));
    results[4] = static_cast<u64>(__ffs(static_cast<i32>(x)));
    results[5] = static_cast<u64>(__popc(x));
    results[6] = static_cast<u64>(__popcll(a));
    results[7] = __brev(x);
    results[8] = __byte_perm(x, y, 0x4172);
    results[9] = __funnelshift_l(x, y, 37);
    results[10] = __funnelshift_r(x, y, 37);
    results[11] = __byte_perm(x, y, 0xf8a0);
}
// Each atomic on a cell of its own of 32 and of 64 bits: the old value and the new one.
extern "C" __global__ void atomics(u32* small, u64* large, u32 x, u64 y) {
    small[0] = atomicAdd(small + 1, x);
    small[2] = atomicSub(small + 3, x);
    small[4] = atomicMax(small + 5, x);
    small[6] = atomicMin(small + 7, x);
    small[8] = atomicOr(small + 9, x);
    small[10] = atomicAnd(small + 11, x);
    small[12] = atomicExch(small + 13, x);
    small[14] = atomicCAS(small + 15, 100u, x);
    small[16] = atomicCAS(small + 17, 101u, x);
    small[18] = static_cast<u32>(atomicMax(reinterpret_cast<i32*>(small + 19), -1));
    large[0] = atomicAdd(large + 1, y);
    large[2] = atomicMax(large + 3, y);
    large[4] = atomicMin(large + 5, y);
    large[6] = atomicOr(large + 7, y);
    large[8] = atomicAnd(large + 9, y);
    large[10] = atomicExch(large + 11, y);
    large[12] = atomicCAS(large + 13, 100ull, y);
    large[14] = exchange_acq_rel(large + 15, y);
    store_release(large + 16, load_acquire(large + 1));
}
// Shuffles in segments of 8 lanes, of values of 64 bits; votes of the even lanes.
extern "C" __global__ void shuffles(u64* out) {
    u32 lane = threadIdx.x;
    u64 own = (static_cast<u64>(lane) << 40) + 1;
    u64* results = out + lane * 6;
    results[0] = __shfl_sync(0xffffffffu, own, 11, 8);
    results[1] = __shfl_up_sync(0xffffffffu, own, 3, 8);
    results[2] = __shfl_down_sync(0xffffffffu, own, 3, 8);
    results[3] = __shfl_xor_sync(0xffffffffu, own, 5, 8);
    if (lane % 2 == 0) {
        results[4] = static_cast<u64>(__any_sync(0x55555555u, lane == 6));
        results[5] = static_cast<u64>(__all_sync(0x55555555u, lane < 30));
    } else {
        results[4] = static_cast<u64>(__any_sync(0xaaaaaaaau, lane == 6));
        results[5] = static_cast<u64>(__all_sync(0xaaaaaaaau, lane < 32));
    }
}
"#,
    entries: &["operate", "atomics", "shuffles"],
    defines: &[("RESULTS", "12")],
};

#[test]
fn words_are_operated_on() {
    let gpu = gpu(1);
    let values = [
        0u64,
        1,
        0x8000_0000,
        0xffff_ffff,
        u64::MAX,
        0x0123_4567_89ab_cdef,
        0xfedc_ba98_7654_3210,
        1 << 63,
    ];
    let pairs: Vec<(u64, u64)> = values
        .iter()
        .flat_map(|&a| values.iter().map(move |&b| (a, b)))
        .collect();
    let flat: Vec<u64> = pairs.iter().flat_map(|&(a, b)| [a, b]).collect();
    let input = gpu.buffer_of("input", &flat).unwrap();
    let out = gpu.buffer::<u64>("out", pairs.len() as u64 * 12).unwrap();
    let arguments = [(&input).into(), (&out).into()];
    let grid = Grid::new(1, pairs.len() as u32);
    gpu.launch(&kernel(&gpu, &WORDS, "operate"), grid, &arguments)
        .unwrap();
    let results = gpu.read(&out, 0, out.len()).unwrap();
    for (&(a, b), results) in pairs.iter().zip(results.chunks(12)) {
        let (x, y) = (a as u32, b as u32);
        let [x0, x1, x2, _] = x.to_le_bytes();
        let [y0, ..] = y.to_le_bytes();
        let sign = |byte: u8| if byte >= 128 { 255 } else { 0 };
        let permuted = [x2, y.to_le_bytes()[3], x1, y0];
        let signs = [x0, sign(x2), sign(x0), sign(y.to_le_bytes()[3])];
        let both = u64::from(y) << 32 | u64::from(x);
        let first_one = if x == 0 { 0 } else { x.trailing_zeros() + 1 };
        let want = [
            (u64::from(x) * u64::from(y)) >> 32,
            ((u128::from(a) * u128::from(b)) >> 64) as u64,
            x.leading_zeros().into(),
            a.leading_zeros().into(),
            first_one.into(),
            x.count_ones().into(),
            a.count_ones().into(),
            x.reverse_bits().into(),
            u32::from_le_bytes(permuted).into(),
            (both << 5) >> 32,
            (both >> 5) & 0xffff_ffff,
            u32::from_le_bytes(signs).into(),
        ];
        assert_eq!(results, want, "{a:x} {b:x}");
    }
}

#[test]
fn atomics_give_the_old_and_keep_the_new() {
    let gpu = gpu(1);
    let small = gpu.buffer_of("small", &[100u32; 20]).unwrap();
    let large = gpu.buffer_of("large", &[100u64; 17]).unwrap();
    let (x, y) = (77u32, 1u64 << 40 | 77);
    let arguments = [(&small).into(), (&large).into(), x.into(), y.into()];
    let atomics = kernel(&gpu, &WORDS, "atomics");
    gpu.launch(&atomics, Grid::new(1, 1), &arguments).unwrap();
    let small = gpu.read(&small, 0, 20).unwrap();
    assert!(small.iter().step_by(2).all(|&old| old == 100), "{small:?}");
    let new: Vec<u32> = small.iter().skip(1).step_by(2).copied().collect();
    assert_eq!(new, [177, 23, 100, 77, 109, 68, 77, 77, 100, 100]);
    let large = gpu.read(&large, 0, 17).unwrap();
    let (new, old): (Vec<_>, Vec<_>) = (0..16).partition(|i| i % 2 == 1);
    assert!(old.iter().all(|&i| large[i] == 100), "{large:?}");
    let high = 1 << 40;
    let want = [high + 177, y, 100, high + 109, 68, y, y, y];
    assert!(
        new.iter().zip(want).all(|(&i, want)| large[i] == want),
        "{large:?}"
    );
    assert_eq!(large[16], high + 177);
}

#[test]
fn shuffles_stay_in_their_segments() {
    for seed in 1..6 {
        let gpu = gpu(seed);
        let out = gpu.buffer::<u64>("out", 32 * 6).unwrap();
        let shuffles = kernel(&gpu, &WORDS, "shuffles");
        gpu.launch(&shuffles, Grid::new(1, 32), &[(&out).into()])
            .unwrap();
        let results = gpu.read(&out, 0, 32 * 6).unwrap();
        for (lane, results) in (0..32u64).zip(results.chunks(6)) {
            let of = |lane: u64| (lane << 40) + 1;
            let (segment, place) = (lane & !7, lane & 7);
            let even = u64::from(lane % 2 == 0);
            let want = [
                of(segment + 3),
                of(if place < 3 { lane } else { lane - 3 }),
                of(if place + 3 > 7 { lane } else { lane + 3 }),
                of(lane ^ 5),
                even,
                1 - even,
            ];
            assert_eq!(results, want, "{lane}");
        }
    }
}

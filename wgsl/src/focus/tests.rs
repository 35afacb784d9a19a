//! The formulas in WGSL against the same in 128 bits, on the first adapter of this machine.

use ffcm::focus::MASS;
use ffcm::testing::Rng;

use super::kernels::{TERM_EQUAL, TERM_QUOTA, WIDE};
use crate::device::{Binding, Gpu, Groups, Options, Source};

const IN: usize = 8;
const OUT: usize = 8;

/// Every formula once per lane.
const MAIN: &str = "
@group(0) @binding(0) var<storage, read> given: array<u32>;
@group(0) @binding(1) var<storage, read_write> found: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x * 8u;
    let x = vec2<u32>(given[at], given[at + 1u]);
    let y = vec2<u32>(given[at + 5u], given[at + 6u]);
    let share = packed_share(x, given[at + 2u], given[at + 3u], given[at + 4u]);
    let term = edge_term(id.x, share);
    let part = pool_part(x, y);
    let product = multiply64(x, given[at + 2u]);
    found[at] = share;
    found[at + 1u] = term.x;
    found[at + 2u] = term.y;
    found[at + 3u] = part.x;
    found[at + 4u] = part.y;
    found[at + 5u] = product.x;
    found[at + 6u] = product.y;
    found[at + 7u] = select(0u, 1u, less64(x, y));
}
";

struct Case {
    x: u64,
    damping: u32,
    ratio: u32,
    scale: u32,
    y: u64,
    quota: u32,
}

/// Up to 2^62, of every size, and its ends.
fn mass(rng: &mut Rng) -> u64 {
    match rng.below(8) {
        0 => MASS,
        1 => MASS - 1,
        2 => 0,
        _ => rng.below(MASS + 1) >> rng.below(62),
    }
}

fn case(rng: &mut Rng) -> Case {
    Case {
        x: mass(rng),
        damping: [u32::MAX, 0, rng.next_u64() as u32, 3_650_722_202][rng.below(4) as usize],
        ratio: [0, 1 << 31, u32::MAX, rng.next_u64() as u32 | 1 << 31][rng.below(4) as usize],
        scale: 31 + rng.below(33) as u32,
        y: mass(rng),
        quota: [1 << 31, 0, 1, rng.below(1 << 31) as u32][rng.below(4) as usize],
    }
}

/// What [`MAIN`] gives, by the definition; without quotas every edge has the largest.
fn expected(case: &Case, weighted: bool) -> [u32; OUT] {
    let damped = (u128::from(case.x) * u128::from(case.damping)) >> 32;
    let full = (damped * u128::from(case.ratio)) >> case.scale;
    let j = (0..).find(|j| full >> (2 * j) < 1 << 27).unwrap();
    let share = full >> (2 * j) << (2 * j);
    let quota = if weighted { case.quota } else { 1 << 31 };
    let term = (share * u128::from(quota)) >> 31;
    let part = (u128::from(case.x) * u128::from(case.y)) >> 62;
    let product = case.x.wrapping_mul(case.damping.into());
    [
        (full >> (2 * j)) as u32 | j << 27,
        term as u32,
        (term >> 32) as u32,
        part as u32,
        (part >> 32) as u32,
        product as u32,
        (product >> 32) as u32,
        u32::from(case.x < case.y),
    ]
}

#[test]
fn the_formulas_are_exact() {
    let gpu = Gpu::open(&Options::default()).unwrap();
    let mut rng = Rng::new(1);
    let cases: Vec<Case> = (0..1 << 14).map(|_| case(&mut rng)).collect();
    let given: Vec<u32> = cases
        .iter()
        .flat_map(|case| {
            let words: [u32; IN] = [
                case.x as u32,
                (case.x >> 32) as u32,
                case.damping,
                case.ratio,
                case.scale,
                case.y as u32,
                (case.y >> 32) as u32,
                0,
            ];
            words
        })
        .collect();
    let quotas: Vec<u32> = cases.iter().map(|case| case.quota).collect();
    let given = gpu.buffer_of("given", &given).unwrap();
    let quotas = gpu.buffer_of("quotas", &quotas).unwrap();
    for (name, term, weighted) in [
        ("test.equal", TERM_EQUAL.to_string(), false),
        (
            "test.quota",
            TERM_QUOTA.replace("binding(7)", "binding(2)"),
            true,
        ),
    ] {
        let found = gpu.buffer("found", (OUT * cases.len()) as u64).unwrap();
        let kernel = Source {
            name,
            text: [WIDE, &term, MAIN].concat(),
            entry: "main",
            bindings: &[Binding::Read, Binding::Write, Binding::Read],
        };
        let kernel = gpu.kernel(&kernel).unwrap();
        let buffers = [(&given).into(), (&found).into(), (&quotas).into()];
        let bound = gpu.bind(&kernel, &buffers).unwrap();
        let mut commands = gpu.commands("test");
        commands.dispatch(&bound, Groups::Count((cases.len() / 64) as u32));
        let found = commands.submit_and_read(&found, 0, found.words()).unwrap();
        for (at, (case, found)) in cases.iter().zip(found.chunks(OUT)).enumerate() {
            assert_eq!(found, expected(case, weighted), "{name}, case {at}");
        }
    }
}

//! Arithmetic of the kernels, run on the processor, against `ffcm`.

use std::sync::OnceLock;

use ffcm::spec::number::{Kind, Number, Operator, operate, predecessor};
use ffcm::spec::word::{Class, Term};
use ffcm_cuda::device::shim::{self, ShimOptions};
use ffcm_cuda::device::{CudaError, Gpu, Grid, Source};

/// Pairs of a launch.
const BATCH: usize = 1 << 18;
/// Blocks, which take pairs in turn, and threads of a block.
const BLOCKS: u32 = 16;
const THREADS: u32 = 64;

const SOURCE: Source = Source {
    name: "number_test",
    text: include_str!("number_test.cu"),
    entries: &["number_test"],
    defines: &[],
};

/// One for all tests, so that the kernel is compiled once.
fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| shim::open(&ShimOptions::default()).expect("a C++ compiler"))
}

/// Runs pairs of terms on the device and compares every answer with the specification.
#[derive(Default)]
struct Bench {
    pairs: Vec<(Term, Term)>,
    /// Pairs compared so far, and how many of them the device left to the host.
    compared: usize,
    left_to_host: usize,
}

impl Bench {
    fn push(&mut self, a: Term, b: Term) {
        self.pairs.push((a, b));
        if self.pairs.len() == BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let pairs = std::mem::take(&mut self.pairs);
        if pairs.is_empty() {
            return;
        }
        let found = answers(&pairs).expect("the device works");
        for ((a, b), found) in pairs.iter().zip(found.chunks_exact(3)) {
            self.left_to_host += usize::from(compare(*a, *b, found));
        }
        self.compared += pairs.len();
    }

    /// Everything compared; how many pairs, and how many of them the device left to the host.
    fn finish(mut self) -> (usize, usize) {
        self.flush();
        println!(
            "{} pairs, {} left to the host",
            self.compared, self.left_to_host
        );
        (self.compared, self.left_to_host)
    }
}

fn answers(pairs: &[(Term, Term)]) -> Result<Vec<u64>, CudaError> {
    let gpu = gpu();
    let words: Vec<u64> = pairs.iter().flat_map(|(a, b)| [a.0, b.0]).collect();
    let kernels = gpu.kernels(&SOURCE)?;
    let input = gpu.buffer_of("pairs", &words)?;
    let output = gpu.buffer::<u64>("answers", pairs.len() as u64 * 3)?;
    gpu.launch(
        &kernels[0],
        Grid::new(BLOCKS, THREADS),
        &[
            (&input).into(),
            (&output).into(),
            (pairs.len() as u32).into(),
        ],
    )?;
    gpu.read(&output, 0, output.len())
}

/// Compares the device's answers for one pair; whether it left the pair to the host.
fn compare(a: Term, b: Term, found: &[u64]) -> bool {
    let host = left_to_host(a, b);
    let expected = if host { Term::ABSENT } else { operate(a, b) };
    for found in &found[0..2] {
        assert!(
            *found == expected.0,
            "{} with {}: {}, not {}",
            show(a),
            show(b),
            show(Term(*found)),
            show(expected)
        );
    }
    let before = predecessor(a).unwrap_or(Term::ABSENT);
    assert_eq!(found[2], before.0, "before {}", show(a));
    host
}

/// Whether two terms make one of the five operations that only the host computes.
fn left_to_host(a: Term, b: Term) -> bool {
    let (Some(a), Some(b)) = (Number::from_term(a), Number::from_term(b)) else {
        return false;
    };
    use Operator::{And, Or, Shl, Shr, Xor};
    match (a, b) {
        (Number::Partial { operator, .. }, Number::Plain(kind, _))
        | (Number::Plain(kind, _), Number::Partial { operator, .. }) => {
            kind.is_float() && matches!(operator, And | Or | Xor | Shl | Shr)
        }
        _ => false,
    }
}

fn term(w0: u32, w1: u32) -> Term {
    Term(u64::from(w1) << 32 | u64::from(w0))
}

fn show(term: Term) -> String {
    let bits = format!("{:08x}:{:08x}", term.w0(), term.w1());
    match Number::from_term(term) {
        Some(number) => format!("{bits} {number}"),
        None => bits,
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn word(&mut self) -> u32 {
        self.next() as u32
    }

    fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.word()) * u64::from(n)) >> 32) as u32
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u32) as usize]
    }

    /// Bits of a binary32: mostly of an exponent near `near`, now and then any bits, an integer or an edge.
    fn float(&mut self, near: u32) -> u32 {
        let sign = self.word() & 0x8000_0000;
        let fraction = self.word() & 0x007f_ffff;
        match self.below(16) {
            0 => self.word(),
            1 => self.one_of(&EDGES),
            2 => sign | fraction >> self.below(24), // subnormal
            3 => sign | 0x4b00_0000 | fraction,     // an integer of 24 bits
            // Few bits set, so that sums cancel and products and quotients are ties.
            4..8 => sign | near << 23 | fraction & (self.word() << 12 | 0x40_0000),
            _ => sign | (near + self.below(27)).saturating_sub(13).min(254) << 23 | fraction,
        }
    }

    /// A pair that makes a step: two of three are arithmetic on floats, the others arithmetic on anything and casts.
    fn pair(&mut self) -> (Term, Term) {
        use Operator::{Add, Div, FlipDiv, FlipRem, FlipSub, Lt, Mul, Rem, Sub};
        let near = self.below(256);
        let (a, b) = (self.float(near), self.float(near));
        let (wide, kind) = (self.below(4) > 0, self.one_of(&Kind::ALL));
        let operator = self.one_of(&Operator::ALL);
        let float = self.one_of(&[Kind::F32, Kind::F32, Kind::F24]);
        let upper = |bits: u32, wide: bool| if wide { bits } else { bits >> 8 };
        match self.below(12) {
            0..8 => {
                let operator =
                    self.one_of(&[Add, Sub, FlipSub, Mul, Div, FlipDiv, Rem, FlipRem, Lt]);
                (
                    partial(operator, wide, upper(a, wide)),
                    plain(float, upper(b, float.is_wide())),
                )
            }
            8 => {
                // The exponent of a product or quotient comes near the ends of the range.
                let (a, b) = (a & 0x807f_ffff, b & 0x807f_ffff);
                let (first, edge) = (self.below(254), self.below(60));
                let (operator, second) = match self.below(4) {
                    0 => (Mul, (127 + 30_u32).saturating_sub(first + edge)),
                    1 => (Mul, (254 + 157 - edge).saturating_sub(first)),
                    2 => (Div, (first + 157).saturating_sub(edge)),
                    _ => (Div, first.saturating_sub(157 - edge)),
                };
                (
                    partial(operator, true, a | first << 23),
                    plain(float, upper(b | second.min(254) << 23, float.is_wide())),
                )
            }
            9 => {
                let (a, b) = (self.word() >> self.below(32), self.word() >> self.below(32));
                (partial(operator, wide, a), plain(kind, b))
            }
            10 => (
                Number::Cast(kind).term(),
                plain(float, upper(a, float.is_wide())),
            ),
            _ => {
                let from = self.one_of(&Kind::ALL);
                let bits = self.word() >> self.below(32);
                (Number::Cast(kind).term(), plain(from, bits))
            }
        }
    }
}

fn cut(bits: u32, wide: bool) -> u32 {
    if wide { bits } else { bits & 0xff_ffff }
}

fn plain(kind: Kind, bits: u32) -> Term {
    Number::Plain(kind, cut(bits, kind.is_wide())).term()
}

fn partial(operator: Operator, wide: bool, bits: u32) -> Term {
    let bits = cut(bits, wide);
    Number::Partial {
        operator,
        bits,
        wide,
    }
    .term()
}

/// Payloads at the edges of 32 bits: small, extreme, powers of two, and as floats zeros, subnormals, ties of rounding
/// to 24 bits, integers around the ranges of the casts, infinities and NaNs.
const EDGES: [u32; 56] = [
    0,
    1,
    2,
    3,
    7,
    23,
    24,
    31,
    32,
    33,
    0x7f,
    0x80,
    0x81,
    0xff,
    0x180,
    0x1_0000,
    0x007f_ffff, // the largest subnormal; the largest i24
    0x0080_0000, // the smallest normal; the smallest i24
    0x0080_0001,
    0x00ff_ffff, // the largest u24
    0x0100_0000,
    0x0100_007f,
    0x0c00_0000,
    0x2000_0000,
    0x3380_0000, // 2^-24
    0x3eff_ffff,
    0x3f00_0000, // 0.5
    0x3f7f_ffff,
    0x3f7f_ff80, // halfway between two f24
    0x3f80_0000, // 1.0
    0x3f80_0001,
    0x3f80_0080, // halfway between two f24
    0x3f80_0180, // the same, to the even one above
    0x4000_0000,
    0x4040_0000, // 3.0
    0x4aff_fffe, // 8388607.0
    0x4b00_0000, // 2^23
    0x4b7f_ffff, // 16777215.0
    0x4b80_0000, // 2^24
    0x4eff_ffff,
    0x4f00_0000, // 2^31
    0x4f7f_ffff,
    0x4f80_0000, // 2^32
    0x7149_f2ca, // 1e30
    0x7f7f_7fff,
    0x7f7f_ffff, // the largest binary32
    0x7f80_0000, // infinity
    0x7f80_0001, // NaNs
    0x7fc0_0000,
    0x7fc0_0100,
    0x7fff_ffff,
    0x8000_0000, // the smallest i32; -0.0
    0x8000_0001,
    0xbf80_0000, // -1.0
    0xff80_0000, // negative infinity
    0xffff_ffff,
];

/// [`EDGES`] as payloads of one width: as they are, or their upper and their lower 24 bits. Sorted, each once.
fn edges(wide: bool) -> Vec<u32> {
    payloads(wide, EDGES.into())
}

/// The same with their opposites as integers and as floats.
fn edges_and_opposites(wide: bool) -> Vec<u32> {
    let signs = |bits: u32| [bits, bits.wrapping_neg(), bits ^ 0x8000_0000];
    payloads(wide, EDGES.map(signs).concat())
}

fn payloads(wide: bool, words: Vec<u32>) -> Vec<u32> {
    let mut payloads = words;
    if !wide {
        let halves = |bits: &u32| [bits >> 8, bits & 0xff_ffff];
        payloads = payloads.iter().flat_map(halves).collect();
    }
    payloads.sort_unstable();
    payloads.dedup();
    payloads
}

/// Every plain number, cast, operator and partial on edge payloads.
fn edge_terms() -> Vec<Term> {
    let mut terms: Vec<Term> = vec![];
    for kind in Kind::ALL {
        terms.push(Number::Cast(kind).term());
        let payloads = edges_and_opposites(kind.is_wide());
        terms.extend(payloads.iter().map(|bits| plain(kind, *bits)));
    }
    for operator in Operator::ALL {
        terms.push(Number::Operator(operator).term());
        for wide in [false, true] {
            terms.extend(
                edges(wide)
                    .iter()
                    .map(|bits| partial(operator, wide, *bits)),
            );
        }
    }
    terms
}

#[test]
fn operators_on_edge_values() {
    let mut bench = Bench::default();
    for kind in Kind::ALL {
        for wide in [false, true] {
            let (left, right) = (edges_and_opposites(wide), edges(kind.is_wide()));
            for operator in Operator::ALL {
                for a in &left {
                    for b in &right {
                        bench.push(partial(operator, wide, *a), plain(kind, *b));
                    }
                }
            }
        }
    }
    let (compared, left_to_host) = bench.finish();
    assert!(compared > 1_000_000 && left_to_host > 100_000);
}

#[test]
fn forms_that_meet_and_words_of_no_form() {
    let mut bench = Bench::default();
    let terms = edge_terms();
    let symbols: Vec<Term> = Kind::ALL
        .map(|kind| Number::Cast(kind).term())
        .into_iter()
        .chain(Operator::ALL.map(|operator| Number::Operator(operator).term()))
        .collect();
    for symbol in &symbols {
        for other in &terms {
            bench.push(*symbol, *other);
        }
    }
    // Terms of every class, variant and ext; payloads that no form allows.
    let mut odd = vec![Term::ABSENT, Term::ERA, Term::u24(5).with_sub()];
    for ext in 0..=255 {
        for class in [Class::Num, Class::Var, Class::Ref, Class::Con, Class::Swi] {
            for bits in [
                0,
                1,
                2,
                0x21,
                0x24,
                0x100,
                0x00ff_ffff,
                0x0100_0000,
                u32::MAX,
            ] {
                odd.push(Term::new(class, (ext & 3) as u8, 77 * ext, ext as u8, bits));
            }
        }
    }
    odd.extend((0..1024).map(|bits| Term::new(Class::Num, 0, 0, 0, bits)));
    let others = [
        Term::u24(3),
        Term::i32(-3),
        Term::f32(1.5),
        Number::Cast(Kind::I24).term(),
        Number::Operator(Operator::Sub).term(),
        partial(Operator::Sub, false, 9),
        partial(Operator::FlipRem, true, 9),
    ];
    for a in &odd {
        for b in others.iter().chain([a]) {
            bench.push(*a, *b);
        }
    }
    assert!(bench.finish().0 > 100_000);
}

#[test]
fn words_at_random() {
    let mut bench = Bench::default();
    let mut random = Random(0x776f_7264);
    const PAIRS: usize = 1 << 18;
    for _ in 0..PAIRS {
        let mut words = || {
            let (bits, payload) = (random.word(), random.next());
            // Numbers as often as any other class, with an ext and a payload that may follow a form.
            let number = Term::u24(0).w0() | bits & 0x8fff_ff3f;
            let w1 = payload as u32 >> (payload >> 32 & 31);
            term(if bits & 0x40 == 0 { bits } else { number }, w1)
        };
        let (a, b) = (words(), words());
        bench.push(a, b);
    }
    assert_eq!(bench.finish().0, PAIRS);
}

#[test]
fn random_pairs() {
    let mut bench = Bench::default();
    let mut random = Random(0x6e75_6d62_6572);
    const PAIRS: usize = 1 << 22;
    for _ in 0..PAIRS {
        let (a, b) = random.pair();
        bench.push(a, b);
    }
    let (compared, left_to_host) = bench.finish();
    assert!(compared == PAIRS && left_to_host < PAIRS / 10);
}

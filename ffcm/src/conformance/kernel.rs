//! Kernels of your own, judged as backends are: against an obvious reference, bit by bit, on inputs made from seeds.
//!
//! ```
//! use ffcm::conformance::{Kernel, Kernels};
//! use ffcm::coprocessor::JobError;
//! use ffcm::testing::Rng;
//!
//! /// Number of one bits.
//! struct Ones;
//!
//! impl Kernel for Ones {
//!     type Input = Vec<u64>;
//!     type Output = u64;
//!
//!     fn name(&self) -> &str {
//!         "ones"
//!     }
//!
//!     fn input(&self, rng: &mut Rng, size: usize) -> Vec<u64> {
//!         (0..size).map(|_| rng.next_u64()).collect()
//!     }
//!
//!     fn reference(&self, words: &Vec<u64>) -> u64 {
//!         let bits = |word: &u64| (0..64).map(|bit| word >> bit & 1).sum::<u64>();
//!         words.iter().map(bits).sum()
//!     }
//!
//!     fn run(&self, words: &Vec<u64>) -> Result<u64, JobError> {
//!         Ok(words.iter().map(|word| u64::from(word.count_ones())).sum())
//!     }
//! }
//!
//! let mut kernels = Kernels::default();
//! kernels.register(Ones)?;
//! for report in kernels.judge(0..20) {
//!     println!("{}", report?);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::ops::Range;

use thiserror::Error;

use super::shorten;
use crate::coprocessor::JobError;
use crate::testing::Rng;

/// A kernel and what it has to compute.
pub trait Kernel {
    /// What it gets.
    type Input: fmt::Debug;
    /// What it gives.
    type Output: Bits + fmt::Debug;

    /// Name for reports.
    fn name(&self) -> &str;

    /// An input of about this many items; the edges of the domain should come often. The same for equal seeds and sizes.
    fn input(&self, rng: &mut Rng, size: usize) -> Self::Input;

    /// What is right: as plain and sequential as possible, since nothing judges it.
    fn reference(&self, input: &Self::Input) -> Self::Output;

    /// What is judged: many threads, vectors, or a shader on the device of the kernel's own choice.
    ///
    /// # Errors
    ///
    /// [`JobError::NotSupported`] where there is no such device, which is reported as such; else why there is no output.
    fn run(&self, input: &Self::Input) -> Result<Self::Output, JobError>;
}

/// Values with one sequence of bits: equal sequences, equal values. Floats are compared as bits too, so 0.0 is not −0.0 and
/// a NaN is itself.
pub trait Bits {
    /// Appends the bytes of the value, little-endian; those of a sequence behind its length as `u64`.
    fn bits(&self, bytes: &mut Vec<u8>);
}

macro_rules! bits_of_numbers {
    ($($type:ty)*) => {
        $(impl Bits for $type {
            fn bits(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
        })*
    };
}

bits_of_numbers!(u8 i8 u16 i16 u32 i32 u64 i64 u128 i128 f32 f64);

impl Bits for bool {
    fn bits(&self, bytes: &mut Vec<u8>) {
        bytes.push((*self).into());
    }
}

impl<T: Bits> Bits for [T] {
    fn bits(&self, bytes: &mut Vec<u8>) {
        (self.len() as u64).bits(bytes);
        self.iter().for_each(|item| item.bits(bytes));
    }
}

impl<T: Bits> Bits for Vec<T> {
    fn bits(&self, bytes: &mut Vec<u8>) {
        self[..].bits(bytes);
    }
}

impl<T: Bits, const N: usize> Bits for [T; N] {
    fn bits(&self, bytes: &mut Vec<u8>) {
        self[..].bits(bytes);
    }
}

impl Bits for str {
    fn bits(&self, bytes: &mut Vec<u8>) {
        self.as_bytes().bits(bytes);
    }
}

impl Bits for String {
    fn bits(&self, bytes: &mut Vec<u8>) {
        self.as_bytes().bits(bytes);
    }
}

impl<A: Bits, B: Bits> Bits for (A, B) {
    fn bits(&self, bytes: &mut Vec<u8>) {
        self.0.bits(bytes);
        self.1.bits(bytes);
    }
}

impl<T: Bits> Bits for Option<T> {
    fn bits(&self, bytes: &mut Vec<u8>) {
        self.is_some().bits(bytes);
        self.iter().for_each(|value| value.bits(bytes));
    }
}

/// What a kernel that agrees with its reference gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelReport {
    /// The kernel.
    pub kernel: String,
    /// Inputs compared.
    pub cases: usize,
    /// BLAKE3 over all outputs; `None` where the kernel has no device to run on, which is not a pass.
    pub digest: Option<[u8; 32]>,
}

impl fmt::Display for KernelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kernel, cases) = (&self.kernel, self.cases);
        match self.digest {
            Some(digest) => {
                let digest = blake3::Hash::from_bytes(digest);
                write!(f, "kernel {kernel} digest {digest} cases {cases}")
            }
            None => write!(f, "kernel {kernel} not supported"),
        }
    }
}

/// Why a kernel must not be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KernelError {
    /// It gave something else than its reference.
    #[error(
        "kernel {kernel}, seed {seed}, size {size}: byte {byte} of the output (bit {bit} of it) differs: expected {expected}, found {found}; input {input}"
    )]
    Differs {
        /// The kernel.
        kernel: String,
        /// The seed of the input.
        seed: u64,
        /// Its size.
        size: usize,
        /// First byte that differs, as [`Bits`] writes them, or the first that only one of both has.
        byte: usize,
        /// Lowest bit of it that differs, from 0.
        bit: u32,
        /// The reference's output, shortened.
        expected: String,
        /// The kernel's, shortened.
        found: String,
        /// The input, shortened.
        input: String,
    },
    /// It gave nothing.
    #[error("kernel {kernel}, seed {seed}, size {size}: {source}")]
    Failed {
        /// The kernel.
        kernel: String,
        /// The seed of the input.
        seed: u64,
        /// Its size.
        size: usize,
        /// Why.
        source: JobError,
    },
    /// No seed was given: nothing was judged.
    #[error("kernel {kernel}: no seeds, so nothing was judged")]
    NothingJudged {
        /// The kernel.
        kernel: String,
    },
    /// A kernel of this name is registered already.
    #[error("a kernel called {kernel} is registered already")]
    Registered {
        /// The name.
        kernel: String,
    },
}

/// Sizes of the inputs made from one seed, small ones first, so that the first difference is one that can be read. Around
/// the widths of vectors, workgroups and blocks, where kernels have their edges.
pub const SIZES: [usize; 14] = [0, 1, 2, 3, 7, 8, 31, 33, 64, 255, 256, 257, 1024, 5000];

/// Compares a kernel with its reference on an input of each of [`SIZES`] for every seed, size by size.
///
/// # Errors
///
/// The first difference, with the seed and the size that make its input again; a kernel that fails on an input; no seeds.
pub fn judge_kernel<K: Kernel + ?Sized>(
    kernel: &K,
    seeds: Range<u64>,
) -> Result<KernelReport, KernelError> {
    let name = kernel.name().to_owned();
    if seeds.is_empty() {
        return Err(KernelError::NothingJudged { kernel: name });
    }
    let mut hasher = blake3::Hasher::new();
    let mut cases = 0;
    for size in SIZES {
        for seed in seeds.clone() {
            let input = kernel.input(&mut Rng::new(seed), size);
            let found = match kernel.run(&input) {
                Ok(found) => found,
                Err(JobError::NotSupported { .. }) if cases == 0 => {
                    return Ok(KernelReport {
                        kernel: name,
                        cases,
                        digest: None,
                    });
                }
                Err(source) => {
                    return Err(KernelError::Failed {
                        kernel: name,
                        seed,
                        size,
                        source,
                    });
                }
            };
            let expected = kernel.reference(&input);
            let (expected_bits, found_bits) = (bits_of(&expected), bits_of(&found));
            if let Some((byte, bit)) = first_difference(&expected_bits, &found_bits) {
                return Err(KernelError::Differs {
                    kernel: name,
                    seed,
                    size,
                    byte,
                    bit,
                    expected: shorten(format!("{expected:?}")),
                    found: shorten(format!("{found:?}")),
                    input: shorten(format!("{input:?}")),
                });
            }
            hasher.update(&found_bits);
            cases += 1;
        }
    }
    Ok(KernelReport {
        kernel: name,
        cases,
        digest: Some(*hasher.finalize().as_bytes()),
    })
}

fn bits_of(value: &impl Bits) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.bits(&mut bytes);
    bytes
}

/// The first byte that differs, and the lowest bit in it.
fn first_difference(a: &[u8], b: &[u8]) -> Option<(usize, u32)> {
    let pairs = a.iter().zip(b);
    let differs = |(at, (a, b)): (usize, (&u8, &u8))| {
        let difference = a ^ b;
        (difference != 0).then(|| (at, difference.trailing_zeros()))
    };
    let within = pairs.enumerate().find_map(differs);
    within.or_else(|| (a.len() != b.len()).then(|| (a.len().min(b.len()), 0)))
}

/// A [`Kernel`] of any types.
type Judge = Box<dyn Fn(Range<u64>) -> Result<KernelReport, KernelError>>;

/// Registered kernels.
#[derive(Default)]
pub struct Kernels {
    kernels: Vec<(String, Judge)>,
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.kernels.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

impl Kernels {
    /// Adds a kernel to those that are judged.
    ///
    /// # Errors
    ///
    /// [`KernelError::Registered`] if there is one of its name.
    pub fn register(&mut self, kernel: impl Kernel + 'static) -> Result<(), KernelError> {
        let name = kernel.name().to_owned();
        if self.kernels.iter().any(|(other, _)| *other == name) {
            return Err(KernelError::Registered { kernel: name });
        }
        let judge = move |seeds| judge_kernel(&kernel, seeds);
        self.kernels.push((name, Box::new(judge)));
        Ok(())
    }

    /// Judges each, one after the other, when it is asked for.
    pub fn judge(
        &self,
        seeds: Range<u64>,
    ) -> impl Iterator<Item = Result<KernelReport, KernelError>> {
        self.kernels
            .iter()
            .map(move |(_, judge)| judge(seeds.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums of the items, and how it goes wrong.
    #[derive(Clone, Copy, PartialEq)]
    enum Sum {
        Right,
        /// The last item of more than 256 is left out.
        Short,
        /// The sign of a zero.
        Sign,
        Fails,
        Absent,
        /// There is no device any more.
        Lost,
    }

    impl Kernel for Sum {
        type Input = Vec<i32>;
        type Output = (Vec<i32>, Option<f32>);

        fn name(&self) -> &str {
            "sum"
        }

        fn input(&self, rng: &mut Rng, size: usize) -> Vec<i32> {
            (0..size).map(|_| 1 + rng.below(9) as i32).collect()
        }

        fn reference(&self, items: &Vec<i32>) -> (Vec<i32>, Option<f32>) {
            (vec![items.iter().sum()], Some(0.0))
        }

        fn run(&self, items: &Vec<i32>) -> Result<(Vec<i32>, Option<f32>), JobError> {
            let job = "sum";
            let backend = || "test".to_owned();
            let items = match self {
                Sum::Fails => return Err(JobError::Device("on fire".into())),
                Sum::Absent => {
                    return Err(JobError::NotSupported {
                        backend: backend(),
                        job,
                    });
                }
                Sum::Lost if items.len() > 7 => {
                    return Err(JobError::NotSupported {
                        backend: backend(),
                        job,
                    });
                }
                Sum::Short if items.len() > 256 => &items[..items.len() - 1],
                _ => &items[..],
            };
            let zero = if *self == Sum::Sign { -0.0 } else { 0.0 };
            Ok((vec![items.iter().sum()], Some(zero)))
        }
    }

    #[test]
    fn right_passes_wrong_does_not() {
        let report = judge_kernel(&Sum::Right, 3..9).unwrap();
        assert_eq!(report.cases, 6 * SIZES.len());
        let again = judge_kernel(&Sum::Right, 3..9).unwrap();
        assert_eq!(report, again);
        assert_ne!(
            report.digest,
            judge_kernel(&Sum::Right, 4..10).unwrap().digest
        );
        assert!(
            report.to_string().starts_with("kernel sum digest "),
            "{report}"
        );

        let error = judge_kernel(&Sum::Short, 3..9).unwrap_err();
        assert!(
            matches!(
                error,
                KernelError::Differs {
                    seed: 3,
                    size: 257,
                    byte: 8,
                    ..
                }
            ),
            "{error}"
        );
        // The input can be made again from what is told.
        let input = Sum::Short.input(&mut Rng::new(3), 257);
        let found = Sum::Short.run(&input).unwrap();
        assert_ne!(found, Sum::Short.reference(&input));

        // Equal by `==`, not in its bits: the last byte of the float.
        assert_eq!(0.0_f32, -0.0);
        let error = judge_kernel(&Sum::Sign, 0..1).unwrap_err();
        let at = 8 + 4 + 1 + 3;
        assert!(
            matches!(error, KernelError::Differs { size: 0, byte, bit: 7, .. } if byte == at),
            "{error}"
        );
    }

    #[test]
    fn what_does_not_run_does_not_pass() {
        let absent = judge_kernel(&Sum::Absent, 0..4).unwrap();
        assert_eq!((absent.digest, absent.cases), (None, 0));
        assert_eq!(absent.to_string(), "kernel sum not supported");
        let lost = judge_kernel(&Sum::Lost, 0..4).unwrap_err();
        assert!(
            matches!(
                lost,
                KernelError::Failed {
                    size: 8,
                    seed: 0,
                    ..
                }
            ),
            "{lost}"
        );
        let fails = judge_kernel(&Sum::Fails, 0..4).unwrap_err();
        assert_eq!(
            fails.to_string(),
            "kernel sum, seed 0, size 0: device: on fire"
        );
        let nothing = judge_kernel(&Sum::Right, 4..4).unwrap_err();
        assert!(
            matches!(nothing, KernelError::NothingJudged { .. }),
            "{nothing}"
        );
    }

    #[test]
    fn registered_kernels_are_judged_one_by_one() {
        struct Named(&'static str, Sum);
        impl Kernel for Named {
            type Input = Vec<i32>;
            type Output = (Vec<i32>, Option<f32>);

            fn name(&self) -> &str {
                self.0
            }

            fn input(&self, rng: &mut Rng, size: usize) -> Vec<i32> {
                self.1.input(rng, size)
            }

            fn reference(&self, items: &Vec<i32>) -> (Vec<i32>, Option<f32>) {
                self.1.reference(items)
            }

            fn run(&self, items: &Vec<i32>) -> Result<(Vec<i32>, Option<f32>), JobError> {
                self.1.run(items)
            }
        }
        let mut kernels = Kernels::default();
        kernels.register(Named("wrong", Sum::Short)).unwrap();
        kernels.register(Named("right", Sum::Right)).unwrap();
        let twice = kernels.register(Named("right", Sum::Right)).unwrap_err();
        assert_eq!(
            twice.to_string(),
            "a kernel called right is registered already"
        );
        let passed: Vec<bool> = kernels.judge(0..2).map(|report| report.is_ok()).collect();
        assert_eq!(passed, [false, true]);
        assert_eq!(format!("{kernels:?}"), r#"["wrong", "right"]"#);
    }

    #[test]
    fn bits_tell_values_apart() {
        let bits = [
            bits_of(&vec![vec![1_u8], vec![]]),
            bits_of(&vec![vec![], vec![1_u8]]),
            bits_of(&vec![vec![1_u8, 0]]),
            bits_of(&Some(1_u8)),
            bits_of(&None::<u8>),
            bits_of(&[1_u16]),
            bits_of(&"a".to_owned()),
            bits_of(&true),
        ];
        let different: std::collections::BTreeSet<_> = bits.iter().collect();
        assert_eq!(different.len(), bits.len());
        assert_eq!(first_difference(&[1, 2], &[1, 2]), None);
        assert_eq!(first_difference(&[1, 2], &[1, 6, 9]), Some((1, 2)));
        assert_eq!(first_difference(&[1], &[1, 0]), Some((1, 0)));
        assert_eq!(first_difference(&[], &[]), None);
    }
}

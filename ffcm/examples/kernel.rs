//! A kernel of your own, with an obvious reference beside it, judged as the machine's own kernels are.
//!
//! The kernel adds up everything before each item, modulo 2^32, block by block on all threads. The reference is a loop.
//! Both get the same inputs from seeds, of sizes around where blocks end, and have to agree in every bit.

use std::error::Error;
use std::io::Write;

use ffcm::conformance::{Kernel, KernelError, Kernels, judge_kernel};
use ffcm::coprocessor::JobError;
use ffcm::testing::Rng;
use rayon::prelude::*;

/// Items of one block.
const BLOCK: usize = 256;

/// Sums before each item.
struct Scan {
    /// Whether a block forgets the carry out of 2^16, as a kernel in too narrow a type would.
    narrow: bool,
}

impl Kernel for Scan {
    type Input = Vec<u32>;
    type Output = Vec<u32>;

    fn name(&self) -> &str {
        if self.narrow { "narrow scan" } else { "scan" }
    }

    fn input(&self, rng: &mut Rng, size: usize) -> Vec<u32> {
        // Small numbers, large ones, and runs of zero.
        (0..size)
            .map(|_| rng.next_u64() as u32 >> rng.below(33).min(31))
            .collect()
    }

    fn reference(&self, items: &Vec<u32>) -> Vec<u32> {
        let mut sum = 0_u32;
        let mut before = Vec::with_capacity(items.len());
        for item in items {
            before.push(sum);
            sum = sum.wrapping_add(*item);
        }
        before
    }

    fn run(&self, items: &Vec<u32>) -> Result<Vec<u32>, JobError> {
        let sum = |block: &[u32]| {
            block
                .iter()
                .fold(0_u32, |sum, item| sum.wrapping_add(*item))
        };
        let sums: Vec<u32> = items.par_chunks(BLOCK).map(sum).collect();
        let offsets = exclusive(0, &sums);
        let scan = |(block, offset): (&[u32], &u32)| {
            let kept = if self.narrow { 0xffff } else { u32::MAX };
            exclusive(offset & kept, block)
        };
        let blocks = items.par_chunks(BLOCK).zip(&offsets);
        Ok(blocks.flat_map_iter(scan).collect())
    }
}

/// The sums before each item, from `sum` on.
fn exclusive(mut sum: u32, items: &[u32]) -> Vec<u32> {
    let mut next = |item: &u32| {
        let before = sum;
        sum = sum.wrapping_add(*item);
        before
    };
    items.iter().map(&mut next).collect()
}

/// Runs it.
pub fn main() -> Result<(), Box<dyn Error>> {
    run(&mut std::io::stdout().lock())
}

/// Says what it finds to `out`.
pub fn run(out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let mut kernels = Kernels::default();
    kernels.register(Scan { narrow: false })?;
    for report in kernels.judge(0..16) {
        writeln!(out, "{}", report?)?;
    }

    // What the suite is for: a wrong kernel is caught, and how to see it again is told.
    match judge_kernel(&Scan { narrow: true }, 0..16) {
        Err(KernelError::Differs {
            kernel,
            seed,
            size,
            byte,
            ..
        }) => writeln!(
            out,
            "{kernel} is wrong: seed {seed}, size {size}, byte {byte}"
        )?,
        Err(error) => return Err(error.into()),
        Ok(report) => return Err(format!("a wrong kernel passed: {report}").into()),
    }
    Ok(())
}

//! Hashes of random inputs, and nonce searches that find, miss, and touch the end of the range.

use super::{Run, Stop, shorten};
use crate::coprocessor::{Coprocessor, HashJob, hash_digest};
use crate::testing::Rng;

pub(super) fn run(run: &mut Run<'_>) -> Result<(), Stop> {
    let mut rng = Rng::new(0x4841_5348);
    for batch in [0, 1, 3, 300] {
        let data: Vec<Vec<u8>> = (0..batch)
            .map(|index| {
                // Every length around the first blocks, then longer ones.
                let length = if index < 140 { index } else { rng.below(5_000) };
                let mut bytes = vec![0; length as usize];
                rng.fill(&mut bytes);
                bytes
            })
            .collect();
        let inputs: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        compare(run, HashJob::Blake3(&inputs))?;
        compare(run, HashJob::Sha256(&inputs))?;
    }
    for header_length in [0, 1, 55, 56, 64, 80, 200] {
        let mut header = vec![0; header_length];
        rng.fill(&mut header);
        for bits in [0, 1, 4, 10] {
            let mut target = [0xff; 32];
            target[..8].copy_from_slice(&(u64::MAX >> bits).to_be_bytes());
            for start in [0, rng.next_u64() >> 1, u64::MAX - 40] {
                for count in [0, 1, 50, 4_000] {
                    compare(
                        run,
                        HashJob::PowSearch {
                            header: &header,
                            start,
                            count,
                            target,
                        },
                    )?;
                }
            }
        }
    }
    Ok(())
}

fn compare(run: &mut Run<'_>, job: HashJob<'_>) -> Result<(), Stop> {
    run.compare(
        || shorten(format!("{job:?}")),
        |backend: &dyn Coprocessor| backend.hash(&job),
        |output| (hash_digest(output), shorten(format!("{output:?}"))),
    )?;
    Ok(())
}

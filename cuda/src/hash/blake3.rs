//! BLAKE3 of a batch: a launch for the chunks of a wave, one for each wide level of its trees, and one for all the narrow
//! ones at their tops.

use std::sync::Arc;

use ffcm::device::hash::DIGEST_WORDS;
use ffcm::device::hash::blake3::{CHUNK, Wave, bytes, digests};

use super::{HashStats, entries, wave_bytes};
use crate::device::{Buffer, CudaError, Gpu, Grid, Kernel, Scratch, Source};

/// Threads of a block, for chunks and for the pairs of a wide level.
const THREADS: u32 = 128;
/// Threads of the block that joins the narrow levels.
const TOP_THREADS: u32 = 256;
/// Most pairs of a narrow level: the block goes over it a few times.
const TOP_PAIRS: usize = 4 * TOP_THREADS as usize;

#[derive(Debug)]
pub(super) struct Hasher {
    kernels: Kernels,
    records: Scratch<u32>,
    pairs: Scratch<u32>,
    ends: Scratch<u32>,
    data: Scratch<u32>,
    values: Scratch<u32>,
}

#[derive(Debug)]
struct Kernels {
    chunks: Arc<Kernel>,
    parents: Arc<Kernel>,
    tops: Arc<Kernel>,
}

/// A wave on the device.
struct Sent<'a> {
    records: &'a Buffer<u32>,
    pairs: &'a Buffer<u32>,
    ends: &'a Buffer<u32>,
    data: &'a Buffer<u32>,
    values: &'a Buffer<u32>,
}

/// How many levels to launch one by one: those up to the last with more pairs than `most`.
fn wide_levels(ends: &[usize], most: usize) -> usize {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let sizes = starts.zip(ends).map(|(start, end)| end - start);
    let wide = sizes.enumerate().filter(|(_, size)| *size > most);
    wide.last().map_or(0, |(level, _)| level + 1)
}

impl Kernels {
    /// Queues all of a wave.
    fn launch(&self, gpu: &Gpu, wave: &Wave, sent: &Sent<'_>) -> Result<(), CudaError> {
        let chunks = wave.chunks() as u32;
        let grid = Grid::covering(chunks.into(), THREADS);
        let Sent { records, data, .. } = sent;
        let values = sent.values;
        let arguments = [
            (*records).into(),
            chunks.into(),
            (*data).into(),
            values.into(),
        ];
        gpu.launch(&self.chunks, grid, &arguments)?;

        let wide = wide_levels(&wave.levels, TOP_PAIRS);
        let mut first = 0;
        for end in &wave.levels[..wide] {
            let grid = Grid::covering((end - first) as u64, THREADS);
            let (from, to) = (first as u32, *end as u32);
            let arguments = [sent.pairs.into(), from.into(), to.into(), values.into()];
            gpu.launch(&self.parents, grid, &arguments)?;
            first = *end;
        }
        if wide < wave.levels.len() {
            let arguments = [
                sent.pairs.into(),
                (first as u32).into(),
                sent.ends.into(),
                (wide as u32).into(),
                (wave.levels.len() as u32).into(),
                values.into(),
            ];
            gpu.launch(&self.tops, Grid::new(1, TOP_THREADS), &arguments)?;
        }
        Ok(())
    }
}

impl Hasher {
    pub(super) fn new(gpu: &Gpu) -> Result<Hasher, CudaError> {
        let [chunks] = entries(gpu, &chunks())?;
        let [parents, tops] = entries(gpu, &parents())?;
        Ok(Hasher {
            kernels: Kernels {
                chunks,
                parents,
                tops,
            },
            records: Scratch::new("blake3: chunks"),
            pairs: Scratch::new("blake3: pairs"),
            ends: Scratch::new("blake3: levels"),
            data: Scratch::new("blake3: data"),
            values: Scratch::new("blake3: values"),
        })
    }

    pub(super) fn hash(
        &mut self,
        gpu: &Gpu,
        inputs: &[&[u8]],
        stats: &mut HashStats,
    ) -> Result<Vec<[u8; 32]>, CudaError> {
        let room = wave_bytes(gpu, "a chunk of BLAKE3", CHUNK as u64)?;
        digests(inputs, room, |wave| self.run(gpu, wave, stats))
    }

    /// Runs a wave: the values of its pieces.
    fn run(
        &mut self,
        gpu: &Gpu,
        wave: &Wave,
        stats: &mut HashStats,
    ) -> Result<Vec<[u8; 32]>, CudaError> {
        let ends: Vec<u32> = wave.levels.iter().map(|end| *end as u32).collect();
        let words = (wave.entries * DIGEST_WORDS) as u64;
        let sent = Sent {
            records: self.records.filled(gpu, &wave.records)?,
            pairs: self.pairs.filled(gpu, &wave.pairs)?,
            ends: self.ends.filled(gpu, &ends)?,
            data: self.data.filled(gpu, &wave.data)?,
            values: self.values.at_least(gpu, words)?,
        };
        let ((), kernel_time) = gpu.timed(|| self.kernels.launch(gpu, wave, &sent))?;
        stats.add(HashStats {
            waves: 1,
            compressions: wave.compressions(),
            kernel_bytes: wave.kernel_bytes(),
            nonces: 0,
            kernel_time,
        });
        let found = gpu.read(sent.values, 0, (wave.pieces * DIGEST_WORDS) as u64)?;
        Ok(found.as_chunks().0.iter().map(bytes).collect())
    }
}

pub(super) fn chunks() -> Source {
    Source {
        name: "hash/blake3_chunks",
        text: include_str!("../kernels/hash/blake3_chunks.cu"),
        entries: &["blake3_chunks"],
        defines: &[],
    }
}

pub(super) fn parents() -> Source {
    Source {
        name: "hash/blake3_parents",
        text: include_str!("../kernels/hash/blake3_parents.cu"),
        entries: &["blake3_parents", "blake3_tops"],
        defines: &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_above_the_last_wide_one_go_together() {
        for (ends, wide) in [
            (&[][..], 0),
            (&[5, 8], 0),
            (&[6, 9, 10], 1),
            (&[6, 12, 17, 18], 2),
            (&[4, 10], 2),
        ] {
            assert_eq!(wide_levels(ends, 5), wide, "{ends:?}");
        }
    }
}

//! BLAKE3 of a batch: a dispatch for the chunks of a wave, and one for each level of its trees.

use std::sync::Arc;

use ffcm::device::hash::DIGEST_WORDS;
use ffcm::device::hash::blake3::{CHUNK, Wave, bytes, digests};

use super::{HashStats, UNIFORM_STRIDE, WORKGROUP, wave_bytes};
use crate::device::{Binding, Gpu, GpuError, Groups, Kernel, Scratch, Source};

#[derive(Debug)]
pub(super) struct Hasher {
    chunks: Arc<Kernel>,
    parents: Arc<Kernel>,
    windows: Scratch,
    records: Scratch,
    pairs: Scratch,
    data: Scratch,
    values: Scratch,
}

/// First item and end of each dispatch, [`UNIFORM_STRIDE`] words apart: the chunks, then the pairs of each level; and
/// how many items each has.
fn windows(wave: &Wave) -> (Vec<u32>, Vec<u32>) {
    let mut windows = Vec::new();
    let mut items = Vec::new();
    let mut add = |first: usize, end: usize| {
        windows.resize(items.len() * UNIFORM_STRIDE, 0);
        windows.extend([first as u32, end as u32, 0, 0]);
        items.push((end - first) as u32);
    };
    add(0, wave.chunks());
    let mut first = 0;
    for end in &wave.levels {
        add(first, *end);
        first = *end;
    }
    (windows, items)
}

impl Hasher {
    pub(super) fn new(gpu: &Gpu) -> Result<Hasher, GpuError> {
        Ok(Hasher {
            chunks: gpu.kernel(&chunks())?,
            parents: gpu.kernel(&parents())?,
            windows: Scratch::new("blake3: windows"),
            records: Scratch::new("blake3: chunks"),
            pairs: Scratch::new("blake3: pairs"),
            data: Scratch::new("blake3: data"),
            values: Scratch::new("blake3: values"),
        })
    }

    pub(super) fn hash(
        &mut self,
        gpu: &Gpu,
        inputs: &[&[u8]],
        stats: &mut HashStats,
    ) -> Result<Vec<[u8; 32]>, GpuError> {
        let bytes = wave_bytes(gpu, "a chunk of BLAKE3", CHUNK as u64)?;
        digests(inputs, bytes, |wave| {
            let values = self.run(gpu, wave)?;
            stats.add(HashStats {
                waves: 1,
                compressions: wave.compressions(),
                kernel_bytes: wave.kernel_bytes(),
                nonces: 0,
            });
            Ok(values)
        })
    }

    /// Runs a wave: the values of its pieces.
    fn run(&mut self, gpu: &Gpu, wave: &Wave) -> Result<Vec<[u8; 32]>, GpuError> {
        let (uniforms, items) = windows(wave);
        let windows = self.windows.filled(gpu, &uniforms)?;
        let records = self.records.filled(gpu, &wave.records)?;
        let pairs = self.pairs.filled(gpu, &wave.pairs)?;
        let data = self.data.filled(gpu, &wave.data)?;
        let words = (wave.entries * DIGEST_WORDS) as u64;
        let values = self.values.at_least(gpu, words)?;
        let mut bound = Vec::with_capacity(items.len());
        for index in 0..items.len() {
            let window = windows.slice((index * UNIFORM_STRIDE) as u64, 4);
            bound.push(match index {
                0 => {
                    let buffers = [window, records.into(), data.into(), values.into()];
                    gpu.bind(&self.chunks, &buffers)?
                }
                _ => gpu.bind(&self.parents, &[window, pairs.into(), values.into()])?,
            });
        }
        let mut commands = gpu.commands("blake3");
        for (bound, items) in bound.iter().zip(&items) {
            commands.dispatch(bound, Groups::Count(items.div_ceil(WORKGROUP)));
        }
        let found = commands.submit_and_read(values, 0, (wave.pieces * DIGEST_WORDS) as u64)?;
        Ok(found.as_chunks().0.iter().map(bytes).collect())
    }
}

fn source(name: &'static str, kernel: &str, bindings: &'static [Binding]) -> Source {
    let common = include_str!("../kernels/hash/blake3.wgsl");
    Source {
        name,
        text: [common, kernel].concat(),
        entry: "main",
        bindings,
    }
}

pub(super) fn chunks() -> Source {
    source(
        "hash.blake3_chunks",
        include_str!("../kernels/hash/blake3_chunks.wgsl"),
        &[
            Binding::Uniform,
            Binding::Read,
            Binding::Read,
            Binding::Write,
        ],
    )
}

pub(super) fn parents() -> Source {
    source(
        "hash.blake3_parents",
        include_str!("../kernels/hash/blake3_parents.wgsl"),
        &[Binding::Uniform, Binding::Read, Binding::Write],
    )
}

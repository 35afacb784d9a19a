//! BLAKE3 of a batch.
//!
//! Inputs are cut into pieces, subtrees of a power of two chunks as large as a wave holds; most inputs are one piece.
//! A wave hashes the chunks of its pieces and joins the values level by level, all trees side by side. The few
//! values of an input of several pieces are joined on the host.

use std::sync::Arc;

use blake3::hazmat::{ChainingValue, Mode, merge_subtrees_non_root, merge_subtrees_root};

use super::{BLOCK, DIGEST_WORDS, HashStats, UNIFORM_STRIDE, WORKGROUP, wave_bytes};
use crate::device::{Binding, Gpu, GpuError, Groups, Kernel, Scratch, Source};

/// Bytes of a chunk.
const CHUNK: usize = blake3::CHUNK_LEN;
/// Bytes of an entry of values.
const ENTRY: usize = 4 * DIGEST_WORDS;
/// Flag of the last compression of an input.
const ROOT: u32 = 8;

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

/// A subtree of an input.
#[derive(Clone, Copy, Debug)]
struct Piece<'a> {
    bytes: &'a [u8],
    /// Number of its first chunk within the input.
    first_chunk: u64,
    /// Whether it is the whole input, and the last of its input.
    whole: bool,
    last: bool,
}

impl Piece<'_> {
    fn chunks(&self) -> usize {
        self.bytes.len().div_ceil(CHUNK).max(1)
    }

    fn blocks(&self) -> usize {
        self.bytes.len().div_ceil(BLOCK).max(1)
    }

    /// Entries of values it needs: its own value, and those of its chunks where it has several.
    fn entries(&self) -> usize {
        match self.chunks() {
            1 => 1,
            many => 1 + many,
        }
    }
}

/// The pieces of all inputs, in order. Every piece but the last of an input has `size` bytes.
fn pieces<'a>(inputs: &'a [&'a [u8]], size: usize) -> impl Iterator<Item = Piece<'a>> {
    inputs.iter().flat_map(move |input| {
        let count = input.len().div_ceil(size).max(1);
        (0..count).map(move |index| {
            let start = index * size;
            Piece {
                bytes: &input[start..input.len().min(start + size)],
                first_chunk: (start / CHUNK) as u64,
                whole: count == 1,
                last: index + 1 == count,
            }
        })
    })
}

/// Bytes of a piece where every buffer may have `bytes`: the largest power of two of which data and entries fit.
fn piece_size(bytes: usize) -> usize {
    let chunks = (bytes / CHUNK).min(bytes / ENTRY - 1).max(1);
    CHUNK << chunks.ilog2()
}

/// What a wave sends.
#[derive(Debug, Default)]
struct Wave {
    data: Vec<u32>,
    records: Vec<u32>,
    pairs: Vec<u32>,
    windows: Vec<u32>,
    /// Items of each dispatch: the chunks, then the pairs of each level.
    items: Vec<u32>,
    entries: usize,
}

impl Wave {
    fn new(pieces: &[Piece<'_>]) -> Wave {
        let mut wave = Wave {
            entries: pieces.len(),
            ..Wave::default()
        };
        let mut levels: Vec<Vec<u32>> = Vec::new();
        for (own, piece) in (0..).zip(pieces) {
            let chunks = piece.chunks() as u32;
            if chunks == 1 {
                wave.chunk(piece.bytes, piece.first_chunk, own, piece.whole);
                continue;
            }
            let base = wave.entries as u32;
            wave.entries += chunks as usize;
            for (index, bytes) in (0..).zip(piece.bytes.chunks(CHUNK)) {
                let number = piece.first_chunk + u64::from(index);
                wave.chunk(bytes, number, base + index, false);
            }
            // Neighbours join into the left one's entry; one without a neighbour waits. That is BLAKE3's tree: the
            // left subtree is the largest power of two of chunks below the whole.
            let depth = chunks.next_power_of_two().ilog2();
            for level in 0..depth {
                if levels.len() <= level as usize {
                    levels.push(Vec::new());
                }
                let step = 1 << level;
                for left in (0..chunks - step).step_by(2 * step as usize) {
                    let (out, flag) = match level + 1 == depth {
                        true => (own, if piece.whole { ROOT } else { 0 }),
                        false => (base + left, 0),
                    };
                    levels[level as usize].extend([base + left, base + left + step, out, flag]);
                }
            }
        }
        let chunks = wave.records.len() / 4;
        wave.window(0, chunks);
        for level in levels {
            let first = wave.pairs.len() / 4;
            wave.pairs.extend(level);
            wave.window(first, wave.pairs.len() / 4);
        }
        wave
    }

    fn stats(&self) -> HashStats {
        let (chunks, pairs) = (self.records.len() / 4, self.pairs.len() / 4);
        let data = self.data.len() * 4;
        // A chunk: its record, its blocks, its value. A pair: its record, two values read and one written.
        let bytes = data + chunks * (16 + ENTRY) + pairs * (16 + 3 * ENTRY);
        HashStats {
            waves: 1,
            compressions: (data / BLOCK + pairs) as u64,
            kernel_bytes: bytes as u64,
            nonces: 0,
        }
    }

    fn chunk(&mut self, bytes: &[u8], number: u64, out: u32, root: bool) {
        let block = self.data.len() * 4 / BLOCK;
        self.records.extend([
            block as u32,
            // An input has less than 2^63 bytes, so the number has less than 53 bits.
            bytes.len() as u32 | ((number >> 32) as u32) << 11,
            number as u32,
            out | u32::from(root) << 31,
        ]);
        let (words, rest) = bytes.as_chunks::<4>();
        self.data
            .extend(words.iter().map(|word| u32::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut word = [0; 4];
            word[..rest.len()].copy_from_slice(rest);
            self.data.push(u32::from_le_bytes(word));
        }
        let blocks = bytes.len().div_ceil(BLOCK).max(1);
        self.data.resize((block + blocks) * BLOCK / 4, 0);
    }

    fn window(&mut self, first: usize, end: usize) {
        self.windows.resize(self.items.len() * UNIFORM_STRIDE, 0);
        self.windows.extend([first as u32, end as u32, 0, 0]);
        self.items.push((end - first) as u32);
    }
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
        let mut digests = Vec::with_capacity(inputs.len());
        // Values of the pieces of an input of several.
        let mut parts: Vec<ChainingValue> = Vec::new();
        let mut pieces = pieces(inputs, piece_size(bytes)).peekable();
        let mut batch: Vec<Piece<'_>> = Vec::new();
        while pieces.peek().is_some() {
            batch.clear();
            let (mut blocks, mut entries) = (0, 0);
            while let Some(piece) = pieces.next_if(|piece| {
                blocks += piece.blocks();
                entries += piece.entries();
                blocks * BLOCK <= bytes && entries * ENTRY <= bytes
            }) {
                batch.push(piece);
            }
            let wave = Wave::new(&batch);
            let values = self.run(gpu, &wave, batch.len())?;
            stats.add(wave.stats());
            for (piece, value) in batch.iter().zip(values) {
                if piece.whole {
                    digests.push(value);
                    continue;
                }
                parts.push(value);
                if piece.last {
                    digests.push(root(std::mem::take(&mut parts)));
                }
            }
        }
        Ok(digests)
    }

    /// Runs a wave: the values of its pieces.
    fn run(
        &mut self,
        gpu: &Gpu,
        wave: &Wave,
        pieces: usize,
    ) -> Result<Vec<ChainingValue>, GpuError> {
        let windows = self.windows.filled(gpu, &wave.windows)?;
        let records = self.records.filled(gpu, &wave.records)?;
        let pairs = self.pairs.filled(gpu, &wave.pairs)?;
        let data = self.data.filled(gpu, &wave.data)?;
        let words = (wave.entries * DIGEST_WORDS) as u64;
        let values = self.values.at_least(gpu, words)?;
        let mut bound = Vec::with_capacity(wave.items.len());
        for index in 0..wave.items.len() {
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
        for (bound, items) in bound.iter().zip(&wave.items) {
            commands.dispatch(bound, Groups::Count(items.div_ceil(WORKGROUP)));
        }
        let found = commands.submit_and_read(values, 0, (pieces * DIGEST_WORDS) as u64)?;
        let bytes = |words: &[u32; DIGEST_WORDS]| {
            let mut bytes = [0; 32];
            for (out, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
                *out = word.to_le_bytes();
            }
            bytes
        };
        Ok(found.as_chunks().0.iter().map(bytes).collect())
    }
}

/// The digest of an input from the values of its pieces, two or more.
fn root(mut parts: Vec<ChainingValue>) -> [u8; 32] {
    while parts.len() > 2 {
        let join = |pair: &[ChainingValue]| match pair {
            [left, right] => merge_subtrees_non_root(left, right, Mode::Hash),
            rest => rest[0],
        };
        parts = parts.chunks(2).map(join).collect();
    }
    *merge_subtrees_root(&parts[0], &parts[1], Mode::Hash).as_bytes()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_the_largest_subtree_that_fits() {
        for (bytes, chunks) in [(1024, 1), (2047, 1), (2048, 2), (65_535, 32), (65_536, 64)] {
            assert_eq!(piece_size(bytes), chunks * CHUNK, "{bytes}");
        }
    }

    #[test]
    fn every_entry_is_joined_once_and_roots_go_to_their_own() {
        let bytes = vec![0; 5 * CHUNK - 3];
        let inputs: [&[u8]; 2] = [&bytes, &bytes[..1]];
        let pieces: Vec<_> = pieces(&inputs, 8 * CHUNK).collect();
        let wave = Wave::new(&pieces);
        assert_eq!((wave.entries, &wave.items[..]), (7, &[6, 2, 1, 1][..]));
        let expected = [[2, 3, 2, 0], [4, 5, 4, 0], [2, 4, 2, 0], [2, 6, 0, ROOT]];
        assert_eq!(wave.pairs.as_chunks::<4>().0, expected);
        let stats = wave.stats();
        assert_eq!(
            (stats.compressions, stats.kernel_bytes),
            (85, 81 * 64 + 6 * 48 + 4 * 112)
        );
        assert_eq!(wave.records[16..20], [64, 1021, 4, 6]);
        assert_eq!(wave.records[20..24], [80, 1, 0, 1 | 1 << 31]);
    }
}

//! BLAKE3 of a batch: trees of chunks, joined level by level.
//!
//! Inputs are cut into pieces, subtrees of a power of two chunks as large as a wave holds; most inputs are one piece.
//! A wave hashes the chunks of its pieces and joins the values level by level, all trees side by side. The few
//! values of an input of several pieces are joined on the host.

use blake3::hazmat::{ChainingValue, Mode, merge_subtrees_non_root, merge_subtrees_root};

use super::{BLOCK, DIGEST_WORDS};

/// Bytes of a chunk.
pub const CHUNK: usize = blake3::CHUNK_LEN;
/// Bytes of an entry of values.
const ENTRY: usize = 4 * DIGEST_WORDS;
/// Words of the record of a chunk, and of a pair.
pub const RECORD_WORDS: usize = 4;
/// Flag of the last compression of an input, as the function has it.
pub const ROOT: u32 = 8;

/// A subtree of an input.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
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

/// BLAKE3 of each input, by a function that gives a wave's first values: those of its pieces, in order. No buffer of a
/// wave needs more than `bytes` (at least [`CHUNK`]).
pub fn digests<E>(
    inputs: &[&[u8]],
    bytes: usize,
    mut run: impl FnMut(&Wave) -> Result<Vec<[u8; 32]>, E>,
) -> Result<Vec<[u8; 32]>, E> {
    debug_assert!(bytes >= CHUNK);
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
        let values = run(&Wave::new(&batch))?;
        debug_assert_eq!(values.len(), batch.len());
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

/// What a device is sent of some pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wave {
    /// Blocks of all chunks as little-endian words; the last block of a chunk is filled up with zeros.
    pub data: Vec<u32>,
    /// Of each chunk four words: its first block in `data`; its bytes (11 bits) and the high word of its number within
    /// the input; the low word of its number; the entry of its value, the top bit set when it is a whole input.
    pub records: Vec<u32>,
    /// Of each pair of neighbours four words: their entries, the entry of the joined value, and [`ROOT`] or 0. Level
    /// after level: the pairs of a level read what the levels before it wrote, and no entry that one of them writes is
    /// read or written by another.
    pub pairs: Vec<u32>,
    /// Where each level ends, in pairs.
    pub levels: Vec<usize>,
    /// Entries of values, of eight words each. The first are those of the pieces.
    pub entries: usize,
    /// Pieces.
    pub pieces: usize,
}

impl Wave {
    fn new(pieces: &[Piece<'_>]) -> Wave {
        let mut wave = Wave {
            entries: pieces.len(),
            pieces: pieces.len(),
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
        for level in levels {
            wave.pairs.extend(level);
            wave.levels.push(wave.pairs.len() / RECORD_WORDS);
        }
        wave
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> usize {
        self.records.len() / RECORD_WORDS
    }

    /// Compressions of 64 bytes.
    pub fn compressions(&self) -> u64 {
        (self.data.len() * 4 / BLOCK + self.pairs.len() / RECORD_WORDS) as u64
    }

    /// Bytes that kernels address which take one chunk or one pair at a time: of a chunk its record, its blocks and its
    /// value; of a pair its record, two values read and one written.
    pub fn kernel_bytes(&self) -> u64 {
        let record = 4 * RECORD_WORDS;
        let chunks = self.data.len() * 4 + self.chunks() * (record + ENTRY);
        (chunks + self.pairs.len() / RECORD_WORDS * (record + 3 * ENTRY)) as u64
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
}

/// A value as bytes.
pub fn bytes(words: &[u32; DIGEST_WORDS]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (out, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *out = word.to_le_bytes();
    }
    bytes
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
        assert_eq!((wave.entries, wave.pieces, wave.chunks()), (7, 2, 6));
        assert_eq!(wave.levels, [2, 3, 4]);
        let expected = [[2, 3, 2, 0], [4, 5, 4, 0], [2, 4, 2, 0], [2, 6, 0, ROOT]];
        assert_eq!(wave.pairs.as_chunks::<4>().0, expected);
        assert_eq!(
            (wave.compressions(), wave.kernel_bytes()),
            (85, 81 * 64 + 6 * 48 + 4 * 112)
        );
        assert_eq!(wave.records[16..20], [64, 1021, 4, 6]);
        assert_eq!(wave.records[20..24], [80, 1, 0, 1 | 1 << 31]);
    }
}

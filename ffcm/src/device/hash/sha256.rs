//! SHA-256 of a batch: one chain of compressions per message.
//!
//! A wave takes messages as many blocks further as fit its buffers. A message that does not end in a wave goes on in the
//! next, its state kept by the host in between.

use super::{BLOCK, DIGEST_WORDS};

/// Words a to h.
pub type State = [u32; DIGEST_WORDS];

/// The state before the first block (FIPS 180-4, section 5.3.3).
pub const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Blocks of a message of `bytes` bytes: its bytes, a bit, zeros, and eight bytes of length.
fn block_count(bytes: usize) -> usize {
    (bytes + 9).div_ceil(BLOCK)
}

/// What a device is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wave {
    /// Blocks of the padded messages as big-endian words.
    pub data: Vec<u32>,
    /// First block in `data` and number of blocks of each message.
    pub messages: Vec<u32>,
    /// State of each message, eight words.
    pub states: Vec<u32>,
    /// Blocks of the longest.
    pub longest: usize,
}

impl Wave {
    /// Adds blocks `from..to` of the padded message of `input`, which `state` has come to.
    pub fn push(&mut self, input: &[u8], from: usize, to: usize, state: &State) {
        let first = self.data.len() * 4 / BLOCK;
        self.messages.extend([first as u32, (to - from) as u32]);
        self.states.extend(state);
        self.longest = self.longest.max(to - from);

        let (start, end) = (from * BLOCK, to * BLOCK);
        let bytes = &input[start.min(input.len())..end.min(input.len())];
        let (words, rest) = bytes.as_chunks::<4>();
        self.data
            .extend(words.iter().map(|word| u32::from_be_bytes(*word)));
        if (start..end).contains(&input.len()) {
            let mut word = [0; 4];
            word[..rest.len()].copy_from_slice(rest);
            word[rest.len()] = 0x80;
            self.data.push(u32::from_be_bytes(word));
        }
        self.data.resize((first + to - from) * BLOCK / 4, 0);
        if to == block_count(input.len()) {
            let bits = (input.len() as u64).wrapping_mul(8);
            let at = self.data.len() - 2;
            self.data[at..].copy_from_slice(&[(bits >> 32) as u32, bits as u32]);
        }
    }

    /// How many messages there are.
    pub fn count(&self) -> usize {
        self.messages.len() / 2
    }

    /// Blocks of each message.
    pub fn blocks(&self) -> impl Iterator<Item = usize> {
        self.messages
            .as_chunks::<2>()
            .0
            .iter()
            .map(|message| message[1] as usize)
    }
}

/// SHA-256 of each input, by a function that gives the states of a wave's messages after it. A wave has at most `room`
/// blocks, and at most `most` of one message (both at least 1).
pub fn digests<E>(
    inputs: &[&[u8]],
    room: usize,
    most: usize,
    mut run: impl FnMut(&Wave) -> Result<Vec<State>, E>,
) -> Result<Vec<[u8; 32]>, E> {
    debug_assert!(room >= 1 && most >= 1);
    let mut digests = Vec::with_capacity(inputs.len());
    // Where the first message that has not ended is, and its state.
    let (mut from, mut state) = (0, INITIAL);
    while digests.len() < inputs.len() {
        let mut wave = Wave::default();
        let mut left = room;
        let mut ended = true;
        for input in &inputs[digests.len()..] {
            if left == 0 {
                break;
            }
            let blocks = block_count(input.len());
            let to = blocks.min(from + left.min(most));
            wave.push(input, from, to, &state);
            left -= to - from;
            if to < blocks {
                from = to;
                ended = false;
                break;
            }
            (from, state) = (0, INITIAL);
        }
        let mut states = run(&wave)?;
        debug_assert_eq!(states.len(), wave.count());
        if !ended && let Some(open) = states.pop() {
            state = open;
        }
        digests.extend(states.iter().map(bytes));
    }
    Ok(digests)
}

fn bytes(state: &State) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (out, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *out = word.to_be_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::block_api::compress256;

    /// A device in words: the digests must not depend on how messages are cut.
    fn run(wave: &Wave) -> Result<Vec<State>, ()> {
        let states = wave.states.as_chunks::<DIGEST_WORDS>().0;
        let messages = wave.messages.as_chunks::<2>().0;
        let after = |(state, [first, blocks]): (&State, &[u32; 2])| {
            let mut state = *state;
            let words = &wave.data[*first as usize * 16..][..*blocks as usize * 16];
            for block in words.as_chunks::<16>().0 {
                let mut bytes = [0; BLOCK];
                for (out, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(block) {
                    *out = word.to_be_bytes();
                }
                compress256(&mut state, &[bytes]);
            }
            state
        };
        Ok(states.iter().zip(messages).map(after).collect())
    }

    #[test]
    fn digests_do_not_depend_on_the_cut() {
        let data: Vec<u8> = (0..1000_u32).map(|i| (i * 7) as u8).collect();
        let inputs: Vec<&[u8]> = [0, 55, 56, 63, 64, 1000, 3, 119, 128]
            .iter()
            .map(|length| &data[..*length])
            .collect();
        let expected = crate::hash::sha256(&inputs);
        for (room, most) in [(1, 1), (3, 2), (5, 100), (1000, 4), (1000, 1000)] {
            let found = digests(&inputs, room, most, |wave| {
                assert!(wave.data.len() <= room * 16 && wave.longest <= most);
                run(wave)
            });
            assert_eq!(found.as_ref(), Ok(&expected), "{room} {most}");
        }
    }
}

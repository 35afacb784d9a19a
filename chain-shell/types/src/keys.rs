//! Ed25519 under ZIP-215 rules, for which batch and single verification accept the same signatures.

use std::fmt;

use ed25519_consensus::{SigningKey, VerificationKey, batch};
use rand_core::{CryptoRng, RngCore};
use rayon::prelude::*;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::{Address, Signature};

/// No key could be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system: {0}")]
    NoRandomness(String),
    /// A text is not a 32-byte seed in hexadecimal.
    #[error("a key is 64 hexadecimal digits")]
    BadSeed,
}

/// Why a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// The sender is not the encoding of a curve point, or the scalar is not canonical.
    #[error("bad_sig_encoding")]
    Encoding,
    /// The signature does not belong to this message and sender.
    #[error("bad_sig")]
    Invalid,
}

/// A secret key and its address. Wiped from memory when dropped, never printed.
pub struct Keypair {
    key: SigningKey,
}

impl Keypair {
    /// The key pair of a secret 32-byte seed (RFC 8032).
    pub fn from_seed(mut seed: [u8; 32]) -> Keypair {
        let key = SigningKey::from(seed);
        seed.zeroize();
        Keypair { key }
    }

    /// A new key from the operating system's randomness.
    pub fn generate() -> Result<Keypair, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut())
            .map_err(|error| KeyError::NoRandomness(error.to_string()))?;
        Ok(Keypair::from_seed(*seed))
    }

    /// Reads a seed written by [`Keypair::seed_hex`]; white space around it is ignored.
    pub fn from_seed_hex(text: &str) -> Result<Keypair, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), seed.as_mut()).map_err(|_| KeyError::BadSeed)?;
        Ok(Keypair::from_seed(*seed))
    }

    /// The secret seed in hexadecimal, for a key file.
    pub fn seed_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.key.as_bytes()))
    }

    /// The public half.
    pub fn address(&self) -> Address {
        Address(self.key.verification_key().to_bytes())
    }

    /// Signs `message`; deterministic (RFC 8032).
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.key.sign(message).to_bytes())
    }
}

impl Drop for Keypair {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keypair({}, secret)", self.address())
    }
}

/// Verifies one signature.
pub fn verify(
    sender: &Address,
    message: &[u8],
    signature: &Signature,
) -> Result<(), SignatureError> {
    let key = VerificationKey::try_from(sender.0).map_err(|_| SignatureError::Encoding)?;
    if !scalar_is_canonical(signature) {
        return Err(SignatureError::Encoding);
    }
    key.verify(&ed25519_consensus::Signature::from(signature.0), message)
        .map_err(|_| SignatureError::Invalid)
}

/// One signature to verify: sender, message, signature.
pub type SignedMessage<'a> = (Address, &'a [u8], Signature);

/// Fewer signatures than this are verified one by one, which is not slower.
const BATCH_MIN: usize = 2;
/// Fewest signatures that are worth a thread: a batch gains most of what it can by here.
const PART_MIN: usize = 128;
/// Most signatures of one equation: beyond, a batch gains next to nothing, and threads share the work less evenly.
const PART_MAX: usize = 1024;
/// Signatures of one equation where every one gets its verdict: a bad one has so many others verified one by one.
const PART_OF_EACH: usize = 128;

/// Verifies many at once on the current rayon pool; on failure names the first bad one and why.
pub fn verify_batch(items: &[SignedMessage<'_>]) -> Result<(), (usize, SignatureError)> {
    let order = by_sender(items);
    let first_bad = |part: &[usize]| {
        // Single verification is the definition: where every signature is good by itself, the part is.
        let bad = |at: &usize| single(&items[*at]).is_err();
        match equation_holds(items, part) {
            true => None,
            false => part.iter().copied().filter(bad).min(),
        }
    };
    let length = part_length(items.len(), rayon::current_num_threads());
    match order.par_chunks(length).filter_map(first_bad).min() {
        Some(index) => single(&items[index]).map_err(|error| (index, error)),
        None => Ok(()),
    }
}

/// Verifies many at once on the current rayon pool; the verdict of each is that of [`verify`].
pub fn verify_each(items: &[SignedMessage<'_>]) -> Vec<Result<(), SignatureError>> {
    let order = by_sender(items);
    let bad = |part: &[usize]| -> Vec<(usize, SignatureError)> {
        if equation_holds(items, part) {
            return vec![];
        }
        let bad = |at: &usize| Some((*at, single(&items[*at]).err()?));
        part.par_iter().filter_map(bad).collect()
    };
    let length = part_length(items.len(), rayon::current_num_threads()).min(PART_OF_EACH);
    let bad: Vec<_> = order.par_chunks(length).flat_map_iter(bad).collect();
    let mut verdicts = vec![Ok(()); items.len()];
    for (at, error) in bad {
        verdicts[at] = Err(error);
    }
    verdicts
}

fn single((sender, message, signature): &SignedMessage<'_>) -> Result<(), SignatureError> {
    verify(sender, message, signature)
}

/// Indexes, those of one sender together: an equation has a single point for all signatures of one sender, which must
/// not be torn apart by dividing the batch.
fn by_sender(items: &[SignedMessage<'_>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_unstable_by_key(|&at| (items[at].0.0, at));
    order
}

/// Length of equal parts, as many for each thread, none too small to gain or too large to share.
fn part_length(items: usize, threads: usize) -> usize {
    let threads = threads.clamp(1, items.div_ceil(PART_MIN).max(1));
    let rounds = items.div_ceil(threads * PART_MAX).max(1);
    items.div_ceil(threads * rounds).max(1)
}

/// Whether the batch equation of the signatures at `part` holds. It does if all are good by themselves; if one is not, it
/// does with a probability of 2^-128.
fn equation_holds(items: &[SignedMessage<'_>], part: &[usize]) -> bool {
    if part.len() < BATCH_MIN {
        return part.iter().all(|&at| single(&items[at]).is_ok());
    }
    let mut verifier = batch::Verifier::new();
    let mut transcript = blake3::Hasher::new_derive_key("focus-flow v1 batch verification");
    for (sender, message, signature) in part.iter().map(|&at| &items[at]) {
        let item = batch::Item::from((
            sender.0.into(),
            ed25519_consensus::Signature::from(signature.0),
            *message,
        ));
        transcript.update(&sender.0);
        transcript.update(&(message.len() as u64).to_le_bytes());
        transcript.update(message);
        transcript.update(&signature.0);
        verifier.queue(item);
    }
    let factors = Transcript(transcript.finalize_xof());
    verifier.verify(factors).is_ok()
}

/// The factors of the batch equation, drawn from a hash of everything being verified: whoever chooses the signatures
/// cannot know them before, and no randomness is needed.
struct Transcript(blake3::OutputReader);

impl RngCore for Transcript {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.0.fill(dest);
        Ok(())
    }
}

impl CryptoRng for Transcript {}

/// Whether s is below the group order 2^252 + 27742317777372353535851937790883648493 (RFC 8032, 5.1.7).
fn scalar_is_canonical(signature: &Signature) -> bool {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    signature.0[32..].iter().rev().lt(ORDER.iter().rev())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Keypair {
        Keypair::from_seed([n; 32])
    }

    #[test]
    fn rfc8032_test_1() {
        let pair = Keypair::from_seed_hex(
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\n",
        )
        .unwrap();
        assert_eq!(
            pair.address().to_string(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        assert_eq!(
            pair.sign(b"").to_string(),
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac\
             c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        );
        assert!(verify(&pair.address(), b"", &pair.sign(b"")).is_ok());
        assert!(!format!("{pair:?}").contains("9d61b1"));
    }

    #[test]
    fn batch_accepts_good_ones_and_names_the_first_bad_one() {
        let messages: Vec<Vec<u8>> = (0..20u8).map(|n| vec![n; 10]).collect();
        let mut items: Vec<SignedMessage<'_>> = messages
            .iter()
            .enumerate()
            .map(|(i, m)| {
                let pair = key(i as u8 % 5 + 1);
                (pair.address(), m.as_slice(), pair.sign(m))
            })
            .collect();
        assert_eq!(verify_batch(&items), Ok(()));
        assert_eq!(verify_batch(&[]), Ok(()));
        items[13].2.0[5] ^= 1;
        items[17].2.0[63] |= 0xf0;
        assert_eq!(verify_batch(&items), Err((13, SignatureError::Invalid)));
        items.swap(13, 17);
        assert_eq!(verify_batch(&items), Err((13, SignatureError::Encoding)));
    }

    /// Good and bad signatures of every kind, many senders and few, over messages of several lengths.
    fn mixed(count: usize, bad: &[usize]) -> Vec<(Address, Vec<u8>, Signature)> {
        let mut items: Vec<_> = (0..count)
            .map(|n| {
                let pair = key((n % 61) as u8 + 1);
                let message = vec![n as u8; n % 90];
                (pair.address(), message.clone(), pair.sign(&message))
            })
            .collect();
        for &at in bad {
            let (sender, message, signature) = &mut items[at];
            match at % 5 {
                0 => message.push(1),
                1 => signature.0[3] ^= 1,
                2 => signature.0[63] |= 0xf0,
                3 => *sender = Address([2; 32]),
                _ => *sender = key(99).address(),
            }
        }
        items
    }

    #[test]
    fn parts_and_threads_change_no_verdict() {
        let bads: [&[usize]; 6] = [
            &[],
            &[0],
            &[1299],
            &[128, 127, 640],
            &[700, 701, 702, 703, 704],
            &[3],
        ];
        for (bad, threads) in bads.iter().zip([1, 2, 3, 5, 2, 16]) {
            let owned = mixed(1300, bad);
            let items: Vec<SignedMessage<'_>> = owned
                .iter()
                .map(|(sender, message, sig)| (*sender, &message[..], *sig))
                .collect();
            let single: Vec<_> = items
                .iter()
                .map(|item| verify(&item.0, item.1, &item.2))
                .collect();
            assert_eq!(
                single.iter().filter(|verdict| verdict.is_err()).count(),
                bad.len()
            );
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            for count in [1, 3, 4, 5, 129, 1300] {
                let (items, single) = (&items[..count], &single[..count]);
                assert_eq!(pool.install(|| verify_each(items)), single);
                let first = single.iter().position(|verdict| verdict.is_err());
                let expected = first.map_or(Ok(()), |at| single[at].map_err(|error| (at, error)));
                assert_eq!(pool.install(|| verify_batch(items)), expected);
            }
        }
        assert_eq!(verify_each(&[]), []);
    }

    #[test]
    fn parts_are_even_and_bounded() {
        assert_eq!(
            [0, 1, 127, 128, 129].map(|n| part_length(n, 2)),
            [1, 1, 127, 128, 65]
        );
        assert_eq!(
            [2048, 2049, 10_000].map(|n| part_length(n, 2)),
            [1024, 513, 1000]
        );
        for (items, threads) in [(5000, 1), (5000, 7), (1 << 20, 64), (200, 1000)] {
            let length = part_length(items, threads);
            assert!(
                (PART_MIN / 2..=PART_MAX).contains(&length),
                "{items} {threads} {length}"
            );
        }
    }

    #[test]
    fn identity_key_is_judged_alike_by_batch_and_single() {
        // ZIP-215 accepts small-order keys: with A and R the identity and s = 0 every message verifies.
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let (sender, signature) = (Address(identity), Signature(signature));
        assert_eq!(verify(&sender, b"x", &signature), Ok(()));
        assert_eq!(verify_batch(&[(sender, b"x", signature)]), Ok(()));
        let not_a_point = Address([2; 32]);
        let single = verify(&not_a_point, b"x", &signature);
        assert_eq!(
            verify_batch(&[(not_a_point, b"x", signature)]).map_err(|(_, e)| e),
            single
        );
    }
}

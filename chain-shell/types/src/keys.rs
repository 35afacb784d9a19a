//! Ed25519 under ZIP-215 rules, for which batch and single verification accept the same signatures.

use std::fmt;

use ed25519_consensus::{SigningKey, VerificationKey, batch};
use rand_core::{CryptoRng, RngCore};
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

/// Verifies many at once; on failure names the first bad one and why.
pub fn verify_batch(items: &[(Address, &[u8], Signature)]) -> Result<(), (usize, SignatureError)> {
    let mut verifier = batch::Verifier::new();
    let mut transcript = blake3::Hasher::new_derive_key("focus-flow v1 batch verification");
    for (sender, message, signature) in items {
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
    if verifier
        .verify(Transcript(transcript.finalize_xof()))
        .is_ok()
    {
        return Ok(());
    }
    for (index, (sender, message, signature)) in items.iter().enumerate() {
        verify(sender, message, signature).map_err(|error| (index, error))?;
    }
    // Every signature is good by itself, and single verification is the definition.
    Ok(())
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
        let mut items: Vec<(Address, &[u8], Signature)> = messages
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

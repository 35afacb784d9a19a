//! Batches of Ed25519 signatures on several threads, as a block verifies them.

use focus_types::{Address, Keypair, Signature, SignedMessage, verify, verify_batch};

use crate::failure::Failure;
use crate::options::{Turns, pool};
use crate::random::SplitMix64;
use crate::timing::{Summary, interleave, time};

/// Bytes of a message: about those of a transaction.
const MESSAGE: usize = 120;

/// Messages with who signed them.
pub struct Signed {
    messages: Vec<Vec<u8>>,
    by: Vec<(Address, Signature)>,
}

impl Signed {
    /// `count` messages, signed by keys of their own.
    pub fn new(seed: u64, count: usize) -> Signed {
        let mut random = SplitMix64::new(seed);
        let mut bytes = |count: usize| -> Vec<u8> {
            let words = (0..count.div_ceil(8)).flat_map(|_| random.next_u64().to_le_bytes());
            words.take(count).collect()
        };
        let (mut messages, mut by) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let mut seed = [0; 32];
            seed.copy_from_slice(&bytes(32));
            let key = Keypair::from_seed(seed);
            let message = bytes(MESSAGE);
            by.push((key.address(), key.sign(&message)));
            messages.push(message);
        }
        Signed { messages, by }
    }

    /// What a batch consists of.
    pub fn items(&self) -> Vec<SignedMessage<'_>> {
        let pairs = self.messages.iter().zip(&self.by);
        pairs
            .map(|(message, (address, signature))| (*address, message.as_slice(), *signature))
            .collect()
    }
}

/// A batch must be good exactly when each of its signatures is.
fn check(signed: &Signed) -> Result<(), Failure> {
    let mut items = signed.items();
    let singly = items
        .iter()
        .all(|(by, message, s)| verify(by, message, s).is_ok());
    if !singly || verify_batch(&items).is_err() {
        return Err(Failure::Mismatch("good signatures are refused".into()));
    }
    if let [.., (_, message, signature), (_, last, with)] = &mut items[..] {
        std::mem::swap(message, last);
        std::mem::swap(signature, with);
        if verify_batch(&items).is_ok() {
            return Err(Failure::Mismatch(
                "signatures of others are accepted".into(),
            ));
        }
    }
    Ok(())
}

/// Times batches of `count` signatures at every thread count; one summary each.
pub fn measure(count: usize, turns: &Turns, rounds: usize) -> Result<Vec<Summary>, Failure> {
    let signed = Signed::new(1, count);
    check(&signed)?;
    let items = signed.items();
    let pools = turns.threads.iter().map(|&threads| pool(threads));
    let mut pools = pools.collect::<Result<Vec<_>, _>>()?;
    let samples = interleave(&mut pools, rounds, |pool| {
        let (good, sample) = pool.install(|| time(|| verify_batch(&items).is_ok()));
        if good {
            return Ok(sample);
        }
        Err(Failure::Mismatch("good signatures are refused".into()))
    })?;
    Ok(samples.iter().map(|samples| Summary::of(samples)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_batches_pass_and_a_wrong_signature_is_noticed() {
        let mut signed = Signed::new(3, 20);
        assert!(check(&signed).is_ok());
        signed.by.swap(4, 9);
        assert!(matches!(check(&signed), Err(Failure::Mismatch(_))));
    }
}

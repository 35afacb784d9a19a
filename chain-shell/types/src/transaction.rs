//! Transactions: one envelope, one body, one signature.
//!
//! ```text
//! signed transaction = borsh(Transaction) ‖ signature (64)
//! Transaction        = chain (32) ‖ sender (32) ‖ nonce u64 ‖ gas_limit u64 ‖ body
//! signed message     = "focus-flow tx v1\n" ‖ borsh(Transaction)        id = BLAKE3 of it, keyed for transactions
//! ```
//! Integers are little-endian, sequences carry a `u32` length, enums a tag byte. `chain` is the genesis hash, so a
//! transaction of one chain is a bad signature on every other.

use std::io;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Address, Cid, Domain, Hash32, Keypair, RejectReason, Signature, SignatureError, TxId, hash,
    json, verify,
};

/// Longest encoding of a signed transaction.
pub const TX_BYTES_MAX: usize = 64 << 10;

/// Longest particle that travels inside a link.
pub const INLINE_MAX: usize = 64;

const SIGNING_PREFIX: &[u8] = b"focus-flow tx v1\n";

/// An asset of the one bank.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct AssetId(pub u32);

impl AssetId {
    /// FOCUS: gas, fees and stake, six decimals.
    pub const FOCUS: AssetId = AssetId(0);
}

/// What a link connects: short content itself, or the id of content kept elsewhere. Inline content is stored with the
/// particle, so that pages can show it; both forms of the same content are the same particle.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, Serialize, Deserialize)]
#[serde(into = "ParticleJson", try_from = "ParticleJson")]
pub enum Particle {
    /// At most [`INLINE_MAX`] bytes of content.
    Inline(Vec<u8>),
    /// The content's id.
    Cid(Cid),
}

impl Particle {
    /// The content id.
    pub fn cid(&self) -> Cid {
        match self {
            Particle::Inline(bytes) => Cid::of(bytes),
            Particle::Cid(cid) => *cid,
        }
    }

    /// A particle of a text: inline when short enough, by id otherwise.
    pub fn text(text: &str) -> Particle {
        if text.len() <= INLINE_MAX {
            Particle::Inline(text.as_bytes().to_vec())
        } else {
            Particle::Cid(Cid::of(text.as_bytes()))
        }
    }
}

impl BorshDeserialize for Particle {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Particle> {
        match u8::deserialize_reader(reader)? {
            0 => {
                let length = u32::deserialize_reader(reader)? as usize;
                if length > INLINE_MAX {
                    return Err(invalid("inline particle too long"));
                }
                let mut bytes = vec![0; length];
                reader.read_exact(&mut bytes)?;
                Ok(Particle::Inline(bytes))
            }
            1 => Ok(Particle::Cid(Cid::deserialize_reader(reader)?)),
            _ => Err(invalid("unknown kind of particle")),
        }
    }
}

/// `{"inline": "<hex>"}`, `{"cid": "<hex>"}`, or on input `{"text": "…"}`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum ParticleJson {
    #[serde(with = "json::hex_bytes")]
    Inline(Vec<u8>),
    Cid(Cid),
    Text(String),
}

impl From<Particle> for ParticleJson {
    fn from(particle: Particle) -> ParticleJson {
        match particle {
            Particle::Inline(bytes) => ParticleJson::Inline(bytes),
            Particle::Cid(cid) => ParticleJson::Cid(cid),
        }
    }
}

impl TryFrom<ParticleJson> for Particle {
    type Error = String;

    fn try_from(json: ParticleJson) -> Result<Particle, String> {
        let bytes = match json {
            ParticleJson::Cid(cid) => return Ok(Particle::Cid(cid)),
            ParticleJson::Inline(bytes) => bytes,
            ParticleJson::Text(text) => text.into_bytes(),
        };
        if bytes.len() > INLINE_MAX {
            return Err(format!("an inline particle has at most {INLINE_MAX} bytes"));
        }
        Ok(Particle::Inline(bytes))
    }
}

/// The slot a Memory Arithmetic operation changes.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct SlotTarget {
    /// Shard.
    pub shard: u16,
    /// Layer.
    pub layer: u8,
    /// Slot.
    pub slot: u8,
}

/// One Memory Arithmetic operation; scalars are integers in 1e-4 units.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum MaOp {
    /// Add a bounded vector, raw units.
    Add {
        /// One entry per dimension of a slot.
        vector: Vec<i16>,
    },
    /// Multiply by a factor.
    Decay {
        /// In 1e-4 units; 9850 is the usual one. Values outside 8000..=9999 are clamped into it.
        factor: u16,
    },
    /// Mix with another slot of the same shard and layer.
    Mix {
        /// In 1e-4 units, at most 10000.
        alpha: u16,
        /// The other slot.
        source: u8,
    },
    /// Clamp to the bounds.
    Clip {},
}

impl BorshDeserialize for MaOp {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<MaOp> {
        Ok(match u8::deserialize_reader(reader)? {
            0 => MaOp::Add {
                vector: Vec::deserialize_reader(reader)?,
            },
            1 => MaOp::Decay {
                factor: u16::deserialize_reader(reader)?,
            },
            2 => MaOp::Mix {
                alpha: u16::deserialize_reader(reader)?,
                source: u8::deserialize_reader(reader)?,
            },
            3 => MaOp::Clip {},
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    RejectReason::BadOp,
                ));
            }
        })
    }
}

/// What a transaction does.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Body {
    /// Stake tokens on the edge `source → target`; the sender's earlier stake on it is replaced.
    Link {
        /// Where the edge starts.
        source: Particle,
        /// Where it ends.
        target: Particle,
        /// Kind of the edge; the link that makes the edge sets it.
        kind: u32,
        /// FOCUS units the sender keeps locked on the edge from now on; 0 withdraws.
        #[serde(with = "json::integer")]
        stake: u64,
    },
    /// Exactly one Memory Arithmetic operation.
    Memory {
        /// Slot to change.
        target: SlotTarget,
        /// The operation.
        op: MaOp,
    },
    /// Move tokens.
    Transfer {
        /// Asset.
        asset: AssetId,
        /// Receiver.
        to: Address,
        /// Units.
        #[serde(with = "json::integer")]
        amount: u64,
    },
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Transaction {
    /// Genesis hash of the chain it is for.
    pub chain: Hash32,
    /// Who pays and signs.
    pub sender: Address,
    /// Number of transactions of this sender before this one.
    #[serde(with = "json::integer")]
    pub nonce: u64,
    /// Most gas it may use.
    #[serde(with = "json::integer")]
    pub gas_limit: u64,
    /// What it does.
    pub body: Body,
}

impl Transaction {
    /// The bytes a sender signs.
    pub fn signing_bytes(&self) -> Vec<u8> {
        let mut bytes = SIGNING_PREFIX.to_vec();
        BorshSerialize::serialize(self, &mut bytes).expect("writing to a vector does not fail");
        bytes
    }

    /// The id.
    pub fn id(&self) -> TxId {
        TxId(hash(Domain::Transaction, &self.signing_bytes()).0)
    }

    /// Signs it. The caller sets `sender` to the key's address; another key gives a signature that does not verify.
    pub fn sign(self, key: &Keypair) -> SignedTx {
        let signature = key.sign(&self.signing_bytes());
        SignedTx {
            tx: self,
            signature,
        }
    }
}

/// A transaction and its signature.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize, Serialize)]
pub struct SignedTx {
    /// The transaction; its fields stand beside `signature` in JSON.
    #[serde(flatten)]
    pub tx: Transaction,
    /// The sender's signature over [`Transaction::signing_bytes`].
    pub signature: Signature,
}

impl SignedTx {
    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to a vector does not fail")
    }

    /// Reads canonical bytes: nothing missing, nothing left over, at most [`TX_BYTES_MAX`].
    pub fn decode(bytes: &[u8]) -> Result<SignedTx, RejectReason> {
        if bytes.len() > TX_BYTES_MAX {
            return Err(RejectReason::TooLarge);
        }
        borsh::from_slice(bytes).map_err(|error| {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
            inner.copied().unwrap_or(RejectReason::BadFormat)
        })
    }

    /// Reads the JSON form. `TooLarge` is judged by the length of the text, and again by the canonical length.
    pub fn from_json(text: &[u8]) -> Result<SignedTx, RejectReason> {
        // The widest entry of an MA vector has seven characters for two bytes.
        if text.len() > 4 * TX_BYTES_MAX {
            return Err(RejectReason::TooLarge);
        }
        let value: Value = serde_json::from_slice(text).map_err(|_| RejectReason::BadFormat)?;
        SignedTx::from_json_value(&value)
    }

    /// Reads the JSON form from a parsed value.
    pub fn from_json_value(value: &Value) -> Result<SignedTx, RejectReason> {
        let envelope =
            <Envelope as Deserialize>::deserialize(value).map_err(|_| RejectReason::BadFormat)?;
        let body = body_from_json(&envelope.body)?;
        let tx = SignedTx {
            tx: Transaction {
                chain: envelope.chain,
                sender: field(&envelope.sender, RejectReason::BadSigEncoding)?,
                nonce: envelope.nonce,
                gas_limit: envelope.gas_limit,
                body,
            },
            signature: field(&envelope.signature, RejectReason::BadSigEncoding)?,
        };
        if tx.encode().len() > TX_BYTES_MAX {
            return Err(RejectReason::TooLarge);
        }
        Ok(tx)
    }

    /// The JSON form.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("string keys and integers only")
    }

    /// The id.
    pub fn id(&self) -> TxId {
        self.tx.id()
    }

    /// Hash of the canonical bytes with the signature: the leaf of a block's transaction root.
    pub fn leaf(&self) -> Hash32 {
        hash(Domain::SignedTransaction, &self.encode())
    }

    /// Verifies the signature by itself.
    pub fn verify(&self) -> Result<(), SignatureError> {
        verify(&self.tx.sender, &self.tx.signing_bytes(), &self.signature)
    }
}

impl<'de> Deserialize<'de> for SignedTx {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<SignedTx, D::Error> {
        let value = Value::deserialize(deserializer)?;
        SignedTx::from_json_value(&value).map_err(serde::de::Error::custom)
    }
}

/// The JSON envelope with the parts that have reasons of their own still unread.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    chain: Hash32,
    sender: String,
    #[serde(with = "json::integer")]
    nonce: u64,
    #[serde(with = "json::integer")]
    gas_limit: u64,
    body: Value,
    signature: String,
}

fn field<T: std::str::FromStr>(text: &str, reason: RejectReason) -> Result<T, RejectReason> {
    text.parse().map_err(|_| reason)
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn body_from_json(body: &Value) -> Result<Body, RejectReason> {
    if let Some(memory) = body.get("memory") {
        let target = memory.get("target").ok_or(RejectReason::BadFormat)?;
        for (name, max, reason) in [
            ("shard", u64::from(u16::MAX), RejectReason::BadShard),
            ("layer", u64::from(u8::MAX), RejectReason::BadLayer),
            ("slot", u64::from(u8::MAX), RejectReason::BadSlot),
        ] {
            let number = target.get(name).ok_or(RejectReason::BadFormat)?;
            if number.as_u64().is_none_or(|n| n > max) {
                return Err(reason);
            }
        }
        let op = memory.get("op").ok_or(RejectReason::BadOp)?;
        let known = ["add", "decay", "mix", "clip"];
        let exactly_one = op.as_object().is_some_and(|map| {
            map.len() == 1 && map.keys().all(|key| known.contains(&key.as_str()))
        });
        if !exactly_one {
            return Err(RejectReason::BadOp);
        }
    }
    <Body as Deserialize>::deserialize(body).map_err(|_| RejectReason::BadFormat)
}

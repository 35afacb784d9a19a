//! Why a transaction is turned away at the door, and how an admitted one ended.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a transaction is not admitted to the mempool. Its text is the label that metrics and answers use.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// Not the encoding of a transaction.
    BadFormat,
    /// Shard out of range.
    BadShard,
    /// Layer out of range.
    BadLayer,
    /// Slot or source slot out of range.
    BadSlot,
    /// Not exactly one known Memory Arithmetic operation.
    BadOp,
    /// Signature or sender is not the encoding of one.
    BadSigEncoding,
    /// The signature is not of this sender over this transaction on this chain.
    BadSig,
    /// Already pending or recently seen.
    Dup,
    /// The mempool is full.
    MempoolFull,
    /// The sender has too many pending transactions.
    SenderCap,
    /// The nonce is used, or too far ahead of the account.
    BadNonce,
    /// Larger than the limit for a transaction.
    TooLarge,
    /// The balance does not cover the most that the transaction may cost.
    Insufficient,
    /// The gas limit is below what the operation needs or above what a block holds.
    BadGas,
    /// The node cannot read its state now.
    Unavailable,
}

impl RejectReason {
    /// All reasons, in declaration order.
    pub const ALL: [RejectReason; 15] = [
        RejectReason::BadFormat,
        RejectReason::BadShard,
        RejectReason::BadLayer,
        RejectReason::BadSlot,
        RejectReason::BadOp,
        RejectReason::BadSigEncoding,
        RejectReason::BadSig,
        RejectReason::Dup,
        RejectReason::MempoolFull,
        RejectReason::SenderCap,
        RejectReason::BadNonce,
        RejectReason::TooLarge,
        RejectReason::Insufficient,
        RejectReason::BadGas,
        RejectReason::Unavailable,
    ];

    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            RejectReason::BadFormat => "bad_format",
            RejectReason::BadShard => "bad_shard",
            RejectReason::BadLayer => "bad_layer",
            RejectReason::BadSlot => "bad_slot",
            RejectReason::BadOp => "bad_op",
            RejectReason::BadSigEncoding => "bad_sig_encoding",
            RejectReason::BadSig => "bad_sig",
            RejectReason::Dup => "dup",
            RejectReason::MempoolFull => "mempool_full",
            RejectReason::SenderCap => "sender_cap",
            RejectReason::BadNonce => "bad_nonce",
            RejectReason::TooLarge => "too_large",
            RejectReason::Insufficient => "insufficient",
            RejectReason::BadGas => "bad_gas",
            RejectReason::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a transaction in a block ended. Anything but [`Outcome::Ok`] left no trace except nonce and fee; only the three
/// `Net…` outcomes keep the link, without weight.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// Done.
    Ok,
    /// The balance does not cover the amount.
    Insufficient,
    /// A balance or a stake would exceed 2^64 - 1.
    Overflow,
    /// The asset does not exist.
    UnknownAsset,
    /// Shard out of range.
    BadShard,
    /// Layer out of range.
    BadLayer,
    /// Slot or source slot out of range.
    BadSlot,
    /// The vector does not have as many entries as a slot.
    BadVec,
    /// A scalar is out of its range.
    BadScalar,
    /// The weight net needs more interactions than allowed; the edge has weight 0.
    NetOutOfGas,
    /// The weight net gave no number; the edge has weight 0.
    NetNotANumber,
    /// The weight net gave a negative number; the edge has weight 0.
    NetNegative,
}

impl Outcome {
    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Insufficient => "insufficient",
            Outcome::Overflow => "overflow",
            Outcome::UnknownAsset => "unknown_asset",
            Outcome::BadShard => "bad_shard",
            Outcome::BadLayer => "bad_layer",
            Outcome::BadSlot => "bad_slot",
            Outcome::BadVec => "bad_vec",
            Outcome::BadScalar => "bad_scalar",
            Outcome::NetOutOfGas => "net_out_of_gas",
            Outcome::NetNotANumber => "net_not_a_number",
            Outcome::NetNegative => "net_negative",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_serialised_names() {
        for reason in RejectReason::ALL {
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(json, format!("\"{reason}\""));
        }
        assert_eq!(
            serde_json::to_string(&Outcome::NetOutOfGas).unwrap(),
            "\"net_out_of_gas\""
        );
    }
}

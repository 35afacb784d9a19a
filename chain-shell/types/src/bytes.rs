//! Fixed-size byte types, written in hexadecimal.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A text is not the hexadecimal form of a byte type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected {expected} hexadecimal digits, got {found}")]
pub struct ParseBytesError {
    /// Digits the type has.
    pub expected: usize,
    /// What was found, in words.
    pub found: String,
}

fn parse<const N: usize>(text: &str) -> Result<[u8; N], ParseBytesError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|error| ParseBytesError {
        expected: 2 * N,
        found: match error {
            hex::FromHexError::InvalidHexCharacter { index, .. } => {
                format!("something else at digit {index}")
            }
            _ => format!("{} characters", text.chars().count()),
        },
    })?;
    Ok(bytes)
}

macro_rules! bytes_type {
    ($(#[$doc:meta])* $name:ident, $size:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
        pub struct $name(pub [u8; $size]);

        impl $name {
            /// The bytes.
            pub fn as_bytes(&self) -> &[u8; $size] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = ParseBytesError;

            fn from_str(text: &str) -> Result<$name, ParseBytesError> {
                parse(text).map($name)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = <String as Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

bytes_type!(
    /// A BLAKE3 hash.
    Hash32,
    32
);
bytes_type!(
    /// An account: the 32 bytes of its Ed25519 public key. Need not be a valid curve point until something is signed.
    Address,
    32
);
bytes_type!(
    /// The id of a transaction: a hash of what was signed, so that re-encoding a signature cannot change it.
    TxId,
    32
);
bytes_type!(
    /// The content id of a particle: SHA-256 of its bytes.
    Cid,
    32
);
bytes_type!(
    /// An Ed25519 signature.
    Signature,
    64
);

impl Hash32 {
    /// All zero: the parent of the first header.
    pub const ZERO: Hash32 = Hash32([0; 32]);
}

impl Cid {
    /// The content id of `bytes`.
    pub fn of(bytes: &[u8]) -> Cid {
        use sha2::Digest;
        Cid(sha2::Sha256::digest(bytes).into())
    }
}

//! Integers in JSON: numbers up to 2^53, decimal strings above, since many readers keep numbers as doubles.

/// Largest integer that every JSON reader keeps.
pub const SAFE_MAX: u64 = 1 << 53;

/// `#[serde(with = "json::integer")]` for a `u64`. Both forms are read, the shorter exact one is written.
pub mod integer {
    use std::fmt;

    use serde::{Deserializer, Serializer, de};

    use super::SAFE_MAX;

    /// Writes a number, or a string above 2^53.
    pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        if *value <= SAFE_MAX {
            serializer.serialize_u64(*value)
        } else {
            serializer.collect_str(value)
        }
    }

    /// Reads a number or a decimal string.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        struct Integer;

        impl de::Visitor<'_> for Integer {
            type Value = u64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an unsigned integer or its decimal digits as a string")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<u64, E> {
                Ok(value)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
                if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(E::invalid_value(de::Unexpected::Str(text), &self));
                }
                text.parse()
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(Integer)
    }
}

/// `#[serde(with = "json::hex_bytes")]` for a `Vec<u8>` written in hexadecimal.
pub mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Writes hexadecimal digits.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    /// Reads hexadecimal digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode(&text).map_err(de::Error::custom)
    }
}

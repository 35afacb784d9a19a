//! The genesis file: everything the members of a chain agree on before its first block.
//!
//! The file is JSON, `{"genesis": {…}, "hash": "…"}`. The hash is over the compact form of `genesis` with its members in
//! alphabetical order, so white space is free and any other change shows.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Address, Domain, Hash32, Keypair, hash, json};

/// Why a genesis is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// Not the JSON of a genesis file.
    #[error("genesis: {0}")]
    Format(String),
    /// The content does not have the hash that the file states.
    #[error("genesis: the content hashes to {found}, the file says {stated}: it was changed")]
    Tampered {
        /// Hash of the content.
        found: Hash32,
        /// Hash in the file.
        stated: Hash32,
    },
    /// A value makes no chain.
    #[error("genesis: {0}")]
    Invalid(String),
}

/// An account that exists from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisAccount {
    /// Account.
    pub address: Address,
    /// FOCUS units.
    #[serde(with = "json::integer")]
    pub balance: u64,
}

/// What one block may hold. The rest waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// Bytes of transactions.
    #[serde(with = "json::integer")]
    pub bytes: u64,
    /// Edge deltas.
    #[serde(with = "json::integer")]
    pub edges: u64,
    /// Gas, counted by the transactions' limits.
    #[serde(with = "json::integer")]
    pub gas: u64,
    /// Transactions.
    #[serde(with = "json::integer")]
    pub transactions: u64,
}

/// Prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fees {
    /// FOCUS units per gas.
    #[serde(with = "json::integer")]
    pub gas_price: u64,
    /// FOCUS units per link, besides its gas.
    #[serde(with = "json::integer")]
    pub link: u64,
}

/// Parameters of π.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FocusGenesis {
    /// Damping as a Q32 fraction.
    pub damping: u32,
    /// Residual to stop at, in units of 2^-62.
    #[serde(with = "json::integer")]
    pub epsilon: u64,
    /// Cap on iterations.
    pub max_iterations: u32,
}

/// First content of the Memory Arithmetic tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemoryInit {
    /// All zero.
    Zero,
    /// Expanded from a hash.
    Hash(Hash32),
}

/// The Memory Arithmetic tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryGenesis {
    /// First content.
    pub init: MemoryInit,
    /// Number of shards.
    pub shards: u16,
}

/// The net that turns a link into an edge weight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightNet {
    /// Interactions one evaluation may take.
    #[serde(with = "json::integer")]
    pub gas: u64,
    /// The net sees stakes shifted right by this many bits, below 64.
    pub stake_shift: u32,
    /// Source text with a definition `@weight`.
    pub text: String,
}

/// What a chain starts from. Members are in alphabetical order: that is the canonical order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// Accounts, ascending by address.
    pub accounts: Vec<GenesisAccount>,
    /// What one block may hold.
    pub budgets: Budgets,
    /// Name of the chain.
    pub chain_id: String,
    /// Nominal time of creation in milliseconds since 1970; fixed, so that equal arguments give equal files.
    #[serde(with = "json::integer")]
    pub created_ms: u64,
    /// Prices.
    pub fees: Fees,
    /// Parameters of π.
    pub focus: FocusGenesis,
    /// The Memory Arithmetic tensor.
    pub ma: MemoryGenesis,
    /// Who makes blocks, ascending.
    pub validators: Vec<Address>,
    /// Version of this format, 1.
    pub version: u32,
    /// The net that turns a link into an edge weight.
    pub weight_net: WeightNet,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GenesisFile {
    genesis: Genesis,
    hash: Hash32,
}

impl Genesis {
    /// The only version there is.
    pub const VERSION: u32 = 1;
    /// `created_ms` of generated files.
    pub const CREATED_MS: u64 = 1_700_000_000_000;
    /// Most shards of the tensor.
    pub const SHARDS_MAX: u16 = 1024;
    /// Longest weight net.
    pub const WEIGHT_NET_BYTES_MAX: usize = 64 << 10;
    /// Longest genesis file.
    pub const FILE_BYTES_MAX: usize = 64 << 20;

    /// A chain with one validator, usual parameters, and `accounts` in any order. `weight_net` is the text of the net.
    pub fn solo(
        chain_id: &str,
        validator: Address,
        mut accounts: Vec<GenesisAccount>,
        weight_net: String,
    ) -> Genesis {
        accounts.sort_by_key(|account| account.address);
        Genesis {
            accounts,
            budgets: Budgets {
                bytes: 8 << 20,
                edges: 65_536,
                gas: 1_000_000_000,
                transactions: 65_536,
            },
            chain_id: chain_id.to_owned(),
            created_ms: Genesis::CREATED_MS,
            fees: Fees {
                gas_price: 1,
                link: 1_000,
            },
            focus: FocusGenesis {
                damping: 3_650_722_202,
                epsilon: (1 << 62) / 1_000_000,
                max_iterations: 2048,
            },
            ma: MemoryGenesis {
                init: MemoryInit::Zero,
                shards: 8,
            },
            validators: vec![validator],
            version: Genesis::VERSION,
            weight_net: WeightNet {
                gas: 10_000,
                stake_shift: 0,
                text: weight_net,
            },
        }
    }

    /// The bytes that are hashed: compact JSON, members in alphabetical order.
    pub fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("string keys and integers only")
    }

    /// The chain's identity.
    pub fn hash(&self) -> Hash32 {
        hash(Domain::Genesis, &self.canonical())
    }

    /// The file's text: equal values give equal bytes.
    pub fn to_file(&self) -> String {
        let file = GenesisFile {
            genesis: self.clone(),
            hash: self.hash(),
        };
        let mut text = serde_json::to_string_pretty(&file).expect("string keys and integers only");
        text.push('\n');
        text
    }

    /// Reads a file and checks its hash and values.
    pub fn from_file(text: &[u8]) -> Result<Genesis, GenesisError> {
        if text.len() > Genesis::FILE_BYTES_MAX {
            return Err(GenesisError::Format(format!(
                "{} bytes, at most {} are read",
                text.len(),
                Genesis::FILE_BYTES_MAX
            )));
        }
        let file: GenesisFile = serde_json::from_slice(text)
            .map_err(|error| GenesisError::Format(error.to_string()))?;
        let found = file.genesis.hash();
        if found != file.hash {
            return Err(GenesisError::Tampered {
                found,
                stated: file.hash,
            });
        }
        file.genesis.validate()?;
        Ok(file.genesis)
    }

    /// Checks the values. The weight net's text is checked by whoever can parse it.
    pub fn validate(&self) -> Result<(), GenesisError> {
        let invalid = |message: String| Err(GenesisError::Invalid(message));
        if self.version != Genesis::VERSION {
            return invalid(format!("version {} is not known", self.version));
        }
        let printable = self.chain_id.bytes().all(|byte| byte.is_ascii_graphic());
        if self.chain_id.is_empty() || self.chain_id.len() > 64 || !printable {
            return invalid("chain_id must be 1 to 64 printable characters without spaces".into());
        }
        if !self.accounts.is_sorted_by(|a, b| a.address < b.address) {
            return invalid("accounts must ascend by address, each once".into());
        }
        let supply = self
            .accounts
            .iter()
            .try_fold(0u64, |sum, account| sum.checked_add(account.balance));
        if supply.is_none() {
            return invalid("the balances sum to more than 2^64 - 1".into());
        }
        if self.validators.len() != 1 {
            return invalid(format!(
                "{} validators; this version runs chains of exactly one",
                self.validators.len()
            ));
        }
        if self.ma.shards == 0 || self.ma.shards > Genesis::SHARDS_MAX {
            return invalid(format!(
                "ma.shards is {}, must be 1 to {}",
                self.ma.shards,
                Genesis::SHARDS_MAX
            ));
        }
        if self.focus.max_iterations == 0 || self.focus.max_iterations > 2048 {
            return invalid("focus.max_iterations must be 1 to 2048".into());
        }
        if self.weight_net.text.len() > Genesis::WEIGHT_NET_BYTES_MAX {
            return invalid(format!(
                "the weight net has more than {} bytes",
                Genesis::WEIGHT_NET_BYTES_MAX
            ));
        }
        for (name, value, max) in [
            ("budgets.bytes", self.budgets.bytes, 64 << 20),
            ("budgets.edges", self.budgets.edges, 1 << 24),
            ("budgets.gas", self.budgets.gas, 1 << 50),
            ("budgets.transactions", self.budgets.transactions, 1 << 20),
            ("weight_net.gas", self.weight_net.gas, self.budgets.gas),
        ] {
            if value == 0 || value > max {
                return invalid(format!("{name} is {value}, must be 1 to {max}"));
            }
        }
        Ok(())
    }

    /// Whether `key` belongs to a validator.
    pub fn is_validator(&self, key: &Keypair) -> bool {
        self.validators.contains(&key.address())
    }
}

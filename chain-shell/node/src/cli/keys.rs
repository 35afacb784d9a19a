//! `focus keygen` and `focus genesis`.

use std::path::{Path, PathBuf};

use clap::Args;
use ffcm_sandboxes::weight::STAKE;
use focus_types::{Address, Genesis, GenesisAccount, Keypair};
use serde_json::json;

use super::failure::Failure;
use super::output::{print, print_json, read_text, write_whole};
use super::weights;

/// FOCUS units of the validator of a new chain.
pub(crate) const SUPPLY: u64 = 1_000_000_000_000_000_000;

/// Make key pairs
///
/// Prints a line of address and secret for each. Whoever sees the secret owns the account.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  focus keygen --n 2\n  focus keygen --json")]
pub(crate) struct KeygenArguments {
    /// How many
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    n: u32,
    /// Print a JSON array instead
    #[arg(long)]
    json: bool,
}

/// Runs `keygen`.
pub(crate) fn keygen(arguments: &KeygenArguments) -> Result<(), Failure> {
    let pairs = (0..arguments.n)
        .map(|_| Keypair::generate())
        .collect::<Result<Vec<_>, _>>()
        .map_err(Failure::new)?;
    if arguments.json {
        let pair =
            |pair: &Keypair| json!({ "address": pair.address(), "secret": *pair.seed_hex() });
        print_json(&pairs.iter().map(pair).collect())
    } else {
        for pair in &pairs {
            print(format_args!("{}  {}\n", pair.address(), *pair.seed_hex()))?;
        }
        Ok(())
    }
}

/// Write a genesis file
///
/// Equal arguments give equal bytes. The validator's account holds all tokens.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  focus genesis --out genesis.json --key key.txt --chain-id my-chain\n  \
                        focus up --genesis genesis.json --key key.txt --data my-data"
)]
pub(crate) struct GenesisArguments {
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Address of the validator, 64 hexadecimal digits
    #[arg(
        long,
        value_name = "ADDRESS",
        required_unless_present = "key",
        conflicts_with = "key"
    )]
    validator: Option<Address>,
    /// File with the validator's secret, as keygen prints it
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Name of the chain
    #[arg(long, default_value = "focus-solo", value_name = "NAME")]
    chain_id: String,
    /// FOCUS units of the validator's account
    #[arg(long, default_value_t = SUPPLY, value_name = "UNITS")]
    balance: u64,
    /// Shards of the Memory Arithmetic tensor
    #[arg(long, value_name = "N")]
    shards: Option<u16>,
    /// The weight net sees stakes shifted right by this many bits
    #[arg(long, default_value_t = 0, value_name = "BITS", value_parser = clap::value_parser!(u32).range(..64))]
    stake_shift: u32,
    /// A net with @weight; by default an edge weighs its stake
    #[arg(long, value_name = "FILE")]
    weight_net: Option<PathBuf>,
}

/// Runs `genesis`.
pub(crate) fn genesis(arguments: &GenesisArguments) -> Result<(), Failure> {
    let validator = match (&arguments.validator, &arguments.key) {
        (Some(address), _) => *address,
        (None, Some(path)) => read_key(path)?.address(),
        (None, None) => return Err(Failure::new("give --validator ADDRESS or --key FILE")),
    };
    let net = match &arguments.weight_net {
        Some(path) => weights::read(path, arguments.stake_shift)?.0,
        None => STAKE.to_owned(),
    };
    let account = GenesisAccount {
        address: validator,
        balance: arguments.balance,
    };
    let mut genesis = Genesis::solo(&arguments.chain_id, validator, vec![account], net);
    if let Some(shards) = arguments.shards {
        genesis.ma.shards = shards;
    }
    genesis.weight_net.stake_shift = arguments.stake_shift;
    genesis.validate().map_err(Failure::new)?;
    write_whole(&arguments.out, |out| {
        out.write_all(genesis.to_file().as_bytes())
    })?;
    print(format_args!("{}\n", genesis.hash()))
}

/// Reads a secret: 64 hexadecimal digits, or a line of `focus keygen`.
pub(crate) fn read_key(path: &Path) -> Result<Keypair, Failure> {
    let text = zeroize::Zeroizing::new(read_text(path, 4096)?);
    let secret = text.split_whitespace().last().unwrap_or("");
    Keypair::from_seed_hex(secret).map_err(|e| Failure::file(path.display(), e))
}

/// Reads and checks a genesis file.
pub(crate) fn read_genesis(path: &Path) -> Result<Genesis, Failure> {
    let text = read_text(path, Genesis::FILE_BYTES_MAX as u64)?;
    Genesis::from_file(text.as_bytes()).map_err(|e| Failure::file(path.display(), e))
}

//! Tokens: balances, nonces, transfers.
//!
//! For each asset, the balances and the stakes on links sum to the supply, after every transaction up to fees under way
//! and after every block exactly.

use ffcm_scheduler::{ReadError, TaskView};
use focus_types::{Address, AssetId, Outcome};

use crate::{ModuleError, keys};

/// A `u64` value; absent means 0.
pub fn number(view: &mut TaskView<'_>, key: &[u8]) -> Result<u64, ReadError> {
    match view.get(key)? {
        None => Ok(0),
        Some(bytes) => decode(key, &bytes).map_err(ReadError::from),
    }
}

/// Reads the bytes of a `u64` value stored under `key`.
pub fn decode(key: &[u8], bytes: &[u8]) -> Result<u64, ModuleError> {
    let bytes = bytes.try_into().map_err(|_| ModuleError::damaged(key))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Sets a `u64` value; 0 removes it, so that nothing is stored for what is empty.
pub fn set_number(view: &mut TaskView<'_>, key: Vec<u8>, value: u64) {
    if value == 0 {
        view.delete(key);
    } else {
        view.put(key, value.to_le_bytes());
    }
}

/// Takes `amount` from a balance; `false`, and nothing taken, if it does not cover it.
pub fn take(
    view: &mut TaskView<'_>,
    asset: AssetId,
    owner: &Address,
    amount: u64,
) -> Result<bool, ReadError> {
    let key = keys::balance(asset, owner);
    let Some(rest) = number(view, &key)?.checked_sub(amount) else {
        return Ok(false);
    };
    set_number(view, key, rest);
    Ok(true)
}

/// Adds `amount` to a balance; `false`, and nothing added, if it would exceed 2^64 - 1.
pub fn give(
    view: &mut TaskView<'_>,
    asset: AssetId,
    owner: &Address,
    amount: u64,
) -> Result<bool, ReadError> {
    let key = keys::balance(asset, owner);
    let Some(sum) = number(view, &key)?.checked_add(amount) else {
        return Ok(false);
    };
    set_number(view, key, sum);
    Ok(true)
}

/// Moves `amount` from `from` to `to`.
pub fn transfer(
    view: &mut TaskView<'_>,
    asset: AssetId,
    from: &Address,
    to: &Address,
    amount: u64,
) -> Result<Result<(), Outcome>, ReadError> {
    if view.get(&keys::supply(asset))?.is_none() {
        return Ok(Err(Outcome::UnknownAsset));
    }
    if !take(view, asset, from, amount)? {
        return Ok(Err(Outcome::Insufficient));
    }
    if !give(view, asset, to, amount)? {
        return Ok(Err(Outcome::Overflow));
    }
    Ok(Ok(()))
}

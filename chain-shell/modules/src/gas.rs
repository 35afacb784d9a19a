//! What work costs.
//!
//! A transfer and a Memory Arithmetic operation have a fixed price. A link pays besides its base for the interactions
//! its weight net makes, at most the bound of the genesis file.

use focus_types::Body;

/// Gas of a transfer.
pub const TRANSFER: u64 = 1_000;
/// Gas of a Memory Arithmetic operation, whichever it is.
pub const MEMORY: u64 = 2_000;
/// Gas of a link without its weight net.
pub const LINK: u64 = 2_000;

/// The most gas a body can use, `net` being the bound on one weight-net call.
pub fn most(body: &Body, net: u64) -> u64 {
    match body {
        Body::Transfer { .. } => TRANSFER,
        Body::Memory { .. } => MEMORY,
        Body::Link { .. } => LINK.saturating_add(net),
    }
}

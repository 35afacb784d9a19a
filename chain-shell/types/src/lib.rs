//! Name what the chain is made of.

//! Verify state proofs.

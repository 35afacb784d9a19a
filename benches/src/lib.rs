//! Measure, verifier included.
